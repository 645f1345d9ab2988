"""GGUF files as folders in Hugging Face layout, converted to float32 once."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from memviz.catalog import Gguf, Model, Package, site_files
from memviz.disk import new_folder
from memviz.engine.fetching import Say
from memviz.engine.loading import first_line
from memviz.engine.turns import GATE
from memviz.errors import InputError, error_number
from memviz.settings import Settings
from memviz.weights import count_parameters, read_json


def convert_package(model: Model, source: Package, settings: Settings, say: Say, accepted: bool) -> Path:
    """The folder of a model that Python packages carry, converted where it is not there. Raises InputError."""
    folder = settings.cache / "models" / model.slug
    try:
        count_parameters(folder)
        read_json(folder / "config.json")
    except InputError:
        if source.terms and not accepted:
            raise InputError(
                f"{model.name} comes under the {model.licence}: read them with `memviz models add {model.name}`, "
                f"then add --accept-licence"
            ) from None
        say(f"converting {model.name}, the first time only")
        _join_and_convert(model, source, folder)
    return folder


def _join_and_convert(model: Model, source: Package, folder: Path) -> None:
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
        _convert(joined, new)


def converted(model: Model, source: Gguf, settings: Settings, say: Say) -> Path:
    """The folder into which a GGUF file was converted, done anew where the file is another one. Raises InputError."""
    stat = source.path.stat()
    folder = settings.cache / "models" / f"{model.slug}-{stat.st_size}-{stat.st_mtime_ns}"
    if not (folder / "config.json").is_file():
        say(f"converting {model.name}, the first time only")
        for older in folder.parent.glob(f"{model.slug}-*"):
            shutil.rmtree(older, ignore_errors=True)
        with new_folder(folder) as new, _scratch(folder) as scratch:
            alone = Path(scratch, "model.gguf")  # transformers looks at what lies beside it, such as adapters
            try:
                alone.symlink_to(source.path.resolve())
                _convert(alone, new)
            except Exception as error:  # whatever a library makes of files that nobody vouches for
                if error_number(error):
                    raise
                raise InputError(f"{source.path} cannot be converted: {first_line(error)}") from None
    return folder


def _convert(file: Path, new: Path) -> None:
    """Lay a GGUF file's model into a folder, in float32 and Hugging Face layout."""
    with GATE.alone(), _read_once():
        loaded = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    vars(loaded.config).pop("quantization_config", None)  # the weights are plain float32 from here on
    clean = type(loaded)(loaded.config)  # a model read from GGUF refuses to be saved
    clean.load_state_dict(loaded.state_dict())
    clean.save_pretrained(new)
    tokenizer.save_pretrained(new)


@contextmanager
def _read_once() -> Iterator[None]:
    """transformers reads a file's metadata three times and makes its table of names once a module: most of the time."""
    import gguf

    plain: tuple[Any, ...] = (gguf.GGUFReader, gguf.get_tensor_name_map)
    for name, value in zip(("GGUFReader", "get_tensor_name_map"), plain, strict=True):
        setattr(gguf, name, cache(value))
    try:
        yield
    finally:
        for name, value in zip(("GGUFReader", "get_tensor_name_map"), plain, strict=True):
            setattr(gguf, name, value)


def _scratch(folder: Path) -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent)
