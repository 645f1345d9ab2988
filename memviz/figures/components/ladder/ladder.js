// One prompt under several models: grid, curves and what each wanted to say, on one selection.

import { Curves } from "../trace/curves.js";
import { node, radios } from "../shared/nodes.js";
import { MODES } from "../trace/words.js";
import { Grid } from "./grid.js";
import { METRICS, describeCell, rowColours, spanOf, tokenAt } from "./marks.js";
import { Read } from "./read.js";
import { Says } from "./says.js";
import { Steps } from "./steps.js";
import { mounting, skipLink, View } from "../shared/view.js";

const KEY_DELAY = 200; // ms; a held arrow key reports only where it stops
const VIEWS = { read: "read", grid: "grid" };
const START = { view: null, pinned: null, mode: "free_running", metric: "p", base: null, differences: false, only: false };

// Each row has its own colour in the curves.
const rule = (r) => `.curve .line.r${r}{stroke:var(--r${r})}.curve .name.r${r}{fill:var(--r${r})}`;

class LadderView extends View {
  constructor(parent) {
    super(parent, "trace ladder", "One prompt under several models");
    Object.assign(this, START, { hovered: null, row: null, focused: null });
    this.rules = node("style");
    this.on("pointerover", (event) => this.onPointer(event));
    this.on("pointermove", (event) => this.onPointer(event));
    this.on("pointerleave", () => this.hover(null, null));
    this.on("click", (event) => this.onClick(event));
    this.on("keydown", (event) => this.onKey(event));
    this.on("change", (event) => this.onChange(event));
    this.resizing = new ResizeObserver(() => this.relayout());
    this.resizing.observe(this.root);
    this.skip = skipLink("Skip to tokens", () => this.root.querySelector("[tabindex='0']")?.focus());
  }

  destroy() {
    super.destroy();
    this.skip.remove();
    for (const part of [this, this.curves, this.steps]) part?.resizing.disconnect();
  }

  // Called at every rerun: a choice made here stays unless the data, or what the page asks for, really changed.
  receive(data) {
    const before = this.data;
    const isNew = before?.id !== data.id;
    const wishes = Object.fromEntries(Object.keys(START).map((name) => [name, data[name]]));
    this.data = isNew ? data : { ...before, ...wishes }; // what is drawn keeps its objects
    for (const [name, neutral] of Object.entries(START)) {
      const asked = data[name] ?? neutral;
      const isAsked = before ? asked !== (before[name] ?? neutral) && !this.isEcho(name, asked) : true;
      if (isAsked) this[name] = asked;
    }
    if (!(this.view in VIEWS)) this.view = ["mode", "metric", "base", "differences", "only"].some((name) => data[name]) ? "grid" : "read";
    if (!(this.mode in MODES)) this.mode = START.mode;
    if (!(this.metric in METRICS)) this.metric = START.metric;
    if (!this.isColumn(this.pinned)) this.pinned = null;
    this.recolour();
    if (isNew) this.build();
    this.draw();
    if (isNew && this.pinned !== null) this.reveal(this.pinned - data.first);
  }

  isColumn(value) {
    const low = this.data.aligned ? 0 : this.data.first;
    const length = this.data.aligned ? this.data.n_context + this.data.n_continuation : this.data.first + this.data.characters.length;
    return Number.isInteger(value) && value >= low && value < length;
  }

  build() {
    const { data } = this;
    for (const part of [this.curves, this.steps]) part?.resizing.disconnect();
    this.hovered = this.row = null;
    this.grid = new Grid(data);
    this.read = new Read(data);
    this.says = new Says(data);
    this.curves = data.tracks.length ? new Curves({ ...data, marks: { first_divergence: null, change_points: [], memorized_end: null } }) : null;
    this.steps = data.steps?.points.length > 1 ? new Steps(data) : null;
    this.views = radios("modes", "How it is shown", "view", VIEWS);
    this.modes = radios("modes", "What the models read", "mode", MODES);
    this.metrics = node("select", { name: "metric" });
    for (const [name, metric] of Object.entries(METRICS)) this.metrics.append(node("option", { value: name }, metric.name));
    this.scale = node("span", { class: "scale" });
    const bar = node("div", { class: "bar wide" }, node("strong", {}, "One under another"), node("span", { class: "caption" }), this.views, this.modes);
    this.fills = node("label", { class: "fills" }, "fill ", this.metrics, this.scale);
    bar.append(this.fills);
    this.checks = {};
    const labels = data.aligned ? { differences: "differences", only: "only differing columns" } : {};
    for (const [name, label] of Object.entries(labels)) {
      this.checks[name] = node("input", { type: "checkbox", name });
      bar.append(node("label", { class: "check" }, this.checks[name], label));
    }
    this.caption = bar.children[1];
    const parts = [node("div", { class: "card" }, bar, this.read.node, this.grid.node, this.grid.legend), this.says.node];
    if (this.steps) parts.splice(1, 0, this.steps.node);
    if (this.curves) parts.push(this.curves.node);
    this.root.replaceChildren(this.rules, ...parts, this.live);
    this.colourRows();
    this.steps?.draw();
  }

