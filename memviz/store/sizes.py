"""How much each folder of the cache holds, and a refusal where what is never deleted by itself has grown too large."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from memviz.errors import Failure
from memviz.settings import Settings

KEPT = ("sweeps", "corpora", "predictors", "row-sets", "data", "tour")
"""Folders of what people made; only they delete it."""


def folder_sizes(cache: Path) -> Counter[str]:
    """Bytes of each folder that lies directly in the cache."""
    n_bytes: Counter[str] = Counter()
    for folder, _, files in os.walk(cache):
        part = Path(folder).relative_to(cache).parts[:1]
        for file in files if part else ():
            with suppress(OSError):  # removed meanwhile
                n_bytes[part[0]] += os.lstat(Path(folder, file)).st_size
    return n_bytes


def kept_bytes(sizes: Mapping[str, int]) -> int:
    """Of what people made, by the sizes of the cache's folders."""
    return sum(sizes.get(name, 0) for name in KEPT)


def refuse_more(settings: Settings, where: Path | None = None) -> None:
    """Raise Failure where what was made and is kept has passed the limit of the cache.

    where: a folder to be written to; outside of the cache there is no limit.
    """
    if where is not None and not where.resolve().is_relative_to(settings.cache.resolve()):
        return
    sizes = folder_sizes(settings.cache)
    held, limit = kept_bytes(sizes), int(settings.cache_limit)
    if held > limit:
        largest = max(KEPT, key=lambda name: sizes[name])
        raise Failure(
            f"sweeps, corpora, predictors and rows in {settings.cache} are {held / 1e6:,.0f} MB ({largest} most of "
            f"them), more than MEMVIZ_CACHE_LIMIT of {limit / 1e6:,.0f} MB: delete some of them, or raise it"
        )
