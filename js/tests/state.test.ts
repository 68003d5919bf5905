import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { type HeadState, Heads } from "../src/heads";
import { connect, type Model } from "../src/model";
import { Store } from "../src/store";
import type { AttentionReply, Spec } from "../src/wire";

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
    format: 1,
    gate: { open: true, message: "" },
    scores: { original: 0, perturbed: 1, base: 0, source: 1 },
    grid: { shape: [4, 40], metric: "effect" },
    tokens: { base: tokens, source: tokens },
    alignment: ["equal"],
    attention: { label: "", heads: [] },
    buffers: {},
  } as unknown as Spec;
}

/** The kernel's answer for a head with one edge. */
function reply(id: number, layer: number, head: number): [AttentionReply, DataView[]] {
  const edges = { edges: 1, of: 1, mass: 1 };
  const order: string[] = [];
  const buffers: AttentionReply["buffers"] = {};
  for (const condition of ["base", "source"]) {
    for (const [field, dtype] of [
      ["query_pos", "u2"],
      ["key_pos", "u2"],
      ["weight", "f2"],
      ["received", "f2"],
    ] as const) {
      const name = `attention.${layer}.${head}.${condition}.${field}`;
      order.push(name);
      buffers[name] = { dtype, shape: [1] };
    }
  }
  const entry = { layer, head, base: edges, source: edges };
  const views = order.map(() => new DataView(new Uint16Array([0x3c00]).buffer));
  return [{ type: "attention", id, entry, buffers, order }, views];
}

function heads() {
  const sent: { id: number; layer: number; head: number }[] = [];
  let states: ReadonlyMap<string, HeadState> = new Map();
  const library = new Heads(
    makeSpec(),
    {},
    {
      send: (message) => sent.push(message as never),
      changed: (next) => {
        states = next;
      },
    },
  );
  return { library, sent, status: (key: string) => states.get(key)?.status, states: () => states };
}

test("a head is asked for once, waits, and is loaded by the answer", () => {
  const { library, sent, status } = heads();
  library.open(1, 6);
  library.open(1, 6);
  assert.equal(sent.length, 1);
  assert.equal(status("1.6"), "waiting");
  library.receive(...reply(sent[0]?.id as number, 1, 6));
  assert.equal(status("1.6"), "loaded");
  library.dispose();
});

test("an error is shown with its text, and can be tried again", () => {
  const { library, sent, states } = heads();
  library.open(0, 0);
  library.receive({ type: "error", id: sent[0]?.id as number, message: "out of memory" }, []);
  assert.deepEqual(states().get("0.0"), { status: "failed", message: "out of memory" });
  library.open(0, 0);
  assert.equal(sent.length, 2);
  library.dispose();
});

test("after ten seconds the kernel counts as silent, and a late answer still loads", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const { library, sent, status } = heads();
  library.open(0, 1);
  mock.timers.tick(10_000);
  assert.equal(status("0.1"), "late");
  library.receive(...reply(sent[0]?.id as number, 0, 1));
  assert.equal(status("0.1"), "loaded");
  library.dispose();
  mock.timers.reset();
});

test("the 33rd fetched head drops the one used longest ago", () => {
  const { library, sent, status } = heads();
  for (let head = 0; head < 33; head++) {
    library.open(0, head);
    library.receive(...reply(sent.at(-1)?.id as number, 0, head));
    if (head === 31) library.open(0, 0); // used again just now
  }
  assert.equal(status("0.0"), "loaded");
  assert.equal(status("0.1"), undefined);
  assert.equal(status("0.32"), "loaded");
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

test("selections reach Python once things are calm, and Python's word ends a waiting one", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const { model, saved, fromPython } = fakeModel({
    spec: makeSpec(),
    selection: { layer: 0, head: 0, pos: null },
  });
  const { store, select, dispose } = connect(model);
  select({ layer: 1 });
  select({ head: 2 });
  assert.deepEqual(saved, []);
  mock.timers.tick(50);
  assert.deepEqual(saved, [{ layer: 1, head: 2, pos: null }]);
  select({ layer: 0 });
  fromPython("selection", { layer: 3, head: 3, pos: null });
  mock.timers.tick(50);
  assert.equal(saved.length, 1);
  assert.deepEqual(store.get("selection"), { layer: 3, head: 3, pos: null });
  fromPython("selection", { layer: 99, head: -1, pos: 0 });
  assert.deepEqual(store.get("selection"), { layer: 3, head: 0, pos: 0 });
  dispose();
  mock.timers.reset();
});

test("a closed gate leaves only the score difference; dispose leaves no listener", () => {
  const spec = { ...makeSpec(), gate: { open: false, message: "no change" } };
  const { model, listening } = fakeModel({ spec });
  const { store, dispose } = connect(model);
  assert.equal(store.get("unit"), "score");
  assert.ok(listening() > 0);
  dispose();
  assert.equal(listening(), 0);
});

test("an update that cannot be read is told, keeps what is there, and the next good one clears it", () => {
  const { model, fromPython } = fakeModel({ spec: makeSpec() });
  const { store, dispose } = connect(model);
  const before = store.get("cells");
  const short = new DataView(new Float32Array(2).buffer);
  fromPython("cells", { effects: short, patched: short, state: new DataView(new Uint8Array(2).buffer) });
  assert.match(store.get("fault") ?? "", /holds 2 numbers, the grid has 4 x 40/);
  assert.equal(store.get("cells"), before);
  fromPython("progress", { state: "done" });
  assert.notEqual(store.get("fault"), null);
  fromPython("cells", {});
  assert.equal(store.get("fault"), null);
  dispose();
});
