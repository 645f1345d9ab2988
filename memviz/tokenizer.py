"""A model's own tokenizer without torch: text to ids, ids to bytes, and the pieces a page shows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

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


def _flat(part: dict[str, Any] | None) -> list[dict[str, Any]]:
    """A decoder or pre-tokenizer of a tokenizer.json, with those it is made of."""
    if part is None:
        return []
    inner = [one for name in ("decoders", "pretokenizers") for one in part.get(name) or ()]
    return [part, *(each for one in inner for each in _flat(one))]


def read_tokenizer(file: Path) -> FastTokenizer:
    """A tokenizer.json without the settings of its training: what is cut off, filled up, or split at random."""
    found = FastTokenizer.from_file(str(file))
    found.no_truncation()
    found.no_padding()
    if getattr(found.model, "dropout", None):
        found.model.dropout = None
    return found


class Tokenizer:
    """One tokenizer.json, with the leading tokens its model's own tokenizer puts in front of a text."""

    def __init__(self, folder: Path, leading_ids: Sequence[int]) -> None:
        self._tokenizer = read_tokenizer(folder / "tokenizer.json")
        self._added = self._tokenizer.get_added_tokens_decoder()
        self.leading_ids = list(leading_ids)
        self._pieces: dict[int, Piece] = {}
        self._raw: dict[int, bytes] = {}

    @cached_property
    def _parts(self) -> dict[str, Any]:
        return json.loads(self._tokenizer.to_str())

    @cached_property
    def _byte_of(self) -> dict[str, int] | None:
        """Byte of each character of a vocabulary entry, or None where entries are plain text."""
        kinds = {part["type"] for name in ("decoder", "pre_tokenizer") for part in _flat(self._parts[name])}
        return _byte_alphabet() if "ByteLevel" in kinds else None

    @cached_property
    def _spaces(self) -> tuple[str, str, str]:
        """How entries show where a word begins and ends: the mark of a space, of an end of word, of going on."""
        decoders, model = _flat(self._parts["decoder"]), self._parts["model"]
        marks = [part for part in [*decoders, *_flat(self._parts["pre_tokenizer"])] if part["type"] == "Metaspace"]
        space = marks[0]["replacement"] if marks else "\u2581"
        ends = [part["suffix"] for part in decoders if part["type"] == "BPEDecoder"]
        end = model.get("end_of_word_suffix") or (ends[0] if ends else "")
        goes_on = (model.get("continuing_subword_prefix") or "") if model["type"] == "WordPiece" else ""
        return space, end, goes_on

    @cached_property
    def hash(self) -> str:
        """sha256 of what decides the ids of a text: vocabulary, merges, added tokens, normalizer, pre-tokenizer.

        Not of the file's own bytes, which differ with the library that wrote it, nor of the leading tokens.
        """
        deciding = {name: self._parts[name] for name in ("model", "added_tokens", "normalizer", "pre_tokenizer")}
        return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()

    @cached_property
    def n_ids(self) -> int:
        """One more than the largest id; a model's own vocabulary may be padded to more."""
        return 1 + max(self._tokenizer.get_vocab(with_added_tokens=True).values())

    @cached_property
    def text_ids(self) -> list[int]:
        """Ids that stand for text: no marks of the tokenizer, nothing empty."""
        return [i for i, piece in enumerate(self.pieces(range(self.n_ids))) if not piece.special and piece.raw]

    def encode(self, text: str) -> list[int]:
        """Token ids of a text as it stands, without leading tokens."""
        return list(_encoded(self, text))

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
        return Piece(self._text_of(name).encode(), False, name)

    def _text_of(self, name: str) -> str:
        """The text of an entry that is none of bytes; a word begins with its space, or ends with it, as marks say."""
        space, end, goes_on = self._spaces
        if goes_on:
            return name.removeprefix(goes_on) if name.startswith(goes_on) else f" {name}"
        if end and name.endswith(end):
            name = name.removesuffix(end) + " "
        return name.replace(space, " ")

    def pieces(self, token_ids: Sequence[int] | np.ndarray) -> list[Piece]:
        """The pieces of a row of ids."""
        return [self.piece(int(token_id)) for token_id in token_ids]

    def to_bytes(self, token_ids: Sequence[int] | np.ndarray) -> bytes:
        """The UTF-8 bytes that a row of ids stands for, special tokens left out."""
        ids = np.asarray(token_ids, np.int64).tolist()
        for token_id in set(ids).difference(self._raw):
            piece = self.piece(token_id)
            self._raw[token_id] = b"" if piece.special else piece.raw
        return b"".join(map(self._raw.__getitem__, ids))


@lru_cache(maxsize=8)
def _encoded(tokenizer: Tokenizer, text: str) -> tuple[int, ...]:
    """Kept for the last texts, for pages ask the same one again at every run."""
    return tuple(tokenizer._tokenizer.encode(text, add_special_tokens=False).ids)
