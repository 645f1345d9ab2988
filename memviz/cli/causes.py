"""`memviz causes`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from memviz.cli.shared import check_out, context_for, read_text
from memviz.cli.tracing import task_of_ids_file
from memviz.demo.samples import suite_samples
from memviz.disk import write_text
from memviz.errors import InputError
from memviz.records import to_arrays
from memviz.settings import load_settings
from memviz.tasks.base import answer, ready
from memviz.tasks.causes import KINDS, cause_of, seen_counts
from memviz.tasks.trace import DEFAULT_CONTEXT, check_text, task_of_text, tokenizer_of

VIEWS = tuple(KINDS)


def causes(
    view: Annotated[str, typer.Argument(help=f"One of {', '.join(VIEWS)}.")],
    model: Annotated[str, typer.Option(help="A name of `memviz models`, or a hub id owner/name@revision.")],
    out: Annotated[Path, typer.Option(help="JSON file to write.")],
    text_file: Annotated[Path | None, typer.Option(help="UTF-8 text, split by the model's own tokenizer.")] = None,
    ids_file: Annotated[Path | None, typer.Option(help="Token ids, taken verbatim.")] = None,
    context: Annotated[int, typer.Option(help="Context tokens of a text.")] = DEFAULT_CONTEXT,
    continuation: Annotated[int | None, typer.Option(help="Continuation tokens.")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16 or float16.")] = None,
    replacements: Annotated[int, typer.Option(help="occlusion: tokens tried in the place of each.")] = 4,
    sigma: Annotated[float, typer.Option(help="noise_recovery: deviations of the noise.")] = 3.0,
    draws: Annotated[int, typer.Option(help="noise_recovery: draws of noise.")] = 2,
    seed: Annotated[int, typer.Option(help="Of what is drawn at random.")] = 0,
) -> None:
    """Why does a model recite this: one view of one prompt, as arrays in JSON."""
    if view not in VIEWS:
        raise InputError(f"view {view!r} is unknown: use one of {', '.join(VIEWS)}")
    if (text_file is None) == (ids_file is None):
        raise InputError("give either --text-file or --ids-file")
    check_out(out)
    settings = load_settings()
    its = context_for(settings)
    options: dict[str, Any] = {"dtype": dtype or settings.dtype}
    if ids_file is not None:
        whole = task_of_ids_file(read_text(ids_file), str(ids_file), model, continuation, options)
        card = ready(model, its)
        own = tokenizer_of(card, settings)
    else:
        assert text_file is not None
        text = read_text(text_file)
        check_text(text)
        card = ready(model, its)
        own = tokenizer_of(card, settings)
        whole = task_of_text(text, card, own, context, continuation, **options)
    numbers: dict[str, dict[str, Any]] = {
        "occlusion": {"n_drawn": replacements, "seed": seed},
        "heads": {"seed": seed},
        "noise_recovery": {"sigma": sigma, "n_draws": draws, "seed": seed},
        "contributions": {},
    }
    known = suite_samples() if view == "occlusion" else None  # whose counts nothing else needs
    task = cause_of(whole, view, card, own, seen_counts(card, own, settings, known), **numbers[view])
    found = answer(task, its).result
    arrays = {name: values.tolist() for name, values in to_arrays(found).items()}
    document = {"request": task.request(), "result": _plain(arrays)}
    write_text(out.resolve(), json.dumps(document, allow_nan=False) + "\n")


def _plain(value: Any) -> Any:
    """NaN, which JSON has not, as null."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
