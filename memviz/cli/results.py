"""`memviz store`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from memviz.cli.shared import check_out, context_for, known_tasks, store
from memviz.errors import InputError
from memviz.settings import load_settings
from memviz.store import Store
from memviz.tasks.base import key_of, task_from
from memviz.tasks.carrying import bring, carry

app = typer.Typer(help="Look after the results on disk.")


@app.command("stats")
def stats() -> None:
    """What the store holds."""
    found = store(load_settings()).stats()
    typer.echo(
        f"{found.n_results} results, {found.n_bytes / 1e6:.1f} of {found.limit / 1e6:.0f} MB, {found.n_pinned} pinned"
    )
    typer.echo(f"{found.n_requests} requests, {found.n_quarantined} damaged files set aside")


@app.command("list")
def requests(limit: Annotated[int, typer.Option(help="So many.")] = 20) -> None:
    """The newest requests: hash, when, what; the hash names it to `pin` and in links."""
    for each in store(load_settings()).requests(limit):
        asked = each.request
        about = asked.get("model") or ", ".join(asked.get("models", ()))
        typer.echo(f"{each.key[:16]}  {_when(each.created)}  {asked.get('task', '?')}  {about}".rstrip())


@app.command("pin")
def pin(
    request: Annotated[str, typer.Argument(help="Hash of a request, as in a link, or the key of a result.")],
) -> None:
    """Keep a result from being removed when the store is full."""
    kept, key = _key(request)
    kept.pin(key)
    typer.echo(f"pinned {key[:16]}")


@app.command("unpin")
def unpin(request: Annotated[str, typer.Argument(help="As for `pin`, or a key of `pins`.")]) -> None:
    """Let a result go when it is the least recently used."""
    kept, key = _key(request)
    kept.unpin(key)
    typer.echo(f"unpinned {key[:16]}")


@app.command("pins")
def pins() -> None:
    """What is pinned: key, size, when, what."""
    for each in store(load_settings()).pins():
        task, made = each.about.get("request", {}).get("task", "?"), each.about.get("provenance", {})
        typer.echo(
            f"{each.key[:16]}  {each.n_bytes / 1e6:.1f} MB  {_when(each.created)}  {task}  {made.get('model', '')}"
        )


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(" ", "minutes")[:16]


def _key(name: str) -> tuple[Store, str]:
    """Store and key of a result: a pinned one, one stored under the name, or what a request asks. Raises InputError."""
    context = context_for(load_settings())
    kept = context.store
    pinned = [each.key for each in kept.pins() if len(name) >= 8 and each.key.startswith(name)]
    if len(pinned) == 1 or (len(name) == 64 and kept.has(name)):
        return kept, pinned[0] if pinned else name
    request = kept.get_request(name)
    if request is None:
        raise InputError(f"no request and no pinned result is called {name[:64]!r}: see `memviz store list`")
    known_tasks()
    key = key_of(task_from(request), context)
    if key is None:
        raise InputError(f"a model that {name[:16]} asks is not ready: run it again first")
    return kept, key


@app.command("export")
def export(
    runs: Annotated[list[str], typer.Argument(help="Hashes as in links (?run=), or their first 8 characters or more.")],
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path("memviz-results.zip"),
) -> None:
    """Write linked results into one file, to `import` on another machine that has the same models."""
    check_out(out)
    known_tasks()
    n = carry(runs, context_for(load_settings()), out)
    typer.echo(f"{n} results in {out}, {out.stat().st_size / 1e6:.1f} MB")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="What `memviz store export` wrote, of somebody you trust.")],
) -> None:
    """Put the results of a file into the store: links to them then open here."""
    known_tasks()
    names, n = bring(file, store(load_settings()))
    typer.echo(f"{n} results; links: {' '.join(name[:16] for name in names)}")


@app.command("verify")
def verify() -> None:
    """Read every result again; damaged ones are set aside and computed anew when asked for; it ends with 1 then."""
    findings = store(load_settings()).verify()
    for finding in findings:
        typer.echo(f"{finding.name}: {finding.problem}")
    typer.echo(f"{len(findings)} problems found")
    if findings:
        raise typer.Exit(1)


@app.command("clear")
def clear(everything: Annotated[bool, typer.Option(help="Pinned results and requests too.")] = False) -> None:
    """Remove the results."""
    n_results, n_bytes = store(load_settings()).clear(everything)
    typer.echo(f"removed {n_results} results, {n_bytes / 1e6:.1f} MB")
