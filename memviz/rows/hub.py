"""A data set of the hub, or of a folder, streamed by the library `datasets` into one Parquet file under a name.

Nothing of it is run: no scripts, no archives, only formats of text and numbers; packed files are read up to a limit.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa

from memviz import disk
from memviz.disk import free_bytes, shown_size
from memviz.errors import NO_SPACE, InputError, MemvizError, error_number
from memviz.rows.kept import MANIFEST, ROWS, DataSet, folder_of
from memviz.rows.reading import unpacked
from memviz.rows.writing import Say, refuse_lacking, write
from memviz.settings import Settings
from memviz.store.sizes import refuse_more

FORMATS = ("parquet", "json", "csv", "text", "arrow")
"""Builders of `datasets` that read nothing but text and numbers."""
REFUSED = ("zip", "bz2", "xz", "lz4")
"""Protocols by which `datasets` would look into archives."""
PACKED = {"gzip": "gzip", "zstd": "zstd"}
_REPO = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_CLIENTS = ("httpx", "httpx2", "httpcore", "requests")
"""Libraries that carry requests, whose errors are of no common kind."""
_BATCH = 1000
_LOOKS = 16 * 1024**2  # bytes written between two looks at what the cache holds


@dataclass(frozen=True)
class Asked:
    """Which rows of which data set."""

    source: str
    """owner/name, or a folder that is here."""
    config: str | None = None
    split: str | None = None
    """None: the only one, else `train`."""
    rows: int | None = None
    """So many from the start; None for all."""
    columns: tuple[str, ...] = ()
    """None: every one of text, numbers, or lists of whole numbers."""
    revision: str = "main"

    def __post_init__(self) -> None:
        if self.rows is not None and self.rows < 1:
            raise InputError(f"--rows is {self.rows}: ask for at least 1")
        if not Path(self.source).is_dir() and not _REPO.fullmatch(self.source):
            raise InputError(f"{self.source!r:.100} is no data set: name owner/name of the hub, or a folder")

    @property
    def name(self) -> str:
        """What the data set is called where nothing else is asked for."""
        parts = (PurePosixPath(self.source).name, self.config, self.split)
        return re.sub(r"[^A-Za-z0-9._-]", "-", "-".join(part for part in parts if part))


def add_data_set(asked: Asked, settings: Settings, name: str | None = None, say: Say = lambda said: None) -> DataSet:
    """Fetch rows and keep them under a name. Raises InputError for what cannot be had or is not read, Failure."""
    folder = folder_of(name or asked.name, settings)
    if folder.exists():
        raise InputError(f"there is a data set {folder.name!r} already: take another --name, or remove it first")
    local = Path(asked.source).is_dir()
    if settings.offline and not local:
        raise InputError(f"{asked.source} is on the hub, and MEMVIZ_OFFLINE forbids to ask it")
    refuse_more(settings)
    _load_library()
    commit = None if local else _commit(asked)
    with _guarded(), _told(asked):
        builder = _builder(asked, commit)
        split = _split(asked, builder)
        n_expected = _announce(asked, builder, split, commit, folder, say)
        with disk.new_folder(folder) as new:
            tables = _within(_tables(asked, builder, split), new / ROWS, settings)
            n_rows, schema = write(tables, new / ROWS, asked.source, asked.columns, n_expected, say)
            about = DataSet(
                name=folder.name,
                source=str(Path(asked.source).resolve()) if local else asked.source,
                revision=commit,
                config=asked.config,
                split=split,
                columns={field.name: str(field.type) for field in schema},
                n_rows=n_rows,
                created=datetime.now(UTC).isoformat(timespec="seconds"),
            )
            (new / MANIFEST).write_text(about.model_dump_json(indent=1), "utf-8")
    return about


def _load_library() -> None:
    """Import `datasets` as it shall be: without torch, telemetry, and what it logs beside what it raises."""
    wanted = dict.fromkeys(("USE_TORCH", "USE_TF", "USE_JAX", "HF_UPDATE_DOWNLOAD_COUNTS"), "0")
    wanted |= {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        import datasets
        import huggingface_hub
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    datasets.utils.logging.set_verbosity(logging.CRITICAL)
    huggingface_hub.utils.logging.set_verbosity(logging.ERROR)
    datasets.config.USE_PARQUET_EXPORT = False  # it asks another server


def _commit(asked: Asked) -> str:
    """The hub's commit of a revision, of a repository without code. Raises InputError."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        found = HfApi().dataset_info(asked.source, revision=asked.revision)
    except GatedRepoError:
        raise InputError(
            f"{asked.source} asks to accept its terms: accept them on the hub and set HF_TOKEN to a token of yours"
        ) from None
    except RepositoryNotFoundError:
        raise InputError(
            f"the hub has no data set {asked.source}, or it is private: check the name, or set HF_TOKEN"
        ) from None
    except RevisionNotFoundError:
        raise InputError(f"{asked.source} has no revision {asked.revision!r}: name a branch, tag or commit") from None
    except (HfHubHTTPError, OSError) as error:
        raise InputError(f"{asked.source} cannot be asked for: {_first_line(error)}") from None
    except Exception as error:
        if type(error).__module__.split(".")[0] not in _CLIENTS:
            raise
        raise InputError(f"the hub cannot be reached ({_first_line(error)}): is the network there?") from None
    names = [each.rfilename for each in found.siblings or []]
    _refuse_scripts(asked, names)
    return str(found.sha)


