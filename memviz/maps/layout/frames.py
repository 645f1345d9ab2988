"""What is said between a process and the one that computes UMAP for it: frames of a kind and named arrays."""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from typing import IO

import numpy as np

ASK, WARM, TICK, DONE, FAILED = b"A", b"W", b"T", b"D", b"F"
_HEAD = struct.Struct("<cQ")


def write_frame(stream: IO[bytes], kind: bytes, arrays: Mapping[str, np.ndarray]) -> None:
    """Raises OSError where nobody reads any more."""
    content = io.BytesIO()
    np.savez(content, **{name: np.asarray(value) for name, value in arrays.items()})  # type: ignore[arg-type]
    stream.write(_HEAD.pack(kind, content.getbuffer().nbytes))
    stream.write(content.getbuffer())
    stream.flush()


def read_frame(stream: IO[bytes]) -> tuple[bytes, dict[str, np.ndarray]] | None:
    """A frame, or None where the other side is gone."""
    head = stream.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    kind, n_bytes = _HEAD.unpack(head)
    content = stream.read(n_bytes)
    if len(content) < n_bytes:
        return None
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return kind, dict(arrays)
