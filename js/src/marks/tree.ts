/** A tree of shares as rows, without drawing it. */
import type { TreeNode } from "../probe_wire";

export type Row =
  | {
      kind: "node";
      key: string;
      level: number;
      node: TreeNode;
      expanded: boolean;
      share: number | null;
      size: number;
      place: number;
    }
  /** Small shares together; `of` is their parent. */
  | { kind: "fold"; key: string; level: number; of: number; n: number; value: number }
  /** What the children of an open node do not sum to. */
  | { kind: "error"; key: string; level: number; value: number };

export interface Look {
  expanded: ReadonlySet<number>;
  /** Shares below this part of what siblings amount to are folded. */
  least: number;
  /** Parents whose small shares are shown. */
  unfolded: ReadonlySet<number>;
}

const numberOf = ({ value }: TreeNode) => value ?? Number.NaN;
/** Differences below this part of the parent's value are rounding. */
const NOISE = 5e-4;

export type Children = ReadonlyMap<number, TreeNode[]>;

/** The nodes below each, the largest first. */
export function childrenOf(nodes: TreeNode[]): Children {
  const below = new Map<number, TreeNode[]>();
  for (const node of nodes) below.set(node.parent, [...(below.get(node.parent) ?? []), node]);
  for (const [parent, own] of below) {
    below.set(
      parent,
      own.sort((a, b) => Math.abs(numberOf(b)) - Math.abs(numberOf(a))),
    );
  }
  return below;
}

/** What an open node's value is more than its children's. */
export function errorOf(node: TreeNode, below: Children): number {
  const own = below.get(node.id) ?? [];
  return numberOf(node) - own.reduce((sum, child) => sum + numberOf(child), 0);
}

export function rowsOf(nodes: TreeNode[], below: Children, look: Look): Row[] {
  const rows: Row[] = [];
  const visit = (node: TreeNode, level: number, parent: TreeNode | null, place: number, size: number) => {
    const expanded = node.state === "open" && look.expanded.has(node.id);
    const share = parent && numberOf(parent) !== 0 ? numberOf(node) / numberOf(parent) : null;
    rows.push({ kind: "node", key: String(node.id), level, node, expanded, share, place, size });
    if (!expanded) return;
    const own = below.get(node.id) ?? [];
    const whole = own.reduce((sum, child) => sum + Math.abs(numberOf(child) || 0), 0);
    const isSmall = (child: TreeNode) => Math.abs(numberOf(child) || 0) < look.least * whole;
    const small = look.unfolded.has(node.id) ? [] : own.filter(isSmall);
    const folded = small.length > 1 ? small : [];
    const shown = own.filter((child) => !folded.includes(child));
    const error = errorOf(node, below);
    const off = Math.abs(error) > NOISE * Math.max(Math.abs(numberOf(node)), 1e-9);
    const of = shown.length + (folded.length ? 1 : 0) + (off ? 1 : 0);
    shown.forEach((child, i) => {
      visit(child, level + 1, node, i + 1, of);
    });
    if (folded.length) {
      const value = folded.reduce((sum, child) => sum + (numberOf(child) || 0), 0);
      rows.push({
        kind: "fold",
        key: `fold ${node.id}`,
        level: level + 1,
        of: node.id,
        n: folded.length,
        value,
      });
    }
    if (off) rows.push({ kind: "error", key: `error ${node.id}`, level: level + 1, value: error });
  };
  const root = nodes[0];
  if (root) visit(root, 1, null, 1, 1);
  return rows;
}

/** The names of a node and of those above it, the root left out. */
export function pathOf(node: TreeNode, by_id: ReadonlyMap<number, TreeNode>): string {
  const names: string[] = [];
  for (let at: TreeNode | undefined = node; at && at.parent >= 0; at = by_id.get(at.parent))
    names.unshift(at.label);
  return names.join(" › ");
}
