"""A predictor's files: `predictor.json` says what it is and is written last, `predictor.safetensors` holds weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, Field

from memviz import disk
from memviz.errors import InputError
from memviz.predictor.presets import PresetName, Setting

ABOUT, WEIGHTS = "predictor.json", "predictor.safetensors"
FORMAT = 1
Size = Annotated[int, Field(ge=0, lt=2**31)]


class _Part(BaseModel):
    model_config = disk.Manifest.model_config


class Features(_Part):
    hidden: Size | None
    """Width of a hidden state, 0 or null without."""
    statistics: Annotated[tuple[str, ...], Field(min_length=1)]


class Readable(disk.Manifest):
    """What weights are read by."""

    FORMAT: ClassVar[int] = FORMAT
    setting: Setting
    k: Size
    m: Size
    preset: dict[str, Annotated[float, Field(ge=0, lt=2**31)] | bool]
    features: Features
    temperature: Annotated[float, Field(gt=0)]


class Asked(_Part):
    """Of the request, what pages rely on."""

    preset: PresetName
    transfer: bool
    ngrams: bool


class Counts(_Part):
    train: int
    validation: int
    test: int


class Data(_Part):
    rows: Counts


class About(Readable):
    """All that pages rely on; further keys (epochs, metrics, versions) are shown where they are there."""

    id: str
    model: str
    weights: str
    created: str
    request: Asked
    data: Data


def read_about(folder: Path, kind: type[Readable] = Readable) -> dict[str, Any]:
    """What the JSON of a predictor says. Raises InputError where there is none that can be read."""
    path = folder / ABOUT
    try:
        content = path.read_bytes()
        disk.parse_manifest(kind, content)
        return json.loads(content)
    except FileNotFoundError:
        raise InputError(f"{folder} holds no fitted predictor: run `memviz predictor fit`") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read ({error}): fit the predictor again") from None
