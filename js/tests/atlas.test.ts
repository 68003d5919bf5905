import assert from "node:assert/strict";
import { test } from "node:test";
import {
  between,
  binsOf,
  bucketsOf,
  fitting,
  fromX,
  fromY,
  inside,
  isFound,
  middleOf,
  nearest,
  type Plane,
  planeOf,
  splat,
  topTerms,
  toX,
  toY,
  withoutOverlap,
  wordsOf,
  zoomed,
} from "../src/marks/atlas";
import type { LayerPoints, Points } from "../src/probe_wire";
import { entryOf, golden } from "./golden";

test("points and layers of a page come out as Python has them", () => {
  const data = golden("atlas");
  const points = entryOf<Points>(data, "atlas");
  assert.deepEqual(points.labels, [
    "hot springs",
    "cold springs",
    "</script>",
    "lava rock",
    "rock and ice",
    "été",
  ]);
  assert.deepEqual([...points.score.slice(0, 4)], [0.5, 0.25, Number.NaN, 1]);
  const layer = entryOf<LayerPoints>(data, "layer.1");
  const close = (found: Float32Array, wanted: number[]) =>
    wanted.forEach((value, at) => assert.ok(Math.abs((found[at] as number) - value) < 1e-4));
  close(layer.x, [0, 2, 0, 2, 1, 1]); // 16 bits on a page
  close(layer.y, [0, 0, 1, 1, 0.5, 1]);
  assert.equal(layer.cells[0]?.terms, "hot springs");
  assert.equal(layer.cells[0]?.score, null);
});

/** A generator that is the same everywhere. */
function* numbers(seed: number) {
  for (let state = seed; ; ) {
    state = (state * 1664525 + 1013904223) % 4294967296;
    yield state / 4294967296;
  }
}

function scattered(n: number): Plane {
  const draw = numbers(7);
  const of = () => Float32Array.from({ length: n }, () => 2 * (draw.next().value as number) - 1);
  return { u: of(), v: of(), box: { left: -1, right: 1, bottom: -1, top: 1 } };
}

test("a plane keeps both axes to one scale and fills the square", () => {
  const layer = { x: Float32Array.of(0, 4), y: Float32Array.of(1, 3), low: [0, 1], span: [4, 2], cells: [] };
  const plane = planeOf(layer as unknown as LayerPoints);
  assert.deepEqual([...plane.u], [-1, 1]);
  assert.deepEqual([...plane.v], [-0.5, 0.5]);
  assert.deepEqual(plane.box, { left: -1, right: 1, bottom: -0.5, top: 0.5 });
  const half = between(plane, { ...plane, u: Float32Array.of(1, 1) }, 0.5);
  assert.deepEqual([...half.u], [0, 1]);
});

test("the nearest point by bins is the nearest of all, and nothing beyond the radius", () => {
  const plane = scattered(500);
  const bins = binsOf(plane);
  assert.equal(bins.order.length, 500);
  assert.equal(new Set(bins.order).size, 500);
  const draw = numbers(3);
  for (let i = 0; i < 200; i++) {
    const [u, v] = [2.4 * (draw.next().value as number) - 1.2, 2.4 * (draw.next().value as number) - 1.2];
    const away = [...plane.u.keys()].map((at) =>
      Math.hypot((plane.u[at] as number) - u, (plane.v[at] as number) - v),
    );
    const least = Math.min(...away);
    assert.equal(nearest(plane, bins, u, v, 0.05), least <= 0.05 ? away.indexOf(least) : null);
  }
});

test("a box holds the points inside of it, edges included", () => {
  const plane = scattered(400);
  const box = { left: -0.3, right: 0.55, bottom: -2, top: 0.1 };
  const wanted = [...plane.u.keys()].filter((at) => {
    const [u, v] = [plane.u[at] as number, plane.v[at] as number];
    return u >= box.left && u <= box.right && v >= box.bottom && v <= box.top;
  });
  assert.deepEqual([...inside(plane, binsOf(plane), box)], wanted);
});

test("pixels and places are each other's inverse, and zoom keeps what lies under the pointer", () => {
  const [width, height] = [800, 600];
  const sight = { u: 0.2, v: -0.1, zoom: 300 };
  assert.ok(Math.abs(fromX(toX(0.7, sight, width), sight, width) - 0.7) < 1e-12);
  assert.ok(Math.abs(fromY(toY(-0.4, sight, height), sight, height) + 0.4) < 1e-12);
  const next = zoomed(sight, 1.7, 130, 470, width, height);
  assert.ok(Math.abs(fromX(130, next, width) - fromX(130, sight, width)) < 1e-9);
  assert.ok(Math.abs(fromY(470, next, height) - fromY(470, sight, height)) < 1e-9);
  assert.ok(next.zoom > sight.zoom);
  const all = fitting(width, height);
  assert.ok(toX(1, all, width) < width && toY(1, all, height) > 0);
});

