/**
 * Wire format 2: what Python sends; decode.ts makes numbers of its bytes. mechviz/wire is the other side;
 * names are the same on both, and tests/fixtures/wire/ is read by both.
 */
import type { ProbeEntry, ProbeName, ProbeSpecs } from "./probe_wire";

export const FORMAT = 2;

export type Dtype = "f4" | "f2" | "u2" | "u1" | "i4";
export type Numbers = Float32Array | Uint16Array | Uint8Array | Int32Array;
export type Buffers = Record<string, DataView>;
export type Run = "base" | "source";
export const RUNS: readonly Run[] = ["base", "source"];
/** What lines are drawn of: a run, or how the source run differs from the base run. */
export type Condition = Run | "difference";
export type Direction = "perturbed->original" | "original->perturbed";
export type Segment = "cls" | "query" | "sep" | "doc" | "pad" | "prompt";
export type Change = "equal" | "replace" | "insert" | "delete";
export type PanelName =
  | "heads"
  | "texts"
  | "lines"
  | "model"
  | "neurons"
  | "positions"
  | "ranking"
  | "score"
  | "circuit"
  | "cells"
  | "changes"
  | "groups"
  | "covariates"
  | "pairs"
  | "scorecard"
  | "curves"
  | ProbeName;

export interface BufferSpec {
  dtype: Dtype;
  shape: number[];
}

export interface TokenSpec {
  labels: string[];
  strings: string[];
  segments: Segment[];
  words: number[];
  /** 1 where the text has a space (or anything else) before the token. */
  spaces: number[];
  fillers: number[];
}

/** One token sequence in both runs, which are of one length; a view of one text has no source. */
export interface TextSpec {
  base: TokenSpec;
  source: TokenSpec | null;
  alignment: Change[];
  classes: string[] | null;
}

export interface StackSpec {
  name: string;
  title: string;
  text: string;
  n_layers: number;
  n_heads: number;
  /** Whose attention it is. */
  label: string;
  /** Names of what attends, of what is attended to, where that is no position of the text: then query_pos, key_pos index these. */
  query_labels: string[] | null;
  key_labels: string[] | null;
}

export interface GridSpec {
  key: string;
  name: string;
  stack: string;
  dims: string[];
  shape: number[];
  sites: string[] | null;
  metric: string;
  /** How many pairs each cell is a mean of. */
  n?: number | null;
  /** What the places of each dim are called, in the grid of a study. */
  labels?: string[][];
}

export interface EdgeCount {
  edges: number;
  of: number;
  mass: number;
}

export type HeadEntry = { stack: string; layer: number; head: number } & Partial<
  Record<Condition, EdgeCount>
>;
export type ThumbEntry = { stack: string; rows: number; columns: number };
export type MatrixEntry = ThumbEntry & { layer: number; head: number };
export type ScoreEntry = { stack: string; layer: number; head: number; pos: number; scale: number };
export type PartsEntry = {
  kind: "dimensions" | "terms" | "max_sim" | "labels";
  rows: [string, ...number[]][] | null;
  of?: number;
  rest?: number[];
  totals?: number[] | null;
  query_tokens?: string[];
  doc_tokens?: string[][];
};
export type TogetherEntry = { heads: Head[]; effect: number | null; patched: number };
export type CurveEntry = { stack: string; cells: string[] };
/** Many pairs: each text once, with indices into these lists among the buffers. */
export interface PairsEntry {
  queries: string[];
  docs: string[];
  /** What was taken away and what was put in. */
  changes: [string, string][];
  perturbations: string[];
  reasons: string[];
  axioms: string[];
  buckets: Record<Bucketed, string[]>;
}
export type Bucketed = "grade" | "rank";
export type GroupsEntry = { values: string[] };
/** A pair's own view; `parts` are the names of its buffers. */
export type OpenedEntry = Pick<Snapshot, "spec" | "progress" | "selection" | "theme"> & {
  parts: ["buffers" | "cells", string][];
};
export type Entry =
  | PairsEntry
  | GroupsEntry
  | OpenedEntry
  | HeadEntry
  | ThumbEntry
  | MatrixEntry
  | ScoreEntry
  | PartsEntry
  | TogetherEntry
  | CurveEntry
  | ProbeEntry;

