"""What a model folder may ask for: nothing that runs code, leads elsewhere, or is no plain language model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

from memviz.errors import InputError
from memviz.weights import Tensor, read_json, read_tensors

_LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
_TEXTS = (".json", ".txt", ".model", ".jinja", ".tiktoken")
_MAX_DEPTH = 50
_MAX_TOKENIZER_BYTES = 64 * 2**20
"""Of any file beside config.json and weights; the largest tokenizers in use have half of it."""
_BUILT_IN = {None, "eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention"} | {
    "batched_mm",
    "grouped_mm",
}
"""Implementations of attention and of experts that transformers brings itself; others are fetched from the hub."""
_QUANTIZED = (
    ".qweight",
    ".qzeros",
    ".quant_map",
    ".quant_state",
    ".weight_packed",
    ".weight_scale",
    "_scale_inv",
    ".SCB",
)


def _entries(path: Path) -> Iterator[tuple[str, Any]]:
    """Every key of the nested objects of a JSON file with its value. Raises InputError where they nest too deeply."""
    waiting: list[tuple[Any, int]] = [(read_json(path), 1)]
    while waiting:
        value, depth = waiting.pop()
        if depth > _MAX_DEPTH:
            raise InputError(f"{path} is nested more than {_MAX_DEPTH} deep, so it is not read")
        if isinstance(value, dict):
            yield from value.items()
        if isinstance(value, (dict, list)):
            inner = value.values() if isinstance(value, dict) else value
            waiting += [(part, depth + 1) for part in inner if isinstance(part, (dict, list))]


def vet_folder(folder: Path) -> dict[str, Any]:
    """config.json of a folder that asks for no code of its own and has weights. Raises InputError naming what is wrong.

    `auto_map` is ignored where transformers has the model type itself, for then its code is never looked at.
    """
    config = read_json(folder / "config.json")
    check_files(folder)
    kind = config.get("model_type")
    native = isinstance(kind, str) and kind in CONFIG_MAPPING_NAMES
    also = folder / "generation_config.json"
    for key, value in [*_entries(folder / "config.json"), *(_entries(also) if also.is_file() else ())]:
        if key == "transformers_weights" and value is not None:
            shown = f"transformers_weights = {value!r:.100}"
            raise InputError(f"{folder} names a weight file of its own ({shown}): call the file model.safetensors")
        if key == "custom_generate":
            raise InputError(f"{folder} asks for code of its own (custom_generate), which memviz does not run")
        if key.lstrip("_").startswith(("attn_implementation", "experts_implementation")):
            wanted = value.values() if isinstance(value, dict) else [value]
            foreign = next(
                (name for name in wanted if isinstance(name, (str, list, dict)) and str(name) not in _BUILT_IN), None
            )
            if foreign is not None:
                shown = f"{key} = {foreign!r:.100}"
                raise InputError(f"{folder} asks for a foreign kernel ({shown}), which memviz does not run")
        if key == "auto_map" and not native:
            raise InputError(
                f"{folder} needs code of its own (auto_map, model_type {kind!r:.100}), which memviz does not run: "
                "use a model whose type transformers has itself"
            )
    if not native:
        raise InputError(f"{folder} has model_type {kind!r:.100}, which this version of transformers does not know")
    _check_plain(folder, config)
    tensors = read_tensors(folder)
    _check_types(folder, tensors)
    n_arrays = len(tensors)
    for key, value in _entries(folder / "config.json"):
        if key in _LAYERS and type(value) is int and value > n_arrays:  # each one would be built
            raise InputError(
                f"{folder / 'config.json'} speaks of {value:,} layers ({key}), the weights are {n_arrays:,} arrays: "
                "fetch or copy the model again"
            )
    return config


def _check_plain(folder: Path, config: dict[str, Any]) -> None:
    """Raise InputError for weights that config.json calls quantized."""
    inner = config.get("text_config")
    said = config.get("quantization_config") or (inner.get("quantization_config") if isinstance(inner, dict) else None)
    if said:
        said = said if isinstance(said, dict) else {}
        bits = next((said[key] for key in ("bits", "weight_bits", "w_bit") if type(said.get(key)) is int), None)
        method = said.get("quant_method", said.get("quant_algo", "a method it does not name"))
        raise InputError(_quantized(folder, f"{method!s:.40}" + (f", {bits} bits" if bits else "")))


def _check_types(folder: Path, tensors: dict[str, Tensor]) -> None:
    """Raise InputError for arrays that are quantized by their names or types."""
    name = next((name for name in tensors if any(word in name for word in _QUANTIZED)), None)
    name = name or next((name for name, each in tensors.items() if _is_packed(name, each.dtype)), None)
    if name is not None:
        raise InputError(_quantized(folder, f"{name[:200]} is {tensors[name].dtype[:20]}"))


def _is_packed(name: str, dtype: str) -> bool:
    """Whether an array is of eight bits or fewer a number, or a weight of whole numbers."""
    return dtype.startswith(("F8", "F6_", "F4")) or (name.endswith(".weight") and dtype.startswith(("I", "U")))


def _quantized(folder: Path, how: str) -> str:
    return (
        f"{folder} holds quantized weights ({how}), which memviz does not read: "
        "take the original weights in float32, bfloat16 or float16"
    )


def check_files(folder: Path) -> None:
    """Raise InputError for a file that leads elsewhere, is no file, or is too large for what it should be.

    Links may stay in the folder or its root, or lead to the blobs beside a snapshot, as the hub's cache has them.
    """
    home = folder.resolve()
    allowed = (home, folder.parent.resolve(), home.parent.parent / "blobs")
    for path in sorted(folder.iterdir()):
        if path.is_symlink() and path.exists():
            target = path.resolve()
            if not any(target.is_relative_to(place) for place in allowed):
                raise InputError(f"{path} is a link out of its folder, to {target}, so it is not read: copy the file")
        if not path.exists() or path.is_dir():
            continue
        if not path.is_file():
            raise InputError(f"{path} is no plain file, so its folder is not read: remove it")
        n_bytes = path.stat().st_size
        if path.suffix in _TEXTS and n_bytes > _MAX_TOKENIZER_BYTES:
            raise InputError(f"{path} has {n_bytes:,} bytes, more than the {_MAX_TOKENIZER_BYTES:,} that are read")
