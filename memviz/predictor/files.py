"""A predictor's files: `predictor.json` says what it is and is written last, `predictor.safetensors` holds weights."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from memviz.errors import InputError
from memviz.predictor.presets import SETTINGS

ABOUT, WEIGHTS = "predictor.json", "predictor.safetensors"
FORMAT = 1


def read_about(folder: Path) -> dict[str, Any]:
    """What the JSON of a predictor says. Raises InputError where there is none that can be read."""
    path = folder / ABOUT
    try:
        about = json.loads(path.read_text("utf-8"))
        if about["format"] != FORMAT:
            raise ValueError(f"format {about['format']!r:.60}, this memviz reads {FORMAT}")
        _check(about)
        return about
    except FileNotFoundError:
        raise InputError(f"{folder} holds no fitted predictor: run `memviz predictor fit`") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path} cannot be read ({error}): fit the predictor again") from None


def _check(about: dict[str, Any]) -> None:
    """Raise ValueError, KeyError or TypeError where something that weights are read by lacks or is of another type."""
    if about["setting"] not in SETTINGS or not 0 < about["temperature"] < math.inf:
        raise ValueError(f"setting {about['setting']!r:.60}, temperature {about['temperature']!r:.60}")
    features = about["features"]
    sizes = (about["k"], about["m"], features["hidden"] or 0, *about["preset"].values())
    if not all(isinstance(size, (int, float)) and 0 <= size < 2**31 for size in sizes) or not features["statistics"]:
        raise ValueError("a size is no number")
    if type(about["k"]) is not int or type(about["m"]) is not int:
        raise ValueError(f"k is {about['k']}, m {about['m']}")
