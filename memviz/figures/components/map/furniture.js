// What stands around a map: steps, tools, filter bars, legend.

import { node, radios } from "../shared/nodes.js";
import { Facets } from "./facets.js";
import { savePicture } from "./picture.js";

const TOOLS = { lasso: "Lasso", move: "Move and zoom" };

function button(label, act) {
  const made = node("button", { type: "button" }, label);
  made.addEventListener("click", act);
  return made;
}

// Makes the nodes of a view whose panes are there, and puts them in place.
export function furnish(view) {
  view.slider = node("input", { type: "range", min: 0, max: view.data.steps.length - 1, step: 1, "aria-label": "Decoding step" });
  view.slider.addEventListener("input", () => view.show(Number(view.slider.value), true));
  view.output = node("output", {});
  view.player = button("Play", () => (view.timer ? view.stop() : view.play()));
  view.every = node("input", { type: "checkbox" });
  view.every.addEventListener("change", () => view.showAll(view.every.checked));
  const tools = radios("tools", "What dragging does", "tool", TOOLS);
  tools.addEventListener("change", (event) => view.takeTool(event.target.value));
  tools.querySelector(`[value=${view.tool}]`).checked = true;
  view.count = node("span", { class: "count", role: "status" });
  view.clear = button("Clear", () => {
    view.facets.clear();
    view.select(null);
  });
  const whole = button("Whole map", () => {
    view.camera.reset(true);
    view.paint();
  });
  view.dense = node("input", { type: "checkbox" });
  view.dense.addEventListener("change", () => view.paint(true));
  const density = node("label", { class: "check" }, view.dense, "density");
  view.facets = new Facets(view.data.facets, view.data.panes[0].texts, () => view.filter());
  view.kept = null;
  view.list = button("List these", () => view.select(view.kept));
  const steps = node("div", { class: "bar" }, view.player, node("label", { class: "slide" }, node("span", {}, "Decoding step"), view.slider), view.output);
  steps.append(node("label", { class: "check" }, view.every, "all steps at once"));
  const bar = node("div", { class: "bar" }, tools, whole, density, button("PNG", () => savePicture(view.panes, view.colours, view.output.textContent)), view.count, view.list, view.clear);
  view.legend = node("div", { class: "legend" });
  view.tip = node("div", { class: "tip", hidden: "" });
  view.box = node("div", { class: "panes" }, ...view.panes.map((pane) => pane.node));
  const main = node("div", { class: "main", "data-panes": view.panes.length }, view.box, view.facets.node);
  view.root.replaceChildren(steps, bar, main, view.legend, view.tip);
}
