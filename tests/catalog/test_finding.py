"""Which models a name means, and what their files say before anything is loaded."""

from __future__ import annotations

import json
import os
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from support.model_folders import change, write_model

from memviz import catalog
from memviz.catalog import Card, Folder, Hub, Package, card_folder, find_model, known_models, read_card, write_card
from memviz.errors import InputError
from memviz.settings import Settings
from memviz.weights import MAX_JSON_BYTES, count_parameters, fingerprint, memory_needed, read_json, weight_files


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


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", r"x\.json cannot be read as JSON: Expecting value"),
        (b"{", "cannot be read as JSON: Expecting property name"),
        (b"\xff\xfe", "cannot be read as JSON: 'utf-8' codec"),
        (b"[" * 100_000, "cannot be read as JSON: maximum recursion depth"),
        (b'{"a":' * 100_000, "cannot be read as JSON: maximum recursion depth"),
        (b"[]", "holds a list, expected a JSON object"),
        (b"3", "holds a int, expected a JSON object"),
    ],
    ids=range(7),
)
def test_json_that_cannot_be_read(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(InputError, match=sentence):
        read_json(tmp_path / "x.json")


def test_json_that_is_missing_too_large_or_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is no model folder: config\.json is missing"):
        read_json(tmp_path / "config.json")
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        read_json(tmp_path)
    with (tmp_path / "large.json").open("wb") as file:
        file.truncate(100_000_000)
    with pytest.raises(InputError, match=r"has 100,000,000 bytes, more than the 16,777,216 that are read"):
        read_json(tmp_path / "large.json")


def shards(folder: Path, weight_map: object) -> Path:
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return folder


def test_weight_files_are_those_that_are_read(tmp_path: Path) -> None:
    for name in ("b.safetensors", "a.safetensors", "unrelated.safetensors"):
        save_file({name[0]: np.zeros((3, 4))}, tmp_path / name)
    shards(tmp_path, {"a": "a.safetensors", "b": "b.safetensors", "c": "a.safetensors"})
    assert weight_files(tmp_path) == [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    assert count_parameters(tmp_path) == 24
    save_file({"x": np.zeros((5,)), "y": np.array(1.0)}, tmp_path / "model.safetensors")
    assert weight_files(tmp_path) == [tmp_path / "model.safetensors"]
    assert count_parameters(tmp_path) == 6


def test_folders_without_weights_to_be_trusted(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no weights: a file model\.safetensors is expected"):
        weight_files(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    sentence = r"holds weights only as pytorch_model\.bin, a pickle, which can run code when read: convert it"
    with pytest.raises(InputError, match=sentence):
        weight_files(tmp_path)
    for weight_map in ({}, [], "x", None, {"a": 3}):
        with pytest.raises(InputError, match=r"index\.json names no weight files: fetch or copy the model again"):
            weight_files(shards(tmp_path, weight_map))
    for name in ("../x.safetensors", "/etc/passwd", "a/b.safetensors", "..", ""):
        with pytest.raises(InputError, match=r"points outside its folder .*, so it is not read"):
            weight_files(shards(tmp_path, {"a": name}))
    with pytest.raises(InputError, match=r"x\.safetensors is missing: fetch or copy the model again"):
        weight_files(shards(tmp_path, {"a": "x.safetensors"}))
    (tmp_path / "model.safetensors").symlink_to(tmp_path / "gone")
    with pytest.raises(InputError, match=r"model\.safetensors is a broken link: fetch or copy the model again"):
        weight_files(tmp_path)


def raw(header: bytes, tail: bytes = b"", length: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header + tail


def header(**tensor: Any) -> bytes:
    return json.dumps({"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **tensor}}).encode()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "its header cannot be read"),
        (b"\x01", "its header cannot be read"),
        (raw(b"{}", length=2**63), "its header claims 9223372036854775808 bytes"),
        (raw(b"{}", length=MAX_JSON_BYTES + 1), "its header claims 16777217 bytes"),
        (raw(b"{}", length=1000), "its header claims 1000 bytes"),
        (raw(b"[" * 50_000), "its header cannot be read"),
        (raw(b"\xff\xff"), "its header cannot be read"),
        (raw(b"[1]"), "its header cannot be read"),
        (raw(b'{"x": 3}'), "its header cannot be read"),
        (raw(header(shape="ab"), bytes(8)), "its header cannot be read"),
        (raw(header(data_offsets=[0]), bytes(8)), "its header cannot be read"),
        (raw(header(), bytes(7)), "it has .* bytes, its header says"),
        (raw(header(), bytes(9)), "it has .* bytes, its header says"),
    ],
    ids=range(13),
)
def test_damaged_weights(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(InputError, match=rf"model\.safetensors is damaged: {sentence}.*; fetch or copy it again"):
        count_parameters(tmp_path)


def test_weights_cut_short_anywhere_are_damaged(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    save_file({"x": np.arange(6.0)}, file)
    content = file.read_bytes()
    assert count_parameters(tmp_path) == 6
    for length in range(len(content)):
        file.write_bytes(content[:length])
        with pytest.raises(InputError, match="is damaged"):
            count_parameters(tmp_path)


def test_memory_is_the_weights_and_room_to_compute() -> None:
    assert memory_needed(10**10, "float32") == 48 * 10**9
    assert memory_needed(10**10, "bfloat16") == memory_needed(10**10, "float16") == 24 * 10**9
    assert memory_needed(10**6, "float32") == 1004 * 10**6


def test_pythia_sizes_are_near_their_names() -> None:
    for name, n_parameters in catalog.PYTHIA_SIZES.items():
        stated = float(name[:-1]) * {"m": 1e6, "b": 1e9}[name[-1]]
        assert n_parameters == pytest.approx(stated, rel=0.03)


def test_fingerprints_do_not_read_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_model(tmp_path / "m")
    before = fingerprint(folder)
    assert [Path(str(entry[0])).name for entry in before] == [
        "model.safetensors",
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    change(folder / "config.json", vocab_size=1)
    assert fingerprint(folder) != before
    monkeypatch.setattr(Path, "open", lambda *_: pytest.fail("a file was read"))
    fingerprint(folder)
