// One model's points on two canvases: the points, and above them what follows the pointer.

import { node } from "../shared/nodes.js";
import { contours, smoothed } from "./density.js";
import { decode, enclosed, nearestBeside, nearestTo, spread } from "./points.js";

const REACH = 9; // px from a point that still is on it
const FAINT = 0.16; // of points outside the selection
const SPRITES = 2000; // points drawn round; more are drawn as squares

export class Pane {
  constructor(data, frame) {
    this.name = data.name;
    this.rows = decode(data.rows, Int32Array);
    this.places = spread(decode(data.places, Uint16Array), frame);
    this.hues = decode(data.hues, Uint8Array);
    this.entropy = decode(data.entropy, Float32Array);
    Object.assign(this, { about: data.about, texts: data.texts, path: data.path, order: new Map(), lines: [] });
    this.rows.forEach((row, i) => this.order.set(row, i));
    this.base = node("canvas", { role: "img", "aria-label": `Map of ${data.name}: ${this.rows.length} sequences` });
    this.over = node("canvas", { class: "over", "aria-hidden": "true" });
    const help = `Points of ${data.name}: arrow keys lead from one to the next, Enter selects, Shift adds`;
    this.area = node("div", { class: "area", tabindex: 0, role: "group", "aria-label": help }, this.base, this.over);
    this.node = node("figure", {}, node("figcaption", {}, data.name), this.area);
    this.now = new Float32Array(2 * this.rows.length);
  }

  // Takes the size it is given; true where that changed.
  resize() {
    const { clientWidth: width, clientHeight: height } = this.area;
    const dense = Math.min(2, window.devicePixelRatio || 1);
    if (width === this.width && height === this.height && dense === this.dense) return false;
    Object.assign(this, { width, height, dense });
    for (const canvas of [this.base, this.over]) [canvas.width, canvas.height] = [width * dense, height * dense];
    return true;
  }

  // Points between two steps (numbers among the map's), `share` of the way; of all steps at once where `to` is null.
  move(from, to, share) {
    const n = 2 * this.rows.length;
    if (to === null) {
      this.now = this.places;
      return;
    }
    const [a, b] = [this.places.subarray(from * n, from * n + n), this.places.subarray(to * n, to * n + n)];
    if (this.now.length !== n || this.now === this.places) this.now = new Float32Array(n);
    for (let i = 0; i < n; i += 1) this.now[i] = a[i] + (b[i] - a[i]) * share;
    this.step = to;
  }

  get isWhole() {
    return this.now === this.places;
  }

  // Number among hues of a drawn point.
  hueAt(i) {
    return this.hues[this.isWhole ? i : this.step * this.rows.length + i];
  }

