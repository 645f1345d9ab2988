// Ways to hand a view on: its address, a picture, one page that stands alone, a stop of a tour.

import { node } from "../shared/nodes.js";
import { actionButton, savePicture, saveText, saveVector } from "./files.js";
import { asPage } from "./snapshot.js";

const MOST_CHARACTERS = 3000000; // of a picture; the server takes no more than 4 MB in one message

class Share {
  constructor(parent) {
    this.said = node("p", { role: "status" });
    this.title = node("input", { "aria-label": "Title of the stop", placeholder: "Title" });
    this.note = node("textarea", { "aria-label": "What to see there", placeholder: "One sentence: what is to be seen?", rows: 2 });
    const files = node("div", { class: "row" });
    const ways = { "Copy link": () => this.copyLink(), PNG: () => savePicture(this.data), SVG: () => saveVector(this.data), "Offline HTML": () => saveText(`${this.data.name}.html`, asPage(this.data), "text/html") };
    for (const [label, act] of Object.entries(ways)) files.append(this.button(label, act));
    const stop = node("div", { class: "stop" }, this.title, this.note, this.button("Add to tour", () => this.add()));
    this.root = node("section", { class: "share", "aria-label": "Share this view" }, files, stop, this.said);
    parent.append(this.root);
  }

  button(label, act) {
    return actionButton(label, act, this.said);
  }

  receive(data) {
    const title = document.title.replace(/ . memviz$/, "");
    if (this.data?.title !== title) this.title.value = title;
    this.data = { ...data, title };
  }

  async copyLink() {
    const url = new URL(location.href);
    for (const name of ["tour", "present"]) url.searchParams.delete(name);
    if (!navigator.clipboard) return url.href; // without HTTPS a browser gives no clipboard
    await navigator.clipboard.writeText(url.href);
    return "Copied.";
  }

  add() {
    if (!this.title.value.trim()) return "Give it a title first.";
    const picture = asPage({ ...this.data, title: this.title.value });
    const isSmall = picture.length < MOST_CHARACTERS;
    this.tell("added", { title: this.title.value, note: this.note.value, picture: isSmall ? picture : "" });
    return isSmall ? "Adding it." : "Adding it without a picture, which is too large.";
  }
}

const views = new WeakMap();

export default function show({ data, parentElement, setTriggerValue }) {
  const view = views.get(parentElement) ?? new Share(parentElement);
  views.set(parentElement, view);
  view.tell = setTriggerValue;
  view.receive(data);
}
