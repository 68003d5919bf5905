/** Joins an AFM model (live or static) to the store: traits in, selection and messages out. */
import type { AnyModel } from "@anywidget/types";
import { checkSpec, type Decoders, decodeCells } from "./decode";
import { describeError } from "./errors";
import { Loads } from "./loads";
import { strongestCell } from "./marks/cells";
import { UNFILTERED } from "./marks/pairs";
import { type State, Store, type ViewStore } from "./store";
import {
  type Buffers,
  metricDefined,
  type Progress,
  type Reply,
  type Selection,
  type Spec,
  type StackSpec,
} from "./wire";

export type Model = Pick<AnyModel, "get" | "set" | "on" | "off" | "save_changes" | "send">;

export interface Connection {
  model: Model;
  decoders: Decoders;
  store: ViewStore;
  /** Select a head or pin a position; Python hears of it a moment later. */
  select: (change: Partial<Selection>) => void;
  /** Ask the kernel for what has this key, unless it is here. */
  ask: (key: string, message: object, anew?: boolean) => void;
  /** Have a grid computed that is an estimate so far. */
  compute: (key: string) => void;
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
  offers: [],
};

function readSelection(model: Model, stacks: StackSpec[]): Selection {
  const first = { stack: stacks[0]?.name ?? "", layer: 0, head: 0, pos: null, key_pos: null, heads: [] };
  const read: Selection = { ...first, ...(model.get("selection") as Partial<Selection>) };
  // Python may be ahead of the spec that is shown; a selection outside the grid would point at nothing.
  const stack = stacks.find(({ name }) => name === read.stack) ?? stacks[0];
  const clamp = (value: number, size = 1) => Math.max(0, Math.min(size - 1, value));
  return {
    ...read,
    stack: stack?.name ?? "",
    layer: clamp(read.layer, stack?.n_layers),
    head: clamp(read.head, stack?.n_heads),
    heads: read.heads.filter(([name]) => stacks.some((other) => other.name === name)),
  };
}

const same = (a: Selection, b: Selection) => JSON.stringify(a) === JSON.stringify(b);

export function connect(model: Model, decoders: Decoders): Connection {
  const spec = checkSpec(model.get("spec") as Spec);
  // By the model's spec, not the store's: when both change at once, the cells may come first.
  const readCells = () =>
    decodeCells((model.get("cells") ?? {}) as Buffers, (model.get("spec") as Spec).grids);
  const readProgress = () => ({ ...IDLE, ...(model.get("progress") as Progress) });
  const makeLoads = (of: Spec) =>
    new Loads(of, (model.get("buffers") ?? {}) as Buffers, {
      decoders,
      send: (message) => model.send(message),
      changed: (states) => store.set("loads", states),
    });
  let loads = makeLoads(spec);
  const cells = readCells();
  const first = Object.values(cells)[0];
  const store: ViewStore = new Store<State>({
    spec,
    cells,
    progress: readProgress(),
    selection: readSelection(model, spec.stacks),
    loads: loads.states,
    tab: null,
    unit: metricDefined(spec) ? ("effect" as const) : ("score" as const),
    hovered_cell: null,
    hovered_pos: null,
    pinned_side: "both",
    filter: UNFILTERED,
    opened: null,
    cell: first ? strongestCell(first.effects) : 0,
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
        const next = readSelection(model, store.get("spec").stacks);
        const now = store.get("selection");
        if (same(next, now)) return;
        clearTimeout(pending); // Python's word is newer than the one that waits here
        if (next.pos !== now.pos) store.set("pinned_side", "both");
        store.set("selection", next);
      },
    ],
    [
      "change:spec",
      () => {
        const next = checkSpec(model.get("spec") as Spec);
        loads.dispose();
        loads = makeLoads(next);
        store.set("spec", next);
        store.set("cells", readCells());
        store.set("loads", loads.states);
        if (!metricDefined(next)) store.set("unit", "score");
      },
    ],
    ["msg:custom", (content: Reply, buffers: DataView[]) => loads.receive(content, buffers)],
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
    model,
    decoders,
    store,
    select(change) {
      store.set("selection", { ...store.get("selection"), ...change });
      clearTimeout(pending);
      pending = setTimeout(flush, SELECTION_DELAY_MS);
    },
    ask: (key, message, anew) => loads.ask(key, message, anew),
    compute: (key) => model.send({ type: "compute", key }),
    cancel: () => model.send({ type: "cancel" }),
    dispose() {
      if (pending !== undefined) {
        clearTimeout(pending);
        flush();
      }
      loads.dispose();
      for (const [event, handler] of guarded) model.off(event, handler);
    },
  };
}
