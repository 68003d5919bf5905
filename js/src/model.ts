/** Joins an AFM model (live or static) to the store: traits in, selection and messages out. */
import type { AnyModel } from "@anywidget/types";
import { describeError } from "./errors";
import { Heads } from "./heads";
import { type State, Store, type ViewStore } from "./store";
import {
  type Buffers,
  checkSpec,
  decodeCells,
  metricDefined,
  type Progress,
  type Reply,
  type Selection,
  type Spec,
} from "./wire";

export type Model = Pick<AnyModel, "get" | "set" | "on" | "off" | "save_changes" | "send">;

export interface Connection {
  store: ViewStore;
  /** Select a head or pin a position; Python hears of it a moment later. */
  select: (change: Partial<Selection>) => void;
  openHead: (layer: number, head: number) => void;
  cancel: () => void;
  dispose: () => void;
}

const SELECTION_DELAY_MS = 50;

const IDLE: Progress = {
  state: "done",
  done: 0,
  total: 0,
  seconds: 0,
  message: "",
  agreement: null,
  live: false,
};

function readSelection(model: Model, [n_layers = 1, n_heads = 1]: number[]): Selection {
  const { layer, head, pos } = {
    layer: 0,
    head: 0,
    pos: null,
    ...(model.get("selection") as Partial<Selection>),
  };
  // Python may be ahead of the spec that is shown; a selection outside the grid would point at nothing.
  const clamp = (value: number, size: number) => Math.max(0, Math.min(size - 1, value));
  return { layer: clamp(layer, n_layers), head: clamp(head, n_heads), pos: pos ?? null };
}

export function connect(model: Model): Connection {
  const spec = checkSpec(model.get("spec") as Spec);
  // By the model's spec, not the store's: when both change at once, the cells may come first.
  const readCells = () =>
    decodeCells((model.get("cells") ?? {}) as Buffers, (model.get("spec") as Spec).grid.shape);
  const readProgress = () => ({ ...IDLE, ...(model.get("progress") as Progress) });
  const makeHeads = (of: Spec) =>
    new Heads(of, (model.get("buffers") ?? {}) as Buffers, {
      send: (message) => model.send(message),
      changed: (states) => store.set("heads", states),
    });
  let heads = makeHeads(spec);
  const store: ViewStore = new Store<State>({
    spec,
    cells: readCells(),
    progress: readProgress(),
    selection: readSelection(model, spec.grid.shape),
    heads: heads.states,
    unit: metricDefined(spec) ? ("effect" as const) : ("score" as const),
    hovered_cell: null,
    hovered_pos: null,
    pinned_side: "both",
    width: 0,
    dark: false,
    fault: null,
  });

  let pending: ReturnType<typeof setTimeout> | undefined;
  const flush = () => {
    pending = undefined;
    model.set("selection", { ...store.get("selection") });
    model.save_changes();
  };

  const handlers: [string, (...args: never[]) => void][] = [
    ["change:cells", () => store.set("cells", readCells())],
    ["change:progress", () => store.set("progress", readProgress())],
    [
      "change:selection",
      () => {
        const next = readSelection(model, store.get("spec").grid.shape);
        const now = store.get("selection");
        if (next.layer === now.layer && next.head === now.head && next.pos === now.pos) return;
        clearTimeout(pending); // Python's word is newer than the one that waits here
        if (next.pos !== now.pos) store.set("pinned_side", "both");
        store.set("selection", next);
      },
    ],
    [
      "change:spec",
      () => {
        const next = checkSpec(model.get("spec") as Spec);
        heads.dispose();
        heads = makeHeads(next);
        store.set("spec", next);
        store.set("cells", readCells());
        store.set("heads", heads.states);
        if (!metricDefined(next)) store.set("unit", "score");
      },
    ],
    ["msg:custom", (content: Reply, buffers: DataView[]) => heads.receive(content, buffers)],
  ];
  // A fault stands until the same trait comes again and can be read.
  const faults = new Map<string, string>();
  const guarded = handlers.map(([event, handler]): [string, () => void] => [
    event,
    (...args: unknown[]) => {
      try {
        handler(...(args as never[]));
        faults.delete(event);
      } catch (error) {
        faults.set(event, describeError(error));
      }
      store.set("fault", [...faults.values()][0] ?? null);
    },
  ]);
  for (const [event, handler] of guarded) model.on(event, handler);

  return {
    store,
    select(change) {
      store.set("selection", { ...store.get("selection"), ...change });
      clearTimeout(pending);
      pending = setTimeout(flush, SELECTION_DELAY_MS);
    },
    openHead: (layer, head) => heads.open(layer, head),
    cancel: () => model.send({ type: "cancel" }),
    dispose() {
      if (pending !== undefined) {
        clearTimeout(pending);
        flush();
      }
      heads.dispose();
      for (const [event, handler] of guarded) model.off(event, handler);
    },
  };
}
