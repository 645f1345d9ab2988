"""Text to ids as the model's own tokenizer does it, and ids back to the bytes they stand for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.model_folders import BOS, SPECIAL, TEXT, TOKENIZERS, VOCAB
from transformers import PreTrainedTokenizerFast

from memviz.records import Piece
from memviz.tokenizer import Tokenizer

KINDS = ["plain", "fallback"]


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tokenizer]:
    folder = tmp_path_factory.mktemp("tokenizers")
    made = {}
    for kind, make in TOKENIZERS.items():
        (folder / kind).mkdir()
        make().save(str(folder / kind / "tokenizer.json"))
        made[kind] = Tokenizer(folder / kind, [BOS])
    return made


@settings(deadline=None)
@given(text=st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="<▁")))
@pytest.mark.parametrize("kind", KINDS)
def test_the_bytes_of_the_pieces_are_the_text(tokenizers: dict[str, Tokenizer], kind: str, text: str) -> None:
    tokenizer = tokenizers[kind]
    ids = tokenizer.encode(text)
    pieces = tokenizer.pieces(ids)
    assert b"".join(piece.raw for piece in pieces) == text.encode() == tokenizer.to_bytes(ids)
    assert not any(piece.special for piece in pieces)


@pytest.mark.parametrize("kind", KINDS)
def test_a_character_may_be_spread_over_tokens(tokenizers: dict[str, Tokenizer], kind: str) -> None:
    pieces = tokenizers[kind].pieces(tokenizers[kind].encode("é\U0001f926"))
    assert [piece.raw for piece in pieces] == [bytes([byte]) for byte in "é\U0001f926".encode()]


@pytest.mark.parametrize("kind", list(TOKENIZERS))
def test_the_same_ids_as_transformers(tokenizers: dict[str, Tokenizer], kind: str) -> None:
    own = PreTrainedTokenizerFast(tokenizer_object=TOKENIZERS[kind](), bos_token="<s>", eos_token="</s>")
    for text in (TEXT, "", " ", "  two  spaces\n\n\tand é \U0001f926", "x</s>y <s>"):
        assert tokenizers[kind].encode(text) == own(text, add_special_tokens=False)["input_ids"]
        assert own(text)["input_ids"][:1] != [BOS] or kind != "plain"


def test_the_last_texts_are_split_once(tokenizers: dict[str, Tokenizer], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    own = tokenizers["plain"]
    real = own._tokenizer

    class Counting:
        def encode(self, text: str, **how: object) -> object:
            asked.append(text)
            return real.encode(text, **how)

    monkeypatch.setattr(own, "_tokenizer", Counting())
    first = own.encode("once upon")
    first.append(-1)  # what one who asked does with the list is nothing to the next
    assert own.encode("once upon") == first[:-1] and asked == ["once upon"]
    others = [f"another {i}" for i in range(8)]
    for text in (*others, "once upon"):
        own.encode(text)
    assert asked == ["once upon", *others, "once upon"], "as many texts as are kept, and no more"


def test_pieces_that_are_not_text(tokenizers: dict[str, Tokenizer]) -> None:
    for tokenizer in tokenizers.values():
        assert tokenizer.piece(BOS) == Piece(b"<s>", True, "<s>")
        assert tokenizer.piece(10**6) == Piece(b"", True, "<id 1000000>")
        assert tokenizer.piece(VOCAB + 39) == Piece(b"", True, f"<id {VOCAB + 39}>")
        ids = [BOS, *tokenizer.encode("the"), SPECIAL.index("</s>"), 10**6]
        assert tokenizer.to_bytes(ids) == b"the"
        assert tokenizer.leading_ids == [BOS]
    assert tokenizers["fallback"].piece(len(SPECIAL) + 0xC3) == Piece(b"\xc3", False, "<0xC3>")


def test_settings_kept_in_the_file_cut_nothing_off_and_fill_nothing_up(tmp_path: Path) -> None:
    fast = TOKENIZERS["plain"]()
    whole = fast.encode(TEXT).ids
    fast.enable_truncation(max_length=3)
    fast.enable_padding(length=100)
    fast.save(str(tmp_path / "tokenizer.json"))
    assert json.loads((tmp_path / "tokenizer.json").read_text())["truncation"]["max_length"] == 3
    assert Tokenizer(tmp_path, []).encode(TEXT) == whole


def test_the_hash_is_of_what_decides_ids(tmp_path: Path, tokenizers: dict[str, Tokenizer]) -> None:
    assert tokenizers["plain"].hash == tokenizers["bos"].hash != tokenizers["fallback"].hash
    file = PreTrainedTokenizerFast(tokenizer_object=TOKENIZERS["plain"](), bos_token="<s>", eos_token="</s>")
    file.save_pretrained(tmp_path)
    assert Tokenizer(tmp_path, []).hash == tokenizers["plain"].hash
    content = json.loads((tmp_path / "tokenizer.json").read_text())
    (tmp_path / "tokenizer.json").write_text(json.dumps(content | {"truncation": None, "decoder": None}))
    assert Tokenizer(tmp_path, []).hash == tokenizers["plain"].hash
    content["model"]["merges"].pop()
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    assert Tokenizer(tmp_path, []).hash != tokenizers["plain"].hash


def test_many_texts_at_once(tokenizers: dict[str, Tokenizer]) -> None:
    texts = [TEXT, "", "é\n", "People of"]
    for tokenizer in tokenizers.values():
        assert tokenizer.encode_all(texts) == [tokenizer.encode(text) for text in texts]
        assert tokenizer.encode_all([]) == [] and tokenizer.n_ids > max(tokenizer.encode(TEXT))


def test_settings_of_training_are_left_out(tmp_path: Path) -> None:
    """Cut off, filled up, split at random: a file may carry all three."""
    own = TOKENIZERS["plain"]()
    expected = own.encode(TEXT).ids
    own.enable_truncation(3)
    own.enable_padding(length=8)
    own.model.dropout = 0.9
    own.save(str(tmp_path / "tokenizer.json"))
    tokenizer = Tokenizer(tmp_path, [])
    assert all(tokenizer.encode(TEXT) == expected for _ in range(5)) and tokenizer.encode_all([TEXT]) == [expected]
