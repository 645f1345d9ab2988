"""`memviz store`."""

from __future__ import annotations

from typing import Annotated

import typer

from memviz.cli.shared import store
from memviz.settings import load_settings

app = typer.Typer(help="Look after the results on disk.")


@app.command("stats")
def stats() -> None:
    """What the store holds."""
    found = store(load_settings()).stats()
    typer.echo(
        f"{found.n_results} results, {found.n_bytes / 1e6:.1f} of {found.limit / 1e6:.0f} MB, {found.n_pinned} pinned"
    )
    typer.echo(f"{found.n_requests} requests, {found.n_quarantined} damaged files set aside")


@app.command("verify")
def verify() -> None:
    """Read every result again; damaged ones are set aside and computed anew when asked for."""
    findings = store(load_settings()).verify()
    for finding in findings:
        typer.echo(f"{finding.name}: {finding.problem}")
    typer.echo(f"{len(findings)} problems found")


@app.command("clear")
def clear(everything: Annotated[bool, typer.Option(help="Pinned results and requests too.")] = False) -> None:
    """Remove the results."""
    n_results, n_bytes = store(load_settings()).clear(everything)
    typer.echo(f"removed {n_results} results, {n_bytes / 1e6:.1f} MB")
