"""Inputs that mean harm: model folders, files of rows, indexes. Each is small, and made afresh for its test."""

from __future__ import annotations

import json
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.torch import load_file, save_file
from support.model_folders import change, write_model

HTML = "<img src=x onerror=alert(1)>"
MARKDOWN = "[click](https://evil.example) ![x](https://evil.example/x.png) **b** :red[c] $d$"
FLAG = "MEMVIZ_TEST_CODE_RAN"
"""A file of this name in the current folder shows that code of an input was run."""
CODE = f"open({FLAG!r}, 'w').close()\n"
NAMES = (
    "..",
    "../../etc/passwd",
    "/etc/passwd",
    "a/../../b",
    "a\0b",
    "a\nb",
    "a\x1b[31mb",
    "\u202eb",
    HTML,
    "x" * 5000,
)
"""Names of models, row sets, runs and fields of forms."""


class Evil:
    """What a pickle can do."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (CODE,)


def nested(depth: int) -> bytes:
    """Valid JSON, nested so deep that a parser of its own stack would end the process."""
    return b'{"a":' * depth + b"1" + b"}" * depth


def safetensors_bytes(header: Any, tail: bytes = b"", length: int | None = None) -> bytes:
    content = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(content) if length is None else length) + content + tail


# Model folders: each takes a good one and spoils it


def _pickled(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Evil()))


def _pickle_named_safetensors(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(pickle.dumps(Evil()))


def _own_code(folder: Path) -> None:
    (folder / "evil.py").write_text(CODE)
    change(
        folder / "config.json", model_type="evil", auto_map={"AutoConfig": "evil.C", "AutoModelForCausalLM": "evil.M"}
    )


def _own_tokenizer(folder: Path) -> None:
    (folder / "evil.py").write_text(CODE)
    change(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.T", "evil.T"]}, tokenizer_class="T")
    (folder / "tokenizer.json").unlink()


def _own_generate(folder: Path) -> None:
    (folder / "custom_generate").mkdir()
    (folder / "custom_generate" / "generate.py").write_text(CODE)
    change(folder / "generation_config.json", custom_generate=".")


def _foreign_kernel(folder: Path) -> None:
    change(folder / "config.json", _attn_implementation="evil/kernel")


def _link(name: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        outside = folder.parent.parent / f"outside-{name}"
        (folder / name).rename(outside)
        (folder / name).symlink_to(outside)

    return spoil


def _pipe(name: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)

    return spoil


def _device(folder: Path) -> None:
    (folder / "special_tokens_map.json").unlink(missing_ok=True)
    (folder / "special_tokens_map.json").symlink_to("/dev/zero")


def _outside_shard(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder.parent / "x.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../x.safetensors"}}))


def _weights(content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / "model.safetensors").write_bytes(content) and None


def _huge(name: str) -> Callable[[Path], None]:
    """A sparse file of a terabyte."""
    return lambda folder: os.truncate(folder / name, 2**40)


def _with(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(content) and None


def _config(**values: Any) -> Callable[[Path], None]:
    return lambda folder: change(folder / "config.json", **values)


def _numbers(value: float, name: str = "model.norm.weight") -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        weights[name].fill_(value)
        save_file(weights, folder / "model.safetensors", {"format": "pt"})

    return spoil


OVERLAP = {
    "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
    "b": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
}
GIANT = OVERLAP | {"c": {"dtype": "F32", "shape": [2**40, 2**20], "data_offsets": [0, 8]}}
LONG = b'{"a":{"dtype":"F32","shape":[' + b",".join([b"9" * 4200] * 2000) + b'],"data_offsets":[0,8]}}'
INFINITE = b'{"a":{"dtype":"F32","shape":[1e400],"data_offsets":[0,1e400]}}'
AXES = {"a": {"dtype": "F32", "shape": [2**40] * 10**5, "data_offsets": [0, 8]}}
MODELS: dict[str, tuple[Callable[[Path], None], str]] = {
    "pickle": (_pickled, r"holds weights only as pytorch_model\.bin, a pickle, which can run code .*: convert it"),
    "pickle named safetensors": (_pickle_named_safetensors, r"model\.safetensors is damaged: .*; fetch or copy it"),
    "own code": (_own_code, r"needs code of its own \(auto_map, .*: use a model whose type transformers has itself"),
    "own tokenizer": (_own_tokenizer, "has no tokenizer file: "),
    "own weight file": (_config(transformers_weights="deep/w.safetensors"), r"names a weight file of its own .*: call"),
    "header of long numbers": (_weights(safetensors_bytes(LONG)), "its header cannot be read; fetch or copy it"),
    "header of infinity": (_weights(safetensors_bytes(INFINITE)), "its header cannot be read; fetch or copy it"),
    "header of many axes": (_weights(safetensors_bytes(AXES)), "its header cannot be read; fetch or copy it"),
    "own generate": (_own_generate, r"asks for code of its own \(custom_generate\), which memviz does not run"),
    "foreign kernel": (_foreign_kernel, r"asks for a foreign kernel \(_attn_implementation = 'evil/kernel'\)"),
    "linked weights": (_link("model.safetensors"), r"model\.safetensors is a link out of its folder, to .*: copy the"),
    "linked tokenizer": (_link("tokenizer.json"), r"tokenizer\.json is a link out of its folder, to .*: copy the file"),
    "linked configuration": (_link("config.json"), r"config\.json is a link out of its folder, to .*: copy the file"),
    "pipe": (_pipe("tokenizer.json"), r"tokenizer\.json is no plain file, .*: remove it"),
    "pipe for weights": (_pipe("model.safetensors"), r"model\.safetensors is no plain file, .*: remove it"),
    "device": (_device, r"special_tokens_map\.json is a link out of its folder, to /dev/zero"),
    "shard outside": (_outside_shard, r"points outside its folder \('\.\./x\.safetensors'\), so it is not read"),
    "header of exabytes": (_weights(safetensors_bytes({}, length=2**62)), r"its header claims 4611686018427387904"),
    "header nested deep": (_weights(safetensors_bytes(nested(50_000))), "its header cannot be read; fetch or copy it"),
    "overlapping arrays": (_weights(safetensors_bytes(OVERLAP, bytes(8))), "describes .* parameters, the w"),
    "array of exabytes": (_weights(safetensors_bytes(GIANT, bytes(8))), r"needs about .* GB in float32; .* are free"),
    "weights of a terabyte": (_huge("model.safetensors"), r"model\.safetensors is damaged: it has 1,099,511,627,776"),
    "tokenizer of a terabyte": (_huge("tokenizer.json"), r"tokenizer\.json has 1,099,511,627,776 bytes, more than the"),
    "configuration of a terabyte": (_huge("config.json"), r"config\.json has 1,099,511,627,776 bytes, more than the"),
    "configuration nested deep": (_with("config.json", nested(100_000)), r"config\.json cannot be read as JSON"),
    "configuration nested": (_config(a=json.loads(nested(60))), r"config\.json is nested more than 50 deep"),
    "tokenizer nested deep": (_with("tokenizer.json", nested(100_000)), "has no tokenizer that can be read: "),
    "tokenizer configuration nested deep": (
        _with("tokenizer_config.json", nested(100_000)), r"tokenizer_config\.json cannot be read as JSON: ",
    ),
    "not numbers": (_numbers(float("nan")), "gave logits that are not finite: its weights hold NaN or infinity"),
    "infinite": (_numbers(float("inf")), "gave logits that are not finite: its weights hold NaN or infinity"),
    "layers without end": (_config(num_hidden_layers=10**9), r"speaks of 1,000,000,000 layers \(num_hidden_layers"),
    "width without end": (_config(hidden_size=2**20, head_dim=8), r"describes .* parameters, the weights are .*"),
    "vocabulary without end": (_config(vocab_size=2**40), r"describes .* parameters, the weights are .*"),
    "negative vocabulary": (_config(vocab_size=-5), "is not understood|cannot be loaded|outside the vocabulary"),
    "words for numbers": (_config(vocab_size=HTML), r"config\.json is not understood: "),
    "endless length": (_config(max_position_embeddings=float("inf")), r"config\.json is not understood: "),
    "end of nothing": (_config(eos_token_id=HTML), "is not understood|is no token"),
}  # fmt: skip
"""What is wrong with a folder -> how to make it so, and the sentence that it is refused with."""


def hostile_model(root: Path, kind: str, name: str = "m") -> Path:
    root.mkdir(parents=True, exist_ok=True)
    folder = write_model(root / name)
    MODELS[kind][0](folder)
    return folder


# Files of rows


def _saved(array: np.ndarray) -> Callable[[Path], None]:
    return lambda path: np.save(path, array, allow_pickle=True)


def _npy_start(header: str) -> Callable[[Path], None]:
    content = header.ljust(117) + "\n"
    return _bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(content)) + content.encode())


def _npy_header(*shape: int) -> Callable[[Path], None]:
    """A header that says this shape, with nothing behind it."""
    return _npy_start(repr({"descr": "<i8", "fortran_order": False, "shape": shape}))


def _bytes(content: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(content) and None


def _table(**columns: Any) -> Callable[[Path], None]:
    return lambda path: pq.write_table(pa.table(columns), path)


def _sparse(n_bytes: int, start: bytes = b"") -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.write_bytes(start)
        os.truncate(path, n_bytes)

    return make


NOTHING = "none of its .* rows can be used; line"
ROWS: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "objects": ("a.npy", _saved(np.array([[Evil()], [None]], object)), "is no array of numbers .*: save it"),
    "pickle": ("a.npy", _bytes(pickle.dumps(Evil())), "is no .npy file: save it"),
    "exabytes": ("a.npy", _npy_header(2**62, 2), "is no "),
    "endless empty rows": ("a.npy", _npy_header(10**12, 0), r"expec"),
    "header that is code": ("a.npy", _npy_start(f"exec({CODE!r})"), "is no array of numbers"),
    "header nested deep": ("a.npy", _npy_start("(" * 9000), "is no array of numbers"),
    "fields": ("a.npy", _saved(np.zeros(3, [("a", "<i8")])), r"expected whole numbers of shape \(n, length\)"),
    "numbers that are none": ("a.npy", _saved(np.full((2, 3), np.nan)), "expected whole numbers"),
    "ids below zero": ("a.npy", _saved(np.full((2, 30), -1)), f"{NOTHING} 1 has id -1, ids are 0 to "),
    "nested lines": ("a.jsonl", _bytes(nested(100_000)), f"{NOTHING} 1 is not JSON"),
    "text of lists": ("a.jsonl", _bytes(b'{"text": [["a"]]}\n'), f"{NOTHING} 1 'text' is a list, expected text"),
    "nested ids": ("a.jsonl", _bytes(b'{"ids": [[1]]}\n'), f"{NOTHING} 1 'ids' is no list of whole numbers"),
    "endless digits": ("a.jsonl", _bytes(b'{"ids": [' + b"9" * 10_000 + b"]}\n"), f"{NOTHING} 1 is not JSON"),
    "endless digits in a table": ("a.csv", _bytes(b"ids\n" + b"9" * 10_000 + b"\n"), f"{NOTHING} 2 'ids' holds"),
    "one endless line": ("a.jsonl", _sparse(2**26, b'{"text": "'), f"{NOTHING} 1 has more than the 32,000,000 bytes"),
    "one endless field": ("a.csv", _sparse(2**24, b"text\n"), NOTHING),
    "endless header": ("a.csv", _sparse(2**22, b"a,"), r"a\.csv is no CSV file|has neither a column"),
    "structs": ("a.parquet", _table(text=[{"a": 1}]), f"{NOTHING} 1 'text' is a dict, expected text"),
    "lists of lists": ("a.parquet", _table(ids=[[[1]]]), f"{NOTHING} 1 'ids' is no list of whole numbers"),
    "ids that are floats": ("a.parquet", _table(ids=[[1.5]]), f"{NOTHING} 1 'ids' is no list of whole numbers"),
    "pickle named parquet": ("a.parquet", _bytes(b"PAR1" + pickle.dumps(Evil()) + b"PAR1"), r"cannot be read"),
}  # fmt: skip
"""What is wrong with a file of rows -> its name, how to make it, and the sentence."""
