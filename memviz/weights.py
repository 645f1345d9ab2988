"""What lies in a model's folder, read without torch and without trust: JSON, safetensors headers, weight identity."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from memviz.errors import InputError

BYTES_PER_PARAMETER = {"float32": 4, "bfloat16": 2, "float16": 2}
MAX_JSON_BYTES = 16 * 2**20
ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
ADAPTER_FILES = (ADAPTER_CONFIG, ADAPTER_WEIGHTS, "tokenizer.json", "tokenizer_config.json")
_MAX_AXES = 16
_TOKENIZER_FILES = (
    "tokenizer*.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "*.model",
    "*.tiktoken",
)
_VOLATILE = {"transformers_version", "_name_or_path", "dtype", "torch_dtype", "use_cache", "architectures", "auto_map"}
"""Of a configuration: what decides no number."""


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file nobody vouches for. Raises InputError naming the file."""
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise InputError(
                f"{path} has {path.stat().st_size:,} bytes, more than the {MAX_JSON_BYTES:,} that are read"
            )
        content = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path.parent} is no model folder: {path.name} is missing") from None
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as JSON: {error}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path} holds a {type(content).__name__}, expected a JSON object")
    return content


class Tensor(NamedTuple):
    """What a safetensors header says of one array."""

    dtype: str
    """As safetensors writes it: F32, BF16, I8, ..."""
    shape: tuple[int, ...]


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files that make up a folder's model. Raises InputError where there are none to be trusted."""
    whole, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if whole.exists() or whole.is_symlink():
        names = [whole.name]
    elif index.is_file():
        parts = read_json(index).get("weight_map")
        if not isinstance(parts, dict) or not parts or not all(isinstance(name, str) for name in parts.values()):
            raise InputError(f"{index} names no weight files: fetch or copy the model again")
        names = sorted(set(parts.values()))
        outside = next((name for name in names if Path(name).name != name or name in ("", "..")), None)
        if outside is not None:
            raise InputError(f"{index} points outside its folder ({outside[:200]!r}), so it is not read")
    else:
        raise InputError(f"{folder} {_other_weights(folder)}")
    for name in names:
        if not (folder / name).is_file():
            what = "is a broken link" if (folder / name).is_symlink() else "is missing"
            raise InputError(f"{folder / name} {what}: fetch or copy the model again")
    return [folder / name for name in names]


def _other_weights(folder: Path) -> str:
    """What a folder without model.safetensors has instead, and what to do."""
    others = sorted(file.name for file in folder.glob("*.safetensors"))
    part, of_variant = (
        next((name for name in others if re.fullmatch(rf"model(-\d+-of-\d+)?{end}\.safetensors", name)), None)
        for end in ("", r"\..+")
    )
    if part is not None:
        return f"holds {part} without model.safetensors.index.json, which says what is in which part: copy it too"
    if of_variant is not None:
        return f"holds weights only as the variant {of_variant}: rename it to model.safetensors, or copy the main files"
    if (folder / ADAPTER_CONFIG).is_file() and ADAPTER_WEIGHTS in others:
        return "holds an adapter and no weights of its own: put it under a model root, beside or without its base"
    if "consolidated.safetensors" in others:
        return "holds weights only as consolidated.safetensors, in its maker's own layout: take the files named model"
    if others:
        return f"holds weights only as {others[0]}: they are read from model.safetensors, so rename or convert the file"
    pickles = sorted(file.name for suffix in ("bin", "pt", "pth", "ckpt") for file in folder.glob(f"*.{suffix}"))
    if pickles:
        return (
            f"holds weights only as {pickles[0]}, a pickle, which can run code when read: "
            "convert it to safetensors, or choose a revision that has model.safetensors"
        )
    foreign = next((file.name for end in ("h5", "msgpack", "gguf") for file in sorted(folder.glob(f"*.{end}"))), None)
    if foreign is not None:
        return f"holds weights only as {foreign}: convert them to safetensors, or copy model.safetensors"
    return "holds no weights: a file model.safetensors is expected"


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """Every array in a folder's weight files, from their headers alone. Raises InputError for damaged files."""
    return {name: tensor for file in weight_files(folder) for name, tensor in tensors_of(file).items()}


