"""`memviz causes`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from memviz.cli.shared import check_out, context_for, read_text, say
from memviz.cli.tracing import task_of_ids_file
from memviz.demo.samples import suite_samples
from memviz.disk import write_text
from memviz.errors import InputError
from memviz.records import to_arrays
from memviz.settings import load_settings
from memviz.sweeps.estimate import reading_words
from memviz.sweeps.kept import SHIPPED
from memviz.sweeps.task import AT
from memviz.tasks.base import Task, answer, ready
from memviz.tasks.causes import KINDS, cause_of, seen_counts
from memviz.tasks.row_heads import RowHeadsTask
from memviz.tasks.trace import DEFAULT_CONTEXT, check_text, task_of_text, tokenizer_of

VIEWS = (*KINDS, RowHeadsTask.kind)


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
    sweep: Annotated[Path, typer.Option(help="row_heads: folder of a finished sweep.")] = SHIPPED,
    rows: Annotated[int, typer.Option(help="row_heads: rows with M = 1, and as many with M = 0.")] = 40,
) -> None:
    """Why does a model recite this: one view of one prompt, or its heads over rows of a sweep, as arrays in JSON."""
    if view not in VIEWS:
        raise InputError(f"view {view!r} is unknown: use one of {', '.join(VIEWS)}")
    if view == RowHeadsTask.kind:
        if text_file or ids_file:
            raise InputError(f"{view} is about rows of a sweep: leave --text-file and --ids-file out")
        _row_heads(model, out, sweep, rows, context, continuation or AT, seed)
        return
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
    if n_rows := task.n_rows(card):
        say(reading_words(n_rows, len(whole.context_ids) + whole.n_steps, card.n_parameters))
    found = answer(task, its).result
    arrays = {name: values.tolist() for name, values in to_arrays(found).items()}
    _write(out, task, arrays)


def _row_heads(model: str, out: Path, sweep: Path, n_rows: int, k: int, m: int, seed: int) -> None:
    """Heads over rows of a sweep: the arrays and overlaps as JSON, what they say on the terminal."""
    from memviz.measures.heads import overlaps
    from memviz.population.heads import heads_table, row_heads_of, told
    from memviz.sweeps import read_sweep

    check_out(out)
    its = context_for(load_settings())
    task = row_heads_of(read_sweep(sweep), model, ready(model, its), n_rows, k, m, seed)
    found = answer(task, its).result
    judged = overlaps(found)
    arrays = {name: values.tolist() for name, values in to_arrays(found).items()}
    _write(out, task, arrays, overlaps=[asdict(each) for each in judged])
    n = int(found.memorized.sum())
    typer.echo(
        f"{model}: {n} rows with M = 1, {len(found.rows) - n} with M = 0; each of {len(found.layer)} heads silent"
    )
    for line in heads_table(found).head(5).itertuples():
        typer.echo(
            f"layer {line.layer}, head {line.head}: among the {found.n_strongest} strongest of "
            f"{line.memorized_among:.0%} and {line.unmemorized_among:.0%} of rows, "
            f"log p falls by {line.memorized_drop:.2f} and {line.unmemorized_drop:.2f} nats a token"
        )
    for each in judged:
        typer.echo(told(each))


def _write(out: Path, task: Task[Any], arrays: dict[str, Any], **more: Any) -> None:
    document = {"request": task.request(), "result": _plain(arrays), **_plain(more)}
    write_text(out.resolve(), json.dumps(document, allow_nan=False) + "\n")


def _plain(value: Any) -> Any:
    """NaN, which JSON has not, as null."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
