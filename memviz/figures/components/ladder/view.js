// What a component needs that shares its state with the page: reports without echoes, colours, a live region.

import { node } from "../trace/nodes.js";
import { coloursFor, hexOf } from "../trace/scales.js";

const ECHO = 5000; // ms in which a reported value may come back from the page

export class View {
  constructor(parent, className, label) {
    Object.assign(this, { turn: 0, reported: [], timers: {} });
    this.root = node("section", { class: className, "aria-label": label });
    this.live = node("div", { class: "unseen", "aria-live": "polite" });
    parent.append(this.root);
    this.listening = new AbortController();
    const { signal } = this.listening;
    this.on = (type, act) => this.root.addEventListener(type, act, { signal });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.recolour() && this.paint(), { signal });
  }

  destroy() {
    this.listening.abort();
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
}
