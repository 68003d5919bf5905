/** What the head grids show, without drawing them: values in a unit, ranks, sums, the words of a cell's card. */
import { type Cell, MLP, type Unit } from "../store";
import {
  type Cells,
  EXACT,
  type GridSpec,
  NOT_COMPUTED,
  type Patching,
  PREVIEW,
  type Spec,
  type StackSpec,
} from "../wire";
import { digitsFor, percentile, plain, signed } from "./scale";

/** The numbers of one stack's heads, and of its MLPs where those were patched. */
export interface GridValues {
  stack: StackSpec;
  n_layers: number;
  n_heads: number;
  /** NaN where a cell is not computed or not defined. */
  values: Float64Array;
  state: Uint8Array;
  patched: Float32Array;
  low: Float32Array | undefined;
  high: Float32Array | undefined;
  mlps: { values: Float64Array; state: Uint8Array; patched: Float32Array } | null;
  layer_sums: number[];
  head_means: number[];
}

/** A head with a value, of all stacks. */
export type Ranked = Cell & { value: number; state: number };

/** All grids of a view on one scale. */
export interface Grids {
  unit: Unit;
  /** What the unit "effect" shows: the metric that Python was asked for. */
  metric: string;
  stacks: GridValues[];
  /** Heads by falling |value|. */
  order: Ranked[];
  /** 1 for the largest |value|, by cell. */
  places: ReadonlyMap<string, number>;
  limit: number;
  digits: number;
  /** How many pairs a cell is a mean of. */
  n: number | null;
}

export const cellKey = ({ stack, layer, head }: Cell) => `${stack}.${layer}.${head}`;

/** The number that a unit shows of one cell, or of several that were patched together. */
export function inUnit(spec: Spec, unit: Unit, effect: number, patched: number): number {
  if (unit === "effect") return effect;
  const base = spec.scores?.base ?? Number.NaN;
  if (unit === "score") return patched - base;
  return rankAmong(spec.ranks, base) - rankAmong(spec.ranks, patched);
}

/** The rank of a score among the competitors, 1 the best; ties count for the competitor. */
export function rankAmong(ranks: Patching["ranks"] | undefined, score: number): number {
  if (!ranks || !Number.isFinite(score)) return Number.NaN;
  return ranks.rivals.filter((rival) => rival >= Math.fround(score)).length + 1;
}

export function gridsOf(spec: Spec, cells: Record<string, Cells>, unit: Unit): Grids {
  const find = (stack: string, name: string) =>
    spec.grids.find((grid) => grid.stack === stack && grid.name === name);
  const stacks = spec.stacks.flatMap((stack) => {
    const heads = find(stack.name, "heads");
    return heads ? [gridOf(spec, stack, heads, find(stack.name, "mlps"), cells, unit)] : [];
  });
  const order: Ranked[] = stacks.flatMap(({ stack, n_heads, values, state }) =>
    [...values.keys()].flatMap((i) => {
      const value = values[i] as number;
      const cell = { stack: stack.name, layer: Math.floor(i / n_heads), head: i % n_heads };
      return Number.isFinite(value) ? [{ ...cell, value, state: state[i] as number }] : [];
    }),
  );
  order.sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
  const metric = spec.grids[0]?.metric ?? "effect";
  // Score differences below float32's noise must not take the strongest colours when there is nothing else.
  const noise = unit === "score" ? 1e-5 * Math.max(1, Math.abs(spec.scores?.base ?? 0)) : 0;
  const limit = Math.max(
    noise,
    percentile(
      order.map(({ value }) => Math.abs(value)),
      99,
    ),
  );
  const whole = unit === "rank";
  return {
    unit,
    metric,
    stacks,
    order,
    places: new Map(order.map((cell, place) => [cellKey(cell), place + 1])),
    limit,
    digits: whole ? 0 : unit === "effect" && metric === "effect" ? 2 : Math.max(3, digitsFor(limit)),
    n: spec.grids[0]?.n ?? null,
  };
}

