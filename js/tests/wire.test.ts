import assert from "node:assert/strict";
import { test } from "node:test";
import { checkSpec, decode, decodeBase64, decodeCells, decodeEntry, halfToFloat } from "../src/decode";
import { ENTRIES } from "../src/entries";
import {
  type Buffers,
  type CurveValues,
  type Edges,
  EXACT,
  type HeadAttention,
  type HeadEntry,
  type Snapshot,
  type Spec,
} from "../src/wire";
import { golden } from "./golden";

/** A DataView whose bytes start at an odd offset of a larger buffer, as hosts may hand them over. */
function atOddOffset(numbers: { buffer: ArrayBufferLike; byteLength: number }): DataView {
  const bytes = new Uint8Array(numbers.byteLength + 5);
  bytes.set(new Uint8Array(numbers.buffer), 3);
  return new DataView(bytes.buffer, 3, numbers.byteLength);
}

test("half floats decode to the values that IEEE 754 gives them", () => {
  const known: [number, number][] = [
    [0x0000, 0],
    [0x3c00, 1],
    [0xc000, -2],
    [0x3555, 0.333251953125],
    [0x7bff, 65504],
    [0x0400, 2 ** -14],
    [0x0001, 2 ** -24],
    [0x7c00, Number.POSITIVE_INFINITY],
    [0xfc00, Number.NEGATIVE_INFINITY],
  ];
  for (const [bits, value] of known) assert.equal(halfToFloat(bits), value);
  assert.ok(Number.isNaN(halfToFloat(0x7e00)));
  assert.ok(Object.is(halfToFloat(0x8000), -0));
});

test("every dtype decodes from an odd byteOffset", () => {
  assert.deepEqual(decode(atOddOffset(new Float32Array([1.5, -2])), "f4"), new Float32Array([1.5, -2]));
  assert.deepEqual(decode(atOddOffset(new Uint16Array([0x3c00, 0xb800])), "f2"), new Float32Array([1, -0.5]));
  assert.deepEqual(decode(atOddOffset(new Uint16Array([7, 65535])), "u2"), new Uint16Array([7, 65535]));
  assert.deepEqual(decode(atOddOffset(new Uint8Array([0, 255])), "u1"), new Uint8Array([0, 255]));
  assert.deepEqual(decode(atOddOffset(new Int32Array([-1, 9])), "i4"), new Int32Array([-1, 9]));
  assert.throws(() => decode(new DataView(new ArrayBuffer(8)), "f8" as never), /unknown dtype "f8"/);
});

const grid = {
  key: "doc.heads",
  name: "heads",
  stack: "doc",
  dims: ["layer", "head"],
  shape: [2, 3],
  sites: null,
  metric: "effect",
};

test("cells that were not sent are not computed; cells of another shape are refused", () => {
  const empty = decodeCells({}, [grid])["doc.heads"];
  assert.deepEqual([...(empty?.state ?? [])], [0, 0, 0, 0, 0, 0]);
  assert.ok(empty?.effects.every(Number.isNaN));
  const view = (numbers: Float32Array | Uint8Array) => new DataView(numbers.buffer);
  const sent = {
    "doc.heads.effects": view(new Float32Array(2)),
    "doc.heads.patched": view(new Float32Array(2)),
    "doc.heads.state": view(new Uint8Array(2)),
  };
  assert.throws(() => decodeCells(sent as Buffers, [grid]), /hold 2 numbers, the grid has 2 x 3/);
});

test("bounds come with cells where they are known", () => {
  const numbers = () => new DataView(new Float32Array(6).buffer);
  const sent = Object.fromEntries(
    ["effects", "patched", "low", "high"].map((name) => [`doc.heads.${name}`, numbers()]),
  );
  const state = new DataView(new Uint8Array(6).buffer);
  const cells = decodeCells({ ...sent, "doc.heads.state": state }, [grid])["doc.heads"];
  assert.equal(cells?.low?.length, 6);
});

test("a head with a missing or short buffer is refused by the buffer's name", () => {
  const count = { edges: 1, of: 4, mass: 1 };
  const entry = { stack: "doc", layer: 0, head: 1, base: count, source: count };
  const key = "attention.doc.0.1";
  assert.throws(
    () => decodeEntry(ENTRIES, key, entry, {}, {}),
    /"attention\.doc\.0\.1\.base\.query_pos" has no description/,
  );
  const name = `${key}.base.query_pos`;
  const specs = { [name]: { dtype: "u2" as const, shape: [2] } };
  assert.throws(() => decodeEntry(ENTRIES, key, entry, specs, {}), /was not sent/);
  const short = { [name]: new DataView(new Uint16Array(1).buffer) };
  assert.throws(() => decodeEntry(ENTRIES, key, entry, specs, short), /holds 1 numbers, its shape says 2/);
  assert.throws(() => decodeEntry(ENTRIES, "dance.1", entry, {}, {}), /does not know "dance\.1"/);
});

