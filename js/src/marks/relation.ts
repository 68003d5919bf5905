/** A relation between tokens without drawing it: probabilities with heads switched off, which pairs are lines, rows of columns. */
import type { Candidates, RelationSpec } from "../probe_wire";
import type { Segment, TokenSpec } from "../wire";

/** Attention from i to j, from j to i. */
export const WAYS = ["forth", "back"] as const;
export type Way = "both" | (typeof WAYS)[number];

/** What one way, or both together, say: of a head of the weights, or of a candidate's head. */
export const ofWay = (values: Float32Array, at: number, way: Way) =>
  way === "both"
    ? (values[2 * at] as number) + (values[2 * at + 1] as number)
    : (values[2 * at + (way === "forth" ? 0 : 1)] as number);

/** How likely each candidate is without the heads that are off (layer times heads plus head). */
export function probabilities(spec: RelationSpec, all: Candidates, off: ReadonlySet<number>): Float64Array {
  const cells = all.weights.length;
  const found = new Float64Array(all.other.length);
  for (let candidate = 0; candidate < found.length; candidate++) {
    let sum = (all.other[candidate] as number) + spec.intercept;
    const from = candidate * cells;
    for (let cell = 0; cell < cells; cell++) sum += all.contributions[from + cell] as number;
    for (const head of off) {
      sum -=
        (all.contributions[from + 2 * head] as number) + (all.contributions[from + 2 * head + 1] as number);
    }
    found[candidate] = 1 / (1 + Math.exp(-(spec.scale * sum + spec.shift)));
  }
  return found;
}

/** Candidates that are drawn: at least as likely as `least`, at most `top` of each first token; the likeliest first. */
export function drawnOf(p: Float64Array, pairs: Int32Array, least: number, top: number): number[] {
  const taken = new Map<number, number>();
  const order = [...p.keys()].filter((at) => (p[at] as number) >= least);
  order.sort((a, b) => (p[b] as number) - (p[a] as number));
  return order.filter((at) => {
    const from = pairs[2 * at] as number;
    const n = taken.get(from) ?? 0;
    taken.set(from, n + 1);
    return n < top;
  });
}

/** Where the threshold begins: a half, or what leaves a few lines to see where nothing is as likely. */
export function firstThreshold(p: Float64Array): number {
  const sorted = [...p].sort((a, b) => b - a);
  if ((sorted[0] ?? 0) >= 0.5) return 0.5;
  return Math.floor(100 * (sorted[Math.min(sorted.length, 5) - 1] ?? 0)) / 100;
}

export type ColumnRow = { kind: "token"; pos: number } | { kind: "fold"; from: number; to: number };

const FOLD_FROM = 4;
/** A column of at most as many tokens is not folded. */
const SHORT = 48;

/** Rows of one column: the tokens of segments in which some pair has an end, runs without a line folded. */
export function columnOf(
  tokens: TokenSpec,
  ends: Iterable<number>,
  drawn: ReadonlySet<number>,
  folds: boolean,
): ColumnRow[] {
  const segments = new Set<Segment>([...ends].map((pos) => tokens.segments[pos] as Segment));
  const positions = tokens.segments.flatMap((segment, pos) => (segments.has(segment) ? [pos] : []));
  if (!folds || positions.length <= SHORT) return positions.map((pos) => ({ kind: "token", pos }));
  const near = (pos: number) => [-1, 0, 1].some((step) => drawn.has(pos + step));
  const rows: ColumnRow[] = [];
  let run: number[] = [];
  const close = () => {
    if (run.length >= FOLD_FROM)
      rows.push({ kind: "fold", from: run[0] as number, to: run.at(-1) as number });
    else rows.push(...run.map((pos) => ({ kind: "token" as const, pos })));
    run = [];
  };
  for (const pos of positions) {
    if (near(pos)) {
      close();
      rows.push({ kind: "token", pos });
    } else run.push(pos);
  }
  close();
  return rows;
}

export type HeadShare = { head: number; way: 0 | 1; value: number };

/** What speaks most for and against a candidate, the largest first. */
export function strongest(all: Candidates, candidate: number, n: number): HeadShare[] {
  const cells = all.weights.length;
  const own = all.contributions.subarray(candidate * cells, (candidate + 1) * cells);
  return [...own.keys()]
    .sort((a, b) => Math.abs(own[b] as number) - Math.abs(own[a] as number))
    .slice(0, n)
    .filter((cell) => own[cell] !== 0)
    .map((cell) => ({ head: cell >> 1, way: (cell & 1) as 0 | 1, value: own[cell] as number }));
}