export interface RankedDocument {
  name: string;
  text: string;
  original: number;
  perturbed: number;
  moved: boolean;
  grade: number | null;
}

export interface RankingSpec {
  documents: RankedDocument[];
  /** Rank-biased overlap of the two orders. */
  overlap: number | null;
  /** Before and after. */
  ndcg: [number | null, number | null] | null;
  /** Is there anything to compare: was something perturbed? */
  compared: boolean;
}

export interface Vertex {
  id: string;
  kind: "embed" | "head" | "mlp" | "score";
  layer: number;
  index: number;
  label: string;
  drop: number | null;
}

export interface CircuitEdge {
  from_id: string;
  to_id: string;
  weight: number;
  kind: string;
  q: number | null;
  k: number | null;
  v: number | null;
}

export interface CircuitSpec {
  stack: string;
  threshold: number;
  faithfulness: number | null;
  completeness: number | null;
  minimality: number | null;
  vertices: Vertex[];
  edges: CircuitEdge[];
}

export type Count = [reason: string, n: number];

/** What a study of many pairs has beside its grid. */
export interface StudySpec {
  name: string;
  grid: string;
  direction: Direction;
  confidence: number;
  n_used: number;
  n_queries: number;
  dropped: Count[];
  min_change: number | null;
  groups: string[];
  covariates: Record<string, string | number | null>[] | null;
}

export interface ScoreRow {
  axiom: string;
  /** `all`, or what the pairs are told apart by. */
  group: "all" | Bucketed;
  value: string;
  n: number;
  satisfied: number | null;
  satisfied_low: number | null;
  satisfied_high: number | null;
  change: number | null;
  low: number | null;
  high: number | null;
}

export interface ScorecardSpec {
  rows: ScoreRow[];
  dropped: Record<string, Count[]>;
}

/** Named curves over one axis: `places` are where any of them has a point. */
export interface CurvesSpec {
  x: string;
  y: string;
  names: string[];
  places: number[] | string[];
  reference: [name: string, value: number][];
  title: string;
  note: string;
}

/** `opens`: can the ranker be run on a pair of the list? `n` pairs of `of` are listed. */
export type ListSpec = { opens: boolean; n: number; of: number };

/** What only a view of a perturbed pair has. */
export interface Patching {
  perturbation: string;
  side: "doc" | "query";
  direction: Direction;
  filler: string;
  truncated: string | null;
  scores: { original: number; perturbed: number; base: number; source: number };
  gate: { open: boolean; message: string };
  /** `rivals` are the competitors' scores beside the base run's query. */
  ranks: null | {
    original: number;
    perturbed: number;
    of: number;
    competitors: number[];
    rivals: number[];
  };
}

export interface Spec extends Partial<Patching>, Partial<ProbeSpecs> {
  format: number;
  kind: "patching" | "attention" | "ranking" | "circuit" | "study" | "scorecard" | "curves" | ProbeName;
  panels: PanelName[];
  ranker: { name: string; kind: string };
  query: string;
  doc: string;
  score?: number | null;
  banners: { level: "info" | "warn"; text: string }[];
  grids: GridSpec[];
  stacks: StackSpec[];
  texts: Record<string, TextSpec>;
  /** The text that changed, or that of the document. */
  text: string;
  ranking?: RankingSpec | null;
  circuit?: CircuitSpec | null;
  study?: StudySpec;
  scorecard?: ScorecardSpec;
  curves?: CurvesSpec;
  list?: ListSpec;
  /** What came with the view, by key. */
  held: Record<string, Entry>;
  buffers: Record<string, BufferSpec>;
  provenance: Record<string, unknown>;
}

export type PatchingSpec = Spec & Patching;

/** A spec as that of a perturbed pair. */
export function patchingOf(spec: Spec): PatchingSpec {
  if (!spec.scores)
    throw new Error("this panel shows what a perturbation did, and this view holds one text only");
  return spec as PatchingSpec;
}

/** Are the grids' values defined? Only effects divide by the change, which a closed gate says is not there. */
export const metricDefined = ({ grids, gate }: Spec) =>
  gate?.open !== false || !grids.some(({ metric }) => metric === "effect");

export interface Progress {
  state: "loaded" | "running" | "done" | "cancelled" | "failed";
  done: number;
  total: number;
  seconds: number;
  message: string;
  agreement: number | null;
  live: boolean;
  /** Keys of grids that are estimates and can be computed. */
  offers: string[];
}

