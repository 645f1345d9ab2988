"""Index build in tokens a second and the times of its queries, on a synthetic stream like the bundled suite's.

15,000 rows of 128 ids from a source of Zipf-like bigrams over 4,096 ids, each exposed 1 to 64 times at random places
of sequences of 256, so that half of the exposures are cut in two.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from memviz.corpus import Corpus, StreamShard, build

VOCABULARY, LENGTH, SEQUENCE = 4096, 128, 256
EXPOSURES = (1, 4, 8, 12, 16, 24, 32, 48, 64)
TARGETS = {"counts": 10.0, "spans": 50.0}
"""Milliseconds for 64 positions x 5 orders, and for the longest spans of 96 tokens."""


def rows_of_bigrams(generator: np.random.Generator, n_rows: int) -> np.ndarray:
    """(n_rows, LENGTH) ids: every second token is one of eight likely successors of the last, the others are Zipf's."""
    shares = 1 / np.arange(1, VOCABULARY + 1) ** 1.05
    cumulative = np.cumsum(shares / shares.sum())
    successor = generator.permutation(VOCABULARY)
    rows = np.empty((n_rows, LENGTH), np.uint16)
    last = np.zeros(n_rows, np.int64)
    for t in range(LENGTH):
        drawn = np.minimum(np.searchsorted(cumulative, generator.random(n_rows)), VOCABULARY - 1)
        follow = (successor[last] + drawn % 8) % VOCABULARY
        last = np.where((generator.random(n_rows) < 0.5) & (t > 0), follow, drawn)
        rows[:, t] = last
    return rows


def stream(generator: np.random.Generator, rows: np.ndarray, n_tokens: int) -> StreamShard:
    """About n_tokens of exposures in random order, a separator before each, cut where a sequence ends."""
    n_rows = len(rows)
    times = np.where(np.arange(n_rows) % 2 == 0, 1, np.array(EXPOSURES)[np.arange(n_rows) // 2 % len(EXPOSURES)])
    order = generator.permutation(np.repeat(np.arange(n_rows), times))[: n_tokens // LENGTH]
    starts = np.arange(len(order)) * (LENGTH + 1) + 1
    first = np.minimum(LENGTH, SEQUENCE - starts % SEQUENCE)
    cut = first < LENGTH
    place = np.repeat(np.arange(len(order)), 1 + cut)
    second = np.append(False, place[1:] == place[:-1])
    return StreamShard(
        tokens=rows[order].reshape(-1),
        row=order[place],
        n_tokens=np.where(second, LENGTH - first[place], first[place]),
        row_offset=np.where(second, first[place], 0),
        row_length=np.full(len(place), LENGTH),
        step=(starts[place] + np.where(second, first[place], 0)) // (SEQUENCE * 16),
    )


def split(whole: StreamShard, n_shards: int) -> list[StreamShard]:
    """Shards that end with a step, at even distances."""
    ends = np.searchsorted(whole.step, np.linspace(0, whole.last_step + 1, n_shards + 1)[1:])
    begins, places = np.append(0, ends[:-1]), np.append(0, np.cumsum(whole.n_tokens))
    names = ("row", "n_tokens", "row_offset", "row_length", "step")
    return [
        StreamShard(whole.tokens[places[a] : places[b]], **{name: getattr(whole, name)[a:b] for name in names})
        for a, b in zip(begins, ends, strict=True)
    ]


def milliseconds(call: Callable[[np.ndarray], object], texts: np.ndarray) -> tuple[float, float]:
    """Median and largest over the texts."""
    times = []
    for text in texts:
        start = time.perf_counter()
        call(text)
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times), max(times)


def scan(tokens: np.ndarray, text: np.ndarray) -> np.ndarray:
    """(5, t) counts by comparing the whole stream, borders ignored: what the same numbers cost without an index."""
    counts = np.full((5, len(text)), -1)
    for n in range(1, 6):
        for end in range(n - 1, len(text)):
            same = tokens[: len(tokens) - n + 1] == text[end - n + 1]
            for k in range(1, n):
                same &= tokens[k : len(tokens) - n + 1 + k] == text[end - n + 1 + k]
            counts[n - 1, end] = np.count_nonzero(same)
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=9_000_000)
    parser.add_argument("--rows", type=int, default=15_000)
    parser.add_argument("--shards", type=int, nargs="*", default=[1, 10, 30])
    parser.add_argument("--texts", type=int, default=40)
    args = parser.parse_args()
    generator = np.random.default_rng(0)
    rows = rows_of_bigrams(generator, args.rows)
    whole = stream(generator, rows, args.tokens)
    n = len(whole.tokens)
    print(f"{n:,} tokens in {len(whole.row):,} segments of {args.rows:,} rows; load {os.getloadavg()[0]:.1f}")
    ordinary = rows[generator.choice(args.rows, args.texts // 2), :96]
    foreign = rows_of_bigrams(generator, args.texts - len(ordinary))[:, :96]
    texts = np.concatenate([ordinary, foreign])

    start = time.perf_counter()
    scan(whole.tokens, texts[0, :3])
    scan_milliseconds = (time.perf_counter() - start) * 1e3 / 3 * 64
    print(f"64 positions x 5 orders by scanning the stream with numpy: about {scan_milliseconds:.0f} ms")

    for n_shards in args.shards:
        with tempfile.TemporaryDirectory() as folder:
            measure(Path(folder), whole, n_shards, args.rows, texts)


def measure(folder: Path, whole: StreamShard, n_shards: int, n_rows: int, texts: np.ndarray) -> None:
    """Build an index in so many shards and ask it everything."""
    n = len(whole.tokens)
    start = time.perf_counter()
    build(folder, "bench", "", VOCABULARY, split(whole, n_shards), pa.table({"row": np.arange(n_rows)}))
    seconds = time.perf_counter() - start
    n_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(
        f"\n{n_shards} shards: built in {seconds:.1f} s, {n / seconds / 1e6:.2f}M tokens/s, "
        f"{n_bytes / n:.1f} bytes a token, peak of the process so far {peak / 1e9:.2f} GB"
    )
    start = time.perf_counter()
    corpus = Corpus.open(folder)
    print(f"opened in {(time.perf_counter() - start) * 1e3:.1f} ms")
    middle = whole.last_step // 2 + 1
    own = {ids.tobytes(): corpus.own_rows(ids) for ids in texts[:, :64]}
    questions: list[tuple[str, Callable[[np.ndarray], object], int, str]] = [
        ("counts, stream", lambda ids: corpus.counts(ids, kind="stream"), 64, "counts"),
        ("counts, rows", lambda ids: corpus.counts(ids, kind="rows"), 64, "counts"),
        ("counts, other", corpus.counts, 64, "counts"),
        ("counts, other, own rows given", lambda ids: corpus.counts(ids, own_rows=own[ids.tobytes()]), 64, "counts"),
        ("counts, rows, until a step", lambda ids: corpus.counts(ids, kind="rows", until_step=middle), 64, "counts"),
        ("own rows", corpus.own_rows, 96, ""),
        ("longest suffix, other", corpus.longest_suffix, 96, ""),
        ("spans", corpus.spans, 96, "spans"),
        ("occurrences of a 5-gram", lambda ids: corpus.occurrences(ids[:5]), 96, ""),
    ]
    print("| query | median ms | worst ms | target ms |\n|---|---|---|---|")
    for label, call, length, target in questions:
        call(texts[0, :length])
        median, worst = milliseconds(call, texts[:, :length])
        print(f"| {label} | {median:.2f} | {worst:.2f} | {TARGETS.get(target, '')} |")


if __name__ == "__main__":
    main()
