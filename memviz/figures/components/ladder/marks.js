// Fills, differences and words of the ladder: pure functions.

import { FILLS, mix } from "../shared/scales.js";
import { number, probability, spoken } from "../trace/words.js";

// Fixed scales; a darker cell (brighter, on a dark page) is a more probable one, as on the strip.
export const METRICS = {
  p: { name: "p(true)", share: (mode, t) => Math.exp(-mode.surprisal[t]), ends: ["0", "1"] },
  entropy: { name: "entropy", share: (mode, t) => FILLS.entropy.share(mode.entropy[t]), ends: FILLS.entropy.ends },
};

const clamped = (share) => Math.min(1, Math.max(0, share));

// Where a cell lies on its metric's scale, 0 to 1.
export function shareAt(metric, mode, t) {
  return clamped(METRICS[metric].share(mode, t));
}

// How much more certain (above 0) or less certain a row is than the baseline at t, on the metric's scale.
export function gain(metric, mode, baseline, t) {
  return shareAt(metric, mode, t) - shareAt(metric, baseline, t);
}

// "+" where the row has the true token and the baseline has not, "−" the other way round.
export function gainMark(mode, baseline, t) {
  return ["−", "", "+"][mode.match[t] - baseline.match[t] + 1];
}

export function gainColour(value, colours) {
  return mix(colours.background, value > 0 ? colours.match : colours.miss, Math.min(1, Math.abs(value)) * 0.7);
}

// Free-running, after the row's first divergence, its context is no longer the text.
export function isApart(row, name, t) {
  return name === "free_running" && row.divergence !== null && row.n_context + t > row.divergence;
}

// One hue from light to dark (dark to bright, on a dark page) for rows from first to last; names are written in it.
export function rowColours(n, colours) {
  const [from, to] = [mix(colours.background, colours.main, 0.85), mix(colours.main, colours.text, 0.7)];
  return Array.from({ length: n }, (_, i) => mix(from, to, n > 1 ? i / (n - 1) : 0.5));
}

// The columns [start, stop) of a row's token, counted from the first one drawn.
export function spanOf(data, row, t) {
  return data.aligned ? [t, t + 1] : row.spans[t].map((at) => at - data.first);
}

// The row's token that lies over a column; of several, the first; null where none does.
export function tokenAt(data, row, column) {
  if (row.status !== null) return null;
  if (data.aligned) return column >= 0 && column < row.tokens.length ? column : null;
  const at = row.spans.findIndex(([start, stop]) => start - data.first <= column && column < stop - data.first);
  return at < 0 ? null : at;
}

export function describeCell(data, row, name, t) {
  const mode = row[name];
  const say = (place) => spoken(data.segments[place]);
  const parts = [row.label, `index ${row.n_context + t}`, `true ${say(row.tokens[t])}`];
  parts.push(`${name === "free_running" ? "generated" : "most likely"} ${say(mode.shown[t])}`);
  parts.push(mode.match[t] ? "match" : "miss", `p ${probability(mode.surprisal[t])}`, `entropy ${number(mode.entropy[t], 2)} nats`);
  if (row.n_context + t === row.divergence) parts.push("first divergence");
  if (isApart(row, name, t)) parts.push("its context is its own text");
  return parts.join(", ");
}
