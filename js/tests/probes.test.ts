import assert from "node:assert/strict";
import { test } from "node:test";
import { limitOf, partsOf, textOf } from "../src/marks/passages";
import { columnOf, drawnOf, firstThreshold, ofWay, probabilities, strongest } from "../src/marks/relation";
import { pooled, scaleOf, shapeOf, sliceKey, sliceOf, withRole } from "../src/marks/tensor";
import { childrenOf, errorOf, pathOf, rowsOf } from "../src/marks/tree";
import type {
  Candidates,
  PassageGroup,
  RelationSpec,
  Roles,
  TensorSpec,
  TreeNode,
  TreeSpec,
} from "../src/probe_wire";
import type { TextSpec } from "../src/wire";
import { entryOf, golden } from "./golden";

test("passages come with their own part of the numbers, and gaps stay gaps", () => {
  const groups = entryOf<PassageGroup[]>(golden("passages"), "passages");
  const [first, second] = groups[0]?.passages ?? [];
  assert.ok(first && second);
  assert.deepEqual([...first.values], [0.25, 1, Number.NaN, 0]);
  assert.deepEqual([...first.flags], [0, 3, 1, 0]);
  assert.equal(textOf(first), "the bank </script>s");
  assert.ok(second.values.every(Number.isNaN));
  assert.equal(second.value, null);
  const long = groups[1]?.passages[0];
  assert.equal(long?.values[199], 199 / 256);
});

const passage = (n: number, marks: number[], values: (at: number) => number) => ({
  pieces: Array.from({ length: n }, (_, at) => `w${at}`),
  values: Float32Array.from({ length: n }, (_, at) => values(at)),
  flags: Uint8Array.from({ length: n }, (_, at) => (marks.includes(at) ? 2 : 0)),
});

test("a long passage is cut around its marks, else around its largest values", () => {
  assert.deepEqual(partsOf(passage(90, [], () => 1)), [[0, 90]]);
  assert.deepEqual(partsOf(passage(200, [100], () => 0)), [[84, 117]]);
  assert.deepEqual(partsOf(passage(200, [20, 55, 190], () => 0)), [
    [0, 72],
    [174, 200],
  ]);
  assert.deepEqual(partsOf(passage(200, [], (at) => (at === 150 ? -3 : 0))), [[134, 167]]);
  assert.deepEqual(partsOf(passage(200, [], () => Number.NaN)), [[0, 32]]);
});

test("one huge value does not fade all others, and a lone one still has a colour", () => {
  const of = (values: number[]) => [{ passages: [{ values: Float32Array.from(values) }] }];
  const many = Array.from({ length: 300 }, (_, at) => (at ? 1 : 1000));
  assert.equal(limitOf(of(many)), 1);
  assert.equal(limitOf(of([0, 0, Number.NaN])), 0);
  const rare = Array.from({ length: 300 }, (_, at) => (at ? 0 : -2));
  assert.equal(limitOf(of(rare)), 2);
});

const tree = () => (golden("tree").spec.tree as TreeSpec).nodes;
const seen = (look: Partial<Parameters<typeof rowsOf>[2]> = {}) => {
  const nodes = tree();
  const all = {
    expanded: new Set(nodes.map(({ id }) => id)),
    least: 0,
    unfolded: new Set<number>(),
    ...look,
  };
  return rowsOf(nodes, childrenOf(nodes), all).map((row) =>
    row.kind === "node" ? `${row.level} ${row.node.label}` : `${row.level} ${row.kind} ${row.value}`,
  );
};

test("rows stand below their parent by falling size, and what is in no part is a row of its own", () => {
  assert.deepEqual(seen(), [
    "1 score",
    "2 1.2",
    "3 hot",
    "3 </script>",
    "3 error 0.25",
    "2 embedding",
    "2 MLP 0",
    "2 biases",
    "2 0.1",
  ]);
  assert.deepEqual(seen({ expanded: new Set() }), ["1 score"]);
});

test("small shares are folded with their sum, one alone is not, and a fold can be opened", () => {
  const only = new Set([0]);
  assert.deepEqual(seen({ expanded: only, least: 0.01 }).slice(-1), ["2 fold 0.015625"]);
  assert.ok(seen({ expanded: only, least: 0.2 }).includes("2 fold -0.484375"));
  assert.ok(!seen({ expanded: only, least: 0.01, unfolded: only }).some((row) => row.includes("fold")));
  const nodes = tree().filter(({ id }) => id !== 5);
  const rows = rowsOf(nodes, childrenOf(nodes), { expanded: only, least: 0.01, unfolded: new Set() });
  assert.ok(rows.every(({ kind }) => kind !== "fold"));
});

test("shares are of the parent, and errors are what children do not sum to", () => {
  const nodes = tree();
  const below = childrenOf(nodes);
  const look = { expanded: new Set([0]), least: 0, unfolded: new Set<number>() };
  const head = rowsOf(nodes, below, look)[1];
  assert.ok(head?.kind === "node" && head.share === 0.75 && head.size === 5 && head.place === 1);
  assert.equal(errorOf(nodes[0] as TreeNode, below), 0);
  assert.equal(errorOf(nodes[1] as TreeNode, below), 0.25);
  const by_id = new Map(nodes.map((node) => [node.id, node]));
  assert.equal(pathOf(by_id.get(7) as TreeNode, by_id), "1.2 › </script>");
});

