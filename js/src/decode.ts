/** How the bytes of the wire become numbers. */
import {
  type BufferSpec,
  type Buffers,
  type Cells,
  type Condition,
  type Curve,
  type CurveValues,
  type Dtype,
  type EdgeCount,
  type Edges,
  type Entry,
  FORMAT,
  type GridSpec,
  type Groups,
  type GroupsEntry,
  type HeadAttention,
  type HeadEntry,
  type Matrix,
  type Numbers,
  type OpenedEntry,
  PAIR_NUMBERS,
  PAIR_TEXTS,
  type Pairs,
  type PairsEntry,
  type Parts,
  RUNS,
  type Run,
  type RunAttention,
  type RunScores,
  type ScoreEntry,
  type Scores,
  type Snapshot,
  type Spec,
  STUDY_VARIABLES,
  type Thumbs,
} from "./wire";

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

type Read = (name: string) => Numbers;

function decodeHead(key: string, entry: HeadEntry, read: Read): HeadAttention {
  const edges = (condition: Condition): Edges => ({
    ...(entry[condition] as EdgeCount),
    query_pos: read(`${key}.${condition}.query_pos`) as Uint16Array,
    key_pos: read(`${key}.${condition}.key_pos`) as Uint16Array,
    weight: read(`${key}.${condition}.weight`) as Float32Array,
  });
  const run = (name: Run): RunAttention => ({
    ...edges(name),
    received: read(`${key}.${name}.received`) as Float32Array,
    row_sum: read(`${key}.${name}.row_sum`) as Float32Array,
  });
  const { stack, layer, head, source, difference } = entry;
  return {
    stack,
    layer,
    head,
    base: run("base"),
    source: source ? run("source") : null,
    difference: difference ? edges("difference") : null,
  };
}

function decodeScores(key: string, entry: ScoreEntry, read: Read, has: (name: string) => boolean): Scores {
  const run = (name: Run): RunScores => ({
    q: read(`${key}.${name}.q`) as Float32Array,
    k: read(`${key}.${name}.k`) as Float32Array,
    scores: read(`${key}.${name}.scores`) as Float32Array,
    pattern: read(`${key}.${name}.pattern`) as Float32Array,
  });
  return { ...entry, base: run("base"), source: has(`${key}.source.q`) ? run("source") : null };
}

function decodePairs(entry: PairsEntry, read: Read): Pairs {
  const all = (names: readonly string[], prefix = "") =>
    Object.fromEntries(names.map((name) => [name, read(`pairs.${prefix}${name}`)]));
  return {
    ...entry,
    ...all(PAIR_NUMBERS),
    number: read("pairs.number"),
    at: all(PAIR_TEXTS),
    in_bucket: all(["grade", "rank"], "buckets."),
  } as Pairs;
}

/** A pair's own view, as a page without a kernel has it. */
function decodeOpened(key: string, { parts, ...entry }: OpenedEntry, read: Read): Snapshot {
  const buffers: Record<"buffers" | "cells", Record<string, DataView>> = { buffers: {}, cells: {} };
  for (const [part, name] of parts) {
    buffers[part][name] = new DataView(read(`${key}.${part}.${name}`).buffer as ArrayBuffer);
  }
  return { ...entry, ...buffers };
}

/** What came under a key, its buffers as numbers. */
export function decodeEntry(
  key: string,
  entry: Entry,
  specs: Record<string, BufferSpec>,
  buffers: Buffers,
): unknown {
  const read: Read = (name) => decodeNamed(name, specs, buffers);
  const has = (name: string) => name in specs;
  switch (key.split(".")[0]) {
    case "attention":
      return decodeHead(key, entry as HeadEntry, read);
    case "thumbs":
    case "matrix":
      return {
        ...entry,
        base: read(`${key}.base`),
        source: has(`${key}.source`) ? read(`${key}.source`) : null,
      } as Thumbs | Matrix;
    case "scores":
      return decodeScores(key, entry as ScoreEntry, read, has);
    case "parts":
      return {
        ...entry,
        matrices: RUNS.map((run) => `parts.${run}`)
          .filter(has)
          .map(read),
      } as Parts;
    case "curve": {
      const named = ["top", "rest", "top_patched", "rest_patched"].map((name) => [
        name,
        read(`${key}.${name}`),
      ]);
      return { ...entry, ...Object.fromEntries(named) } as Curve;
    }
    case "curves": {
      const named = ["value", "low", "high", "points"].map((name) => [name, read(`${key}.${name}`)]);
      return Object.fromEntries(named) as CurveValues;
    }
    case "together":
      return entry;
    case "pairs":
      return decodePairs(entry as PairsEntry, read);
    case "pair":
      return decodeOpened(key, entry as OpenedEntry, read);
    case "groups": {
      const numbers = ["effect", "low", "high", "n"].map((name) => [name, read(`${key}.${name}`)]);
      return { ...(entry as GroupsEntry), ...Object.fromEntries(numbers) } as Groups;
    }
    default:
      throw new Error(`this view does not know "${key}"`);
  }
}

/** The cells of every grid by its key; before Python sent any, every cell is "not computed". */
export function decodeCells(buffers: Buffers, grids: GridSpec[]): Record<string, Cells> {
  return Object.fromEntries(grids.map((grid) => [grid.key, decodeGrid(buffers, grid)]));
}

function decodeGrid(buffers: Buffers, { key, shape }: GridSpec): Cells {
  const size = shape.reduce((product, n) => product * n, 1);
  const view = (name: string) => buffers[`${key}.${name}`];
  const [effects, patched, state] = [view("effects"), view("patched"), view("state")];
  if (!effects || !patched || !state) {
    const empty = () => new Float32Array(size).fill(Number.NaN);
    return { effects: empty(), patched: empty(), state: new Uint8Array(size) };
  }
  const [low, high] = [view("low"), view("high")];
  const study = STUDY_VARIABLES.map((name) => [name, view(name)] as const);
  const whole = study.every(([, found]) => found);
  const cells: Cells = {
    effects: decode(effects, "f4") as Float32Array,
    patched: decode(patched, "f4") as Float32Array,
    state: decode(state, "u1") as Uint8Array,
    ...(low && high && { low: decode(low, "f4") as Float32Array, high: decode(high, "f4") as Float32Array }),
  };
  const more = whole
    ? Object.fromEntries(
        study.map(([name, found]) => [name, decode(found as DataView, "f4") as Float32Array]),
      )
    : {};
  for (const [name, numbers] of Object.entries({ ...cells, ...more }) as [string, Numbers][]) {
    if (numbers.length !== size) {
      throw new Error(
        `cells ${key}.${name} hold ${numbers.length} numbers, the grid has ${shape.join(" x ")}`,
      );
    }
  }
  if (whole) cells.study = more as NonNullable<Cells["study"]>;
  return cells;
}

/** A loop, because `Uint8Array.from` takes twenty times as long. */
export function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

export const decodeBase64 = (text: string) => new DataView(bytesOf(text).buffer);

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