test("another wire format is refused in words", () => {
  assert.throws(() => checkSpec(undefined), /no spec/);
  assert.throws(() => checkSpec({ format: 1 } as Spec), /wire format 2 and was given format 1/);
});

test("cross-attention has one query, which is named, and every key of it", () => {
  const { spec } = golden("cross");
  assert.deepEqual(spec.stacks[0]?.query_labels, ["decoder, first step"]);
  assert.equal(spec.stacks[0]?.key_labels, null);
  for (const { base, source } of Object.values(spec.held) as HeadEntry[]) {
    for (const run of [base, source]) assert.deepEqual(run, { edges: 9, of: 9, mass: 1 });
  }
});

test("curves come with their places, their gaps, and which points are theirs", () => {
  const { spec, buffers } = golden("curves");
  const decoded = Object.fromEntries(
    Object.entries(buffers).map(([name, text]) => [name, decodeBase64(text as string)]),
  );
  const found = decodeEntry(
    ENTRIES,
    "curves",
    spec.held.curves as never,
    spec.buffers,
    decoded,
  ) as CurveValues;
  assert.deepEqual(spec.curves?.places, [0, 1, 2, 3.5]);
  assert.deepEqual([...found.points], [1, 1, 1, 1, 1, 0, 1, 0]);
  assert.deepEqual([...found.value.slice(0, 4)], [0.5, 0.75, Number.NaN, 1]);
  assert.deepEqual([found.value[4], found.value[6]], [0.5, 0.625]);
  assert.deepEqual([...found.high.slice(0, 4)], [0.625, 0.875, Number.NaN, 1.125]);
  assert.ok(found.low.slice(4).every(Number.isNaN));
});

for (const name of ["patching", "cross"]) {
  test(`the golden fixture ${name} decodes into what its spec says`, () => checkGolden(golden(name)));
}

function checkGolden(data: Snapshot) {
  const decodeAll = (encoded: Record<string, string | DataView>) =>
    Object.fromEntries(Object.entries(encoded).map(([name, text]) => [name, decodeBase64(text as string)]));
  const spec = checkSpec(data.spec);
  const main = spec.grids[0] as Spec["grids"][number];
  const cells = decodeCells(decodeAll(data.cells), spec.grids)[main.key];
  assert.ok(cells);
  assert.equal(
    cells.effects.length,
    main.shape.reduce((product, size) => product * size, 1),
  );
  assert.ok(cells.state.includes(EXACT));
  const { base, source } = spec.scores as NonNullable<Spec["scores"]>;
  cells.effects.forEach((effect, i) => {
    if (cells.state[i] !== EXACT || !Number.isFinite(effect)) return;
    const expected = ((cells.patched[i] as number) - base) / (source - base);
    assert.ok(Math.abs(effect - expected) < 1e-3 * Math.max(1, Math.abs(expected)), `cell ${i}`);
  });

  const text = spec.texts[spec.text];
  assert.ok(text?.source);
  const n = text.alignment.length;
  for (const tokens of [text.base, text.source]) {
    for (const field of ["labels", "strings", "segments", "words", "fillers"] as const) {
      assert.equal(tokens[field].length, n, field);
    }
  }
  const buffers = decodeAll(data.buffers);
  const held = Object.entries(spec.held).filter(([key]) => key.startsWith("attention."));
  assert.ok(held.length > 0);
  for (const [key, entry] of held) {
    const attention = decodeEntry(ENTRIES, key, entry, spec.buffers, buffers) as HeadAttention;
    assert.ok(attention.source && attention.difference);
    const n_queries = spec.stacks[0]?.query_labels?.length ?? n;
    for (const run of [attention.base, attention.source]) {
      assert.equal(run.received.length, n);
      assert.equal(run.row_sum.length, n_queries);
    }
    for (const run of [attention.base, attention.source, attention.difference] as Edges[]) {
      assert.equal(run.weight.length, run.edges);
      assert.ok(run.query_pos.every((pos) => pos < n_queries) && run.key_pos.every((pos) => pos < n));
      assert.ok(
        run.weight.every((weight, i) => i === 0 || Math.abs(weight) <= Math.abs(run.weight[i - 1] as number)),
      );
      assert.ok(run.mass >= 0 && run.mass <= 1.001);
    }
  }
}
