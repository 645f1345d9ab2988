"""`memviz sweep`."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from memviz.cli.shared import context_for
from memviz.errors import InputError
from memviz.records import VERIFIED
from memviz.rows.kept import rows_of
from memviz.settings import Settings, load_settings
from memviz.sweeps.asks import Share
from memviz.sweeps.batches import BatchFiles
from memviz.sweeps.folder import MALFORMED
from memviz.sweeps.ray.engine import ray_engine
from memviz.sweeps.results import Sweep
from memviz.sweeps.rowset import NEAR_DUPLICATES, SUITE, RowSet, read_row_set
from memviz.sweeps.running import BATCH, run_shard, run_sweep
from memviz.sweeps.running import status as status_of
from memviz.sweeps.task import AT, CONTEXTS, CONTINUATIONS, SLIDING, SweepRequest
from memviz.tasks.base import Context

NONE, LOCAL = "none", "local"


def numbers_of(option: str, value: str | None) -> tuple[int, ...]:
    if not value or value == NONE:
        return ()
    try:
        return tuple(int(part) for part in value.split(","))
    except ValueError:
        raise InputError(f"{option} is {value[:100]!r}: give whole numbers like 8,16,32") from None


def words_of(value: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if value else ()


def _shown(values: tuple[int, ...]) -> str:
    return ",".join(map(str, values))


def sweep(
    models: Annotated[str, typer.Option(help="Names of `memviz models`, separated by commas.")],
    out: Annotated[Path, typer.Option(help="Folder of the tables; a sweep that was left there goes on.")],
    data: Annotated[
        str,
        typer.Option(help="suite, a file (.npy, .bin, .jsonl, .csv, .tsv, .parquet), or a name of `memviz data`."),
    ] = SUITE,
    contexts: Annotated[str, typer.Option(help="k of the context curve, or none.")] = _shown(CONTEXTS),
    context_mode: Annotated[str, typer.Option(help="sliding, anchored, or both with a comma.")] = SLIDING,
    continuations: Annotated[str, typer.Option(help="m of the continuation curve, or none.")] = _shown(CONTINUATIONS),
    context_at: Annotated[int, typer.Option(help="k of the continuation curve.")] = AT,
    continuation_at: Annotated[int, typer.Option(help="m of the context curve.")] = AT,
    domain: Annotated[list[str] | None, typer.Option(help="Of the bundled corpus. Repeatable.")] = None,
    buckets: Annotated[str | None, typer.Option(help="Planned exposures, like 0,1,16.")] = None,
    parts: Annotated[str | None, typer.Option(help="held-out, planted, background.")] = None,
    background: Annotated[int | None, typer.Option(help="So many of the background rows alone.")] = None,
    documents: Annotated[str | None, typer.Option(help="Numbers of documents of the bundled corpus.")] = None,
    rows: Annotated[str | None, typer.Option(help="Row numbers, from 0.")] = None,
    sample: Annotated[int | None, typer.Option(help="So many of the rows that pass, drawn at random.")] = None,
    seed: Annotated[int, typer.Option(help="Of the sample.")] = 0,
    text_column: Annotated[str, typer.Option(help="Of a file.")] = "text",
    ids_column: Annotated[str, typer.Option(help="Token ids of a file, taken instead of text.")] = "ids",
    id_column: Annotated[str | None, typer.Option(help="What a file calls its rows.")] = None,
    labels: Annotated[str | None, typer.Option(help="Further columns of a file to carry along.")] = None,
    labels_file: Annotated[Path | None, typer.Option(help="A .npy of one label a row, beside rows in .npy.")] = None,
    ids_dtype: Annotated[str | None, typer.Option(help="Width of a .bin file's ids [recognised, and said].")] = None,
    separator: Annotated[int | None, typer.Option(help="Id between documents of a .bin or 1-d .npy.")] = None,
    pad_id: Annotated[int | None, typer.Option(help="Id that fills rows of ids up; they are cut there.")] = None,
    window: Annotated[int | None, typer.Option(help="Cut rows into windows of so many tokens, the rows then.")] = None,
    groups: Annotated[
        str, typer.Option(help="near-duplicates, or none: every row stands for itself.")
    ] = NEAR_DUPLICATES,
    positions: Annotated[bool, typer.Option(help="Also write one row a position.")] = False,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16 or float16.")] = None,
    reading: Annotated[str, typer.Option(help="verified, or stepwise: every token by a step of its own.")] = VERIFIED,
    batch: Annotated[int, typer.Option(help="Rows decoded together; another number computes all anew.")] = BATCH,
    batches: Annotated[
        str | None, typer.Option(help="Keep batches in this folder or at this s3://, gs:// or hdfs:// URL.")
    ] = None,
    shard: Annotated[
        str | None, typer.Option(help="Like 2/8: compute this part of the batches, write no tables.")
    ] = None,
    engine: Annotated[str, typer.Option(help="local: this process; ray: workers of a Ray cluster.")] = LOCAL,
    address: Annotated[
        str | None, typer.Option(help="Of the Ray cluster: local, auto or HOST:PORT [MEMVIZ_RAY_ADDRESS, else local].")
    ] = None,
    workers: Annotated[int, typer.Option(help="Ray workers.")] = 2,
    gpus_per_worker: Annotated[float, typer.Option(help="Of a Ray worker.")] = 0,
    status: Annotated[bool, typer.Option(help="Prepare the rows, say how many batches are there, and end.")] = False,
) -> None:
    """Ask many rows of many models, at many sizes of context and continuation, into Parquet tables."""
    settings = load_settings()
    filters: dict[str, Any] = {
        "domains": tuple(domain or ()),
        "buckets": numbers_of("--buckets", buckets),
        "parts": words_of(parts),
        "background": background,
        "documents": numbers_of("--documents", documents),
        "rows": numbers_of("--rows", rows),
        "sample": sample,
        "seed": seed,
        "text_column": text_column,
        "ids_column": ids_column,
        "id_column": id_column,
        "labels": words_of(labels),
        "labels_file": str(labels_file.resolve()) if labels_file else None,
        "ids_dtype": ids_dtype,
        "separator": separator,
        "pad_id": pad_id,
        "window": window,
        "groups": groups,
    }
    task = SweepRequest(
        models=words_of(models),
        rows=row_set_of(data, filters, settings),
        contexts=numbers_of("--contexts", contexts),
        context_modes=words_of(context_mode),
        continuations=numbers_of("--continuations", continuations),
        context_at=context_at,
        continuation_at=continuation_at,
        dtype=dtype or settings.dtype,
        positions=positions,
        reading=reading,
    )
    folder, context = out.resolve(), context_for(settings)
    if batches is not None:
        context.batches = BatchFiles(batches)
    if shard is not None or status:
        typer.echo(_part(task, context, folder, shard, batch, status))
        return
    with _engine(engine, address or settings.ray_address or LOCAL, workers, gpus_per_worker, context) as context:
        found = run_sweep(task, context, folder, batch)
    _say_result(found)


def _engine(
    engine: str, address: str, n_workers: int, n_gpus: float, context: Context
) -> AbstractContextManager[Context]:
    """The context with the engine that was asked for."""
    if engine == LOCAL:
        return nullcontext(context)
    if engine != "ray":
        raise InputError(f"--engine is {engine[:100]!r}: use {LOCAL} or ray")
    return ray_engine(address, n_workers, n_gpus, context)


def _part(task: SweepRequest, context: Context, folder: Path, shard: str | None, batch: int, status: bool) -> str:
    """What came of one shard, or how much is there."""
    share = None if shard is None else _share(shard)
    if status:
        n_there, n = status_of(task, context, folder, batch, share)
        return f"{n_there:,} of {n:,} batches are there"
    assert share is not None
    n_computed, n_there = run_shard(task, context, folder, share, batch)
    return f"shard {shard}: {n_computed:,} batches computed, {n_there:,} from before"


def _share(shard: str) -> Share:
    number, _, n = shard.partition("/")
    if not (number.isdecimal() and n.isdecimal()):
        raise InputError(f"--shard is {shard[:100]!r}: give a part like 2/8")
    return Share(int(number), int(n))


def _say_result(found: Sweep) -> None:
    manifest = found.manifest
    about, made = manifest["rows"], manifest["provenance"]
    typer.echo(
        f"{about['n']:,} rows, {len(manifest['models'])} models: "
        f"{manifest['tables']['sequences']['n_rows']:,} sequences in {found.folder}; "
        f"{made['batches_computed']:,} batches computed, {made['batches_reused']:,} from before"
    )
    for said in about.get("read_as", []):
        typer.echo(f"read as: {said}")
    if about["n_malformed"]:
        typer.echo(
            f"{about['n_malformed']:,} of {about['n_read']:,} rows cannot be used: {found.folder / MALFORMED} says why"
        )
    for each in manifest["skipped"]:
        typer.echo(
            f"skipped: {each['mode']}, k = {each['k']}, m = {each['m']}, for {each['n_rows']:,} rows that are shorter"
        )


def row_set_of(data: str, filters: dict[str, Any], settings: Settings) -> RowSet:
    """The rows meant by --data. Raises InputError."""
    if data == SUITE:
        return RowSet(SUITE, **filters)
    kept = rows_of(data, settings)
    if kept is not None:
        return RowSet(str(kept), **filters)
    path = Path(data)
    if path.is_file() or path.suffix or "/" in data:
        if not path.is_file():
            raise InputError(f"--data {data}: there is no such file")
        return RowSet(str(path.resolve()), **filters)
    given = [name for name, value in filters.items() if value != getattr(RowSet(), name)]
    if given:
        raise InputError(f"the saved row set {data!r} says which rows it has: leave --{given[0].replace('_', '-')} out")
    return read_row_set(data, settings)
