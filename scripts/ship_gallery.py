"""Make what ships with the gallery: cards of the suite's models, the results of its examples, their drawings.

    python scripts/ship_gallery.py

Results are computed by the engine into a store of their own; notes take their numbers from them.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]


from thumbnails import draw_all  # noqa: E402

from memviz.catalog import find_model, ship_card  # noqa: E402
from memviz.demo.recipe import SHIPPED as SUITE  # noqa: E402
from memviz.demo.samples import SHAPES, Samples, Wish  # noqa: E402
from memviz.errors import InputError  # noqa: E402
from memviz.gallery import GALLERY, Example, examples  # noqa: E402
from memviz.maps import DynamicsTask, MapTask, PairedTask, Scope, SimilarityTask  # noqa: E402
from memviz.measures import compute_all  # noqa: E402
from memviz.measures.causes import Heads, prefix  # noqa: E402
from memviz.population.counterfactual import earlier, first_steps  # noqa: E402
from memviz.population.filters import Filters  # noqa: E402
from memviz.population.filters import choices as choices_of  # noqa: E402
from memviz.population.precision import SHIPPED as PRECISION  # noqa: E402
from memviz.population.precision import USUAL_ROWS, PrecisionTask  # noqa: E402
from memviz.predictor.data import parts_of  # noqa: E402
from memviz.predictor.known import known_predictors  # noqa: E402
from memviz.records import Run  # noqa: E402
from memviz.settings import load_settings, quiet_libraries  # noqa: E402
from memviz.store import Store  # noqa: E402
from memviz.sweeps import read_sweep  # noqa: E402
from memviz.sweeps.kept import SHIPPED  # noqa: E402
from memviz.sweeps.results import write_manifest  # noqa: E402
from memviz.tasks.base import Context, Task, answer, ready  # noqa: E402
from memviz.tasks.causes import HeadsTask, cause_of, seen_counts  # noqa: E402
from memviz.tasks.ladder import LadderTask, choices, tasks_of  # noqa: E402
from memviz.tasks.lens import lens_of  # noqa: E402
from memviz.tasks.trace import TraceTask, task_of_ids, tokenizer_of  # noqa: E402

WORK = ROOT / "build" / "gallery"
"""Where results are kept between runs of this script."""
LARGEST, SMALLEST, STEPPED = (size.name for size in (SUITE.sizes[-1], SUITE.sizes[0], SUITE.stepped))
N_SIZES = f"{len(SUITE.sizes)} sizes"
K = M = 32
N_CANDIDATES = 60
"""Rows of a kind that are traced before one is taken."""
N_HEADED = 12
"""Of them, whose heads are silenced before one is taken."""
MAP_POINTS = 2_000


@dataclass
class Maker:
    """What examples are made with."""

    context: Context
    """Its store is where results come to be, hidden states among them."""
    shipped: Store
    """Where those that pages show are copied to."""
    samples: Samples

    def keep(self, task: Task[Any]) -> None:
        """Answer a task and copy what was kept."""
        key = answer(task, self.context).key
        found = self.context.store.get(key)
        assert found is not None
        arrays, about = found
        if "scope" in about["request"]:  # where it lay here is nobody's business
            about["request"]["scope"]["folder"] = str(SHIPPED.relative_to(ROOT))
        self.shipped.put(key, arrays, about)

    def task(self, model: str, row: int) -> TraceTask:
        card = ready(model, self.context)
        return task_of_ids(self.samples.data.ids[row].tolist(), card, K, M)

    def trace(self, model: str, row: int) -> tuple[TraceTask, Run]:
        task = self.task(model, row)
        self.shipped.put_request(task.hash, task.request())
        self.keep(task)
        return task, answer(task, self.context).result

    def values(self, model: str, row: int) -> dict[str, float]:
        run = answer(self.task(model, row), self.context).result
        return {name: float(each[0]) for name, each in compute_all(run.trace).items()}

    def words(self, row: int) -> str:
        """Where a row is from and how often the stream holds it."""
        title, exposures = self.samples.titles[row], self.samples.exposures[row]
        times = "never trained on" if exposures == "held out" else f"in training {exposures.split()[0]}×"
        return f"row {row:,}, {title}, {times}"


def readable(samples: Samples, rows: np.ndarray) -> list[int]:
    """The rows whose prompts are read most easily, few line ends and most letters first, then the lowest number."""

    def difficulty(row: int) -> float:
        text = samples.tokenizer.to_bytes(samples.data.ids[row, : K + M].tolist()).decode("utf-8", "replace")
        letters = sum(character.isalpha() or character == " " for character in text) / max(len(text), 1)
        return round(text.count("\n") - letters, 2)

    return sorted(rows.tolist(), key=lambda row: (difficulty(row), row))[:N_CANDIDATES]


def along_sizes(samples: Samples) -> np.ndarray:
    """(sizes, n_rows) M of every size at the end of its training, ascending; NaN where a row was not scored."""
    return samples.scores_along(Wish(m=M, sizes=tuple(size.name for size in SUITE.sizes)))


def first(samples: Samples, asked: np.ndarray) -> int:
    """Of rows that are as asked, the one that is read most easily; no template."""
    rows = np.flatnonzero(asked)
    return readable(samples, rows[~is_template(samples, rows)])[0]


def matched(samples: Samples, model: str) -> np.ndarray:
    return samples.matches(model, M)


def is_template(samples: Samples, rows: Sequence[int] | np.ndarray) -> np.ndarray:
    return np.array([samples.class_of(int(row)) == "reconstruct" for row in rows], bool)


def trace_examples(maker: Maker) -> list[Example]:
    """Four prompts under the largest model."""
    samples, hits = maker.samples, matched(maker.samples, LARGEST)
    bucket = samples.data.bucket
    recited = first(samples, SHAPES["only the largest"](along_sizes(samples)))
    partly = np.flatnonzero((bucket >= 8) & (hits > 8) & (hits < 26))
    partly = partly[~is_template(samples, partly)]
    tried = [(maker.values(LARGEST, row), row) for row in readable(samples, partly)]
    back = max((found["hits_after_divergence"], row) for found, row in tried if found["longest_common_prefix"] >= 4)[1]
    parts = parts_of(read_sweep(SHIPPED))  # every shipped predictor's
    tested = readable(samples, partly[[parts.get(row) == "test" for row in partly.tolist()]])
    unfitted = min(tested, key=lambda row: abs(hits[row] - M / 2))
    whole = np.flatnonzero((bucket > 0) & ~samples.data.background & (hits == M))
    whole = whole[~is_template(samples, whole)]
    few = readable(samples, whole[bucket[whole] == bucket[whole].min()])[0]
    unread = np.flatnonzero((bucket == 0) & ~np.isnan(hits))
    unread = unread[~is_template(samples, unread)]
    floor = max(readable(samples, unread[np.argsort(-hits[unread], kind="stable")[:N_CANDIDATES]]), key=hits.item)
    made = []
    for name, row, title, note, finding, further in (
        (
            "recited", recited, "Recited word for word",
            "M = {memorization_score:.2f}: every one of the {m} tokens after the context is the training text's own.",
            0, {"tok": "40"},
        ),
        (
            "returns", back, "Leaves the text and comes back",
            "The first difference is at position {first_divergence:.0f}, yet {hits_after_divergence:.0f} later tokens "
            "match again: M = {memorization_score:.2f}, a prefix of {longest_common_prefix:.0f}.", 0, {},
        ),
        (
            "few", few, "Recited after few readings",
            "M = {memorization_score:.2f} after {exposures}, the fewest of all rows that it recites whole.",
            0, {},
        ),
        (
            "floor", floor, "Never read, and still some hits",
            "A held-out row, the one with most hits: M = {memorization_score:.2f} without any memory of it.",
            0, {},
        ),
        (
            "jump", recited, "Entropy at the boundary",
            "Entropy at the first token of the continuation less that at the last one of the context: "
            "{entropy_jump:+.2f} nats. One prompt alone shows little; the Boundary page averages many.",
            3, {"tok": str(K)},
        ),
        (
            "predicted", unfitted, "What a predictor says of each token",
            "P(memorized) under the tokens, by what a fitted predictor may see: everything generated, only what came "
            "before, or the context alone. None of them was fitted on this row.",
            4, {"predicted": ["published", "causal", "context only"]},
        ),
    ):  # fmt: skip
        task, run = maker.trace(LARGEST, row)
        values = {key: float(each[0]) for key, each in compute_all(run.trace).items()}
        times = f"{bucket[row]} exposure{'s' * (bucket[row] != 1)}"
        words = note.format(**values, m=M, exposures=times).replace(": -", ": \N{MINUS SIGN}")
        query = {"run": task.hash[:16], **further}
        made.append(Example(name, title, words, "trace", query, LARGEST, maker.words(row), finding))
    return made


def row_of(example: Example) -> int:
    """The row in an example's words."""
    return int(example.prompt.removeprefix("row ").partition(", ")[0].replace(",", ""))


