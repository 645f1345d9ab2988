"""Cards: what is known of models that were made ready, without loading them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from memviz import disk
from memviz.catalog import sources
from memviz.catalog.sources import Folder, Model
from memviz.errors import Failure, InputError
from memviz.settings import Settings
from memviz.weights import file_digest, fingerprint, read_json, weight_files, weight_identity

CARD = "card.json"
CARD_FORMAT = 2
"""Raised when the fields of a card change; a card of another format is made anew."""


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
    weight_hash: str = ""
    """Equal for models with the same weight files."""
    examination: dict[str, Any] | None = None
    """What was found out when it was made ready, as `engine.examination` has it; None where it was not examined."""
    remarks: list[str] = field(default_factory=list)
    """Sentences that whoever uses it should read."""
    adapter: str | None = None
    """Folder of the adapter that is merged onto the folder's weights."""
    sources: list[str] = field(default_factory=list)
    """Files outside the folder of which it was made."""

    @property
    def notes(self) -> list[str]:
        """The remarks, and whether an examination is still to come."""
        later = [] if self.examination else ["not examined: it is when it is first loaded"]
        return [*self.remarks, *later]

    @property
    def way(self) -> str:
        """How it is decoded: "cache", or "whole" where the cache gives other numbers and whole rows are read again."""
        return str((self.examination or {}).get("way", "cache"))


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
        return card if fingerprint(Path(card.folder), card.sources) == card.fingerprint else None
    except (OSError, ValueError, TypeError):
        return None


def _shipped_card(model: Model) -> Card | None:
    """The card that came with a model of the suite, or None: another model, or other files than it was made of."""
    source = model.source
    if not isinstance(source, Folder) or source.path.parent != sources.SUITE_MODELS:
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
        digests = map(file_digest, weight_files(folder))
        return card if card.weights == weight_identity(read_json(folder / "config.json"), digests) else None
    except (InputError, OSError, TypeError):
        return None


def ship_card(card: Card) -> None:
    """Lay a card beside the model's files, so that it need not be prepared wherever they are the same."""
    facts = {name: value for name, value in asdict(card).items() if name not in ("folder", "fingerprint")}
    (Path(card.folder) / CARD).write_text(json.dumps(facts, indent=1) + "\n", "utf-8")


def is_outdated(model: Model, settings: Settings) -> bool:
    """Whether a model was made ready by another version of memviz, so that its card is made anew unasked."""
    try:
        return read_json(card_folder(model, settings) / CARD).get("format") != CARD_FORMAT
    except InputError:
        return False


def ready_cards(settings: Settings) -> Iterator[Card]:
    """The cards of all models that were made ready here, as they were written, and of the suite."""
    for path in sorted((settings.cache / "cards").glob(f"*/{CARD}")):
        try:
            said = read_json(path)
            if said.pop("format", None) == CARD_FORMAT:
                yield Card(**said)
        except (InputError, TypeError):
            continue


def twins(card: Card, settings: Settings) -> Iterator[tuple[str, Card]]:
    """Names and cards of other models that are ready with the same weights, byte for byte."""
    for other in ready_cards(settings):
        if card.weight_hash and other.weight_hash == card.weight_hash and other.name != card.name:
            yield other.name, other


def same_weights(cards: Iterable[Card]) -> list[list[str]]:
    """Names of models with equal weight files, several at a time."""
    groups: dict[str, list[str]] = {}
    for card in cards:
        groups.setdefault(card.weight_hash, []).append(card.name)
    return [names for weights, names in groups.items() if weights and len(names) > 1]


def keep_card(card: Card, model: Model, settings: Settings) -> None:
    """Write what was found out later into a card that is in place; it is found out again where that cannot be done."""
    path = settings.cache / "cards" / model.slug / CARD
    if path.exists():
        with suppress(Failure, OSError), disk.new_file(path) as new:
            write_card(card, new)


def write_card(card: Card, path: Path) -> None:
    """Write a card into a folder that is not yet in place."""
    path.write_text(json.dumps({"format": CARD_FORMAT, **asdict(card)}, indent=1), "utf-8")
