/** What Python sends for the views of probes (mechviz/wire/{passages,atlas,tree,relation,tensor}.py). */

export interface PassagesSpec {
  unit: string;
  /** Do colours go two ways from 0? */
  signed: boolean;
  note: string;
}

export type PassageEntry = { pieces: string[]; label: string; value: number | null };
export type GroupEntry = { title: string; note: string; passages: PassageEntry[] };
export type PassagesEntry = { groups: GroupEntry[] };

/** Bits of a piece. */
export const [SPACE, MARK] = [1, 2];

export interface Passage extends PassageEntry {
  values: Float32Array;
  flags: Uint8Array;
}
export type PassageGroup = Omit<GroupEntry, "passages"> & { passages: Passage[] };

export type NodeKind = "score" | "head" | "mlp" | "embed" | "bias" | "token" | "input" | "rest";

export interface TreeNode {
  id: number;
  parent: number;
  kind: NodeKind;
  label: string;
  layer: number;
  head: number;
  pos: number;
  via: string;
  value: number | null;
  error: number | null;
  state: "open" | "closed" | "leaf";
}

export interface TreeSpec {
  title: string;
  note: string;
  tokens: string[];
  /** Can somebody compute what lies below a closed node? */
  opens: boolean;
  nodes: TreeNode[];
}

export interface RelationSpec {
  name: string;
  note: string;
  /** `n` candidates of `of` are here. */
  n: number;
  of: number;
  layers: number[];
  heads: number;
  intercept: number;
  scale: number;
  shift: number;
}

/** Dims: `pairs` (candidate, end), `contributions` (candidate, layer, head, way), `weights` (layer, head, way). */
export interface Candidates {
  pairs: Int32Array;
  contributions: Float32Array;
  other: Float32Array;
  weights: Float32Array;
  truth: Uint8Array | null;
}

export const REDUCTIONS = ["mean", "sum", "norm", "max", "min"] as const;
export type Reduction = (typeof REDUCTIONS)[number];
export type Role = "x" | "y" | "facet" | Reduction | number;
export type Roles = Record<string, Role>;

export interface TensorDim {
  name: string;
  size: number;
  labels: string[] | null;
}

export interface TensorSpec {
  name: string;
  dims: TensorDim[];
  /** Is all of the array here? */
  whole: boolean;
  start: Roles;
}

/** Dims (facet, y, x). */
export type Slice = { values: Float32Array; shape: [number, number, number] };

export interface AtlasSpec {
  level: "document" | "token";
  method: string;
  size: number;
  n: number;
  layers: number[];
  explained: (number | null)[];
  scored: boolean;
  /** Grades run from 0 to below this; 0 where there are none. */
  grades: number;
  /** What is searched for at first. */
  find: string;
}

export interface AtlasCell {
  row: number;
  column: number;
  n: number;
  terms: string;
  score: number | null;
  grades: number[];
}

export type LayerEntry = { low: [number, number]; span: [number, number]; cells: AtlasCell[] };

export interface Points {
  /** Null where texts were left out. */
  labels: string[] | null;
  score: Float32Array;
  grade: Float32Array;
  text: Int32Array;
}

/** Where a layer puts the points: x of all, then y of all. */
export type LayerPoints = LayerEntry & { x: Float32Array; y: Float32Array };

export interface ProbeSpecs {
  passages: PassagesSpec;
  tree: TreeSpec;
  relation: RelationSpec;
  tensor: TensorSpec;
  atlas: AtlasSpec;
}
export type ProbeName = keyof ProbeSpecs;
export type ProbeEntry = PassagesEntry | LayerEntry;
