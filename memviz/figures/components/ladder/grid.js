// The grid: a row a model, a column a position (or a character, where tokenizers differ).

import { ink, mix } from "../shared/scales.js";
import { flag, key, node, word, writeSegments } from "../shared/nodes.js";
import { number, spoken } from "../trace/words.js";
import { Board } from "./board.js";
import { describeCell, gain, gainColour, gainMark, isApart, shareAt, spanOf, tokenAt } from "./marks.js";

const N_SHADES = 48;
const WORDS_FROM = 40; // px; wider cells show what the model wrote
const WIDTHS = { aligned: [12, 76], characters: [9, 13] }; // px of a column, least and most

export class Grid extends Board {
  constructor(data) {
    super(data);
    this.n = data.aligned ? data.n_continuation : data.characters.length;
    this.legend = node("div", { class: "legend" });
    this.node = node("div", { class: "scroll" });
    this.grid = node("div", { class: "grid", role: "grid", "aria-label": "Models by position" });
    this.grid.classList.toggle("characters", !data.aligned);
    this.head = this.makeHead();
    this.rows = data.rows.map((row, r) => this.makeRow(row, r));
    this.grid.append(this.head.node, ...this.rows.map((row) => row.node));
    this.node.append(this.grid);
    this.stop = null;
  }

  line(side, cells, end, attributes = {}) {
    return node("div", { class: "rung", role: "row", ...attributes }, side, cells, end);
  }

  makeHead() {
    const { data } = this;
    const side = node("div", { class: "side", role: "columnheader" });
    side.append(...["model", "M", "prefix"].map((text) => node("span", {}, text)));
    const cells = node("div", { class: "cells", role: "presentation" });
    const columns = Array.from({ length: this.n }, (_, c) => {
      const j = data.first + c;
      const isMarked = data.aligned ? j % 4 === 0 || c === 0 : j % 10 === 0;
      const said = data.aligned ? spoken(data.segments[data.tokens[c]]) : data.characters[c];
      const text = data.aligned ? word(data.segments[data.tokens[c]]) : node("span", { class: "word" }, data.characters[c]);
      const index = node("span", { class: isMarked ? "index marked" : "index" }, String(j));
      const column = node("div", { class: "top", role: "columnheader", "data-c": c, "aria-label": `${j} ${said}` }, index, text);
      cells.append(column);
      return column;
    });
    const end = node("div", { class: "end", role: "columnheader" }, "first divergence");
    return { node: this.line(side, cells, end), cells, columns };
  }

  makeRow(row, r) {
    const button = node("button", { class: "base", type: "button", "aria-pressed": "false", title: "Compare the other rows with this one" }, row.label);
    const name = node("span", { class: "model" }, button, node("small", {}, row.facts));
    const side = node("div", { class: "side", role: "rowheader" }, name);
    const cells = node("div", { class: "cells", role: "presentation" });
    const end = node("div", { class: "end", role: "gridcell" });
    const made = { row, side, cells, button, tokens: [], node: this.line(side, cells, end, { "data-r": r }) };
    button.disabled = row.status !== null || !this.data.aligned;
    if (row.status !== null) {
      made.node.classList.add("without");
      side.append(node("span", {}, "–"), node("span", {}, "–"));
      cells.append(node("div", { class: "status", role: "gridcell" }, row.status));
      return made;
    }
    side.append(node("span", { class: "score" }, number(row.score, 2)), node("span", {}, String(row.prefix)));
    end.append(...(row.divergence === null ? ["none"] : [flag(), ` ${row.divergence}`]));
    made.tokens = row.tokens.map((_, t) => {
      const cell = node("div", { class: "cell", role: "gridcell", tabindex: "-1", "data-t": t });
      cells.append(cell);
      return cell;
    });
    return made;
  }

  // Places the columns that are shown in the width there is; true if that changed anything.
  layout(isShown) {
    const styles = getComputedStyle(this.grid);
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    this.fixed = ["--side", "--end"].map((name) => rem * parseFloat(styles.getPropertyValue(name)));
    const room = this.node.clientWidth - this.fixed[0] - this.fixed[1] - 4;
    if (!this.node.clientWidth) return false;
    const shown = Array.from({ length: this.n }, (_, c) => c).filter(isShown);
    const [least, most] = WIDTHS[this.data.aligned ? "aligned" : "characters"];
    this.width = Math.min(most, Math.max(least, Math.floor(room / Math.max(1, shown.length))));
    const laying = `${this.width} ${shown.join()}`;
    if (laying === this.laid) return false;
    this.laid = laying;
    this.left = new Map(shown.map((c, i) => [c, i * this.width]));
    this.isWordy = this.data.aligned && this.width >= WORDS_FROM;
    this.grid.classList.toggle("wordy", this.isWordy);
    this.grid.style.setProperty("--cells", `${Math.max(120, shown.length * this.width)}px`);
    this.head.columns.forEach((column, c) => this.place(column, c, c + 1));
    for (const { row, tokens } of this.rows) {
      tokens.forEach((cell, t) => this.place(cell, ...spanOf(this.data, row, t)));
    }
    return true;
  }

