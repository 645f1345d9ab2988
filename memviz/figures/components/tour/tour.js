// A tour's keys, and the mark around what its bar speaks of. It draws nothing itself.

import { node } from "../shared/nodes.js";

const PATIENCE = 30000; // ms that the marked element may take to come
const OWN_KEYS = "input, textarea, select, [contenteditable], [role=option], [role=slider], [role=grid], [role=listbox], [role=radio], [role=tab], [role=combobox], .map, canvas";
const MARK = "3px solid light-dark(#a4480b, #ffb26b)";

// Whether the arrow keys are for something else on the page.
function isTaken(event) {
  return event.composedPath().some((each) => each instanceof Element && each.matches(OWN_KEYS));
}

class Tour {
  constructor(parent) {
    parent.append(node("span", { hidden: "" }));
    this.listening = new AbortController();
    addEventListener("keydown", (event) => this.onKey(event), { signal: this.listening.signal });
  }

  destroy() {
    this.listening.abort();
    this.unmark();
  }

  receive({ look, stop }) {
    if (this.stop === stop) return;
    this.stop = stop;
    this.unmark();
    this.look(look, performance.now() + PATIENCE, true);
  }

  // Marks the element when it comes, and again where the page draws it anew.
  look(look, until, isFirst) {
    const found = look && document.querySelector(look);
    const isNew = found?.clientHeight && !found.style.outline;
    if (isNew) {
      this.marked = found;
      Object.assign(found.style, { outline: MARK, outlineOffset: "4px", borderRadius: "4px" });
      found.dataset.toured = "";
      const { top, height } = found.getBoundingClientRect();
      if (isFirst && top + Math.min(height, 240) > innerHeight) found.scrollIntoView({ block: "center" });
    }
    if (look && performance.now() < until) this.timer = setTimeout(() => this.look(look, until, isFirst && !isNew), 300);
  }

  unmark() {
    clearTimeout(this.timer);
    if (this.marked) {
      this.marked.style.outline = "";
      delete this.marked.dataset.toured;
    }
    this.marked = null;
  }

  onKey(event) {
    const to = { ArrowRight: "next", ArrowLeft: "previous" }[event.key];
    if (!to || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey || isTaken(event)) return;
    const link = document.querySelector(`.st-key-tour_${to} a`);
    const isBusy = document.querySelector("[data-testid=stApp]").dataset.testScriptState !== "notRunning";
    if (!link || isBusy) return; // Streamlit loses messages where one page cuts another short
    event.preventDefault();
    link.click();
  }
}

const tours = new WeakMap();

export default function show({ data, parentElement }) {
  const tour = tours.get(parentElement) ?? new Tour(parentElement);
  tours.set(parentElement, tour);
  const turn = (tour.turn = (tour.turn ?? 0) + 1);
  tour.receive(data);
  return () => {
    if (tour.turn !== turn) return; // an overtaken call is cleaned up late
    tour.destroy();
    tours.delete(parentElement);
  };
}
