/**
 * The state that the panels share. A panel subscribes to the fields it draws, so a hover never redraws the grid.
 * Hover, unit, width and theme stay in the browser; only `selection` goes back to Python.
 */
import type { Loaded } from "./loads";
import type { PairFilter } from "./marks/pairs";
import type { Cells, PanelName, Progress, Selection, Spec } from "./wire";

export type Unit = "effect" | "score" | "rank" | "ratio" | "raw" | "positive";
/** A head, or with `MLP` as its head the MLP of a layer. */
export type Cell = { stack: string; layer: number; head: number };
export const MLP = -1;
/** Which lines of a position are meant: those that leave it, those that reach it, or both. */
export type Side = "from" | "to" | "both";
export type HoveredPos = { pos: number; side: Side };

export interface State {
  spec: Spec;
  cells: Record<string, Cells>;
  progress: Progress;
  selection: Selection;
  loads: Loaded;
  /** The panel that is open, of those that share one place. */
  tab: PanelName | null;
  unit: Unit;
  hovered_cell: Cell | null;
  hovered_pos: HoveredPos | null;
  pinned_side: Side;
  /** Which pairs of a list are meant. */
  filter: PairFilter;
  /** The number of the pair that is open inside of the view. */
  opened: number | null;
  /** The selected cell of a study's grid that is not of heads; heads are in `selection`. */
  cell: number;
  width: number;
  dark: boolean;
  /** Why an update could not be taken over; what stands is older. */
  fault: string | null;
}

export class Store<T extends object> {
  #state: T;
  #listeners = new Map<keyof T, Set<() => void>>();

  constructor(state: T) {
    this.#state = { ...state };
  }

  get<K extends keyof T>(key: K): T[K] {
    return this.#state[key];
  }

  set<K extends keyof T>(key: K, value: T[K]): void {
    if (Object.is(this.#state[key], value)) return;
    this.#state[key] = value;
    for (const listener of [...(this.#listeners.get(key) ?? [])]) listener();
  }

  /** Call `listener` after each change of `key`; the function that is returned ends it. */
  on(key: keyof T, listener: () => void): () => void {
    const listeners = this.#listeners.get(key) ?? new Set();
    this.#listeners.set(key, listeners.add(listener));
    return () => listeners.delete(listener);
  }
}

export type ViewStore = Store<State>;
