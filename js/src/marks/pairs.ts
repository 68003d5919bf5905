/** Which pairs of a list are shown, in which order, and how their score changes are spread: without drawing them. */
import type { Bucketed, Pairs } from "../wire";
import { percentile } from "./scale";

/** Whose change: the user's texts', that of the runs that were patched, or the texts' towards what an axiom prefers. */
export type ChangeOf = "texts" | "runs" | "preferred";
export type Status = "all" | "used" | "dropped";
/** From `low` up to `high`; the ends of a histogram hold what lies beyond them. */
export type Bin = { of: ChangeOf; low: number; high: number; last: boolean };

export interface PairFilter {
  bin: Bin | null;
  bucket: { of: Bucketed; value: string } | null;
  axiom: string | null;
}

export const UNFILTERED: PairFilter = { bin: null, bucket: null, axiom: null };

export const SORTS = ["change", "runs", "original", "grade", "rank", "query"] as const;
export type Sort = { by: (typeof SORTS)[number]; down: boolean } | null;

/** The score change of every pair; NaN where one of its scores is not known. */
export function changesOf(pairs: Pairs, of: ChangeOf): Float32Array {
  const [before, after] =
    of === "runs" ? [pairs.base_score, pairs.source_score] : [pairs.original_score, pairs.perturbed_score];
  return after.map((score, i) => {
    const change = score - (before[i] as number);
    return of === "preferred" ? change * (pairs.preferred[i] as number) : change;
  });
}

export const isUsed = (pairs: Pairs, row: number) => pairs.reasons[pairs.at.reasons[row] as number] === "";

const inBin = ({ low, high, last }: Bin, change: number) =>
  change >= low && (last ? change <= high : change < high);

/** Rows that a filter, a status and words leave; words are looked for in texts, ids and reasons, whatever their case. */
export function rowsOf(pairs: Pairs, filter: PairFilter, status: Status, words: string): number[] {
  const { bin, bucket, axiom } = filter;
  const changes = bin && changesOf(pairs, bin.of);
  const found = lookedFor(pairs, words);
  const wanted = bucket ? pairs.buckets[bucket.of].indexOf(bucket.value) : 0;
  const rows: number[] = [];
  for (let row = 0; row < pairs.number.length; row++) {
    if (bin && !inBin(bin, changes?.[row] as number)) continue;
    if (bucket && pairs.in_bucket[bucket.of][row] !== wanted) continue;
    if (axiom !== null && pairs.axioms[pairs.at.axioms[row] as number] !== axiom) continue;
    if (status !== "all" && isUsed(pairs, row) !== (status === "used")) continue;
    if (found(row)) rows.push(row);
  }
  return rows;
}

/** Each text is searched once, not once a pair. */
function lookedFor(pairs: Pairs, words: string): (row: number) => boolean {
  const wanted = words.trim().toLowerCase();
  if (!wanted) return () => true;
  const lists = (["queries", "docs", "changes", "perturbations", "reasons"] as const).map((name) => ({
    at: pairs.at[name],
    has: pairs[name].map((text) => String(text).toLowerCase().includes(wanted)),
  }));
  return (row) => String(pairs.number[row]) === wanted || lists.some(({ at, has }) => has[at[row] as number]);
}

/** Rows in an order; what is not known comes last, whichever way, and equal rows keep the order of the collection. */
export function sortedRows(pairs: Pairs, rows: number[], sort: Sort, of: ChangeOf): number[] {
  if (!sort) return rows;
  const sign = sort.down ? -1 : 1;
  if (sort.by === "query") {
    const order = [...pairs.queries.keys()].sort(
      (a, b) => (pairs.queries[a] as string).localeCompare(pairs.queries[b] as string) || a - b,
    );
    const place: number[] = [];
    for (const [at, query] of order.entries()) place[query] = at;
    const of_row = (row: number) => place[pairs.at.queries[row] as number] as number;
    return [...rows].sort((a, b) => sign * (of_row(a) - of_row(b)) || a - b);
  }
  const values =
    sort.by === "change" || sort.by === "runs"
      ? changesOf(pairs, sort.by === "runs" ? "runs" : of)
      : sort.by === "original"
        ? pairs.original_score
        : pairs[sort.by];
  return [...rows].sort((a, b) => {
    const [x, y] = [values[a] as number, values[b] as number];
    if (Number.isNaN(x) || Number.isNaN(y)) return Number(Number.isNaN(x)) - Number(Number.isNaN(y)) || a - b;
    return sign * (x - y) || a - b;
  });
}

export interface Histogram {
  bins: { low: number; high: number; used: number; dropped: number }[];
  /** Of the pairs that were used: how many, and how many of these went up. */
  n: number;
  positive: number;
}

const BINS = 36;

/** A round number near `size`: 1, 2 or 5 times a power of ten, not below it. */
export function roundUp(size: number): number {
  if (!(size > 0) || !Number.isFinite(size)) return 1;
  const power = 10 ** Math.floor(Math.log10(size));
  return ([1, 2, 5, 10].find((step) => step * power >= size * 0.999999) as number) * power;
}

/** From where to where a histogram of all these goes: far outliers fall into its end bins. */
export function histogramRange(all: Float32Array[]): { low: number; step: number; n: number } | null {
  const known = all.flatMap((changes) => [...changes].filter(Number.isFinite));
  if (!known.length) return null;
  const [p1, p99] = [percentile(known, 1), percentile(known, 99)];
  const room = Math.max(p99 - p1, Math.abs(p99) * 1e-3) / 2;
  const low = Math.min(0, Math.max(percentile(known, 0), p1 - room));
  const high = Math.max(0, Math.min(percentile(known, 100), p99 + room));
  const step = roundUp((high - low) / BINS);
  const first = Math.floor(low / step + 1e-6);
  return { low: first * step, step, n: Math.max(1, Math.floor(high / step + 1e-6) + 1 - first) };
}

/** No bin holds both sides of 0, and 0 itself counts upwards. */
export function histogram(
  pairs: Pairs,
  changes: Float32Array,
  range: { low: number; step: number; n: number },
): Histogram {
  const start = Math.round(range.low / range.step);
  const bins = Array.from({ length: range.n }, (_, i) => ({
    low: (start + i) * range.step,
    high: (start + i + 1) * range.step,
    used: 0,
    dropped: 0,
  }));
  let [positive, n, least, most] = [0, 0, 0, 0];
  changes.forEach((change, row) => {
    if (!Number.isFinite(change)) return;
    let at = range.n - 1;
    while (at > 0 && change < (bins[at] as { low: number }).low) at--;
    const used = isUsed(pairs, row);
    (bins[at] as Histogram["bins"][number])[used ? "used" : "dropped"]++;
    n += Number(used);
    positive += Number(used && change > 0);
    [least, most] = [Math.min(least, change), Math.max(most, change)];
  });
  const [first, last] = [bins[0], bins[range.n - 1]];
  if (first) first.low = Math.min(first.low, least);
  if (last) last.high = Math.max(last.high, most);
  return { bins, positive, n };
}