/** Stack, layer and head. */
export type Head = [string, number, number];

export interface Selection {
  stack: string;
  layer: number;
  head: number;
  /** The pinned position, and its partner in the neuron view. */
  pos: number | null;
  key_pos: number | null;
  /** Heads that are compared or patched together. */
  heads: Head[];
}

/** State of one cell of a grid. */
export const NOT_COMPUTED = 0;
export const PREVIEW = 1;
export const EXACT = 2;

/** A grid's numbers, row-major in its dims. */
export interface Cells {
  effects: Float32Array;
  patched: Float32Array;
  state: Uint8Array;
  /** Bounds of each effect, where they are known. */
  low?: Float32Array;
  high?: Float32Array;
  /** What a study says beside the effects. */
  study?: Record<StudyVariable, Float32Array>;
}

export const STUDY_VARIABLES = ["ratio", "raw", "positive", "p", "q"] as const;
export type StudyVariable = (typeof STUDY_VARIABLES)[number];
/** Cells whose corrected p-value is above it are drawn weaker. */
export const CLEAR = 0.05;

const SCORES = ["original_score", "perturbed_score", "base_score", "source_score"] as const;
export const PAIR_NUMBERS = ["grade", "rank", "preferred", ...SCORES] as const;
export const PAIR_TEXTS = ["queries", "docs", "changes", "perturbations", "reasons", "axioms"] as const;

/** The list of pairs as columns: NaN where a number is not known; `at` are indices into the entry's lists. */
export type Pairs = PairsEntry &
  Record<(typeof PAIR_NUMBERS)[number], Float32Array> & {
    number: Int32Array;
    at: Record<(typeof PAIR_TEXTS)[number], Int32Array>;
    in_bucket: Record<Bucketed, Int32Array>;
  };

/** Effects of all cells by group, dims (group, dims of the grid). */
export type Groups = GroupsEntry & Record<"effect" | "low" | "high" | "n", Float32Array>;

export interface Edges extends EdgeCount {
  query_pos: Uint16Array;
  key_pos: Uint16Array;
  weight: Float32Array;
}

/** Attention of one head in one run: edges by falling weight, the mean attention each position receives, and what each gives. */
export interface RunAttention extends Edges {
  received: Float32Array;
  row_sum: Float32Array;
}

export interface HeadAttention {
  stack: string;
  layer: number;
  head: number;
  base: RunAttention;
  source: RunAttention | null;
  difference: Edges | null;
}

/** Thumbnails of a stack, [layer, head, row, column]; a byte is 255 times the square root of a weight. */
export type Thumbs = ThumbEntry & { base: Uint8Array; source: Uint8Array | null };

/** The whole attention of one head, [row, column]; a byte is 255 times the square root of a weight. */
export type Matrix = MatrixEntry & { base: Uint8Array; source: Uint8Array | null };

/** What the scores of one position are made of. */
export interface RunScores {
  q: Float32Array;
  /** [key_pos, d_head] */
  k: Float32Array;
  scores: Float32Array;
  pattern: Float32Array;
}
export type Scores = ScoreEntry & { base: RunScores; source: RunScores | null };

export type Parts = PartsEntry & { matrices: Float32Array[] };
export type Curve = CurveEntry & Record<"top" | "rest" | "top_patched" | "rest_patched", Float32Array>;

/** Numbers of curves, dims (curve, place): NaN where one is not known; `points` is 1 where the curve has a point. */
export type CurveValues = Record<"value" | "low" | "high", Float32Array> & { points: Uint8Array };

export type Answered = {
  type: "answer";
  id: number;
  key: string;
  entry: Entry;
  buffers: Record<string, BufferSpec>;
  order: string[];
};
export type Reply = Answered | { type: "error"; id: number; message: string };

export type Snapshot = {
  spec: Spec;
  /** In base64, or as they come out of `packed`. */
  buffers: Record<string, string | DataView>;
  cells: Record<string, string | DataView>;
  /** All buffers as one gzip stream in base64, and the length of each in it. */
  packed?: { data: string; index: ["buffers" | "cells", string, number][] };
  progress: Progress;
  selection: Selection;
  theme: string;
};
