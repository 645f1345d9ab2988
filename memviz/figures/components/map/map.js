// A map of hidden states: one or two panes in one frame, a slider over decoding steps, one selection for all panes.

import { node } from "../shared/nodes.js";
import { mounting, View } from "../shared/view.js";
import { furnish } from "./furniture.js";
import { Pane } from "./pane.js";
import { Camera } from "./points.js";
import { keysOf, shadeAlong, Sprites } from "./sprites.js";

const MOVE_TIME = 350; // ms from one step to the next
const PLAY_TIME = 900; // ms a step stays while playing
const REPORT_DELAY = 250; // ms; a dragged slider reports only where it stops
const N_SHADES = 32;
const MOST_ANIMATED = 30000; // drawn points; beyond, steps change at once

class MapView extends View {
  constructor(parent) {
    super(parent, "map", "Map of hidden states");
    this.root.tabIndex = -1;
    Object.assign(this, { selected: null, hovered: null, tool: "lasso", lasso: null, whole: false, step: 0 });
    this.on("keydown", (event) => event.key === "Escape" && this.select(null));
    this.resizing = new ResizeObserver(() => this.paint());
  }

  destroy() {
    super.destroy();
    this.stop();
    this.resizing.disconnect();
    cancelAnimationFrame(this.moving);
  }

  receive(data) {
    this.marked = data.marked ?? null;
    if (this.data?.id === data.id) {
      this.paint(); // the theme may have changed, or a line was ticked below
      return;
    }
    const isSameFrame = this.data?.frame_id === data.frame_id;
    this.data = data;
    if (!isSameFrame) {
      this.camera = new Camera(data.frame, data.fit);
      const at = data.steps.indexOf(data.start.step);
      Object.assign(this, { step: at < 0 ? data.steps.length - 1 : at, whole: data.start.step === "all" });
      this.selected = data.start.selected ? new Set(data.start.selected) : null;
    }
    this.build();
    this.show(this.step, false);
  }

  build() {
    const { data } = this;
    this.resizing.disconnect();
    this.panes = data.panes.map((pane) => new Pane(pane, data.frame));
    furnish(this);
    for (const pane of this.panes) {
      this.listen(pane);
      this.resizing.observe(pane.area);
    }
    this.takeTool(this.tool);
  }

  takeTool(tool) {
    this.tool = tool;
    this.root.dataset.tool = tool;
  }

  // Colours of the page's theme, and a mark of each shade; a change of theme comes with the next drawing.
  dress() {
    const n = this.panes[0].now.length / 2;
    const { text, background } = this.colours;
    const name = `${this.data.id} ${text} ${background} ${n} ${this.panes[0].dense}`;
    if (this.dressed === name) return;
    this.dressed = name;
    const palette = this.data.palettes[this.root.dataset.theme];
    const shadeOf = ([kind, at]) => (kind === "muted" ? palette.muted : palette[kind][at]);
    this.path = palette.categorical[1];
    const { scale } = this.data;
    const ramp = palette.sequential.slice(2);
    const shades = scale.categories ? scale.categories.map((each) => shadeOf(each.colour)) : Array.from({ length: N_SHADES }, (_, i) => shadeAlong(ramp, i / (N_SHADES - 1)));
    this.sprites = new Sprites(shades, palette.muted, background, n > 2000 ? 2.2 : n > 1000 ? 3 : 4, this.panes[0].dense);
    this.legend.replaceChildren(node("strong", {}, scale.name), ...keysOf(scale, shades));
  }

  // Steps

