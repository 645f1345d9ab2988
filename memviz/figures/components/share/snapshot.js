// The page as it stands, as markup that needs nothing else: no scripts, no requests, what it says of itself on top.

import { node } from "../shared/nodes.js";

const BLOCK = "[data-testid=stMainBlockContainer]";
const LEFT_OUT = "script, style, noscript, iframe, link, .modebar, [data-testid=stElementToolbar], [data-testid=stIconMaterial], [data-testid=stTooltipIcon], .st-key-share, .st-key-unseen, .st-key-tour, .unseen, [class*=st-key-frame-] .stPopover";
const POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

function pictureOf(source, [width, height] = []) {
  const made = document.createElement("img");
  made.setAttribute("alt", source.getAttribute("aria-label") ?? source.getAttribute("alt") ?? "");
  made.setAttribute("style", `${source.getAttribute("style") ?? ""};width:${source.clientWidth}px;height:${source.clientHeight}px`);
  made.setAttribute("class", source.getAttribute("class") ?? "");
  let canvas = source;
  if (!(source instanceof HTMLCanvasElement)) {
    canvas = document.createElement("canvas");
    Object.assign(canvas, { width, height });
    canvas.getContext("2d").drawImage(source, 0, 0);
  }
  if (canvas.width && canvas.height) made.src = canvas.toDataURL("image/png");
  return made;
}

// A copy of a node with what it draws: shadow trees become part of it, canvases pictures, fields keep what they say.
function copy(source, styles) {
  if (source.nodeType === Node.TEXT_NODE) return source.cloneNode();
  if (!(source instanceof Element) || source.matches(LEFT_OUT)) return null;
  if (source instanceof HTMLCanvasElement) return pictureOf(source);
  if (source instanceof HTMLImageElement) return pictureOf(source, [source.naturalWidth, source.naturalHeight]);
  const made = source.cloneNode(false);
  for (const name of made.getAttributeNames()) {
    const leadsOut = /^(xlink:)?href$/.test(name) && !made.getAttribute(name).startsWith("data:image/"); // as heatmaps are drawn
    if (name.startsWith("on") || leadsOut) made.removeAttribute(name);
  }
  if (source instanceof HTMLInputElement) made.setAttribute("value", source.value);
  if (source instanceof HTMLInputElement) made.toggleAttribute("checked", source.checked);
  if (source instanceof HTMLOptionElement) made.toggleAttribute("selected", source.selected);
  if (source instanceof HTMLTextAreaElement) made.textContent = source.value;
  if (source.shadowRoot) {
    const host = `shadow-${styles.length}`;
    made.classList.add(host);
    Object.assign(made.style, { width: `${source.offsetWidth}px`, maxWidth: "none", flex: "none" }); // what is drawn on it was measured so
    const sheets = [...source.shadowRoot.styleSheets, ...source.shadowRoot.adoptedStyleSheets];
    styles.push(`.${host} {\n${sheets.map(rulesOf).join("\n").replaceAll(":host", "&")}\n}`); // as it holds for that tree alone
  }
  const children = source.shadowRoot ? [...source.shadowRoot.childNodes].filter((each) => each.nodeName !== "STYLE") : source.childNodes;
  for (const child of children) {
    const copied = copy(child, styles);
    if (copied) made.append(copied);
  }
  return made;
}

// As written where that is there: a browser's own words for `background: var(--x)` lose it where a part is set after it.
function rulesOf(sheet) {
  if (sheet.ownerNode instanceof HTMLStyleElement && sheet.ownerNode.textContent) return sheet.ownerNode.textContent;
  try {
    return [...sheet.cssRules].filter((rule) => !(rule instanceof CSSFontFaceRule) && !(rule instanceof CSSImportRule)).map((rule) => rule.cssText).join("\n");
  } catch {
    return ""; // a sheet of another place
  }
}

// Pixels that a node takes in a width, in the type of the page.
function heightOf(made, width, type) {
  const place = node("div", { style: `${type};position:fixed;visibility:hidden;width:${width}px` }, made.cloneNode(true));
  document.body.append(place);
  const height = place.offsetHeight;
  place.remove();
  return height;
}

// A section with the page, or with what a selector finds first on it, its size in pixels, and the styles it needs.
export function snapshot({ title, about, of }) {
  const block = document.querySelector(of ?? BLOCK);
  const app = getComputedStyle(document.querySelector("[data-testid=stApp]"));
  const styles = [...document.styleSheets, ...document.adoptedStyleSheets].map(rulesOf);
  const made = copy(block, styles);
  const said = document.createElement("p");
  said.textContent = [title, location.href, new Date().toISOString().slice(0, 16).replace("T", " ") + " UTC", about].join(" · ");
  said.setAttribute("style", "margin:0;padding:.6rem 1rem;font-size:.8rem;overflow-wrap:anywhere;border-bottom:1px solid #8888");
  const whole = document.createElement("div");
  const type = `font-family:${app.fontFamily};font-size:${app.fontSize};line-height:${app.lineHeight}`;
  const width = block.offsetWidth;
  const height = heightOf(said, width, type) + block.scrollHeight + 24; // a line may wrap here that just fits there
  whole.setAttribute("style", `color-scheme:${app.colorScheme};color:${app.color};background:${app.backgroundColor};${type};min-height:100%;width:100%`);
  whole.append(said, made);
  return { whole, width, height, styles: `${styles.join("\n")}\nbody{margin:0}` };
}

export function asPage(about) {
  const { whole, styles } = snapshot(about);
  const page = document.implementation.createHTMLDocument(about.title);
  const style = node("style", {}, styles);
  page.head.prepend(node("meta", { charset: "utf-8" }), node("meta", { "http-equiv": "Content-Security-Policy", content: POLICY }), style);
  page.body.append(whole);
  return `<!doctype html>\n<html lang="en">${page.documentElement.getHTML()}</html>\n`;
}

export function asVector(about) {
  const { whole, styles, width, height } = snapshot(about);
  const style = document.createElement("style");
  style.textContent = styles;
  whole.prepend(style);
  const inside = new XMLSerializer().serializeToString(whole); // which names the namespace of HTML
  const rem = getComputedStyle(document.documentElement).fontSize; // here the root is the drawing itself
  const text = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" style="font-size:${rem}"><foreignObject width="100%" height="100%">${inside}</foreignObject></svg>`;
  return { text: text.replace(/(?![\t\n\r])\p{Cc}/gu, ""), width, height };
}

export async function asPicture(about) {
  const { text, width, height } = asVector(about);
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  const scale = Math.min(2, 16000 / height);
  Object.assign(canvas, { width: width * scale, height: height * scale });
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  context.drawImage(image, 0, 0);
  return canvas.toDataURL("image/png");
}
