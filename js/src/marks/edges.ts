/** Which of a head's edges are drawn, and what share of its attention that is. */
import type { Edges, Run, Segment, TextSpec, TokenSpec } from "../wire";
import type { Lanes } from "./lanes";

export type Block = "all" | "query>doc" | "doc>query" | "query>query" | "doc>doc";

/** SVG stays quick up to here; Python's own choice is below it. Edges come by falling weight, so the strongest are kept. */
export const EDGE_LIMIT = 4000;
/** A picture of more lines than this is hard to read: the usual budget is lowered until there are fewer. */
const READABLE = 400;
/** Shares of each row that can be drawn; Python sends up to the largest. */
export const MASSES = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];
const USUAL_MASS = 0.7;

export const isSpecial = (segment: Segment | undefined) =>
  segment === "cls" || segment === "sep" || segment === "pad";

/** Special tokens and prompts: what the ranker adds to the user's texts. */
const isAdded = (segment: Segment | undefined) => isSpecial(segment) || segment === "prompt";

export interface EdgeChoice {
  indices: number[];
  /** Shares of the run's whole attention mass. */
  shown_mass: number;
  added_mass: number;
}

/** Segments of the positions that attend, none where these are not of the text, and of those that are attended to. */
export type Segments = { query: Segment[]; key: Segment[] };

export interface EdgeRule {
  hide_added: boolean;
  block: Block;
  /** Of each row the strongest edges that hold this share of it; 1 for all that are here. */
  mass: number;
}

export function chooseEdges(
  run: Edges & { row_sum?: Float32Array },
  segments: Segments,
  { hide_added, block, mass }: EdgeRule,
): EdgeChoice {
  const [from, to] = block.split(">");
  const indices: number[] = [];
  const drawn = new Float64Array(run.row_sum?.length ?? 0); // of each row, so far
  let [all, shown, added, difference] = [0, 0, 0, 0];
  // At the largest share all that Python chose is drawn: weights came in float16, whose rounding must not choose again.
  const whole = mass >= (MASSES.at(-1) as number);
  const total = run.weight.reduce((sum, weight) => sum + Math.abs(weight), 0);
  for (let i = 0; i < run.weight.length; i++) {
    const weight = Math.abs(run.weight[i] as number);
    const row = run.query_pos[i] as number;
    const [a, b] = [segments.query[row], segments.key[run.key_pos[i] as number]];
    const is_added = isAdded(a) || isAdded(b);
    all += weight;
    if (is_added) added += weight; // whatever share is drawn: what is said to be hidden is all of it
    if (run.row_sum) {
      const before = drawn[row] as number;
      drawn[row] = before + weight;
      if (!whole && before >= mass * (run.row_sum[row] as number)) continue;
    } else {
      difference += weight; // no rows to fill: the largest differences of all
      if (!whole && difference - weight >= (mass / Math.max(run.mass, 1e-9)) * total) continue;
    }
    if (is_added && hide_added) continue;
    if (block !== "all" && (a !== from || b !== to)) continue;
    if (indices.length >= EDGE_LIMIT) continue;
    indices.push(i);
    shown += weight;
  }
  all = Math.max(all, total);
  const share = (part: number) => (all > 0 ? (part / all) * run.mass : 0);
  return { indices, shown_mass: share(shown), added_mass: share(added) };
}

/** The share of each row that is drawn at first: 0.7, or less where that would be too many lines to read. */
export function usualMass(runs: (Edges & { row_sum?: Float32Array })[], segments: Segments): number {
  const rule = { hide_added: false, block: "all" as Block };
  const fits = (mass: number) =>
    runs.every((run) => chooseEdges(run, segments, { ...rule, mass }).indices.length <= READABLE);
  const lower = MASSES.filter((mass) => mass <= USUAL_MASS).reverse();
  return lower.find(fits) ?? (MASSES[0] as number);
}

/** A line between two lanes. */
export interface Strand {
  from: number;
  to: number;
  weight: number;
}

/**
 * Edges between positions as lines between lanes: what is attended to is summed over the positions of its lane, and
 * averaged over those of the lane that attends. Strongest first.
 */
export function strandsOf(run: Edges, indices: number[], left: Lanes, right: Lanes): Strand[] {
  if (!left.merged && !right.merged) {
    return indices.map((i) => ({
      from: left.of[run.query_pos[i] as number] as number,
      to: right.of[run.key_pos[i] as number] as number,
      weight: run.weight[i] as number,
    }));
  }
  const found = new Map<number, Strand>();
  for (const i of indices) {
    const from = left.of[run.query_pos[i] as number] as number;
    const to = right.of[run.key_pos[i] as number] as number;
    const key = from * right.lanes.length + to;
    const strand = found.get(key) ?? { from, to, weight: 0 };
    strand.weight += (run.weight[i] as number) / (left.lanes[from]?.positions.length ?? 1);
    found.set(key, strand);
  }
  return [...found.values()].sort((a, b) => Math.abs(b.weight) - Math.abs(a.weight));
}

/** Weight of every partner of a lane: `to` holds lanes it attends to, `from` those that attend to it. */
export function partners(strands: Strand[], lane: number) {
  const to = new Map<number, number>();
  const from = new Map<number, number>();
  for (const strand of strands) {
    if (strand.from === lane) to.set(strand.to, strand.weight);
    if (strand.to === lane) from.set(strand.from, strand.weight);
  }
  return { to, from };
}

/** The tokens of a picture of both runs: the source's, and the base's where the source has a filler only. */
export function tokensOf(text: TextSpec, run: Run | "difference"): TokenSpec {
  if (run === "base" || !text.source) return text.base;
  if (run === "source") return text.source;
  const { base, source } = text;
  const labels = source.labels.map((label, pos) =>
    source.fillers[pos] ? (base.labels[pos] as string) : label,
  );
  return { ...source, labels, fillers: source.fillers.map(() => 0) };
}

const SPARSE = 300;

/**
 * Opacity and width follow the square root of the weight, so that weak lines are seen and strong ones do not drown them.
 * Hundreds of weak lines would drown everything else, so in a dense picture they fade and the strong ones stay.
 */
export function lineLook(weight: number, n_lines: number): { opacity: number; width: number } {
  const root = Math.sqrt(Math.max(0, Math.min(1, Math.abs(weight))));
  const density = Math.max(0, Math.min(1, (n_lines - SPARSE) / (EDGE_LIMIT / 2 - SPARSE)));
  const floor = 0.12 - 0.08 * density;
  const round = (value: number) => Math.round(value * 100) / 100;
  return {
    opacity: round(floor + (1 - floor) * root ** (1 + 0.9 * density)),
    width: round(0.5 + 2.5 * root),
  };
}