def ladder(maker: Maker, row: int, axis: str) -> LadderTask:
    """The row under every size, or under every step of the size that has several, traced."""
    models = [find_model(name, maker.context.settings) for name in maker.samples.models]
    choice = next(
        c for c in choices(models)
        if c.axis == axis and not any(m.seed for m in c.models) and (axis == "size" or c.models[-1].size == STEPPED)
    )  # fmt: skip
    cards = [ready(model.name, maker.context) for model in choice.models]
    readers = [(card, tokenizer_of(card, maker.context.settings)) for card in cards]
    task = LadderTask(tasks_of(maker.samples.data.ids[row].tolist(), readers, K, M, "float32"), choice.axis)
    maker.shipped.put_request(task.hash, task.request())
    for one in task.tasks:
        maker.shipped.put_request(one.hash, one.request())
        maker.keep(one)
    return task


def compare_examples(maker: Maker) -> list[Example]:
    """One row along sizes, along training steps, and inside the largest model."""
    samples = maker.samples
    scores, stepped = along_sizes(samples), matched(samples, STEPPED)
    by_size = first(samples, SHAPES["only the largest"](scores) & (scores[-2] >= 0.25))
    lost = first(samples, (np.maximum.accumulate(scores) == 1).any(axis=0) & SHAPES["lost again"](scores))
    steps = [name for name in samples.models if name.startswith(f"{STEPPED}@step")]
    halfway = matched(samples, steps[SUITE.stepped.checkpoints.index(1 / 2)])
    by_step = first(samples, (stepped == M) & (halfway < 16))
    sizes, at_steps = ladder(maker, by_size, "size"), ladder(maker, by_step, "step")
    for one in sizes.tasks:
        maker.keep(lens_of(one))

    def along(task: LadderTask, row: int) -> str:
        return ", ".join(f"{matched(samples, one.model)[row] / M:.2f}" for one in task.tasks)

    again = ladder(maker, lost, "size")
    return [
        Example(
            "sizes", "Only the largest recites it",
            f"One row under every size, M from the smallest to the largest: {along(sizes, by_size)}.", "compare",
            {"run": sizes.hash[:16]}, N_SIZES, maker.words(by_size), 1,
        ),
        Example(
            "lost", "Recited, and lost again",
            f"A smaller size recites this row, a larger one does not. M by size: {along(again, lost)}.", "compare",
            {"run": again.hash[:16]}, N_SIZES, maker.words(lost), 0,
        ),
        Example(
            "steps", "When a row was learned",
            f"One row along the training of {STEPPED}, M at each step: {along(at_steps, by_step)}.",
            "compare", {"run": at_steps.hash[:16]}, f"{len(at_steps.tasks)} steps", maker.words(by_step), 0,
        ),
        Example(
            "layers", "The layer where it is decided",
            "Every layer read as if it were the last: from where on the true token stays the likeliest.", "layers",
            {"run": sizes.hash[:16]}, N_SIZES, maker.words(by_size), 2,
        ),
    ]  # fmt: skip


