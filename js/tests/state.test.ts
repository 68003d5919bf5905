import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { ENTRIES } from "../src/entries";
import { headKey, type Load, type Loaded, Loads } from "../src/loads";
import { connect, type Model } from "../src/model";
import { Store } from "../src/store";
import type { Answered, Selection, Spec } from "../src/wire";

test("the store tells listeners of a field only, of real changes only, until they end", () => {
  const store = new Store<{ a: number; b: number }>({ a: 1, b: 1 });
  const seen: number[] = [];
  const end = store.on("a", () => seen.push(store.get("a")));
  store.set("a", 1);
  store.set("b", 2);
  store.set("a", 3);
  end();
  store.set("a", 4);
  assert.deepEqual(seen, [3]);
});

function makeSpec(): Spec {
  const tokens = { labels: ["a"], strings: ["a"], segments: ["doc"], words: [0], spaces: [1], fillers: [0] };
  return {
    format: 2,
    gate: { open: true, message: "" },
    scores: { original: 0, perturbed: 1, base: 0, source: 1 },
    grids: [
      {
        key: "doc.heads",
        name: "heads",
        stack: "doc",
        dims: ["layer", "head"],
        shape: [4, 40],
        metric: "effect",
      },
    ],
    stacks: [{ name: "doc", text: "doc", n_layers: 4, n_heads: 40 }],
    texts: { doc: { base: tokens, source: tokens, alignment: ["equal"] } },
    held: {},
    buffers: {},
  } as unknown as Spec;
}

/** The kernel's answer for a head with one edge. */
function reply(id: number, layer: number, head: number): [Answered, DataView[]] {
  const edges = { edges: 1, of: 1, mass: 1 };
  const order: string[] = [];
  const buffers: Answered["buffers"] = {};
  for (const condition of ["base", "source"]) {
    for (const [field, dtype] of [
      ["query_pos", "u2"],
      ["key_pos", "u2"],
      ["weight", "f2"],
      ["received", "f2"],
      ["row_sum", "f2"],
    ] as const) {
      const name = `${headKey("doc", layer, head)}.${condition}.${field}`;
      order.push(name);
      buffers[name] = { dtype, shape: [1] };
    }
  }
  const entry = { stack: "doc", layer, head, base: edges, source: edges };
  const views = order.map(() => new DataView(new Uint16Array([0x3c00]).buffer));
  return [{ type: "answer", id, key: headKey("doc", layer, head), entry, buffers, order }, views];
}

function heads() {
  const sent: { id: number; layer: number; head: number }[] = [];
  let states: Loaded = new Map<string, Load<unknown>>();
  const library = new Loads(
    makeSpec(),
    {},
    {
      decoders: ENTRIES,
      send: (message) => sent.push(message as never),
      changed: (next) => {
        states = next;
      },
    },
  );
  return {
    ask: (layer: number, head: number, anew = false) =>
      library.ask(headKey("doc", layer, head), { type: "attention", layer, head }, anew),
    library,
    sent,
    state: (layer: number, head: number) => states.get(headKey("doc", layer, head)),
  };
}

test("a head is asked for once, waits, and is loaded by the answer", () => {
  const { ask, library, sent, state } = heads();
  ask(1, 6);
  ask(1, 6);
  assert.equal(sent.length, 1);
  assert.equal(state(1, 6)?.status, "waiting");
  library.receive(...reply(sent[0]?.id as number, 1, 6));
  assert.equal(state(1, 6)?.status, "loaded");
  ask(1, 6, true);
  assert.equal(sent.length, 2, "anew asks also for what is here");
  library.dispose();
});

test("an error is shown with its text, and can be tried again", () => {
  const { ask, library, sent, state } = heads();
  ask(0, 0);
  library.receive({ type: "error", id: sent[0]?.id as number, message: "out of memory" }, []);
  assert.deepEqual(state(0, 0), { status: "failed", message: "out of memory" });
  ask(0, 0);
  assert.equal(sent.length, 2);
  library.dispose();
});

test("after ten seconds the kernel counts as silent, and a late answer still loads", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const { ask, library, sent, state } = heads();
  ask(0, 1);
  mock.timers.tick(10_000);
  assert.equal(state(0, 1)?.status, "late");
  library.receive(...reply(sent[0]?.id as number, 0, 1));
  assert.equal(state(0, 1)?.status, "loaded");
  library.dispose();
  mock.timers.reset();
});

