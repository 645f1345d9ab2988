// The token strip: one column per index, true above shown, on one monospaced grid.

import { cellColour, ink, mix, shareOf } from "../shared/scales.js";
import { flag, key, node, writeSegments } from "../shared/nodes.js";
import { breaksAfter, describe, isMatch } from "./words.js";

const N_SHADES = 64;
const LONG = 512; // tokens; a longer strip scrolls in a box of its own

function placeOf(element) {
  return { top: element.offsetTop, middle: element.offsetLeft + element.offsetWidth / 2 };
}

export class Strip {
  constructor(data) {
    this.data = data;
    this.tracks = data.tracks.filter((track) => track.kind === "cells");
    this.marked = {};
    this.legend = node("div", { class: "legend" });
    this.node = node("div", { class: "strip", role: "listbox", "aria-label": "Tokens", "aria-orientation": "horizontal" });
    const { n_context: k, n_continuation: m } = data;
    this.node.classList.toggle("long", k + m > LONG);
    this.columns = [];
    this.node.append(this.run("context", 0, k), this.run("continuation", k, k + m));
  }

  run(name, from, to) {
    const count = `${to - from} token${to - from === 1 ? "" : "s"}`;
    const run = node("div", { class: `run ${name}`, role: "group", "aria-label": `${name}, ${count}` });
    run.append(node("div", { class: "title", "aria-hidden": "true" }, `${name} · ${count}`));
    for (let j = from; j < to; j++) {
      run.append(this.column(j));
      if (j < to - 1 && breaksAfter(this.data.pieces.segments[this.data.tokens[j]])) {
        run.append(node("div", { class: "break", role: "presentation" }));
      }
    }
    return run;
  }

  column(j) {
    const { data } = this;
    const column = node("div", { class: "token", role: "option", tabindex: "-1", "data-j": j, "aria-selected": "false" });
    const index = node("span", { class: "index" }, String(j));
    if (j === data.marks.first_divergence) index.prepend(flag());
    const upper = writeSegments(node("span", { class: "piece" }), data.pieces.segments[data.tokens[j]]);
    const lower = data.truth && j >= data.n_context ? node("span", { class: "piece" }) : upper;
    lower.classList.add("filled");
    const cells = this.tracks.map((track) => node("span", { class: "cell", ...(this.isBlank(track, j) && { hidden: "" }) }));
    column.append(...new Set([index, upper, lower]), ...cells);
    this.columns.push({ node: column, upper, lower, cells });
    return column;
  }

  // Whether a track says nothing of the whole context, to which j belongs: then it takes no room there.
  isBlank(track, j) {
    const { n_context: k } = this.data;
    return j < k && track.series[0].values.slice(0, k).every((v) => v === null);
  }

  // Writes the lower row, borders and labels of one mode's view.
  write(view) {
    const { data } = this;
    this.columns.forEach(({ node: column, upper, lower }, j) => {
      if (lower !== upper) {
        writeSegments(lower, data.pieces.segments[view.shown[j]]);
        column.classList.toggle("match", isMatch(data, view, j));
        column.classList.toggle("miss", !isMatch(data, view, j));
      }
      column.classList.toggle("fragile", j >= data.n_context && Boolean(view.fragile[j]));
      column.classList.toggle("again", view.mode === "free_running" && j === data.marks.resynchronised);
      column.setAttribute("aria-label", describe(data, view, j));
    });
    this.writeLegend(view);
  }

  paint(view, fill, colours) {
    const shades = new Map();
    this.columns.forEach(({ lower, cells }, j) => {
      const colour = this.colourAt(view, fill, colours, j, shades);
      lower.style.setProperty("--fill", colour ?? "transparent");
      const isBehind = colour && j >= this.data.n_context && !view.fragile[j];
      lower.style.color = isBehind ? ink(colour, colours.text, colours.background) : "";
      this.tracks.forEach((track, i) => {
        cells[i].style.setProperty("--fill", cellColour(track.series[0].values[j], track, colours));
        cells[i].dataset.border = track.series[1]?.values[j] ?? "";
      });
    });
  }

