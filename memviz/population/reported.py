"""What the study itself reports: Chen, Han and Miyao 2024 (arXiv 2405.11577), Pythia models on the Pile.

The numbers are those of its tables as a published summary gives them, not compared with the paper's own pages. They
belong to other models, another corpus and, for frequencies, another unit: they are shown beside ours, never mixed.
"""

from __future__ import annotations

import pandas as pd

SOURCE = "Chen, Han and Miyao 2024"

DIRECTIONS = {
    ("entropy", "memorized"): "falls",
    ("entropy", "half"): "falls",
    ("entropy", "unmemorized"): "rises",
    ("frequency", "memorized"): "rises",
    ("frequency", "half"): "rises",
    ("frequency", "unmemorized"): "falls",
}
"""(quantity, group) -> what it does where the continuation begins."""

_GROUPS = ("memorized", "half", "unmemorized")
_FREQUENCY = {
    "Pythia 160M": ((1.708, 1.713, 1.744), (1.739, 1.837, 1.628), (0.114, 0.330, -0.939)),
    "Pythia 1B": ((1.713, 1.711, 1.752), (1.736, 1.832, 1.631), (0.103, 0.270, -0.981)),
    "Pythia 6.9B": ((1.721, 1.710, 1.759), (1.736, 1.829, 1.638), (0.090, 0.140, -0.963)),
    "Pythia 12B": ((1.721, 1.720, 1.760), (1.736, 1.846, 1.626), (0.039, 0.237, -1.016)),
}
_MODELS = ("70M", "410M", "1B", "2.8B", "6.9B", "12B")
_PREDICTOR = {
    16: ((78.2, 10.2), (78.6, 10.4), (78.8, 10.6), (80.1, 10.7), (77.4, 8.3), (80.3, 10.9)),
    32: ((78.6, 5.9), (79.6, 6.0), (79.7, 6.1), (80.1, 6.3), (80.5, 6.4), (80.8, 6.4)),
    48: ((79.6, 5.2), (80.3, 5.4), (80.4, 5.6), (80.4, 5.5), (80.8, 5.8), (81.0, 6.0)),
    64: ((80.1, 4.7), (80.8, 4.8), (81.2, 5.2), (81.5, 5.5), (81.8, 5.8), (82.1, 6.0)),
}


def reported_frequencies() -> pd.DataFrame:
    """1-gram counts in billions: columns model, group, context, continuation (means), jump (index k minus k - 1)."""
    lines = [
        (model, group, *(values[i] for values in columns))
        for model, columns in _FREQUENCY.items()
        for i, group in enumerate(_GROUPS)
    ]
    return pd.DataFrame(lines, columns=["model", "group", "context", "continuation", "jump"])


def reported_accuracies() -> pd.DataFrame:
    """Accuracy of the study's predictor, 0 to 1, k = 32: columns model, m, token_accuracy, full_accuracy."""
    lines = [
        (f"Pythia {model}", m, token / 100, full / 100)
        for m, accuracies in _PREDICTOR.items()
        for model, (token, full) in zip(_MODELS, accuracies, strict=True)
    ]
    return pd.DataFrame(lines, columns=["model", "m", "token_accuracy", "full_accuracy"])
