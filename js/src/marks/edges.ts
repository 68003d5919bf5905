/** Which of a head's edges are drawn, and what share of its attention that is. */
import type { RunAttention, Segment } from "../wire";

export type Block = "all" | "query>doc" | "doc>query" | "query>query" | "doc>doc";

/** SVG stays quick up to here; Python's own choice is below it. Edges come by falling weight, so the strongest are kept. */
export const EDGE_LIMIT = 4000;

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

export function chooseEdges(
  run: RunAttention,
  segments: Segments,
  { hide_added, block }: { hide_added: boolean; block: Block },
): EdgeChoice {
  const [from, to] = block.split(">");
  const indices: number[] = [];
  let all = 0;
  let shown = 0;
  let added = 0;
  for (let i = 0; i < run.weight.length; i++) {
    const weight = run.weight[i] as number;
    all += weight;
    const [a, b] = [segments.query[run.query_pos[i] as number], segments.key[run.key_pos[i] as number]];
    if (isAdded(a) || isAdded(b)) {
      added += weight;
      if (hide_added) continue;
    }
    if (block !== "all" && (a !== from || b !== to)) continue;
    if (indices.length >= EDGE_LIMIT) continue;
    indices.push(i);
    shown += weight;
  }
  const share = (part: number) => (all > 0 ? (part / all) * run.mass : 0);
  return { indices, shown_mass: share(shown), added_mass: share(added) };
}

/** Weight of every partner of `pos`: `to` holds positions it attends to, `from` those that attend to it. */
export function partners(run: RunAttention, indices: number[], pos: number) {
  const to = new Map<number, number>();
  const from = new Map<number, number>();
  for (const i of indices) {
    const weight = run.weight[i] as number;
    if (run.query_pos[i] === pos) to.set(run.key_pos[i] as number, weight);
    if (run.key_pos[i] === pos) from.set(run.query_pos[i] as number, weight);
  }
  return { to, from };
}

const SPARSE = 800;

/**
 * Opacity and width follow the square root of the weight, so that weak lines are seen and strong ones do not drown them.
 * Thousands of weak lines would drown everything else, so in a dense picture they fade and the strong ones stay.
 */
export function lineLook(weight: number, n_lines: number): { opacity: number; width: number } {
  const root = Math.sqrt(Math.max(0, Math.min(1, weight)));
  const density = Math.max(0, Math.min(1, (n_lines - SPARSE) / (EDGE_LIMIT - SPARSE)));
  const floor = 0.12 - 0.08 * density;
  const round = (value: number) => Math.round(value * 100) / 100;
  return {
    opacity: round(floor + (1 - floor) * root ** (1 + 0.9 * density)),
    width: round(0.5 + 2.5 * root),
  };
}