const relation = () => {
  const data = golden("relation");
  return {
    ...data,
    relation: data.spec.relation as RelationSpec,
    all: entryOf<Candidates>(data, "relation"),
  };
};

test("probabilities are Python's, with all heads and without some", () => {
  const { relation: spec, all, expected } = relation();
  const close = (found: Float64Array, wanted: unknown) => {
    (wanted as number[]).forEach((p, at) => {
      assert.ok(Math.abs((found[at] as number) - p) < 1e-6, `candidate ${at}: ${found[at]} ${p}`);
    });
  };
  close(probabilities(spec, all, new Set()), expected.probability);
  close(probabilities(spec, all, new Set(expected.off as number[])), expected.without);
  assert.deepEqual([...(all.truth ?? [])], [1, 1, 0]);
});

test("of each first token the likeliest pairs are drawn", () => {
  const pairs = Int32Array.of(0, 5, 0, 6, 1, 5, 0, 7);
  const p = Float64Array.of(0.4, 0.9, 0.8, 0.7);
  assert.deepEqual(drawnOf(p, pairs, 0.5, 9), [1, 2, 3]);
  assert.deepEqual(drawnOf(p, pairs, 0, 1), [1, 2]);
  assert.equal(firstThreshold(p), 0.5);
  assert.equal(firstThreshold(Float64Array.of(0.31, 0.2)), 0.2);
  assert.equal(firstThreshold(Float64Array.of()), 0);
});

test("a column has the tokens of the segments in which pairs end, and folds what no line reaches", () => {
  const { spec } = relation();
  const tokens = (spec.texts[spec.text] as TextSpec).base;
  const positions = (rows: ReturnType<typeof columnOf>) =>
    rows.map((row) => (row.kind === "token" ? row.pos : row));
  assert.deepEqual(positions(columnOf(tokens, [1], new Set(), true)), [1, 2]);
  const n = 60;
  const long = { ...tokens, segments: Array.from({ length: n }, () => "doc" as const) };
  const rows = columnOf(long, [3], new Set([10, 14]), true);
  assert.deepEqual(positions(rows), [
    { kind: "fold", from: 0, to: 8 },
    9,
    10,
    11,
    12,
    13,
    14,
    15,
    { kind: "fold", from: 16, to: 59 },
  ]);
  assert.equal(columnOf(long, [3], new Set([10]), false).length, n);
});

test("heads by what they say, with their signs and ways", () => {
  const { all } = relation();
  const found = strongest(all, 0, 3);
  const own = [...all.contributions.slice(0, 12)];
  assert.equal(Math.abs(found[0]?.value as number), Math.max(...own.map(Math.abs)));
  for (const { head, way, value } of found) assert.equal(own[2 * head + way], value);
  assert.equal(ofWay(all.weights, 0, "both"), -2.75);
  assert.deepEqual([ofWay(all.weights, 0, "forth"), ofWay(all.weights, 0, "back")], [-1.5, -1.25]);
});

test("an array is reduced as Python reduces it", () => {
  const data = golden("tensor");
  const { dims } = data.spec.tensor as TensorSpec;
  const values = entryOf<Float32Array>(data, "tensor");
  const cases = data.expected.seen as { roles: Roles; values: (number | null)[] }[];
  assert.equal(cases.length, 5);
  for (const { roles, values: wanted } of cases) {
    const found = sliceOf(values, dims, roles);
    assert.deepEqual(found.shape, shapeOf(dims, roles));
    assert.equal(found.values.length, wanted.length);
    wanted.forEach((value, at) => {
      const own = found.values[at] as number;
      if (value === null) assert.ok(Number.isNaN(own), `${JSON.stringify(roles)} ${at}: ${own}`);
      else
        assert.ok(
          Math.abs(own - value) < 1e-6 * Math.max(1, Math.abs(value)),
          `${JSON.stringify(roles)} ${at}`,
        );
    });
  }
  assert.equal(sliceKey(dims, cases[0]?.roles as Roles), "slice.facet,1,y,x");
});

test("an axis that is given away leaves its place to the dim that had it", () => {
  const roles: Roles = { a: "x", b: "y", c: 3 };
  assert.deepEqual(withRole(roles, "c", "x"), { a: 3, b: "y", c: "x" });
  assert.deepEqual(withRole(roles, "a", "y"), { a: "y", b: "x", c: 3 });
  assert.deepEqual(withRole(roles, "b", "mean"), { a: "x", b: "mean", c: 3 });
});

test("colours end at the 99th percentile; where pixels are few the largest cell stays", () => {
  const shape: [number, number, number] = [1, 1, 4];
  assert.deepEqual(scaleOf({ values: Float32Array.of(0, 0, 0, 0), shape }), { limit: 0, signed: false });
  assert.equal(scaleOf({ values: Float32Array.of(1, -2, Number.NaN, 0), shape }).signed, true);
  const nan = Number.NaN;
  const values = Float32Array.of(9, 9, nan, 1, -3, nan, nan, nan);
  assert.equal(pooled(values, 2, 3, [0, 3], [0, 2]), -3);
  assert.ok(Number.isNaN(pooled(values, 5, 3, [0, 3], [0, 1])));
});
