// A view as files, and the buttons that make them.

import { node } from "../shared/nodes.js";
import { asPicture, asVector } from "./snapshot.js";

function save(name, address) {
  node("a", { download: name, href: address }).click();
}

export function saveText(name, text, type) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  save(name, address);
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

export function saveVector(data) {
  saveText(`${data.name}.svg`, asVector(data).text, "image/svg+xml");
}

export async function savePicture(data) {
  save(`${data.name}.png`, await asPicture(data));
}

const UNDRAWN = "[data-test-script-state=running], [data-testid=stSkeleton]";
const PATIENCE = 20000; // milliseconds

// A page still being drawn has grey boxes where its pictures will be.
async function drawn(said, end = Date.now() + PATIENCE) {
  if (!document.querySelector(UNDRAWN)) return;
  if (Date.now() > end) throw new Error("the page is still being drawn; press again when it is.");
  said.textContent = "Waiting until the page is drawn.";
  await new Promise((again) => setTimeout(again, 200));
  await drawn(said, end);
}

// A button that acts once the page is drawn; what comes of it, or why it did not work, is said in another node.
export function actionButton(label, act, said) {
  const made = node("button", { type: "button" }, label);
  made.addEventListener("click", async () => {
    try {
      await drawn(said);
      said.textContent = (await act()) ?? "";
    } catch (error) {
      said.textContent = `${label} did not work: ${error.message ?? error}`;
    }
  });
  return made;
}
