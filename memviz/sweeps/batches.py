"""Batches as files of their own, with their hash, on any file system that pyarrow reaches: local, S3, GCS, HDFS."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.fs

from memviz import disk
from memviz.errors import Failure, InputError
from memviz.store.files import SUFFIX, decode, encode

_SCHEMES = ("file", "s3", "gs", "hdfs")
_OPTIONS = {"region", "scheme", "endpoint_override"}
"""What a URL may say beside the place; who may write there is told by the environment alone."""
_HASH, _BLANK = re.compile(rb'"sha256":"([0-9a-f]{64})"'), b'"sha256":"' + b"0" * 64 + b'"'


class BatchFiles:
    """What keeps batches in place of a store, in a folder or under a URL; nothing is ever evicted."""

    def __init__(self, place: str) -> None:
        """Raises InputError where the place cannot be used, without repeating what may be secret."""
        self._fs, self._root = _opened(place)
        self.name = place.partition("?")[0]
        """The place in words."""

    @property
    def folder(self) -> Path | None:
        """Where it is a folder of this machine."""
        return Path(self._root) if isinstance(self._fs, pyarrow.fs.LocalFileSystem) else None

    def get(self, key: str) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """Arrays and what is said of them, or None: not there, or not what its hash says. Raises Failure."""
        content = self._read(self._path(key))
        if content is None:
            return None
        found = _HASH.search(content, 0, _header(content))
        if found is None:
            return None
        blank = content[: found.start()] + _BLANK + content[found.end() :]
        if hashlib.sha256(blank).hexdigest().encode() != found[1]:
            return None
        try:
            about = json.loads(content[8 : _header(content)])["__metadata__"]["about"]
            return decode(content), json.loads(about)
        except (ValueError, KeyError, TypeError):
            return None

    def put(self, key: str, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """A file that is there whole or not at all. Raises Failure."""
        content = encode(arrays, {"sha256": "0" * 64, "about": json.dumps(meta)})
        digest = hashlib.sha256(content).hexdigest().encode()
        self._write(self._path(key), content.replace(_BLANK, b'"sha256":"' + digest + b'"', 1))

    def delete(self, key: str) -> bool:
        """False where there is none. Raises Failure."""
        try:
            with self._refusing("changed"):
                self._fs.delete_file(self._path(key))
        except FileNotFoundError:
            return False
        return True

    def keys(self) -> set[str]:
        """Of every batch that is there, its content unchecked. Raises Failure."""
        selector = pyarrow.fs.FileSelector(self._root, allow_not_found=True, recursive=True)
        with self._refusing("read"):
            found = self._fs.get_file_info(selector)
        return {each.base_name.removesuffix(SUFFIX) for each in found if each.base_name.endswith(SUFFIX)}

    def room(self) -> int | None:
        """Bytes that batches may take, those that are there included; None where nobody knows. Raises OSError."""
        if self.folder is None:
            return None
        self.folder.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(self.folder).free + sum(each.stat().st_size for each in self.folder.glob("*/*"))

    def fetch(self, name: str, target: Path) -> bool:
        """Copy a further file to `target`; False where there is none. Raises Failure."""
        with self._refusing("read"):
            if self._fs.get_file_info(f"{self._root}/{name}").type != pyarrow.fs.FileType.File:
                return False
            pyarrow.fs.copy_files(
                f"{self._root}/{name}", str(target), source_filesystem=self._fs,
                destination_filesystem=pyarrow.fs.LocalFileSystem(),
            )  # fmt: skip
        return True

    def bring(self, source: Path, name: str) -> None:
        """Keep a further file, whole or not at all. Raises Failure."""
        if self.folder is not None:
            with disk.new_file(self.folder / name) as new:
                shutil.copyfile(source, new)
            return
        with self._refusing("written"):
            pyarrow.fs.copy_files(
                str(source), f"{self._root}/{name}", source_filesystem=pyarrow.fs.LocalFileSystem(),
                destination_filesystem=self._fs,
            )  # fmt: skip

    def _path(self, key: str) -> str:
        return f"{self._root}/{key[:2]}/{key}{SUFFIX}"

    def _read(self, path: str) -> bytes | None:
        try:
            with self._refusing("read"), self._fs.open_input_file(path) as file:
                return file.read()
        except FileNotFoundError:
            return None

    def _write(self, path: str, content: bytes) -> None:
        if self.folder is not None:
            with disk.new_file(Path(path), self.folder, len(content)) as new:
                new.write_bytes(content)
            return
        moves = isinstance(self._fs, pyarrow.fs.HadoopFileSystem)  # object stores show an object when it is whole
        with self._refusing("written"):
            with self._fs.open_output_stream(path + disk.TEMPORARY if moves else path) as file:
                file.write(content)
            if moves:
                self._fs.move(path + disk.TEMPORARY, path)

    @contextmanager
    def _refusing(self, what: str) -> Iterator[None]:
        """FileNotFoundError passes through."""
        try:
            yield
        except FileNotFoundError:
            raise
        except (OSError, pa.ArrowException) as error:
            said = str(error).splitlines()[0][:200]
            raise Failure(f"the batches in {self.name} cannot be {what} ({said}): see docs/clusters.md") from None


def _header(content: bytes) -> int:
    """Where the header of safetensors bytes ends."""
    return 8 + int.from_bytes(content[:8], "little")


def _opened(place: str) -> tuple[pyarrow.fs.FileSystem, str]:
    """The file system of a place, and the path in it. Raises InputError."""
    if "://" not in place:
        return pyarrow.fs.LocalFileSystem(), str(Path(place).expanduser().absolute())
    parts = urlsplit(place)
    options = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
    if "@" in place or "%40" in place or parts.fragment or not set(options) <= _OPTIONS:
        raise InputError(
            f"a {parts.scheme[:20]} URL for batches may name a place, {', '.join(sorted(_OPTIONS))}, and no user, key "
            "or token: give those in the environment (docs/clusters.md)"
        )
    if parts.scheme not in _SCHEMES:
        raise InputError(f"batches cannot be kept at {parts.scheme[:20]}://: use a folder, {', '.join(_SCHEMES[1:])}")
    try:
        found, root = pyarrow.fs.FileSystem.from_uri(place)
    except (OSError, pa.ArrowException, ValueError) as error:
        raise InputError(f"{place.partition('?')[0]} cannot be opened ({str(error).splitlines()[0][:200]})") from None
    return found, root.rstrip("/")
