// The linked view of one traced prompt: token strip, curves and alternatives on one selection.

import { Panel, Tip } from "./alternatives.js";
import { Curves } from "./curves.js";
import { node } from "./nodes.js";
import { FILLS, coloursFor, hexOf } from "./scales.js";
import { Strip } from "./strip.js";
import { MODES, describe, targetName, viewOf } from "./words.js";

const KEY_DELAY = 200; // ms; a held arrow key reports only where it stops
const ECHO = 5000; // ms in which a reported value may come back from the page

class TraceView {
  constructor(parent) {
    Object.assign(this, { turn: 0, pinned: null, hovered: null, same: null, mode: "free_running", fill: "entropy" });
    this.reported = [];
    this.timers = {};
    this.root = node("section", { class: "trace", "aria-label": "Trace of one prompt" });
    this.live = node("div", { class: "unseen", "aria-live": "polite" });
    parent.append(this.root);
    this.listening = new AbortController();
    const { signal } = this.listening;
    const on = (type, act) => this.root.addEventListener(type, act, { signal });
    on("pointerover", (event) => this.onPointer(event));
    on("pointermove", (event) => this.onPointer(event));
    on("pointerleave", () => this.hover(null));
    on("click", (event) => this.onClick(event));
    on("keydown", (event) => this.onKey(event));
    on("change", (event) => this.onChange(event));
    on("focusin", (event) => this.onFocus(event));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.recolour() && this.paint(), { signal });
  }

  destroy() {
    this.listening.abort();
    this.curves.resizing.disconnect();
    cancelAnimationFrame(this.frame);
    Object.values(this.timers).forEach(clearTimeout);
    this.root.remove();
  }

  // Called at every rerun: a selection made here stays unless the data, or what the page asks for, really changed.
  receive(data, setStateValue) {
    this.turn += 1;
    this.setStateValue = setStateValue;
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

  // What the page sends back only because it was reported from here is no wish to change anything.
  isEcho(name, value) {
    const now = performance.now();
    const at = this.reported.findIndex((entry) => entry.name === name && entry.value === value && now - entry.when < ECHO);
    if (at >= 0) this.reported = this.reported.filter((entry, i) => i > at || entry.name !== name);
    return at >= 0;
  }

  report(name, value, delay = 0) {
    clearTimeout(this.timers[name]);
    const send = () => {
      this.reported = [...this.reported.slice(-50), { name, value, when: performance.now() }];
      this.setStateValue?.(name, value);
    };
    if (delay) this.timers[name] = setTimeout(send, delay);
    else send();
  }

  // Follows the page's colours; true if they changed.
  recolour() {
    const styles = getComputedStyle(this.root);
    const [text, background] = [hexOf(styles.color), hexOf(styles.backgroundColor)];
    if (this.colours?.text === text && this.colours.background === background) return false;
    const { theme, ...colours } = coloursFor(text, background);
    this.colours = colours;
    for (const [name, colour] of Object.entries(colours)) this.root.style.setProperty(`--${name}`, colour);
    this.root.dataset.theme = theme;
    return true;
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
    this.modes = node("div", { class: "modes", role: "radiogroup", "aria-label": "What the model reads" });
    for (const [mode, label] of Object.entries(data.teacher_forced ? MODES : {})) {
      this.modes.append(node("label", {}, node("input", { type: "radio", name: "mode", value: mode }), node("span", {}, label)));
    }
    this.fills = node("select", { name: "fill" });
    for (const name of Object.keys(FILLS).filter((fill) => data.truth || !FILLS[fill].needsTruth)) {
      this.fills.append(node("option", { value: name }, FILLS[name].label(targetName(data, data.n_context))));
    }
    const fills = node("label", { class: "fills" }, "fill ", this.fills, this.scale);
    const bar = node("div", { class: "bar wide" }, node("strong", {}, "Tokens"), this.caption, this.modes, fills);
    const lower = node("div", { class: "lower" }, this.curves.node, this.panel.node);
    this.root.replaceChildren(node("div", { class: "card" }, bar, this.strip.node, this.strip.legend), lower, this.tip.node, this.live);
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
    this.paint();
  }

  paint() {
    this.strip.paint(this.view, this.fill, this.colours);
    const { ends } = FILLS[this.fill];
    this.scale.replaceChildren(...(ends ? [ends[0], node("span", { class: "ramp" }), ends[1]] : []));
    this.fills.value = this.fill;
    this.schedule();
  }

  // One frame shows whatever changed since the last.
  schedule() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      const { view, hovered, pinned } = this;
      const tipped = this.isPointed ? hovered : null;
      this.strip.select(hovered, pinned, pinned ?? this.last ?? Math.min(this.data.n_context, this.length - 1));
      this.curves.select(hovered, pinned);
      this.panel.show(view, hovered ?? pinned);
      this.tip.show(view, tipped, this.strip.columns[tipped ?? 0].node, this.root);
    });
  }

  hover(j, isPointed = false) {
    if (j === this.hovered && isPointed === this.isPointed) return;
    this.hovered = j;
    this.isPointed = isPointed;
    this.schedule();
  }

  pin(j, delay = 0) {
    if (j === this.pinned) return;
    this.pinned = j;
    this.report("pinned", j, delay);
    clearTimeout(this.timers.live);
    this.timers.live = setTimeout(() => {
      this.live.textContent = j === null ? "Selection cleared" : `Pinned: ${describe(this.data, this.view, j)}`;
    }, delay);
    this.schedule();
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
    this.pin(j === this.pinned ? null : j);
    this.moveTo(j);
  }

  onFocus(event) {
    const column = event.target.closest("[data-j]");
    if (column?.matches(":focus-visible")) this.hover(Number(column.dataset.j));
  }

  onKey(event) {
    if (event.key === "Escape") {
      this.hover(null);
      this.pin(null);
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
    this.pin(goal, KEY_DELAY);
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

const views = new WeakMap();

// The entry point of `st.components.v2`: called at every rerun with the same parent, so the view is kept beside it.
export default function trace({ data, parentElement, setStateValue }) {
  const view = views.get(parentElement) ?? new TraceView(parentElement);
  views.set(parentElement, view);
  view.receive(data, setStateValue);
  const { turn } = view;
  return () => {
    if (view.turn !== turn) return; // an overtaken call is cleaned up late
    view.destroy();
    views.delete(parentElement);
  };
}
