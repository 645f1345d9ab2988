"""`memviz data`: data sets of the hub under names that sweeps know."""

from __future__ import annotations

from typing import Annotated

import typer

from memviz.cli.shared import confirm, say
from memviz.rows.kept import ROWS, data_sets, folder_of, remove_data_set
from memviz.settings import load_settings

app = typer.Typer(help="Data sets of the hub, to be swept by name.", no_args_is_help=True)


@app.command()
def add(
    source: Annotated[str, typer.Argument(help="owner/name on the hub, or a folder of Parquet, JSON, CSV or text.")],
    config: Annotated[str | None, typer.Option(help="Configuration of the data set.")] = None,
    split: Annotated[str | None, typer.Option(help="Of it [the only one, or train].")] = None,
    rows: Annotated[int | None, typer.Option(help="So many from the start [all].")] = None,
    columns: Annotated[str | None, typer.Option(help="To keep, with commas [all of text and numbers].")] = None,
    revision: Annotated[str, typer.Option(help="Branch, tag or commit.")] = "main",
    name: Annotated[str | None, typer.Option(help="What to call it [its name, configuration and split].")] = None,
) -> None:
    """Fetch rows into one Parquet file; `memviz sweep --data NAME` and the Sweeps page know it then."""
    from memviz.rows.hub import Asked, add_data_set

    wanted = tuple(part.strip() for part in (columns or "").split(",") if part.strip())
    settings = load_settings()
    about = add_data_set(Asked(source, config, split, rows, wanted, revision), settings, name, say)
    n_bytes = (folder_of(about.name, settings) / ROWS).stat().st_size
    typer.echo(f"{about.said}; {about.n_rows:,} rows, {n_bytes / 1e6:.1f} MB, columns {', '.join(about.columns)}")
    typer.echo(f"sweep it with --data {about.name}")


@app.command("list")
def list_() -> None:
    """List the data sets that were added."""
    settings = load_settings()
    found = data_sets(settings)
    lines = [("name", "rows", "MB", "source", "split", "revision", "columns")]
    for name, about in found.items():
        size = (folder_of(name, settings) / ROWS).stat().st_size / 1e6
        split = f"{about.config}/{about.split}" if about.config else about.split
        revision = (about.revision or "-")[:12]
        lines.append(
            (name, f"{about.n_rows:,}", f"{size:.1f}", about.source, split, revision, ", ".join(about.columns))
        )
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines if found else []:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    if not found:
        typer.echo("none yet: `memviz data add owner/name` brings one")


@app.command()
def remove(
    name: Annotated[str, typer.Argument(help="A name of `memviz data list`.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove a data set from this machine; sweeps of it stay."""
    settings = load_settings()
    if folder_of(name, settings).is_dir():
        confirm(f"data set {name!r}", yes)
    remove_data_set(name, settings)
    typer.echo(f"removed {name}")