  show(step, isMoved) {
    const from = this.step;
    this.step = step;
    this.slider.value = String(step);
    this.every.checked = this.whole;
    if (isMoved) this.whole = this.every.checked = false;
    const said = this.data.steps[step];
    this.output.textContent = this.whole ? "all steps" : said < 0 ? "last context token" : `t = ${said}`;
    this.slider.setAttribute("aria-valuetext", this.output.textContent);
    if (isMoved) this.report("step", said, REPORT_DELAY);
    const n = this.panes.reduce((sum, pane) => sum + pane.rows.length, 0);
    const isStill = !isMoved || n > MOST_ANIMATED || from === step || matchMedia("(prefers-reduced-motion: reduce)").matches;
    cancelAnimationFrame(this.moving);
    const start = performance.now();
    const frame = (now) => {
      const share = isStill ? 1 : Math.max(0, Math.min(1, (now - start) / MOVE_TIME));
      for (const pane of this.panes) pane.move(from, this.whole ? null : step, share * share * (3 - 2 * share));
      this.paint(true);
      if (share < 1) this.moving = requestAnimationFrame(frame);
    };
    frame(start);
  }

  showAll(isWhole) {
    this.stop();
    this.whole = isWhole;
    this.show(this.step, false);
    this.report("step", isWhole ? "all" : this.data.steps[this.step], REPORT_DELAY);
  }

  play() {
    this.player.textContent = "Pause";
    const next = () => this.show((this.step + 1) % this.data.steps.length, true);
    next();
    this.timer = setInterval(() => (this.root.isConnected ? next() : this.stop()), PLAY_TIME);
  }

  stop() {
    clearInterval(this.timer);
    this.timer = 0;
    this.player.textContent = "Play";
  }

  // The pointer

  listen(pane) {
    const { area } = pane;
    area.addEventListener("pointerdown", (event) => this.onDown(pane, event));
    area.addEventListener("pointermove", (event) => this.onMove(pane, event));
    area.addEventListener("pointerup", (event) => this.onUp(pane, event));
    area.addEventListener("pointercancel", () => this.drop());
    area.addEventListener("pointerleave", () => this.hover(pane, -1));
    area.addEventListener("dblclick", () => this.select(null));
    area.addEventListener("keydown", (event) => this.onKey(pane, event));
    area.addEventListener("blur", () => this.hover(pane, -1));
    area.addEventListener("wheel", (event) => this.onWheel(pane, event), { passive: false });
  }

  onDown(pane, event) {
    if (event.button !== 0) return;
    pane.area.setPointerCapture(event.pointerId);
    this.drag = { pane, from: [event.offsetX, event.offsetY], at: [event.offsetX, event.offsetY], isMoved: false };
    this.lasso = this.tool === "lasso" ? [event.offsetX, event.offsetY] : null;
    this.hover(pane, -1);
  }

  onMove(pane, event) {
    const [x, y] = [event.offsetX, event.offsetY];
    if (!this.drag) {
      const place = pane.onPath(this.camera, x, y);
      if (place < 0) this.hover(pane, pane.under(this.camera, x, y), x, y);
      else this.point(pane, [`index ${place}: “${pane.path.words[place]}”`], x, y);
      return;
    }
    const { at, from } = this.drag;
    this.drag.isMoved ||= Math.hypot(x - from[0], y - from[1]) > 4;
    if (this.lasso) this.lasso.push(x, y);
    else this.camera.pan(x - at[0], y - at[1], pane.width, pane.height);
    this.drag.at = [x, y];
    this.paint();
  }

  onUp(pane, event) {
    const { drag, lasso } = this;
    this.drop();
    if (!drag) return;
    if (!drag.isMoved) {
      const i = pane.under(this.camera, event.offsetX, event.offsetY);
      if (i >= 0) this.choose(new Set([pane.rows[i % pane.rows.length]]), event.shiftKey);
    } else if (lasso) {
      const caught = pane.caught(this.camera, lasso);
      if (caught.size) this.choose(caught, event.shiftKey);
    }
  }

