/** What the head grids show, without drawing them: values in a unit, ranks, sums, the words of a cell's card. */
import { type Cell, MLP, type Unit } from "../store";
import {
  type Cells,
  CLEAR,
  EXACT,
  type GridSpec,
  NOT_COMPUTED,
  type Patching,
  PREVIEW,
  type Spec,
  type StackSpec,
} from "../wire";
import { count, digitsFor, percent, percentile, plain, signed } from "./scale";

/** Of what share of pairs nothing can be said: half of them go either way. */
export const HALF = 0.5;

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
  study: Cells["study"];
  /** The effects themselves and their bounds, whatever the unit. */
  effects: Float32Array;
  bounds: [Float32Array | undefined, Float32Array | undefined];
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
  /** A value in words; of a share, how far it lies from a half is what is drawn. */
  words: (value: number) => string;
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

/** What a unit shows of one cell of a study. */
export function studyValue(
  study: NonNullable<Cells["study"]>,
  unit: Unit,
  effect: number,
  at: number,
): number {
  if (unit === "positive") return (study.positive[at] as number) - HALF;
  return unit === "ratio" || unit === "raw" ? (study[unit][at] as number) : effect;
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
  const digits = whole
    ? 0
    : unit === "ratio" || (unit === "effect" && metric === "effect")
      ? 2
      : Math.max(3, digitsFor(limit));
  return {
    unit,
    metric,
    stacks,
    order,
    places: new Map(order.map((cell, place) => [cellKey(cell), place + 1])),
    limit,
    words: (value) => (unit === "positive" ? percent(value + HALF) : signed(value, digits)),
    digits,
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
    const { effects, patched, state, study } = cells[key] as Cells;
    const values = Float64Array.from(effects, (effect, i) =>
      state[i] === NOT_COMPUTED
        ? Number.NaN
        : study
          ? studyValue(study, unit, effect, i)
          : inUnit(spec, unit, effect, patched[i] as number),
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
    study: cells[heads.key]?.study,
    effects: (cells[heads.key] as Cells).effects,
    bounds: [cells[heads.key]?.low, cells[heads.key]?.high],
    mlps: mlps ? read(mlps.key) : null,
    layer_sums: range(n_layers).map((layer) => {
      const values = known(range(n_heads).map((head) => layer * n_heads + head));
      return unit === "positive" ? total(values) / Math.max(1, values.length) : total(values); // shares do not add up
    }),
    head_means: range(n_heads).map((head) => {
      const values = known(range(n_layers).map((layer) => layer * n_heads + head));
      return values.length ? total(values) / values.length : 0;
    }),
  };
}

/** Digits that show the scores of this view: two significant ones of the change that is explained. */
export const scoreDigits = ({ scores }: Spec) =>
  scores ? Math.max(4, digitsFor(scores.perturbed - scores.original)) : 4;

const STUDY_UNITS = {
  ratio: "ratio of sums",
  raw: "mean score difference",
  positive: "of the pairs go along",
};

/** What a value of the grids is, after its number. */
export function unitWords({ unit, metric }: Pick<Grids, "unit" | "metric">): string {
  if (unit === "ratio" || unit === "raw" || unit === "positive") return STUDY_UNITS[unit];
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
  const missing = spec.study ? "not defined: no pair tells" : "not computed";
  if (!numbers || numbers.state === NOT_COMPUTED) return [name, missing];
  const { value, state, patched, low, high } = numbers;
  const grid = grids.stacks.find((one) => one.stack.name === cell.stack);
  if (spec.study && grid?.study) {
    const at = cell.layer * grid.n_heads + cell.head;
    return [name, ...describeStudyCell(spec, grid.study, at, grid.effects[at] as number, bounds(grid, at))];
  }
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

type Bounds = { low: number; high: number } | null;

const bounds = ({ bounds: [low, high] }: GridValues, at: number): Bounds =>
  low && high ? { low: low[at] as number, high: high[at] as number } : null;

/** Is a cell of a study told apart from nothing, after correction for many cells? */
export const isClear = (study: Cells["study"], at: number) =>
  !study || !((study.q[at] as number) > CLEAR || Number.isNaN(study.q[at] as number));

/** A p-value in words. */
export const pText = (p: number) => (Number.isNaN(p) ? "not defined" : p < 0.001 ? "< 0.001" : p.toFixed(3));

/** All that a study says of one cell, as lines. */
export function describeStudyCell(
  spec: Spec,
  study: NonNullable<Cells["study"]>,
  at: number,
  effect: number,
  interval: Bounds,
): string[] {
  const { confidence = 0.95, n_used = 0, n_queries = 0 } = spec.study ?? {};
  const metric = spec.grids[0]?.metric ?? "effect";
  const of = (name: keyof typeof study) => study[name][at] as number;
  const digits = digitsFor(Math.max(...[effect, interval?.low ?? 0, interval?.high ?? 0].map(Math.abs)));
  return [
    `${metric} ${signed(effect, digits)}`,
    interval
      ? `${percent(confidence)} interval ${signed(interval.low, digits)} to ${signed(interval.high, digits)}`
      : "",
    `ratio of sums ${signed(of("ratio"), 2)}, raw ${signed(of("raw"), digitsFor(of("raw")))}`,
    `goes along in ${percent(of("positive"))} of the pairs`,
    `p ${pText(of("p"))}, corrected q ${pText(of("q"))}${isClear(study, at) ? "" : ": not told apart"}`,
    `n = ${count(n_used)} pairs of ${count(n_queries)} queries`,
  ].filter(Boolean);
}

/** The cell of the largest effect. */
export function strongestCell(effects: Float32Array): number {
  let best = 0;
  const size = (at: number) => Math.abs(effects[at] as number) || 0;
  for (let at = 1; at < effects.length; at++) if (size(at) > size(best)) best = at;
  return best;
}
