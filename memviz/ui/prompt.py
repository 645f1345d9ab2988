"""The prompt form of the pages about one prompt: text, context and continuation, what they say, and their checks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from memviz.errors import InputError
from memviz.gallery import first_example
from memviz.passages import PASSAGES
from memviz.tasks.trace import MAX_TEXT_BYTES, TraceTask
from memviz.tokenizer import Tokenizer
from memviz.ui.common.links import PageLink, T, find_task
from memviz.ui.common.models import card_of
from memviz.ui.common.process import default_model, samples, tokenizer
from memviz.ui.common.texts import escaped, told
from memviz.ui.common.training_rows import ROW, known_row, offer_surprise, prompt_of_row, row_words, show_row
from memviz.ui.common.widgets import KEEP, set_defaults

OWN_TEXT = "Text of your own"
INPUTS = ("source", "row", "text", "context", "continuation")
"""The widgets that make a prompt; their keys begin with the page."""


@dataclass(frozen=True)
class PromptForm:
    """What the form of a page says."""

    page: str
    source: str
    n_context: int | None
    n_steps: int | None
    on_edit: Callable[[], None] | None = None
    """Called when a visitor changes the text or how it is divided."""

    def show(self, models: Sequence[str]) -> None:
        """Below the form: the training row and the way to others, or the text area with its upload.

        `models`: who is asked; what only the suite's models have read is not said of others.
        """
        if self.source == ROW:
            show_row(st.session_state[f"{self.page}_row"], self.page, models)
        elif self.source == OWN_TEXT:
            key = f"{self.page}_text"
            most = MAX_TEXT_BYTES // 1_000_000
            given = st.file_uploader("A .txt file", type="txt", max_upload_size=most, key=f"{self.page}_upload")
            _take_upload(given, key)
            st.text_area(
                "Text", key=key, height=140, placeholder="Paste or type a passage.", on_change=self.on_edit, **KEEP
            )

    def offer_others(self, where: DeltaGenerator) -> None:
        """Beside the settings: the button for another training row, where it is one."""
        if self.source == ROW:
            offer_surprise(where, self.page)

    def prompt(self, own: Tokenizer) -> str | Sequence[int]:
        """The text, or the token ids of a training row where the model reads them."""
        if self.source == ROW:
            return prompt_of_row(st.session_state[f"{self.page}_row"], own)
        return PASSAGES.get(self.source) or st.session_state.get(f"{self.page}_text", "")

    def wait_for_text(self) -> None:
        """Stop the page where the box for a text is still empty, which is no error."""
        if self.source == OWN_TEXT and not st.session_state.get(f"{self.page}_text"):
            st.info("Paste or type a passage under **change**, or give a .txt file.")
            st.stop()

    def sizes(self, with_context: bool = True) -> tuple[int, int]:
        """Tokens of context and continuation. Raises InputError for a size that cannot be used."""
        n_context = within("Context", self.n_context, 1, MAX_TEXT_BYTES) if with_context else 1
        return int(n_context), int(within("Continuation", self.n_steps, 1, MAX_TEXT_BYTES))


def begin(link: PageLink[T], name: str, fill: Callable[[T], None], **others: Any) -> None:
    """What the form says before anybody chose anything: what the gallery's first example of the page asks.

    `name`: of the page's file. Its result ships, so that a first visitor sees a picture. Where there is no gallery it
    is a row that the largest model recites. `others`: what the page's further widgets say.
    """
    page, is_new = link.page, f"{link.page}_source" not in st.session_state
    before = {str(key): st.session_state[key] for key in st.session_state if str(key).startswith(f"{page}_")}
    example = first_example(name) if is_new and samples() else None
    task = find_task(link.kind, str(example.query["run"])) if example else None
    model = default_model()
    row = known_row(model) if task is None else 0
    set_defaults(page, {"model": model, "source": _sources()[0], "row": row, "context": 32, "continuation": 32})
    set_defaults(page, others)
    if task is not None:
        fill(task)
        for key, value in before.items():
            st.session_state[key] = value


def choose_prompt(page: str, on_edit: Callable[[], None] | None = None) -> PromptForm:
    """The widgets of a page's form: where the text comes from, and how it is divided."""
    heard: dict[str, Any] = {"on_change": on_edit, **KEEP}
    source = st.selectbox("Text", _sources(), key=f"{page}_source", width=260, **heard)
    n_context = st.number_input("Context", step=1, key=f"{page}_context", width=130, **heard)
    n_steps = st.number_input("Continuation", step=1, key=f"{page}_continuation", width=130, **heard)
    return PromptForm(page, source, n_context, n_steps, on_edit)


