import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeCells, decodeEntry } from "../src/decode";
import { ENTRIES } from "../src/entries";
import { insideModel } from "../src/inside";
import { describeStudyCell, isClear, pText, strongestCell } from "../src/marks/cells";
import {
  changesOf,
  histogram,
  histogramRange,
  roundUp,
  rowsOf,
  sortedRows,
  UNFILTERED,
} from "../src/marks/pairs";
import type { Model } from "../src/model";
import { cellWords } from "../src/views/groups";
import type { BufferSpec, Buffers, Cells, GridSpec, Pairs, Snapshot, Spec } from "../src/wire";

const f4 = (...values: number[]) => new Float32Array(values);
const i4 = (...values: number[]) => new Int32Array(values);

const ARRAYS: Record<string, Float32Array | Int32Array> = {
  number: i4(10, 11, 12, 13),
  queries: i4(0, 1, 0, 1),
  docs: i4(0, 0, 1, 1),
  changes: i4(0, 0, 0, 1),
  perturbations: i4(0, 0, 0, 0),
  reasons: i4(0, 0, 1, 0),
  axioms: i4(0, 1, 0, 1),
  grade: f4(2, 0, Number.NaN, 1),
  rank: f4(3, 1, 2, 50),
  preferred: f4(1, -1, 1, 1),
  original_score: f4(1, 2, 3, 4),
  perturbed_score: f4(2, 1.5, 3, 4.25),
  base_score: f4(1, 2, 3, Number.NaN),
  source_score: f4(1.5, 1, 3.5, 4),
  "buckets.grade": i4(0, 1, 2, 1),
  "buckets.rank": i4(0, 0, 0, 1),
};

const ENTRY = {
  queries: ["why warm", "Étude <b>"],
  docs: ["hot springs", "cold SEA"],
  changes: [
    ["", "lava"],
    ["sea", ""],
  ] as [string, string][],
  perturbations: ["TFC1"],
  reasons: ["", "too short"],
  axioms: ["A", "B"],
  buckets: { grade: ["2", "0", "unknown"], rank: ["1-10", "11-50"] },
};

function decoded(): Pairs {
  const specs: Record<string, BufferSpec> = {};
  const buffers: Buffers = {};
  for (const [name, array] of Object.entries(ARRAYS)) {
    specs[`pairs.${name}`] = { dtype: array instanceof Float32Array ? "f4" : "i4", shape: [array.length] };
    buffers[`pairs.${name}`] = new DataView(array.buffer);
  }
  return decodeEntry(ENTRIES, "pairs", ENTRY, specs, buffers) as Pairs;
}

test("pairs decode to columns, and changes are those of texts, of runs, and towards an axiom", () => {
  const pairs = decoded();
  assert.deepEqual([...pairs.number], [10, 11, 12, 13]);
  assert.deepEqual([...changesOf(pairs, "texts")], [1, -0.5, 0, 0.25]);
  assert.deepEqual([...changesOf(pairs, "runs")], [0.5, -1, 0.5, Number.NaN]);
  assert.deepEqual([...changesOf(pairs, "preferred")], [1, 0.5, 0, 0.25]);
});

test("filters, statuses and words choose rows together", () => {
  const pairs = decoded();
  const bin = (low: number, high: number, last = false) => ({
    ...UNFILTERED,
    bin: { of: "texts" as const, low, high, last },
  });
  assert.deepEqual(rowsOf(pairs, UNFILTERED, "all", ""), [0, 1, 2, 3]);
  assert.deepEqual(rowsOf(pairs, UNFILTERED, "dropped", ""), [2]);
  assert.deepEqual(rowsOf(pairs, UNFILTERED, "used", "lava"), [0, 1]);
  assert.deepEqual(rowsOf(pairs, UNFILTERED, "all", " ÉTUDE <B> "), [1, 3]);
  assert.deepEqual(rowsOf(pairs, UNFILTERED, "all", "12"), [2], "a number");
  assert.deepEqual(rowsOf(pairs, UNFILTERED, "all", "too short"), [2], "a reason");
  assert.deepEqual(rowsOf(pairs, bin(0, 1), "all", ""), [2, 3], "its upper end is the next bin's");
  assert.deepEqual(rowsOf(pairs, bin(0, 1, true), "all", ""), [0, 2, 3]);
  const of_grade = { ...UNFILTERED, bucket: { of: "grade" as const, value: "0" } };
  assert.deepEqual(rowsOf(pairs, of_grade, "all", ""), [1, 3]);
  assert.deepEqual(rowsOf(pairs, { ...UNFILTERED, axiom: "B" }, "all", "sea"), [3]);
});

test("rows sort either way, with what is not known last", () => {
  const pairs = decoded();
  const sorted = (by: "change" | "runs" | "grade" | "query" | "rank", down: boolean) =>
    sortedRows(pairs, [0, 1, 2, 3], { by, down }, "texts");
  assert.deepEqual(sorted("change", true), [0, 3, 2, 1]);
  assert.deepEqual(sorted("grade", false), [1, 3, 0, 2]);
  assert.deepEqual(sorted("grade", true), [0, 3, 1, 2]);
  assert.deepEqual(sorted("runs", true), [0, 2, 1, 3]);
  assert.deepEqual(sorted("rank", false), [1, 2, 0, 3]);
  assert.deepEqual(sorted("query", false), [1, 3, 0, 2]);
  assert.deepEqual(sortedRows(pairs, [3, 1], null, "texts"), [3, 1]);
});

