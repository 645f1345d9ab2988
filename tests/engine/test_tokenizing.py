"""Tokenizers: the ids of the files a model came with, whatever transformers' class for it would do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.model_folders import TEXT, change, write_model
from tokenizers import Tokenizer as FastTokenizer
from tokenizers import decoders, models, pre_tokenizers, processors
from transformers.convert_slow_tokenizer import import_protobuf

from memviz.catalog import find_model, read_card
from memviz.engine.preparing import prepare
from memviz.engine.tokenizing import keep_tokenizer
from memviz.errors import InputError
from memviz.settings import Settings
from memviz.tasks.trace import tokenizer_of
from memviz.tokenizer import Tokenizer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_model(tmp_path / "models" / "m", family="gpt_neox")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(cache=tmp_path / "cache", model_roots=(tmp_path / "models",))


def test_the_files_own_pretokenizer_wins_over_the_class(folder: Path, settings: Settings) -> None:
    own = FastTokenizer.from_file(str(folder / "tokenizer.json"))
    own.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    own.save(str(folder / "tokenizer.json"))
    change(folder / "tokenizer_config.json", tokenizer_class="GPTNeoXTokenizer")
    card = prepare(find_model("m", settings), settings)
    text = "in 1234567, of 2026"
    assert tokenizer_of(card, settings).encode(text) == own.encode(text, add_special_tokens=False).ids
    (kept,) = (settings.cache / "cards").glob("m-*/tokenizer.json")
    assert kept.read_bytes() == (folder / "tokenizer.json").read_bytes()


def test_any_tokenizer_file_that_changes_makes_the_model_be_read_again(folder: Path, settings: Settings) -> None:
    model = json.loads((folder / "tokenizer.json").read_text())["model"]
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.json").write_text(json.dumps(model["vocab"]))
    merges = [" ".join(pair) if isinstance(pair, list) else pair for pair in model["merges"]]
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "GPT2Tokenizer"}))
    first = prepare(find_model("m", settings), settings)
    whole = tokenizer_of(first, settings).encode(TEXT)
    assert tokenizer_of(first, settings).to_bytes(whole).decode() == TEXT
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges[:5]) + "\n")
    assert read_card(find_model("m", settings), settings) is None
    second = prepare(find_model("m", settings), settings)
    assert len(tokenizer_of(second, settings).encode(TEXT)) > len(whole)
    change(folder / "tokenizer_config.json", model_max_length=7)
    assert read_card(find_model("m", settings), settings) is None


def test_tokens_behind_a_text_are_refused(folder: Path, settings: Settings) -> None:
    own = FastTokenizer.from_file(str(folder / "tokenizer.json"))
    own.post_processor = processors.TemplateProcessing(single="$A </s>", pair="$A $B", special_tokens=[("</s>", 5)])
    own.save(str(folder / "tokenizer.json"))
    with pytest.raises(InputError, match=r"m has a tokenizer that puts more than leading tokens around a text: use an"):
        prepare(find_model("m", settings), settings)


def test_a_sentencepiece_model_alone(tmp_path: Path) -> None:
    """Ids are those that SentencePiece itself gives."""
    import sentencepiece

    proto = import_protobuf().ModelProto()
    proto.trainer_spec.model_type, proto.trainer_spec.byte_fallback = 2, True
    proto.trainer_spec.unk_id, proto.trainer_spec.bos_id, proto.trainer_spec.eos_id = 0, 1, 2
    proto.trainer_spec.pad_id = -1
    proto.normalizer_spec.name, proto.normalizer_spec.remove_extra_whitespaces = "identity", False
    pieces = [("<unk>", 2), ("<s>", 3), ("</s>", 3), *((f"<0x{byte:02X}>", 6) for byte in range(256))]
    words = ["▁t", "he", "▁the", "▁a", "▁ca", "▁cat", *"▁abcdefghijklmnopqrstuvwxyz"]
    for place, (name, kind) in enumerate([*pieces, *((word, 1) for word in words)]):
        piece = proto.pieces.add()
        piece.piece, piece.type, piece.score = name, kind, -float(place)
    (tmp_path / "tokenizer.model").write_bytes(proto.SerializeToString())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "LlamaTokenizer"}))
    (tmp_path / "new").mkdir()
    keep_tokenizer(tmp_path, tmp_path / "new")
    own = Tokenizer(tmp_path / "new", [])
    reference = sentencepiece.SentencePieceProcessor(model_proto=proto.SerializeToString())
    for text in ("the cat", "a cat é"):
        assert own.encode(text) == reference.encode(text)
        assert own.to_bytes(own.encode(text)).decode().strip() == text


def written(tmp_path: Path, tokenizer: FastTokenizer) -> Tokenizer:
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return Tokenizer(tmp_path, [])


def test_ends_of_words_and_parts_of_words_show_as_text(tmp_path: Path) -> None:
    vocabulary = {"<unk>": 0, "t": 1, "h": 2, "e</w>": 3, "th": 4, "the</w>": 5, "cat</w>": 6}
    ends = FastTokenizer(models.BPE(vocabulary, [("t", "h"), ("th", "e</w>")], end_of_word_suffix="</w>"))
    ends.decoder = decoders.BPEDecoder(suffix="</w>")
    assert [piece.raw for piece in written(tmp_path, ends).pieces([5, 6, 1])] == [b"the ", b"cat ", b"t"]
    parts = FastTokenizer(models.WordPiece({"[UNK]": 0, "un": 1, "##like": 2, "##ly": 3, "it": 4}, unk_token="[UNK]"))
    parts.decoder = decoders.WordPiece()
    assert written(tmp_path, parts).to_bytes([1, 2, 3, 4]) == b" unlikely it"
    bare = FastTokenizer(models.BPE({"Ġthe": 0, "Ċ": 1}, []))
    bare.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # and no decoder
    assert written(tmp_path, bare).to_bytes([0, 1]) == b" the\n"
    other = FastTokenizer(models.BPE({"_the": 0, "x": 1}, []))
    other.decoder = decoders.Metaspace(replacement="_")
    assert written(tmp_path, other).to_bytes([0, 1]) == b" thex"
