"""Loading a prepared model: vetted, in a stated precision, on a chosen device, after its memory was estimated."""

from __future__ import annotations

import gc
import logging
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from memviz.catalog import Card
from memviz.engine.assembling import assemble
from memviz.engine.devices import devices_beside, free_memory
from memviz.engine.layers import Head, separate_head
from memviz.engine.turns import GATE
from memviz.engine.vetting import vet_folder
from memviz.errors import InputError
from memviz.weights import count_parameters, memory_needed

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Loaded:
    """A model in memory, with what its numbers depend on."""

    model: PreTrainedModel
    card: Card
    dtype: str
    device: torch.device
    made: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """What is made of it at the first need and serves its next questions, by name."""

    @property
    def n_devices(self) -> int:
        """Devices over which it is split."""
        return max(1, len(set((getattr(self.model, "hf_device_map", None) or {}).values())))

    @property
    def split_words(self) -> str:
        """What is said of a split model, nothing of another."""
        return f", split over {self.n_devices} devices: slower" if self.n_devices > 1 else ""

    @cached_property
    def head(self) -> Head | None:
        """As `separate_head` says; found at the first need."""
        return separate_head(self.model)


def first_line(error: Exception) -> str:
    """What a library says of a failure, as far as one sentence carries it."""
    if isinstance(error, KeyError):  # which says the key alone
        return f"there is no {error}"
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


def load_model(card: Card, dtype: str, device: torch.device) -> Loaded:
    """Load a prepared model. Raises InputError where it does not fit into free memory or cannot be read."""
    folder = Path(card.folder)
    vet_folder(folder)
    held = dtype if card.adapter is None else "float32"  # an adapter is merged there
    needed, free = memory_needed(count_parameters(folder), held), free_memory(device)
    places = {} if needed <= free or card.adapter else _places(device, needed)
    if needed > free and not places:
        raise InputError(
            f"{card.name} needs about {needed / 1e9:.1f} GB in {dtype}; {free / 1e9:.1f} GB are free on {device.type}: "
            "choose a smaller model or another dtype"
        )
    start = time.perf_counter()
    try:
        with GATE.alone():  # the default dtype is another one meanwhile
            model = _assemble(card, getattr(torch, dtype), places)
            model = (model if places else model.to(device)).eval().requires_grad_(False)
    except InputError:
        raise
    except Exception as error:  # whatever a library makes of files that nobody vouches for
        raise InputError(f"{card.name} in {folder} cannot be loaded: {first_line(error)}") from None
    model.config.use_cache = card.way != "whole"
    loaded = Loaded(model, card, dtype, device)
    where = device.type + loaded.split_words
    log.info("loaded %s as %s on %s in %.1f s", card.name, dtype, where, time.perf_counter() - start)
    return loaded


def _places(device: torch.device, needed: int) -> dict[int, int]:
    """GPU -> bytes that a model may take there, where several like this one hold what it alone does not; else none."""
    free = {each.index: free_memory(each) for each in (device, *map(torch.device, devices_beside(device)))}
    return free if len(free) > 1 and needed <= sum(free.values()) else {}


def _assemble(card: Card, dtype: torch.dtype, places: Mapping[int, int]) -> PreTrainedModel:
    if card.adapter is None:
        return assemble(Path(card.folder), dtype, places)
    from memviz.engine.adapters import merge

    return merge(assemble(Path(card.folder), torch.float32), Path(card.adapter)).to(dtype)


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

    def keep(self, loaded: Loaded) -> Loaded:
        """Take what is now known of a model that is in memory."""
        self._models[(loaded.card.weights, loaded.dtype, str(loaded.device))] = loaded
        return loaded

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
