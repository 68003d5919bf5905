/** The lanes that attention lines run between: one a token, one a word, or one for a stretch that matters little. */
import type { TextSpec } from "../wire";
import { joins } from "./rows";

export interface Lane {
  kind: "token" | "word" | "fold";
  positions: number[];
}

export interface Lanes {
  lanes: Lane[];
  /** The lane of each position. */
  of: Int32Array;
  /** Does any lane hold several positions? */
  merged: boolean;
}

/** Lists longer than this are folded. */
export const LONG = 60;
const KEPT = 40;
const FOLD_FROM = 2;

/** One lane a position. */
export function plainLanes(length: number): Lanes {
  const positions = [...Array(length).keys()];
  return {
    lanes: positions.map((pos) => ({ kind: "token", positions: [pos] })),
    of: Int32Array.from(positions),
    merged: false,
  };
}

export interface LaneRule {
  words: boolean;
  /** Weight of each position, to keep the largest; null to fold nothing. */
  weights: Float64Array | null;
  /** Positions of folds that the reader opened; a fold that begins at one of them stays open when others are kept. */
  opened: ReadonlySet<number>;
  /** Positions that are never folded. */
  kept: ReadonlySet<number>;
}

export function lanesOf(text: TextSpec, { words, weights, opened, kept }: LaneRule): Lanes {
  const length = text.base.labels.length;
  const hidden = weights ? foldable(text, weights, kept) : new Uint8Array(length);
  const lanes: Lane[] = [];
  for (let pos = 0; pos < length; ) {
    let end = pos;
    while (end < length && hidden[end]) end++;
    if (end - pos >= FOLD_FROM && !opened.has(pos)) {
      lanes.push({ kind: "fold", positions: range(pos, end) });
      pos = end;
      continue;
    }
    // A stretch that is too short to fold, or was opened, stands as it is; so does one position that is kept.
    for (const stop = Math.max(end, pos + 1); pos < stop; ) {
      let next = pos + 1;
      while (words && next < length && inWord(text, next) && (next < stop || !hidden[next])) next++;
      lanes.push({ kind: next - pos > 1 ? "word" : "token", positions: range(pos, next) });
      pos = next;
    }
  }
  const of = new Int32Array(length);
  lanes.forEach(({ positions }, lane) => {
    for (const pos of positions) of[pos] = lane;
  });
  return { lanes, of, merged: lanes.length < length };
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

/** Is a position inside the word of the one before it, in both runs? A filler agrees with anything. */
function inWord({ base, source }: TextSpec, pos: number): boolean {
  const sides = source ? [base, source] : [base];
  return (
    sides.every((side) => joins(side, pos) || side.fillers[pos]) && sides.some((side) => joins(side, pos))
  );
}

/** Positions that may be folded: neither changed nor of the query nor special, and not of the largest weight. */
function foldable(text: TextSpec, weights: Float64Array, kept: ReadonlySet<number>): Uint8Array {
  const length = text.base.labels.length;
  const hidden = new Uint8Array(length);
  const { segments } = text.base;
  const isFixed = (pos: number) =>
    text.alignment[pos] !== "equal" ||
    (segments[pos] !== "doc" && segments[pos] !== "prompt") ||
    kept.has(pos);
  const free = range(0, length).filter((pos) => !isFixed(pos));
  const room = Math.max(12, KEPT - (length - free.length));
  const strongest = new Set(free.sort((a, b) => (weights[b] ?? 0) - (weights[a] ?? 0)).slice(0, room));
  for (let pos = 0; pos < length; pos++) hidden[pos] = isFixed(pos) || strongest.has(pos) ? 0 : 1;
  return hidden;
}
