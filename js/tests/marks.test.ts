import assert from "node:assert/strict";
import { test } from "node:test";
import { cellNumbers, describeCell, gridsOf, rankAmong, scoreDigits, shortName } from "../src/marks/cells";
import { diverging, ink, sequential } from "../src/marks/colour";
import { isOurs, isPick, movePlace } from "../src/marks/keys";
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

test("arrows move over a matrix with row 0 at the bottom, and stop at its edges", () => {
  const from = { row: 1, column: 2 };
  const shape: [number, number] = [3, 4];
  assert.deepEqual(movePlace(chord("ArrowUp"), from, shape), { row: 2, column: 2 });
  assert.deepEqual(movePlace(chord("ArrowDown"), { row: 0, column: 2 }, shape), { row: 0, column: 2 });
  assert.deepEqual(movePlace(chord("ArrowLeft"), from, shape), { row: 1, column: 1 });
  assert.deepEqual(movePlace(chord("ArrowRight"), { row: 1, column: 3 }, shape), { row: 1, column: 3 });
  assert.deepEqual(movePlace(chord("Home"), from, shape), { row: 1, column: 0 });
  assert.deepEqual(movePlace(chord("End"), from, shape), { row: 1, column: 3 });
  assert.deepEqual(movePlace(chord("Home", { ctrlKey: true }), from, shape), { row: 2, column: 0 });
  assert.deepEqual(movePlace(chord("End", { ctrlKey: true }), from, shape), { row: 0, column: 3 });
  assert.equal(movePlace(chord("x"), from, shape), null);
});

test("the sequential ramp goes from the page to full blue by the square root", () => {
  assert.deepEqual(sequential(0, false), [255, 255, 255]);
  assert.deepEqual(sequential(1, false), [10, 90, 156]);
  assert.deepEqual(sequential(0.25, false), [133, 173, 206]);
  assert.deepEqual(sequential(2, true), [140, 200, 255]);
});

const grid = (stack: string, name: string, shape: number[]) => ({
  key: `${stack}.${name}`,
  name,
  stack,
  dims: name === "heads" ? ["layer", "head"] : ["layer"],
  shape,
  sites: null,
  metric: "effect",
});
const stack = (name: string, title = "") => ({ name, title, text: "doc", n_layers: 2, n_heads: 2 });
const spec = {
  scores: { original: 0.5, perturbed: 0.6, base: 0.5, source: 0.6 },
  ranks: null,
  grids: [grid("doc", "heads", [2, 2]), grid("doc", "mlps", [2])],
  stacks: [stack("doc")],
} as unknown as Spec;
const heads: Cells = {
  effects: new Float32Array([0.5, -0.75, Number.NaN, 0.25]),
  patched: new Float32Array([0.55, 0.425, 0.5, 0.525]),
  state: new Uint8Array([2, 2, 2, 1]),
};
const mlps: Cells = {
  effects: new Float32Array([0.1, 2]),
  patched: new Float32Array([0.51, 0.7]),
  state: new Uint8Array([2, 2]),
};
const cells = { "doc.heads": heads, "doc.mlps": mlps };
const at = (layer: number, head: number) => ({ stack: "doc", layer, head });

test("heads rank by size, undefined cells are left out, MLPs stand apart", () => {
  const grids = gridsOf(spec, cells, "effect");
  assert.deepEqual(
    grids.order.map(({ layer, head }) => [layer, head]),
    [
      [0, 1],
      [0, 0],
      [1, 1],
    ],
  );
  assert.deepEqual(grids.stacks[0]?.layer_sums, [-0.25, 0.25]);
  assert.deepEqual(grids.stacks[0]?.head_means, [0.5, -0.25]);
  assert.ok(grids.limit < 0.8, "the MLPs do not stretch the heads' scale");
  assert.equal(cellNumbers(grids, at(1, -1))?.value, 2);
  const raw = gridsOf(spec, cells, "score");
  assert.ok(Math.abs((cellNumbers(raw, at(0, 1))?.value as number) + 0.075) < 1e-6);
});

