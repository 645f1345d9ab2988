"""The command line: the same tasks as the pages, one line on stderr and exit code 2 for bad input, 1 for failures."""

from __future__ import annotations

import json
import logging
import os
import stat
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from memviz import __version__
from memviz.catalog import (
    BYTES_PER_PARAMETER,
    Card,
    Folder,
    Model,
    ModelError,
    Package,
    count_parameters,
    find_model,
    known_models,
    memory_needed,
    read_card,
    read_json,
    site_files,
    weight_files,
)
from memviz.records import Decoding
from memviz.settings import Settings, SettingsError, load_settings, quiet_libraries
from memviz.store import Store, StoreError
from memviz.tasks import (
    DEFAULT_CONTEXT,
    DEFAULT_CONTINUATION,
    MAX_TEXT_BYTES,
    InputError,
    TraceTask,
    check_text,
    run_trace,
    task_of_text,
    tokenizer_of,
)

BAD_INPUT, FAILURE, INTERRUPTED = 2, 1, 130
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
models_app = typer.Typer(help="List models, or get one ready.")
store_app = typer.Typer(help="Look after the results on disk.")
app.add_typer(models_app, name="models")
app.add_typer(store_app, name="store")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"memviz {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log timings to stderr.")] = False,
) -> None:
    """memviz: a workbench for memorization in large language models."""
    del version
    logging.basicConfig(level=logging.ERROR, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("memviz").setLevel(logging.INFO if verbose else logging.WARNING)
    quiet_libraries()


def _say(stage: str) -> None:
    """Stages are for people who wait: elsewhere stderr holds nothing but an error."""
    if sys.stderr.isatty():
        typer.echo(stage, err=True)


def _store(settings: Settings) -> Store:
    return Store(settings.cache / "results", settings.cache_limit)


@app.command()
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
    all_layers: Annotated[bool, typer.Option(help="Store the hidden states of every layer.")] = False,
) -> None:
    """Trace one prompt: what the model writes after a context, and every number behind it."""
    if (text_file is None) == (ids_file is None):
        raise InputError("give either --text-file or --ids-file")
    _check_out(out)
    sampling = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "seed": seed}
    if not sample and any(value is not None for value in sampling.values()):
        raise InputError("--temperature, --top-k, --top-p and --seed need --sample")
    if sample and temperature is None:
        sampling["temperature"] = 1.0
    settings = load_settings()
    options: dict[str, Any] = {"dtype": dtype or settings.dtype, "all_layers": all_layers}
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
    found = find_model(model, settings)
    if text_file is not None:
        text = _read_text(text_file)
        check_text(text)
        task_of_ids = None
    else:
        assert ids_file is not None
        task_of_ids = _task_of_ids(_read_text(ids_file), str(ids_file), model, continuation, options)

    card = read_card(found, settings) or _prepared(found, settings)
    tokenizer = tokenizer_of(card, settings)
    task = task_of_ids or task_of_text(
        text, card, tokenizer, context or DEFAULT_CONTEXT, continuation, not decode_only, **options
    )
    task.check(card)

    from memviz.engine.backend import Backend
    from memviz.export import document

    _, run, _ = run_trace(task, Backend(settings), _store(settings), say=_say)
    _write(out.resolve(), json.dumps(document(run, tokenizer), allow_nan=False, indent=1) + "\n")


def _prepared(model: Model, settings: Settings) -> Card:
    from memviz.engine.preparing import prepare  # torch takes seconds, and most bad input is found without it

    return prepare(model, settings, _say)


def _task_of_ids(content: str, name: str, model: str, n_steps: int | None, options: dict[str, Any]) -> TraceTask:
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


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as stream:  # read no more than is allowed: a pipe does not say how much it holds
            content = stream.read(MAX_TEXT_BYTES + 1)
        if len(content) > MAX_TEXT_BYTES:
            raise InputError(f"{path} has more than the {MAX_TEXT_BYTES:,} bytes of one prompt: cut it")
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 (byte {error.start}): save it as UTF-8") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None


def _check_out(out: Path) -> None:
    """Raise InputError where no file can come to be, before anything is computed."""
    target = out.resolve()
    if not target.parent.is_dir():
        raise InputError(f"--out {out}: its folder does not exist; make it first")
    try:
        if not stat.S_ISREG(target.stat().st_mode):
            raise InputError(f"--out {out} is no file: name a file")
    except FileNotFoundError:
        pass
    except OSError as error:
        raise InputError(f"--out {out} cannot be used: {error.strerror}") from None
    if not os.access(target.parent, os.W_OK):
        raise InputError(f"--out {out}: its folder cannot be written; name another")


