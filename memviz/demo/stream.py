"""Texts to rows, rows to exposure buckets, exposures to the one training stream that every size reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from memviz.demo.recipe import ROW, SEPARATOR, SEQUENCE, WINDOW, Recipe

TEXTS = Path(__file__).parent / "texts.parquet"


@dataclass(frozen=True)
class TrainingData:
    """Rows of tokens, how often each is in the stream, and the order of all exposures."""

    ids: np.ndarray
    """(n_rows, 128) uint16 token ids."""
    bucket: np.ndarray
    """(n_rows,) int16: planned exposures, 0 for held-out rows."""
    background: np.ndarray
    """(n_rows,) bool: rows of the single-exposure background, not of a bucket."""
    document: np.ndarray
    """(n_rows,) int32: index into `documents`."""
    documents: pd.DataFrame
    """One line a document: domain, title, licence, source."""
    order: np.ndarray
    """(n_exposures,) int32: row of each exposure, in stream order."""
    batch: int
    """Sequences a training step."""

    @cached_property
    def domain(self) -> np.ndarray:
        """(n_rows,) domain names."""
        return self.documents["domain"].to_numpy()[self.document]

    @cached_property
    def sequences(self) -> np.ndarray:
        """(n_sequences, 256) uint16: separator and row by row, cut where a sequence ends; the last one filled up."""
        stream = np.zeros((len(self.order), ROW + 1), np.uint16)
        stream[:, 1:] = self.ids[self.order]
        flat = stream.reshape(-1)
        return np.concatenate([flat, np.zeros(-len(flat) % SEQUENCE, np.uint16)]).reshape(-1, SEQUENCE)

    @property
    def n_steps(self) -> int:
        """Training steps of one pass over the stream."""
        return -(-len(self.sequences) // self.batch)

    def exposures(self) -> pd.DataFrame:
        """One line an exposure, in stream order: row, sequence, offset of its first token, left row (-1: none), step.

        A row cut by the sequence's end goes on at the start of the next sequence.
        """
        sequence, offset = np.divmod(np.arange(len(self.order), dtype=np.int64) * (ROW + 1) + 1, SEQUENCE)
        left = np.concatenate([[-1], self.order[:-1]])
        step = sequence // self.batch
        columns = {"row": self.order, "sequence": sequence, "offset": offset, "left_row": left, "step": step}
        return pd.DataFrame({name: values.astype(np.int32) for name, values in columns.items()})

    def segments(self) -> pd.DataFrame:
        """One line a piece of a row that stands whole in one sequence: row, row_offset, n_tokens, step."""
        table = self.exposures()
        n_first = np.minimum(ROW, SEQUENCE - table["offset"])
        first = pd.DataFrame({"row": table["row"], "row_offset": 0, "n_tokens": n_first, "sequence": table["sequence"]})
        rest = first.assign(row_offset=n_first, n_tokens=ROW - n_first, sequence=table["sequence"] + 1)
        both = pd.concat([first, rest[rest["n_tokens"] > 0]]).sort_index(kind="stable")
        return both.assign(step=both.pop("sequence") // self.batch).reset_index(drop=True).astype(np.int32)


def train_tokenizer(texts: Sequence[str], n_vocabulary: int) -> Tokenizer:
    """A byte-level BPE tokenizer of `n_vocabulary` entries; entry 0 is the separator."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=n_vocabulary, special_tokens=[SEPARATOR], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def passages(text: str, size: int) -> list[str]:
    """A text in pieces of at least `size` characters, each cut at the end of a line; joined they are the text."""
    pieces, start = [], 0
    while start < len(text):
        end = text.find("\n", start + size)
        stop = len(text) if end < 0 else end + 1
        pieces.append(text[start:stop])
        start = stop
    return pieces


def unlike_rows(ids: np.ndarray, window: int = WINDOW) -> np.ndarray:
    """(n,) bool: rows to keep so that no two share a run of `window` tokens; of two, the first stays.

    ids (n, length). Windows are compared as bytes, so no two different ones are taken for the same.
    """
    seen: set[bytes] = set()
    keep = np.zeros(len(ids), bool)
    for index, row in enumerate(ids):
        windows = {row[start : start + window].tobytes() for start in range(len(row) - window + 1)}
        if seen.isdisjoint(windows):
            keep[index] = True
            seen |= windows
    return keep


def assign(
    domain: np.ndarray, may_be_held_out: np.ndarray, buckets: dict[int, int], rng: np.random.Generator
) -> np.ndarray:
    """(n,) bucket of each row, -1 for the background: random, in each domain its share of every bucket.

    Held-out rows come from those the tokenizer has not read, themselves a random choice.
    Raises ValueError where the rows do not suffice.
    """
    bucket = np.full(len(domain), -1, np.int16)
    names, counts = np.unique(domain, return_counts=True)
    for exposures, n_rows in sorted(buckets.items()):
        exact = n_rows * counts / counts.sum()
        shares = np.floor(exact).astype(int)
        shares[np.argsort(shares - exact, kind="stable")[: n_rows - shares.sum()]] += 1
        for name, share in zip(names, shares, strict=True):
            free = np.flatnonzero((domain == name) & (bucket < 0) & (may_be_held_out | (exposures > 0)))
            if len(free) < share:
                raise ValueError(f"bucket {exposures} needs {share} rows of {name}, {len(free)} are free; plan fewer.")
            bucket[rng.choice(free, share, replace=False)] = exposures
    return bucket


def make(recipe: Recipe, texts: Path = TEXTS) -> tuple[TrainingData, Tokenizer]:
    """The suite's corpus and tokenizer, decided by the texts, the recipe and its assignment seed."""
    documents = pq.read_table(texts).to_pandas()
    rng = np.random.default_rng(recipe.assignment_seed)
    pieces = [(n, piece) for n, text in enumerate(documents["text"]) for piece in passages(text, recipe.passage)]
    kept_back = rng.random(len(pieces)) < recipe.kept_from_tokenizer
    read = [text for (_, text), back in zip(pieces, kept_back, strict=True) if not back]
    tokenizer = train_tokenizer(read, recipe.n_vocabulary)
    ids, document, may_be_held_out = [], [], []
    for (n, _), back, encoding in zip(pieces, kept_back, tokenizer.encode_batch([t for _, t in pieces]), strict=True):
        rows = np.array(encoding.ids[: len(encoding.ids) // ROW * ROW], np.uint16).reshape(-1, ROW)
        ids.append(rows)
        document += [n] * len(rows)
        may_be_held_out += [bool(back)] * len(rows)
    all_ids = np.concatenate(ids)
    keep = np.flatnonzero(unlike_rows(all_ids))
    if recipe.max_rows is not None:
        keep = np.sort(rng.choice(keep, recipe.max_rows, replace=False))
    row_ids, row_document = all_ids[keep], np.array(document, np.int32)[keep]
    domain = documents["domain"].to_numpy()[row_document]
    bucket = assign(domain, np.array(may_be_held_out)[keep], recipe.buckets, rng)
    background = bucket < 0
    bucket[background] = 1
    order = rng.permutation(np.repeat(np.arange(len(bucket), dtype=np.int32), bucket))
    facts = documents.drop(columns="text")
    return TrainingData(row_ids, bucket, background, row_document, facts, order, recipe.batch), tokenizer
