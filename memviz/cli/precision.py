"""`memviz precision`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from memviz import disk
from memviz.cli.shared import check_out, context_for
from memviz.cli.sweep import numbers_of, row_set_of, words_of
from memviz.rows.cells import safe_csv
from memviz.settings import load_settings
from memviz.sweeps.rowset import SUITE
from memviz.sweeps.task import AT


def precision(
    models: Annotated[str, typer.Option(help="Names of `memviz models`, separated by commas.")],
    data: Annotated[
        str, typer.Option(help="suite, a file, a saved row set, or a name of `memviz data`, as of `memviz sweep`.")
    ] = SUITE,
    sample: Annotated[int | None, typer.Option(help="So many of the rows, drawn at random.")] = None,
    seed: Annotated[int, typer.Option(help="Of the sample.")] = 0,
    domain: Annotated[list[str] | None, typer.Option(help="Of the bundled corpus. Repeatable.")] = None,
    buckets: Annotated[str | None, typer.Option(help="Planned exposures, like 0,1,16.")] = None,
    parts: Annotated[str | None, typer.Option(help="held-out, planted, background.")] = None,
    half: Annotated[str, typer.Option(help="bfloat16 or float16.")] = "bfloat16",
    context: Annotated[int, typer.Option(help="k.")] = AT,
    continuation: Annotated[int, typer.Option(help="m.")] = AT,
    out: Annotated[Path | None, typer.Option(help="The table as CSV.")] = None,
) -> None:
    """Say what a half precision does to the score M: rows whose M is another one than in float32, by level."""
    from memviz.population.precision import PrecisionTask, precision_table
    from memviz.tasks.base import answer

    if out:
        check_out(out)
    settings = load_settings()
    filters = {
        "domains": tuple(domain or ()),
        "buckets": numbers_of("--buckets", buckets),
        "parts": words_of(parts),
        "sample": sample,
        "seed": seed,
    }
    task = PrecisionTask(words_of(models), row_set_of(data, filters, settings), half, context, continuation)
    sweeps = answer(task, context_for(settings)).result
    table = precision_table(task, sweeps)
    device = sweeps[1].manifest["provenance"]["device"]
    if out:
        disk.write_text(out, safe_csv(table))
    typer.echo(f"{half} on {device} beside float32, k = {context}, m = {continuation}; 95 % over groups of rows")
    width = max(len("model"), *(len(name) for name in task.models))
    typer.echo(f"{'model':{width}}  {'level in float32':16}  {'rows':>7}  {'M is another one':24}  mean change of M")
    for line in table.itertuples():
        share = f"{line.moved:.1%} [{line.moved_low:.1%}, {line.moved_high:.1%}]"
        change = f"{line.change:+.4f} [{line.change_low:+.4f}, {line.change_high:+.4f}]"
        typer.echo(f"{line.model:{width}}  {line.level:16}  {line.n:>7,}  {share:24}  {change}")
