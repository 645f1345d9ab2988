"""`memviz rows` and `memviz sweeps`: what is kept under a name, listed, renamed, deleted."""

from __future__ import annotations

from typing import Annotated

import typer

from memviz.cli.shared import confirm
from memviz.settings import load_settings
from memviz.sweeps.kept import delete_sweep, find_kept, kept_sweeps, rename_sweep
from memviz.sweeps.rowset import row_sets
from memviz.sweeps.saved import delete_row_set, rename_row_set

rows = typer.Typer(help="Row sets that were saved under a name.")
sweeps = typer.Typer(help="Finished sweeps that the cache keeps.")
Yes = Annotated[bool, typer.Option(help="Do not ask.")]
SweepName = Annotated[str, typer.Argument(help="Its name, or the first 8 characters of its hash or more.")]


@rows.command("list")
def list_rows() -> None:
    """Name, when it was saved, and a note."""
    for each in row_sets(load_settings()):
        typer.echo("  ".join(part for part in (each["name"], each["created"][:16], each["note"]) if part))


@rows.command("rename")
def rename_rows(name: str, new: str) -> None:
    """Call a row set otherwise."""
    rename_row_set(name, new, load_settings())
    typer.echo(f"{name} is now {new}")


@rows.command("delete")
def delete_rows(name: str, yes: Yes = False) -> None:
    """Forget a row set; the rows themselves stay where they are."""
    confirm(f"row set {name!r}", yes)
    delete_row_set(name, load_settings())
    typer.echo(f"deleted {name}")


@sweeps.command("list")
def list_sweeps() -> None:
    """Hash, name, models, rows and when it was made."""
    for sweep in kept_sweeps(load_settings())[::-1]:
        about = sweep.manifest
        parts = (
            sweep.folder.name[:16],
            sweep.name,
            ", ".join(sweep.task.models),
            f"{about['rows']['n']:,} rows",
            about["provenance"]["created"][:16],
        )
        typer.echo("  ".join(part for part in parts if part))


@sweeps.command("rename")
def rename(sweep: SweepName, new: str) -> None:
    """Call a sweep so; an empty name takes its name away."""
    settings = load_settings()
    rename_sweep(find_kept(sweep, settings), new, settings)
    typer.echo(f"{sweep} is now {new}" if new.strip() else f"{sweep} has no name now")


@sweeps.command("delete")
def delete(sweep: SweepName, yes: Yes = False) -> None:
    """Delete a sweep's tables; its batches stay in the store until they are the least recently used."""
    settings = load_settings()
    found = find_kept(sweep, settings)
    confirm(f"sweep {found.name or found.folder.name[:16]}", yes)
    n_bytes = delete_sweep(found, settings)
    typer.echo(f"deleted {sweep}, {n_bytes / 1e6:.1f} MB")
