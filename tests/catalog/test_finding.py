"""Which models a name means, and what their files say before anything is loaded."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from support.model_folders import write_model

from memviz import catalog
from memviz.catalog import (
    Card,
    Folder,
    Hub,
    Package,
    card_folder,
    find_model,
    former,
    known_models,
    read_card,
    write_card,
)
from memviz.errors import InputError
from memviz.settings import Settings
from memviz.weights import fingerprint


@pytest.fixture(autouse=True)
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in place of the models that come with memviz."""
    folder = tmp_path / "suite-models"
    monkeypatch.setattr("memviz.catalog.sources.SUITE_MODELS", folder)
    return folder


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(cache=tmp_path / "cache", model_roots=(tmp_path / "one", tmp_path / "two", tmp_path / "none"))


def make(folder: Path, name: str) -> Path:
    (folder / name).mkdir(parents=True)
    (folder / name / "config.json").write_text("{}")
    return folder / name


def card_of(name: str, folder: Path) -> Card:
    return Card(name, name, str(folder), "abc", "w", fingerprint(folder), 1, 2, 3, [], [])


def test_what_a_card_has_to_say(tmp_path: Path) -> None:
    folder = make(tmp_path, "m")
    (folder / "model.safetensors").write_bytes(b"")
    card = replace(card_of("m", folder), remarks=["a remark"])
    assert card.notes == ["a remark", "not examined: it is when it is first loaded"]
    assert replace(card, examination={"way": "cache"}).notes == ["a remark"]
    cards = [replace(card, name=name, weight_hash=weights) for name, weights in zip("abcde", "xyxx", strict=False)]
    assert catalog.same_weights([*cards, card, card]) == [["a", "c", "d"]]  # without a hash, nothing is known


def test_catalog_names(settings: Settings) -> None:
    names = [model.name for model in known_models(settings)]
    sizes = ["14m", "31m", "70m", "160m", "410m", "1b", "1.4b", "2.8b", "6.9b", "12b"]
    assert names == ["smollm2-135m", "gemma-3-270m", *(f"pythia-{size}-deduped" for size in sizes)]
    smollm = find_model("smollm2-135m", settings)
    assert smollm.label == "SmolLM2-135M-Instruct (Q4_1-derived, no chat template)"
    assert smollm.corpus == "not known to memviz" and isinstance(smollm.source, Package) and not smollm.source.terms
    gemma = find_model("gemma-3-270m", settings)
    assert isinstance(gemma.source, Package) and len(gemma.source.files) == 4 and gemma.source.terms
    assert gemma.source.sha256 == "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
    assert all(name.rpartition("==")[2][0].isdigit() for name in gemma.source.requirements)


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("pythia-14m-deduped", Hub("EleutherAI/pythia-14m-deduped", "main")),
        ("pythia-410m-deduped@step1000", Hub("EleutherAI/pythia-410m-deduped", "step1000")),
        ("pythia-1.4b-deduped@" + "a" * 40, Hub("EleutherAI/pythia-1.4b-deduped", "a" * 40)),
        ("owner/name", Hub("owner/name", "main")),
        ("owner/name@", Hub("owner/name", "main")),
        ("owner/na.me_2@refs/pr/1", Hub("owner/na.me_2", "refs/pr/1")),
    ],
)
def test_names_of_the_hub(settings: Settings, name: str, source: Hub) -> None:
    model = find_model(name, settings)
    assert model.source == source and model.name == name


@pytest.mark.parametrize("name", ["../x", "a/../../b", "/etc/passwd", "~/x", ".hidden", "a\\b", "owner/name@../../x"])
def test_names_that_are_paths(settings: Settings, name: str) -> None:
    with pytest.raises(InputError, match="is not a name: give a name of `memviz models`"):
        find_model(name, settings)


@pytest.mark.parametrize("name", ["", "x", "a/b/c", "a b/c", "pythia-3b-deduped", "pythia-1b-deduped@v0", "x" * 10**6])
def test_names_that_nothing_has(settings: Settings, name: str) -> None:
    with pytest.raises(InputError, match="is unknown: known are smollm2-135m, gemma-3-270m, ") as raised:
        find_model(name, settings)
    assert len(str(raised.value)) < 1000