  colourRows() {
    rowColours(this.data.rows.length, this.colours).forEach((colour, r) => this.root.style.setProperty(`--r${r}`, colour));
    if (!this.curves) return;
    this.rules.textContent = this.data.rows.map((_, r) => rule(r)).join("");
  }

  get baseline() {
    const known = this.data.rows.filter((row) => row.status === null);
    return known.find((row) => row.name === this.base) ?? known[0];
  }

  // What is on the page of the two ways to show the rows.
  get board() {
    return this.view === "read" ? this.read : this.grid;
  }

  get reading() {
    return this.view === "read" ? "free_running" : this.mode;
  }

  isShown = (c) => !this.data.aligned || !this.only || Boolean(this.data.differs[this.mode][c]);

  relayout() {
    if (this.grid?.layout(this.isShown)) this.draw();
  }

  draw() {
    const { data, grid, mode } = this;
    const isRead = this.view === "read";
    this.read.node.hidden = !isRead;
    const ofGrid = [grid.node, grid.legend, this.modes, this.fills, ...Object.values(this.checks).map((check) => check.parentNode)];
    for (const part of ofGrid) part.hidden = isRead;
    for (const input of this.views.querySelectorAll("input")) input.checked = input.value === this.view;
    for (const input of this.modes.querySelectorAll("input")) input.checked = input.value === mode;
    for (const [name, input] of Object.entries(this.checks)) input.checked = this[name];
    this.metrics.value = this.metric;
    const n = data.aligned ? data.differs[mode].reduce((sum, one) => sum + one, 0) : 0;
    this.caption.textContent = isRead ? "each word as the model writes it by itself: coloured where it is the text's" : data.aligned ? `${n} of ${data.n_continuation} columns differ` : "each token over the characters it stands for";
    grid.layout(this.isShown);
    grid.write(mode, { row: this.baseline, isCompared: this.differences && data.aligned });
    const curves = data.rows.map((row, r) => [`r${r}`, row.status === null ? [...row.context_entropy, ...row[mode].entropy] : []]);
    this.curves?.draw(Object.fromEntries(curves), () => this.schedule());
    this.paint();
  }

  paint() {
    const isCompared = this.differences && this.data.aligned;
    this.grid.paint(this.mode, this.metric, { row: this.baseline, isCompared }, this.colours);
    this.grid.writeLegend(this.mode, isCompared, this.colours);
    const { ends } = METRICS[this.metric];
    this.scale.replaceChildren(...(isCompared ? [] : [ends[0], node("span", { class: "ramp" }), ends[1]]));
    this.colourRows();
    this.schedule();
  }

  update() {
    const { data, board, hovered, row } = this;
    const pinned = this.pinned === null ? null : this.pinned - data.first;
    board.select(hovered, pinned, row);
    const known = data.rows.findIndex((one) => one.status === null);
    const column = pinned !== null && pinned >= 0 ? pinned : (this.focused?.column ?? 0);
    board.setStop(board.cellAt(this.focused?.row ?? known, column) ?? board.cellAt(known, 0));
    this.curves?.select(hovered === null ? null : data.first + hovered, this.pinned);
    const shown = hovered ?? pinned;
    this.says.show(shown !== null && shown >= 0 ? shown : null, this.reading);
    this.steps?.select(row);
    if (this.lit === row) return;
    this.lit = row;
    for (const line of this.curves?.node.querySelectorAll(".line, .curve .name") ?? []) {
      const isOther = row !== null && /\br\d+\b/u.test(line.getAttribute("class")) && !line.classList.contains(`r${row}`);
      line.classList.toggle("dim", isOther);
    }
  }

