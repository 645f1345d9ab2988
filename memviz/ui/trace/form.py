"""The Trace page's form beside the prompt: which model, how it decodes, and the task that all of it makes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import streamlit as st

from memviz.catalog import EMBEDDED, Card, known_models, read_card
from memviz.measures.glossary import explain
from memviz.records import Decoding
from memviz.settings import settings
from memviz.tasks.trace import TraceTask, task_of_ids, task_of_text
from memviz.tokenizer import Tokenizer
from memviz.ui.common.links import PageLink
from memviz.ui.common.process import bundled_models
from memviz.ui.common.texts import escaped
from memviz.ui.common.widgets import KEEP
from memviz.ui.prompt import INPUTS, PromptForm, fill_prompt, prompt_words, within

PAGE = "trace"
NEUTRAL: dict[str, float] = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": 0}
"""What the numbers of sampling say where they change nothing."""
LIMITS = {
    "temperature": ("Temperature", 0.01, 100),
    "top_k": ("Top-k", 0, 1_000_000),
    "top_p": ("Top-p", 0.01, 1),
    "seed": ("Seed", 0, 2**53 - 1),
}
LINK = PageLink(PAGE, ("model", *INPUTS, "decode_only", "bar_eos", "no_leading", "sampled", *NEUTRAL), "run", TraceTask)


def fill(task: TraceTask) -> None:
    """Let the widgets say what a task asks."""
    fill_prompt(PAGE, task)
    decoding = asdict(task.decoding)
    said = {
        "decode_only": task.continuation_ids is None,
        "bar_eos": task.decoding.bar_eos,
        "no_leading": task.leading == "none",
        "sampled": not task.decoding.greedy,
        **{name: value if decoding[name] is None else decoding[name] for name, value in NEUTRAL.items()},
    }
    for name, value in said.items():
        st.session_state[f"{PAGE}_{name}"] = value


def ready_models() -> list[str]:
    """Those whose cards are read."""
    return [model.name for model in known_models(settings()) if read_card(model, settings())]


def offered_models(linked: TraceTask | None, ready: Sequence[str], page: str = PAGE) -> list[str]:
    """The bundled models, the embedded one, those that are ready or lie here, and what the page is about."""
    bundled = [model.name for model in bundled_models()]
    here = [model.name for model in known_models(settings()) if model.is_here]
    chosen = st.session_state[f"{page}_model"]  # stays when it goes, or another one would run in its place
    return list(dict.fromkeys([*([linked.model] if linked else []), *bundled, EMBEDDED[0].name, *ready, *here, chosen]))


@dataclass(frozen=True)
class DecodingForm:
    """What the widgets of decoding say."""

    sampled: bool
    numbers: dict[str, Any]
    """Temperature, top-k, top-p and seed, as in NEUTRAL."""
    bar_eos: bool
    no_leading: bool
    decode_only: bool

    def check(self) -> None:
        """Raise InputError for a number that cannot be used."""
        for name, (label, low, high) in LIMITS.items() if self.sampled else ():
            within(label, self.numbers[name], low, high)

    def options(self) -> dict[str, Any]:
        """Decoding, dtype and leading tokens of a task."""
        numbers = {**self.numbers, "top_k": self.numbers["top_k"] or None}
        numbers["top_p"] = None if numbers["top_p"] == 1 else numbers["top_p"]
        decoding = Decoding(**numbers if self.sampled else {}, bar_eos=self.bar_eos)
        leading = "none" if self.no_leading else "model"
        return {"decoding": decoding, "dtype": settings().dtype, "leading": leading}


def said_settings() -> str:
    """What the widgets say, in a line of Markdown."""
    said = {name: st.session_state.get(f"{PAGE}_{name}") for name in ("sampled", "temperature", "seed", "decode_only")}
    way = f"sampled, temperature {said['temperature']:g}, seed {said['seed']}" if said["sampled"] else "greedy"
    only = " · decode only" if said["decode_only"] else ""
    return f"**{escaped(st.session_state[f'{PAGE}_model'])}** · {prompt_words(PAGE)} · {way}{only}"


def choose_decoding() -> DecodingForm:
    """The widgets of decoding."""
    sampled = st.toggle("Sample", help=explain("sampled"), key=f"{PAGE}_sampled", **KEEP)
    steps = {"temperature": ("Temperature", 0.1), "top_k": ("Top-k (0: all)", 1), "top_p": ("Top-p", 0.05)}
    steps["seed"] = ("Seed", 1)
    numbers = {
        name: st.number_input(label, step=step, disabled=not sampled, key=f"{PAGE}_{name}", **KEEP)
        for name, (label, step) in steps.items()
    }
    bar_eos = st.toggle("Bar the end of sequence", help=explain("bar_eos"), key=f"{PAGE}_bar_eos", **KEEP)
    no_leading = st.toggle("No leading tokens", help=explain("no_leading"), key=f"{PAGE}_no_leading", **KEEP)
    decode_only = st.toggle("Decode only", help=explain("decode_only"), key=f"{PAGE}_decode_only", **KEEP)
    return DecodingForm(sampled, numbers, bar_eos, no_leading, decode_only)


def without_truth(
    decoding: DecodingForm, prompt: str | Sequence[int], tokenizer: Tokenizer, form: PromptForm
) -> DecodingForm:
    """The same, decode-only where a text ends before there is a true token to compare with, which is said."""
    n, k = len(tokenizer.encode(prompt)) if isinstance(prompt, str) else len(prompt), form.n_context or 0
    if decoding.decode_only or n > k or n == 0:
        return decoding
    st.caption(
        f":material/info: The text has {n} token{'s' if n > 1 else ''}, fewer than {k} of context and one to compare "
        "with: all of it is read, and what the model writes behind it has no truth (decode only)."
    )
    return replace(decoding, decode_only=True)


def task_of(
    prompt: str | Sequence[int], card: Card, tokenizer: Tokenizer, form: PromptForm, decoding: DecodingForm
) -> TraceTask:
    """The task that the widgets ask of a text, or of a row of token ids. Raises InputError."""
    with_truth = not decoding.decode_only
    sizes = form.sizes(with_context=with_truth)
    decoding.check()
    if isinstance(prompt, str):
        return task_of_text(prompt, card, tokenizer, *sizes, with_truth, **decoding.options())
    return task_of_ids(prompt, card, *sizes, with_truth, **decoding.options())
