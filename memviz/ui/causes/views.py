"""What each view of Causes says and draws."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from memviz.measures.causes import Contributions, Heads, Occlusion, Recovery, prefix
from memviz.measures.glossary import explain
from memviz.tasks.causes import CauseTask, OcclusionTask, RecoveryTask
from memviz.tokenizer import Tokenizer
from memviz.ui.causes.form import PAGE
from memviz.ui.causes.words import Words, choose_position
from memviz.ui.common import frames
from memviz.ui.common.frames import offer_table, picture
from memviz.ui.common.opening import show_answer
from memviz.ui.common.texts import escaped
from memviz.ui.common.widgets import KEEP

WAYS = {"replaced": "tokens replaced", "dropped": "tokens dropped"}
SILENCE = {"zero": "zero", "mean": "its mean over this row"}
RESTORED = {0: "the whole state", 1: "attention alone", 2: "MLP alone"}
N_STRONGEST = 8


def draw(figure: Any, key: str, alt: str) -> None:
    frames.draw(figure, key=key, config=picture(key), alt=alt)


def offer(table: pd.DataFrame, key: str) -> None:
    """A view and the table behind it as files."""
    with st.popover("Save as", icon=":material/download:"):
        frames.offer_picture("causes")
        offer_table(table, f"causes-{key}")


def show_occlusion(task: OcclusionTask, found: Occlusion, words: Words, key: str, controls: DeltaGenerator) -> None:
    from memviz.figures.causes import FALL, MEAN_FALL, heat_figure, strip_html

    m, whole = len(found.true_ids), int(prefix(found.whole_match))
    way = controls.segmented_control(
        "Each context token is",
        list(WAYS),
        format_func=lambda name: WAYS[name],
        default="replaced",
        required=True,
        key=f"{PAGE}_way",
        width="content",
        label_visibility="collapsed",
        **KEEP,
    )
    way = way or "replaced"
    fall = found.drop(way)
    mean, matches = fall.mean(axis=1), found.prefix_drop(way)
    strongest = int(np.nanargmax(mean)) if np.isfinite(mean).any() else 0
    n_kept = int(found.kept.sum())
    most = f"most hangs on “{escaped(words.context[strongest])}”, index {words.n_leading + strongest}"
    if whole:
        show_answer(f"{n_kept} of {len(found.kept)} context tokens keep all {whole} leading matches; {most}.")
    else:
        show_answer(f"Nothing is recited from the first position on, so no least context is looked for; {most}.")
    st.html(strip_html(mean, words.context, "nats a token lost", MEAN_FALL, found.kept))
    rows = words.numbered(words.context, words.n_leading)
    columns = words.numbered(words.truth, words.start)
    hover = "%{customdata[0]} " + way + "<br>log p of %{customdata[1]} falls by %{z:.2f} nats<br>%{customdata[2]}"
    before = np.exp(found.whole_logprob)
    p = [[f"p {a:.3f} → {b:.3f}" for a, b in zip(before, after, strict=True)] for after in found.probability(way)]
    titles = ("true token of the continuation, and its index", "context token changed", "nats")
    figure = heat_figure(fall, rows, columns, hover, titles, FALL, further=p)
    draw(figure, f"occlusion-{key}-{way}", f"Fall of log p by context token {way} and continuation token")
    st.caption(
        f"“{escaped(words.context[strongest])}” {way}: log p of the true tokens falls by {mean[strongest]:.2f} nats a "
        f"token, and {matches[strongest]:.3g} leading matches are lost."
        + (" Kept tokens are underlined; each other one was dropped in turn, checked by a pass." if whole else "")
    )
    drawn = f"{task.n_drawn} other tokens of its frequency bin in turn (mean; seed {task.seed})"
    changed = f"replaced by {drawn}" if way == "replaced" else "left out"
    st.caption(
        f"Fill: fall of log p(true) when one context token is {changed}; above the mean over {m} positions, below "
        f"each. The model reads context and truth. Scales are fixed at ±{MEAN_FALL} and ±{FALL:g} nats. "
        f"{explain('causes_least')}"
    )
    table = pd.DataFrame({"index": np.arange(len(rows)) + words.n_leading, "token": words.context})
    for name in WAYS:
        table[f"{name}_mean_drop"] = found.drop(name).mean(axis=1)
        table[f"{name}_prefix_drop"] = found.prefix_drop(name)
    offer(table.assign(kept=found.kept), key)


def show_heads(task: CauseTask[Any], found: Heads, words: Words, key: str, controls: DeltaGenerator) -> None:
    from memviz.figures.causes import heads_figure, silenced_figure

    way = controls.segmented_control(
        "A silenced head gives",
        list(SILENCE),
        format_func=lambda name: SILENCE[name],
        default="zero",
        required=True,
        key=f"{PAGE}_silence",
        width="content",
        **KEEP,
    )
    way = way or "zero"
    drop, cost = found.drop(way), found.prefix_drop(way)
    order = np.argsort(-drop, kind="stable")
    listed = order[:N_STRONGEST].tolist()

    def named(at: int) -> str:
        return f"layer {found.layer[at]}, head {found.number[at]}"

    if st.session_state.get(f"{PAGE}_head") not in listed:
        st.session_state[f"{PAGE}_head"] = listed[0]
    head = controls.selectbox("Head", listed, format_func=named, key=f"{PAGE}_head", width=180, **KEEP)
    head = listed[0] if head is None else head
    t = choose_position(words, controls)
    n_half = found.n_for_half
    show_answer(
        f"{named(listed[0]).capitalize()} costs most: {drop[listed[0]]:.2f} nats a token, {cost[listed[0]]} of "
        f"{prefix(found.whole_match)} leading matches."
    )
    st.caption(_said_half(n_half, len(drop)))
    left, right = st.columns(2)
    with left:
        draw(heads_figure(found, way, head), f"heads-{key}-{way}-{head}", "Cost of silencing each head")
    with right:
        draw(silenced_figure(found), f"silenced-{key}", "Mean log p by number of silenced heads")
    _show_attention(found, head, named(head), t, words, key)
    table = pd.DataFrame(
        {"layer": found.layer, "head": found.number}
        | {f"{name}_mean_drop": found.drop(name) for name in SILENCE}
        | {f"{name}_prefix_drop": found.prefix_drop(name) for name in SILENCE}
    )
    st.dataframe(table.iloc[listed], hide_index=True)
    st.caption(explain("causes_silenced") + " " + explain("causes_attention"))
    offer(table, key)


def _show_attention(found: Heads, head: int, name: str, t: int | None, words: Words, key: str) -> None:
    """Where a head looks, from one position or from each."""
    from memviz.figures.causes import heat_figure, strip_html

    if found.attention is None:
        st.info("This model does not give its attention weights, so where a head looks cannot be drawn.")
        return
    weights = found.attention[head].astype(float)
    st.markdown(f"**Where {name} looks** while the model predicts " + ("each token" if t is None else "this one"))
    if t is not None:
        before = words.whole[: words.start + t]
        st.html(strip_html(weights[t][: len(before)], before, "of the weight", 1.0))
        return
    columns, rows = words.numbered(words.whole, 0), words.numbered(words.truth, words.start)
    hover = "predicting %{customdata[0]}<br>looks at %{customdata[1]}: %{z:.2f}"
    titles = ("token looked at, and its index", "token being predicted", "weight")
    figure = heat_figure(weights, rows, columns, hover, titles, 1.0, two_sided=False)
    draw(figure, f"attention-{key}-{head}", f"Attention of {name}")


def _said_half(n: int | None, n_heads: int) -> str:
    if n is None:
        return f"The model has {n_heads} heads."
    which, how = ("the strongest", "silenced") if n == 1 else (f"the {n} strongest", "silenced together")
    return f"With {which} of {n_heads} heads {how}, half of the leading matches are gone."


def show_recovery(task: RecoveryTask, found: Recovery, words: Words, key: str, controls: DeltaGenerator) -> None:
    from memviz.figures.causes import heat_figure

    share, whole, noisy = found.share, found.whole_logprob.mean(), found.noisy_logprob.mean()
    if np.isnan(share).all():
        show_answer(
            f"Not answerable: the noise costs nothing here, mean log p(true) is {whole:.2f} nats without and "
            f"{noisy:.2f} with it."
        )
        st.caption("Nothing is to be recovered: take more noise, or a row that the model recites.")
        return
    kind = controls.segmented_control(
        "Restored is",
        list(RESTORED),
        format_func=lambda i: RESTORED[i],
        default=0,
        required=True,
        key=f"{PAGE}_part",
        width="content",
        **KEEP,
    )
    values = share[kind or 0]
    if np.isnan(values).all():
        st.info("In this model attention and MLP do not add up to what a block adds, so they are not restored apart.")
        return
    layer, at = np.unravel_index(np.nanargmax(values), values.shape)
    show_answer(
        f"One state brings back at most {values[layer, at]:.0%} of what the noise took: layer {layer + 1}, at "
        f"“{escaped(words.context[at])}” (index {words.n_leading + at})."
    )
    st.caption(f"Mean log p(true): {whole:.2f} nats without noise, {noisy:.2f} with it.")
    rows = [str(i) for i in range(len(values), 0, -1)]
    hover = "layer %{customdata[0]}, %{customdata[1]}<br>%{z:.1%} comes back"
    titles = ("context token whose state is restored, and its index", "layer", "share")
    columns = words.numbered(words.context, words.n_leading)
    figure = heat_figure(values[::-1], rows, columns, hover, titles, 1.0, two_sided=False, row_height=28)
    draw(figure, f"recovery-{key}-{kind}", "Share recovered by layer and context token")
    st.caption(
        f"{explain('causes_recovery')} Noise of {task.sigma:g} deviations, mean over {task.n_draws} draws, seed "
        f"{task.seed}. "
        "The scale runs from 0 to 1; shares below 0, where restoring costs more, have the colour of 0."
    )
    index = np.indices(share.shape).reshape(3, -1)
    table = pd.DataFrame({"restored": index[0], "layer": index[1] + 1, "index": index[2] + words.n_leading})
    offer(table.assign(restored=np.array(list(RESTORED.values()))[index[0]], share=share.ravel()), key)


def show_contributions(
    task: CauseTask[Any], found: Contributions, words: Words, key: str, controls: DeltaGenerator
) -> None:
    from memviz.figures.causes import LOGITS, heat_figure, written_figure

    t = choose_position(words, controls)
    lead = found.difference if t is None else found.difference[t : t + 1]
    layers = found.layer if t is None else found.layer[:, t : t + 1]
    strongest = int(layers.mean(axis=1).argmax())
    others = words.of(found.other_ids)
    against = "the likeliest other token of each position" if t is None else f"“{escaped(others[t])}”"
    show_answer(
        f"Layer {strongest + 1} adds most to the true token against {against}: {layers.mean(axis=1)[strongest]:+z.2f} "
        f"logits of a lead of {lead.mean():+z.2f}."
    )
    st.caption(f"The parts miss the lead by at most {np.abs(found.residual).max():.1e} logits.")
    draw(written_figure(found, t), f"written-{key}-{t}", "Logits each layer added")
    parts = np.vstack([found.layer[::-1], found.start, found.constant])
    rows = [*(f"layer {i}" for i in range(len(found.layer), 0, -1)), "embedding", "biases"]
    columns = [
        f"{word} / {other}  {words.start + i}" for i, (word, other) in enumerate(zip(words.truth, others, strict=True))
    ]
    hover = "%{customdata[0]}<br>true / other: %{customdata[1]}<br>%{z:.2f} logits"
    titles = ("true token / likeliest other, and index", "", "logits")
    draw(
        heat_figure(parts, rows, columns, hover, titles, LOGITS, t, row_height=26),
        f"parts-{key}-{t}",
        "Logits by layer and position",
    )
    st.caption(
        f"{explain('causes_contribution')} Scale fixed at ±{LOGITS:g} logits. "
        + (
            ""
            if not np.isnan(found.attention).any()
            else "Attention and MLP of this model do not add up, so only whole layers are shown."
        )
    )
    table = pd.DataFrame({"t": np.tile(np.arange(found.layer.shape[1]), len(found.layer))})
    table["layer"] = np.repeat(np.arange(1, len(found.layer) + 1), found.layer.shape[1])
    table["logits"], table["attention"] = found.layer.ravel(), found.attention.ravel()
    offer(table, key)


def show(task: CauseTask[Any], found: Any, own: Tokenizer, key: str, controls: DeltaGenerator) -> None:
    """The view of a result; `controls`: where its choosers stand."""
    words = Words(task, own)
    shown: dict[str, Callable[[], None]] = {
        "occlusion": lambda: show_occlusion(task, found, words, key, controls),  # type: ignore[arg-type]
        "heads": lambda: show_heads(task, found, words, key, controls),
        "noise_recovery": lambda: show_recovery(task, found, words, key, controls),  # type: ignore[arg-type]
        "contributions": lambda: show_contributions(task, found, words, key, controls),
    }
    shown[task.kind]()
