"""LoRA adapters: merged as PEFT itself merges them, or refused; their base looked for by name alone."""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from support.model_folders import change, write_model
from transformers import AutoModelForCausalLM

from memviz.catalog import find_model, known_models, read_card
from memviz.engine.adapters import vet_adapter
from memviz.engine.backend import Backend
from memviz.engine.preparing import prepare
from memviz.errors import InputError
from memviz.settings import Settings
from memviz.tasks.trace import tokenizer_of

IDS = torch.arange(5, 45)[None]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    write_model(tmp_path / "models" / "base")
    return Settings(cache=tmp_path / "cache", model_roots=(tmp_path / "models",))


def model_of(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval().requires_grad_(False)


def write_adapter(settings: Settings, name: str = "tuned", **options: Any) -> Path:
    """An adapter as PEFT saves it, every weight of it random; the plain one is made once and copied."""
    root = settings.model_roots[0]
    if not options:
        return shutil.copytree(plain_adapter(), root / name)
    from peft import LoraConfig, get_peft_model  # seconds, which only the process that runs these tests should take

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = LoraConfig(**{"r": 4, "target_modules": ["q_proj", "v_proj"], "task_type": "CAUSAL_LM"} | options)
        wrapped = get_peft_model(model_of(root / "base"), config)
        torch.manual_seed(1)
        for parameter in wrapped.parameters():
            if parameter.requires_grad:
                torch.nn.init.normal_(parameter, std=0.2)
        wrapped.save_pretrained(root / name)
    change(root / name / "adapter_config.json", base_model_name_or_path="base")
    return root / name


@cache
def plain_adapter() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="memviz-adapter-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    write_model(folder / "base")
    return write_adapter(Settings(cache=folder / "cache", model_roots=(folder,)), r=4)


def by_peft(settings: Settings, folder: Path) -> torch.Tensor:
    from peft import PeftModel

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        merged = PeftModel.from_pretrained(model_of(settings.model_roots[0] / "base"), folder).merge_and_unload()
    return merged(IDS).logits.detach()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"use_dora": True},
        {"use_rslora": True, "lora_alpha": 16},
        {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"v_proj": 32}},
        {"modules_to_save": ["lm_head"]},
        {"target_modules": "all-linear"},
        {"target_modules": r".*layers\.1.*k_proj"},
        {"layers_to_transform": [1]},
    ],
    ids=str,
)
def test_the_same_as_pefts_own_merge(settings: Settings, options: dict[str, Any]) -> None:
    folder = write_adapter(settings, **options)
    card = prepare(find_model("tuned", settings), settings)
    loaded = Backend(settings).load(card, "float32")
    expected, base = by_peft(settings, folder), model_of(settings.model_roots[0] / "base")(IDS).logits
    assert float((loaded.model(IDS).logits - expected).abs().max()) < 1e-4 < float((base - expected).abs().max())
    assert type(loaded.model) is type(model_of(settings.model_roots[0] / "base"))


def test_an_adapters_own_tokenizer_is_used_and_watched(settings: Settings) -> None:
    folder = write_adapter(settings)
    model = json.loads((settings.model_roots[0] / "base" / "tokenizer.json").read_text())["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"]))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(" ".join(pair) for pair in model["merges"][:5]))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "GPT2Tokenizer"}')
    base, tuned = (prepare(find_model(name, settings), settings) for name in ("base", "tuned"))
    text = "We the People of the United States"
    assert len(tokenizer_of(tuned, settings).encode(text)) > len(tokenizer_of(base, settings).encode(text))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    assert read_card(find_model("tuned", settings), settings) is None
    (folder / "merges.txt").unlink()
    (folder / "merges.txt").symlink_to("/etc/hostname")
    with pytest.raises(
        InputError, match=r"merges.txt is a link out of its folder, to /etc/hostname, so it is not read"
    ):
        prepare(find_model("tuned", settings), settings)


