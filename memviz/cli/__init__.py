"""The command line: the same tasks as the pages, one line on stderr and exit code 2 for bad input, 1 for failures."""

from __future__ import annotations

import logging
import sys
from typing import Annotated, NoReturn

import typer

from memviz import __version__
from memviz.cli import corpus, data, kept, models, predictor, results
from memviz.cli.causes import causes
from memviz.cli.findings import findings
from memviz.cli.map import project
from memviz.cli.membership import membership
from memviz.cli.precision import precision
from memviz.cli.sweep import sweep
from memviz.cli.tracing import trace
from memviz.errors import Failure, InputError, MemvizError, sentence
from memviz.settings import quiet_libraries

FAILURE, INTERRUPTED = Failure.exit_code, 130
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.command()(trace)
app.command()(causes)
app.command()(sweep)
app.command()(precision)
app.command()(findings)
app.command("map")(project)
app.command()(membership)
app.add_typer(models.app, name="models")
app.add_typer(corpus.app, name="corpus")
app.add_typer(data.app, name="data")
app.add_typer(predictor.app, name="predictor")
app.add_typer(results.app, name="store")
app.add_typer(kept.rows, name="rows")
app.add_typer(kept.sweeps, name="sweeps")


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


def _leave(message: str, code: int) -> NoReturn:
    typer.echo(f"memviz: {' '.join(message.split())}", err=True)
    sys.exit(code)


def main() -> None:
    """Run the command line; every error ends as one line on stderr."""
    try:
        code = app(sys.argv[1:] or ["--help"], standalone_mode=False)
    except typer.TyperException as error:
        _leave(error.format_message(), InputError.exit_code)
    except Exception as error:
        code = error.exit_code if isinstance(error, MemvizError) else FAILURE
        logging.getLogger(__name__).info("failed", exc_info=not isinstance(error, MemvizError))
        _leave(sentence(error) or str(error) or type(error).__name__, code)
    if code == INTERRUPTED:  # what typer makes of Ctrl-C
        _leave("interrupted; no file was left half-written", INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)
