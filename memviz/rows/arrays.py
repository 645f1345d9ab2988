"""Token ids in arrays: .npy files, and .bin files whose width is told, found beside them, or recognised; never guessed.

Headers: llm.c's `data_common.py` (magic number, version, count), Megatron-LM's `indexed_dataset.py` (.idx files).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from memviz.errors import InputError
from memviz.rows.layout import DTYPES, File, Record
from memviz.rows.tables import label_of

BENCHMARK = re.compile(r"(train|val|test)_prefix\.npy")
"""Files of the LM extraction benchmark behind whose rows those of NAME_suffix.npy belong."""
LLM_C = {20240520: "uint16", 20240801: "uint32"}
"""First number of a header of 256 int32 -> width of the ids behind it."""
NPY = b"\x93NUMPY"
MEGATRON, MEGATRON_DTYPES = b"MMIDIDX\x00\x00", {1: "uint8", 4: "int32", 5: "int64", 8: "uint16"}
WIDEST_FIRST = ("int64", "uint32", "uint16", "uint8")
_NAMES = {name: name for name in DTYPES} | {np.dtype(name).str: name for name in DTYPES}
_BLOCK, _CHUNK = 1024, 2**24
_LEAST_SEEN = 4
_MOST_IDS = {"uint16": 2**16, "uint8": 512}
"""Ids of a vocabulary whose ids may have been written in so few bytes each."""
_SAMPLES, _SAMPLE = 64, 2**14


def read_npy(file: File) -> Iterator[Record]:
    """Rows of ids (n, length), more axes in front joined; of one axis, a stream."""
    paths = [file.path]
    if BENCHMARK.fullmatch(file.path.name):
        paths.append(file.path.with_name(file.path.name.replace("prefix", "suffix")))
        if not paths[1].is_file():
            raise InputError(
                f"{file.path} needs {paths[1].name} beside it: put it there, or rename the file to read it alone"
            )
        file.note(f"rows of {paths[1].name} stand behind those of {file.path.name}")
    arrays = [_rows_of(path, file.layout.whole or _is_divided(file)) for path in paths]
    if arrays[0].ndim == 1:
        yield from _stream(file, arrays[0])
        return
    if len(arrays[-1]) != len(arrays[0]):
        raise InputError(
            f"{paths[0]} has {len(arrays[0])} rows and {paths[1]} has {len(arrays[1])}: they must be pairs"
        )
    labels = _array(Path(file.layout.labels_file)) if file.layout.labels_file else None
    if labels is not None and (labels.shape != (len(arrays[0]),) or labels.dtype.kind not in "iufbU"):
        raise InputError(
            f"{file.layout.labels_file} holds {labels.dtype} of shape {labels.shape}: expected ({len(arrays[0])},)"
        )
    row, total = 0, len(arrays[0])
    file.where = lambda: row / total
    for start in range(0, total, _BLOCK):
        parts = [array[start : start + _BLOCK] for array in arrays]
        for row, ids in enumerate(np.concatenate(parts, axis=1) if len(parts) > 1 else parts[0], start):
            found = () if labels is None else (label_of("label", labels[row].item()),)
            yield Record(row, row + 1, ids, None, found)


def _array(path: Path) -> np.ndarray:
    try:
        with np.errstate(over="raise"):  # of the sizes that a header claims
            return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, EOFError):
        raise
    except Exception as error:  # a header is parsed as Python, with all that can be wrong about that
        if not _begins(path, NPY):
            raise InputError(f"{path} is no .npy file: save it with numpy.save, or call raw ids NAME.bin") from None
        reason = (str(error).splitlines() or [type(error).__name__])[0][:100]
        raise InputError(f"{path} is no array of numbers ({reason}): save it with numpy.save") from None


def _begins(path: Path, mark: bytes) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(mark)) == mark


def _rows_of(path: Path, may_be_a_stream: bool) -> np.ndarray:
    array = _array(path)
    if array.dtype.kind not in "iu" or not array.ndim or not array.shape[-1]:
        raise InputError(
            f"{path} holds {array.dtype} of shape {array.shape}: expected whole numbers of shape (n, length)"
        )
    if array.ndim == 1 and not may_be_a_stream:
        raise _undivided(path, len(array))
    return array if array.ndim < 3 else array.reshape(-1, array.shape[-1])


def _is_divided(file: File) -> bool:
    return file.layout.separator is not None or file.layout.window is not None


def _undivided(path: Path, n: int) -> InputError:
    return InputError(
        f"{path} is one stream of {n:,} ids: cut it with --window TOKENS, or at an id with --separator ID"
    )


def _stream(file: File, ids: np.ndarray, sizes: np.ndarray | None = None) -> Iterator[Record]:
    """The documents of a stream: of given sizes, or between separators, or all of it as one."""
    row, end, total = 0, 0, max(1, len(ids))
    file.where = lambda: end / total
    if sizes is not None:
        stretches: Iterator[tuple[int, int]] = zip(np.cumsum(sizes) - sizes, np.cumsum(sizes), strict=True)
    elif file.layout.separator is not None:
        stretches = _between(ids, file.layout.separator)
    else:
        stretches = iter([(0, len(ids))])
    for row, (start, end) in enumerate(stretches):
        yield Record(row, row + 1, ids[start:end])


def _between(ids: np.ndarray, separator: int) -> Iterator[tuple[int, int]]:
    """Start and end of the stretches between separators that have any ids."""
    begin = 0
    for chunk in range(0, len(ids), _CHUNK):
        for end in (chunk + np.flatnonzero(ids[chunk : chunk + _CHUNK] == separator)).tolist():
            if end > begin:
                yield begin, end
            begin = end + 1
    if begin < len(ids):
        yield begin, len(ids)


def read_bin(file: File) -> Iterator[Record]:
    """Raw little-endian ids: documents as the .idx beside them says, else a stream."""
    n_bytes, path = file.path.stat().st_size, file.path
    index = path.with_suffix(".idx")
    dtype, start, sizes = file.layout.dtype, 0, None
    if not n_bytes:
        raise InputError(f"{path} is empty: no ids to read")
    if _begins(path, NPY):
        raise InputError(f"{path} is an array of numpy, whose header is no ids: call it NAME.npy")
    if index.is_file():
        found, sizes = _megatron(index)
        dtype = dtype or found
        file.note(f"{path.name} is read as {dtype} in {len(sizes):,} documents, as {index.name} says")
    elif dtype is None:
        dtype, start = _width(file, n_bytes)
    else:
        file.note(f"{path.name} is read as {dtype}, as asked")
    width = np.dtype(dtype).itemsize
    if (n_bytes - start) % width or n_bytes <= start:
        raise InputError(f"{path} has {n_bytes:,} bytes, no whole number of {dtype} ids: name another dtype")
    ids = np.memmap(path, np.dtype(dtype).newbyteorder("<"), "r", start)
    if sizes is not None and int(sizes.sum()) != len(ids):
        raise InputError(f"{path} has {len(ids):,} ids of {dtype}, {index.name} speaks of {int(sizes.sum()):,}")
    if sizes is None and not (file.layout.whole or _is_divided(file)):
        raise _undivided(path, len(ids))
    yield from _stream(file, ids, sizes)


def _megatron(path: Path) -> tuple[str, np.ndarray]:
    """Width and sizes of the documents from a Megatron index: magic, version, dtype, two counts, then the sizes."""
    with path.open("rb") as stream:
        head = stream.read(34)
        dtype = MEGATRON_DTYPES.get(head[17]) if len(head) == 34 and head.startswith(MEGATRON) else None
        n = int.from_bytes(head[18:26], "little")
        if dtype is None or n > path.stat().st_size:
            raise InputError(f"{path} is no index of a Megatron file of ids: take it away to read the .bin alone")
        sizes = np.frombuffer(stream.read(4 * n), "<i4").astype(np.int64)
    if len(sizes) != n or (sizes < 0).any():
        raise InputError(f"{path} is damaged: it speaks of {n:,} documents and has {len(sizes):,}")
    return dtype, sizes


def _width(file: File, n_bytes: int) -> tuple[str, int]:
    """Width of a .bin file's ids and where they start, by its sidecar, header or content; says which."""
    path = file.path
    for beside in (path.with_name(path.name + ".json"), path.with_suffix(".json")):
        if beside.is_file() and beside.stat().st_size < 2**20:
            try:
                said = str(json.loads(beside.read_text("utf-8"))["dtype"])
            except (ValueError, TypeError, KeyError, RecursionError):
                continue
            if said not in _NAMES:
                raise InputError(
                    f"{beside} says that {path.name} holds {said:.40}, which is not read: write the ids as one of "
                    f"{', '.join(DTYPES)}, little-endian, or name one as its dtype"
                )
            file.note(f"{path.name} is read as {_NAMES[said]}, as {beside.name} says")
            return _NAMES[said], 0
    head = np.fromfile(path, "<i4", 3)
    dtype = LLM_C.get(int(head[0])) if len(head) == 3 and n_bytes >= 1024 else None
    if dtype and 1024 + int(head[2]) * np.dtype(dtype).itemsize == n_bytes:
        file.note(f"{path.name} is read as {dtype}, as its header of 1,024 bytes says")
        return dtype, 1024
    dtype = _recognised(path, n_bytes, file.n_ids, file.layout.pad_id)
    if dtype is None:
        raise InputError(
            f"{path} does not show how wide its ids are: no width alone gives ids of 0 to {file.n_ids - 1}, or it is "
            f"too short: name one of {', '.join(DTYPES)} as its dtype"
        )
    file.note(f"{path.name} is read as {dtype}, recognised by its ids: wider ones would lie outside the vocabulary")
    return dtype, 0


