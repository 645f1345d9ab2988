"""A cache and models whose every name, label, column and title is an attack: Markdown, HTML, formulas, links."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from support.suite import SIZES

from memviz.catalog import find_model, local_models, read_card
from memviz.catalog.cards import write_card
from memviz.corpus import build
from memviz.corpus.known import index_folder
from memviz.corpus.stream import StreamShard
from memviz.gallery import examples, open_store
from memviz.settings import Settings, load_settings
from memviz.store import request_hash
from memviz.sweeps.kept import SHIPPED
from memviz.sweeps.results import NAME
from memviz.tasks.base import task_from
from memviz.tasks.trace import tokenizer_of
from memviz.tours import Stop, keep_tour
from memviz.weights import fingerprint

HOST = "zq.example"
EVIL = (
    f"[zq](https://{HOST}) ![zq](https://{HOST}/i) <a href='https://{HOST}'>zq</a> <img src=https://{HOST}/j "
    "onerror=alert(1)> $zq^2$ [j](javascript:alert(1)) www.zq.example *zqb* `zqc`"
)
"""At most 200 characters, as much as is taken of a fact."""
NAMES = {size: f"www.{HOST} {size} *zqb* ~~zqs~~ _zqi_ zq@{HOST} :red: #" for size in SIZES}
"""What a folder's name may have in it."""
SWEEP = "5" * 64


def foreign(home: Path) -> tuple[Settings, dict[str, str]]:
    """Settings of a cache under `home`, and pages with the addresses whose results are stored there."""
    settings = load_settings(cache=home / "cache", model_roots=(home / "models",), offline=True)
    for size in SIZES:
        _model(size, settings)
    _poisoned(SHIPPED, settings.cache / "sweeps" / SWEEP)
    (settings.cache / "sweeps" / SWEEP / NAME).write_text(EVIL[:80])
    keep_tour([Stop("glossary", {"q": [EVIL]}, EVIL[:100], EVIL)], settings)
    store, links = open_store(settings), {}
    for example in reversed(examples()):
        if request := "run" in example.query and store.get_request(str(example.query["run"])):
            links[example.page] = request_hash(asked := _renamed(request))
            store.put_request(links[example.page], asked)
    _corpus(store.get_request(links["trace"]), settings)
    return settings, {page: f"{page}?run={link[:16]}" for page, link in links.items()}


def _model(size: str, settings: Settings) -> None:
    """A model of the suite under another name, with a card as if it had been made ready."""
    shipped = next(each for each in local_models(load_settings(model_roots=())) if each.name == size)
    folder = settings.model_roots[0] / NAMES[size]
    shutil.copytree(shipped.source.path, folder, ignore=shutil.ignore_patterns("card.json"))  # type: ignore[union-attr]
    facts = json.loads((folder / "memviz.json").read_text())
    words = dict.fromkeys(("label", "licence", "corpus"), EVIL) | {"size": f"{size} {EVIL}"[:200], "family": EVIL}
    (folder / "memviz.json").write_text(json.dumps(facts | words | {"index": "foreign"}))
    card, model = read_card(shipped, settings), find_model(NAMES[size], settings)
    assert card is not None
    place = settings.cache / "cards" / model.slug
    place.mkdir(parents=True)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(folder / name, place / name)
    named = replace(card, name=model.name, label=EVIL, remarks=[EVIL], folder=str(folder))
    write_card(replace(named, fingerprint=fingerprint(folder)), place / "card.json")


def _poisoned(shipped: Path, folder: Path) -> None:
    """A copy of the suite's sweep with other names of models, their sizes, and domains."""
    folder.mkdir(parents=True)
    for path in shipped.glob("*.parquet"):
        pq.write_table(_table(pq.read_table(path)), folder / path.name)
    manifest = _renamed(json.loads((shipped / "manifest.json").read_text()))
    for about in manifest["models"]:
        about["size"] = f"{about['n_parameters']} {EVIL}"
    (folder / "manifest.json").write_text(json.dumps(manifest))


def _table(table: pa.Table) -> pa.Table:
    """The same with the names in its columns of words, and domains that carry an attack."""
    for i, name in enumerate(table.column_names):
        column = table.column(i)
        words = column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column
        if not pa.types.is_string(words.type):
            continue
        for old, new in NAMES.items():
            words = pc.if_else(pc.equal(words, old), new, words)
        if name == "domain":
            words = pc.binary_join_element_wise(words, EVIL, " ")
        table = table.set_column(i, name, words)
    return table


def _renamed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _renamed(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_renamed(each) for each in value]
    return NAMES.get(value, value) if isinstance(value, str) else value


def _corpus(request: dict[str, Any] | None, settings: Settings) -> None:
    """An index over the first trace's text, with titles of documents."""
    task: Any = task_from(request or {})
    card = read_card(find_model(task.model, settings), settings)
    assert card is not None
    tokenizer = tokenizer_of(card, settings)
    ids = np.array([*task.context_ids, *task.continuation_ids], np.int64)
    shards = [StreamShard.of_documents(np.tile(ids, 2), np.full(2, len(ids)), 0)]
    rows = pa.table({"source": [EVIL] * 2, "title": [EVIL] * 2, EVIL: [EVIL] * 2})
    build(index_folder("foreign", settings), EVIL, tokenizer.hash, tokenizer.n_ids, shards, rows)