  colourAt(view, fill, colours, j, shades) {
    if (fill === "match") {
      if (j < this.data.n_context) return null;
      return isMatch(this.data, view, j) ? colours.matchFill : colours.missFill;
    }
    const share = shareOf(fill, fill === "rank" ? view.rank[j] || null : view[fill][j]);
    if (share === null) return null;
    const shade = Math.round(share * N_SHADES);
    if (!shades.has(shade)) shades.set(shade, mix(colours.low, colours.high, shade / N_SHADES));
    return shades.get(shade);
  }

  writeLegend(view) {
    const has = (name) => this.columns.some(({ node: column }) => column.classList.contains(name));
    const keys = [];
    keys.push(key("entropy", `entropy before each token, 0 to ${this.data.tracks[0].domain[1]} nats`));
    if (has("match")) keys.push(key("match", view.mode === "free_running" ? "reproduced" : "predicted"));
    if (has("miss")) keys.push(key("miss", "differs"));
    if (this.data.marks.first_divergence !== null) keys.push(key("", "first divergence", flag()));
    if (has("again")) keys.push(key("again", "first match after it"));
    if (has("fragile")) keys.push(key("fragile", "fragile: so near a tie that computing it another way may decide differently"));
    keys.push(...this.tracks.map((track, i) => this.cellKey(track, i)));
    this.legend.replaceChildren(...keys);
  }

  // Names a row of cells: its place where there are several, its scale, and what its border means.
  cellKey({ label, domain, unit, series }, i) {
    const place = this.tracks.length > 1 ? `row ${i + 1} below the tokens` : "row below the tokens";
    const ramp = node("span", { class: "scale" }, String(domain[0]), node("span", { class: "ramp" }), `${domain[1]} ${unit}`.trim());
    const border = series[1] ? ", border: the truth" : "";
    const made = key("cells", `${place}: ${label}${border}`);
    made.append(ramp);
    return made;
  }

  // Moves a class, and what goes with it for a screen reader, to column j (or nowhere).
  mark(name, j, attribute = "", on = "", off = "") {
    const now = j === null ? undefined : this.columns[j].node;
    const old = this.marked[name];
    if (old === now) return;
    old?.classList.remove(name);
    now?.classList.add(name);
    if (attribute) old?.setAttribute(attribute, off);
    if (attribute) now?.setAttribute(attribute, on);
    this.marked[name] = now;
  }

  select(hovered, pinned, stop) {
    this.mark("hovered", hovered);
    this.mark("pinned", pinned, "aria-selected", "true", "false");
    this.mark("stop", stop, "tabindex", "0", "-1");
  }

  // Shows where one token of the vocabulary stands in the text.
  highlight(view, place) {
    this.columns.forEach(({ node: column }, j) => {
      const isShown = j >= this.data.n_context && view.shown[j] === place;
      column.classList.toggle("same", place !== null && (this.data.tokens[j] === place || isShown));
    });
  }

  // Scrolls the strip alone, never the page.
  reveal(j) {
    const { offsetTop, offsetHeight } = this.columns[j].node;
    const { scrollTop, clientHeight } = this.node;
    if (offsetTop < scrollTop) this.node.scrollTop = offsetTop - 24;
    else if (offsetTop + offsetHeight > scrollTop + clientHeight) this.node.scrollTop = offsetTop + offsetHeight - clientHeight + 8;
  }

  focus(j) {
    this.columns[j].node.focus({ preventScroll: true });
    this.reveal(j);
  }

  // The token above (-1) or below (1) on the next drawn line, by where the middles are.
  lineFrom(j, direction) {
    const start = placeOf(this.columns[j].node);
    let [best, line, distance] = [j, null, Infinity];
    for (let i = j + direction; this.columns[i]; i += direction) {
      const { top, middle } = placeOf(this.columns[i].node);
      if (top !== start.top) {
        line ??= top;
        if (top !== line) break;
        if (Math.abs(middle - start.middle) < distance) [best, distance] = [i, Math.abs(middle - start.middle)];
      }
    }
    return best;
  }
}