function gridOf(
  spec: Spec,
  stack: StackSpec,
  heads: GridSpec,
  mlps: GridSpec | undefined,
  cells: Record<string, Cells>,
  unit: Unit,
): GridValues {
  const read = (key: string) => {
    const { effects, patched, state } = cells[key] as Cells;
    const values = Float64Array.from(effects, (effect, i) =>
      state[i] === NOT_COMPUTED ? Number.NaN : inUnit(spec, unit, effect, patched[i] as number),
    );
    return { values, state, patched };
  };
  const { n_layers, n_heads } = stack;
  const own = read(heads.key);
  const range = (n: number) => [...Array(n).keys()];
  const known = (indices: number[]) => indices.map((i) => own.values[i] as number).filter(Number.isFinite);
  const total = (values: number[]) => values.reduce((a, b) => a + b, 0);
  return {
    stack,
    n_layers,
    n_heads,
    ...own,
    low: unit === "effect" ? cells[heads.key]?.low : undefined,
    high: unit === "effect" ? cells[heads.key]?.high : undefined,
    mlps: mlps ? read(mlps.key) : null,
    layer_sums: range(n_layers).map((layer) =>
      total(known(range(n_heads).map((head) => layer * n_heads + head))),
    ),
    head_means: range(n_heads).map((head) => {
      const values = known(range(n_layers).map((layer) => layer * n_heads + head));
      return values.length ? total(values) / values.length : 0;
    }),
  };
}

/** Digits that show the scores of this view: two significant ones of the change that is explained. */
export const scoreDigits = ({ scores }: Spec) =>
  scores ? Math.max(4, digitsFor(scores.perturbed - scores.original)) : 4;

/** What a value of the grids is, after its number. */
export function unitWords({ unit, metric }: Pick<Grids, "unit" | "metric">): string {
  if (unit === "rank") return "ranks";
  if (unit === "score" || metric === "raw") return "score difference";
  if (metric === "values") return "";
  return metric === "effect" ? "of the change" : metric;
}

const METHOD: Record<number, string> = { [PREVIEW]: "preview (attribution)", [EXACT]: "exact" };

/** A cell's name in words: its stack only where there are several. */
export function cellName(spec: Spec, { stack, layer, head }: Cell): string {
  const title = spec.stacks.length > 1 ? spec.stacks.find(({ name }) => name === stack)?.title || stack : "";
  const name = head === MLP ? `Layer ${layer}, MLP` : `Layer ${layer}, head ${head}`;
  return title ? `${name} of the ${title}` : name;
}

/** A head's name as short as it can be: L3H7. */
export function shortName(spec: Spec, { stack, layer, head }: Cell): string {
  const name = head === MLP ? `L${layer} MLP` : `L${layer}H${head}`;
  const first = spec.stacks[0]?.name;
  return spec.stacks.length > 1 && stack !== first ? `${stack.slice(0, 3)} ${name}` : name;
}

/** The numbers of one cell, wherever it is. */
export function cellNumbers(grids: Grids, { stack, layer, head }: Cell) {
  const grid = grids.stacks.find((one) => one.stack.name === stack);
  if (!grid) return null;
  const from = head === MLP ? grid.mlps : grid;
  const i = head === MLP ? layer : layer * grid.n_heads + head;
  if (!from) return null;
  return {
    value: from.values[i] as number,
    state: from.state[i] as number,
    patched: from.patched[i] as number,
    low: head === MLP ? undefined : grid.low?.[i],
    high: head === MLP ? undefined : grid.high?.[i],
  };
}

/** Does the interval of a cell hold 0? */
export const holdsZero = (low: number | undefined, high: number | undefined) =>
  low !== undefined && high !== undefined && low <= 0 && high >= 0;

/** The card of a cell, as lines: its name, its value, its score, its place. */
export function describeCell(cell: Cell, spec: Spec, grids: Grids): string[] {
  const name = cellName(spec, cell);
  const numbers = cellNumbers(grids, cell);
  if (!numbers || numbers.state === NOT_COMPUTED) return [name, "not computed"];
  const { value, state, patched, low, high } = numbers;
  const method = METHOD[state] ?? "";
  if (!Number.isFinite(value)) return [name, "not defined here", method];
  const lines = [name, `${signed(value, grids.digits)} ${unitWords(grids)}`.trim()];
  if (low !== undefined && high !== undefined) {
    lines.push(`95% interval ${signed(low, grids.digits)} to ${signed(high, grids.digits)}`);
  }
  if (grids.n !== null) lines.push(`mean of n = ${grids.n} pairs`);
  if (spec.scores) {
    const digits = scoreDigits(spec);
    lines.push(`score ${plain(spec.scores.base, digits)} \u2192 ${plain(patched, digits)}`);
    if (spec.ranks) {
      const [before, after] = [rankAmong(spec.ranks, spec.scores.base), rankAmong(spec.ranks, patched)];
      lines.push(before === after ? `rank ${before}, as before` : `rank ${before} \u2192 ${after}`);
    }
  }
  const place = grids.places.get(cellKey(cell));
  lines.push([place && `${place}. of ${grids.order.length} heads`, method].filter(Boolean).join("; "));
  return lines;
}
