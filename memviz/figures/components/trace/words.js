// What is said about a position: pure functions of the data and of the view of one mode.
// Index j counts tokens of the whole row; the k context tokens come first.

export const MODES = { free_running: "free-running", teacher_forced: "teacher-forced" };

const missing = (value) => value === null || value === undefined;

export function probability(surprisal) {
  if (missing(surprisal)) return "–";
  const p = Math.exp(-surprisal);
  return p >= 0.0005 || p === 0 ? p.toFixed(3) : p.toExponential(0).replace("-", "−");
}

// With exactly so many digits.
export function number(value, digits) {
  return missing(value) ? "–" : value.toFixed(digits).replace("-", "−");
}

// With at most three digits, for quantities of any kind.
export function reading(value) {
  return missing(value) ? "–" : value.toLocaleString("en", { maximumFractionDigits: 3 });
}

// What a screen reader should say for a token: spaces are spaces and a line break has a name.
export function spoken(segments) {
  const names = { "·": " ", "↵": " newline ", "→": " tab " };
  const said = segments.map((text, i) => (i % 2 ? text.replace(/[·↵→]/gu, (glyph) => names[glyph]) : text)).join("");
  return said.trim() || "space";
}

export function breaksAfter(segments) {
  return segments.some((text, i) => i % 2 && text.includes("↵"));
}

// Every quantity of one mode over the whole row, and which mode it is.
export function viewOf(data, mode) {
  const joined = Object.keys(data.context).map((name) => [name, data.context[name].concat(data[mode][name])]);
  return { ...Object.fromEntries(joined), mode };
}

export function isMatch(data, view, j) {
  return data.truth && j >= data.n_context && view.shown[j] === data.tokens[j];
}

// The lower row's name for its tokens.
export function shownName(view) {
  return view.mode === "free_running" ? "generated" : "most likely";
}

// Which token probability and rank are about at j.
export function targetName(data, j) {
  if (j < data.n_context) return "context";
  return data.truth ? "true" : "generated";
}

export function facts(view, j) {
  if (missing(view.entropy[j])) return ["nothing predicted yet"];
  const rank = view.rank[j].toLocaleString("en");
  return [`p ${probability(view.surprisal[j])}`, `rank ${rank}`, `entropy ${number(view.entropy[j], 2)} nats`];
}

// What the rows of cells say of an index, in their own words.
export function cellWords(data, j) {
  return data.tracks.filter(({ kind }) => kind === "cells").map(({ texts }) => texts?.[j]).filter(Boolean);
}

export function describe(data, view, j) {
  const say = (place) => spoken(data.pieces.segments[place]);
  const parts = [`index ${j}`, `${targetName(data, j)} ${say(data.tokens[j])}`];
  if (data.truth && j >= data.n_context) {
    parts.push(`${shownName(view)} ${say(view.shown[j])}`, isMatch(data, view, j) ? "match" : "miss");
  }
  parts.push(...facts(view, j));
  if (j === data.marks.first_divergence) parts.push("first divergence");
  if (view.fragile[j] && j >= data.n_context) parts.push("fragile");
  parts.push(...cellWords(data, j));
  return parts.join(", ");
}

// Place of the token read last before j, in the mode's own row.
export function readBefore(data, view, j) {
  const own = data.truth && view.mode === "free_running" && j - 1 >= data.n_context;
  return (own ? view.shown : data.tokens)[j - 1];
}

// The `most` likeliest tokens at j, and the true and generated ones wherever they rank, by rank.
export function listed(data, view, j, most) {
  if (missing(view.entropy[j])) return [];
  const place = data.tokens[j];
  const isContinuation = j >= data.n_context;
  const found = view.top[j].slice(0, most).map((at, i) => ({ place: at, rank: i + 1, surprisal: view.top_surprisal[j][i] }));
  const extra = [{ place, rank: view.rank[j], surprisal: view.surprisal[j] }];
  if (isContinuation) extra.push({ place: view.shown[j], rank: view.shown_rank[j], surprisal: view.shown_surprisal[j] });
  for (const entry of extra) if (!found.some((other) => other.place === entry.place)) found.push(entry);
  for (const entry of found) {
    entry.isTrue = entry.place === place && (data.truth || !isContinuation);
    entry.isShown = isContinuation && entry.place === view.shown[j];
  }
  return found.toSorted((a, b) => a.rank - b.rank);
}
