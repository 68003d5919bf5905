/**
 * Wire format 1: what Python sends and how its bytes become numbers. mechviz/wire.py is the other side;
 * names are the same on both, and tests/fixtures/wire/ is read by both.
 */
export const FORMAT = 1;

export type Dtype = "f4" | "f2" | "u2" | "u1" | "i4";
export type Numbers = Float32Array | Uint16Array | Uint8Array | Int32Array;
export type Buffers = Record<string, DataView>;
export type Condition = "base" | "source";
export type Direction = "perturbed->original" | "original->perturbed";
export type Segment = "cls" | "query" | "sep" | "doc" | "pad" | "prompt";
export type Change = "equal" | "replace" | "insert" | "delete";

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

export interface EdgeCount {
  edges: number;
  of: number;
  mass: number;
}

export interface HeadEntry {
  layer: number;
  head: number;
  base: EdgeCount;
  source: EdgeCount;
}

export interface Spec {
  format: number;
  kind: string;
  ranker: { name: string; kind: string; n_layers: number; n_heads: number };
  query: string;
  doc: string;
  perturbation: string;
  side: "doc" | "query";
  direction: Direction;
  filler: string;
  truncated: string | null;
  scores: { original: number; perturbed: number; base: number; source: number };
  gate: { open: boolean; message: string };
  banners: { level: "info" | "warn"; text: string }[];
  ranks: null | { original: number; perturbed: number; of: number; competitors: number[] };
  grid: { name: string; dims: string[]; shape: number[]; stack: string; metric: string };
  tokens: Record<Condition, TokenSpec>;
  alignment: Change[];
  attention: {
    label: string;
    heads: HeadEntry[];
    /** Names of what attends, of what is attended to, where that is no position of the text: then query_pos, key_pos index these. */
    query_labels?: string[] | null;
    key_labels?: string[] | null;
  };
  buffers: Record<string, BufferSpec>;
  provenance: Record<string, unknown>;
}

/** Are the grid's values defined? Only effects divide by the change, which a closed gate says is not there. */
export const metricDefined = ({ grid, gate }: Spec) => gate.open || grid.metric !== "effect";

export interface Progress {
  state: "loaded" | "running" | "done" | "cancelled" | "failed";
  done: number;
  total: number;
  seconds: number;
  message: string;
  agreement: number | null;
  live: boolean;
}

export interface Selection {
  layer: number;
  head: number;
  pos: number | null;
}

/** State of one cell of the grid. */
export const NOT_COMPUTED = 0;
export const PREVIEW = 1;
export const EXACT = 2;

/** The grid's numbers, [layer, head] in row-major order. */
export interface Cells {
  effects: Float32Array;
  patched: Float32Array;
  state: Uint8Array;
}

/** Attention of one head in one run: edges by falling weight, and the mean attention each position receives. */
export interface RunAttention extends EdgeCount {
  query_pos: Uint16Array;
  key_pos: Uint16Array;
  weight: Float32Array;
  received: Float32Array;
}

export type HeadAttention = { layer: number; head: number } & Record<Condition, RunAttention>;

export type AttentionReply = {
  type: "attention";
  id: number;
  entry: HeadEntry;
  buffers: Record<string, BufferSpec>;
  order: string[];
};
export type Reply = AttentionReply | { type: "error"; id: number; message: string };

export type Snapshot = {
  spec: Spec;
  buffers: Record<string, string>;
  cells: Record<string, string>;
  progress: Progress;
  selection: Selection;
  theme: string;
};

/** One IEEE 754 half, from its 16 bits (Float16Array is too new to count on). */
export function halfToFloat(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** Numbers of a little-endian buffer. The slice is copied, because byteOffset may be odd and typed arrays refuse that. */
export function decode(view: DataView, dtype: Dtype): Numbers {
  const bytes = view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength) as ArrayBuffer;
  switch (dtype) {
    case "f4":
      return new Float32Array(bytes);
    case "f2":
      return Float32Array.from(new Uint16Array(bytes), halfToFloat);
    case "u2":
      return new Uint16Array(bytes);
    case "u1":
      return new Uint8Array(bytes);
    case "i4":
      return new Int32Array(bytes);
    default:
      throw new Error(`unknown dtype "${dtype}": this view knows f4, f2, u2, u1 and i4`);
  }
}

function decodeNamed(name: string, specs: Record<string, BufferSpec>, buffers: Buffers): Numbers {
  const spec = specs[name];
  const view = buffers[name];
  if (!spec) throw new Error(`buffer "${name}" has no description`);
  if (!view) throw new Error(`buffer "${name}" is described but was not sent`);
  const numbers = decode(view, spec.dtype);
  const expected = spec.shape.reduce((product, size) => product * size, 1);
  if (numbers.length !== expected) {
    throw new Error(`buffer "${name}" holds ${numbers.length} numbers, its shape says ${expected}`);
  }
  return numbers;
}

export function decodeHead(
  entry: HeadEntry,
  specs: Record<string, BufferSpec>,
  buffers: Buffers,
): HeadAttention {
  const run = (condition: Condition): RunAttention => {
    const read = (field: string) =>
      decodeNamed(`attention.${entry.layer}.${entry.head}.${condition}.${field}`, specs, buffers);
    return {
      ...entry[condition],
      query_pos: read("query_pos") as Uint16Array,
      key_pos: read("key_pos") as Uint16Array,
      weight: read("weight") as Float32Array,
      received: read("received") as Float32Array,
    };
  };
  return { layer: entry.layer, head: entry.head, base: run("base"), source: run("source") };
}

/** The grid's cells; before Python sent any, every cell is "not computed". */
export function decodeCells(buffers: Buffers, [n_layers = 0, n_heads = 0]: number[]): Cells {
  const size = n_layers * n_heads;
  const { effects, patched, state } = buffers;
  if (!effects || !patched || !state) {
    const empty = () => new Float32Array(size).fill(Number.NaN);
    return { effects: empty(), patched: empty(), state: new Uint8Array(size) };
  }
  const cells = {
    effects: decode(effects, "f4"),
    patched: decode(patched, "f4"),
    state: decode(state, "u1"),
  };
  for (const [name, numbers] of Object.entries(cells)) {
    if (numbers.length !== size) {
      throw new Error(`cells.${name} holds ${numbers.length} numbers, the grid has ${n_layers} x ${n_heads}`);
    }
  }
  return cells as Cells;
}

export function decodeBase64(text: string): DataView {
  return new DataView(Uint8Array.from(atob(text), (char) => char.charCodeAt(0)).buffer);
}

export function checkSpec(spec: Spec | undefined): Spec {
  if (!spec || typeof spec !== "object" || !("format" in spec))
    throw new Error("this view was given no spec to draw");
  if (spec.format !== FORMAT) {
    throw new Error(
      `this view reads wire format ${FORMAT} and was given format ${spec.format}: ` +
        "restart the kernel and reload the page, so that both sides come from one version of mechviz",
    );
  }
  return spec;
}
