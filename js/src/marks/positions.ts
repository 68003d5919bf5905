/** Effects by position, without drawing them. */
import type { Unit } from "../store";
import { type Cells, type GridSpec, NOT_COMPUTED, type Spec } from "../wire";
import { rankAmong } from "./cells";
import { digitsFor, percentile } from "./scale";

export interface PositionGrid {
  sites: string[];
  n_layers: number;
  n_positions: number;
  /** [site, layer, pos]; NaN where a cell is not computed or not defined. */
  values: Float64Array;
  /** 1 where a cell is computed, whether or not its value is defined. */
  computed: Uint8Array;
  limit: number;
  digits: number;
  /** By site: over the layers, and over the positions. */
  token_sums: Float64Array[];
  layer_sums: number[][];
  /** The map of a site, [layer, column], the strongest of each `count` positions in a column. */
  pooled: (site: number, count: number) => Float64Array;
}

export function positionGrid(
  spec: Spec,
  grid: GridSpec,
  cells: Record<string, Cells>,
  unit: Unit,
): PositionGrid {
  const { effects, patched, state } = cells[grid.key] as Cells;
  const size = (dim: string) => grid.shape[grid.dims.indexOf(dim)] ?? 1;
  const [n_layers, n_heads, n_positions] = [size("layer"), size("head"), size("pos")];
  const sites = grid.sites ?? [grid.name];
  const base = spec.scores?.base ?? 0;
  const value = (i: number) => {
    if (state[i] === NOT_COMPUTED) return Number.NaN;
    if (unit === "effect") return effects[i] as number;
    if (unit === "score") return (patched[i] as number) - base;
    return rankAmong(spec.ranks, base) - rankAmong(spec.ranks, patched[i] as number);
  };
  const values = new Float64Array(sites.length * n_layers * n_positions).fill(Number.NaN);
  const computed = new Uint8Array(values.length);
  for (let row = 0; row < sites.length * n_layers; row++) {
    for (let head = 0; head < n_heads; head++) {
      for (let pos = 0; pos < n_positions; pos++) {
        const i = (row * n_heads + head) * n_positions + pos;
        const found = value(i);
        const at = row * n_positions + pos;
        if (state[i] !== NOT_COMPUTED) computed[at] = 1;
        const before = values[at] as number;
        // Of several heads the strongest is shown.
        if (Number.isFinite(found) && !(Math.abs(before) >= Math.abs(found))) values[at] = found;
      }
    }
  }
  const at = (site: number, layer: number, pos: number) =>
    values[(site * n_layers + layer) * n_positions + pos] as number;
  const range = (n: number) => [...Array(n).keys()];
  const limit = percentile([...values].map(Math.abs), 99.5);
  return {
    sites,
    n_layers,
    n_positions,
    values,
    computed,
    limit,
    digits:
      unit === "rank" ? 0 : unit === "effect" && grid.metric === "effect" ? 2 : Math.max(3, digitsFor(limit)),
    token_sums: range(sites.length).map((site) =>
      Float64Array.from({ length: n_positions }, (_, pos) =>
        range(n_layers).reduce((sum, layer) => sum + (at(site, layer, pos) || 0), 0),
      ),
    ),
    layer_sums: range(sites.length).map((site) =>
      range(n_layers).map((layer) =>
        range(n_positions).reduce((sum, pos) => sum + (at(site, layer, pos) || 0), 0),
      ),
    ),
    pooled(site, count) {
      const n = Math.ceil(n_positions / count);
      const map = new Float64Array(n_layers * n).fill(Number.NaN);
      for (let layer = 0; layer < n_layers; layer++) {
        for (let pos = 0; pos < n_positions; pos++) {
          const [found, i] = [at(site, layer, pos), layer * n + Math.floor(pos / count)];
          if (Number.isFinite(found) && !(Math.abs(map[i] as number) >= Math.abs(found))) map[i] = found;
        }
      }
      return map;
    },
  };
}

/** How positions become columns of the room that there is. */
export interface Columns {
  n: number;
  /** Positions to a column. */
  pooled: number;
  /** Width of a column in px. */
  size: number;
}

const LEAST = 3;

export function columnsOf(n_positions: number, room: number, most: number): Columns {
  const pooled = Math.max(1, Math.ceil((n_positions * LEAST) / room));
  const n = Math.ceil(n_positions / pooled);
  return { n, pooled, size: Math.max(1, Math.min(most, Math.floor(room / n))) };
}
