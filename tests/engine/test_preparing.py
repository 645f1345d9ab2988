"""Getting models ready: from folders, packages and the hub, with nothing half-written and nothing fetched unasked."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from support.model_folders import BOS, VOCAB, change, left_in, write_model
from support.tiny_models import EOS, LIMIT

from memviz.catalog import Model, card_folder, find_model, read_card
from memviz.engine.preparing import prepare
from memviz.errors import Failure, InputError
from memviz.settings import Settings

pytestmark = pytest.mark.usefixtures("no_network")


def local(settings: Settings, name: str = "m", **options: Any) -> Model:
    write_model(settings.model_roots[0] / name, **options)
    return find_model(name, settings)


@pytest.mark.parametrize(
    ("family", "tokenizer", "leading"),
    [("llama", "plain", []), ("gpt_neox", "bos", [BOS]), ("gpt2", "fallback", [BOS]), ("gemma3_text", "bos", [BOS])],
)
def test_the_card_of_a_folder(settings: Settings, family: str, tokenizer: str, leading: list[int]) -> None:
    model = local(settings, family=family, tokenizer=tokenizer)
    said: list[str] = []
    card = prepare(model, settings, said.append)
    assert (card.name, card.revision, card.folder) == ("m", "local", str(settings.model_roots[0] / "m"))
    assert (card.vocab_size, card.n_positions) == (VOCAB + 40, LIMIT)
    assert (card.leading_ids, card.eos_ids) == (leading, [EOS])
    assert card.weights.startswith("sha256:") and len(card.weights) == 71
    assert said == ["reading m: tokenizer and weight identity", "examining m"]
    assert card.examination is not None and card.way == "cache" and card.remarks == []
    assert (card_folder(model, settings) / "tokenizer.json").is_file()
    assert read_card(model, settings) == prepare(model, settings, lambda _: pytest.fail("prepared again")) == card


def test_weight_identity_is_that_of_weights_and_configuration(settings: Settings) -> None:
    first = prepare(local(settings, "a"), settings)
    assert prepare(local(settings, "b"), settings).weights == first.weights
    assert prepare(local(settings, "c", architectures=["X"], use_cache=False), settings).weights == first.weights
    assert prepare(local(settings, "d", rms_norm_eps=0.5), settings).weights != first.weights
    assert prepare(local(settings, "e", family="gpt_neox"), settings).weights != first.weights
    model = local(settings, "f")
    file = settings.model_roots[0] / "f" / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert prepare(model, settings).weights != first.weights


def test_a_folder_that_changes_is_read_again(settings: Settings) -> None:
    model = local(settings)
    first = prepare(model, settings)
    change(settings.model_roots[0] / "m" / "config.json", rms_norm_eps=0.5)
    assert read_card(model, settings) is None
    assert prepare(model, settings).weights != first.weights


def test_a_configuration_that_leaves_the_end_of_sequence_to_the_tokenizer(settings: Settings) -> None:
    assert prepare(local(settings, eos_token_id=None), settings).eos_ids == [EOS]
    assert prepare(local(settings, "several", eos_token_id=[3, 4]), settings).eos_ids == [3, 4]


def test_native_models_work_whatever_their_auto_map_says(settings: Settings) -> None:
    model = local(settings, auto_map={"AutoModelForCausalLM": "evil.Model", "AutoConfig": "evil.Config"})
    (settings.model_roots[0] / "m" / "evil.py").write_text("raise SystemExit('code of the folder was run')")
    assert prepare(model, settings).n_parameters > 0


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        (
            "tokenizer.json",
            None,
            r"has no tokenizer file: tokenizer\.json, a SentencePiece \.model, .* are read; copy .*",
        ),
        ("tokenizer.json", b"{", "has no tokenizer that can be read: .*"),
        ("tokenizer.json", b"[" * 100_000, "has no tokenizer that can be read: .*"),
        ("config.json", b"{", "config.json cannot be read as JSON: .*"),
        ("config.json", b'{"a":' * 100_000, "config.json cannot be read as JSON: .*"),
        ("config.json", b"[]", "config.json holds a list, expected a JSON object"),
        (
            "config.json",
            b" " * 100_000_000,
            "config.json has 100,000,000 bytes, more than the 16,777,216 that are read",
        ),
        ("config.json", b'{"model_type": "llama", "vocab_size": "many"}', "config.json is not understood: .*"),
        ("model.safetensors", None, r"holds no weights: a file model\.safetensors is expected"),
        ("model.safetensors", b"\xff" * 20, r"model\.safetensors is damaged: its header claims .*"),
    ],
    ids=range(10),
)
def test_folders_that_cannot_be_used(settings: Settings, file: str, content: bytes | None, sentence: str) -> None:
    model = local(settings)
    path = settings.model_roots[0] / "m" / file
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=rf"^{settings.model_roots[0]}/m(/| ){sentence}") as raised:
        prepare(model, settings)
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 1000
    assert left_in(settings.cache) == []


def test_a_cache_under_a_file(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = tmp_path / "file" / "cache"
    sentence = rf"^{cache} cannot be written \(Not a directory\); make it a writable folder or set MEMVIZ_CACHE or "
    with pytest.raises(Failure, match=sentence):
        prepare(local(settings), settings.model_copy(update={"cache": cache}))


@pytest.mark.parametrize(
    "place", ["pathlib.Path.mkdir", "memviz.engine.preparing.write_card", "os.fsync", "pathlib.Path.rename"]
)
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_refuses(settings: Settings, monkeypatch: pytest.MonkeyPatch, place: str, number: int) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    model = local(settings)
    with monkeypatch.context() as patch:
        patch.setattr(place, refuse)
        sentence = (
            "no space left in"
            if number == errno.ENOSPC
            else r"cache(/cards)? cannot be written \(Read-only file system\)"
        )
        with pytest.raises(Failure, match=sentence):
            prepare(model, settings)
    assert left_in(settings.cache) == []
    assert prepare(model, settings) == read_card(model, settings)


def test_a_library_that_meets_a_full_disk(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """tokenizers and safetensors raise exceptions of their own there."""

    def refuse(*_: object, **__: object) -> None:
        raise Exception("No space left on device (os error 28)")

    model = local(settings)
    monkeypatch.setattr("memviz.engine.tokenizing.shutil.copyfile", refuse)
    with pytest.raises(Failure, match=r"^no space left in .*cache/\w+: free space or set MEMVIZ_CACHE"):
        prepare(model, settings)
    assert left_in(settings.cache) == []
