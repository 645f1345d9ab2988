// The linked view of one traced prompt: token strip, curves and alternatives on one selection.

import { Panel, Tip } from "./alternatives.js";
import { Curves } from "./curves.js";
import { Lanes } from "./lanes.js";
import { node, radios } from "../shared/nodes.js";
import { FILLS } from "../shared/scales.js";
import { mounting, skipLink, View } from "../shared/view.js";
import { Strip } from "./strip.js";
import { MODES, describe, targetName, viewOf } from "./words.js";

const KEY_DELAY = 200; // ms; a held arrow key reports only where it stops

class TraceView extends View {
  constructor(parent) {
    super(parent, "trace", "Trace of one prompt");
    Object.assign(this, { hovered: null, same: null, mode: "free_running", fill: "entropy" });
    this.on("pointerover", (event) => this.onPointer(event));
    this.on("pointermove", (event) => this.onPointer(event));
    this.on("pointerleave", () => this.hover(null));
    this.on("click", (event) => this.onClick(event));
    this.on("keydown", (event) => this.onKey(event));
    this.on("change", (event) => this.onChange(event));
    this.on("focusin", (event) => this.onFocus(event));
    this.skip = skipLink("Skip to tokens", () => this.strip.marked.stop?.focus());
  }

  destroy() {
    super.destroy();
    this.skip.remove();
    this.curves.resizing.disconnect();
    this.lanes.resizing.disconnect();
  }

  // Called at every rerun: a selection made here stays unless the data, or what the page asks for, really changed.
  receive(data) {
    const isNew = this.data?.id !== data.id;
    const before = this.data;
    const asks = (name) => isNew || ((data[name] ?? null) !== (before[name] ?? null) && !this.isEcho(name, data[name] ?? null));
    const asked = { pinned: asks("pinned"), mode: asks("mode"), fill: asks("fill") };
    this.data = data;
    const drawn = { mode: this.mode, fill: this.fill };
    if (asked.pinned) this.pinned = this.indexOrNull(data.pinned);
    if (asked.mode && data.mode in MODES) this.mode = data.mode;
    if (asked.fill && data.fill in FILLS) this.fill = data.fill;
    if (!data.teacher_forced) this.mode = "free_running";
    if (!data.truth && FILLS[this.fill].needsTruth) this.fill = "entropy";
    const isRecoloured = this.recolour();
    const isRetracked = !isNew && before.tracks_id !== data.tracks_id;
    if (isNew || (isRetracked && [...before.tracks, ...data.tracks].some(({ kind }) => kind === "cells"))) this.build();
    else if (isRetracked) this.buildCurves();
    if (isNew || isRetracked || drawn.mode !== this.mode) this.draw();
    else if (isRecoloured || drawn.fill !== this.fill) this.paint();
    if (isNew && this.pinned !== null) this.strip.reveal(this.pinned);
    this.schedule();
  }

  get length() {
    return this.data.n_context + this.data.n_continuation;
  }

  indexOrNull(value) {
    return Number.isInteger(value) && value >= 0 && value < this.length ? value : null;
  }

  buildCurves() {
    const old = this.curves;
    old?.resizing.disconnect();
    this.curves = new Curves(this.data);
    old?.node.replaceWith(this.curves.node);
  }

  build() {
    const { data } = this;
    this.hovered = this.same = this.last = null;
    this.strip = new Strip(data);
    this.buildCurves();
    this.panel = new Panel(data);
    this.tip = new Tip(data);
    this.caption = node("span", { class: "caption" });
    this.scale = node("span", { class: "scale" });
    this.modes = radios("modes", "What the model reads", "mode", data.teacher_forced ? MODES : {});
    this.fills = node("select", { name: "fill" });
    for (const name of Object.keys(FILLS).filter((fill) => data.truth || !FILLS[fill].needsTruth)) {
      this.fills.append(node("option", { value: name }, FILLS[name].label(targetName(data, data.n_context))));
    }
    const fills = node("label", { class: "fills" }, "fill ", this.fills, this.scale);
    const bar = node("div", { class: "bar wide" }, node("strong", {}, "Tokens"), this.caption, this.modes, fills);
    const tokens = node("div", { class: "card" }, bar, this.strip.node, this.strip.legend);
    const left = node("div", { class: "left" }, tokens, this.curves.node);
    this.root.replaceChildren(node("div", { class: "docked" }, left, this.panel.node), this.tip.node, this.live);
    this.lanes?.resizing.disconnect();
    this.lanes = new Lanes(this.strip, data.tracks[0]);
  }

