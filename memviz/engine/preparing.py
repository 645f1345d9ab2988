"""Making a model ready: found or converted, examined, and described by a card in the cache.

What a page needs (token ids of a text, weight identity, limits) is in the card and in the tokenizer.json beside it,
so that pages neither import torch nor hash weights.
"""

from __future__ import annotations

import gc
import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from transformers import AutoConfig

from memviz.catalog import (
    CARD,
    Adapter,
    Card,
    Folder,
    Gguf,
    Hub,
    Model,
    Package,
    base_among,
    card_folder,
    known_models,
    read_card,
    twins,
    write_card,
)
from memviz.disk import new_folder, refusing
from memviz.engine.adapters import vet_adapter
from memviz.engine.converting import convert_package, converted
from memviz.engine.devices import choose_device, free_memory
from memviz.engine.examination import examine, with_finding
from memviz.engine.fetching import Say, add_package, fetch, forbid_offline, quiet, snapshot
from memviz.engine.loading import first_line, load_model
from memviz.engine.tokenizing import has_tokenizer, keep_tokenizer
from memviz.engine.vetting import vet_folder
from memviz.errors import InputError
from memviz.settings import Settings
from memviz.weights import (
    ADAPTER_FILES,
    ADAPTER_WEIGHTS,
    count_parameters,
    file_digest,
    fingerprint,
    lasting,
    memory_needed,
    read_json,
    tokenizer_files,
    weight_files,
    weight_hash,
    weight_identity,
)

log = logging.getLogger(__name__)
_LARGE = 100_000_000
"""Parameters from which on a model is freed at once; looking through all objects takes seconds."""


def add_model(model: Model, settings: Settings, accept_licence: bool, say: Say = print) -> Card:
    """Fetch a model and prepare it, its terms shown first. Raises InputError, Failure."""
    source = model.source
    if isinstance(source, Package):
        add_package(model, source, settings, accept_licence, say)
    elif isinstance(source, Hub):
        forbid_offline(model, settings)
        commit = fetch(model, source, say)
        card = read_card(model, settings)
        if card and card.revision != commit:  # a branch that has moved on
            shutil.rmtree(card_folder(model, settings), ignore_errors=True)
    return prepare(model, settings, say, accepted=accept_licence)


def prepare(model: Model, settings: Settings, say: Say = quiet, accepted: bool = False) -> Card:
    """The card of a model, made where it is not there yet; `accepted` says that its terms were.

    Raises InputError where the model is not on this machine or not to be trusted, Failure.
    """
    card = read_card(model, settings)
    if card:
        return card
    target = card_folder(model, settings)
    with refusing(settings.cache):
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{target}.lock")
        lock.acquire()
    try:
        card = read_card(model, settings)
        if card:
            return card
        folder, revision = _find_files(model, settings, say, accepted)
        config = vet_folder(folder)
        say(f"reading {model.name}: tokenizer and weight identity")
        with new_folder(target) as new:
            card = examined(_describe(model, folder, revision, config, new), settings, say)
            write_card(_shared(card, settings), new / CARD)
    finally:
        lock.release()
    log.info("prepared %s", model.name)
    return card


def examined(card: Card, settings: Settings, say: Say = quiet) -> Card:
    """The card with what an examination in float32 finds; as it is where the model does not fit into free memory.

    Raises InputError, Failure.
    """
    device = choose_device(settings.device)
    if memory_needed(card.n_parameters, "float32") > free_memory(device):
        say(f"{card.name} does not fit into memory in float32: it is examined when it is first loaded")
        return card
    say(f"examining {card.name}")
    try:
        return with_finding(card, examine(load_model(card, "float32", device)))
    except torch.OutOfMemoryError:
        return card
    finally:
        if card.n_parameters > _LARGE:
            gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()


def _find_files(model: Model, settings: Settings, say: Say, accepted: bool) -> tuple[Path, str]:
    """Folder in Hugging Face layout and revision."""
    source = model.source
    if isinstance(source, Folder):
        return source.path, "local"
    if isinstance(source, Hub):
        return snapshot(model, source)
    if isinstance(source, Gguf):
        return converted(model, source, settings, say), "local"
    if isinstance(source, Package):
        return convert_package(model, source, settings, say, accepted), f"gguf {source.sha256[:12]}"
    base = base_among(source, known_models(settings))
    if base is None:
        raise InputError(
            f"{model.name} is an adapter for {source.base or 'a model that it does not name'}, which is not among the "
            "models here: put that model under a root of MEMVIZ_MODEL_ROOTS by this name, or `memviz models add` it"
        )
    return Path(prepare(base, settings, say, accepted).folder), "local"


def _shared(card: Card, settings: Settings) -> Card:
    """The card with what it shares with a model that is ready: where nothing else differs, its results too."""
    for name, other in twins(card, settings):
        card = replace(card, remarks=[*card.remarks, f"its weights are those of {name}, byte for byte"])
        configs = [lasting(read_json(Path(each.folder) / "config.json")) for each in (card, other)]
        if configs[0] == configs[1] and card.adapter is None and other.adapter is None:
            return replace(card, weights=other.weights)
    return card


def _describe(model: Model, folder: Path, revision: str, config: dict[str, Any], new: Path) -> Card:
    try:
        text_config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        text_config = text_config.get_text_config()
        vocab_size, limit = int(text_config.vocab_size), getattr(text_config, "max_position_embeddings", None)
        n_positions = None if limit is None else int(limit)
    except Exception as error:
        raise InputError(f"{folder / 'config.json'} is not understood: {first_line(error)}") from None
    source, adapter, sources = model.source, None, []
    is_blob = folder.parent.name == "snapshots" and not isinstance(source, Folder)
    digests = [file_digest(file, is_blob) for file in weight_files(folder)]
    tokenizer_folder = folder
    if isinstance(source, Gguf):
        sources = [str(source.path)]
    if isinstance(source, Adapter):
        own = [*(source.path / name for name in ADAPTER_FILES), *tokenizer_files(source.path)]
        adapter, sources = str(source.path), [str(file) for file in dict.fromkeys(own)]
        config = config | {"adapter": vet_adapter(source.path)}
        digests.append(file_digest(source.path / ADAPTER_WEIGHTS))
        tokenizer_folder = source.path if has_tokenizer(source.path) else folder
    leading_ids, eos_id, remarks = keep_tokenizer(tokenizer_folder, new)
    eos: int | list[int] = next((ids for ids in (config.get("eos_token_id"), eos_id) if ids is not None), [])
    return Card(
        name=model.name,
        label=model.label,
        folder=str(folder),
        revision=revision,
        weights=f"{source.repo}@{revision}" if isinstance(source, Hub) else weight_identity(config, digests),
        fingerprint=fingerprint(folder, sources),
        n_parameters=count_parameters(folder),
        vocab_size=vocab_size,
        n_positions=n_positions,
        leading_ids=leading_ids,
        eos_ids=[eos] if isinstance(eos, int) else list(eos),
        weight_hash=weight_hash(digests),
        remarks=remarks,
        adapter=adapter,
        sources=sources,
    )
