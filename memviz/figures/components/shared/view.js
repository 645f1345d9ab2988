// What a component needs that shares its state with the page: reports without echoes, colours, frames, a live region.

import { node } from "./nodes.js";
import { coloursFor, hexOf } from "./scales.js";

const ECHO = 5000; // ms in which a reported value may come back from the page

// A component of its own says `receive(data)`, `paint()` after a change of colours, and `update()`, called by `schedule`.
export class View {
  constructor(parent, className, label) {
    Object.assign(this, { turn: 0, reported: [], timers: {}, pinned: null });
    this.root = node("section", { class: className, "aria-label": label });
    this.live = node("div", { class: "unseen", "aria-live": "polite" });
    parent.append(this.root);
    this.listening = new AbortController();
    const { signal } = this.listening;
    this.on = (type, act) => this.root.addEventListener(type, act, { signal });
    const repaint = () => {
      this.recolour();
      this.paint();
    };
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint, { signal });
  }

  destroy() {
    this.listening.abort();
    cancelAnimationFrame(this.frame);
    Object.values(this.timers).forEach(clearTimeout);
    this.root.remove();
  }

  // What the page sends back only because it was reported from here is no wish to change anything.
  isEcho(name, value) {
    const now = performance.now();
    const at = this.reported.findIndex((entry) => entry.name === name && entry.value === value && now - entry.when < ECHO);
    if (at >= 0) this.reported = this.reported.filter((entry, i) => i > at || entry.name !== name);
    return at >= 0;
  }

  report(name, value, delay = 0) {
    clearTimeout(this.timers[name]);
    const send = () => {
      this.reported = [...this.reported.slice(-50), { name, value, when: performance.now() }];
      this.setStateValue?.(name, value);
    };
    if (delay) this.timers[name] = setTimeout(send, delay);
    else send();
  }

  // Follows the page's colours; true if they changed.
  recolour() {
    const styles = getComputedStyle(this.root);
    const [text, background] = [hexOf(styles.color), hexOf(styles.backgroundColor)];
    if (this.colours?.text === text && this.colours.background === background) return false;
    const { theme, ...colours } = coloursFor(text, background);
    this.colours = colours;
    for (const [name, colour] of Object.entries(colours)) this.root.style.setProperty(`--${name}`, colour);
    this.root.dataset.theme = theme;
    return true;
  }

  // One frame shows whatever changed since the last.
  schedule() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.update();
    });
  }

  // Keeps an index (or null) as the selection; `say` names it to a screen reader.
  pin(value, say, delay = 0) {
    if (value === this.pinned) return;
    this.pinned = value;
    this.report("pinned", value, delay);
    clearTimeout(this.timers.live);
    this.timers.live = setTimeout(() => {
      this.live.textContent = value === null ? "Selection cleared" : `Pinned: ${say()}`;
    }, delay);
    this.schedule();
  }
}

// A link before all else on the page, seen while it has the focus, that leads the keyboard to what `go` focuses.
export function skipLink(label, go) {
  const link = node("a", { class: "memviz-skip", href: "#" }, label);
  link.addEventListener("click", (event) => {
    event.preventDefault();
    go();
  });
  if (document.querySelector("[data-testid=stApp]")) document.body.prepend(link);
  return link;
}

// The entry point of `st.components.v2` for a kind of view: called at every rerun with the same parent, so the view is
// kept beside it.
export function mounting(Kind) {
  const views = new WeakMap();
  return ({ data, parentElement, setStateValue }) => {
    const view = views.get(parentElement) ?? new Kind(parentElement);
    views.set(parentElement, view);
    const turn = (view.turn += 1);
    view.setStateValue = setStateValue;
    view.receive(data);
    return () => {
      if (view.turn !== turn) return; // an overtaken call is cleaned up late
      view.destroy();
      views.delete(parentElement);
    };
  };
}
