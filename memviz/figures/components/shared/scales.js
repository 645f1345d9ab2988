// Fills, colours, ticks and paths: pure functions, and the fixed scales.

// Never fitted to a prompt; a darker cell (brighter, on a dark page) is always a more probable, more certain one.
export const FILLS = {
  match: { label: () => "match", needsTruth: true },
  entropy: { label: () => "entropy", share: (v) => 1 - v / 6, ends: ["6 nats", "0"] },
  surprisal: { label: (target) => `−log p(${target})`, share: (v) => 1 - v / 6, ends: ["6 nats", "0"] },
  rank: { label: (target) => `rank of ${target}`, share: (v) => 1 - Math.log10(v) / 3, ends: ["1000", "1"] },
  margin: { label: () => "margin", share: (v) => v / 10, ends: ["0 logits", "10"] },
};

// The hues are those of .streamlit/config.toml (a test says so), so that a standalone page has them too.
export const PALETTES = {
  light: {
    low: "#eff4fb", high: "#668fcc", matchFill: "#d3ebe7", missFill: "#fbe1d5", match: "#0f766e", miss: "#c2410c",
    main: "#2a5ca8", faint: "#8a6100", change: "#6b4fa3", bar: "#a6c1e5",
  },
  dark: {
    low: "#1d2a40", high: "#7fa5e0", matchFill: "#1d4944", missFill: "#5a3320", match: "#4fc3b5", miss: "#f2915f",
    main: "#86aef0", faint: "#e0b34c", change: "#b9a0ee", bar: "#3f5f94",
  },
};

// Everything drawn on a page with these text and background colours.
export function coloursFor(text, background) {
  const theme = luminance(background) < 0.2 ? "dark" : "light";
  return {
    ...PALETTES[theme], theme, text, background,
    muted: mix(background, text, 0.72), grid: mix(background, text, 0.13), band: mix(background, PALETTES[theme].match, 0.08),
  };
}

const channels = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

// WCAG 2.1, relative luminance.
export function luminance(hex) {
  const [r, g, b] = channels(hex).map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

export function contrast(a, b) {
  const [dark, bright] = [luminance(a), luminance(b)].toSorted((x, y) => x - y);
  return (bright + 0.05) / (dark + 0.05);
}

// "rgb(17, 25, 39)" as "#111927".
export function hexOf(colour) {
  const parts = colour.match(/[\d.]+/gu).slice(0, 3);
  return "#" + parts.map((c) => Math.round(Number(c)).toString(16).padStart(2, "0")).join("");
}

export function mix(from, to, share) {
  const end = channels(to);
  return "#" + channels(from).map((c, i) => Math.round(c + (end[i] - c) * share).toString(16).padStart(2, "0")).join("");
}

// The page's own text or background colour where it reads well on a fill, else black or white: one always does.
export function ink(fill, text, background) {
  const readable = [text, background].find((colour) => contrast(colour, fill) >= 4.5);
  return readable ?? (contrast("#000000", fill) > contrast("#ffffff", fill) ? "#000000" : "#ffffff");
}

const within = (share) => Math.min(1, Math.max(0, share));

// Where a value lies on a fill's scale, 0 to 1; null where nothing is known.
export function shareOf(fill, value) {
  return value === null || value === undefined ? null : within(FILLS[fill].share(value));
}

// Where a value lies in a domain: 0 at its low end, 1 at its high end, beyond outside.
export function along(value, [low, high], scale) {
  if (scale === "log") return value > 0 ? Math.log(value / low) / Math.log(high / low) : 0;
  return (value - low) / (high - low);
}

export function cellColour(value, track, colours) {
  return value === null ? "transparent" : mix(colours.low, colours.high, within(along(value, track.domain, track.scale)));
}

// About `most` round values in a domain: powers of ten, or steps of a power of two, none finer than `finest`.
export function ticks(low, high, most, { scale = "linear", finest = 0 } = {}) {
  if (scale === "log") {
    const [first, last] = [Math.ceil(Math.log10(low) - 1e-9), Math.floor(Math.log10(high) + 1e-9)];
    const every = Math.max(1, Math.ceil((last - first) / most));
    return Array.from({ length: Math.floor((last - first) / every) + 1 }, (_, i) => 10 ** (first + i * every));
  }
  const step = Math.max(finest, 2 ** Math.ceil(Math.log2((high - low || 1) / most)));
  return Array.from({ length: Math.floor((high - low) / step + 1e-9) + 1 }, (_, i) => low + i * step);
}

// An SVG path through values[from..to], broken at nulls; `x` and `y` give pixels.
export function linePath(values, x, y, from, to, steps = false) {
  let path = "";
  let drawing = false;
  for (let j = from; j <= to; j++) {
    const known = values[j] !== null && values[j] !== undefined;
    if (known) {
      const [left, height] = [x(steps ? j - 0.5 : j).toFixed(1), y(values[j]).toFixed(1)];
      path += `${drawing ? "L" : "M"}${left} ${height}`;
      if (steps) path += `H${x(j + 0.5).toFixed(1)}`;
    }
    drawing = known;
  }
  return path;
}