test("cells count from the lower left corner", () => {
  const box = { left: -1, right: 1, bottom: -0.5, top: 0.5 };
  const cell = { row: 0, column: 3, n: 1, terms: "", score: null, grades: [] };
  assert.deepEqual(middleOf(cell, 4, box), [0.75, -0.375]);
});

test("labels do not touch, and the first ones stay", () => {
  const at = (x: number, y: number, words: string) => ({ x, y, words });
  const wanted = [at(0, 0, "one"), at(20, 0, "two"), at(0, 50, "six"), at(100, 0, "ten")];
  const kept = withoutOverlap(wanted, (words) => 10 * words.length, 20);
  assert.deepEqual(
    kept.map(({ words }) => words),
    ["one", "six", "ten"],
  );
});

test("terms that stand out are frequent here and rare elsewhere", () => {
  const labels = ["the hot spring", "the hot rock", "the sea", "the sea of salt", "the sea ice", "Été"];
  const all = wordsOf(labels, labels.keys(), "document");
  const own = wordsOf(labels, [0, 1], "document");
  const top = topTerms(own, all, [2, labels.length], 9);
  assert.deepEqual(top[0], ["hot", 2]);
  assert.ok(
    top.some(([word]) => word === "the"),
    "a little more often here than elsewhere",
  );
  assert.deepEqual(topTerms(wordsOf(labels, [2, 5], "document"), all, [2, labels.length], 9), [
    ["été", 1],
    ["sea", 1],
  ]);
  assert.equal(all.get("the"), 5);
  assert.equal(all.get("été"), 1);
  assert.deepEqual([...wordsOf(["in the [Bank] of"], [0], "token")], [["bank", 1]]);
});

test("a token is found by itself, a document by its label", () => {
  assert.ok(isFound("on the [bank] of", "bank", "token"));
  assert.ok(!isFound("on the [river] bank", "bank", "token"));
  assert.ok(isFound("on the [river] bank", "river] ba", "token"));
  assert.ok(isFound("River bank", "river", "document"));
});

test("colours go by value, what is beyond has the last one, what is unknown its own", () => {
  const points = { score: Float32Array.of(0, 0.49, 1, 7, -3, Number.NaN) } as Points;
  assert.deepEqual([...bucketsOf(points, "score", 4, [0, 1])], [0, 1, 3, 3, 0, 4]);
  assert.deepEqual([...bucketsOf(points, "none", 1, [0, 0])], [0, 0, 0, 0, 0, 0]);
});

test("a disc is mixed over the page, is clipped at the edge, and more points make it fuller", () => {
  const draw = (n: number) => {
    const pixels = new Uint8ClampedArray(4 * 9 * 9).fill(255);
    const plane = {
      u: new Float32Array(n),
      v: new Float32Array(n),
      box: { left: 0, right: 0, bottom: 0, top: 0 },
    };
    splat(pixels, [9, 9], plane, { u: 0, v: 0, zoom: 4 }, 2, [{ rgb: [0, 0, 0], alpha: 0.5 }], () => 0);
    return (x: number, y: number) => pixels[4 * (9 * y + x)] as number;
  };
  const [one, two] = [draw(1), draw(2)];
  // The middle of nine pixels is rounded up.
  assert.ok(Math.abs(one(5, 5) - 128) <= 1);
  assert.ok(two(5, 5) < one(5, 5));
  assert.equal(one(0, 0), 255);
  const edge = new Uint8ClampedArray(4 * 4 * 4).fill(255);
  const far = {
    u: Float32Array.of(-0.5, 9),
    v: Float32Array.of(0.5, 9),
    box: { left: 0, right: 0, bottom: 0, top: 0 },
  };
  splat(edge, [4, 4], far, { u: 0, v: 0, zoom: 4 }, 1, [{ rgb: [0, 0, 0], alpha: 1 }], () => 0);
  edge[4 * 3 + 1] = 200;
  splat(edge, [4, 4], far, { u: 0, v: 0, zoom: 4 }, 1, [{ rgb: [0, 0, 0], alpha: 1 }], () => -1);
  assert.equal(edge[4 * 3 + 1], 200);
  assert.equal(edge[0], 0);
});
