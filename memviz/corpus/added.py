"""Infini-gram indexes that were added as corpora: a small file in the cache that says where, and whose ids they are."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from memviz import disk
from memviz.corpus.files import Manifest, damaged
from memviz.corpus.infinigram import InfiniShard, shard_numbers
from memviz.errors import InputError

ADDED = "infini-gram.json"


class Added(disk.Manifest):
    """What is known of an index that was added."""

    FORMAT: ClassVar[int] = 1
    name: str
    folder: str
    tokenizer_hash: str
    vocab_size: int
    dtype: Literal["uint8", "uint16", "uint32"]


def add(place: Path, index: Path, name: str, tokenizer_hash: str, vocab_size: int, dtype: str) -> Manifest:
    """Make an index a corpus, kept in the folder `place`. Raises InputError where it is none, or its ids do not fit."""
    if vocab_size > 256 ** {"uint8": 1, "uint16": 2, "uint32": 4}.get(dtype, 0) - 1:
        raise InputError(
            f"ids of {dtype} cannot be those of a tokenizer of {vocab_size:,}: name its width with --dtype"
        )
    about = {"format": Added.FORMAT, "name": name, "folder": str(index.resolve()), "tokenizer_hash": tokenizer_hash}
    added = Added.model_validate(about | {"vocab_size": vocab_size, "dtype": dtype})
    manifest, shards = opened(added)
    for shard in shards:
        shard.check_ids(vocab_size)
    disk.write_text(place / ADDED, added.model_dump_json(indent=1))
    return manifest


def read(folder: Path) -> Added | None:
    """What is known of a corpus that was added; None where it was not. Raises InputError where that is damaged."""
    try:
        return disk.read_manifest(Added, folder / ADDED)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise damaged(folder / ADDED, error) from None


def opened(added: Added) -> tuple[Manifest, list[InfiniShard]]:
    """The manifest that an index of our own would have, and its shards. Raises InputError."""
    shards: list[InfiniShard] = []
    first_row = 0
    for number in shard_numbers(Path(added.folder)):
        shard = InfiniShard(Path(added.folder), number, added.dtype, added.vocab_size, first_row)
        shards.append(shard)
        first_row += shard.entry.n_segments
    n_tokens = sum(shard.entry.n_tokens for shard in shards)
    manifest = Manifest(
        format=Manifest.FORMAT, name=added.name, tokenizer_hash=added.tokenizer_hash, vocab_size=added.vocab_size,
        dtype=added.dtype, n_tokens=n_tokens, n_rows=first_row, n_segments=first_row, rows="0" * 16,
        shards=tuple(shard.entry for shard in shards),
    )  # fmt: skip
    return manifest, shards
