// The curves: one plot per track of lines or steps, all on the axis of token indices.

import { along, linePath, ticks } from "../shared/scales.js";
import { FLAG, key, node, shape } from "../shared/nodes.js";
import { cellWords, reading } from "./words.js";

const HEIGHT = 350; // px, of the first plot
const LOW_HEIGHT = 118; // px, of each further one
const ROOMY = 520; // px; narrower plots do without names at the line ends

export class Curves {
  constructor(data) {
    this.data = data;
    this.tracks = data.tracks.filter((track) => track.kind !== "cells");
    const longest = Math.max(...this.tracks.flatMap(({ series }) => series.map(({ label }) => label.length)));
    this.margin = Math.max(86, Math.min(160, 16 + 7.2 * longest)); // px for the names at the line ends
    this.length = data.n_context + data.n_continuation;
    this.plots = [];
    this.readout = node("span", { class: "caption" });
    this.legend = node("div", { class: "legend" });
    this.holder = node("div", { class: "curves" });
    const title = node("strong", {}, "Entropy before each token");
    this.node = node("div", { class: "card" }, node("div", { class: "bar" }, title, this.readout), this.holder, this.legend);
    this.resizing = new ResizeObserver(() => this.holder.clientWidth !== this.width && this.draw(this.view, this.onDrawn));
    this.resizing.observe(this.holder);
  }

  // Draws one mode's view, then and after every change of width calls onDrawn.
  draw(view, onDrawn) {
    Object.assign(this, { view, onDrawn, width: this.holder.clientWidth });
    if (!view || !this.width) return; // not laid out yet: the observer calls again
    this.plots = this.tracks.map((track, i) => this.plot(track, i === 0));
    this.holder.replaceChildren(...this.plots.map((plot) => plot.node));
    const { marks } = this.data;
    const keys = [];
    if (marks.memorized_end !== null) keys.push(key("band", "memorized run"));
    if (marks.change_points.length) keys.push(key("change", "change point"));
    if (this.plots.some((plot) => plot.isClipped)) keys.push(key("clipped", "beyond the axis"));
    this.legend.replaceChildren(...keys);
    onDrawn();
  }