  // Draws the chosen mode, then its colours.
  draw() {
    const isFree = this.mode === "free_running";
    this.view = viewOf(this.data, this.mode);
    const below = isFree ? "what the model writes by itself" : "its most likely token after the true text";
    this.caption.textContent = this.data.truth ? `true text above, below it ${below}` : "the prompt, then what the model writes";
    for (const input of this.modes.querySelectorAll("input")) input.checked = input.value === this.mode;
    this.strip.write(this.view);
    this.curves.draw(this.view, () => this.schedule());
    this.lanes.draw(this.view);
    this.paint();
  }

  paint() {
    this.strip.paint(this.view, this.fill, this.colours);
    const { ends } = FILLS[this.fill];
    this.scale.replaceChildren(...(ends ? [ends[0], node("span", { class: "ramp" }), ends[1]] : []));
    this.fills.value = this.fill;
    this.schedule();
  }

  update() {
    const { view, hovered, pinned } = this;
    const tipped = this.isPointed ? hovered : null;
    this.strip.select(hovered, pinned, pinned ?? this.last ?? Math.min(this.data.n_context, this.length - 1));
    this.curves.select(hovered, pinned);
    const chosen = hovered ?? pinned;
    this.panel.show(view, chosen ?? this.data.marks.first_divergence ?? Math.min(this.data.n_context, this.length - 1), chosen === null);
    this.tip.show(view, tipped, this.strip.columns[tipped ?? 0].node, this.root);
  }

  hover(j, isPointed = false) {
    if (j === this.hovered && isPointed === this.isPointed) return;
    this.hovered = j;
    this.isPointed = isPointed;
    this.schedule();
  }

  pinIndex(j, delay = 0) {
    this.pin(j, () => describe(this.data, this.view, j), delay);
  }

  moveTo(j) {
    this.last = j;
    this.strip.focus(j);
  }

  indexAt(event) {
    const column = event.target.closest("[data-j]");
    if (column) return Number(column.dataset.j);
    const svg = event.target.closest(".curve");
    return svg ? this.curves.indexAt(svg, event.clientX) : null;
  }

  onPointer(event) {
    const row = event.target.closest(".panel li");
    const same = row ? Number(row.dataset.place) : null;
    if (same !== this.same) {
      this.same = same;
      this.strip.highlight(this.view, same);
    }
    const j = this.indexAt(event);
    if (event.target.closest(".panel") || (j === null && event.target.closest(".run"))) return; // gaps keep what is shown
    const isOverStrip = j !== null && event.target.closest(".strip") !== null;
    if (j !== null && !isOverStrip && j !== this.hovered) this.strip.reveal(j);
    this.hover(j, isOverStrip && event.pointerType !== "touch");
  }

  onClick(event) {
    const j = this.indexAt(event);
    if (j === null) return;
    this.pinIndex(j === this.pinned ? null : j);
    this.moveTo(j);
  }

  onFocus(event) {
    const column = event.target.closest("[data-j]");
    if (column?.matches(":focus-visible")) this.hover(Number(column.dataset.j));
  }

  onKey(event) {
    if (event.key === "Escape") {
      this.hover(null);
      this.pinIndex(null);
    }
    const column = event.target.closest("[data-j]");
    if (!column || event.ctrlKey || event.metaKey || event.altKey) return;
    const j = Number(column.dataset.j);
    const goals = {
      ArrowLeft: () => j - 1,
      ArrowRight: () => j + 1,
      ArrowUp: () => this.strip.lineFrom(j, -1),
      ArrowDown: () => this.strip.lineFrom(j, 1),
      Home: () => 0,
      End: () => this.length - 1,
      Enter: () => j,
      " ": () => j,
    };
    if (!Object.hasOwn(goals, event.key)) return;
    event.preventDefault();
    const goal = Math.min(this.length - 1, Math.max(0, goals[event.key]()));
    this.pinIndex(goal, KEY_DELAY);
    this.moveTo(goal);
    this.hover(null);
  }

  onChange(event) {
    const { name, value } = event.target;
    if (name !== "mode" && name !== "fill") return;
    this[name] = value;
    this.report(name, value);
    if (name === "mode") this.draw();
    else this.paint();
  }
}

const show = mounting(TraceView);
export default show;
