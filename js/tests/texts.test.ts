import assert from "node:assert/strict";
import { test } from "node:test";
import { chooseEdges, lineLook, partners, strandsOf, tokensOf, usualMass } from "../src/marks/edges";
import { lanesOf, plainLanes } from "../src/marks/lanes";
import { alignedRows, joins, textDirection, textPositions } from "../src/marks/rows";
import type { Change, RunAttention, Segment, TextSpec, TokenSpec } from "../src/wire";

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
  const both: TextSpec = { base: run, source: run, alignment: equal(6), classes: null };
  assert.deepEqual(textPositions(both, "doc"), [3, 4]);
  assert.deepEqual(textPositions(both, "query"), [1]);
  const bare = text(["x"], { segments: ["cls"] });
  assert.deepEqual(textPositions({ ...both, alignment: equal(1), base: bare, source: bare }, "doc"), [0]);
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
  row_sum: new Float32Array([1, 1, 1, 1]),
};
const segments: Segment[] = ["cls", "query", "doc", "sep"];
const whole = { query: segments, key: segments };

test("edges are filtered by specials and by block, and the shares of the mass are told", () => {
  const all = chooseEdges(run, whole, { hide_added: false, block: "all", mass: 1 });
  assert.deepEqual(all.indices, [0, 1, 2, 3]);
  assert.ok(Math.abs(all.shown_mass - 0.8) < 1e-6);
  const plain = chooseEdges(run, whole, { hide_added: true, block: "all", mass: 1 });
  assert.deepEqual(plain.indices, [1, 2]);
  assert.ok(Math.abs(plain.shown_mass - 0.3) < 1e-6);
  assert.ok(Math.abs(plain.added_mass - 0.5) < 1e-6);
  assert.deepEqual(chooseEdges(run, whole, { hide_added: false, block: "query>doc", mass: 1 }).indices, [2]);
  assert.deepEqual(chooseEdges(run, whole, { hide_added: false, block: "doc>query", mass: 1 }).indices, [1]);
  const none = { ...run, weight: new Float32Array(), mass: 0 };
  assert.equal(chooseEdges(none, whole, { hide_added: false, block: "all", mass: 1 }).shown_mass, 0);
});

test("prompts are hidden together with special tokens", () => {
  const prompted: Segment[] = ["prompt", "query", "doc", "sep"];
  const both = { query: prompted, key: prompted };
  assert.deepEqual(chooseEdges(run, both, { hide_added: true, block: "all", mass: 1 }).indices, [1, 2]);
  assert.deepEqual(
    chooseEdges(run, both, { hide_added: false, block: "all", mass: 1 }).indices,
    [0, 1, 2, 3],
  );
});

test("a query that is no position of the text is not taken for the first token", () => {
  const step = { ...run, query_pos: new Uint16Array(4), key_pos: new Uint16Array([2, 1, 3, 0]) };
  const choice = chooseEdges(step, { query: [], key: segments }, { hide_added: true, block: "all", mass: 1 });
  assert.deepEqual(choice.indices, [0, 1]);
  assert.ok(Math.abs(choice.added_mass - 0.2) < 1e-6);
});

test("partners carry the weights of a position's lines, by direction", () => {
  const lanes = plainLanes(4);
  const { to, from } = partners(strandsOf(run, [0, 1, 2, 3], lanes, lanes), 1);
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
  assert.deepEqual(lineLook(-1, 100), lineLook(1, 100));
});

test("of each row the strongest edges that hold the share are drawn", () => {
  const dense: RunAttention = {
    edges: 6,
    of: 6,
    mass: 1,
    query_pos: new Uint16Array([0, 1, 0, 1, 0, 1]),
    key_pos: new Uint16Array([0, 0, 1, 1, 2, 2]),
    weight: new Float32Array([0.6, 0.4, 0.3, 0.35, 0.1, 0.25]),
    received: new Float32Array(3),
    row_sum: new Float32Array([1, 1]),
  };
  const rule = { hide_added: false, block: "all" as const };
  const none = { query: [], key: [] };
  const drawn = (mass: number) => chooseEdges(dense, none, { ...rule, mass }).indices;
  assert.deepEqual(drawn(0.5), [0, 1, 3]);
  assert.deepEqual(drawn(0.7), [0, 1, 2, 3]);
  assert.deepEqual(drawn(1), [0, 1, 2, 3, 4, 5]);
  assert.equal(usualMass([dense], none), 0.7);
});

