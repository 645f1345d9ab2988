"""Small drawings of the gallery's examples, made from their numbers: SVG, light and dark, the same bytes every time.

python scripts/thumbnails.py
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from memviz.demo.recipe import SHIPPED as SUITE  # noqa: E402
from memviz.figures.palette import Palette, palette  # noqa: E402
from memviz.gallery import GALLERY, Example, examples, open_store  # noqa: E402
from memviz.maps import GROUPS, PAIRS, DynamicsTask, MapTask, Scope, register  # noqa: E402
from memviz.measures.causes import Heads  # noqa: E402
from memviz.measures.score import LEVELS  # noqa: E402
from memviz.population.filters import Filters  # noqa: E402
from memviz.predictor.known import SHIPPED as PREDICTORS  # noqa: E402
from memviz.settings import load_settings  # noqa: E402
from memviz.sweeps import read_sweep  # noqa: E402
from memviz.sweeps.kept import SHIPPED  # noqa: E402
from memviz.tasks.base import Context, stored, task_from  # noqa: E402
from memviz.tasks.causes import CauseTask  # noqa: E402
from memviz.tasks.ladder import LadderTask  # noqa: E402
from memviz.tasks.lens import lens_of  # noqa: E402
from memviz.tasks.trace import TraceTask  # noqa: E402

WIDTH, HEIGHT, EDGE = 480, 300, 24
TRAINED = Filters(parts=("planted",))
Drawn = Callable[[Example, Context, Palette], list[str]]


def box(x: float, y: float, width: float, height: float, fill: str, line: str = "none") -> str:
    size = f'width="{width:.1f}" height="{height:.1f}"'
    return f'<rect x="{x:.1f}" y="{y:.1f}" {size} rx="2" fill="{fill}" stroke="{line}"/>'


def line(x: Sequence[float], y: Sequence[float], colour: str, width: float = 3) -> str:
    at = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True) if np.isfinite(b))
    return f'<polyline points="{at}" fill="none" stroke="{colour}" stroke-width="{width}" stroke-linejoin="round"/>'


def scaled(values: np.ndarray, low: float, high: float, start: float, stop: float) -> list[float]:
    return (start + (values - low) / ((high - low) or 1) * (stop - start)).tolist()


def cells(match: np.ndarray, top: float, height: float, colours: Palette, n_columns: int | None = None) -> list[str]:
    """A row of cells, filled where the token was reproduced."""
    step = (WIDTH - 2 * EDGE) / (n_columns or len(match))
    hit, miss = colours.categorical[0], colours.ground
    return [
        box(EDGE + step * t + 1, top, step - 2, height, hit if each else miss, colours.muted)
        for t, each in enumerate(match)
    ]


def lines(series: Sequence[np.ndarray], hues: Sequence[str], rule: float | None, colours: Palette) -> list[str]:
    """Curves in one frame; a rule at a share of the width."""
    known = np.concatenate([each[np.isfinite(each)] for each in series])
    low, high = float(known.min()), float(known.max())
    parts = [line([EDGE, EDGE, WIDTH - EDGE], [EDGE, HEIGHT - EDGE, HEIGHT - EDGE], colours.muted, 1.5)]
    if rule is not None:
        at = EDGE + rule * (WIDTH - 2 * EDGE)
        parts.append(line([at, at], [EDGE, HEIGHT - EDGE], colours.text, 1.5))
    for each, hue in zip(series, hues, strict=False):
        x = np.linspace(EDGE + 6, WIDTH - EDGE, len(each)).tolist()
        parts.append(line(x, scaled(each, low, high, HEIGHT - EDGE - 8, EDGE + 8), hue))
    return parts


def of_trace(example: Example, context: Context, colours: Palette) -> list[str]:
    task = task_from(context.store.get_request(str(example.query["run"])) or {}, TraceTask)
    run = stored(task, context)
    assert run is not None and run.trace.continuation_ids is not None
    trace = run.trace
    match = (trace.generated_ids == trace.continuation_ids)[0]
    half = len(match) // 2
    parts = [*cells(match[:half], EDGE, 26, colours), *cells(match[half:], EDGE + 34, 26, colours)]
    entropy = np.concatenate([trace.context.entropy[0], trace.free_running.entropy[0]])
    x = np.linspace(EDGE, WIDTH - EDGE, len(entropy)).tolist()
    parts.append(line(x, scaled(np.nan_to_num(entropy), 0, 6, HEIGHT - EDGE, 110), colours.sequential[7]))
    at = EDGE + (WIDTH - 2 * EDGE) * trace.n_context / len(entropy)
    return [*parts, line([at, at], [110, HEIGHT - EDGE], colours.text, 1.5)]


def of_compare(example: Example, context: Context, colours: Palette) -> list[str]:
    task = task_from(context.store.get_request(str(example.query["run"])) or {}, LadderTask)
    runs = [stored(one, context) for one in task.tasks]
    height = (HEIGHT - 2 * EDGE) / len(runs)
    parts = []
    for place, run in enumerate(runs):
        assert run is not None and run.trace.continuation_ids is not None
        match = (run.trace.generated_ids == run.trace.continuation_ids)[0]
        parts += cells(match, EDGE + place * height, height - 6, colours)
    return parts


def of_layers(example: Example, context: Context, colours: Palette) -> list[str]:
    task = task_from(context.store.get_request(str(example.query["run"])) or {}, LadderTask)
    reading = stored(lens_of(task.tasks[-1]), context)
    assert reading is not None
    rank = reading.teacher_forced.rank  # (l, m)
    shade = np.clip(9 - 2 * np.log2(np.maximum(rank, 1)), 0, 9).round().astype(int)
    height, width = (HEIGHT - 2 * EDGE) / len(rank), (WIDTH - 2 * EDGE) / rank.shape[1]
    return [
        box(
            EDGE + t * width,
            HEIGHT - EDGE - (row + 1) * height,
            width - 1,
            height - 1,
            colours.sequential[shade[row, t]],
        )
        for row in range(len(rank))
        for t in range(rank.shape[1])
    ]


def of_causes(example: Example, context: Context, colours: Palette) -> list[str]:
    """Falls of log p of each context token, or the leading matches that each head takes (layer 1 at the foot)."""
    found = stored(task_from(context.store.get_request(str(example.query["run"])) or {}, CauseTask), context)
    if isinstance(found, Heads):
        fall = np.zeros((int(found.layer.max()), int(found.number.max()) + 1))
        fall[found.layer.max() - found.layer, found.number] = found.prefix_drop("zero")
        most = len(found.true_ids)  # of all rows the same, so that two can be told apart
    else:
        assert found is not None
        fall = np.nan_to_num(found.drop("replaced"))  # (k, m)
        most = fall.max()
    shade = np.clip(9 * np.sqrt(np.clip(fall, 0, None) / most), 0, 9).round().astype(int)
    height, width = (HEIGHT - 2 * EDGE) / len(fall), (WIDTH - 2 * EDGE) / fall.shape[1]
    return [
        box(EDGE + t * width, EDGE + row * height, width - 1, height - 1, colours.sequential[shade[row, t]])
        for row in range(len(fall))
        for t in range(fall.shape[1])
    ]


def of_map(example: Example, context: Context, colours: Palette) -> list[str]:
    reducer = str(example.query["reducer"]).lower()
    scope = Scope(str(SHIPPED), filters=TRAINED, n_rows=250)
    names = [str(example.query["of"]), *({str(example.query["beside"])} - {"none"})]
    maps = [stored(MapTask(name, scope, reducer=reducer), context) for name in names]
    parts, width = [], (WIDTH - EDGE) / len(maps)
    for place, found in enumerate(maps):
        assert found is not None and maps[0] is not None
        xy = (register(found, maps[0]).apply(found.xy) if place else found.xy)[found.step == found.step.max()]
        level = np.minimum(4, 5 * found.hits[found.step == found.step.max()] // int(found.m))
        x = scaled(xy[:, 0], xy[:, 0].min(), xy[:, 0].max(), place * width + EDGE, (place + 1) * width - EDGE / 2)
        y = scaled(xy[:, 1], xy[:, 1].min(), xy[:, 1].max(), HEIGHT - EDGE, EDGE)
        hues = [colours.levels[each] for each in level]
        parts += [
            f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3.5" fill="{hue}"/>' for a, b, hue in zip(x, y, hues, strict=True)
        ]
    return parts


def of_dynamics(example: Example, context: Context, colours: Palette) -> list[str]:
    found = stored(DynamicsTask(SUITE.sizes[-1].name, Scope(str(SHIPPED), filters=TRAINED)), context)
    assert found is not None
    pairs = [(GROUPS[0], GROUPS[0]), (GROUPS[2], GROUPS[2]), (GROUPS[0], GROUPS[2])]
    return lines([found.value[0, 0, 0, PAIRS.index(pair)] for pair in pairs], colours.categorical, None, colours)


def _scores() -> pd.DataFrame:
    sweep = read_sweep(SHIPPED)
    columns = ["model", "row", "mode", "k", "bucket", "n_matches_32"]
    found = sweep.read("sequences", columns, [("mode", "==", "sliding"), ("k", "==", 32)])
    found = found[found["bucket"] > 0].astype({"model": str})
    return found.pivot(index="row", columns="model", values="n_matches_32")[list(sweep.task.models)].dropna() / 32


def of_population(example: Example, context: Context, colours: Palette) -> list[str]:
    scores = _scores()
    mean = scores.mean().to_numpy()
    x = np.linspace(EDGE + 30, WIDTH - EDGE - 30, len(mean))
    y = scaled(mean, 0, float(mean.max()), HEIGHT - EDGE, EDGE + 20)
    dots = [
        f'<circle cx="{a:.1f}" cy="{b:.1f}" r="8" fill="{colours.categorical[0]}"/>' for a, b in zip(x, y, strict=True)
    ]
    frame = line([EDGE, EDGE, WIDTH - EDGE], [EDGE, HEIGHT - EDGE, HEIGHT - EDGE], colours.muted, 1.5)
    return [frame, line(x.tolist(), y, colours.categorical[0]), *dots]


def of_transitions(example: Example, context: Context, colours: Palette) -> list[str]:
    scores, n = _scores(), len(LEVELS)
    level = np.minimum(n - 1, (scores.to_numpy() * n).astype(int))
    counts = np.zeros((n, n))
    np.add.at(counts, (level[:, -2], level[:, -1]), 1)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    width, height = (WIDTH - 2 * EDGE) / n, (HEIGHT - 2 * EDGE) / n
    return [
        box(
            EDGE + b * width, EDGE + a * height, width - 3, height - 3, colours.sequential[round(9 * share[a, b])],
            colours.text if a == b else colours.muted,
        )
        for a in range(n)
        for b in range(n)
    ]  # fmt: skip


def of_boundary(example: Example, context: Context, colours: Palette) -> list[str]:
    curves = pd.read_parquet(SHIPPED / "boundary-curves.parquet")
    own = curves[(curves["quantity"] == curves["quantity"].iloc[0]) & (curves["of"] == curves["of"].iloc[-1])]
    own = own[own["t"].between(-32, 31)]
    series = [each.sort_values("t")["mean"].to_numpy(float) for _, each in own.groupby("group", sort=True)]
    t = np.sort(own["t"].unique())
    return lines(series[:3], colours.categorical, float((0 - t[0]) / (t[-1] - t[0])), colours)


def of_predictor(example: Example, context: Context, colours: Palette) -> list[str]:
    table = pd.read_parquet(PREDICTORS / "metrics.parquet")
    own = table[
        table["predictor"].str.startswith(str(example.query["predictor"])) & (table["metric"] == "token_accuracy")
    ]
    own = own[own["m"] == own["m"].max()].drop_duplicates("method").sort_values("value")
    height = (HEIGHT - 2 * EDGE) / len(own)
    return [
        box(
            EDGE, EDGE + place * height, (WIDTH - 2 * EDGE) * each.value, height - 3,
            colours.categorical[0] if each.method == "predictor" else colours.sequential[3],
        )
        for place, each in enumerate(own.itertuples())
    ]  # fmt: skip


DRAWINGS: dict[str, Drawn] = {
    "trace": of_trace,
    "compare": of_compare,
    "layers": of_layers,
    "causes": of_causes,
    "map": of_map,
    "dynamics": of_dynamics,
    "population": of_population,
    "transitions": of_transitions,
    "boundary": of_boundary,
    "predictor": of_predictor,
}
"""Page -> what draws its examples."""


def draw_all() -> None:
    """Every example, light and dark."""
    folder = GALLERY / "thumbnails"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    draw(examples())


def draw(which: Sequence[Example]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        settings = load_settings(cache=Path(scratch), offline=True)
        context = Context(settings, open_store(settings))
        for example in which:
            for dark in (False, True):
                colours = palette("dark" if dark else "light")
                ground = f'<rect width="100%" height="100%" fill="{colours.ground}"/>'
                parts = [ground, *DRAWINGS[example.page](example, context, colours)]
                head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}">'
                example.thumbnail(dark).write_text("\n".join([head, *parts, "</svg>\n"]), "utf-8")


if __name__ == "__main__":
    draw_all()
