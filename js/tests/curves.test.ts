import assert from "node:assert/strict";
import { test } from "node:test";
import { extent, runsOf, spread, ticksOf, written } from "../src/marks/curves";
import type { CurvesSpec, CurveValues } from "../src/wire";

test("ticks are round, lie in the range, and whole where they must be", () => {
  assert.deepEqual(
    ticksOf(0.13, 0.98, 6)[0].map((tick) => tick.toFixed(1)),
    ["0.2", "0.4", "0.6", "0.8"],
  );
  assert.deepEqual(ticksOf(0, 11, 10), [[0, 2, 4, 6, 8, 10], 2]);
  assert.deepEqual(ticksOf(0, 2, 10, true), [[0, 1, 2], 1]);
  assert.deepEqual(ticksOf(-1, 1, 2)[0], [-1, 0, 1]);
});

test("numbers are as long as their step needs", () => {
  assert.equal(written(0.2, 0.2), "0.2");
  assert.equal(written(-12000, 2000), "\u221212,000");
  assert.equal(written(2.5e-7, 1e-7), "2.50e\u22127");
  assert.equal(written(0, 1e-7).replaceAll("0", ""), ".");
  assert.equal(written(-0.5, 0.01), "\u22120.50");
});

test("labels move apart as little as can be, keep their order and stay inside", () => {
  assert.deepEqual(spread([10, 50], 15, 0, 100), [10, 50]);
  assert.deepEqual(spread([50, 50], 10, 0, 100), [45, 55]);
  assert.deepEqual(spread([52, 48, 90], 10, 0, 100), [55, 45, 90]);
  assert.deepEqual(spread([0, 0, 0], 10, 0, 100), [0, 10, 20]);
  assert.deepEqual(spread([100, 99], 10, 0, 100), [100, 90]);
  assert.deepEqual(spread([], 10, 0, 100), []);
});

const nan = Number.NaN;

test("a gap breaks a line, the place of another curve does not", () => {
  const points = new Uint8Array([1, 1, 1, 1, 1, 0, 1, 0]);
  const value = new Float32Array([1, 2, nan, 3, 4, nan, 5, nan]);
  assert.deepEqual(runsOf(points, [value], 0, 4), [[0, 1], [3]]);
  assert.deepEqual(runsOf(points, [value], 1, 4), [[0, 2]]);
  assert.deepEqual(runsOf(points, [value.map(() => nan)], 0, 4), []);
});

test("the axis holds curves, intervals and lines, also where nothing is known", () => {
  const numbers = (...all: number[]) => new Float32Array(all);
  const values = { value: numbers(1, nan), low: numbers(0, nan), high: numbers(2, nan) } as CurveValues;
  const spec = { reference: [["best", 10]] } as unknown as CurvesSpec;
  assert.deepEqual(extent(spec, values), [-0.5, 10.5]);
  const none = { value: numbers(nan), low: numbers(nan), high: numbers(nan) } as CurveValues;
  assert.deepEqual(extent({ reference: [] } as unknown as CurvesSpec, none), [0, 1]);
  const flat = { ...none, value: numbers(4) };
  assert.deepEqual(extent({ reference: [] } as unknown as CurvesSpec, flat), [3.6, 4.4]);
});