test("a picture of too many lines begins with a smaller share", () => {
  const n = 60;
  const pairs = Array.from({ length: n * n }, (_, i) => i);
  const flat: RunAttention = {
    edges: n * n,
    of: n * n,
    mass: 1,
    query_pos: Uint16Array.from(pairs, (i) => i % n),
    key_pos: Uint16Array.from(pairs, (i) => Math.floor(i / n)),
    weight: new Float32Array(n * n).fill(1 / n),
    received: new Float32Array(n),
    row_sum: new Float32Array(n).fill(1),
  };
  const mass = usualMass([flat], { query: [], key: [] });
  assert.equal(mass, 0.1);
  assert.equal(
    chooseEdges(flat, { query: [], key: [] }, { hide_added: false, block: "all", mass }).indices.length,
    n * 6,
  );
});

test("differences are drawn by falling size until they hold the share of all of them", () => {
  const difference = {
    ...run,
    row_sum: undefined,
    mass: 1,
    weight: new Float32Array([-0.5, 0.25, 0.15, -0.1]),
  };
  const { row_sum: _, received: __, ...edges } = difference;
  const choice = chooseEdges(edges, whole, { hide_added: false, block: "all", mass: 0.7 });
  assert.deepEqual(choice.indices, [0, 1]);
  assert.ok(Math.abs(choice.shown_mass - 0.75) < 1e-6);
});

const words = (labels: string[], numbers: number[], more: Partial<TokenSpec> = {}): TextSpec => {
  const tokens = text(labels, { words: numbers, ...more });
  return { base: tokens, source: tokens, alignment: equal(labels.length), classes: null };
};
const nothing = { weights: null, opened: new Set<number>(), kept: new Set<number>() };

test("words merge into one lane: what reaches them is summed, what leaves them averaged", () => {
  const merged = lanesOf(words(["vol", "cano", "hot"], [0, 0, 1]), { ...nothing, words: true });
  assert.deepEqual(
    merged.lanes.map(({ positions }) => positions),
    [[0, 1], [2]],
  );
  const edges = {
    edges: 3,
    of: 9,
    mass: 1,
    query_pos: new Uint16Array([0, 1, 2]),
    key_pos: new Uint16Array([2, 2, 1]),
    weight: new Float32Array([0.5, 0.25, 0.125]),
  };
  assert.deepEqual(strandsOf(edges, [0, 1, 2], merged, merged), [
    { from: 0, to: 1, weight: 0.375 },
    { from: 1, to: 0, weight: 0.125 },
  ]);
  const plain = lanesOf(words(["vol", "cano", "hot"], [0, 0, 1]), { ...nothing, words: false });
  assert.equal(plain.merged, false);
});

test("long stretches of little weight fold, changed tokens and pinned ones never, and a click opens them", () => {
  const n = 200;
  const long = words(
    Array.from({ length: n }, (_, i) => `t${i}`),
    Array.from({ length: n }, (_, i) => i),
  );
  long.alignment[150] = "insert";
  const weights = Float64Array.from({ length: n }, (_, i) => (i < 40 ? 1 : 0.001));
  const rule = { words: false, weights, opened: new Set<number>(), kept: new Set([180]) };
  const folded = lanesOf(long, rule);
  assert.ok(folded.lanes.length < 80);
  for (const pos of [0, 20, 150, 180]) {
    assert.equal(
      folded.lanes[folded.of[pos] as number]?.positions.length,
      1,
      `position ${pos} stands by itself`,
    );
  }
  assert.deepEqual(
    folded.lanes.flatMap(({ positions }) => positions),
    [...Array(n).keys()],
  );
  const first = folded.lanes.find(({ kind }) => kind === "fold")?.positions[0] as number;
  const opened = lanesOf(long, { ...rule, opened: new Set([first]) });
  assert.ok(opened.lanes.length > folded.lanes.length);
});

test("a picture of both runs names a filler by what it stands for", () => {
  const base = text(["hot", "a"], { fillers: [0, 1] });
  const source = text(["hot", "lava"]);
  const both: TextSpec = { base, source, alignment: ["equal", "insert"], classes: null };
  assert.deepEqual(tokensOf(both, "difference").labels, ["hot", "lava"]);
  assert.deepEqual(tokensOf({ ...both, base: source, source: base }, "difference").labels, ["hot", "lava"]);
  assert.equal(tokensOf(both, "base"), base);
});