test("bins are of one round width, end at 0, and hold every pair", () => {
  const pairs = decoded();
  const changes = changesOf(pairs, "texts");
  const range = histogramRange([changes]);
  assert.ok(range);
  const { bins, n, positive } = histogram(pairs, changes, range);
  assert.equal(
    bins.reduce((sum, bin) => sum + bin.used, 0),
    3,
  );
  assert.equal(
    bins.reduce((sum, bin) => sum + bin.dropped, 0),
    1,
  );
  assert.deepEqual([n, positive], [3, 2]);
  assert.ok(bins.some(({ low }) => low === 0));
  const rows = bins.flatMap(({ low, high }, at) =>
    rowsOf(
      pairs,
      { ...UNFILTERED, bin: { of: "texts", low, high, last: at === bins.length - 1 } },
      "all",
      "",
    ),
  );
  assert.deepEqual(rows.sort(), [0, 1, 2, 3], "each pair is listed by one bin");
  assert.equal(histogramRange([f4(Number.NaN)]), null);
  assert.deepEqual([0.3, 1, 0.011, 0, 6].map(roundUp), [0.5, 1, 0.02, 1, 10]);
});

test("far outliers fall into the ends", () => {
  const changes = Float32Array.from({ length: 1000 }, (_, i) => (i ? (i % 10) / 10 : 1e6));
  const range = histogramRange([changes]);
  assert.ok(range && range.step < 1 && range.n < 80);
});

const grid: GridSpec = {
  key: "e.heads",
  name: "heads",
  stack: "e",
  dims: ["layer", "head"],
  shape: [1, 2],
  sites: null,
  metric: "effect",
};

test("cells of a study say whether they are told apart", () => {
  const named = {
    ...{ effects: [0.1, -0.5], low: [-0.1, -0.6], high: [0.3, -0.4], patched: [0, 0] },
    ...{ ratio: [0.2, -0.4], raw: [1, -2], positive: [0.5, 0.1], p: [0.2, 1e-4], q: [0.4, 0.03] },
  };
  const buffers: Buffers = { "e.heads.state": new DataView(new Uint8Array([2, 2]).buffer) };
  for (const [name, values] of Object.entries(named)) {
    buffers[`e.heads.${name}`] = new DataView(f4(...values).buffer);
  }
  const cells = decodeCells(buffers, [grid])["e.heads"] as Cells;
  assert.ok(cells.study);
  assert.deepEqual(
    [isClear(cells.study, 0), isClear(cells.study, 1), isClear(undefined, 0)],
    [false, true, true],
  );
  assert.equal(strongestCell(cells.effects), 1);
  const spec = { study: { confidence: 0.9, n_used: 1234, n_queries: 9 }, grids: [grid] } as unknown as Spec;
  const words = describeStudyCell(spec, cells.study, 1, -0.5, { low: -0.6, high: -0.4 }).join("; ");
  assert.equal(
    words,
    "effect −0.50; 90% interval −0.60 to −0.40; ratio of sums −0.40, raw −2.00; goes along in 10% of the pairs; " +
      "p < 0.001, corrected q 0.030; n = 1,234 pairs of 9 queries",
  );
  assert.match(describeStudyCell(spec, cells.study, 0, 0.1, null).join(), /q 0\.400: not told apart/);
  assert.equal(pText(Number.NaN), "not defined");
  const short = { ...buffers, "e.heads.q": new DataView(f4(1).buffer) };
  assert.throws(() => decodeCells(short, [grid]), /q hold 1 numbers/);
});

test("a cell is named by its place in every dim", () => {
  const labels = [
    ["attn_out", "mlp_out"],
    ["0", "1", "2"],
    ["query term", "other"],
  ];
  assert.equal(cellWords(["site", "layer", "class"], [2, 3, 2], labels, 9), "mlp_out, layer 1, other");
  assert.equal(cellWords(["layer"], [3], [["0", "1", "2"]], 2), "layer 2");
});

test("a view inside asks through the one around it, and hears its own answers only", () => {
  const sent: unknown[] = [];
  const heard: ((...args: unknown[]) => void)[] = [];
  const outer = {
    send: (message: unknown) => sent.push(message),
    on: (_: string, listener: never) => heard.push(listener),
    off: (_: string, listener: never) => heard.splice(heard.indexOf(listener), 1),
  } as unknown as Model;
  const opened = { spec: {}, buffers: {}, cells: {}, progress: { done: 3 }, selection: {}, theme: "auto" };
  const inner = insideModel(outer, 7, opened as unknown as Snapshot, true);
  assert.deepEqual(inner.get("progress"), { done: 3, live: true, offers: [] });
  inner.send({ type: "attention", id: 1 });
  assert.deepEqual(sent, [{ type: "inside", number: 7, message: { type: "attention", id: 1 }, id: "7:1" }]);
  const got: unknown[] = [];
  const listener = (content: { id: number }) => got.push(content.id);
  inner.on("msg:custom", listener as never);
  for (const id of [1, "7:1", "77:1", "7:2"]) for (const hear of heard) hear({ id }, []);
  assert.deepEqual(got, [1, 2]);
  inner.off("msg:custom", listener as never);
  assert.equal(heard.length, 0);
  insideModel(outer, 7, opened as unknown as Snapshot, false).send({ id: 2 } as never);
  assert.equal(sent.length, 1, "a file has no kernel to ask");
});