  place(element, start, stop) {
    const left = this.left.get(start);
    element.hidden = left === undefined || stop <= start;
    if (element.hidden) return;
    element.style.left = `${left}px`;
    element.style.width = `${(stop - start) * this.width}px`;
  }

  // Writes marks and labels of one way of reading, or differences from a baseline row.
  write(name, baseline) {
    this.hoveredNow = this.pinnedNow = null; // the cells lose their marks
    this.rows.forEach(({ row, tokens, node: line, button }) => {
      const isBase = Boolean(baseline?.isCompared) && row === baseline.row;
      line.classList.toggle("baseline", isBase);
      button.setAttribute("aria-pressed", String(isBase));
      tokens.forEach((cell, t) => {
        const mode = row[name];
        const isMatch = Boolean(mode.match[t]);
        const compared = baseline?.isCompared && !isBase ? baseline.row[name] : null;
        const apart = isApart(row, name, t) || (compared && isApart(baseline.row, name, t));
        cell.className = `cell ${isMatch ? "match" : "miss"}${apart ? " apart" : ""}${row.n_context + t === row.divergence ? " first" : ""}`;
        if (compared) cell.replaceChildren(apart ? "" : gainMark(mode, compared, t));
        else if (this.isWordy) writeSegments(cell, this.data.segments[mode.shown[t]]);
        else cell.replaceChildren(isMatch ? "" : "×");
        cell.setAttribute("aria-label", describeCell(this.data, row, name, t));
      });
    });
  }

  paint(name, metric, baseline, colours) {
    const grey = (share) => mix(colours.background, colours.muted, 0.04 + 0.14 * share);
    const cache = new Map();
    for (const { row, tokens } of this.rows) {
      tokens.forEach((cell, t) => {
        const compared = baseline?.isCompared && row !== baseline.row ? baseline.row[name] : null;
        const apart = cell.classList.contains("apart");
        const value = compared ? gain(metric, row[name], compared, t) : shareAt(metric, row[name], t);
        const at = `${apart} ${Boolean(compared)} ${Math.round(value * N_SHADES)}`;
        if (!cache.has(at)) {
          const plain = compared ? gainColour(value, colours) : mix(colours.low, colours.high, value);
          const fill = apart ? grey(compared ? 0 : value) : plain;
          cache.set(at, [fill, ink(fill, colours.text, colours.background)]);
        }
        const [fill, text] = cache.get(at);
        cell.style.backgroundColor = fill;
        cell.style.color = text;
      });
    }
  }

  writeLegend(name, isCompared, colours) {
    const keys = isCompared
      ? [key("gain", "more certain than the baseline"), key("loss", "less certain"), key("", "+ right where the baseline is wrong, − the reverse")]
      : [key("match", name === "free_running" ? "reproduced" : "predicted"), key("miss", "differs"), key("", "first divergence", flag())];
    if (name === "free_running") keys.push(key("apart", "after it: the contexts differ, so cells are grey"));
    this.legend.replaceChildren(...keys);
    this.legend.style.setProperty("--gain", gainColour(0.8, colours));
    this.legend.style.setProperty("--loss", gainColour(-0.8, colours));
  }

  // Marks the hovered and the pinned column; the bands lie in the head and in every row alike.
  select(hovered, pinned, row) {
    for (const { node: line } of this.rows) line.classList.toggle("hovered", line.dataset.r === String(row));
    const chosen = { hovered, pinned };
    for (const [name, column] of Object.entries(chosen)) {
      const old = this[`${name}Now`];
      if (old === `${column} ${this.laid}`) continue;
      this[`${name}Now`] = `${column} ${this.laid}`;
      for (const element of this.grid.querySelectorAll(`.is-${name}`)) element.classList.remove(`is-${name}`);
      for (const element of this.grid.querySelectorAll(`.cell[aria-selected]`)) if (name === "pinned") element.removeAttribute("aria-selected");
      if (column === null) continue;
      this.head.columns[column]?.classList.add(`is-${name}`);
      for (const { row: one, tokens } of this.rows) {
        const cell = tokens[tokenAt(this.data, one, column) ?? -1];
        cell?.classList.add(`is-${name}`);
        if (name === "pinned") cell?.setAttribute("aria-selected", "true");
      }
    }
  }

  reveal(cell) {
    const [side, end] = this.fixed;
    const { offsetLeft, offsetWidth } = cell;
    const { scrollLeft, clientWidth } = this.node;
    const right = offsetLeft + offsetWidth - (clientWidth - side - end);
    if (offsetLeft < scrollLeft) this.node.scrollLeft = offsetLeft - 2 * this.width;
    else if (right > scrollLeft) this.node.scrollLeft = right + 2 * this.width;
  }
}
