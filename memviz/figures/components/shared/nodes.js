// Making nodes. Text enters by textContent or append alone, never as markup.

const SVG = "http://www.w3.org/2000/svg";

export const FLAG = "M0 0V-11H1V-10.5L8 -7.5L1 -4.5V0Z";

export function node(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

export function shape(tag, attributes, text = "") {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.textContent = text;
  return made;
}

export function flag() {
  const made = shape("svg", { class: "flag", viewBox: "-1 -12 11 13", width: 10, height: 12, "aria-hidden": "true" });
  made.append(shape("path", { d: FLAG }));
  return made;
}

// Glyphs (every second segment) are set apart from plain text by style.
export function writeSegments(target, segments) {
  target.replaceChildren();
  segments.forEach((text, i) => {
    if (i % 2) target.append(node("i", /^·+$/u.test(text) ? { class: "space" } : {}, text));
    else if (text) target.append(text);
  });
  return target;
}

export function word(segments) {
  return writeSegments(node("span", { class: "word" }), segments);
}

export function key(className, text, ...icons) {
  return node("span", { class: `key ${className}` }, node("span", { class: "swatch" }, ...icons), text);
}

// One of several choices, given as value -> text.
export function radios(className, label, name, choices) {
  const inputs = Object.entries(choices).map(([value, text]) => node("label", {}, node("input", { type: "radio", name, value }), node("span", {}, text)));
  return node("div", { class: className, role: "radiogroup", "aria-label": label }, ...inputs);
}
