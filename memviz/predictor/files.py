"""A predictor's files: `predictor.json` says what it is and is written last, `predictor.safetensors` holds weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from memviz.catalog import ModelError

ABOUT, WEIGHTS = "predictor.json", "predictor.safetensors"
FORMAT = 1


def read_about(folder: Path) -> dict[str, Any]:
    """What the JSON of a predictor says. Raises ModelError where there is none that can be read."""
    path = folder / ABOUT
    try:
        about = json.loads(path.read_text("utf-8"))
        if about["format"] != FORMAT:
            raise ValueError(f"format {about['format']}, this memviz reads {FORMAT}")
        return about
    except FileNotFoundError:
        raise ModelError(f"{folder} holds no fitted predictor: run `memviz predictor fit`") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} cannot be read ({error}): fit the predictor again") from None
