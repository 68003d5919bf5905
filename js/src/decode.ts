/** How the bytes of the wire become numbers. */
import {
  type BufferSpec,
  type Buffers,
  type Cells,
  type CurveValues,
  type Dtype,
  type Entry,
  FORMAT,
  type GridSpec,
  type Numbers,
  type Spec,
  STUDY_VARIABLES,
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

export type Read = (name: string) => Numbers;
/** Makes one kind of entry: by its key, what JSON it has, its buffers, and whether a buffer is there. */
export type Decoder = (key: string, entry: Entry, read: Read, has: (name: string) => boolean) => unknown;
/** By the first word of a key. */
export type Decoders = Record<string, Decoder>;

/** What came under a key, its buffers as numbers. */
export function decodeEntry(
  decoders: Decoders,
  key: string,
  entry: Entry,
  specs: Record<string, BufferSpec>,
  buffers: Buffers,
): unknown {
  const decoder = decoders[key.split(".")[0] as string];
  if (!decoder) throw new Error(`this view does not know "${key}"`);
  return decoder(
    key,
    entry,
    (name) => decodeNamed(name, specs, buffers),
    (name) => name in specs,
  );
}

/** Buffers of these names, below a key. */
export const readAll = (read: Read, key: string, names: readonly string[]) =>
  Object.fromEntries(names.map((name) => [name, read(`${key}.${name}`)]));

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

/** Both bundles draw curves. */
export const decodeCurves: Decoder = (key, _entry, read) =>
  readAll(read, key, ["value", "low", "high", "points"]) as CurveValues;
