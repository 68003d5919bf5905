import assert from "node:assert/strict";
import { test } from "node:test";
import { above, layout } from "../src/marks/graph";
import { columnsOf, positionGrid } from "../src/marks/positions";
import { placed, ranksOf, windowOf } from "../src/marks/ranking";
import { divergingLookup, packed, sequentialTable } from "../src/marks/raster";
import { toCsv } from "../src/views/table";
import type { Cells, CircuitSpec, GridSpec, RankedDocument, Spec } from "../src/wire";

const spec = { scores: { base: 1, source: 2, original: 1, perturbed: 2 }, grids: [] } as unknown as Spec;

test("effects by position take the strongest of several heads, and sum over layers and tokens", () => {
  const grid: GridSpec = {
    key: "doc.head_positions",
    name: "head_positions",
    stack: "doc",
    dims: ["site", "layer", "head", "pos"],
    shape: [1, 2, 2, 3],
    sites: ["z"],
    metric: "effect",
  };
  const effects = new Float32Array([1, 2, 3, -4, 0, 1, 0, 0, 0, 0, 0, Number.NaN]);
  const cells: Cells = { effects, patched: new Float32Array(12), state: new Uint8Array(12).fill(2) };
  cells.state[2] = 0;
  const found = positionGrid(spec, grid, { [grid.key]: cells }, "effect");
  assert.deepEqual([...found.values], [-4, 2, 1, 0, 0, 0]);
  assert.deepEqual([...(found.token_sums[0] ?? [])], [-4, 2, 1]);
  assert.deepEqual(found.layer_sums[0], [-1, 0]);
  assert.deepEqual([...found.pooled(0, 2)], [-4, 1, 0, 0]);
  const scores = positionGrid(spec, grid, { [grid.key]: cells }, "score");
  assert.equal(scores.values[1], -1);
});

test("positions become columns as wide as there is room, and pool where there is none", () => {
  assert.deepEqual(columnsOf(40, 1000, 18), { n: 40, pooled: 1, size: 18 });
  assert.deepEqual(columnsOf(512, 1000, 18), { n: 256, pooled: 2, size: 3 });
  assert.deepEqual(columnsOf(1, 1000, 18), { n: 1, pooled: 1, size: 18 });
});

const document = (original: number, perturbed: number, moved = false): RankedDocument => ({
  name: "d",
  text: "",
  original,
  perturbed,
  moved,
  grade: null,
});

test("ranks keep the order given among equal scores, and a long list is cut around what moved", () => {
  assert.deepEqual(ranksOf([1, 3, 3, 0]), [3, 1, 2, 4]);
  const long = Array.from({ length: 100 }, (_, i) => document(-i, i === 60 ? -20.5 : -i, i === 60));
  const all = placed(long);
  const moved = all[60];
  assert.deepEqual([moved?.before, moved?.after], [61, 22]);
  const shown = windowOf(all, moved);
  assert.ok(shown.length < 45 && shown.includes(moved as never));
  assert.equal(windowOf(all.slice(0, 10), undefined).length, 10);
});

const circuit = {
  vertices: [
    { id: "embed", kind: "embed", layer: -1, index: -1, label: "text", drop: null },
    { id: "0.1", kind: "head", layer: 0, index: 1, label: "0.1", drop: 0.5 },
    { id: "0.2", kind: "head", layer: 0, index: 2, label: "0.2", drop: 0.1 },
    { id: "mlp.0", kind: "mlp", layer: 0, index: -1, label: "mlp.0", drop: 0.2 },
    { id: "score", kind: "score", layer: -1, index: -1, label: "score", drop: null },
  ],
  edges: [
    { from_id: "embed", to_id: "0.1", weight: 0.9, kind: "k+v" },
    { from_id: "embed", to_id: "0.2", weight: 0.8, kind: "q" },
    { from_id: "0.1", to_id: "mlp.0", weight: -0.6, kind: "in" },
    { from_id: "0.2", to_id: "score", weight: 0.1, kind: "in" },
    { from_id: "mlp.0", to_id: "score", weight: 0.5, kind: "in" },
  ],
} as unknown as CircuitSpec;

test("a higher threshold drops edges, and the parts that no longer reach the score", () => {
  const { vertices, edges } = above(circuit, 0.2);
  assert.deepEqual(
    vertices.map(({ id }) => id),
    ["embed", "0.1", "mlp.0", "score"],
  );
  assert.equal(edges.length, 3, "the strong edge into 0.2 leads nowhere now");
  assert.deepEqual(
    above(circuit, 2).vertices.map(({ id }) => id),
    ["score"],
  );
});

test("parts stand from the text at the left to the score at the right, none on another", () => {
  const { nodes, columns } = layout(circuit.vertices, circuit.edges);
  const at = Object.fromEntries(nodes.map(({ id, x, y }) => [id, { x, y }]));
  assert.ok((at.embed?.x ?? 0) < (at["0.1"]?.x ?? 0) && (at["0.1"]?.x ?? 0) < (at["mlp.0"]?.x ?? 0));
  assert.ok((at["mlp.0"]?.x ?? 0) < (at.score?.x ?? 0));
  assert.equal(at["0.1"]?.x, at["0.2"]?.x);
  assert.notEqual(at["0.1"]?.y, at["0.2"]?.y);
  assert.deepEqual(
    columns.map(({ name }) => name),
    ["text", "layer 0", "MLP 0", "score"],
  );
});

test("CSV quotes what must be quoted", () => {
  const columns = [{ name: "a" }, { name: "b" }];
  assert.equal(
    toCsv(columns, [
      ['say "hi", you', 1.5],
      [null, "x"],
    ]),
    'a,b\n"say ""hi"", you",1.5\n,x',
  );
});

test("looked-up colours are those of the ramps", () => {
  const colour = divergingLookup(2, false);
  assert.equal(colour(0), packed([245, 245, 245]));
  assert.equal(colour(5), packed([10, 90, 156]));
  assert.equal(colour(-2), packed([138, 66, 0]));
  assert.equal(sequentialTable(false)[255], packed([10, 90, 156]));
});