def test_names_and_links_of_an_earlier_edition(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {"edition": "first", "models": {"suite-9m": "ladder-8m"}, "runs": {"0123456789abcdef": "Word for word"}}
    monkeypatch.setattr(former, "FORMER", tmp_path / "former.json")
    assert not former.former("suite-9m")
    (tmp_path / "former.json").write_text(json.dumps(said), "utf-8")
    with pytest.raises(InputError, match=r"^model 'suite-9m@step7' was of .* first edition, .* to it is 'ladder-8m'"):
        find_model("suite-9m@step7", settings)
    for name in ("0123456789abcdef", "01234567", "0123456789abcdef" * 4):
        assert former.former(name).startswith("this link is to 'Word for word' of the gallery of the bundled suite's")
    assert not former.former("01234568") and not former.former("0123456789abcdee" * 4) and not former.former("0")


def test_local_folders_come_first_and_the_first_root_wins(settings: Settings) -> None:
    one, two = settings.model_roots[:2]
    first, hidden = make(one, "both"), make(two, "both")
    own, dotted = make(two, "smollm2-135m"), make(one, "a..b")
    (one / "no-config").mkdir()
    (one / "file").write_text("")
    names = [model.name for model in known_models(settings)]
    assert names[:4] == ["a..b", "both", "smollm2-135m", "gemma-3-270m"]
    assert find_model("both", settings).source == Folder(first) != Folder(hidden)
    assert find_model("smollm2-135m", settings).source == Folder(own)
    assert find_model("a..b", settings).source == Folder(dotted)
    with pytest.raises(InputError, match="is unknown"):
        find_model("no-config", settings)


def test_the_suite_comes_after_the_configured_roots(settings: Settings, suite: Path) -> None:
    make(suite, "small")
    hidden, shown = make(suite, "both"), make(settings.model_roots[0], "both")
    assert [model.name for model in known_models(settings)][:3] == ["both", "small", "smollm2-135m"]
    assert find_model("both", settings).source == Folder(shown) != Folder(hidden)


def test_slugs_are_file_names_of_their_own(settings: Settings) -> None:
    make(settings.model_roots[0], "m")
    names = ["m", "a/b", "a/b@c", "a-b/c", "a/b-c", "pythia-14m-deduped", "pythia-14m-deduped@step1"]
    slugs = [find_model(name, settings).slug for name in names]
    assert len(set(slugs)) == len(slugs)
    assert all("/" not in slug and len(slug) < 100 for slug in slugs)
    before = find_model("m", settings).slug
    assert (
        find_model("m", Settings(cache=settings.cache, model_roots=(make(settings.cache, "x/m").parent,))).slug
        != before
    )


def test_models_that_were_added_are_listed(settings: Settings, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "snapshot")
    for name in ("owner/name@v1", "pythia-14m-deduped@step1", "smollm2-135m"):
        model = find_model(name, settings)
        card_folder(model, settings).mkdir(parents=True)
        write_card(card_of(name, folder), card_folder(model, settings) / "card.json")
    (settings.cache / "cards" / "odd").mkdir()
    (settings.cache / "cards" / "odd" / "card.json").write_text("[")
    names = [model.name for model in known_models(settings)]
    assert names[-2:] == ["owner/name@v1", "pythia-14m-deduped@step1"] and len(names) == len(set(names)) == 14


def test_a_card_is_good_until_its_files_change(settings: Settings, tmp_path: Path) -> None:
    folder = write_model(settings.model_roots[0] / "m")
    model = find_model("m", settings)
    assert read_card(model, settings) is None
    card, where = card_of("m", folder), card_folder(model, settings)
    where.mkdir(parents=True)
    write_card(card, where / "card.json")
    assert read_card(model, settings) == card
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        stat = (folder / name).stat()
        os.utime(folder / name, ns=(0, 0))
        assert read_card(model, settings) is None
        os.utime(folder / name, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        assert read_card(model, settings) == card
    (folder / "model.safetensors").unlink()
    assert read_card(model, settings) is None
    for content in ("", "{}", "[]", "null", json.dumps({"name": "m"})):
        (where / "card.json").write_text(content)
        assert read_card(model, settings) is None


def test_pythia_sizes_are_near_their_names() -> None:
    for name, n_parameters in catalog.PYTHIA_SIZES.items():
        stated = float(name[:-1]) * {"m": 1e6, "b": 1e9}[name[-1]]
        assert n_parameters == pytest.approx(stated, rel=0.03)