def count_parameters(folder: Path) -> int:
    """Parameters in a folder's weight files, as `read_tensors`."""
    return sum(sum(math.prod(each.shape) for each in tensors_of(file).values()) for file in weight_files(folder))


def tensors_of(file: Path) -> dict[str, Tensor]:
    """Arrays of one safetensors file: 8 bytes of header length, a JSON header, the arrays end to end.

    Raises InputError for a damaged file.
    """
    try:
        with file.open("rb") as stream:
            length, n_bytes = int.from_bytes(stream.read(8), "little"), file.stat().st_size
            if length > min(MAX_JSON_BYTES, n_bytes):
                raise InputError(f"{file} is damaged: its header claims {length} bytes; fetch or copy it again")
            header = json.loads(stream.read(length))
        said = {name: tensor for name, tensor in header.items() if name != "__metadata__"}
        expected = 8 + length + max((_size(tensor["data_offsets"][1]) for tensor in said.values()), default=0)
        tensors = {name: Tensor(str(tensor["dtype"]), _shape(tensor["shape"])) for name, tensor in said.items()}
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from None
    except InputError:
        raise
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        raise InputError(f"{file} is damaged: its header cannot be read; fetch or copy it again") from None
    if expected != n_bytes:
        raise InputError(
            f"{file} is damaged: it has {n_bytes:,} bytes, its header says {expected:,}; fetch or copy it again"
        )
    return tensors


def _shape(said: list[Any]) -> tuple[int, ...]:
    """A shape as a header gives it. Raises ValueError where it has too many axes."""
    if len(said) > _MAX_AXES:
        raise ValueError("too many axes")
    return tuple(map(_size, said))


def _size(value: Any) -> int:
    """A size as safetensors headers give them. Raises ValueError for other values, and for those beyond any file."""
    if type(value) is not int or not 0 <= value < 2**48:
        raise ValueError("no size")
    return value


def memory_needed(n_parameters: int, dtype: str) -> int:
    """Bytes to hold a model and run one prompt: its weights and a fifth more, at least 1 GB, for what it computes."""
    weights = n_parameters * BYTES_PER_PARAMETER[dtype]
    return weights + max(weights // 5, 1_000_000_000)


def tokenizer_files(folder: Path) -> list[Path]:
    """What decides how a text is split, as far as it is there."""
    return sorted({file for pattern in _TOKENIZER_FILES for file in folder.glob(pattern)})


def fingerprint(folder: Path, others: Iterable[str] = ()) -> list[list[str | int]]:
    """Path, size and modification time of the files that decide a model's numbers and its token ids."""
    files = [*weight_files(folder), folder / "config.json", *tokenizer_files(folder), *map(Path, others)]
    stats = [(str(file), file.stat()) for file in files if file.is_file()]
    return [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats]


def file_digest(file: Path, is_blob: bool = False) -> bytes:
    """sha256 of a file; `is_blob` takes the word of the hub's cache, whose blobs of weights are named by theirs."""
    name = file.resolve().name
    if is_blob and re.fullmatch(r"[0-9a-f]{64}", name):
        return bytes.fromhex(name)
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()


def weight_hash(digests: Iterable[bytes]) -> str:
    """What two models with the same weight files share, whatever their configurations say."""
    return hashlib.sha256(b"".join(digests)).hexdigest()


def lasting(config: dict[str, Any]) -> dict[str, Any]:
    """What of a configuration decides numbers."""
    return {key: value for key, value in config.items() if key not in _VOLATILE}


def weight_identity(config: dict[str, Any], digests: Iterable[bytes]) -> str:
    """sha256 over the weights, by the digests of their files, and what of the configuration decides numbers."""
    digest = hashlib.sha256(json.dumps(lasting(config), sort_keys=True).encode())
    for each in digests:
        digest.update(each)
    return f"sha256:{digest.hexdigest()}"


_DEPTHS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers")
_WIDTHS = ("hidden_size", "n_embd", "d_model")


def depth_and_width(folder: Path) -> tuple[int | None, int | None]:
    """Number of layers and coordinates of a state as `config.json` says, None where it does not. Raises InputError."""
    config = read_json(folder / "config.json")
    config = config.get("text_config") or config

    def said(names: tuple[str, ...]) -> int | None:
        return next((config[name] for name in names if isinstance(config.get(name), int)), None)

    return said(_DEPTHS), said(_WIDTHS)
