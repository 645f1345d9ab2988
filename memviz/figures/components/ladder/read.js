// What each model writes, as text one reads: a line a model, recited words coloured, then the model's own words.

import { flag, node } from "../shared/nodes.js";
import { number } from "../trace/words.js";
import { Board } from "./board.js";
import { describeCell, isApart, tokenAt } from "./marks.js";

// Spaces as spaces; other glyphs stay visible, for a line break would tear the line.
function writePlain(target, segments) {
  segments.forEach((text, i) => {
    for (const part of i % 2 ? text.split(/([·→]+)/u).filter(Boolean) : [text]) {
      if (i % 2 && !/^[·→]+$/u.test(part)) target.append(node("i", {}, part));
      else target.append(i % 2 ? " ".repeat(part.length) : part);
    }
  });
  return target;
}

const MODE = "free_running";

export class Read extends Board {
  constructor(data) {
    super(data);
    this.node = node("div", { class: "read", role: "grid", "aria-label": "What each model writes" });
    this.rows = data.rows.map((row, r) => this.makeRow(row, r));
    this.node.append(this.makeText(), ...this.rows.map((row) => row.node));
  }

  line(label, facts, words, attributes = {}) {
    const side = node("div", { class: "who", role: "rowheader" }, node("span", { class: "name" }, label), node("small", {}, facts));
    return node("div", { class: "line", role: "row", ...attributes }, side, words);
  }

  makeText() {
    const { data } = this;
    const words = node("div", { class: "words", role: "gridcell" });
    const before = node("span", { class: "before" });
    for (const place of data.context) writePlain(before, data.segments[place]);
    words.append(before, node("span", { class: "border", title: "the context ends" }));
    if (data.aligned) for (const place of data.tokens) writePlain(words, data.segments[place]);
    else words.append(data.characters.join("").replaceAll("·", " "));
    return this.line("the text", "", words, { class: "line text" });
  }

  makeRow(row, r) {
    const words = node("div", { class: "words", role: "presentation" });
    const made = { row, tokens: [], node: this.line(row.label, row.facts, words, { "data-r": r }) };
    if (row.status !== null) {
      words.append(node("span", { class: "status", role: "gridcell" }, row.status));
      return made;
    }
    made.node.firstChild.append(node("span", { class: "m" }, `M ${number(row.score, 2)}`));
    made.tokens = row[MODE].shown.map((place, t) => {
      if (row.n_context + t === row.divergence) words.append(flag(), node("span", { class: "unseen" }, "first divergence "));
      const isMatch = Boolean(row[MODE].match[t]);
      const state = `${isMatch ? "match" : "own"}${isApart(row, MODE, t) ? " apart" : ""}`;
      const attributes = { class: `cell ${state}`, role: "gridcell", tabindex: "-1", "data-t": t, "aria-label": describeCell(this.data, row, MODE, t) };
      const word = writePlain(node("span", attributes), this.data.segments[place]);
      words.append(word);
      return word;
    });
    return made;
  }

  // Marks the hovered and the pinned column in every line.
  select(hovered, pinned) {
    for (const [name, column] of Object.entries({ hovered, pinned })) {
      for (const old of this.node.querySelectorAll(`.is-${name}`)) old.classList.remove(`is-${name}`);
      if (column !== null) for (const { row, tokens } of this.rows) tokens[tokenAt(this.data, row, column) ?? -1]?.classList.add(`is-${name}`);
    }
  }

  reveal() {}
}
