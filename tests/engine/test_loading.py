"""Loading: what folders may ask for, whether a model fits, and which models stay in memory."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import dispatch_model
from safetensors.torch import load_file, save_file
from support.model_folders import change, write_model
from support.tiny_models import FAMILIES, tiny

from memviz.catalog import Card, Folder, Model
from memviz.engine import loading
from memviz.engine.loading import Residents, load_model
from memviz.engine.preparing import prepare
from memviz.engine.tracing import survey
from memviz.engine.vetting import vet_folder
from memviz.errors import InputError
from memviz.records import Prompts
from memviz.settings import Settings

CPU = torch.device("cpu")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_model(tmp_path / "m")


def card_of(folder: Path, tmp_path: Path) -> Card:
    model = Model(folder.name, folder.name, Folder(folder), "", "")
    return prepare(model, Settings(cache=tmp_path / "cache"))


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        (
            {"model_type": "evil", "auto_map": {"AutoConfig": "evil.C"}},
            r"needs code of its own \(auto_map, model_type 'evil'\), which memviz does not run: use a model whose type",
        ),
        ({"model_type": ["llama"], "auto_map": {}}, r"needs code of its own \(auto_map"),
        ({"model_type": "evil", "text_config": {"auto_map": {}}}, r"needs code of its own \(auto_map"),
        ({"model_type": "evil"}, "has model_type 'evil', which this version of transformers does not know"),
        ({"model_type": None}, "has model_type None, which this version"),
        ({"custom_generate": "owner/name"}, r"asks for code of its own \(custom_generate\), which memviz does not run"),
        ({"a": [[{"b": {"custom_generate": None}}]]}, "asks for code of its own"),
        (
            {"_attn_implementation": "owner/kernel"},
            r"asks for a foreign kernel \(_attn_implementation = 'owner/kernel'\), which memviz does not run",
        ),
        ({"attn_implementation": "owner/kernel:f"}, "asks for a foreign kernel"),
        ({"_attn_implementation_internal": {"text": "sdpa", "vision": "a/b"}}, "asks for a foreign kernel"),
        ({"attn_implementation": ["sdpa"]}, "asks for a foreign kernel"),
        ({"text_config": {"_attn_implementation": "a/b"}}, "asks for a foreign kernel"),
        ({"_experts_implementation": "a/b"}, "asks for a foreign kernel"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_code_of_a_folder_is_refused(folder: Path, config: dict[str, Any], sentence: str) -> None:
    (folder / "evil.py").write_text("raise SystemExit('run')")
    plain = (folder / "generation_config.json").read_text()
    if "model_type" not in config:
        change(folder / "generation_config.json", **config)
        with pytest.raises(InputError, match=rf"^{folder} {sentence}"):
            vet_folder(folder)
        (folder / "generation_config.json").write_text(plain)
        vet_folder(folder)
    change(folder / "config.json", **config)
    with pytest.raises(InputError, match=rf"^{folder} {sentence}"):
        vet_folder(folder)


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"auto_map": {"AutoModelForCausalLM": "evil.Model"}},
        {"_attn_implementation": "eager"},
        {"_attn_implementation": None, "attn_implementation": {"": "sdpa"}},
    ],
)
def test_what_native_models_may_say(folder: Path, tmp_path: Path, config: dict[str, Any]) -> None:
    change(folder / "config.json", **config)
    (folder / "evil.py").write_text("raise SystemExit('run')")
    assert vet_folder(folder)["model_type"] == "llama"
    assert load_model(card_of(folder, tmp_path), "float32", CPU).model.config._attn_implementation == "sdpa"


def test_experts_that_transformers_brings_itself(folder: Path) -> None:
    change(folder / "config.json", _experts_implementation="grouped_mm", attn_implementation="flex_attention")
    assert vet_folder(folder)["_experts_implementation"] == "grouped_mm"


def test_json_nested_too_deeply(folder: Path) -> None:
    nested: Any = {}
    for _ in range(60):
        nested = {"a": [nested]}
    change(folder / "config.json", deep=nested)
    with pytest.raises(InputError, match=r"config\.json is nested more than 50 deep, so it is not read"):
        vet_folder(folder)


def test_a_broken_generation_config(folder: Path) -> None:
    (folder / "generation_config.json").write_text("{")
    with pytest.raises(InputError, match=r"generation_config\.json cannot be read as JSON"):
        vet_folder(folder)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_a_model_is_loaded_in_the_dtype_asked_for(folder: Path, tmp_path: Path, dtype: str) -> None:
    change(folder / "config.json", dtype="float64")
    loaded = load_model(card_of(folder, tmp_path), dtype, CPU)
    assert {parameter.dtype for parameter in loaded.model.parameters()} == {getattr(torch, dtype)}
    assert not loaded.model.training and not any(parameter.requires_grad for parameter in loaded.model.parameters())
    stored = load_file(folder / "model.safetensors")["model.norm.weight"]
    torch.testing.assert_close(loaded.model.model.norm.weight, stored.to(getattr(torch, dtype)))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_loaded_whole(tmp_path: Path, family: str) -> None:
    """Tied weights and buffers are not in the file and are not lacking either."""
    card = card_of(write_model(tmp_path / "m", family=family), tmp_path)
    loaded = load_model(card, "float32", CPU)
    assert torch.isfinite(loaded.model(torch.tensor([[1, 2, 3]])).logits).all()


def test_weights_that_are_not_all_there(folder: Path, tmp_path: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    lost = weights.pop("model.layers.1.mlp.up_proj.weight")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    sentence = rf"^{folder} lacks 1 of the weights of its configuration, such as model\.layers\.1\.mlp\.up_p"
    with pytest.raises(InputError, match=sentence):
        load_model(card_of(folder, tmp_path), "float32", CPU)
    save_file(
        weights | {"model.layers.1.mlp.up_proj.weight": lost[:5].clone()},
        folder / "model.safetensors",
        {"format": "pt"},
    )
    sentence = (
        rf"^{folder}: model\.layers\.1\.mlp\.up_proj\.weight is 5 x 32 in the weights and 64 x 32 in config\.json:"
    )
    with pytest.raises(InputError, match=sentence):
        load_model(card_of(folder, tmp_path), "float32", CPU)


def test_weights_that_were_cut_short_after_the_card_was_made(folder: Path, tmp_path: Path) -> None:
    card = card_of(folder, tmp_path)
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(
        InputError, match=r"model\.safetensors is damaged: it has .* bytes, its header says .*; fetch or"
    ):
        load_model(card, "float32", CPU)


def test_a_folder_that_is_no_language_model(folder: Path, tmp_path: Path) -> None:
    card = card_of(folder, tmp_path)
    (folder / "config.json").write_text(json.dumps({"model_type": "vit"}))
    with pytest.raises(
        InputError, match=rf"^{folder} has model_type 'vit', which is no causal language model"
    ) as raised:
        load_model(card, "float32", CPU)
    assert "\n" not in str(raised.value)


def test_memory_is_estimated_first(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = card_of(folder, tmp_path)
    monkeypatch.setattr(loading, "count_parameters", lambda _: 7_000_000_000)
    monkeypatch.setattr(loading, "free_memory", lambda _: 20_000_000_000)
    monkeypatch.setattr(loading, "assemble", lambda *_: pytest.fail("loaded"))
    for dtype, needed in (("float32", "33.6"), ("bfloat16", "16.8")):
        monkeypatch.setattr(loading, "free_memory", lambda _: 15_000_000_000)
        sentence = f"^m needs about {needed} GB in {dtype}; 15.0 GB are free on cpu: choose a smaller model or another"
        with pytest.raises(InputError, match=sentence):
            load_model(card, dtype, CPU)


def test_the_least_recently_used_is_freed_before_the_next_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    residents = Residents(2)

    def load(card: Card, dtype: str, device: torch.device) -> Any:
        events.append(f"{card.name} beside {' '.join(residents.names())}".strip())
        if card.name == "large" and residents.names():
            raise InputError("too large")
        return loading.Loaded(None, card, dtype, device)  # type: ignore[arg-type]

    monkeypatch.setattr(loading, "load_model", load)
    base = Card("", "", "", "", "", [], 1, 1, 1, [], [])
    cards = {name: replace(base, name=name, weights=name) for name in ("a", "b", "c", "large")}
    for name in ("a", "b", "a", "c", "a", "b"):
        residents.get(cards[name], "float32", CPU)
    assert events == ["a beside", "b beside a", "c beside a", "b beside a"] and residents.names() == ["a", "b"]
    residents.get(cards["large"], "float32", CPU)
    assert events[4:] == ["large beside b", "large beside"] and residents.names() == ["large"]
    assert residents.get(replace(cards["large"], name="alias"), "float32", CPU).card.name == "large"


def test_a_model_that_never_fits_leaves_the_others_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise InputError("too large")

    residents = Residents(1)
    monkeypatch.setattr(loading, "load_model", refuse)
    with pytest.raises(InputError, match=r"^too large$"):
        residents.get(Card("a", "", "", "", "w", [], 1, 1, 1, [], []), "float32", CPU)
    assert residents.names() == []


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> torch.device:
    """The first of two alike, each with less memory than the model of `folder` is said to need."""
    monkeypatch.setattr(loading, "devices_beside", lambda device: ["cuda:1"] if device.type == "cuda" else [])
    monkeypatch.setattr(loading, "free_memory", lambda device: 600)
    monkeypatch.setattr(loading, "memory_needed", lambda *_: 1000)
    return torch.device("cuda", 0)


def test_a_model_too_large_for_one_gpu_is_split_and_said_to_be_slower(
    folder: Path, tmp_path: Path, two_gpus: torch.device, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    whole, asked = tiny("llama").model, []

    def assemble(folder: Path, dtype: torch.dtype, places: dict[int, int]) -> Any:
        asked.append(dict(places))
        monkeypatch.setattr(whole, "hf_device_map", {"model.layers.0": 0, "model.layers.1": 1}, raising=False)
        return whole

    card = Card("m", "m", str(folder), "local", "m", [], 1, 97, 160, [], [])
    monkeypatch.setattr(loading, "assemble", assemble)
    caplog.set_level("INFO", logger="memviz")
    loaded = load_model(card, "float32", two_gpus)
    assert asked == [{0: 600, 1: 600}] and loaded.n_devices == 2 and loaded.model is whole
    assert "split over 2 devices: slower" in caplog.text
    monkeypatch.setattr(loading, "memory_needed", lambda *_: 1300)
    with pytest.raises(InputError, match="are free on cuda"):
        load_model(card, "float32", two_gpus)
    assert tiny("gpt2").n_devices == 1


def test_a_model_read_through_the_hooks_of_accelerate(tmp_path: Path) -> None:
    """As a split one is; here all parts are on the processor."""
    plain = tiny("llama")
    model = dispatch_model(copy.deepcopy(plain.model), {"": "cpu"}, force_hooks=True)
    prompts = Prompts(np.arange(24).reshape(2, 12), np.arange(40, 56).reshape(2, 8))
    ours = survey(replace(plain, model=model, made={}), prompts, 0.0)
    theirs = survey(plain, prompts, 0.0)
    assert (ours.generated_ids == theirs.generated_ids).all()
    np.testing.assert_array_equal(ours.free_running_entropy, theirs.free_running_entropy)
