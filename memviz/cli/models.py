"""`memviz models`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from memviz.catalog import (
    Adapter,
    Folder,
    Gguf,
    Model,
    Package,
    base_among,
    find_model,
    known_models,
    read_card,
    ready_cards,
    same_weights,
    site_files,
)
from memviz.cli.shared import say
from memviz.errors import InputError
from memviz.settings import Settings, load_settings
from memviz.weights import (
    ADAPTER_WEIGHTS,
    BYTES_PER_PARAMETER,
    count_parameters,
    memory_needed,
    read_json,
    weight_files,
)

app = typer.Typer(help="List models, or get one ready.")


@app.callback(invoke_without_command=True)
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
    for names in same_weights(ready_cards(settings)):
        typer.echo(f"{', '.join(names)}: the same weights, byte for byte.")
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
    if isinstance(source, Gguf):
        return model.n_parameters, source.path.stat().st_size, "yes, not converted yet"
    if isinstance(source, Adapter):
        weights = source.path / ADAPTER_WEIGHTS
        here = "yes" if base_among(source, known_models(settings)) else f"no: its base {source.base or '?'} is not here"
        return model.n_parameters, _size([weights]) if weights.is_file() else None, here
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
    except InputError as error:
        return model.n_parameters, None, f"no: {error}"


def _size(files: list[Path]) -> int:
    return sum(file.stat().st_size for file in files)


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="A name of `memviz models`, or a hub id owner/name@revision.")],
    accept_licence: Annotated[bool, typer.Option(help="You have read the model's terms and accept them.")] = False,
) -> None:
    """Fetch a model and get it ready."""
    settings = load_settings()
    model = find_model(name, settings)

    from memviz.engine.preparing import add_model

    card = add_model(model, settings, accept_licence, say)
    typer.echo(f"{card.name} is ready: {card.n_parameters:,} parameters, {card.weights}")
    for note in card.notes:
        typer.echo(note)


@app.command("families")
def hold_families(
    names: Annotated[list[str] | None, typer.Argument(help="Families by transformers' names; all without any.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the table into this document, between its marks.")] = None,
) -> None:
    """Hold a tiny model of every causal family of transformers against its own generate."""
    from memviz.engine import families

    known = families.families()
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise InputError(f"{unknown[0]!r} is no causal family of transformers: give some of {', '.join(known)}")
    held = []
    for each in families.hold_families(names or known):
        say(f"{each.family}: {each.outcome}" + (f", {each.detail}" if each.detail else ""))
        held.append(each)
    typer.echo(families.table(held))
    if out is not None:
        _write_between_marks(out, families.table(held))
    if any(each.outcome in ("wrong", "failed") for each in held):
        raise typer.Exit(1)


def _write_between_marks(document: Path, table: str) -> None:
    """Put a table between `<!-- families -->` and `<!-- end -->`. Raises InputError where a document lacks them."""
    before, start, rest = document.read_text("utf-8").partition("<!-- families -->\n")
    _, end, after = rest.partition("<!-- end -->")
    if not end:
        raise InputError(f"{document} has no place for the table: put <!-- families --> and <!-- end --> around it")
    document.write_text(f"{before}{start}\n{table}\n\n{end}{after}", "utf-8")
