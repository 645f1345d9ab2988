// One figure with its title, its caption and where it came from, as PNG and SVG.

import { node } from "../shared/nodes.js";
import { actionButton, savePicture, saveVector } from "./files.js";

export default function show({ data, parentElement }) {
  const said = node("p", { role: "status" });
  const asked = () => ({ ...data, title: document.title.replace(/ . memviz$/, "") });
  const ways = { PNG: () => savePicture(asked()), SVG: () => saveVector(asked()) };
  const buttons = Object.entries(ways).map(([label, act]) => actionButton(label, act, said));
  parentElement.querySelector(".share")?.remove(); // and not all of it: the style stands there too
  parentElement.append(node("section", { class: "share", "aria-label": "Save this figure" }, node("div", { class: "row" }, ...buttons), said));
}
