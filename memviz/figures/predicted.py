"""What a predictor says of a prompt, as a row of cells under the tokens of the linked component."""

from __future__ import annotations

import numpy as np

from memviz.figures.tracks import Track

SETTING_WORDS = {"published": "published", "causal": "causal", "context": "context only"}
"""Setting -> its name in labels."""
METHOD_WORDS = {
    "predictor": "predictor",
    "mix": "predictor and boosting, averaged",
    "majority": "majority class",
    "all_miss": "all miss",
    "position": "position only",
    "domain": "domain only",
    "entropy": "entropy only",
    "context_nll": "context NLL",
    "frequency": "context frequency",
    "logistic": "logistic regression",
    "boosting": "gradient boosting",
    "oracle_rank": "oracle: teacher-forced rank",
}
"""Method of the tables -> its name in figures and sentences."""
BASELINES = tuple(name for name in METHOD_WORDS if name not in ("predictor", "mix", "oracle_rank"))


def predicted_track(setting: str, probability: np.ndarray, match: np.ndarray | None, n_context: int) -> Track:
    """Cells filled by P(memorized) on a scale from 0 to 1, their border the truth: solid a hit, dashed a miss.

    probability: (m,), NaN where the predictor says nothing; match: (m,) bool, None where the truth is not known.
    """
    words, blank = SETTING_WORDS[setting], [None] * n_context
    known = np.isfinite(probability)
    values = [float(p) if ok else None for p, ok in zip(probability, known, strict=True)]
    track: Track = {
        "id": f"predicted-{setting}",
        "label": f"P(memorized), {words}, free-running",
        "unit": "",
        "kind": "cells",
        "scale": "linear",
        "domain": (0.0, 1.0),
        "series": [{"label": "P(memorized)", "values": [*blank, *values], "style": "main"}],
        "texts": [*blank, *(None if p is None else f"P(memorized) {p:.2f}, {words}" for p in values)],
    }
    if match is not None:
        truth = [float(hit) if ok else None for hit, ok in zip(match, known, strict=True)]
        track["series"] = [*track["series"], {"label": "truth", "values": [*blank, *truth], "style": "border"}]
    return track
