// When was it memorized: M and log p(true) of each checkpoint, with the steps that showed the row.

import { linePath, ticks } from "../shared/scales.js";
import { node, shape } from "../shared/nodes.js";
import { number } from "../trace/words.js";

const WIDE = 200; // steps further apart than this ratio are drawn on a logarithmic axis
const LOWEST = -8; // nats a token

// About `most` steps from 0 on, at 1, 2 or 5 times a power of ten.
export function rounds(last, most) {
  const exact = last / most;
  const power = 10 ** Math.floor(Math.log10(exact));
  const every = Math.max(1, [1, 2, 5, 10].find((n) => n * power >= exact) * power);
  return Array.from({ length: Math.floor(last / every) + 1 }, (_, i) => i * every);
}

export class Steps {
  constructor(data) {
    this.steps = data.steps;
    this.readout = node("span", { class: "caption" });
    this.holder = node("div", { class: "steps" });
    const title = node("strong", {}, "When was it memorized?");
    this.node = node("div", { class: "card" }, node("div", { class: "bar" }, title, this.readout), this.holder, node("div", { class: "note" }, this.steps.said));
    this.resizing = new ResizeObserver(() => this.holder.clientWidth !== this.width && this.draw());
    this.resizing.observe(this.holder);
  }

  draw() {
    const width = this.holder.clientWidth;
    this.width = width;
    if (!width) return;
    const { points, exposures, n_steps: n } = this.steps;
    const [first, last] = [points[0].step, Math.max(n ?? 0, points.at(-1).step)];
    this.isLog = last / Math.max(1, first) > WIDE;
    const box = { left: 40, right: width - 12 };
    const at = (step) => (this.isLog ? Math.log(Math.max(step, 1)) / Math.log(last) : step / last);
    this.x = (step) => box.left + at(step) * (box.right - box.left);
    const svg = shape("svg", { class: "curve", width, height: 282, viewBox: `0 0 ${width} 282`, role: "img", "aria-label": "Memorization score and log p(true) by training step" });
    this.svg = svg;
    const add = (tag, attributes, text) => svg.appendChild(shape(tag, attributes, text));
    const plots = [
      { name: "memorization score M", top: 24, bottom: 112, value: (p) => p.score, low: 0, high: 1, marks: [0, 0.5, 1], style: "main" },
      { name: "mean log p(true), nats a token, teacher-forced", top: 148, bottom: 222, value: (p) => p.logprob, low: LOWEST, high: 0, marks: [LOWEST, LOWEST / 2, 0], style: "faint" },
    ];
    this.dots = points.map(() => []);
    for (const { name, top, bottom, value, low, high, marks, style } of plots) {
      const y = (v) => bottom - ((Math.max(low, v) - low) / (high - low)) * (bottom - top);
      add("text", { class: "tick", x: 2, y: top - 10 }, name);
      for (const v of marks) {
        add("path", { class: "grid", d: `M${box.left} ${y(v)}H${box.right}` });
        add("text", { class: "tick", x: box.left - 8, y: y(v) + 4, "text-anchor": "end" }, String(v).replace("-", "−"));
      }
      const values = points.map(value);
      add("path", { class: `line ${style}`, d: linePath(values, (i) => this.x(points[i].step), y, 0, points.length - 1) });
      points.forEach((point, i) => {
        const dot = add("circle", { class: `dot ${style}`, cx: this.x(point.step), cy: y(value(point)), r: 4.5 });
        this.dots[i].push(dot);
      });
    }
    if (exposures) {
      add("text", { class: "tick", x: 2, y: 250 }, "seen");
      let path = "";
      for (const step of exposures) path += `M${this.x(step).toFixed(1)} 236V252`;
      add("path", { class: "seen", d: path });
    }
    const marks = this.isLog ? ticks(1, last, 8, { scale: "log" }) : rounds(last, width / 110);
    for (const step of marks) add("text", { class: "tick", x: this.x(step), y: 274, "text-anchor": "middle" }, step.toLocaleString("en"));
    const isFree = marks.every((step) => this.x(step) < box.right - 110);
    if (isFree) add("text", { class: "tick", x: box.right, y: 274, "text-anchor": "end" }, "training step");
    this.holder.replaceChildren(svg);
    this.select(null);
  }

  // The row whose point is nearest.
  rowAt(clientX) {
    const at = clientX - this.svg.getBoundingClientRect().left;
    const { points } = this.steps;
    return points.reduce((best, p) => (Math.abs(this.x(p.step) - at) < Math.abs(this.x(best.step) - at) ? p : best)).row;
  }

  select(row) {
    const { points } = this.steps;
    points.forEach((point, i) => this.dots?.[i]?.forEach((dot) => dot.setAttribute("r", point.row === row ? 7 : 4.5)));
    const point = points.find((one) => one.row === row) ?? points.at(-1);
    const seen = point.seen === null ? "" : ` · seen ${point.seen.toLocaleString("en")} time${point.seen === 1 ? "" : "s"} before`;
    this.readout.textContent = `step ${point.step.toLocaleString("en")} · M ${number(point.score, 2)} · mean log p ${number(point.logprob, 2)}${seen}`;
  }
}