def test_both_decide_the_identity(settings: Settings) -> None:
    folder = write_adapter(settings)
    base, first = (prepare(find_model(name, settings), settings) for name in ("base", "tuned"))
    assert first.adapter == str(folder) and first.weights != base.weights and first.weight_hash != base.weight_hash
    change(folder / "adapter_config.json", lora_alpha=32)
    assert read_card(find_model("tuned", settings), settings) is None
    second = prepare(find_model("tuned", settings), settings)
    change(settings.model_roots[0] / "base" / "config.json", rms_norm_eps=0.5)
    third = prepare(find_model("tuned", settings), settings)
    assert len({first.weights, second.weights, third.weights}) == 3


def test_an_adapter_beside_whole_weights_is_never_left_out(settings: Settings) -> None:
    """The folder's name is the model with it; the choice is offered."""
    root = settings.model_roots[0]
    folder = write_adapter(settings)
    for file in (root / "base").iterdir():
        shutil.copy(file, folder / file.name)
    assert {"tuned", "tuned@base", "base"} <= {model.name for model in known_models(settings)}
    assert find_model("tuned@base", settings).label == "tuned without its adapter"
    backend, expected = Backend(settings), by_peft(settings, folder)
    whole, bare = (
        backend.load(prepare(find_model(name, settings), settings), "float32").model(IDS).logits
        for name in ("tuned", "tuned@base")
    )
    assert float((whole - expected).abs().max()) < 1e-4 < float((bare - expected).abs().max())
    assert float((bare - model_of(root / "base")(IDS).logits).abs().max()) == 0


@pytest.mark.parametrize("said", ["owner/base", "/somewhere/else/base", "./base", "base/"])
def test_the_base_is_looked_for_among_known_models_by_name(settings: Settings, said: str) -> None:
    folder = write_adapter(settings)
    change(folder / "adapter_config.json", base_model_name_or_path=said)
    assert prepare(find_model("tuned", settings), settings).folder == str(settings.model_roots[0] / "base")


def test_a_base_that_is_not_here_is_named(settings: Settings) -> None:
    folder = write_adapter(settings)
    elsewhere = write_model(settings.model_roots[0].parent / "elsewhere" / "other")
    change(folder / "adapter_config.json", base_model_name_or_path=str(elsewhere))
    with pytest.raises(
        InputError, match=rf"^tuned is an adapter for {elsewhere}, which is not among the models here: put"
    ):
        prepare(find_model("tuned", settings), settings)


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("auto_mapping", {"base_model_class": "X", "parent_library": "os"}),
        ("megatron_config", {"a": 1}),
        ("megatron_core", "evil.module"),
        ("peft_type", "IA3"),
        ("task_type", "SEQ_CLS"),
        ("bias", "all"),
        ("init_lora_weights", "pissa"),
        ("layer_replication", [[0, 1]]),
        ("trainable_token_indices", [3]),
        ("target_parameters", ["x"]),
        ("rank_pattern", {"(a+)+$": 2}),
        ("r", 0),
        ("something_new", 1),
    ],
)
def test_what_an_adapter_may_not_ask_for(settings: Settings, said: str, value: Any) -> None:
    folder = write_adapter(settings)
    change(folder / "adapter_config.json", **{said: value})
    with pytest.raises(
        InputError, match=rf"adapter_config\.json asks for {said} = .*, which memviz does not read: merge"
    ):
        vet_adapter(folder)


def test_an_adapter_that_is_no_safetensors_or_of_another_model(settings: Settings) -> None:
    folder = write_adapter(settings)
    weights = folder / "adapter_model.safetensors"
    other = write_adapter(settings, "other", target_modules=["o_proj"])
    weights.rename(folder / "adapter_model.bin")
    with pytest.raises(
        InputError, match=r"tuned holds an adapter without adapter_model\.safetensors: save it as safetens"
    ):
        prepare(find_model("tuned", settings), settings)
    content = (other / "adapter_model.safetensors").read_bytes()
    weights.write_bytes(content.replace(b"layers.1.", b"layers.7."))
    with pytest.raises(
        InputError, match=r"adapter_model\.safetensors changes model\.layers\.7\..*, which its base does not"
    ):
        prepare(find_model("tuned", settings), settings)
    weights.write_bytes(content)
    change(folder / "adapter_config.json", r=2)
    with pytest.raises(
        InputError, match=r"adapter_model\.safetensors fits neither its settings nor its base \(size mism"
    ):
        Backend(settings).load(prepare(find_model("tuned", settings), settings), "float32")
