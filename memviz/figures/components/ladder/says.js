// What each model wanted to say at one position.

import { node, word, writeSegments } from "../shared/nodes.js";
import { number, probability } from "../trace/words.js";
import { isApart, tokenAt } from "./marks.js";

const title = (text) => node("span", { role: "columnheader" }, text);
const cell = (...children) => node("span", { role: "cell" }, ...children);

function chip(home) {
  const [name, p] = [node("span", { class: "word" }), node("small")];
  return { node: home.appendChild(node("span", { class: "chip" }, name, p)), word: name, p };
}

export class Says {
  constructor(data) {
    this.data = data;
    this.title = node("div", { class: "bar" });
    this.list = node("div", { class: "says", role: "table", "aria-label": "What each model wanted to say" });
    this.note = node("div", { class: "note" });
    this.node = node("div", { class: "card" }, this.title, node("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "What each model wanted to say" }, this.list), this.note);
  }

  // column: counted from the first one drawn; null for none.
  show(column, name) {
    if (this.shown === `${column} ${name}`) return;
    this.shown = `${column} ${name}`;
    const { data } = this;
    const known = column === null ? [] : data.rows.map((row) => tokenAt(data, row, column));
    const isAny = known.some((t) => t !== null);
    const place = `at ${data.aligned ? "index" : "character"} ${data.first + column}`;
    const heading = [node("strong", {}, `What did each model want to say${isAny ? ` ${place}` : ""}?`)];
    if (isAny && data.aligned) heading.push(node("span", { class: "caption" }, "the text says “", word(data.segments[data.tokens[column]]), "”"));
    this.title.replaceChildren(...heading);
    this.list.hidden = !isAny;
    this.lines ??= this.build();
    this.lines.forEach((line, r) => {
      line.node.hidden = (known[r] ?? null) === null;
      if (!line.node.hidden) this.write(line, data.rows[r], known[r], name);
    });
    this.note.textContent = isAny
      ? name === "free_running"
        ? "Free-running: each model reads its own output; rows in grey have left the text before this token."
        : "Teacher-forced: every model reads the true text up to here."
      : "Point at a cell to see what every model weighed there. A click pins it, arrow keys move on, Esc clears.";
  }

  build() {
    const own = this.data.aligned ? [] : ["its token"];
    const titles = ["model", ...own, "p(true)", "rank", "entropy", "its choices, by probability"].map(title);
    this.list.classList.toggle("own", !this.data.aligned);
    this.list.append(node("div", { class: "line head", role: "row" }, ...titles));
    return this.data.rows.map((row, r) => {
      const cells = Array.from({ length: titles.length - 1 }, () => cell());
      cells[0].textContent = row.label;
      const choices = node("span", { role: "cell", class: "choices" });
      const chips = [];
      const line = { node: node("div", { class: "line", role: "row", "data-r": r }, ...cells, choices), cells, choices, chips };
      this.list.append(line.node);
      return line;
    });
  }

  write({ node: line, cells, choices, chips }, row, t, name) {
    const { data } = this;
    const mode = row[name];
    line.classList.toggle("apart", isApart(row, name, t));
    const said = [probability(mode.surprisal[t]), mode.rank[t].toLocaleString("en"), number(mode.entropy[t], 2)];
    cells.slice(-3).forEach((one, i) => (one.textContent = said[i]));
    if (!data.aligned) writeSegments(cells[1], data.segments[row.tokens[t]]).classList.add("word");
    mode.top[t].forEach((place, i) => {
      chips[i] ??= chip(choices);
      chips[i].node.hidden = place === null;
      if (place === null) return;
      const isTrue = i + 1 === mode.rank[t];
      writeSegments(chips[i].word, data.segments[place]);
      chips[i].p.textContent = `${isTrue ? "✓ " : ""}${probability(mode.top_surprisal[t][i])}`;
      chips[i].node.classList.toggle("true", isTrue);
      chips[i].node.style.setProperty("--p", `${(100 * Math.exp(-(mode.top_surprisal[t][i] ?? Infinity))).toFixed(1)}%`);
    });
  }
}
