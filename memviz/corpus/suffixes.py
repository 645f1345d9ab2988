"""The arrays of one shard, computed from its tokens; pydivsufsort sorts the suffixes, numpy does the rest."""

from __future__ import annotations

import numpy as np

from memviz.errors import Failure, InputError

BLOCK = 64
"""Suffixes between two running totals of new rows."""
COUNTED_ORDERS = 5
"""n-gram lengths for which rows are counted without looking at each occurrence."""
NEVER = 255


def ragged(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """(sum of lengths,) int64: starts[0], starts[0] + 1, …, then starts[1], …"""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(np.asarray(starts, np.int64) - ends + lengths, lengths)


def id_type(vocab_size: int) -> type[np.uint16] | type[np.uint32]:
    """The narrowest type for ids 0 to `vocab_size` - 1 and the sentinel, which is `vocab_size`."""
    return np.uint16 if vocab_size <= np.iinfo(np.uint16).max else np.uint32


def id_bytes(vocab_size: int) -> int:
    """Bytes of one id in the text that is sorted."""
    return (vocab_size.bit_length() + 7) // 8


def memory_to_build(n_tokens: int, vocab_size: int) -> int:
    """Bytes that sorting and numbering `n_tokens` needs at its peak, sentinels counted as tokens."""
    return n_tokens * (24 + 7 * id_bytes(vocab_size))


def with_sentinels(tokens: np.ndarray, n_tokens: np.ndarray, vocab_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Tokens with a sentinel after each segment (t + s,), and where each segment starts (s + 1,) int64."""
    lengths = np.asarray(n_tokens, np.int64)
    starts = np.concatenate([[0], np.cumsum(lengths + 1)])
    text = np.full(starts[-1], vocab_size, id_type(vocab_size))
    text[ragged(starts[:-1], lengths)] = tokens
    return text, starts


def sorted_suffixes(text: np.ndarray, vocab_size: int) -> np.ndarray:
    """(t,) int32 suffix array of ids. Raises Failure, and InputError for a text too long."""
    try:
        from pydivsufsort import divsufsort
    except ImportError:
        raise Failure(
            "no n-gram index can be built here: pydivsufsort has no wheel for this system; "
            "build the index on Linux, macOS or Windows (x86_64 or arm64) and copy its folder"
        ) from None
    width = id_bytes(vocab_size)
    if len(text) * width > np.iinfo(np.int32).max:
        raise InputError(
            f"a shard has {len(text):,} tokens, at most {np.iinfo(np.int32).max // width:,} are sorted at once: "
            "make more shards, or cut the longest document"
        )
    big = text.astype(text.dtype.newbyteorder(">")).view(np.uint8).reshape(len(text), -1)
    of_bytes = divsufsort(np.ascontiguousarray(big[:, -width:]).reshape(-1))  # big-endian bytes sort as ids do
    return of_bytes if width == 1 else of_bytes[of_bytes % width == 0] // np.int32(width)


def prefix_keys(text: np.ndarray, suffixes: np.ndarray) -> np.ndarray:
    """(t,) int64 rising: for each suffix in order, its first id * t + the rank of the suffix one token later.

    Thus the suffixes that start with id a and go on like suffixes lo to hi - 1 are those with keys from a * t + lo to
    a * t + hi - 1: one binary search makes an n-gram one token longer to the left (Sadakane 2003, the array psi).
    """
    n = len(text)
    ranks = np.empty(n, np.int32)
    ranks[suffixes] = np.arange(n, dtype=np.int32)
    following = np.append(ranks[1:], np.int32(0))
    keys = text[suffixes].astype(np.int64)
    keys *= n
    keys += following[suffixes]
    return keys


def running_totals(new_from: np.ndarray) -> np.ndarray:
    """(t // BLOCK + 1, COUNTED_ORDERS) int32: suffixes before each block that show their row's n-gram first, by n."""
    n_blocks = len(new_from) // BLOCK
    totals = np.zeros((n_blocks + 1, COUNTED_ORDERS), np.int32)
    blocks = new_from[: n_blocks * BLOCK].reshape(n_blocks, BLOCK)
    for n in range(1, COUNTED_ORDERS + 1):
        np.cumsum(np.count_nonzero(blocks <= n, axis=1), out=totals[1:, n - 1])
    return totals
