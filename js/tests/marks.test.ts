import assert from "node:assert/strict";
import { test } from "node:test";
import { describeCell, gridTitle, gridValues, scoreDigits } from "../src/marks/cells";
import { diverging, ink } from "../src/marks/colour";
import { isOurs, isPick, moveCell } from "../src/marks/keys";
import { count, digitsFor, linear, percent, percentile, plain, signed, weightText } from "../src/marks/scale";
import type { Cells, Spec } from "../src/wire";

test("percentile interpolates and leaves out what is not finite", () => {
  assert.equal(percentile([1, 2, 3, 4, 5], 50), 3);
  assert.equal(percentile([0, 10], 99), 9.9);
  assert.equal(percentile([Number.NaN, 4, Number.POSITIVE_INFINITY], 99), 4);
  assert.equal(percentile([], 99), 0);
});

test("the linear scale survives a domain of one value", () => {
  assert.equal(linear([0, 2], [10, 20])(1), 15);
  assert.equal(linear([3, 3], [0, 10])(3), 5);
});

test("numbers are written with a true minus, and never as minus zero", () => {
  assert.equal(signed(0.414), "+0.41");
  assert.equal(signed(-0.414), "\u22120.41");
  assert.equal(signed(-0.001), "0.00");
  assert.equal(plain(Number.NaN), "not defined");
  assert.equal(count(13225), "13,225");
  assert.equal(percent(0.7), "70%");
  assert.equal(percent(0.001), "under 1%");
  assert.deepEqual([0.111, 0.0042, 12, 0].map(digitsFor), [2, 4, 2, 3]);
  assert.deepEqual([1, 0.484, 0.0031, 0].map(weightText), ["1.00", ".48", ".003", ".000"]);
});

test("the ramp is neutral at zero, symmetric in its ends, and clips beyond the limit", () => {
  assert.deepEqual(diverging(0, 0.5, false), [245, 245, 245]);
  assert.deepEqual(diverging(0.5, 0.5, false), [10, 90, 156]);
  assert.deepEqual(diverging(-9, 0.5, false), [138, 66, 0]);
  assert.deepEqual(diverging(0, 0, true), [42, 42, 42]);
  assert.equal(ink([10, 90, 156]), "#fff");
  assert.equal(ink([245, 245, 245]), "#000");
});

const chord = (key: string, more = {}) => ({
  key,
  ctrlKey: false,
  metaKey: false,
  altKey: false,
  shiftKey: false,
  ...more,
});

test("plain keys stay in the widget; Tab, chords and Shift+Enter go to the notebook", () => {
  for (const key of ["x", "a", "ArrowDown", "Enter", "Escape", " "]) assert.ok(isOurs(chord(key)), key);
  assert.ok(!isOurs(chord("Tab")));
  assert.ok(!isOurs(chord("Enter", { shiftKey: true })));
  for (const modifier of ["ctrlKey", "metaKey", "altKey"])
    assert.ok(!isOurs(chord("s", { [modifier]: true })));
  assert.ok(isPick(chord(" ")) && isPick(chord("Enter")) && !isPick(chord("Enter", { shiftKey: true })));
});

test("arrows move over the grid with layer 0 at the bottom, and stop at its edges", () => {
  const from = { layer: 1, head: 2 };
  const shape: [number, number] = [3, 4];
  assert.deepEqual(moveCell(chord("ArrowUp"), from, shape), { layer: 2, head: 2 });
  assert.deepEqual(moveCell(chord("ArrowDown"), { layer: 0, head: 2 }, shape), { layer: 0, head: 2 });
  assert.deepEqual(moveCell(chord("ArrowLeft"), from, shape), { layer: 1, head: 1 });
  assert.deepEqual(moveCell(chord("ArrowRight"), { layer: 1, head: 3 }, shape), { layer: 1, head: 3 });
  assert.deepEqual(moveCell(chord("Home"), from, shape), { layer: 1, head: 0 });
  assert.deepEqual(moveCell(chord("End"), from, shape), { layer: 1, head: 3 });
  assert.deepEqual(moveCell(chord("Home", { ctrlKey: true }), from, shape), { layer: 2, head: 0 });
  assert.deepEqual(moveCell(chord("End", { ctrlKey: true }), from, shape), { layer: 0, head: 3 });
  assert.equal(moveCell(chord("x"), from, shape), null);
});

