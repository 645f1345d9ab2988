// Entropy under each line of the strip, its columns those of the tokens above it.

import { along } from "../shared/scales.js";
import { shape } from "../shared/nodes.js";

const LANE = 26; // px of a lane, for which .token keeps room below its pieces

export class Lanes {
  constructor(strip, track) {
    Object.assign(this, { strip, track });
    this.svg = shape("svg", { class: "lanes", "aria-hidden": "true" });
    strip.node.append(this.svg);
    this.resizing = new ResizeObserver(() => this.draw(this.view));
    this.resizing.observe(strip.node);
  }

  draw(view) {
    this.view = view;
    const { columns, node } = this.strip;
    if (!view || !node.clientWidth) return;
    const bottoms = new Map(); // of each line by its top: some glyphs make their token higher
    columns.forEach(({ node: { offsetTop, offsetHeight } }) => {
      bottoms.set(offsetTop, Math.max(bottoms.get(offsetTop) ?? 0, offsetTop + offsetHeight - 3));
    });
    const places = columns.map(({ node: { offsetLeft, offsetTop, offsetWidth } }) => ({
      x: offsetLeft + offsetWidth / 2, bottom: bottoms.get(offsetTop),
    }));
    const dots = [];
    let [path, line] = ["", null];
    places.forEach(({ x, bottom }, j) => {
      const value = view.entropy[j];
      if (value === null) return;
      const y = bottom - Math.min(1, along(value, this.track.domain)) * LANE;
      path += `${line === bottom ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
      line = bottom;
      dots.push(shape("circle", { cx: x.toFixed(1), cy: y.toFixed(1), r: 2 }));
    });
    const floors = [...new Set(places.map(({ bottom }) => bottom))].map((bottom) => `M0 ${bottom}H${node.clientWidth}`).join("");
    this.svg.setAttribute("width", node.clientWidth);
    this.svg.setAttribute("height", node.scrollHeight - 2);
    this.svg.replaceChildren(shape("path", { class: "floor", d: floors }), shape("path", { class: "line", d: path }), ...dots);
  }
}
