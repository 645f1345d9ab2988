// The tokens of a text with a border that can be moved: context before it, continuation after it, the rest unused.

import { node, writeSegments } from "../trace/nodes.js";

const views = new WeakMap();

class SplitView {
  constructor(parent) {
    this.list = node("div", { class: "split", role: "slider", tabindex: "0", "aria-label": "Tokens of context" });
    parent.append(this.list);
    this.list.addEventListener("click", (event) => this.onClick(event));
    this.list.addEventListener("keydown", (event) => this.onKey(event));
  }

  receive(data, report) {
    this.report = report;
    const isNew = this.data?.id !== data.id;
    this.data = data;
    this.at = data.context;
    if (isNew) this.build();
    this.paint();
  }

  build() {
    this.tokens = this.data.segments.map((segments, index) => {
      const token = writeSegments(node("span", { class: "token", "data-index": index }), segments);
      token.title = `make this the first token of the continuation (${index})`;
      return token;
    });
    this.list.replaceChildren(...this.tokens);
    if (this.data.rest) this.list.append(node("span", { class: "rest" }, `… ${this.data.rest} more tokens`));
  }

  paint() {
    const end = this.at + this.data.continuation;
    this.tokens.forEach((token, index) => {
      token.className = `token ${index < this.at ? "context" : index < end ? "continuation" : "unused"}`;
      token.classList.toggle("first", index === this.at);
    });
    this.list.setAttribute("aria-valuemin", "1");
    this.list.setAttribute("aria-valuemax", String(this.tokens.length));
    this.list.setAttribute("aria-valuenow", String(this.at));
    this.list.setAttribute("aria-valuetext", `${this.at} tokens of context, ${this.data.continuation} of continuation`);
  }

  move(context) {
    if (context < 1 || context > this.tokens.length || context === this.at) return;
    this.at = context;
    this.paint();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.report("context", this.at), 200); // a held key reports where it stops
  }

  onClick(event) {
    const token = event.target.closest(".token");
    if (token) this.move(Number(token.dataset.index));
  }

  onKey(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -8, PageDown: 8 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    this.move(Math.max(1, Math.min(this.tokens.length, this.at + step)));
  }
}

export default function split({ data, parentElement, setStateValue }) {
  if (!views.has(parentElement)) views.set(parentElement, new SplitView(parentElement));
  views.get(parentElement).receive(data, setStateValue);
}