def _refuse_scripts(asked: Asked, names: Sequence[str]) -> None:
    script = f"{PurePosixPath(asked.source).name}.py"
    if script in names:
        raise InputError(
            f"{asked.source} is made by a script of its own ({script}), which memviz does not run: look for a copy of "
            "it as Parquet or JSON"
        )


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


@contextmanager
def _told(asked: Asked) -> Iterator[None]:
    """What `datasets` makes of a repository that cannot be used, in one sentence."""
    from datasets.exceptions import DatasetsError

    try:
        yield
    except MemvizError:
        raise
    except Exception as error:
        kinds = (DatasetsError, ValueError, TypeError, OSError, RuntimeError, pa.ArrowException)
        if not isinstance(error, kinds) and type(error).__module__.split(".")[0] not in _CLIENTS:
            raise
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, InputError):
                raise cause from None
            cause = cause.__cause__ or cause.__context__
        if error_number(error) in NO_SPACE:
            raise
        raise InputError(f"{asked.source} cannot be read: {_first_line(error)}") from None


@contextmanager
def _guarded() -> Iterator[None]:
    """Inside, archives are refused by what they are, and packed files give so many bytes at most."""
    import fsspec
    from datasets.filesystems.compression import GzipFileSystem, ZstdFileSystem

    before = {name: fsspec.get_filesystem_class(name) for name in (*REFUSED, *PACKED)}
    for base in (GzipFileSystem, ZstdFileSystem):
        fsspec.register_implementation(base.protocol, _capped(base), clobber=True)
    for name in REFUSED:
        fsspec.register_implementation(name, _refusing(name), clobber=True)
    try:
        yield
    finally:
        for name, found in before.items():
            fsspec.register_implementation(name, found, clobber=True)


def _capped(base: Any) -> type:
    def open_capped(self: Any, path: str, mode: str = "rb", **options: Any) -> Any:
        del path, mode, options
        return unpacked(
            Path(self.compressed_name), self._open_with_fsspec(compression=None).open(), PACKED[base.protocol]
        )

    return type(f"Capped{base.__name__}", (base,), {"_open": open_capped, "cachable": False})


def _refusing(name: str) -> type:
    from fsspec.spec import AbstractFileSystem

    def refuse(self: Any, fo: str = "", **options: Any) -> None:
        raise InputError(f"{fo or 'a file'} is packed as {name}, which memviz does not look into: unpack it first")

    return type(f"Refused{name.capitalize()}", (AbstractFileSystem,), {"__init__": refuse, "cachable": False})


