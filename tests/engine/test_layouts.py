"""Layouts of weights that people bring: read as the model they are, or refused in a sentence of their own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from support.model_folders import change, write_model
from tokenizers import Tokenizer as FastTokenizer
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification

from memviz.catalog import find_model, known_models
from memviz.engine.assembling import assemble
from memviz.engine.backend import Backend
from memviz.engine.preparing import prepare
from memviz.engine.vetting import vet_folder
from memviz.errors import InputError
from memviz.settings import Settings
from memviz.tasks.trace import tokenizer_of

Q_PROJ = "model.layers.0.self_attn.q_proj"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_model(tmp_path / "models" / "m")


def rewrite(folder: Path, made: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    file = folder / "model.safetensors"
    save_file({name: each.contiguous() for name, each in made(load_file(file)).items()}, file, {"format": "pt"})


PREFIXES: dict[str, Callable[[str], str]] = {
    "compiled": lambda name: f"_orig_mod.{name}",
    "data parallel": lambda name: f"module.{name}",
    "compiled and data parallel": lambda name: f"module._orig_mod.{name}",
    "lightning": lambda name: f"model.{name}",
    "strategy": lambda name: f"_forward_module.model.{name}",
    "layers compiled": lambda name: name.replace("layers.0.", "layers.0._orig_mod."),
    "sharded": lambda name: f"_fsdp_wrapped_module.{name.replace('layers.', '_fsdp_wrapped_module.layers.')}",
    "checkpointed": lambda name: name.replace("mlp.", "_checkpoint_wrapped_module.mlp."),
    "body alone": lambda name: name.removeprefix("model."),
}


@pytest.mark.parametrize("kind", PREFIXES)
def test_names_of_a_wrapped_model_are_those_of_the_model(folder: Path, kind: str) -> None:
    plain = load_file(folder / "model.safetensors")
    rewrite(folder, lambda weights: {PREFIXES[kind](name): each for name, each in weights.items()})
    if kind == "body alone":  # as an AutoModel saves it, the output layer beside it
        assert "layers.0.mlp.up_proj.weight" in load_file(folder / "model.safetensors")
    found = assemble(folder, torch.float32).state_dict()
    assert found.keys() == plain.keys() and all(torch.equal(found[name], plain[name]) for name in plain)


NAMED = {
    "gptq": ({"quant_method": "gptq", "bits": 4}, "gptq, 4 bits"),
    "awq": ({"quant_method": "awq", "bits": 4, "zero_point": True}, "awq, 4 bits"),
    "bitsandbytes": ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "bitsandbytes"),
    "compressed-tensors": ({"quant_method": "compressed-tensors", "format": "pack-quantized"}, "compressed-tensors"),
    "fp8": ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "fp8"),
    "unnamed": ({"w_bit": 3}, "a method it does not name, 3 bits"),
}
ARRAYS = {
    "gptq": {".qweight": torch.int32, ".qzeros": torch.int32, ".scales": torch.float16, ".g_idx": torch.int32},
    "awq": {".qweight": torch.int32, ".qzeros": torch.int32, ".scales": torch.float16},
    "bitsandbytes 4 bits": {
        ".weight": torch.uint8,
        ".weight.absmax": torch.float32,
        ".weight.quant_map": torch.float32,
    },
    "bitsandbytes 8 bits": {".weight": torch.int8, ".SCB": torch.float32},
    "compressed-tensors": {".weight_packed": torch.int32, ".weight_scale": torch.bfloat16},
    "fp8": {".weight": torch.float8_e4m3fn, ".weight_scale_inv": torch.float32},
    "fp8 without scales": {".weight": torch.float8_e5m2},
    "mlx": {".weight": torch.uint32, ".scales": torch.float16, ".biases": torch.float16},
    "whole numbers": {".weight": torch.int8},
}


@pytest.mark.parametrize("kind", NAMED)
def test_weights_that_are_called_quantized(folder: Path, kind: str) -> None:
    said, shown = NAMED[kind]
    change(folder / "config.json", quantization_config=said)
    with pytest.raises(
        InputError, match=rf"^{folder} holds quantized weights \({shown}\), which memviz does not read: "
    ):
        vet_folder(folder)
    change(folder / "config.json", quantization_config=None, text_config={"quantization_config": said})
    with pytest.raises(InputError, match=r"holds quantized weights"):
        vet_folder(folder)


@pytest.mark.parametrize("kind", ARRAYS)
def test_weights_that_are_quantized_whatever_they_are_called(folder: Path, kind: str) -> None:
    def packed(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        weights.pop(f"{Q_PROJ}.weight")
        return weights | {Q_PROJ + end: torch.zeros(4, 4).to(dtype) for end, dtype in ARRAYS[kind].items()}

    rewrite(folder, packed)
    with pytest.raises(
        InputError, match=rf"holds quantized weights \({Q_PROJ}\S+ is \w+\), which memviz does not read:"
    ):
        vet_folder(folder)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_weights_of_any_precision(folder: Path, dtype: torch.dtype) -> None:
    rewrite(folder, lambda weights: {name: each.to(dtype) for name, each in weights.items()})
    vet_folder(folder)
    found, stored = assemble(folder, torch.float32).state_dict(), load_file(folder / "model.safetensors")
    assert all(torch.equal(found[name], stored[name].float()) for name in stored)


def test_masks_of_old_checkpoints_are_no_quantized_weights(folder: Path) -> None:
    rewrite(folder, lambda weights: weights | {"model.layers.0.attn.bias": torch.ones(1, 1, 4, 4, dtype=torch.uint8)})
    assert vet_folder(folder)["model_type"] == "llama"
    assemble(folder, torch.float32)


def saved_as(folder: Path, kind: Any) -> None:
    kind.from_pretrained(folder, dtype=torch.float32).save_pretrained(folder)


@pytest.mark.parametrize("kind", ["trained", "score.weight", "classifier.out_proj.weight", "v_head.summary.weight"])
def test_a_classifier(folder: Path, kind: str) -> None:
    if kind == "trained":
        kind = "score.weight"
        saved_as(folder, AutoModelForSequenceClassification)
    else:
        rewrite(folder, lambda weights: weights | {kind: torch.zeros(2, 32)})
    with pytest.raises(
        InputError, match=rf"^{folder} holds a classifier \({kind}\), no language model: take the model"
    ):
        assemble(folder, torch.float32)


def test_a_model_without_its_output_layer(folder: Path) -> None:
    sentence = rf"^{folder} holds a model without its output layer \(lm_head.weight\), which turns states into tokens: "
    rewrite(folder, lambda weights: {name: each for name, each in weights.items() if name != "lm_head.weight"})
    with pytest.raises(InputError, match=sentence):
        assemble(folder, torch.float32)
    saved_as(folder, AutoModel)  # and its names without the prefix
    assert not any(name.startswith("model.") for name in load_file(folder / "model.safetensors"))
    with pytest.raises(InputError, match=sentence):
        assemble(folder, torch.float32)


def test_an_output_layer_that_is_the_embedding_need_not_be_there(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", family="gpt2")
    assert "lm_head.weight" not in load_file(folder / "model.safetensors")
    saved_as(folder, AutoModel)
    assemble(folder, torch.float32)


def test_an_adapter_that_was_not_merged(folder: Path) -> None:
    def wrapped(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        weights[f"{Q_PROJ}.base_layer.weight"] = weights.pop(f"{Q_PROJ}.weight")
        weights |= {f"{Q_PROJ}.lora_A.default.weight": torch.zeros(2, 32)}
        weights |= {f"{Q_PROJ}.lora_B.default.weight": torch.zeros(32, 2)}
        return {f"base_model.model.{name}": each for name, each in weights.items()}

    rewrite(folder, wrapped)
    with pytest.raises(InputError, match=r"holds an adapter inside the weights that was not merged \(.*lora_A.default"):
        assemble(folder, torch.float32)


FILES = {
    ("model.fp16.safetensors",): "holds weights only as the variant model.fp16.safetensors: rename it to model.safet",
    ("model-00001-of-00002.fp16.safetensors", "model-00002-of-00002.fp16.safetensors"): "holds weights only as the var",
    ("model-00001-of-00002.safetensors",): "holds model-00001-of-00002.safetensors without model.safetensors.index.js",
    ("consolidated.safetensors",): "holds weights only as consolidated.safetensors, in its maker's own layout: take t",
    ("pytorch_model.bin",): "holds weights only as pytorch_model.bin, a pickle, which can run code when read: convert",
    ("tf_model.h5",): "holds weights only as tf_model.h5: convert them to safetensors, or copy model.safetensors",
    ("flax_model.msgpack",): "holds weights only as flax_model.msgpack: convert them",
    (): "holds no weights: a file model.safetensors is expected",
}


@pytest.mark.parametrize("names", FILES, ids=str)
def test_weights_under_other_names(folder: Path, names: tuple[str, ...]) -> None:
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").unlink()
    for name in names:
        (folder / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"^{folder} {FILES[names]}"):
        vet_folder(folder)


def test_a_type_that_is_no_causal_language_model(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "t5", "num_layers": 1}')
    with pytest.raises(
        InputError, match=rf"^{folder} has model_type 't5', which is no causal language model in transf"
    ):
        assemble(folder, torch.float32)


def _gguf_of(folder: Path, file: Path) -> None:
    """A folder's model as GGUF in float32, as llama.cpp's converter lays a Llama out."""
    config, weights = json.loads((folder / "config.json").read_text()), load_file(folder / "model.safetensors")
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]
    heads, kv_heads, layers = (config[f"num_{n}"] for n in ("attention_heads", "key_value_heads", "hidden_layers"))
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_block_count(layers)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(1e4)
    writer.add_vocab_size(config["vocab_size"])
    names = [name for name, _ in sorted(vocabulary["vocab"].items(), key=lambda each: each[1])]
    names += [f"<unused{n}>" for n in range(config["vocab_size"] - len(names))]
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(names)
    writer.add_token_merges([" ".join(pair) for pair in vocabulary["merges"]])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(5)
    names_there = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, layers)
    for name, weight in weights.items():
        n = heads if "q_proj" in name else kv_heads if "k_proj" in name else 0
        if n:  # rotary halves interleaved
            weight = weight.reshape(n, 2, len(weight) // n // 2, -1).swapaxes(1, 2).reshape(weight.shape)
        there = names_there.get_name(name, try_suffixes=(".weight",))
        writer.add_tensor(there, weight.numpy().astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_gguf_file_under_a_root_is_converted_once(tmp_path: Path) -> None:
    settings = Settings(cache=tmp_path / "cache", model_roots=(tmp_path / "models",), device="cpu")
    plain = write_model(tmp_path / "plain")
    alone, beside = tmp_path / "models" / "alone.gguf", tmp_path / "models" / "folder" / "beside.gguf"
    beside.parent.mkdir(parents=True)
    _gguf_of(plain, alone)
    beside.write_bytes(alone.read_bytes())
    (beside.parent / "config.json").write_text("{}")  # as many repositories of GGUF files have it
    names = [model.name for model in known_models(settings) if model.is_here]
    assert names[:2] == ["alone", "beside"] and "folder" not in names
    ids = torch.arange(10, 40)[None]
    card = prepare(find_model("alone", settings), settings)
    own = AutoModelForCausalLM.from_pretrained(plain, dtype=torch.float32)(ids).logits.detach()
    found = Backend(settings).load(card, "float32").model(ids).logits.detach()
    assert float((own - found).abs().max()) < 1e-4 * float(own.std())
    text = "We the People of the United States"
    expected = FastTokenizer.from_file(str(plain / "tokenizer.json")).encode(text).ids
    assert tokenizer_of(card, settings).encode(text) == expected
    converted = Path(card.folder, "model.safetensors").stat().st_mtime_ns
    again = prepare(find_model("alone", settings), settings, lambda said: pytest.fail(said))
    assert again == card and Path(card.folder, "model.safetensors").stat().st_mtime_ns == converted
    alone.write_bytes(alone.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"alone.gguf cannot be converted: "):
        prepare(find_model("alone", settings), settings)