def _write(path: Path, content: str) -> None:
    """Write a file that is there whole or not at all."""
    new = path.with_name(f".memviz-{os.getpid()}.tmp")
    try:
        new.write_text(content, "utf-8")
        new.replace(path)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise StoreError(f"{path} cannot be written: {error.strerror}") from None


@models_app.callback(invoke_without_command=True)
def models(context: typer.Context) -> None:
    """List the models: here or not, size, memory needed by dtype, licence."""
    if context.invoked_subcommand:
        return
    settings = load_settings()
    needs = [f"GB in {dtype}" for dtype in BYTES_PER_PARAMETER]
    rows = [("name", "here", "parameters", "GB on disk", *needs, "licence")]
    for model in known_models(settings):
        n_parameters, n_bytes, here = _presence(model, settings)
        size = f"{n_parameters:,}" if n_parameters else "?"
        on_disk = f"{n_bytes / 1e9:.2f}" if n_bytes else "-"
        needs = [
            f"{memory_needed(n_parameters, dtype) / 1e9:.1f}" if n_parameters else "?" for dtype in BYTES_PER_PARAMETER
        ]
        rows.append((model.name, here, size, on_disk, *needs, model.licence))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    typer.echo(
        "Any hub id owner/name@revision, pythia-SIZE-deduped@stepN, and folders under MEMVIZ_MODEL_ROOTS work too."
    )


def _presence(model: Model, settings: Settings) -> tuple[int | None, int | None, str]:
    """Parameters, bytes of weights on disk, and whether the model can be used now."""
    source = model.source
    card = read_card(model, settings)
    if card:
        return card.n_parameters, _size(weight_files(Path(card.folder))), "yes"
    if isinstance(source, Package):
        files = site_files(source)
        if files is None:
            return model.n_parameters, None, "no"
        return model.n_parameters, _size(files), "no, terms not accepted" if source.terms else "yes, not converted yet"
    if isinstance(source, Folder):
        folder = source.path
    else:
        from huggingface_hub import try_to_load_from_cache

        config = try_to_load_from_cache(source.repo, "config.json", revision=source.revision)
        if not isinstance(config, str):
            return model.n_parameters, None, "no"
        folder = Path(config).parent
    try:
        read_json(folder / "config.json")
        return count_parameters(folder), _size(weight_files(folder)), "yes"
    except ModelError as error:
        return model.n_parameters, None, f"no: {error}"


def _size(files: list[Path]) -> int:
    return sum(file.stat().st_size for file in files)


@models_app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="A name of `memviz models`, or a hub id owner/name@revision.")],
    accept_licence: Annotated[bool, typer.Option(help="You have read the model's terms and accept them.")] = False,
) -> None:
    """Fetch a model and get it ready."""
    settings = load_settings()
    model = find_model(name, settings)

    from memviz.engine.preparing import add_model

    card = add_model(model, settings, accept_licence, _say)
    typer.echo(f"{card.name} is ready: {card.n_parameters:,} parameters, {card.weights}")


@store_app.command("stats")
def stats() -> None:
    """What the store holds."""
    found = _store(load_settings()).stats()
    typer.echo(
        f"{found.n_results} results, {found.n_bytes / 1e6:.1f} of {found.limit / 1e6:.0f} MB, {found.n_pinned} pinned"
    )
    typer.echo(f"{found.n_requests} requests, {found.n_quarantined} damaged files set aside")


@store_app.command("verify")
def verify() -> None:
    """Read every result again; damaged ones are set aside and computed anew when asked for."""
    findings = _store(load_settings()).verify()
    for finding in findings:
        typer.echo(f"{finding.name}: {finding.problem}")
    typer.echo(f"{len(findings)} problems found")


@store_app.command("clear")
def clear(everything: Annotated[bool, typer.Option(help="Pinned results and requests too.")] = False) -> None:
    """Remove the results."""
    n_results, n_bytes = _store(load_settings()).clear(everything)
    typer.echo(f"removed {n_results} results, {n_bytes / 1e6:.1f} MB")


def _leave(message: str, code: int) -> NoReturn:
    typer.echo(f"memviz: {' '.join(message.split())}", err=True)
    sys.exit(code)


def main() -> None:
    """Run the command line; every error ends as one line on stderr."""
    try:
        code = app(sys.argv[1:] or ["--help"], standalone_mode=False)
    except (InputError, ModelError, SettingsError) as error:
        _leave(str(error), BAD_INPUT)
    except typer.TyperException as error:
        _leave(error.format_message(), BAD_INPUT)
    except OSError as error:
        _leave(f"{error.filename or 'output'}: {error.strerror or error}", FAILURE)
    except Exception as error:
        logging.getLogger(__name__).info("failed", exc_info=True)
        _leave(str(error) or type(error).__name__, FAILURE)
    if code == INTERRUPTED:  # what typer makes of Ctrl-C
        _leave("interrupted; no file was written", INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
