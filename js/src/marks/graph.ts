/** A circuit laid out in layers, from the text at the left to the score at the right. */
import type { CircuitEdge, CircuitSpec, Vertex } from "../wire";

export interface Node extends Vertex {
  x: number;
  y: number;
}

export interface Layout {
  nodes: Node[];
  edges: (CircuitEdge & { from: Node; to: Node })[];
  width: number;
  height: number;
  /** Names of the columns, with their x. */
  columns: { name: string; x: number }[];
}

const COLUMN = 118;
const ROW = 40;
const MARGIN = 56;

/** Where a part stands in the computation: heads of a layer before its MLP. */
const depth = ({ kind, layer }: Vertex) =>
  kind === "embed" ? -1 : kind === "score" ? Number.POSITIVE_INFINITY : 2 * layer + (kind === "mlp" ? 1 : 0);

/** Keep edges of at least `least`, and the parts that still lie on a way from the text to the score. */
export function above(
  { vertices, edges }: CircuitSpec,
  least: number,
): { vertices: Vertex[]; edges: CircuitEdge[] } {
  const strong = edges.filter(({ weight }) => Math.abs(weight) >= least);
  const reached = (start: string, from: "from_id" | "to_id", to: "from_id" | "to_id") => {
    const found = new Set([start]);
    for (let size = -1; size !== found.size; ) {
      size = found.size;
      for (const edge of strong) if (found.has(edge[from])) found.add(edge[to]);
    }
    return found;
  };
  const down = reached("score", "to_id", "from_id");
  const kept = edges.length
    ? strong.filter(({ from_id, to_id }) => down.has(from_id) && down.has(to_id))
    : [];
  const ids = new Set(["score", ...kept.flatMap(({ from_id, to_id }) => [from_id, to_id])]);
  return { vertices: vertices.filter(({ id }) => ids.has(id)), edges: kept };
}

export function layout(vertices: Vertex[], edges: CircuitEdge[]): Layout {
  const depths = [...new Set(vertices.map(depth))].sort((a, b) => a - b);
  const columns = depths.map((at) => vertices.filter((vertex) => depth(vertex) === at));
  const place = new Map<string, number>();
  columns.forEach((column) => {
    column.sort((a, b) => a.index - b.index);
    column.forEach((vertex, row) => {
      place.set(vertex.id, row - (column.length - 1) / 2);
    });
  });
  // A few sweeps that put each part beside the middle of its neighbours keep most edges from crossing.
  const neighbours = new Map<string, string[]>();
  for (const { from_id, to_id } of edges) {
    neighbours.set(from_id, [...(neighbours.get(from_id) ?? []), to_id]);
    neighbours.set(to_id, [...(neighbours.get(to_id) ?? []), from_id]);
  }
  const middle = ({ id }: Vertex) => {
    const beside = neighbours.get(id) ?? [];
    return beside.length
      ? beside.reduce((sum, other) => sum + (place.get(other) ?? 0), 0) / beside.length
      : (place.get(id) ?? 0);
  };
  for (let sweep = 0; sweep < 8; sweep++) {
    for (const column of sweep % 2 ? [...columns].reverse() : columns) {
      const wanted = new Map(column.map((vertex) => [vertex.id, middle(vertex)]));
      column.sort((a, b) => (wanted.get(a.id) as number) - (wanted.get(b.id) as number));
      column.forEach((vertex, row) => {
        place.set(vertex.id, row - (column.length - 1) / 2);
      });
    }
  }
  const tallest = Math.max(1, ...columns.map(({ length }) => length));
  const height = MARGIN + tallest * ROW + 12;
  const nodes = new Map<string, Node>();
  columns.forEach((column, i) => {
    for (const vertex of column) {
      const y = MARGIN + (tallest * ROW) / 2 + (place.get(vertex.id) as number) * ROW;
      nodes.set(vertex.id, { ...vertex, x: MARGIN + i * COLUMN, y });
    }
  });
  return {
    nodes: [...nodes.values()],
    edges: edges.map((edge) => ({
      ...edge,
      from: nodes.get(edge.from_id) as Node,
      to: nodes.get(edge.to_id) as Node,
    })),
    width: 2 * MARGIN + (columns.length - 1) * COLUMN,
    height,
    columns: columns.map((column, i) => ({ name: columnName(column[0] as Vertex), x: MARGIN + i * COLUMN })),
  };
}

const columnName = ({ kind, layer }: Vertex) =>
  kind === "embed" ? "text" : kind === "score" ? "score" : kind === "mlp" ? `MLP ${layer}` : `layer ${layer}`;
