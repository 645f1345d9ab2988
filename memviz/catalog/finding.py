"""Which models exist here, and which one a name means. No torch, no network."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from memviz.catalog import sources
from memviz.catalog.cards import CARD
from memviz.catalog.former import former
from memviz.catalog.sources import (
    EMBEDDED,
    PYTHIA_SIZES,
    Adapter,
    Folder,
    Gguf,
    Hub,
    Model,
    pythia,
)
from memviz.errors import InputError
from memviz.settings import Settings
from memviz.weights import ADAPTER_CONFIG, read_json

_FACTS = ("label", "licence", "corpus", "index", "family", "size")
_NUMBERS = ("step", "n_steps", "seed", "n_parameters")
_MAX_FACT, _MAX_NUMBER = 200, 2**53


def _models_in(path: Path) -> Iterator[Model]:
    """The models of one entry of a root: a folder's, its adapter's, and those of GGUF files.

    Where an adapter lies beside whole weights, the folder's name is the model with it, NAME@base the one without.
    """
    if path.suffix == ".gguf" and path.is_file():
        yield _described(path.parent, path.stem, Gguf(path), alone=True)
        return
    has_config, is_adapter = (path / "config.json").is_file(), (path / ADAPTER_CONFIG).is_file()
    if is_adapter:
        is_whole = has_config and any(path.glob("model*.safetensors*"))
        wanted = f"{path.name}@base" if is_whole else _wanted_base(path)
        model = _described(path, path.name, Adapter(path, wanted))
        yield replace(model, label=f"{model.label} (adapter on {wanted})") if model.label == path.name else model
        if is_whole:
            yield replace(_described(path, f"{path.name}@base", Folder(path)), label=f"{path.name} without its adapter")
        return
    files = [] if has_config and any(path.glob("*.safetensors")) else sorted(path.glob("*.gguf"))
    if has_config and not files:
        yield _described(path, path.name, Folder(path))
    for file in files:
        yield _described(path, file.stem, Gguf(file))


def _wanted_base(path: Path) -> str:
    """The name that an adapter gives its base, shortened to what can be shown; empty where it gives none."""
    try:
        said = read_json(path / ADAPTER_CONFIG)
    except InputError:
        return ""
    name, revision = said.get("base_model_name_or_path"), said.get("revision")
    wanted = f"{name}@{revision}" if isinstance(revision, str) and revision != "main" else name
    return wanted[:_MAX_FACT] if isinstance(wanted, str) and _is_text(wanted) else ""


def base_among(adapter: Adapter, models: Iterable[Model]) -> Model | None:
    """The model that an adapter was made for: by its name, its repository, or the last part of either."""
    whole = [model for model in models if not isinstance(model.source, Adapter)]
    for wanted in (adapter.base, adapter.base.rstrip("/").rpartition("/")[2]):
        for model in whole:
            repo = f"{model.source.repo}@{model.source.revision}" if isinstance(model.source, Hub) else model.name
            if wanted in (model.name, repo.removesuffix("@main")):
                return model
    return None


def _described(path: Path, name: str, source: Folder | Gguf | Adapter, alone: bool = False) -> Model:
    """A model in a folder, with what its memviz.json says of it; a file that cannot be used says nothing."""
    model = Model(name, name, source, "see its folder", "not known to memviz")
    if alone:
        return model
    if not (path / "memviz.json").is_file():
        return model
    try:
        said = read_json(path / "memviz.json")
    except InputError:
        return model
    words = {name: said[name] for name in _FACTS if isinstance(said.get(name), str)}
    facts: dict[str, Any] = {name: word[:_MAX_FACT] for name, word in words.items() if word.isprintable()}
    if not re.fullmatch(r"\w[\w.-]*", facts.get("index", "")):  # it becomes the name of a folder
        facts.pop("index", None)
    numbers = {name: said[name] for name in _NUMBERS if type(said.get(name)) is int}
    return replace(model, **facts | {name: n for name, n in numbers.items() if 0 <= n <= _MAX_NUMBER})


def local_models(settings: Settings) -> Iterator[Model]:
    """Models in subfolders of the configured roots, then the suite's; of two with one name, the first.

    Folders whose names cannot be shown as they are, with line breaks, control characters or marks of Markdown and
    HTML, are left out.
    """
    seen: set[str] = set()
    for root in (*settings.model_roots, sources.SUITE_MODELS):
        for path in _folders(root):
            for model in _models_in(path) if _is_text(path.name) else ():
                if model.name not in seen and _is_text(model.name):
                    seen.add(model.name)
                    yield model


def _is_text(name: str) -> bool:
    return name.isprintable() and not set(name) & set("[]<>`$\\|")


def _folders(root: Path) -> list[Path]:
    """What lies in a folder; nothing where it is none, cannot be read, or was removed just now."""
    try:
        return sorted(root.iterdir())
    except OSError:
        return []


def added_models(settings: Settings) -> Iterator[Model]:
    """Models of the hub that were prepared under a name of their own, `name@revision` or `owner/name`."""
    for path in sorted((settings.cache / "cards").glob(f"*/{CARD}")):
        try:
            model = _hub_model(str(read_json(path).get("name")))
        except InputError:
            continue
        if model:
            yield model


def known_models(settings: Settings) -> list[Model]:
    """Every model that can be listed: local folders first, then the embedded ones, Pythia, and what was added."""
    presets = (pythia(size) for size in PYTHIA_SIZES)
    models = [*local_models(settings), *EMBEDDED, *presets, *added_models(settings)]
    return list({model.name: model for model in reversed(models)}.values())[::-1]


def find_model(name: str, settings: Settings) -> Model:
    """The model of a name: a catalog name, `name@revision`, or a hub id `owner/name[@revision]`.

    Raises InputError for a name that is none of these.
    """
    for model in known_models(settings):
        if model.name == name:
            return model
    if ".." in name or name.startswith(("/", "~", ".")) or not _is_text(name):
        raise InputError(
            f"model {name[:200]!r} is not a name: give a name of `memviz models`, or put the folder under a root of "
            "MEMVIZ_MODEL_ROOTS and give the folder's name"
        )
    found = _hub_model(name)
    if found is None:
        known = ", ".join(model.name for model in known_models(settings))
        raise InputError(
            former(name)
            or f"model {name[:200]!r} is unknown: known are {known}, "
            "a hub id like owner/name@revision, or a folder under a root of MEMVIZ_MODEL_ROOTS"
        )
    return found


def _hub_model(name: str) -> Model | None:
    """The model of a Pythia name with a revision, or of a hub id."""
    base, _, revision = name.partition("@")
    preset = re.fullmatch(r"pythia-(.+)-deduped", base)
    if preset and preset[1] in PYTHIA_SIZES and re.fullmatch(r"main|step\d+|[0-9a-f]{40}", revision):
        return pythia(preset[1], revision)
    if re.fullmatch(r"[\w.-]+/[\w.-]+", base) and re.fullmatch(r"[\w./-]*", revision):
        return Model(name, name, Hub(base, revision or "main"), "see its hub page", "not known to memviz")
    return None