  // Arrow keys lead from point to point, Enter takes one as a click does.
  onKey(pane, event) {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (way) {
      this.at = pane.beside(this.camera, pane === this.keyed ? this.at : -1, way);
      this.keyed = pane;
      this.hover(pane, this.at, ...pane.screen(this.camera, this.at));
      this.live.textContent = pane.words(this.at, this.data.steps)[0];
    } else if (event.key === "Enter" && this.keyed === pane && this.at >= 0) {
      this.choose(new Set([pane.rows[this.at % pane.rows.length]]), event.shiftKey);
    } else return;
    event.preventDefault();
  }

  drop() {
    this.drag = this.lasso = null;
    this.paint();
  }

  // With Shift, rows are added to those selected before.
  choose(rows, isMore) {
    this.select(isMore && this.selected ? new Set([...this.selected, ...rows]) : rows);
  }

  onWheel(pane, event) {
    if (this.tool !== "move" && !event.ctrlKey) return;
    event.preventDefault();
    this.camera.zoomAt(event.offsetX, event.offsetY, Math.exp(-event.deltaY / 400), pane.width, pane.height);
    this.paint();
  }

  hover(pane, i, x, y) {
    this.hovered = i < 0 ? null : pane.rows[i % pane.rows.length];
    this.tip.hidden = i < 0;
    if (i >= 0) this.point(pane, pane.words(i, this.data.steps), x, y);
    this.paint();
  }

  // Lines of text beside the pointer.
  point(pane, lines, x, y) {
    this.tip.hidden = false;
    this.tip.replaceChildren(...lines.map((line) => node("div", {}, line)));
    const left = pane.area.offsetLeft + x;
    this.tip.style.left = `${Math.min(left + 14, this.root.clientWidth - this.tip.offsetWidth - 4)}px`;
    this.tip.style.top = `${pane.area.offsetTop + y + 14}px`;
  }

  select(rows) {
    if (!rows && !this.selected) return;
    this.selected = rows;
    this.report("selected", rows ? [...rows].toSorted((a, b) => a - b) : []);
    this.paint(true);
  }

  // What the bars and the search let pass; nothing where they are open.
  filter() {
    const passes = this.facets.passes;
    const { rows } = this.panes[0];
    this.kept = this.facets.isOpen ? null : new Set(rows.filter((_, i) => passes[i]));
    this.paint(true);
  }

  // Rows drawn in colour: those selected and let pass; all where neither says anything.
  get shown() {
    const { selected, kept } = this;
    return selected && kept ? new Set([...selected].filter((row) => kept.has(row))) : (selected ?? kept);
  }

  // Drawing: one frame shows whatever changed since the last; points only where they did.

  paint(isAll = false) {
    this.isStale ||= isAll;
    this.schedule();
  }

  update() {
    if (!this.root.isConnected) return; // the page was left
    const view = `${this.camera.x} ${this.camera.y} ${this.camera.zoom}`;
    const wasDressed = this.dressed;
    let isStale = this.isStale || view !== this.view;
    for (const pane of this.panes) isStale = pane.resize() || isStale;
    this.recolour();
    this.dress();
    isStale ||= wasDressed !== this.dressed;
    for (const pane of this.panes) {
      if (isStale) pane.draw(this.camera, this.sprites, this.shown);
      if (isStale) pane.findContours(this.dense.checked ? this.data.frame : null, this.shown);
      const lasso = this.drag?.pane === pane ? this.lasso : null;
      pane.drawOver(this.camera, { ...this.colours, path: this.path }, { rows: [this.marked, this.hovered], lasso, steps: this.data.steps });
    }
    Object.assign(this, { isStale: false, view });
    const passing = this.kept ? `${this.kept.size.toLocaleString("en")} sequences pass` : "";
    this.count.textContent = this.selected ? `${this.selected.size.toLocaleString("en")} sequences selected` : passing;
    this.clear.hidden = !this.selected && !this.kept;
    this.list.hidden = !this.kept?.size || Boolean(this.selected);
    this.root.dataset.drawn = this.data.id;
  }
}

const show = mounting(MapView);
export default show;
