"""Which n-gram index belongs to a model: the one its folder names, or one that was built with its tokenizer."""

from __future__ import annotations

from pathlib import Path

from memviz.catalog import Model
from memviz.corpus.added import ADDED
from memviz.corpus.files import MANIFEST
from memviz.corpus.index import Corpus
from memviz.errors import InputError
from memviz.settings import Settings
from memviz.tokenizer import Tokenizer


def index_folder(name: str, settings: Settings) -> Path:
    """Where an index of that name is kept."""
    return settings.cache / "corpora" / name


def seen_until(step: int | None, n_steps: int | None) -> int | None:
    """The last step whose exposures a checkpoint has read; None, the whole stream, for final or unknown weights."""
    return step - 1 if step is not None and n_steps is not None and step < n_steps else None


def index_of(model: Model, tokenizer: Tokenizer, settings: Settings) -> Corpus | None:
    """The opened index of a model's training data, or None where none was built for it.

    That is the one its folder names, else any that was built with its tokenizer. Raises InputError where the named
    one is damaged or of another tokenizer.
    """
    if model.index is not None:
        folder = index_folder(model.index, settings)
        there = any((folder / name).is_file() for name in (MANIFEST, ADDED))
        return Corpus.open(folder, tokenizer.hash) if there else None
    found = [path for name in (MANIFEST, ADDED) for path in (settings.cache / "corpora").glob(f"*/{name}")]
    for manifest in sorted(found):
        try:
            return Corpus.open(manifest.parent, tokenizer.hash)
        except InputError:
            continue
    return None