def causes_examples(maker: Maker, row: int) -> list[Example]:
    """What the recitation of a row hangs on under the largest model; the page's other views ship too."""
    samples, context = maker.samples, maker.context
    card, trace = ready(LARGEST, context), maker.task(LARGEST, row)
    own = tokenizer_of(card, context.settings)
    counts = seen_counts(card, own, context.settings, samples)
    fields = {"occlusion": {"n_drawn": 4, "seed": 0}, "heads": {"seed": 0}, "contributions": {}}
    fields["noise_recovery"] = {"sigma": 3.0, "n_draws": 2, "seed": 0}
    tasks = {view: cause_of(trace, view, card, own, counts, **numbers) for view, numbers in fields.items()}
    for task in tasks.values():
        maker.shipped.put_request(task.hash, task.request())
        maker.keep(task)
    shown = tasks["occlusion"]
    found = answer(shown, context).result
    note = (
        f"Of {K} context tokens {found.kept.sum()} are enough for it to go on reciting; each other one can be dropped."
    )
    return [
        Example("hangs", "What it hangs on", note, "causes", {"run": shown.hash[:16]}, LARGEST, maker.words(row), 0)
    ]


def heads_examples(maker: Maker, other_than: int) -> list[Example]:
    """Of recited rows that are read easily, the one that the fewest heads alone break; and a held-out row.

    The strongest head is to be among those that break it.
    """
    samples, context = maker.samples, maker.context
    card = ready(LARGEST, context)
    own = tokenizer_of(card, context.settings)
    hits, bucket = matched(samples, LARGEST), samples.data.bucket

    def asked(row: int) -> HeadsTask:
        task = cause_of(maker.task(LARGEST, row), HeadsTask.kind, card, own, seed=0)
        assert isinstance(task, HeadsTask)
        return task

    def breaking(found: Heads) -> int:
        """Heads whose silence alone takes half of the leading matches."""
        return int((2 * found.prefix_drop("zero") >= prefix(found.whole_match)).sum())

    def rank(row: int) -> tuple[bool, int, float]:
        found = answer(asked(row), context).result
        drop, lost = found.drop("zero"), found.prefix_drop("zero")
        return bool(2 * lost[drop.argmax()] < prefix(found.whole_match)), breaking(found), -float(drop.max())

    def easily(rows: np.ndarray) -> list[int]:
        return readable(samples, rows[~is_template(samples, rows)])

    recited = easily(np.flatnonzero((bucket > 0) & (hits == M)))
    few = min([row for row in recited if row != other_than][:N_HEADED], key=rank)
    made = []
    for name, row, title, note in (
        (
            "heads", few, "A few heads carry it",
            "Heads that take at least half of its {n_matches} leading matches when one is silenced: {n} of {h}. The "
            "strongest costs {most:.2f} nats a token.",
        ),
        (
            "noheads", easily(np.flatnonzero((bucket == 0) & (hits == 0)))[0], "Heads cost, nothing is recited",
            "A held-out row, with no leading match to lose: the strongest of {h} heads costs {most:.2f} nats a token "
            "all the same. What a head costs is not yet what it recites.",
        ),
    ):  # fmt: skip
        task = asked(row)
        maker.shipped.put_request(task.hash, task.request())
        maker.keep(task)
        found = answer(task, context).result
        said = note.format(
            n=breaking(found), h=len(found.layer), n_matches=prefix(found.whole_match), most=found.drop("zero").max()
        )
        made.append(Example(name, title, said, "causes", {"run": task.hash[:16]}, LARGEST, maker.words(row), 0))
    return made


