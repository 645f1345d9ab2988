// The tokens the model weighed at one position: the panel beside the curves, and the tip over the strip.

import { node, word, writeSegments } from "../shared/nodes.js";
import { cellWords, facts, listed, number, probability, readBefore, shownName, targetName } from "./words.js";

const N_IN_TIP = 5;

class Rows {
  constructor(label) {
    this.list = node("ol", { "aria-label": label });
    this.rows = [];
  }

  row(i) {
    if (!this.rows[i]) {
      const [rank, name, track, p, tag] = ["rank", "word", "track", "p", "tag"].map((part) => node("span", { class: part }));
      const bar = track.appendChild(node("span", { class: "length" }));
      this.rows[i] = { item: this.list.appendChild(node("li", {}, rank, name, track, p, tag)), rank, name, bar, p, tag };
    }
    return this.rows[i];
  }

  write(data, entries) {
    entries.forEach((entry, i) => {
      const { item, rank, name, bar, p, tag } = this.row(i);
      const isFar = i > 0 && entry.rank > entries[i - 1].rank + 1;
      item.className = [entry.isTrue ? "true" : entry.isShown && data.truth ? "shown" : "", isFar ? "far" : ""].join(" ");
      item.dataset.place = entry.place;
      rank.textContent = entry.rank.toLocaleString("en");
      writeSegments(name, data.pieces.segments[entry.place]);
      name.title = `${name.textContent} (id ${data.pieces.ids[entry.place]})`;
      bar.style.width = `${(100 * Math.exp(-(entry.surprisal ?? Infinity))).toFixed(2)}%`;
      p.textContent = probability(entry.surprisal);
      tag.textContent = (entry.isTrue ? "✓" : "") + (entry.isShown ? "▸" : "");
    });
    this.rows.forEach(({ item }, i) => (item.hidden = i >= entries.length));
  }
}

export class Panel {
  constructor(data) {
    this.data = data;
    this.rows = new Rows("Most likely tokens");
    this.rows.list.tabIndex = 0;
    this.title = node("div", { class: "bar" });
    this.note = node("div", { class: "note" });
    this.scroller = node("div", { class: "scroller" }, this.rows.list);
    this.node = node("div", { class: "card panel" }, this.title, this.scroller, this.note);
  }

  // What was weighed at index j; `isFirst`: nobody has pointed at a token yet.
  show(view, j, isFirst) {
    if (j === this.index && view === this.view && isFirst === this.isFirst) return;
    Object.assign(this, { index: j, view, isFirst });
    const { data } = this;
    const entries = listed(data, view, j, Infinity);
    this.rows.write(data, entries);
    this.scroller.hidden = !entries.length;
    const title = [node("strong", {}, `Position ${j}`)];
    if (j > 0) title.push(node("span", { class: "caption" }, "after “", word(data.pieces.segments[readBefore(data, view, j)]), "”"));
    this.title.replaceChildren(...title);
    this.note.replaceChildren(...this.notes(j, entries).map((text) => node("div", {}, text)));
  }

  notes(j, entries) {
    const { data, view } = this;
    const hint = this.isFirst ? ["Point at a token to see what else the model weighed. A click pins it, arrow keys move on, Esc clears."] : [];
    if (!entries.length) return ["Nothing comes before the first token, so nothing was predicted here.", ...hint];
    const rank = `${targetName(data, j)} token rank ${view.rank[j].toLocaleString("en")}`;
    const keys = [data.truth || j < data.n_context ? `✓ ${targetName(data, j)}` : "", j < data.n_context ? "" : `▸ ${shownName(view)}`];
    return [`${rank} · margin ${number(view.margin[j], 1)} logits`, keys.filter(Boolean).join("   "), ...hint];
  }
}

export class Tip {
  constructor(data) {
    this.data = data;
    this.rows = new Rows("");
    this.head = node("div", { class: "head" });
    this.facts = node("div", { class: "facts" });
    this.cells = node("div", { class: "cells" });
    this.node = node("div", { class: "tip card", "aria-hidden": "true", hidden: "" }, this.head, this.facts, this.cells, this.rows.list);
  }

  // Over the column of token j inside `home`, or hidden where j is null.
  show(view, j, column, home) {
    this.node.hidden = j === null;
    if (j === null) return;
    const { data } = this;
    const next = word(data.pieces.segments[j < data.n_context ? data.tokens[j] : view.shown[j]]);
    this.head.replaceChildren(...(j > 0 ? [word(data.pieces.segments[readBefore(data, view, j)]), "→", next] : [next]));
    this.facts.textContent = facts(view, j).join(" · ");
    this.cells.replaceChildren(...cellWords(data, j).map((text) => node("div", {}, text)));
    this.rows.write(data, listed(data, view, j, N_IN_TIP));
    const [frame, over] = [home.getBoundingClientRect(), column.getBoundingClientRect()];
    const { offsetWidth: width, offsetHeight: height } = this.node;
    const left = Math.min(Math.max(0, over.left + over.width / 2 - width / 2 - frame.left), frame.width - width);
    const top = over.top - height - 6 > 0 ? over.top - height - 6 : over.bottom + 6;
    this.node.style.transform = `translate(${Math.round(left)}px, ${Math.round(top - frame.top)}px)`;
  }
}