test("stacks share one scale, and are named where there are several", () => {
  const both = {
    ...spec,
    grids: [...spec.grids, grid("cross", "heads", [2, 2])],
    stacks: [stack("doc"), stack("cross", "decoder's cross-attention")],
  } as unknown as Spec;
  const twice = { ...heads, effects: new Float32Array([1, -1.5, 0, 0.5]) };
  const grids = gridsOf(both, { ...cells, "cross.heads": twice }, "effect");
  assert.equal(grids.stacks.length, 2);
  assert.deepEqual(grids.order[0], { stack: "cross", layer: 0, head: 1, value: -1.5, state: 2 });
  const cross = { ...at(0, 1), stack: "cross" };
  assert.equal(describeCell(cross, both, grids)[0], "Layer 0, head 1 of the decoder's cross-attention");
  assert.deepEqual([shortName(both, at(0, 1)), shortName(both, cross)], ["L0H1", "cro L0H1"]);
});

test("a cell that is not computed has no value, whatever its bytes hold", () => {
  const grids = gridsOf(
    spec,
    { ...cells, "doc.heads": { ...heads, state: new Uint8Array([0, 2, 2, 1]) } },
    "effect",
  );
  assert.ok(Number.isNaN(grids.stacks[0]?.values[0]));
  assert.deepEqual(describeCell(at(0, 0), spec, grids), ["Layer 0, head 0", "not computed"]);
});

test("the card tells value, score, place and method", () => {
  const grids = gridsOf(spec, cells, "effect");
  assert.deepEqual(describeCell(at(0, 1), spec, grids), [
    "Layer 0, head 1",
    "\u22120.75 of the change",
    "score 0.5000 \u2192 0.4250",
    "1. of 3 heads; exact",
  ]);
  assert.match(describeCell(at(1, 1), spec, grids)[3] ?? "", /preview \(attribution\)/);
  assert.match(describeCell(at(1, 0), spec, grids)[1] ?? "", /not defined/);
  assert.equal(describeCell(at(1, -1), spec, grids)[0], "Layer 1, MLP");
  assert.equal(scoreDigits(spec), 4);
});

test("a mean says of how many pairs, and an interval is told", () => {
  const bounds = { low: new Float32Array([0.4, -0.9, 0, -0.1]), high: new Float32Array([0.6, -0.6, 0, 0.6]) };
  const mean = { ...spec, grids: spec.grids.map((one) => ({ ...one, n: 200 })) } as Spec;
  const lines = describeCell(
    at(1, 1),
    mean,
    gridsOf(mean, { ...cells, "doc.heads": { ...heads, ...bounds } }, "effect"),
  );
  assert.ok(lines.includes("95% interval \u22120.10 to +0.60"));
  assert.ok(lines.includes("mean of n = 200 pairs"));
});

test("ranks count ties for the competitor, and patched scores get one", () => {
  const ranks = { original: 3, perturbed: 1, of: 4, competitors: [], rivals: [0.9, 0.5, 0.44] };
  assert.equal(rankAmong(ranks, 0.5), 3);
  assert.equal(rankAmong(ranks, 1), 1);
  const ranked = { ...spec, ranks } as Spec;
  const grids = gridsOf(ranked, cells, "rank");
  assert.equal(cellNumbers(grids, at(0, 0))?.value, 1, "0.55 passes one of three");
  assert.equal(cellNumbers(grids, at(0, 1))?.value, -1, "0.425 falls behind one more");
  assert.ok(describeCell(at(0, 0), ranked, grids).includes("rank 3 \u2192 2"));
});

test("another metric is never called a share of the change", () => {
  for (const [metric, words] of [
    ["raw", "score difference"],
    ["robust", "robust"],
    ["mine", "mine"],
  ] as const) {
    const other = { ...spec, grids: spec.grids.map((one) => ({ ...one, metric })) };
    const grids = gridsOf(other, cells, "effect");
    assert.equal(describeCell(at(0, 1), other, grids)[1], `\u22120.750 ${words}`);
  }
});

test("differences below float noise stay pale", () => {
  const patched = new Float32Array([0.5, 0.5 + 1e-7, 0.5, 0.5]);
  const grids = gridsOf(spec, { ...cells, "doc.heads": { ...heads, patched } }, "score");
  assert.ok(grids.limit >= 1e-5);
});