def prompt_words(page: str) -> str:
    """What the form says, in a line of Markdown."""
    said = said_prompt(page)
    source = said["source"]
    text = row_words(said["row"]) if source == ROW else "a text of your own" if source == OWN_TEXT else escaped(source)
    return f"{text} · {said['context']} + {said['continuation']} tokens"


def fill_prompt(page: str, task: TraceTask) -> None:
    """Let a page's form, and the model it is about, say what a task asks."""
    card = card_of(task.model)
    own = tokenizer(card)
    ids = [*task.context_ids, *(task.continuation_ids or ())][task.n_leading(card) :]
    text = own.to_bytes(ids).decode("utf-8", "replace")
    source = next((title for title, passage in PASSAGES.items() if passage.startswith(text)), OWN_TEXT)
    row = _row_of(ids, text, own) if source == OWN_TEXT else None
    said = {
        "model": task.model,
        "source": source if row is None else ROW,
        "context": max(1, len(task.context_ids) - task.n_leading(card)),
        "continuation": task.n_steps,
    }
    if row is not None:
        said["row"] = row
    elif source == OWN_TEXT:
        said["text"] = text
    for name, value in said.items():
        st.session_state[f"{page}_{name}"] = value


def said_prompt(page: str) -> dict[str, Any]:
    """What a page's form says, by widget; what it never said is left out."""
    return {name: st.session_state[f"{page}_{name}"] for name in INPUTS if f"{page}_{name}" in st.session_state}


def take_prompt(page: str, said: dict[str, Any]) -> None:
    """Let a page's form say what another one says."""
    for name, value in said.items():
        st.session_state[f"{page}_{name}"] = value


def offer_traces_prompt(where: DeltaGenerator, page: str) -> None:
    """A button that takes over the prompt of the Trace page, where somebody made another one there."""
    theirs = said_prompt("trace")
    if theirs.get("source") and theirs != said_prompt(page):
        where.button(
            "Take the Trace page's prompt",
            icon=":material/timeline:",
            on_click=take_prompt,
            args=(page, theirs),
            key=f"{page}_take",
        )


def within(label: str, value: float | None, low: float, high: float) -> float:
    """A typed number. Raises InputError where it is outside its limits; the widgets themselves take any."""
    if value is None or not low <= value <= high:
        raise InputError(
            f"{label} is {'empty' if value is None else f'{value:,}'}: give a number from {low:,} to {high:,}"
        )
    return value


def _sources() -> list[str]:
    return [*([ROW] if samples() else []), *PASSAGES, OWN_TEXT]


def _row_of(ids: list[int], text: str, own: Tokenizer) -> int | None:
    """The training row that a request's ids, or its text under another tokenizer, are the start of."""
    rows = samples()
    if rows is None:
        return None
    return rows.row_of(ids) if own.hash == rows.tokenizer.hash else rows.row_of_text(text)


def _take_upload(given: Any, text_key: str) -> None:
    """Put an uploaded text into a text area, once; says so where it is not UTF-8."""
    if given is None or st.session_state.get(f"{text_key}_from") == given.file_id:
        return
    try:
        st.session_state[text_key] = given.getvalue().decode("utf-8-sig")
        st.session_state[f"{text_key}_from"] = given.file_id
    except UnicodeDecodeError as error:
        st.error(f"{told(given.name)} is not UTF-8 (byte {error.start}): save it as UTF-8")
