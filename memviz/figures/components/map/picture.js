// All panes of a map beside each other as one picture.

import { node } from "../shared/nodes.js";

const GAP = 12;
const HEAD = 24;

export function savePicture(panes, colours, caption) {
  const [{ width, height, dense }] = panes;
  const canvas = node("canvas", { width: dense * (panes.length * (width + GAP) - GAP), height: dense * (height + HEAD) });
  const context = canvas.getContext("2d");
  Object.assign(context, { fillStyle: colours.background, font: `${14 * dense}px sans-serif` });
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = colours.text;
  panes.forEach((pane, i) => {
    const left = dense * i * (width + GAP);
    context.fillText(`${pane.name}, ${caption}`, left + 4 * dense, 16 * dense);
    for (const layer of [pane.base, pane.over]) context.drawImage(layer, left, HEAD * dense);
  });
  const link = node("a", { download: "memviz-map.png", href: canvas.toDataURL("image/png") });
  link.click();
}