def _recognised(path: Path, n_bytes: int, n_ids: int, pad_id: int | None) -> str | None:
    """The widest type by which every id that is looked at lies in the vocabulary; None where none or two could be.

    Ids that were written narrower would, read together, be far outside it; ids that were written wider and are read
    narrower alternate with zeros. Where most would fit a wider type, a few ids may be wrong instead. Ids of a
    vocabulary that a type cannot hold were not written in it, though any bytes would fit.
    """
    mostly = False
    for dtype in WIDEST_FIRST:
        width = np.dtype(dtype).itemsize
        if n_bytes % width or n_bytes < _LEAST_SEEN * width or n_ids > _MOST_IDS.get(dtype, n_ids):
            continue
        ids = np.memmap(path, np.dtype(dtype).newbyteorder("<"), "r")
        starts = np.unique(np.linspace(0, max(0, len(ids) - _SAMPLE) // 2, _SAMPLES).astype(np.int64)) * 2
        seen = np.concatenate([ids[start : start + _SAMPLE] for start in starts]).astype(np.int64)
        alternates = not (seen[::2].any() and seen[1::2].any())
        if pad_id is not None:
            seen = seen[seen != (pad_id if dtype == "int64" else pad_id % 2 ** (8 * width))]
        fits = (seen >= 0) & (seen < n_ids)
        if len(seen) and fits.all() and not alternates:
            return None if mostly else "int32" if dtype == "uint32" and pad_id is not None and pad_id < 0 else dtype
        mostly = mostly or fits.mean() > 0.5
    return None