test("an answer that cannot be read fails by itself", () => {
  const { ask, library, sent, state } = heads();
  ask(0, 1);
  const [answer, buffers] = reply(sent[0]?.id as number, 0, 1);
  library.receive({ ...answer, order: answer.order.slice(1) }, buffers);
  assert.equal(state(0, 1)?.status, "failed");
  library.dispose();
});

test("the 33rd fetched head drops the one used longest ago", () => {
  const { ask, library, sent, state } = heads();
  for (let head = 0; head < 33; head++) {
    ask(0, head);
    library.receive(...reply(sent.at(-1)?.id as number, 0, head));
    if (head === 31) ask(0, 0); // used again just now
  }
  assert.equal(state(0, 0)?.status, "loaded");
  assert.equal(state(0, 1), undefined);
  assert.equal(state(0, 32)?.status, "loaded");
  library.dispose();
});

function fakeModel(traits: Record<string, unknown>) {
  const handlers = new Map<string, Set<() => void>>();
  const saved: unknown[] = [];
  const model = {
    get: (key: string) => traits[key],
    set: (key: string, value: unknown) => {
      traits[key] = value;
    },
    on: (event: string, handler: () => void) =>
      handlers.set(event, (handlers.get(event) ?? new Set()).add(handler)),
    off: (event: string, handler: () => void) => handlers.get(event)?.delete(handler),
    save_changes: () => saved.push(structuredClone(traits.selection)),
    send: () => {},
  } as unknown as Model;
  const fromPython = (key: string, value: unknown) => {
    traits[key] = value;
    for (const handler of handlers.get(`change:${key}`) ?? []) handler();
  };
  const listening = () => [...handlers.values()].reduce((sum, set) => sum + set.size, 0);
  return { model, saved, fromPython, listening };
}

const at = (layer: number, head: number, pos: number | null = null): Selection => ({
  stack: "doc",
  layer,
  head,
  pos,
  key_pos: null,
  heads: [],
});

test("selections reach Python once things are calm, and Python's word ends a waiting one", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const { model, saved, fromPython } = fakeModel({
    spec: makeSpec(),
    selection: at(0, 0),
  });
  const { store, select, dispose } = connect(model, ENTRIES);
  select({ layer: 1 });
  select({ head: 2 });
  assert.deepEqual(saved, []);
  mock.timers.tick(50);
  assert.deepEqual(saved, [at(1, 2)]);
  select({ layer: 0 });
  fromPython("selection", at(3, 3));
  mock.timers.tick(50);
  assert.equal(saved.length, 1);
  assert.deepEqual(store.get("selection"), at(3, 3));
  fromPython("selection", {
    ...at(99, -1, 0),
    heads: [
      ["doc", 0, 1],
      ["gone", 0, 1],
    ],
  });
  assert.deepEqual(store.get("selection"), { ...at(3, 0, 0), heads: [["doc", 0, 1]] });
  dispose();
  mock.timers.reset();
});

test("a closed gate leaves only the score difference; dispose leaves no listener", () => {
  const spec = { ...makeSpec(), gate: { open: false, message: "no change" } };
  const { model, listening } = fakeModel({ spec });
  const { store, dispose } = connect(model, ENTRIES);
  assert.equal(store.get("unit"), "score");
  assert.ok(listening() > 0);
  dispose();
  assert.equal(listening(), 0);
});

test("an update that cannot be read is told, keeps what is there, and the next good one clears it", () => {
  const { model, fromPython } = fakeModel({ spec: makeSpec() });
  const { store, dispose } = connect(model, ENTRIES);
  const before = store.get("cells");
  const short = new DataView(new Float32Array(2).buffer);
  fromPython("cells", {
    "doc.heads.effects": short,
    "doc.heads.patched": short,
    "doc.heads.state": new DataView(new Uint8Array(2).buffer),
  });
  assert.match(store.get("fault") ?? "", /hold 2 numbers, the grid has 4 x 40/);
  assert.equal(store.get("cells"), before);
  fromPython("progress", { state: "done" });
  assert.notEqual(store.get("fault"), null);
  fromPython("cells", {});
  assert.equal(store.get("fault"), null);
  dispose();
});
