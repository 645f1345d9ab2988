// The marks of a map's points, and the shades they are drawn in.

import { node } from "../shared/nodes.js";
import { mix } from "../shared/scales.js";

// Marks of each colour, drawn once for screens of a density, and the colours as pixels.
export class Sprites {
  constructor(shades, faint, background, radius, dense) {
    const made = shades.map((shade) => mark(shade, radius * dense));
    const pixels = shades.map(pixelOf);
    this.faint = mark(faint, radius * dense);
    this.faintPixel = pixelOf(mix(background, faint, 0.3));
    this.of = (hue) => made[Math.min(hue, made.length - 1)];
    this.pixel = (hue) => pixels[Math.min(hue, pixels.length - 1)];
  }
}

function mark(shade, radius) {
  const side = 2 * Math.ceil(radius + 1);
  const canvas = node("canvas", { width: side, height: side });
  const context = canvas.getContext("2d");
  context.arc(side / 2, side / 2, radius, 0, 2 * Math.PI);
  context.fillStyle = shade;
  context.fill();
  return canvas;
}

// "#rrggbb" as the four bytes of an opaque pixel, red first.
function pixelOf(hex) {
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

// A shade of a ramp, 0 to 1.
export function shadeAlong(ramp, share) {
  const at = share * (ramp.length - 1);
  const i = Math.min(ramp.length - 2, Math.floor(at));
  return mix(ramp[i], ramp[i + 1], at - i);
}

// Rows of a category in each pane, said once where they are the same.
function countsOf(panes) {
  const said = panes.map((n) => n.toLocaleString("en"));
  return new Set(said).size === 1 ? said[0] : said.join(" | ");
}

// What a legend says of a scale: its categories, or its two ends.
export function keysOf(scale, shades) {
  const swatch = (background) => {
    const made = node("span", { class: scale.categories ? "dot" : "ramp" });
    made.style.background = background;
    return made;
  };
  if (!scale.categories) {
    const ramp = swatch(`linear-gradient(to right, ${shades.join(",")})`);
    return [node("span", { class: "key" }, String(scale.low), ramp, `${scale.high} ${scale.unit}`)];
  }
  return scale.categories.map((each, i) => node("span", { class: "key" }, swatch(shades[i]), `${each.name} (${countsOf(each.n)})`));
}
