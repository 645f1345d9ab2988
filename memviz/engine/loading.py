"""Loading a prepared model: vetted, in a stated precision, on a chosen device, after its memory was estimated."""

from __future__ import annotations

import copy
import gc
import logging
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

from memviz.catalog import Card
from memviz.engine.devices import free_memory
from memviz.engine.layers import Head, separate_head
from memviz.errors import InputError
from memviz.weights import count_parameters, count_tensors, memory_needed, read_json

log = logging.getLogger(__name__)
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


@dataclass(frozen=True)
class Loaded:
    """A model in memory, with what its numbers depend on."""

    model: PreTrainedModel
    card: Card
    dtype: str
    device: torch.device

    @cached_property
    def head(self) -> Head | None:
        """As `separate_head` says; found at the first need."""
        return separate_head(self.model)


def first_line(error: Exception) -> str:
    """What a library says of a failure, as far as one sentence carries it."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


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
    _check_files(folder)
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
    n_arrays = count_tensors(folder)
    for key, value in _entries(folder / "config.json"):
        if key in _LAYERS and type(value) is int and value > n_arrays:  # each one would be built
            raise InputError(
                f"{folder / 'config.json'} speaks of {value:,} layers ({key}), the weights are {n_arrays:,} arrays: "
                "fetch or copy the model again"
            )
    return config


def _check_files(folder: Path) -> None:
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


def _check_size(folder: Path, config: PretrainedConfig) -> None:
    """Raise InputError where a configuration describes far more than the weights hold: lacking ones would be made."""
    n_weights = count_parameters(folder)
    with torch.device("meta"):  # an outline, without memory
        outline = AutoModelForCausalLM.from_config(copy.deepcopy(config), attn_implementation="eager")
    n_described = sum(parameter.numel() for parameter in outline.parameters())
    if n_described > 2 * n_weights:
        raise InputError(
            f"{folder / 'config.json'} describes {n_described:,} parameters, the weights are {n_weights:,}: "
            "fetch or copy the model again"
        )


def load_model(card: Card, dtype: str, device: torch.device) -> Loaded:
    """Load a prepared model. Raises InputError where it does not fit into free memory or cannot be read."""
    folder = Path(card.folder)
    vet_folder(folder)
    needed, free = memory_needed(count_parameters(folder), dtype), free_memory(device)
    if needed > free:
        raise InputError(
            f"{card.name} needs about {needed / 1e9:.1f} GB in {dtype}; {free / 1e9:.1f} GB are free on {device.type}: "
            "choose a smaller model or another dtype"
        )
    start = time.perf_counter()
    try:
        model, info = _read(folder, dtype)
        model = model.to(device).eval().requires_grad_(False)
    except InputError:
        raise
    except Exception as error:  # whatever a library makes of files that nobody vouches for
        raise InputError(f"{card.name} in {folder} cannot be loaded: {first_line(error)}") from None
    lacking = sorted({*info["missing_keys"], *(str(key[0]) for key in info["mismatched_keys"])})
    if lacking:  # transformers would go on with random numbers
        raise InputError(
            f"{folder} lacks {len(lacking)} of the weights of {card.name}, such as {lacking[0]}: "
            "fetch or copy the model again"
        )
    log.info("loaded %s as %s on %s in %.1f s", card.name, dtype, device.type, time.perf_counter() - start)
    return Loaded(model, card, dtype, device)


def _read(folder: Path, dtype: str) -> tuple[PreTrainedModel, dict[str, Any]]:
    """The model of a vetted folder, and what transformers says of its weights."""
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    _check_size(folder, config)
    options: dict[str, Any] = {
        "config": config,
        "dtype": getattr(torch, dtype),
        "use_safetensors": True,
        "trust_remote_code": False,
        "local_files_only": True,
        "output_loading_info": True,
    }
    try:
        return AutoModelForCausalLM.from_pretrained(folder, attn_implementation="sdpa", **options)
    except ValueError as error:
        if "scaled_dot_product_attention" not in str(error):
            raise
        return AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", **options)


class Residents:
    """The models kept in memory, at most `limit`; the least recently used is freed before the next is loaded."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._models: OrderedDict[tuple[str, str, str], Loaded] = OrderedDict()

    def get(self, card: Card, dtype: str, device: torch.device) -> Loaded:
        """A loaded model, from memory where it is there. Raises InputError as `load_model`."""
        key = (card.weights, dtype, str(device))
        if key in self._models:
            self._models.move_to_end(key)
            return self._models[key]
        while len(self._models) >= self._limit:
            self._free_oldest(device)
        while True:
            try:
                self._models[key] = load_model(card, dtype, device)
                break
            except InputError:
                if not self._models:
                    raise
                self._free_oldest(device)
        return self._models[key]

    def names(self) -> list[str]:
        """Names of the models in memory, least recently used first."""
        return [loaded.card.name for loaded in tuple(self._models.values())]  # pages ask while the worker loads

    def _free_oldest(self, device: torch.device) -> None:
        _, loaded = self._models.popitem(last=False)
        log.info("freed %s", loaded.card.name)
        del loaded
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()
