/** What the grid shows, without drawing it: values in a unit, ranks, sums, the words of a cell's card. */
import type { Cell, Unit } from "../store";
import { type Cells, EXACT, NOT_COMPUTED, PREVIEW, type Spec } from "../wire";
import { digitsFor, percentile, plain, signed } from "./scale";

export interface GridValues {
  unit: Unit;
  /** What the unit "effect" shows: the metric that Python was asked for. */
  metric: string;
  n_layers: number;
  n_heads: number;
  /** NaN where a cell is not computed or not defined. */
  values: Float64Array;
  state: Uint8Array;
  /** 1 for the largest |value|; 0 where there is no value. */
  ranks: Uint16Array;
  order: number[];
  limit: number;
  digits: number;
  layer_sums: number[];
  head_means: number[];
}

export function gridValues(spec: Spec, cells: Cells, unit: Unit): GridValues {
  const [n_layers = 0, n_heads = 0] = spec.grid.shape;
  const raw = unit === "effect" ? cells.effects : cells.patched;
  const shift = unit === "effect" ? 0 : spec.scores.base;
  const values = Float64Array.from(raw, (value, i) =>
    cells.state[i] === NOT_COMPUTED ? Number.NaN : value - shift,
  );
  const at = (i: number) => values[i] as number;
  const order = [...values.keys()]
    .filter((i) => Number.isFinite(at(i)))
    .sort((a, b) => Math.abs(at(b)) - Math.abs(at(a)) || a - b);
  const ranks = new Uint16Array(values.length);
  order.forEach((cell, place) => {
    ranks[cell] = place + 1;
  });
  // Score differences below float32's noise must not take the strongest colours when there is nothing else.
  const noise = unit === "score" ? 1e-5 * Math.max(1, Math.abs(spec.scores.base)) : 0;
  const limit = Math.max(noise, percentile(values.map(Math.abs), 99));
  const sum = (indices: number[]) => {
    const known = indices.map(at).filter(Number.isFinite);
    return { total: known.reduce((a, b) => a + b, 0), n: known.length };
  };
  const range = (n: number) => [...Array(n).keys()];
  return {
    unit,
    metric: spec.grid.metric,
    n_layers,
    n_heads,
    values,
    state: cells.state,
    ranks,
    order,
    limit,
    digits: unit === "effect" && spec.grid.metric === "effect" ? 2 : Math.max(3, digitsFor(limit)),
    layer_sums: range(n_layers).map(
      (layer) => sum(range(n_heads).map((head) => layer * n_heads + head)).total,
    ),
    head_means: range(n_heads).map((head) => {
      const { total, n } = sum(range(n_layers).map((layer) => layer * n_heads + head));
      return n ? total / n : 0;
    }),
  };
}

const STACKS: Record<string, string> = {
  encoder: "encoder",
  decoder: "decoder's self-attention",
  cross: "decoder's cross-attention",
};

/** What the grid shows; the stack is named where the ranker has several that could have been patched. */
export function gridTitle({ ranker, grid }: Spec): string {
  return ranker.kind === "MonoT5" ? `Heads of the ${STACKS[grid.stack] ?? grid.stack}` : "Heads";
}

/** Digits that show the scores of this view: two significant ones of the change that is explained. */
export const scoreDigits = (spec: Spec) =>
  Math.max(4, digitsFor(spec.scores.perturbed - spec.scores.original));

/** What a value of the grid is, after its number. */
export function unitWords({ unit, metric }: GridValues): string {
  if (unit === "score" || metric === "raw") return "score difference";
  return metric === "effect" ? "of the change" : metric;
}

const METHOD: Record<number, string> = { [PREVIEW]: "preview (attribution)", [EXACT]: "exact" };

/** The card of a cell, as lines: its name, its value, its score, its place. */
export function describeCell({ layer, head }: Cell, spec: Spec, cells: Cells, grid: GridValues): string[] {
  const i = layer * grid.n_heads + head;
  const name = `Layer ${layer}, head ${head}`;
  if (cells.state[i] === NOT_COMPUTED) return [name, "not computed"];
  const value = grid.values[i] as number;
  const method = METHOD[cells.state[i] as number] ?? "";
  if (!Number.isFinite(value)) return [name, "not defined here", method];
  const digits = scoreDigits(spec);
  const scores = `score ${plain(spec.scores.base, digits)} \u2192 ${plain(cells.patched[i] as number, digits)}`;
  const amount = `${signed(value, grid.digits)} ${unitWords(grid)}`;
  return [name, amount, scores, `rank ${grid.ranks[i]} of ${grid.order.length}; ${method}`];
}
