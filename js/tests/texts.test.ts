import assert from "node:assert/strict";
import { test } from "node:test";
import { chooseEdges, lineLook, partners } from "../src/marks/edges";
import { alignedRows, joins, textDirection, textPositions } from "../src/marks/rows";
import type { Change, RunAttention, Segment, Spec, TokenSpec } from "../src/wire";

function text(labels: string[], more: Partial<TokenSpec> = {}): TokenSpec {
  return {
    labels,
    strings: labels,
    segments: labels.map(() => "doc"),
    words: labels.map((_, i) => i),
    spaces: labels.map(() => 1),
    fillers: labels.map(() => 0),
    ...more,
  };
}
const equal = (n: number) => Array<Change>(n).fill("equal");
const rowsOf = (tokens: TokenSpec, alignment: Change[], opened = new Set<number>()) =>
  alignedRows([...alignment.keys()], alignment, [tokens, tokens], opened);

test("rows break at sentence ends and after 40 tokens, never within a word", () => {
  const labels = Array.from({ length: 50 }, (_, i) => (i === 3 ? "end." : `t${i}`));
  const lengths = rowsOf(text(labels), equal(50)).map((row) => row.positions.length);
  assert.deepEqual(lengths, [4, 40, 6]);
  const words = labels.map((_, i) => (i === 44 ? 43 : i)); // the limit falls between two pieces of one word
  assert.deepEqual(
    rowsOf(text(labels, { words }), equal(50)).map((row) => row.positions.length),
    [4, 41, 5],
  );
});

test("long equal stretches fold with context around the change, and open again", () => {
  const n = 200;
  const alignment = equal(n);
  alignment[150] = "replace";
  const tokens = text(Array.from({ length: n }, (_, i) => `t${i}`));
  const rows = rowsOf(tokens, alignment);
  assert.deepEqual(
    rows.filter((row) => row.kind === "fold").map(({ positions }) => [positions[0], positions.length]),
    [
      [12, 126],
      [163, 25],
    ],
  );
  const all = rows.flatMap((row) => row.positions);
  assert.deepEqual(all, [...alignment.keys()]);
  assert.equal(rowsOf(tokens, alignment, new Set([12])).filter((row) => row.kind === "fold").length, 1);
  assert.ok(rowsOf(text(Array(40).fill("a")), equal(40)).every((row) => row.kind === "tokens"));
});

test("texts show the side that changed, with its fillers, and always something", () => {
  const segments: Segment[] = ["cls", "query", "sep", "doc", "doc", "sep"];
  const run = text(["[CLS]", "q", "[SEP]", "d", "e", "[SEP]"], { segments });
  const spec = { tokens: { base: run, source: run }, side: "doc", alignment: equal(6) } as unknown as Spec;
  assert.deepEqual(textPositions(spec), [3, 4]);
  assert.deepEqual(textPositions({ ...spec, side: "query" }), [1]);
  const bare = text(["x"], { segments: ["cls"] });
  assert.deepEqual(
    textPositions({ ...spec, alignment: equal(1), tokens: { base: bare, source: bare } }),
    [0],
  );
});

test("pieces of one word join, words do not", () => {
  const tokens = text(["vol", "cano", "a"], { words: [0, 0, -1] });
  assert.deepEqual(
    [0, 1, 2].map((pos) => joins(tokens, pos)),
    [false, true, false],
  );
});

test("a text's direction is that of its first letter", () => {
  assert.equal(textDirection(["12", "مرحبا", "hello"]), "rtl");
  assert.equal(textDirection(["🌋", "hello", "שלום"]), "ltr");
  assert.equal(textDirection([]), "ltr");
});

const run: RunAttention = {
  edges: 4,
  of: 16,
  mass: 0.8,
  query_pos: new Uint16Array([1, 2, 1, 0]),
  key_pos: new Uint16Array([3, 1, 2, 3]),
  weight: new Float32Array([0.5, 0.25, 0.125, 0.125]),
  received: new Float32Array(4),
};
const segments: Segment[] = ["cls", "query", "doc", "sep"];
const whole = { query: segments, key: segments };

test("edges are filtered by specials and by block, and the shares of the mass are told", () => {
  const all = chooseEdges(run, whole, { hide_added: false, block: "all" });
  assert.deepEqual(all.indices, [0, 1, 2, 3]);
  assert.ok(Math.abs(all.shown_mass - 0.8) < 1e-6);
  const plain = chooseEdges(run, whole, { hide_added: true, block: "all" });
  assert.deepEqual(plain.indices, [1, 2]);
  assert.ok(Math.abs(plain.shown_mass - 0.3) < 1e-6);
  assert.ok(Math.abs(plain.added_mass - 0.5) < 1e-6);
  assert.deepEqual(chooseEdges(run, whole, { hide_added: false, block: "query>doc" }).indices, [2]);
  assert.deepEqual(chooseEdges(run, whole, { hide_added: false, block: "doc>query" }).indices, [1]);
  const none = { ...run, weight: new Float32Array(), mass: 0 };
  assert.equal(chooseEdges(none, whole, { hide_added: false, block: "all" }).shown_mass, 0);
});

test("prompts are hidden together with special tokens", () => {
  const prompted: Segment[] = ["prompt", "query", "doc", "sep"];
  const both = { query: prompted, key: prompted };
  assert.deepEqual(chooseEdges(run, both, { hide_added: true, block: "all" }).indices, [1, 2]);
  assert.deepEqual(chooseEdges(run, both, { hide_added: false, block: "all" }).indices, [0, 1, 2, 3]);
});

test("a query that is no position of the text is not taken for the first token", () => {
  const step = { ...run, query_pos: new Uint16Array(4), key_pos: new Uint16Array([2, 1, 3, 0]) };
  const choice = chooseEdges(step, { query: [], key: segments }, { hide_added: true, block: "all" });
  assert.deepEqual(choice.indices, [0, 1]);
  assert.ok(Math.abs(choice.added_mass - 0.2) < 1e-6);
});

test("partners carry the weights of a position's lines, by direction", () => {
  const { to, from } = partners(run, [0, 1, 2, 3], 1);
  assert.deepEqual(
    [...to],
    [
      [3, 0.5],
      [2, 0.125],
    ],
  );
  assert.deepEqual([...from], [[2, 0.25]]);
});

test("line looks stay within their bounds", () => {
  assert.deepEqual(lineLook(0, 100), { opacity: 0.12, width: 0.5 });
  assert.deepEqual(lineLook(1, 100), { opacity: 1, width: 3 });
  assert.deepEqual(lineLook(2, 4000), { opacity: 1, width: 3 });
  assert.ok(lineLook(0.01, 4000).opacity < lineLook(0.01, 100).opacity / 2);
});
