// Filter bars beside a map: each counts what passes the others, and a click takes one of its values or leaves it.

import { node } from "../shared/nodes.js";
import { decode } from "./points.js";

// Which of n rows (1 or 0) pass: a chosen value of each facet where some are chosen, and the words in their text.
// Facet number `but` is left out of it.
export function passing(facets, chosen, texts, words, but = -1) {
  const n = facets[0]?.codes.length ?? texts.length;
  const found = new Uint8Array(n).fill(1);
  facets.forEach(({ codes }, i) => {
    if (i === but || !chosen[i].size) return;
    for (let row = 0; row < n; row += 1) if (!chosen[i].has(codes[row])) found[row] = 0;
  });
  const wanted = words.trim().toLowerCase();
  if (wanted) for (let row = 0; row < n; row += 1) if (!texts[row]?.toLowerCase().includes(wanted)) found[row] = 0;
  return found;
}

// Rows of each value of a facet that pass the others.
export function tallyOf({ labels, codes }, passes) {
  const counts = labels.map(() => 0);
  codes.forEach((code, row) => (counts[code] += passes[row]));
  return counts;
}

export class Facets {
  constructor(facets, texts, changed) {
    this.facets = facets.map(({ codes, ...each }) => ({ ...each, codes: decode(codes, Uint8Array) }));
    Object.assign(this, { texts, changed, words: "", chosen: this.facets.map(() => new Set()) });
    this.search = node("input", { type: "search", placeholder: "Words in the text", "aria-label": "Search the texts" });
    this.search.addEventListener("input", () => this.ask(() => (this.words = this.search.value)));
    this.bars = node("div", {});
    this.node = node("div", { class: "side" }, ...(texts.length ? [this.search] : []), this.bars);
    this.draw();
  }

  ask(change) {
    change();
    this.draw();
    this.changed();
  }

  get isOpen() {
    return !this.words.trim() && this.chosen.every((each) => !each.size);
  }

  clear() {
    this.ask(() => {
      this.search.value = this.words = "";
      this.chosen.forEach((each) => each.clear());
    });
  }

  // (n) 1 where a row passes all.
  get passes() {
    return passing(this.facets, this.chosen, this.texts, this.words);
  }

  draw() {
    const at = this.bars.getRootNode().activeElement?.dataset?.value;
    this.bars.replaceChildren(...this.facets.map((facet, i) => this.drawFacet(facet, i)));
    if (at) this.bars.querySelector(`[data-value="${at}"]`)?.focus();
  }

  drawFacet(facet, i) {
    const counts = tallyOf(facet, passing(this.facets, this.chosen, this.texts, this.words, i));
    const most = Math.max(1, ...counts);
    const lines = facet.labels.map((label, value) => {
      const isChosen = this.chosen[i].has(value);
      const line = node("button", { type: "button", class: "facet", "aria-pressed": String(isChosen), "data-value": `${i}-${value}` });
      const bar = node("span", { class: "bar-of" });
      bar.style.width = `${(100 * counts[value]) / most}%`;
      line.append(bar, node("span", { class: "label" }, label), node("span", { class: "n" }, counts[value].toLocaleString("en")));
      line.addEventListener("click", () => this.ask(() => (isChosen ? this.chosen[i].delete(value) : this.chosen[i].add(value))));
      return line;
    });
    return node("fieldset", {}, node("legend", {}, facet.name), ...lines);
  }
}
