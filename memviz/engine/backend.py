"""One process's engine: the device, the models it keeps in memory, and what was measured about them."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from memviz import disk
from memviz.catalog import Card, find_model, keep_card
from memviz.engine.devices import choose_device, device_name, devices_beside, place_of, use_exact_float32
from memviz.engine.examination import examine, with_finding
from memviz.engine.loading import Loaded, Residents
from memviz.engine.noise import NOISE, measure_logit_noise
from memviz.errors import Failure
from memviz.settings import Settings

log = logging.getLogger(__name__)


class Backend:
    """Loads models on the configured device and keeps them; used by one thread at a time."""

    def __init__(self, settings: Settings, n_spare_cores: int = 0) -> None:
        use_exact_float32(n_spare_cores)
        self.settings = settings
        self.device = choose_device(settings.device)
        self.residents = Residents(settings.resident_models)
        self._split_words = ""
        """Of the model that was asked for last."""

    def load(self, card: Card, dtype: str) -> Loaded:
        """A model in memory, examined before anything is read from it. Raises InputError, Failure."""
        loaded = self.residents.get(card, dtype, self.device)
        if loaded.card.examination is None and card.examination is None:  # it did not fit when it was made ready
            loaded = self.residents.keep(replace(loaded, card=with_finding(card, examine(loaded))))
            keep_card(loaded.card, find_model(card.name, self.settings), self.settings)
            loaded.model.config.use_cache = loaded.card.way != "whole"
        self._split_words = loaded.split_words
        return loaded

    def logit_noise(self, loaded: Loaded) -> float:
        """Logit units; measured once for a model, dtype and kind of device, then read from the cache.

        Raises Failure.
        """
        name = f"{NOISE}-{loaded.card.weights}-{loaded.dtype}-{loaded.device.type}-{platform.machine()}"
        path = self.settings.cache / "noise" / (hashlib.sha256(name.encode()).hexdigest()[:24] + ".json")
        try:
            noise = float(json.loads(path.read_text())["logit_noise"])
            if not 0 <= noise < math.inf:
                raise ValueError(f"noise {noise}")
            return noise
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            start = time.perf_counter()
            noise = measure_logit_noise(loaded)
            log.info("measured logit noise %.1e in %.1f s", noise, time.perf_counter() - start)
            try:
                disk.write_text(path, json.dumps({"what": name, "logit_noise": noise}))
            except Failure as error:  # it is measured again next time
                log.warning("%s", error)
            return noise

    @property
    def where(self) -> tuple[str, str]:
        """The device's kind, and the device in words."""
        return self.device.type, device_name(self.device)

    @property
    def others(self) -> list[str]:
        """Further devices like this one, by name, unless a setting names one by its number."""
        return devices_beside(self.device) if self.settings.device in ("auto", self.device.type) else []

    @property
    def place(self) -> str:
        """What locks call the device."""
        return place_of(self.device)

    def provenance(
        self, models: Mapping[str, str], dtype: str, seconds: float, libraries: Sequence[str] = ()
    ) -> dict[str, Any]:
        """What is shown beside a result and never hashed. models: what is said of those it is about."""
        return {
            **models,
            "dtype": dtype,
            "device": self.where[1] + self._split_words,
            "versions": {name: version(name) for name in ("torch", "transformers", "numpy", *libraries)},
            "seconds": round(seconds, 3),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        }
