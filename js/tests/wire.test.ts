import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import {
  type Buffers,
  checkSpec,
  decode,
  decodeBase64,
  decodeCells,
  decodeHead,
  EXACT,
  halfToFloat,
  type Snapshot,
  type Spec,
} from "../src/wire";

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

test("cells that were not sent are not computed; cells of another shape are refused", () => {
  const empty = decodeCells({}, [2, 3]);
  assert.deepEqual([...empty.state], [0, 0, 0, 0, 0, 0]);
  assert.ok(empty.effects.every(Number.isNaN));
  const view = (numbers: Float32Array | Uint8Array) => new DataView(numbers.buffer);
  const sent = {
    effects: view(new Float32Array(2)),
    patched: view(new Float32Array(2)),
    state: view(new Uint8Array(2)),
  };
  assert.throws(() => decodeCells(sent as Buffers, [2, 3]), /holds 2 numbers, the grid has 2 x 3/);
});

test("a head with a missing or short buffer is refused by the buffer's name", () => {
  const count = { edges: 1, of: 4, mass: 1 };
  const entry = { layer: 0, head: 1, base: count, source: count };
  assert.throws(() => decodeHead(entry, {}, {}), /"attention\.0\.1\.base\.query_pos" has no description/);
  const name = "attention.0.1.base.query_pos";
  const specs = { [name]: { dtype: "u2" as const, shape: [2], dims: ["edge"] } };
  assert.throws(() => decodeHead(entry, specs, {}), /was not sent/);
  const short = { [name]: new DataView(new Uint16Array(1).buffer) };
  assert.throws(() => decodeHead(entry, specs, short), /holds 1 numbers, its shape says 2/);
});

test("another wire format is refused in words", () => {
  assert.throws(() => checkSpec(undefined), /no spec/);
  assert.throws(() => checkSpec({ format: 2 } as Spec), /wire format 1 and was given format 2/);
});

// Written by Python's own tests, so that both sides read the same bytes.
const golden = (name: string) => {
  const path = new URL(`../../tests/fixtures/wire/${name}.json`, import.meta.url);
  return JSON.parse(readFileSync(path, "utf8")) as Snapshot;
};

test("cross-attention has one query, which is named, and every key of it", () => {
  const { spec } = golden("cross");
  assert.deepEqual(spec.attention.query_labels, ["decoder, first step"]);
  assert.equal(spec.attention.key_labels, null);
  for (const { base, source } of spec.attention.heads) {
    for (const run of [base, source]) assert.deepEqual(run, { edges: 9, of: 9, mass: 1 });
  }
});

for (const name of ["patching", "cross"]) {
  test(`the golden fixture ${name} decodes into what its spec says`, () => checkGolden(golden(name)));
}

function checkGolden(data: Snapshot) {
  const decodeAll = (encoded: Record<string, string>) =>
    Object.fromEntries(Object.entries(encoded).map(([name, text]) => [name, decodeBase64(text)]));
  const spec = checkSpec(data.spec);
  const [n_layers = 0, n_heads = 0] = spec.grid.shape;
  const cells = decodeCells(decodeAll(data.cells), spec.grid.shape);
  assert.equal(cells.effects.length, n_layers * n_heads);
  assert.ok(cells.state.includes(EXACT));
  const { base, source } = spec.scores;
  cells.effects.forEach((effect, i) => {
    if (cells.state[i] !== EXACT || !Number.isFinite(effect)) return;
    const expected = ((cells.patched[i] as number) - base) / (source - base);
    assert.ok(Math.abs(effect - expected) < 1e-3 * Math.max(1, Math.abs(expected)), `cell ${i}`);
  });

  const n = spec.alignment.length;
  for (const tokens of [spec.tokens.base, spec.tokens.source]) {
    for (const field of ["labels", "strings", "segments", "words", "fillers"] as const) {
      assert.equal(tokens[field].length, n, field);
    }
  }
  const buffers = decodeAll(data.buffers);
  assert.ok(spec.attention.heads.length > 0);
  for (const entry of spec.attention.heads) {
    const attention = decodeHead(entry, spec.buffers, buffers);
    for (const run of [attention.base, attention.source]) {
      assert.equal(run.weight.length, run.edges);
      assert.equal(run.received.length, n);
      const n_queries = spec.attention.query_labels?.length ?? n;
      assert.ok(run.query_pos.every((pos) => pos < n_queries) && run.key_pos.every((pos) => pos < n));
      assert.ok(run.weight.every((weight, i) => i === 0 || weight <= (run.weight[i - 1] as number)));
      assert.ok(run.mass >= 0 && run.mass <= 1.001);
    }
  }
}