  plot(track, isFirst) {
    const { width, length } = this;
    const isRoomy = width >= ROOMY;
    const height = isFirst ? (isRoomy ? HEIGHT : 240) : LOW_HEIGHT;
    const box = { left: 36, right: width - (isRoomy ? this.margin : 8), top: isFirst ? 40 : 10, bottom: height - 24 };
    const x = (j) => box.left + ((j + 0.5) / length) * (box.right - box.left);
    const y = (v) => box.bottom - along(v, track.domain, track.scale) * (box.bottom - box.top);
    const label = `${track.label} in ${track.unit} by token index`;
    const svg = shape("svg", { class: "curve", width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
    const plot = { node: svg, svg, track, box, x, y, isFirst, isRoomy, isClipped: false };
    if (!isFirst) {
      plot.readout = node("span", { class: "caption" });
      const head = node("div", { class: "head" }, node("span", { class: "name" }, `${track.label} (${track.unit})`), plot.readout);
      plot.node = node("div", { class: "plot" }, head, svg);
    }
    plot.add = (tag, attributes, text) => svg.appendChild(shape(tag, attributes, text));
    this.drawAxes(plot);
    this.drawLines(plot);
    this.drawMarks(plot);
    for (const name of ["pin", "hair"]) {
      plot[name] = plot.add("g", { class: name, visibility: "hidden" });
      plot[name].append(shape("path", { d: `M0 ${box.top}V${box.bottom}` }), shape("circle", { r: 4.5 }));
    }
    return plot;
  }

  drawAxes({ add, box, x, y, track, isFirst, isRoomy }) {
    const { marks, n_context: k } = this.data;
    if (marks.memorized_end !== null) {
      const [left, right] = [x(k - 0.5), x(marks.memorized_end - 0.5)];
      add("rect", { class: "band", x: left, y: box.top, width: Math.max(0, right - left), height: box.bottom - box.top });
    }
    for (const v of ticks(...track.domain, (box.bottom - box.top) / (isFirst ? 50 : 26), { scale: track.scale })) {
      add("path", { class: "grid", d: `M${box.left} ${y(v)}H${box.right}` });
      add("text", { class: "tick", x: box.left - 8, y: y(v) + 4, "text-anchor": "end" }, v.toLocaleString("en", { notation: "compact" }));
    }
    for (const j of ticks(0, this.length - 1, (box.right - box.left) / 50, { finest: 1 })) {
      add("text", { class: "tick", x: x(j), y: box.bottom + 17, "text-anchor": "middle" }, String(j));
    }
    if (isFirst) add("text", { class: "tick", x: 2, y: 12 }, `${track.label} (${track.unit})`);
    if (isRoomy && isFirst) add("text", { class: "tick", x: box.right + 10, y: box.bottom + 17 }, "token index");
  }

  drawMarks({ add, box, x, isFirst }) {
    const { marks, n_context: k } = this.data;
    const rule = (at, className, top = box.top) => add("path", { class: className, d: `M${at.toFixed(1)} ${top}V${box.bottom}` });
    for (const j of marks.change_points) rule(x(j), "change");
    const edge = x(k - 0.5);
    rule(edge, "boundary", isFirst ? 18 : box.top);
    const at = marks.first_divergence === null ? null : x(marks.first_divergence);
    if (at !== null) rule(at, "divergence", isFirst ? 30 : box.top);
    if (!isFirst) return;
    if (edge - box.left > 60) add("text", { class: "label", x: edge - 8, y: 29, "text-anchor": "end" }, "context");
    const isTurned = at !== null && this.width - at < 110;
    const room = (at === null ? box.right : at) - edge - (isTurned ? 110 : 0);
    if (room > 85) add("text", { class: "label", x: edge + 8, y: 29 }, "continuation");
    if (at === null) return;
    add("path", { class: "flag", d: FLAG, transform: `translate(${at} 30) scale(${isTurned ? -1 : 1} 1)` });
    if (isTurned && at - edge < 110) return; // no place for its name
    const [x0, anchor] = isTurned ? [at - 12, "end"] : [at + 12, "start"];
    add("text", { class: "label miss", x: x0, y: 29, "text-anchor": anchor }, "first divergence");
  }

  drawLines(plot) {
    const { box, track, x, y } = plot;
    const { n_context: k } = this.data;
    const isSteps = track.kind === "steps";
    const [width, height] = [box.right - box.left, box.bottom - box.top + 4];
    // An inner viewport cuts off what leaves the axis.
    const frame = plot.add("svg", { x: box.left, y: box.top - 2, width, height, viewBox: `${box.left} ${box.top - 2} ${width} ${height}` });
    const gap = x(1) - x(0);
    // The first series is drawn last, over the others.
    plot.lines = track.series.toReversed().map((series) => {
      const values = typeof series.values === "string" ? this.view[series.values] : series.values;
      const density = gap < 2 ? "dense" : "";
      const add = (className, d, to = frame) => {
        if (d) to.append(shape("path", { class: `${className} ${series.style} ${density}`, d }));
      };
      add("line before", linePath(values, x, y, 0, k - 1, isSteps));
      if (!isSteps && values[k - 1] !== null) add("line before", linePath(values, x, y, k - 1, k));
      add("line", linePath(values, x, y, k, this.length - 1, isSteps));
      let [spots, beyond] = ["", ""];
      const hasSpots = series.style === "main" && !isSteps && gap >= 7;
      values.forEach((v, j) => {
        if (v === null) return;
        if (along(v, track.domain, track.scale) > 1) beyond += `M${(x(j) - 4).toFixed(1)} ${box.top}l4 -7l4 7Z`;
        else if (hasSpots && j >= k) spots += `M${x(j).toFixed(1)} ${y(v).toFixed(1)}h0`;
      });
      add("spots", spots, plot.svg);
      add("beyond", beyond, plot.svg);
      plot.isClipped ||= beyond !== "";
      return { series, values };
    }).toReversed();
    if (plot.isRoomy) this.nameLines(plot);
  }

  // Names at the ends of the lines, moved apart where the ends meet.
  nameLines({ add, box, y, lines }) {
    const ends = lines.map(({ series, values }) => ({ series, last: values.findLast((v) => v !== null) }));
    let lowest = box.bottom;
    for (const { series, at } of ends
      .filter(({ last }) => last !== undefined)
      .map(({ series: named, last }) => ({ series: named, at: Math.min(box.bottom, Math.max(box.top, y(last))) }))
      .toSorted((a, b) => b.at - a.at)) {
      const placed = Math.min(at, lowest);
      add("text", { class: `name ${series.style}`, x: box.right + 8, y: placed + 4 }, series.label);
      lowest = placed - 15;
    }
  }

  indexAt(svg, clientX) {
    const { left, right } = this.plots.find((plot) => plot.svg === svg).box;
    const share = (clientX - svg.getBoundingClientRect().left - left) / (right - left);
    return share < 0 || share > 1 ? null : Math.min(this.length - 1, Math.floor(share * this.length));
  }

  select(hovered, pinned) {
    for (const plot of this.plots) {
      for (const [name, j] of [["hair", hovered], ["pin", pinned]]) {
        const value = j === null ? null : plot.lines[0].values[j];
        plot[name].setAttribute("visibility", j === null ? "hidden" : "visible");
        if (j !== null) plot[name].setAttribute("transform", `translate(${plot.x(j).toFixed(1)} 0)`);
        const dot = plot[name].lastChild;
        dot.setAttribute("visibility", value === null ? "hidden" : "inherit");
        if (value !== null) dot.setAttribute("cy", Math.max(plot.box.top, plot.y(value)).toFixed(1));
      }
    }
    const j = hovered ?? pinned;
    const cells = cellWords(this.data, j);
    for (const plot of this.plots) {
      const said = j === null ? [] : this.read(plot, j);
      if (plot.isFirst) this.readout.textContent = j === null ? "" : [`index ${j}`, ...said, ...cells].join(" · ");
      else plot.readout.textContent = said.join(" · ");
    }
  }

  // A track's own words for an index, else its values.
  read({ track, lines }, j) {
    const values = lines.map(({ series, values: all }) => `${series.label} ${reading(all[j])}`);
    return track.texts ? [track.texts[j] ?? values.join(" · ")] : values;
  }
}
