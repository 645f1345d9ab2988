"""`memviz map`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from memviz import disk
from memviz.cli.shared import check_out, context_for, say
from memviz.cli.sweep import numbers_of, words_of
from memviz.settings import load_settings

_ENDS = (".parquet", ".json")


def project(
    sweep: Annotated[Path, typer.Option(help="Folder of a finished sweep.")],
    model: Annotated[str, typer.Option(help="One of its models.")],
    out: Annotated[Path, typer.Option(help="FILE: coordinates go to FILE.parquet, quality to FILE.json.")],
    layer: Annotated[
        int | None, typer.Option(help="0 the embedding, up to the last; -1 the last before the final norm [the last].")
    ] = None,
    step: Annotated[
        str | None, typer.Option(help="Decoding steps like 0,15,31, all in one frame; -1 the last context token [8].")
    ] = None,
    reducer: Annotated[str, typer.Option(help="pca or umap.")] = "umap",
    seed: Annotated[int, typer.Option(help="Of UMAP.")] = 0,
    neighbours: Annotated[int, typer.Option(help="Of UMAP, the point itself counted.")] = 15,
    k: Annotated[int, typer.Option(help="Context tokens.")] = 32,
    m: Annotated[int, typer.Option(help="Continuation tokens; they decide the score.")] = 32,
    mode: Annotated[str, typer.Option(help="sliding or anchored.")] = "sliding",
    sample: Annotated[int | None, typer.Option(help="Rows, drawn at random [as many as 10,000 points hold].")] = None,
    sample_seed: Annotated[int, typer.Option(help="Of the sample.")] = 0,
    domain: Annotated[list[str] | None, typer.Option(help="Only these domains. Repeatable.")] = None,
    buckets: Annotated[str | None, typer.Option(help="Only these planned exposures, like 0,1,16.")] = None,
    parts: Annotated[str | None, typer.Option(help="Only of held-out, planted, background.")] = None,
    teacher_forced: Annotated[bool, typer.Option(help="States of the true tokens, not of the generated ones.")] = False,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16 or float16.")] = None,
) -> None:
    """Lay a model's hidden states out in the plane: coordinates as Parquet, quality figures as JSON."""
    from memviz.maps import NO_GROUPS, MapTask, Scope, figures_of, table_of
    from memviz.population.filters import Filters
    from memviz.tasks.base import answer

    table_file, figures_file = (out.with_name(f"{out.name.removesuffix('.parquet')}{end}") for end in _ENDS)
    for path in (table_file, figures_file):
        check_out(path)
    settings = load_settings()
    filters = Filters(domains=tuple(domain or ()), buckets=numbers_of("--buckets", buckets), parts=words_of(parts))
    scope = Scope(
        str(sweep.resolve()),
        k,
        m,
        mode,
        filters,
        sample,
        sample_seed,
        free_running=not teacher_forced,
        dtype=dtype or settings.dtype,
    )
    task = MapTask(model, scope, layer, numbers_of("--step", step), reducer, seed, neighbours)
    found_sweep, context = scope.sweep(), context_for(settings)
    key, found, _ = answer(task, context)
    stored = context.store.get(key)
    table, said = table_of(found, found_sweep), figures_of(task, found, found_sweep, stored[1] if stored else {})
    if not found.silhouettes.known:
        say(NO_GROUPS)
    with disk.new_file(table_file) as new:
        table.to_parquet(new, index=False)
    disk.write_text(figures_file, json.dumps(said, indent=1, allow_nan=False) + "\n")
    typer.echo(
        f"{len(table):,} points of {found.n_rows:,} rows at {len(found.steps)} steps ({int(found.n_passing):,} rows "
        f"pass): trustworthiness {float(found.quality.trustworthiness):.3f}, neighbours kept "
        f"{float(found.quality.neighbour_overlap):.3f} (by chance {float(found.quality.overlap_by_chance):.3f}); "
        f"{table_file} and {figures_file}"
    )