def _builder(asked: Asked, commit: str | None) -> Any:
    """What reads the data set, of a format that is known, from its own files alone."""
    from datasets import load_dataset_builder

    local = commit is None
    if local:
        _refuse_scripts(asked, [path.name for path in Path(asked.source).iterdir()])
    source = str(Path(asked.source).resolve()) if local else asked.source
    builder = load_dataset_builder(source, asked.config, revision=commit)
    kind = type(builder).__module__.split(".")[-1]
    if kind not in FORMATS:
        raise InputError(
            f"{asked.source} is kept as {kind}, which is not read: its files must be Parquet, JSON, CSV, Arrow or text"
        )
    inside = f"{source}/" if local else f"hf://datasets/{asked.source}@{commit}/"
    for files in (builder.config.data_files or {}).values():
        elsewhere = next((f for f in map(str, files) if not f.startswith(inside) or ".." in f.split("/")), None)
        if elsewhere is not None:
            raise InputError(f"{asked.source} names a file that is not its own ({elsewhere:.100}), so it is not read")
    return builder


def _split(asked: Asked, builder: Any) -> str:
    known = [str(split) for split in builder.config.data_files or {}]
    split = asked.split or (known[0] if len(known) == 1 else "train")
    if split not in known:
        raise InputError(f"{asked.source} has no split {split!r}; it has {', '.join(known) or 'none'}: use --split")
    return split


def _announce(asked: Asked, builder: Any, split: str, commit: str | None, folder: Path, say: Say) -> int | None:
    """Say how much is read and how much room there is; rows that are expected, None where nothing tells.

    Raises InputError where all of it would not fit.
    """
    files = [str(file) for file in builder.config.data_files[split]]
    if commit is None:
        n_bytes = sum(Path(file).stat().st_size for file in files)
    else:
        from huggingface_hub import HfApi

        names = [file.removeprefix(f"hf://datasets/{asked.source}@{commit}/") for file in files]
        found = HfApi().get_paths_info(asked.source, names, revision=commit, repo_type="dataset")
        n_bytes = sum(getattr(each, "size", 0) for each in found)
    said = (builder.info.splits or {}).get(split)
    known = [n for n in (asked.rows, said and said.num_examples) if n]
    free = free_bytes(folder)
    part = "all" if asked.rows is None and not asked.columns else "a part"
    rows = f", {min(known):,} rows" if known else ""
    say(f"reading {part} of {shown_size(n_bytes)} in {len(files)} files{rows}; {shown_size(free)} are free in {folder}")
    if part == "all" and n_bytes > free:
        raise InputError(
            f"{asked.source} has {shown_size(n_bytes)} and {folder} has room for {shown_size(free)}: free space, set "
            "MEMVIZ_CACHE to a larger disk, or take a part with --rows or --columns"
        )
    return min(known) if known else None


def _tables(asked: Asked, builder: Any, split: str) -> Iterator[pa.Table]:
    stream = builder.as_streaming_dataset(split)
    if asked.columns and stream.column_names:  # a Parquet file says what it has, and can give less of it
        refuse_lacking(asked.source, asked.columns, stream.column_names)
        builder.config.columns = list(asked.columns)
        stream = builder.as_streaming_dataset(split)
    stream = stream.with_format("arrow")
    if asked.rows is not None:
        stream = stream.take(asked.rows)
    yield from stream.iter(batch_size=_BATCH)


def _within(tables: Iterable[pa.Table], path: Path, settings: Settings) -> Iterator[pa.Table]:
    """The tables while they are written to a file of the cache. Raises Failure once that passes the cache's limit."""
    looked = 0
    for table in tables:
        yield table
        if path.stat().st_size - looked >= _LOOKS:
            looked = path.stat().st_size
            refuse_more(settings)
    refuse_more(settings)
