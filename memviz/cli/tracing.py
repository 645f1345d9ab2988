"""`memviz trace`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from memviz.catalog import find_model
from memviz.cli.shared import check_out, context_for, read_text
from memviz.disk import write_text
from memviz.errors import InputError
from memviz.records import VERIFIED, Decoding
from memviz.settings import load_settings
from memviz.tasks.base import answer, ready
from memviz.tasks.trace import (
    DEFAULT_CONTEXT,
    DEFAULT_CONTINUATION,
    Leading,
    TraceTask,
    check_text,
    task_of_text,
    tokenizer_of,
)
from memviz.weights import BYTES_PER_PARAMETER


def trace(
    model: Annotated[str, typer.Option(help="A name of `memviz models`, or a hub id owner/name@revision.")],
    out: Annotated[Path, typer.Option(help="JSON file to write.")],
    text_file: Annotated[Path | None, typer.Option(help="UTF-8 text, split by the model's own tokenizer.")] = None,
    ids_file: Annotated[Path | None, typer.Option(help="Token ids, taken verbatim.")] = None,
    context: Annotated[int | None, typer.Option(help=f"Context tokens of a text [{DEFAULT_CONTEXT}].")] = None,
    continuation: Annotated[int | None, typer.Option(help=f"Continuation tokens [{DEFAULT_CONTINUATION}].")] = None,
    decode_only: Annotated[bool, typer.Option(help="The whole text is context; nothing is known to follow.")] = False,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16 or float16.")] = None,
    sample: Annotated[bool, typer.Option(help="Draw tokens instead of taking the likeliest.")] = False,
    temperature: Annotated[float | None, typer.Option(help="Of sampling [1.0].")] = None,
    top_k: Annotated[int | None, typer.Option(help="Draw from so many tokens.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Draw from the smallest set with this probability.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of sampling [0].")] = None,
    bar_eos: Annotated[bool, typer.Option(help="Never generate an end of sequence.")] = False,
    leading: Annotated[
        str, typer.Option(help="Tokens in front of a text: the tokenizer's own (model), or none.")
    ] = "model",
    all_layers: Annotated[bool, typer.Option(help="Store the hidden states of every layer.")] = False,
    reading: Annotated[str, typer.Option(help="verified, or stepwise: every token by a step of its own.")] = VERIFIED,
) -> None:
    """Trace one prompt: what the model writes after a context, and every number behind it."""
    if (text_file is None) == (ids_file is None):
        raise InputError("give either --text-file or --ids-file")
    check_out(out)
    sampling = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "seed": seed}
    if not sample and any(value is not None for value in sampling.values()):
        raise InputError("--temperature, --top-k, --top-p and --seed need --sample")
    if sample and temperature is None:
        sampling["temperature"] = 1.0
    settings = load_settings()
    options: dict[str, Any] = {"dtype": dtype or settings.dtype, "all_layers": all_layers, "reading": reading}
    options["leading"] = leading
    if leading not in get_args(Leading):
        raise InputError(f"--leading is {leading!r}: give one of {', '.join(get_args(Leading))}")
    if options["dtype"] not in BYTES_PER_PARAMETER:
        raise InputError(f"dtype {dtype!r} is unknown: use one of {', '.join(BYTES_PER_PARAMETER)}")
    for name, value in (("context", context), ("continuation", continuation)):
        if value is not None and value < 1:
            raise InputError(f"--{name} is {value}: give at least 1")
    if context is not None and (decode_only or ids_file is not None):
        raise InputError("--context is for a text of which a part is to follow: leave it out")
    if decode_only and ids_file is not None:
        raise InputError("--decode-only is for --text-file: put null for continuation_ids into the ids file")
    try:
        options["decoding"] = Decoding(**sampling, bar_eos=bar_eos)  # type: ignore[arg-type]
    except ValueError as error:
        raise InputError(str(error)) from None
    find_model(model, settings)  # a name that is none is refused before any file is read
    if text_file is not None:
        text = read_text(text_file)
        check_text(text)
        task_of_ids = None
    else:
        assert ids_file is not None
        task_of_ids = task_of_ids_file(read_text(ids_file), str(ids_file), model, continuation, options)

    its = context_for(settings)
    card = ready(model, its)
    tokenizer = tokenizer_of(card, settings)
    task = task_of_ids or task_of_text(
        text, card, tokenizer, context or DEFAULT_CONTEXT, continuation, not decode_only, **options
    )

    from memviz.export import document

    run = answer(task, its).result
    its.store.put_request(task.hash, task.request())  # a link opens it
    write_text(out.resolve(), json.dumps(document(run, tokenizer), allow_nan=False, indent=1) + "\n")


def task_of_ids_file(content: str, name: str, model: str, n_steps: int | None, options: dict[str, Any]) -> TraceTask:
    """The task of an ids file. Raises InputError naming what is wrong in it."""
    try:
        ids = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{name} is not JSON ({error}): expected {{'context_ids': […], 'continuation_ids': […]}}"
        ) from None
    if not isinstance(ids, dict) or "context_ids" not in ids:
        raise InputError(
            f"{name} holds no context_ids: expected {{'context_ids': […], 'continuation_ids': […] or null}}"
        )
    unknown = sorted(set(ids) - {"context_ids", "continuation_ids"})
    if unknown:
        raise InputError(
            f"{name} has {unknown[0][:80]!r}, which memviz does not know: context_ids and continuation_ids it reads"
        )
    for key in ("context_ids", "continuation_ids"):
        values = ids.get(key)
        if values is None and key == "continuation_ids":
            continue
        if not isinstance(values, list):
            raise InputError(f"{key} of {name} is no list: give token ids")
        bad = [value for value in values if type(value) is not int]
        if bad:
            shown = f"a {type(bad[0]).__name__}" if isinstance(bad[0], (list, dict)) else json.dumps(bad[0])[:80]
            raise InputError(f"{key} of {name} holds {shown}: token ids are whole numbers")
    truth = ids.get("continuation_ids")
    if truth == []:
        raise InputError(f"continuation_ids of {name} is empty: give at least 1 id, or null to decode without truth")
    if truth is not None and n_steps not in (None, len(truth)):
        raise InputError(f"--continuation is {n_steps}, but {name} holds {len(truth)} continuation ids: leave it out")
    n_steps = len(truth) if truth is not None else DEFAULT_CONTINUATION if n_steps is None else n_steps
    return TraceTask(model, tuple(ids["context_ids"]), None if truth is None else tuple(truth), n_steps, **options)
