"""Statistics of the claims about the same rows under weights that had not read them; wording: docs/claims.toml."""

from __future__ import annotations

from functools import partial

import pandas as pd

from memviz.demo.suite import read_data
from memviz.errors import InputError
from memviz.findings.evidence.geometry import PLANTED, Spaces
from memviz.findings.evidence.material import SEED, Found, K, M, Material, Statistic
from memviz.maps.paired import PairedTask
from memviz.maps.scope import Scope
from memviz.population.counterfactual import earlier, first_steps, paired_differences, paired_points
from memviz.population.curves import ABOUT
from memviz.population.filters import is_true
from memviz.population.intervals import Estimate, percentiles
from memviz.sweeps.results import Sweep
from memviz.sweeps.rowset import SUITE
from memviz.sweeps.task import SLIDING
from memviz.tasks.base import answer

FEWEST = 100
"""Rows of a group, at least, that a checkpoint had not read, for it to be taken."""
GROUPS = ("memorized", "unmemorized")
_COLUMNS = ("model", "row", "group", "mode", "k", *ABOUT, "entropy_before", "entropy_at")


def pair_of(found: Material, groups: tuple[str, ...]) -> tuple[str, str, pd.DataFrame]:
    """The later weights, the checkpoint, and their paired points: of the largest size that has checkpoints.

    The latest checkpoint that had not read `FEWEST` rows of each group; the earliest where none is such. Raises
    InputError where there is no checkpoint.
    """
    sweep = found.sweeps[0]
    if sweep.task.rows.source != SUITE:
        raise InputError("which rows weights had read is known of the bundled suite alone")
    first = found.once(("first",), lambda: first_steps(read_data()))
    for model in reversed(found.models):
        then = found.once(("earlier", model), partial(earlier, sweep, model, first))
        for before in then:
            points = paired_points(sweep, _sequences(sweep, (model, before)), model, before, first, M, K)
            hits = points.loc[points["kind"] == "read", "n_hits"]
            n = {"memorized": int((hits == M).sum()), "unmemorized": int((hits == 0).sum())}
            if before == then[-1] or min(n[group] for group in groups) >= FEWEST:
                return model, before, points
    raise InputError("no final weights here have a checkpoint of the same training run beside them: sweep it too")


def _sequences(sweep: Sweep, models: tuple[str, str]) -> pd.DataFrame:
    """Of bucketed rows under two models, from the sweeps that hold them."""
    names, asked = [*_COLUMNS, f"n_matches_{M}"], [("mode", "==", SLIDING), ("k", "==", K)]
    parts = [sweep.holding(model).read("sequences", names, [("model", "==", model), *asked]) for model in models]
    found = pd.concat(parts, ignore_index=True)
    return found[is_true(found["background"].eq(False))]


def _beyond(group: str, quantity: str, kind: str = "") -> Statistic:
    """The paired difference on rows of a kind, by default the group's, less that on rows neither had read."""

    def found_of(found: Material) -> Found:
        points = pair_of(found, (group,))[2]
        table = paired_differences(points, found.n_resamples, SEED)
        line = table[(table["kind"] == (kind or group)) & (table["quantity"] == quantity)]
        if line.empty:
            raise InputError("no row of the group was read in between")
        one = line.iloc[0]
        value, low, high = (float(one[f"beyond{end}"]) for end in ("", "_low", "_high"))
        return Estimate(value, low, high, int(one["n"]), int(one["n_units"])), None

    return found_of


def _apart(spaces: Spaces) -> Statistic:
    def found_of(found: Material) -> Found:
        model, before, _ = pair_of(found, GROUPS)
        spaces.context.say(f"reading hidden states of {model} and {before}")
        scope = Scope(str(found.sweeps[0].folder), K, M, filters=PLANTED, free_running=False)
        states = answer(PairedTask((model, before), scope), spaces.context).result
        drawn = states.apart[:, 0] - states.apart[:, 1]
        low, high = percentiles(drawn[1:])
        n = min(int(states.memorized.sum()), int((~states.memorized).sum()))
        return Estimate(float(drawn[0]), float(low), float(high), n, min(n, int(states.n_units))), None

    return found_of


STATISTICS: dict[str, Statistic] = {
    "score-paired": _beyond("memorized", "score", "read"),
    "entropy-memorized-paired": _beyond("memorized", "jump"),
    "entropy-unmemorized-paired": _beyond("unmemorized", "jump"),
}
"""Statistic of each such claim that needs no states, by its id."""


def statistics_of(spaces: Spaces) -> dict[str, Statistic]:
    """Statistic of each such claim, by its id."""
    return STATISTICS | {"groups-apart-paired": _apart(spaces)}
