"""`memviz membership`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from memviz import disk
from memviz.cli.shared import check_out
from memviz.cli.sweep import numbers_of, words_of
from memviz.errors import InputError


def membership(
    sweep: Annotated[Path, typer.Option(help="Folder of a finished sweep.")],
    m: Annotated[int, typer.Option(help="Continuation tokens that are scored.")] = 32,
    k: Annotated[int, typer.Option(help="Context tokens before them.")] = 32,
    label: Annotated[str | None, typer.Option(help="A label of the rows that tells members [exposures].")] = None,
    members: Annotated[
        str | None, typer.Option(help="Values of it that members have, separated by commas [every exposure].")
    ] = None,
    domain: Annotated[list[str] | None, typer.Option(help="Only these domains. Repeatable.")] = None,
    buckets: Annotated[str | None, typer.Option(help="Only these planned exposures, like 0,1,16.")] = None,
    out: Annotated[Path | None, typer.Option(help="Also write the table as .csv or .parquet.")] = None,
) -> None:
    """How well perplexity, zlib, Min-K % and Min-K %++ tell training rows: AUROC, true positives at 1 % false ones."""
    from memviz.population.filters import Filters
    from memviz.population.membership import EXPOSURES, SCORES, judged, membership_points
    from memviz.rows.cells import safe_csv
    from memviz.sweeps import read_sweep

    if out is not None:
        check_out(out)
        if out.suffix not in (".csv", ".parquet"):
            raise InputError(f"--out {out}: name a file that ends in .csv or .parquet")
    if label and not members:
        raise InputError(f"--label {label}: say which of its values members have, with --members")
    found = read_sweep(sweep)
    rows = Filters(domains=tuple(domain or ()), buckets=numbers_of("--buckets", buckets)).apply(found.sequences)
    column = f"label_{label}" if label else EXPOSURES
    table = judged(membership_points(rows, m, k, column, words_of(members)))
    if out is not None:
        if out.suffix == ".csv":
            disk.write_text(out, safe_csv(table))
        else:
            with disk.new_file(out) as new:
                table.to_parquet(new, index=False)
    for line in table.itertuples():
        typer.echo(
            f"{line.model}  {SCORES[str(line.score)]:<11}  {line.members:>4}  "
            f"n = {line.n_members:,} + {line.n_others:,}  "
            f"AUROC {line.auroc:.3f} [{line.auroc_low:.3f}, {line.auroc_high:.3f}]  "
            f"at 1 % false {line.tpr:.1%} [{line.tpr_low:.1%}, {line.tpr_high:.1%}]"
        )
    missing = [name for score, name in SCORES.items() if score not in set(table["score"])]
    if missing:
        typer.echo(f"not kept by this sweep, which is older: {', '.join(missing)}; run its command again")
