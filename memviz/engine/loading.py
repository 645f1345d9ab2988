"""Loading a prepared model: vetted, in a stated precision, on a chosen device, after its memory was estimated."""

from __future__ import annotations

import gc
import logging
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

from memviz.catalog import Card, ModelError, count_parameters, memory_needed, read_json, weight_files
from memviz.engine.devices import free_memory

log = logging.getLogger(__name__)
_ATTENTION = {None, "eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention"}


@dataclass(frozen=True)
class Loaded:
    """A model in memory, with what its numbers depend on."""

    model: PreTrainedModel
    card: Card
    dtype: str
    device: torch.device


def _entries(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key of nested JSON objects with its value."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key, inner
            yield from _entries(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _entries(inner)


def vet_folder(folder: Path) -> dict[str, Any]:
    """config.json of a folder that asks for no code of its own. Raises ModelError naming what it asks for.

    `auto_map` is ignored where transformers has the model type itself, for then its code is never looked at.
    """
    config = read_json(folder / "config.json")
    kind = config.get("model_type")
    native = isinstance(kind, str) and kind in CONFIG_MAPPING_NAMES
    also = folder / "generation_config.json"
    for key, value in [*_entries(config), *(_entries(read_json(also)) if also.is_file() else ())]:
        if key == "custom_generate":
            raise ModelError(f"{folder} asks for code of its own (custom_generate), which memviz does not run")
        if key.startswith(("_attn_implementation", "attn_implementation")) and not isinstance(value, bool):
            wanted = value.values() if isinstance(value, dict) else [value]
            if any(name not in _ATTENTION for name in wanted):
                raise ModelError(
                    f"{folder} asks for an attention kernel from elsewhere ({key} = {value!r}), which memviz does not run"
                )
        if key == "auto_map" and not native:
            raise ModelError(
                f"{folder} needs code of its own (auto_map, model_type {kind!r}), which memviz does not run: "
                "use a model whose type transformers has itself"
            )
    if not native:
        raise ModelError(f"{folder} has model_type {kind!r}, which this version of transformers does not know")
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        for name in set(map(str, read_json(index).get("weight_map", {}).values())):
            if Path(name).name != name:
                raise ModelError(f"{index} points outside its folder ({name!r}), so it is not read")
    for file in weight_files(folder):
        if not file.resolve().is_file():
            raise ModelError(f"{file} is a broken link: fetch or copy the model again")
    return config


def load_model(card: Card, dtype: str, device: torch.device) -> Loaded:
    """Load a prepared model. Raises ModelError where it does not fit into free memory or cannot be read."""
    folder = Path(card.folder)
    vet_folder(folder)
    needed, free = memory_needed(count_parameters(folder), dtype), free_memory(device)
    if needed > free:
        raise ModelError(
            f"{card.name} needs about {needed / 1e9:.1f} GB in {dtype}; {free / 1e9:.1f} GB are free on {device.type}: "
            "choose a smaller model or another dtype"
        )
    start = time.perf_counter()
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    options: dict[str, Any] = {
        "config": config,
        "dtype": getattr(torch, dtype),
        "use_safetensors": True,
        "trust_remote_code": False,
        "local_files_only": True,
    }
    try:
        try:
            model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="sdpa", **options)
        except ValueError as error:
            if "scaled_dot_product_attention" not in str(error):
                raise
            model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", **options)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(f"{card.name} in {folder} cannot be loaded: {first_line}") from None
    model = model.to(device).eval().requires_grad_(False)
    log.info("loaded %s as %s on %s in %.1f s", card.name, dtype, device.type, time.perf_counter() - start)
    return Loaded(model, card, dtype, device)


class Residents:
    """The models kept in memory, at most `limit`; the least recently used is freed before the next is loaded."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._models: OrderedDict[tuple[str, str, str], Loaded] = OrderedDict()

    def get(self, card: Card, dtype: str, device: torch.device) -> Loaded:
        """A loaded model, from memory where it is there. Raises ModelError as `load_model`."""
        key = (card.weights, dtype, str(device))
        if key in self._models:
            self._models.move_to_end(key)
            return self._models[key]
        while len(self._models) >= self._limit:
            self._free_oldest(device)
        while True:
            try:
                self._models[key] = load_model(card, dtype, device)
                return self._models[key]
            except ModelError:
                if not self._models:
                    raise
                self._free_oldest(device)

    def names(self) -> list[str]:
        """Names of the models in memory, least recently used first."""
        return [loaded.card.name for loaded in self._models.values()]

    def _free_oldest(self, device: torch.device) -> None:
        _, loaded = self._models.popitem(last=False)
        log.info("freed %s", loaded.card.name)
        del loaded
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()