  draw(camera, sprites, selected) {
    const context = this.base.getContext("2d");
    const { width, height, dense, now } = this;
    const unit = camera.scale(width, height);
    const [dx, dy] = [width / 2 - camera.x * unit, height / 2 + camera.y * unit];
    if (now.length / 2 > SPRITES) {
      this.drawSquares(context, sprites, selected, dx, dy, unit);
      return;
    }
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, width * dense, height * dense);
    for (const isChosen of selected ? [false, true] : [true]) {
      context.globalAlpha = isChosen ? 0.85 : FAINT;
      for (let i = 0; i < now.length / 2; i += 1) {
        if (selected && selected.has(this.rows[i % this.rows.length]) !== isChosen) continue;
        const sprite = isChosen ? sprites.of(this.hueAt(i)) : sprites.faint;
        const [x, y] = [dense * (dx + now[2 * i] * unit), dense * (dy - now[2 * i + 1] * unit)];
        context.drawImage(sprite, Math.round(x - sprite.width / 2), Math.round(y - sprite.width / 2)); // pixel on pixel
      }
    }
    context.globalAlpha = 1;
  }

  // Many points as squares of pixels, in a tenth of the time.
  drawSquares(context, sprites, selected, dx, dy, unit) {
    const [across, down] = [this.base.width, this.base.height];
    const image = context.createImageData(across, down);
    const pixels = new Uint32Array(image.data.buffer);
    const n = this.rows.length;
    const chosen = selected ? Uint8Array.from(this.rows, (row) => Number(selected.has(row))) : null;
    const side = Math.max(2, Math.round(2.4 * this.dense));
    for (const isChosen of selected ? [0, 1] : [1]) {
      for (let i = 0; i < this.now.length / 2; i += 1) {
        if (chosen && chosen[i % n] !== isChosen) continue;
        const colour = isChosen ? sprites.pixel(this.hueAt(i)) : sprites.faintPixel;
        const left = Math.round(this.dense * (dx + this.now[2 * i] * unit)) - (side >> 1);
        const top = Math.round(this.dense * (dy - this.now[2 * i + 1] * unit)) - (side >> 1);
        if (left < 0 || top < 0 || left + side > across || top + side > down) continue;
        for (let y = top; y < top + side; y += 1) pixels.fill(colour, y * across + left, y * across + left + side);
      }
    }
    context.putImageData(image, 0, 0);
  }

  // Contours of the drawn points, of some rows where they are given, inside a frame; none without one.
  findContours(frame, rows) {
    const n = this.rows.length;
    this.lines = frame ? contours(smoothed(this.now, frame, rows && ((i) => rows.has(this.rows[i % n]))), frame) : [];
  }

  drawContours(context, camera, colours) {
    this.lines.forEach((segments, level) => {
      context.beginPath();
      for (let i = 0; i < segments.length; i += 4) {
        context.moveTo(...camera.toScreen(segments[i], segments[i + 1], this.width, this.height));
        context.lineTo(...camera.toScreen(segments[i + 2], segments[i + 3], this.width, this.height));
      }
      Object.assign(context, { strokeStyle: colours.text, lineWidth: 0.8 + 0.4 * level });
      context.stroke();
    });
  }

  // The prompt's way, rows that are pointed at, the lasso under way.
  drawOver(camera, colours, { rows, lasso, steps }) {
    const context = this.over.getContext("2d");
    context.setTransform(this.dense, 0, 0, this.dense, 0, 0);
    context.clearRect(0, 0, this.width, this.height);
    this.drawContours(context, camera, colours);
    if (this.path) this.drawPath(context, camera, colours, steps);
    for (const row of rows) {
      const i = row === null ? undefined : this.order.get(row);
      if (i !== undefined && !this.isWhole) circle(context, ...this.screen(camera, i), 8, null, colours.text, 2);
    }
    if (lasso?.length > 2) {
      context.beginPath();
      for (let at = 0; at < lasso.length; at += 2) context.lineTo(lasso[at], lasso[at + 1]);
      context.closePath();
      Object.assign(context, { strokeStyle: colours.text, lineWidth: 1.2 });
      context.setLineDash([4, 3]);
      context.stroke();
      context.setLineDash([]);
    }
  }

  drawPath(context, camera, colours, steps) {
    const { places, n_context: k } = this.path;
    const at = places.map(([x, y]) => camera.toScreen(x, y, this.width, this.height));
    for (const [from, to, alpha, lineWidth, radius] of [[0, k, 0.45, 1, 2], [k - 1, at.length, 1, 2, 3.5]]) {
      context.globalAlpha = alpha;
      context.beginPath();
      for (const [x, y] of at.slice(from, to)) context.lineTo(x, y);
      Object.assign(context, { strokeStyle: colours.path, lineWidth });
      context.stroke();
      for (const [x, y] of at.slice(from, to)) circle(context, x, y, radius, colours.path, colours.background, 1);
    }
    context.globalAlpha = 1;
    const here = this.isWhole ? undefined : at[k + steps[this.step]];
    if (here) circle(context, ...here, 9, colours.path, colours.text, 2);
  }

  screen(camera, i) {
    return camera.toScreen(this.now[2 * i], this.now[2 * i + 1], this.width, this.height);
  }

  // The drawn point nearest to another one in a direction of the screen; from nowhere, that nearest to the middle.
  beside(camera, i, way) {
    const at = Float32Array.from(this.now);
    for (let j = 0; j < at.length; j += 2) {
      const [x, y] = camera.toScreen(at[j], at[j + 1], this.width, this.height);
      [at[j], at[j + 1]] = [x, y];
    }
    return i < 0 ? nearestTo(at, this.width / 2, this.height / 2, Infinity) : nearestBeside(at, i, way);
  }

  // The drawn point under the pointer, or -1.
  under(camera, px, py) {
    const [x, y] = camera.toWorld(px, py, this.width, this.height);
    return nearestTo(this.now, x, y, REACH / camera.scale(this.width, this.height));
  }

  // Number of the path's point under the pointer, or -1.
  onPath(camera, px, py) {
    const at = (this.path?.places ?? []).flatMap(([x, y]) => camera.toScreen(x, y, this.width, this.height));
    return nearestTo(at, px, py, REACH);
  }

  // Rows with a drawn point inside a polygon of the screen.
  caught(camera, lasso) {
    const polygon = [];
    for (let i = 0; i < lasso.length; i += 2) polygon.push(...camera.toWorld(lasso[i], lasso[i + 1], this.width, this.height));
    return new Set(enclosed(polygon, this.now).map((i) => this.rows[i % this.rows.length]));
  }

  // What hovering says of a drawn point.
  words(i, steps) {
    const n = this.rows.length;
    const at = this.isWhole ? i : this.step * n + i;
    const step = steps[Math.floor(at / n)];
    const entropy = this.entropy[at];
    const said = step < 0 ? "last context token" : `t = ${step}`;
    const text = this.texts[i % n];
    return [this.about[i % n], ...(text ? [text] : []), Number.isNaN(entropy) ? said : `${said} · entropy ${entropy.toFixed(2)} nats`];
  }
}

function circle(context, x, y, radius, fill, line, lineWidth) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  if (fill) {
    context.fillStyle = fill;
    context.fill();
  }
  Object.assign(context, { strokeStyle: line, lineWidth });
  context.stroke();
}
