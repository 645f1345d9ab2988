// The tokens of a text with a border that can be moved: context before it, continuation after it, the rest unused.

import { node, writeSegments } from "../shared/nodes.js";

const REPORT_DELAY = 200; // ms; a held key reports only where it stops
const ANSWER_TIME = 5000; // ms in which the page answers a move; until then its older numbers are no wish to change it
const views = new WeakMap();

class SplitView {
  constructor(parent) {
    this.list = node("div", { class: "split", role: "slider", tabindex: "0", "aria-label": "Tokens of context" });
    parent.append(this.list);
    this.list.addEventListener("click", (event) => this.onClick(event));
    this.list.addEventListener("keydown", (event) => this.onKey(event));
    new IntersectionObserver(() => this.isUnseen && this.reveal()).observe(this.list); // nothing has a place until it is seen
  }

  receive(data, report) {
    this.report = report;
    const isNew = this.data?.id !== data.id;
    if (isNew || !this.isAwaiting(data.context)) this.at = data.context;
    this.data = data;
    if (isNew) this.build();
    this.paint();
  }

  isAwaiting(context) {
    if (this.moved?.to === context) this.moved = null;
    return this.moved && performance.now() - this.moved.when < ANSWER_TIME;
  }

  // The longest context that leaves a token to continue with, of a text of which not all may be drawn.
  get most() {
    return Math.max(1, this.tokens.length + this.data.rest - 1);
  }

  build() {
    clearTimeout(this.timer);
    this.moved = null;
    this.isUnseen = true;
    this.tokens = this.data.segments.map((segments, index) => {
      const token = writeSegments(node("span", { class: "token", "data-index": index }), segments);
      if (index) token.title = `make this the first token of the continuation (${index})`;
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
    this.list.setAttribute("aria-valuemax", String(this.most));
    this.list.setAttribute("aria-valuenow", String(Math.min(this.at, this.most)));
    this.list.setAttribute("aria-valuetext", `${this.at} tokens of context, ${this.data.continuation} of continuation`);
  }

  // Scrolls the list alone, not the page, so that the border is inside it.
  reveal() {
    const border = this.tokens[this.at];
    if (!border || !this.list.clientHeight) return;
    this.isUnseen = false;
    const [inner, outer] = [border.getBoundingClientRect(), this.list.getBoundingClientRect()];
    if (inner.top < outer.top || inner.bottom > outer.bottom) {
      this.list.scrollTop += inner.top - outer.top - this.list.clientHeight / 2;
    }
  }

  move(context) {
    const goal = Math.max(1, Math.min(this.most, context));
    if (goal === this.at) return;
    this.at = goal;
    this.moved = { to: goal, when: performance.now() };
    this.paint();
    this.reveal();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.report("context", goal), REPORT_DELAY);
  }

  onClick(event) {
    const token = event.target.closest(".token");
    if (token) this.move(Number(token.dataset.index));
  }

  onKey(event) {
    const at = Math.min(this.at, this.most + 1); // a number past the end comes back from the end
    const goals = {
      ArrowLeft: at - 1, ArrowDown: at - 1, ArrowRight: at + 1, ArrowUp: at + 1,
      PageUp: at + 8, PageDown: at - 8, Home: 1, End: this.most,
    };
    if (!Object.hasOwn(goals, event.key) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.move(goals[event.key]);
  }
}

export default function split({ data, parentElement, setStateValue }) {
  if (!views.has(parentElement)) views.set(parentElement, new SplitView(parentElement));
  views.get(parentElement).receive(data, setStateValue);
}
