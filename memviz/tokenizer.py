"""A model's own tokenizer without torch: text to ids, ids to bytes, and the pieces a page shows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer as FastTokenizer

from memviz.records import Piece


def _byte_alphabet() -> dict[str, int]:
    """GPT-2's printable stand-ins for bytes: itself where printable, else the next free code point from 256 on."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    alphabet = {chr(byte): byte for byte in printable}
    for n, byte in enumerate(byte for byte in range(256) if byte not in printable):
        alphabet[chr(256 + n)] = byte
    return alphabet


class Tokenizer:
    """One tokenizer.json, with the leading tokens its model's own tokenizer puts in front of a text."""

    def __init__(self, folder: Path, leading_ids: Sequence[int]) -> None:
        self._tokenizer = FastTokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_truncation()  # a file may carry settings of its training
        self._tokenizer.no_padding()
        self._added = self._tokenizer.get_added_tokens_decoder()
        self.leading_ids = list(leading_ids)
        self._pieces: dict[int, Piece] = {}

    @cached_property
    def _byte_of(self) -> dict[str, int] | None:
        """Byte of each character of a vocabulary entry, or None where entries are plain text."""
        decoder = json.loads(self._tokenizer.decoder.__getstate__()) if self._tokenizer.decoder else {}
        kinds = [decoder.get("type")] + [part.get("type") for part in decoder.get("decoders", [])]
        return _byte_alphabet() if "ByteLevel" in kinds else None

    @cached_property
    def hash(self) -> str:
        """sha256 of what decides the ids of a text: vocabulary, merges, added tokens, normalizer, pre-tokenizer.

        Not of the file's own bytes, which differ with the library that wrote it, nor of the leading tokens.
        """
        parts = json.loads(self._tokenizer.to_str())
        deciding = {name: parts[name] for name in ("model", "added_tokens", "normalizer", "pre_tokenizer")}
        return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()

    @cached_property
    def n_ids(self) -> int:
        """One more than the largest id; a model's own vocabulary may be padded to more."""
        return 1 + max(self._tokenizer.get_vocab(with_added_tokens=True).values())

    def encode(self, text: str) -> list[int]:
        """Token ids of a text as it stands, without leading tokens."""
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def encode_all(self, texts: Sequence[str]) -> list[list[int]]:
        """`encode` of many texts, on all cores unless TOKENIZERS_PARALLELISM forbids it."""
        return [found.ids for found in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]

    def piece(self, token_id: int) -> Piece:
        """What one token stands for. An id outside the vocabulary gets its number as its name."""
        found = self._pieces.get(token_id)
        if found is None:
            found = self._pieces[token_id] = self._piece(token_id)
        return found

    def _piece(self, token_id: int) -> Piece:
        name = self._tokenizer.id_to_token(token_id)
        added = self._added.get(token_id)
        if name is None:
            return Piece(b"", True, f"<id {token_id}>")
        if added is not None:
            return Piece(added.content.encode(), added.special, added.content)
        if self._byte_of:
            if all(character in self._byte_of for character in name):
                return Piece(bytes(self._byte_of[character] for character in name), False, name)
            return Piece(name.encode(), False, name)
        if len(name) == 6 and name.startswith("<0x") and name.endswith(">"):
            return Piece(bytes([int(name[3:5], 16)]), False, name)
        return Piece(name.replace("\u2581", " ").encode(), False, name)

    def pieces(self, token_ids: Sequence[int] | np.ndarray) -> list[Piece]:
        """The pieces of a row of ids."""
        return [self.piece(int(token_id)) for token_id in token_ids]

    def to_bytes(self, token_ids: Sequence[int] | np.ndarray) -> bytes:
        """The UTF-8 bytes that a row of ids stands for, special tokens left out."""
        return b"".join(piece.raw for piece in self.pieces(token_ids) if not piece.special)
