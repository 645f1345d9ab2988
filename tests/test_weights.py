"""What weight files say of themselves, and which are not to be trusted."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from support.model_folders import change, write_model

from memviz.errors import InputError
from memviz.weights import MAX_JSON_BYTES, count_parameters, fingerprint, memory_needed, read_json, weight_files


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", r"x\.json cannot be read as JSON: Expecting value"),
        (b"{", "cannot be read as JSON: Expecting property name"),
        (b"\xff\xfe", "cannot be read as JSON: 'utf-8' codec"),
        (b"[" * 100_000, "cannot be read as JSON: maximum recursion depth"),
        (b'{"a":' * 100_000, "cannot be read as JSON: maximum recursion depth"),
        (b"[]", "holds a list, expected a JSON object"),
        (b"3", "holds a int, expected a JSON object"),
    ],
    ids=range(7),
)
def test_json_that_cannot_be_read(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(InputError, match=sentence):
        read_json(tmp_path / "x.json")


def test_json_that_is_missing_too_large_or_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is no model folder: config\.json is missing"):
        read_json(tmp_path / "config.json")
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        read_json(tmp_path)
    with (tmp_path / "large.json").open("wb") as file:
        file.truncate(100_000_000)
    with pytest.raises(InputError, match=r"has 100,000,000 bytes, more than the 16,777,216 that are read"):
        read_json(tmp_path / "large.json")


def shards(folder: Path, weight_map: object) -> Path:
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return folder


def test_weight_files_are_those_that_are_read(tmp_path: Path) -> None:
    for name in ("b.safetensors", "a.safetensors", "unrelated.safetensors"):
        save_file({name[0]: np.zeros((3, 4))}, tmp_path / name)
    shards(tmp_path, {"a": "a.safetensors", "b": "b.safetensors", "c": "a.safetensors"})
    assert weight_files(tmp_path) == [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    assert count_parameters(tmp_path) == 24
    save_file({"x": np.zeros((5,)), "y": np.array(1.0)}, tmp_path / "model.safetensors")
    assert weight_files(tmp_path) == [tmp_path / "model.safetensors"]
    assert count_parameters(tmp_path) == 6


def test_folders_without_weights_to_be_trusted(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no weights: a file model\.safetensors is expected"):
        weight_files(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    sentence = r"holds weights only as pytorch_model\.bin, a pickle, which can run code when read: convert it"
    with pytest.raises(InputError, match=sentence):
        weight_files(tmp_path)
    for weight_map in ({}, [], "x", None, {"a": 3}):
        with pytest.raises(InputError, match=r"index\.json names no weight files: fetch or copy the model again"):
            weight_files(shards(tmp_path, weight_map))
    for name in ("../x.safetensors", "/etc/passwd", "a/b.safetensors", "..", ""):
        with pytest.raises(InputError, match=r"points outside its folder .*, so it is not read"):
            weight_files(shards(tmp_path, {"a": name}))
    with pytest.raises(InputError, match=r"x\.safetensors is missing: fetch or copy the model again"):
        weight_files(shards(tmp_path, {"a": "x.safetensors"}))
    (tmp_path / "model.safetensors").symlink_to(tmp_path / "gone")
    with pytest.raises(InputError, match=r"model\.safetensors is a broken link: fetch or copy the model again"):
        weight_files(tmp_path)


def raw(header: bytes, tail: bytes = b"", length: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header + tail


def header(**tensor: Any) -> bytes:
    return json.dumps({"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **tensor}}).encode()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "its header cannot be read"),
        (b"\x01", "its header cannot be read"),
        (raw(b"{}", length=2**63), "its header claims 9223372036854775808 bytes"),
        (raw(b"{}", length=MAX_JSON_BYTES + 1), "its header claims 16777217 bytes"),
        (raw(b"{}", length=1000), "its header claims 1000 bytes"),
        (raw(b"[" * 50_000), "its header cannot be read"),
        (raw(b"\xff\xff"), "its header cannot be read"),
        (raw(b"[1]"), "its header cannot be read"),
        (raw(b'{"x": 3}'), "its header cannot be read"),
        (raw(header(shape="ab"), bytes(8)), "its header cannot be read"),
        (raw(header(data_offsets=[0]), bytes(8)), "its header cannot be read"),
        (raw(header(), bytes(7)), "it has .* bytes, its header says"),
        (raw(header(), bytes(9)), "it has .* bytes, its header says"),
    ],
    ids=range(13),
)
def test_damaged_weights(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(InputError, match=rf"model\.safetensors is damaged: {sentence}.*; fetch or copy it again"):
        count_parameters(tmp_path)


def test_weights_cut_short_anywhere_are_damaged(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    save_file({"x": np.arange(6.0)}, file)
    content = file.read_bytes()
    assert count_parameters(tmp_path) == 6
    for length in range(len(content)):
        file.write_bytes(content[:length])
        with pytest.raises(InputError, match="is damaged"):
            count_parameters(tmp_path)


def test_memory_is_the_weights_and_room_to_compute() -> None:
    assert memory_needed(10**10, "float32") == 48 * 10**9
    assert memory_needed(10**10, "bfloat16") == memory_needed(10**10, "float16") == 24 * 10**9
    assert memory_needed(10**6, "float32") == 1004 * 10**6


def test_fingerprints_do_not_read_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_model(tmp_path / "m")
    before = fingerprint(folder)
    assert [Path(str(entry[0])).name for entry in before] == [
        "model.safetensors",
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    change(folder / "config.json", vocab_size=1)
    assert fingerprint(folder) != before
    monkeypatch.setattr(Path, "open", lambda *_: pytest.fail("a file was read"))
    fingerprint(folder)
