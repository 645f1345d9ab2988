"""The n-grams of a view's rows, counted once in the training data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import streamlit as st

from memviz.catalog import Model, find_model, read_card
from memviz.corpus import Corpus, Kind
from memviz.corpus.attribution import KINDS
from memviz.corpus.known import seen_until
from memviz.demo.index import SUITE
from memviz.errors import InputError
from memviz.population import CountTask, Frequencies, FrequencyTask
from memviz.population.first_view import CURVES, computed_before
from memviz.settings import settings
from memviz.sweeps import Sweep
from memviz.sweeps.task import SLIDING
from memviz.tokenizer import Tokenizer
from memviz.ui.common.answers import stored
from memviz.ui.common.clicks import clicked
from memviz.ui.common.lookup import corpus_of
from memviz.ui.common.process import session, tokenizer, worker
from memviz.ui.common.progress import say_end, under_way
from memviz.ui.common.texts import told
from memviz.ui.population.view import SweepView


def _model_of(view: SweepView) -> tuple[Model, Tokenizer] | None:
    """The view's largest model with its tokenizer; None where it is not here or was not got ready."""
    try:
        model = find_model(view.models[-1], settings())
        card = read_card(model, settings())
    except InputError:
        return None
    return (model, tokenizer(card)) if card else None


@dataclass(frozen=True)
class Counting:
    """Which n-grams are counted: of the true tokens or of what each model wrote after its first k; which copies."""

    kind: Kind = "other"
    generated_at: int | None = None
    """k of what was generated; None for the true tokens."""

    def asked(self, view: SweepView, model: str) -> dict[str, Any]:
        """The question about one model: a checkpoint has seen only the exposures before it."""
        about = next(each for each in view.sweep.manifest["models"] if each["name"] == model)
        until = seen_until(about["step"], about["n_steps"])
        generated = None if self.generated_at is None else (model, SLIDING, self.generated_at)
        return {"copies": self.kind, "until_step": until, "generated": generated}

    def quantity(self, order: str) -> str:
        return f"frequency_{order}" + ("" if self.generated_at is None else "_generated")

    @property
    def words(self) -> str:
        tokens = "true tokens" if self.generated_at is None else "generated tokens"
        return f"{tokens}, " + ("own copies removed" if self.kind == "other" else KINDS[self.kind])


def comes_counted(view: SweepView, counting: Counting, order: str, k: int) -> bool:
    """Whether the curves of what is counted ship with the view's sweep, so that nothing has to be counted for them."""
    asked = (view.models[-1], k, view.m, counting.quantity(order), CURVES)  # of all its models or of none
    return counting == Counting() and computed_before(view.sweep, view.filters, *asked) is not None


@dataclass(frozen=True)
class Counted:
    """n-gram frequencies of a view's rows, model by model, and what tells them from all others."""

    of: dict[str, Frequencies]
    counting: Counting
    index: str
    """Name of the n-gram index."""
    key: str


def counted(view: SweepView, counting: Counting) -> Counted | None:
    """The n-gram frequencies of a view's rows; where they are not counted yet, offers to count them."""
    about = _model_of(view)
    try:
        corpus = about and corpus_of(*about)
    except InputError as error:
        st.warning(told(error))
        return None
    try:
        if corpus:
            found = _counted(view, corpus, counting)
            if found is not None:
                return found
    except InputError as error:
        st.info(told(error))
        return None
    if not corpus and (not about or about[0].index != SUITE):
        st.info(
            "There is no n-gram index of what these models were trained on, so only entropy is drawn: "
            "`memviz corpus build` makes one of your own texts."
        )
        return None
    assert about is not None
    questions = {tuple(counting.asked(view, each).values()): None for each in view.models}
    task = CountTask(str(view.sweep.folder), about[0].name, tuple(questions))
    if under_way(task, "Counting n-grams in the training data", cancel=True, unit="rows"):
        return None
    say_end(task)
    n, before = view.sweep.manifest["rows"]["n"], "" if corpus else " The training data are indexed first, in seconds."
    what = f"The n-grams of these {n:,} rows ({counting.words})"
    st.info(f"{what} have not been counted yet: once, milliseconds a row.{before}")
    if clicked(st, "Count them", "boundary_count", type="primary"):
        worker().ask(task, session())
        st.rerun()
    return None


def _counted(view: SweepView, corpus: Corpus, counting: Counting) -> Counted | None:
    """What is counted of every model of a view, or None. Raises InputError where the sweep lacks the tokens."""
    index, found = str(corpus.manifest), {}
    for model in view.models:
        asked = counting.asked(view, model)
        place = (view.sweep, corpus, view.key, index, repr(asked), asked)
        known = _frequencies(*place)
        if known is None:
            _frequencies.clear(*place)
            return None
        found[model] = known
    return Counted(found, counting, corpus.manifest.name, f"{index} {counting}")


@st.cache_resource(max_entries=8, show_spinner=False)
def _frequencies(
    _sweep: Sweep, _corpus: Corpus, key: str, index: str, asked: str, _asked: dict[str, Any]
) -> Frequencies | None:
    return stored(FrequencyTask(_sweep, _corpus, **_asked))
