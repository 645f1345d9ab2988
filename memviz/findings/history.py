"""Outcomes of earlier editions of docs/findings.md, so that what changed is put down to the method or to the suite."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

from memviz.errors import InputError
from memviz.findings.claims import Verdict
from memviz.findings.evidence.material import Material
from memviz.store.keys import request_hash

METHODS = {
    1: "a null of hits pooled over positions, rows drawn from all alike",
    2: "a null that knows positions, rows drawn within strata, `context-steep` with the study's sign",
    3: "every training seed that was swept, in claims that compare sizes",
    4: "training seeds known from the suite's scores too, and the same rows under weights that had not read them",
}
"""What each does otherwise than the one before; a new one where outcomes may change though weights and rows do not."""
METHOD = max(METHODS)


@dataclass(frozen=True)
class Edition:
    """What came out of one method on one suite."""

    method: int
    suite: str
    """Hash of the weights of seed 0, of the names of all training seeds swept if there are more, and of the rows."""
    outcomes: Mapping[str, str]
    """Claim -> outcome."""


def edition_of(verdicts: Sequence[Verdict], material: Material) -> Edition:
    """What comes out now."""
    sweep = material.sweeps[0]
    about = {"weights": [material.about[name]["weights"] for name in material.models]}
    about |= {"rows": sweep.manifest["rows"]["sha256"]}
    swept = {each["name"] for every in material.sweeps for each in every.manifest["models"]}
    seeds = [name for name in material.seeds if name in swept]
    if len(seeds) > len(material.models):
        about["seeds"] = seeds
    return Edition(METHOD, request_hash(about)[:12], {each.claim.id: each.outcome.value for each in verdicts})


def read_history(path: Path) -> list[Edition]:
    """The editions of a file, the oldest first; none where there is no file. Raises InputError."""
    if not path.is_file():
        return []
    try:
        return [Edition(**each) for each in json.loads(path.read_text("utf-8"))]
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path} cannot be read as outcomes of earlier findings ({error})") from None


def continued(history: Sequence[Edition], now: Edition) -> list[Edition]:
    """The history with the present edition last, in place of one of the same method and suite."""
    return [*(each for each in history if (each.method, each.suite) != (now.method, now.suite)), now]


def as_json(history: Sequence[Edition]) -> str:
    return json.dumps([asdict(each) for each in history], indent=1) + "\n"


def steps(history: Sequence[Edition]) -> list[tuple[str, dict[str, tuple[str, str]]]]:
    """For each edition but the first: what it changed, and claim -> (outcome before, after) where they differ."""
    found = []
    for before, after in pairwise(history):
        causes = [
            name
            for name, changed in (("method", before.method != after.method), ("suite", before.suite != after.suite))
            if changed
        ]
        method = f"method {after.method}: {METHODS.get(after.method, 'unknown')}"
        said = f"the {' and the '.join(causes)} ({method}; suite `{after.suite}`)"
        both = [name for name in after.outcomes if name in before.outcomes]
        differing = {name: (before.outcomes[name], after.outcomes[name]) for name in both}
        found.append((said, {name: each for name, each in differing.items() if each[0] != each[1]}))
    return found