def space_examples(maker: Maker) -> list[Example]:
    """Maps and dynamics of the shipped sweep."""
    sweep = read_sweep(SHIPPED)
    known = choices_of(sweep.read("rows", [n for n in sweep.manifest["tables"]["rows"]["columns"] if n != "ids"]))
    trained = Filters(parts=tuple(part for part in known.parts if part != "held-out"))
    scope = Scope(str(sweep.folder), K, M, filters=trained)
    rows = Scope(str(sweep.folder), K, M, filters=trained, n_rows=MAP_POINTS // 8)
    for model in sweep.task.models:
        maker.keep(MapTask(model, scope))  # what the Map page opens on
    for model in (SMALLEST, LARGEST):
        maker.keep(MapTask(model, rows))
    maker.keep(MapTask(LARGEST, rows, reducer="umap"))
    maker.keep(SimilarityTask((LARGEST, SMALLEST), scope))
    for model in sweep.task.models:
        maker.keep(DynamicsTask(model, scope))
    for name in (size.name for size in SUITE.sizes if size.checkpoints):
        for before in earlier(sweep, name, first_steps(maker.samples.data)):
            with suppress(InputError):  # the later a checkpoint, the fewer memorized rows it had not read
                maker.keep(PairedTask((name, before), replace(scope, free_running=False)))
    which = f"{MAP_POINTS // 8} of the trained rows, 8 steps"
    return [
        Example(
            "map", "Two sizes, one frame",
            "Hidden states of the same rows under the largest and the smallest model, moved onto each other. The "
            "picture illustrates; silhouettes, CKA and their nulls below it decide.", "map",
            {"points": "2,000", "beside": SMALLEST}, f"{LARGEST}, {SMALLEST}", which, 2,
        ),
        Example(
            "umap", "A UMAP, honestly", "The same states laid out by UMAP, with how far to trust it printed below.",
            "map", {"points": "2,000", "reducer": "UMAP"}, LARGEST, which, 2,
        ),
        Example(
            "dynamics", "Apart while they decode",
            "Similarity within and between memorized and unmemorized sequences, step by step, for every size.",
            "dynamics", {}, N_SIZES, "the sweep that ships with memviz", 2,
        ),
    ]  # fmt: skip


def population_examples() -> list[Example]:
    """Pages that draw the shipped sweep itself."""
    whole = "the sweep that ships with memviz"
    return [
        Example(
            "population", "More parameters, more memory",
            "Mean score, levels, context and continuation size, exposures and domains, with intervals and the "
            "held-out floor.", "population", {}, N_SIZES, whole, 1,
        ),
        Example(
            "transitions", "Who changes level",
            "How sequences move between score levels from one size to the next; click a cell to read them.",
            "transitions", {}, N_SIZES, whole, 1,
        ),
        Example(
            "boundary", "The boundary, with its nulls",
            "Entropy and n-gram frequency around the first token of the continuation, beside what selection alone "
            "would show.", "boundary", {}, N_SIZES, whole, 3,
        ),
        Example(
            "predictor", "Can it be foretold?",
            "Accuracy of the shipped predictors beside every baseline, their calibration and curves.", "predictor",
            {}, N_SIZES, "test rows of the shipped sweep", 4,
        ),
    ]  # fmt: skip


def ship_precision(maker: Maker) -> None:
    """What the Precision page opens on: its two sweeps, without the folder they were computed in."""
    shutil.rmtree(PRECISION, ignore_errors=True)
    task = PrecisionTask((LARGEST,), USUAL_ROWS)
    for asked, sweep in zip(task.sweeps, answer(task, maker.context).result, strict=True):
        out = PRECISION / asked.hash
        out.mkdir(parents=True)
        for table in sweep.manifest["tables"].values():
            shutil.copy(sweep.folder / table["file"], out)
        command = sweep.manifest["command"].replace(str(sweep.folder), out.name)
        write_manifest(out, sweep.manifest | {"command": command})


LOOKS = {
    "trace": '[class*="st-key-linked-"]',
    "compare": '[class*="st-key-ladder-"]',
    "map": '[class*="st-key-map-"]',
}
"""Page -> what its examples are about; of the others it is the first figure."""


def pinned(example: Example) -> Example:
    """The same example with a link that means the shipped sweep, model and predictors, whatever else is here."""
    query, page = dict(example.query), example.page
    if page in ("population", "transitions", "boundary", "dynamics", "map"):
        query["sweep"] = "suite"
    if page == "map":
        query = {"of": LARGEST, "beside": "none", "reducer": "PCA"} | query
    if page == "trace":
        query["fits"] = "shipped"
    if page == "predictor":
        known = [each for each in known_predictors(load_settings(cache=WORK)) if each.shipped and each.model == LARGEST]
        query["predictor"] = min(known, key=lambda each: (each.setting != "published", each.id)).id[:12]
    return replace(example, query=query, look=LOOKS.get(page, "[data-testid=stPlotlyChart]"))


def main() -> None:
    quiet_libraries()
    settings = load_settings(cache=WORK, offline=True, dtype="float32")
    context, samples = Context(settings, Store(WORK / "results", 10**10)), Samples()
    for name in samples.models:
        ship_card(ready(name, context))
    shutil.rmtree(GALLERY / "store", ignore_errors=True)
    shipped = Store(GALLERY / "store", 10**9)
    maker = Maker(context, shipped, samples)
    traced = trace_examples(maker)
    made = [*traced, *compare_examples(maker), *causes_examples(maker, row_of(traced[0]))]
    made += heads_examples(maker, row_of(traced[0]))
    made += [*space_examples(maker), *population_examples()]
    made = [pinned(each) for each in made]
    ship_precision(maker)
    shipped.close()
    (GALLERY / "gallery.json").write_text(json.dumps([asdict(each) for each in made], indent=1) + "\n", "utf-8")
    examples.cache_clear()
    draw_all()
    n_bytes = sum(path.stat().st_size for path in GALLERY.rglob("*") if path.is_file())
    print(f"{len(made)} examples, {n_bytes / 1e6:.2f} MB in {GALLERY.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
