"""A traced prompt in the n-gram index of its model's training data; whatever is counted is counted once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import streamlit as st

from memviz.catalog import Model, find_model
from memviz.corpus import Corpus, Kind, Span
from memviz.corpus.attribution import KINDS, SPAN_LISTED, Counts, Tokens, counts_of, is_foreign, own_rows, row_of
from memviz.corpus.known import index_folder, index_of, seen_until
from memviz.demo.index import SUITE
from memviz.errors import InputError
from memviz.export import Attributed
from memviz.figures.ngrams import ngram_tracks
from memviz.figures.tracks import Track
from memviz.records import Run, Trace
from memviz.settings import settings
from memviz.tasks.preparing import IndexTask
from memviz.tokenizer import Tokenizer
from memviz.ui.common.process import session, worker

CHOICES = {"order": 3, "kind": "other", "tokens": "true", "so_far": True, "anyway": False}
"""What the widgets say before anybody chose anything."""


def ensure_index(model: str) -> None:
    """Queue the building of the suite's index where a model needs it and it is not there; seconds, once."""
    needs = find_model(model, settings()).index == SUITE
    if needs and not _is_built() and worker().job(IndexTask(SUITE).hash) is None:
        worker().ask(IndexTask(SUITE), session())


def _is_built() -> bool:
    return (index_folder(SUITE, settings()) / "manifest.json").is_file()


@st.cache_resource(max_entries=8, show_spinner=False)
def _corpus(_model: Model, _tokenizer: Tokenizer, name: str, there: tuple[tuple[str, int], ...]) -> Corpus | None:
    return index_of(_model, _tokenizer, settings())


def corpus_of(model: Model, tokenizer: Tokenizer) -> Corpus | None:
    """The index of a model's training data, opened once; None where there is none. Raises InputError."""
    manifests = sorted((settings().cache / "corpora").glob("*/manifest.json"))
    there = tuple((str(path), path.stat().st_mtime_ns) for path in manifests)
    return _corpus(model, tokenizer, f"{model.index} {tokenizer.hash}", there) if there else None


@st.cache_resource(max_entries=200, show_spinner=False)
def _own_rows(_corpus: Corpus, index: str, prompt: bytes, _trace: Trace) -> np.ndarray:
    return own_rows(_corpus, _trace)


@st.cache_resource(max_entries=400, show_spinner=False)
def _counts(_corpus: Corpus, index: str, ids: bytes, kind: Kind, until: int | None, own: bytes) -> Counts:
    return counts_of(_corpus, np.frombuffer(ids, np.int64), kind, until, np.frombuffer(own, np.int64))


@st.cache_resource(max_entries=400, show_spinner=False)
def _spans(_corpus: Corpus, index: str, ids: bytes, until: int | None, without: bytes) -> list[Span]:
    return _corpus.spans(np.frombuffer(ids, np.int64), SPAN_LISTED, until, np.frombuffer(without, np.int64))


@st.cache_resource(max_entries=400, show_spinner=False)
def _is_foreign(_corpus: Corpus, index: str, ids: bytes, own: bytes) -> bool:
    return is_foreign(_corpus, np.frombuffer(ids, np.int64), np.frombuffer(own, np.int64))


@dataclass(frozen=True)
class Lookup:
    """One traced prompt in the index of its model's training data, read as the widgets say."""

    model: Model
    corpus: Corpus
    tokenizer: Tokenizer
    trace: Trace
    order: int
    kind: Kind
    tokens: Tokens
    until: int | None
    """Last step that counts, None for the whole stream."""

    @cached_property
    def index(self) -> str:
        """What tells this index from every other one."""
        return f"{self.corpus.folder} {self.corpus.manifest}"

    @cached_property
    def own(self) -> np.ndarray:
        trace = self.trace
        prompt = row_of(trace, "generated" if trace.continuation_ids is None else "true").tobytes()
        return _own_rows(self.corpus, self.index, prompt, trace)

    @cached_property
    def ids(self) -> np.ndarray:
        return row_of(self.trace, self.tokens)

    def counts(self, tokens: Tokens | None = None, kind: Kind | None = None) -> Counts:
        ids = self.ids if tokens is None else row_of(self.trace, tokens)
        return _counts(self.corpus, self.index, ids.tobytes(), kind or self.kind, self.until, self.own.tobytes())

    def spans(self, without_own: bool) -> list[Span]:
        without = self.own if without_own else self.own[:0]
        return _spans(self.corpus, self.index, self.ids.tobytes(), self.until, without.tobytes())

    @cached_property
    def foreign(self) -> bool:
        """Nothing of this text stands in the corpus beyond short n-grams."""
        return _is_foreign(self.corpus, self.index, self.ids.tobytes(), self.own.tobytes())

    @property
    def drawn(self) -> bool:
        """Whether counts are shown: not of a text that is not from the corpus, unless asked for."""
        return not self.foreign or bool(said("anyway"))

    def tracks(self) -> list[Track]:
        """The tracks under the entropy curve."""
        if not self.drawn:
            return []
        found, about = self.counts(), self.corpus.manifest
        pieces, kind, n = self.tokenizer.pieces(self.ids), KINDS[self.kind], self.order
        with_own = self.counts(kind="stream").of(n) if self.kind == "other" and len(self.own) else None
        return ngram_tracks(found.of(n), found.suffix, n, pieces, about.name, about.n_tokens, kind, with_own)

    def exported(self) -> Attributed:
        """Every count, as exports hold them."""
        known: list[Tokens] = ["generated"] if self.trace.continuation_ids is None else ["true", "generated"]
        found = {(tokens, kind): self.counts(tokens, kind) for tokens in known for kind in KINDS}
        return Attributed(self.corpus.manifest.name, self.until, self.own, found)


def said(name: str) -> object:
    value = st.session_state.get(f"trace_ngram_{name}")
    return CHOICES[name] if value is None else value


def look_up(run: Run, model: str, tokenizer: Tokenizer) -> Lookup | None:
    """The prompt in its model's training data, or None where there is no index to look it up in."""
    found, trace = find_model(model, settings()), run.trace
    try:
        corpus = corpus_of(found, tokenizer)
    except InputError:
        return None
    if corpus is None:
        return None
    until = seen_until(found.step, found.n_steps) if said("so_far") else None
    tokens: Tokens = "generated" if trace.continuation_ids is None or said("tokens") == "generated" else "true"
    return Lookup(found, corpus, tokenizer, trace, said("order"), said("kind"), tokens, until)  # type: ignore[arg-type]