const spec = {
  scores: { original: 0.5, perturbed: 0.6, base: 0.5, source: 0.6 },
  grid: { shape: [2, 2], metric: "effect" },
} as unknown as Spec;
const cells: Cells = {
  effects: new Float32Array([0.5, -0.75, Number.NaN, 0.25]),
  patched: new Float32Array([0.55, 0.425, 0.5, 0.525]),
  state: new Uint8Array([2, 2, 2, 1]),
};

test("grid values rank by size and leave undefined cells out", () => {
  const grid = gridValues(spec, cells, "effect");
  assert.deepEqual(grid.order, [1, 0, 3]);
  assert.deepEqual([...grid.ranks], [2, 1, 0, 3]);
  assert.deepEqual(grid.layer_sums, [-0.25, 0.25]);
  assert.deepEqual(grid.head_means, [0.5, -0.25]);
  const raw = gridValues(spec, cells, "score");
  assert.ok(Math.abs((raw.values[1] as number) + 0.075) < 1e-6);
});

test("a cell that is not computed has no value, whatever its bytes hold", () => {
  const grid = gridValues(spec, { ...cells, state: new Uint8Array([0, 2, 2, 1]) }, "effect");
  assert.ok(Number.isNaN(grid.values[0]));
  assert.deepEqual(describeCell({ layer: 0, head: 0 }, spec, { ...cells, state: grid.state }, grid), [
    "Layer 0, head 0",
    "not computed",
  ]);
});

test("the card tells value, score, place and method", () => {
  const grid = gridValues(spec, cells, "effect");
  assert.deepEqual(describeCell({ layer: 0, head: 1 }, spec, cells, grid), [
    "Layer 0, head 1",
    "\u22120.75 of the change",
    "score 0.5000 \u2192 0.4250",
    "rank 1 of 3; exact",
  ]);
  assert.match(describeCell({ layer: 1, head: 1 }, spec, cells, grid)[3] ?? "", /preview \(attribution\)/);
  assert.match(describeCell({ layer: 1, head: 0 }, spec, cells, grid)[1] ?? "", /not defined/);
  assert.equal(scoreDigits(spec), 4);
});

test("the grid names its stack where the ranker has several", () => {
  const title = (kind: string, stack: string) =>
    gridTitle({ ...spec, ranker: { kind }, grid: { ...spec.grid, stack } } as Spec);
  assert.equal(title("MonoT5", "cross"), "Heads of the decoder's cross-attention");
  assert.equal(title("MonoT5", "decoder"), "Heads of the decoder's self-attention");
  assert.equal(title("MonoT5", "encoder"), "Heads of the encoder");
  assert.equal(title("Generative", "decoder"), "Heads");
  assert.equal(title("Dot", "doc"), "Heads");
});

test("another metric is never called a share of the change", () => {
  for (const [metric, words] of [
    ["raw", "score difference"],
    ["robust", "robust"],
    ["mine", "mine"],
  ] as const) {
    const other = { ...spec, grid: { ...spec.grid, metric } };
    const grid = gridValues(other, cells, "effect");
    assert.equal(describeCell({ layer: 0, head: 1 }, other, cells, grid)[1], `\u22120.750 ${words}`);
  }
});

test("differences below float noise stay pale", () => {
  const patched = new Float32Array([0.5, 0.5 + 1e-7, 0.5, 0.5]);
  const grid = gridValues(spec, { ...cells, patched }, "score");
  assert.ok(grid.limit >= 1e-5);
});
