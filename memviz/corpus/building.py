"""Builds an index on disk, shard by shard; shards that are already there are not built again."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
from filelock import FileLock, Timeout

from memviz import disk
from memviz.corpus.files import (
    FORMAT,
    MANIFEST,
    ROWS,
    Manifest,
    ShardEntry,
    read_shard,
    write_rows,
    write_shard,
)
from memviz.corpus.novelty import Candidates, Seen, new_from
from memviz.corpus.stream import StreamShard
from memviz.corpus.suffixes import (
    id_type,
    memory_to_build,
    prefix_keys,
    running_totals,
    sorted_suffixes,
    with_sentinels,
)
from memviz.errors import InputError

Report = Callable[[int, bool], None]
"""Called after each shard with the tokens done so far and whether the shard was already there; may raise to stop."""


def build(
    out: Path,
    name: str,
    tokenizer_hash: str,
    vocab_size: int,
    shards: Iterable[StreamShard],
    rows: pa.Table | Callable[[], pa.Table],
    report: Report | None = None,
) -> Manifest:
    """Index a stream under `out`, whole or not at all; an index that is there stays usable until the new one is done.

    `rows` is a table of R rows whose index is the row's number (domain, source, bucket …: any columns), or a function
    called once the shards are through. `vocab_size` is above every id. Raises InputError, Failure.
    """
    with disk.refusing(out):
        out.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(out / "build.lock", timeout=0):
            return _build(out, name, tokenizer_hash, vocab_size, shards, rows, report)
    except Timeout:
        raise InputError(f"{out} is being built by another process: wait for it, or name another folder") from None


def _build(
    out: Path,
    name: str,
    tokenizer_hash: str,
    vocab_size: int,
    shards: Iterable[StreamShard],
    rows: pa.Table | Callable[[], pa.Table],
    report: Report | None,
) -> Manifest:
    disk.remove_left_over(out)
    seen, entries, n_tokens, last_step, last_row = Seen(), [], 0, 0, -1
    for shard in shards:
        if not len(shard.row):
            continue
        if int(shard.step[0]) < last_step:
            raise InputError(f"a shard starts at step {int(shard.step[0])} after one that ends at {last_step}")
        entry, reused = _shard(out, shard, seen.add(shard), vocab_size)
        entries.append(entry)
        n_tokens += entry.n_tokens
        last_step, last_row = entry.last_step, max(last_row, int(shard.row.max()))
        if report:
            report(n_tokens, reused)
    table = rows() if callable(rows) else rows
    if not entries:
        raise InputError("the corpus has no tokens: nothing to index")
    if last_row >= table.num_rows:
        raise InputError(f"the stream has row {last_row}, the table of rows has {table.num_rows} rows")
    manifest = Manifest(
        format=FORMAT,
        name=name,
        tokenizer_hash=tokenizer_hash,
        vocab_size=vocab_size,
        dtype=np.dtype(id_type(vocab_size)).name,
        n_tokens=n_tokens,
        n_rows=table.num_rows,
        n_segments=sum(entry.n_segments for entry in entries),
        rows=write_rows(out, table),
        shards=tuple(entries),
    )
    disk.write_text(out / MANIFEST, json.dumps(asdict(manifest), indent=1))
    _remove_others(out, manifest)
    return manifest


def _shard(out: Path, shard: StreamShard, candidates: Candidates, vocab_size: int) -> tuple[ShardEntry, bool]:
    """The entry of a shard's folder, and whether it was there already."""
    if len(shard.tokens) and not 0 <= int(shard.tokens.min()) <= int(shard.tokens.max()) < vocab_size:
        raise InputError(
            f"the corpus has ids {int(shard.tokens.min())} to {int(shard.tokens.max())}, the vocabulary 0 to "
            f"{vocab_size - 1}: was it split by another tokenizer?"
        )
    tokens = shard.tokens.astype(id_type(vocab_size), copy=False)
    table = {name: np.asarray(getattr(shard, name), np.int64) for name in ("row", "row_offset", "row_length", "step")}
    digest = hashlib.sha256(f"{FORMAT} {vocab_size} {len(tokens)} {len(shard.row)}".encode() + candidates.digest())
    for array in (tokens, np.asarray(shard.n_tokens, np.int64), *table.values()):
        digest.update(np.ascontiguousarray(array).data)
    steps = int(shard.step[0]), shard.last_step
    entry = ShardEntry(digest.hexdigest()[:32], len(tokens), len(shard.row), *steps)
    try:
        if read_shard(out, entry.key)[0] == entry:
            return entry, True
    except InputError:
        shutil.rmtree(out / entry.key, ignore_errors=True)
    needed, free = memory_to_build(len(tokens) + len(shard.row), vocab_size), psutil.virtual_memory().available
    if needed > free:
        raise InputError(
            f"a shard of {len(tokens):,} tokens needs about {needed / 1e9:.1f} GB to be indexed; "
            f"{free / 1e9:.1f} GB are free: make smaller shards, or cut the longest document"
        )
    write_shard(out, entry, _arrays(tokens, shard, table, candidates, vocab_size))
    return entry, False


def _arrays(
    tokens: np.ndarray, shard: StreamShard, table: dict[str, np.ndarray], candidates: Candidates, vocab_size: int
) -> dict[str, np.ndarray]:
    text, starts = with_sentinels(tokens, shard.n_tokens, vocab_size)
    suffixes = sorted_suffixes(text, vocab_size)
    keys = prefix_keys(text, suffixes)
    n_real = len(tokens)  # the sentinel is the largest id, so its suffixes are the last
    suffixes, keys = suffixes[:n_real], keys[:n_real]
    new = new_from(candidates, starts)[suffixes]
    return {
        "tokens": text,
        "suffixes": suffixes,
        "keys": keys,
        "new_from": new,
        "totals": running_totals(new),
        "starts": starts,
        **table,
        "by_row": np.argsort(table["row"], kind="stable"),
    }


def _remove_others(out: Path, manifest: Manifest) -> None:
    """Shards and tables that no manifest names any more; a reader that has them open keeps them."""
    kept = {entry.key for entry in manifest.shards} | {ROWS.format(manifest.rows)}
    for path in out.iterdir():
        if path.name not in kept and path.is_dir() and (path / "shard.json").is_file():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name not in kept and path.match(ROWS.format("*")):
            path.unlink(missing_ok=True)