  hover(column, row) {
    if (column === this.hovered && row === this.row) return;
    Object.assign(this, { hovered: column, row });
    this.schedule();
  }

  pinIndex(value, row = null, delay = 0) {
    const say = () => {
      const one = this.data.rows[row];
      const t = one ? tokenAt(this.data, one, value - this.data.first) : null;
      return t === null ? value : describeCell(this.data, one, this.reading, t);
    };
    this.pin(value, say, delay);
  }

  reveal(column) {
    const known = this.data.rows.findIndex((one) => one.status === null);
    const cell = this.board.cellAt(known, column);
    if (cell && !cell.hidden) this.board.reveal(cell);
  }

  // Row and column (from the first one drawn) under a pointer; either may be null.
  placeOf(event) {
    const line = event.target.closest("[data-r]");
    const row = line ? Number(line.dataset.r) : null;
    const cell = event.target.closest(".cell");
    if (cell) return { row, column: spanOf(this.data, this.data.rows[row], Number(cell.dataset.t))[0] };
    const top = event.target.closest(".top");
    if (top) return { row: null, column: Number(top.dataset.c) };
    const svg = event.target.closest(".curves .curve");
    if (svg) {
      const j = this.curves.indexAt(svg, event.clientX);
      return { row: null, column: j === null ? null : j - this.data.first };
    }
    if (event.target.closest(".steps .curve")) return { row: this.steps.rowAt(event.clientX), column: null };
    return { row, column: null };
  }

  onPointer(event) {
    const { row, column } = this.placeOf(event);
    if (column === null && row !== null && event.target.closest(".says")) this.hover(this.hovered, row);
    else this.hover(column, row);
  }

  onClick(event) {
    const button = event.target.closest(".base");
    if (button) {
      this.base = this.data.rows[Number(button.closest("[data-r]").dataset.r)].name;
      this.report("base", this.base);
      if (this.data.aligned && !this.differences) this.report("differences", (this.differences = true));
      this.draw();
      return;
    }
    const { row, column } = this.placeOf(event);
    if (column === null) return;
    const value = column + this.data.first;
    if (row !== null) this.focus(row, column);
    this.pinIndex(value === this.pinned ? null : value, row);
  }

  focus(row, column) {
    this.focused = { row, column };
    const cell = this.board.cellAt(row, column);
    cell?.focus({ preventScroll: true });
    if (cell) this.board.reveal(cell);
  }

  onKey(event) {
    if (event.key === "Escape") {
      this.hover(null, null);
      this.pinIndex(null);
    }
    const cell = event.target.closest(".cell");
    if (!cell || event.ctrlKey || event.metaKey || event.altKey) return;
    const r = Number(cell.closest("[data-r]").dataset.r);
    const cells = this.board.rows[r].tokens.filter((one) => !one.hidden);
    const at = cells.indexOf(cell);
    const column = spanOf(this.data, this.data.rows[r], Number(cell.dataset.t))[0];
    const known = this.data.rows.flatMap((row, i) => (row.status === null ? [i] : []));
    const along = (step) => [r, cells[Math.min(cells.length - 1, Math.max(0, at + step))]];
    const across = (step) => {
      const next = known[Math.min(known.length - 1, Math.max(0, known.indexOf(r) + step))];
      return [next, this.board.cellAt(next, column) ?? cell];
    };
    const goals = {
      ArrowLeft: () => along(-1), ArrowRight: () => along(1), Home: () => along(-cells.length), End: () => along(cells.length),
      ArrowUp: () => across(-1), ArrowDown: () => across(1), Enter: () => along(0), " ": () => along(0),
    };
    if (!Object.hasOwn(goals, event.key)) return;
    event.preventDefault();
    const [row, goal] = goals[event.key]();
    const next = spanOf(this.data, this.data.rows[row], Number(goal.dataset.t))[0];
    this.hover(null, row);
    this.pinIndex(next + this.data.first, row, KEY_DELAY);
    this.focus(row, next);
  }

  onChange(event) {
    const { name, value, type, checked } = event.target;
    if (!Object.hasOwn(START, name)) return;
    this[name] = type === "checkbox" ? checked : value;
    this.report(name, this[name]);
    this.draw();
  }
}

const show = mounting(LadderView);
export default show;
