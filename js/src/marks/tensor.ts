/** Any array with named dims, reduced to what is looked at (mechviz/wire/tensor.py does the same where the array is large). */
import type { Reduction, Role, Roles, Slice, TensorDim } from "../probe_wire";
import { colourLimit } from "./scale";

export const AXES = ["x", "y", "facet"] as const;
type Axis = (typeof AXES)[number];
const isAxis = (role: Role | undefined): role is Axis => AXES.includes(role as Axis);

/** Dims (facet, y, x) of what is looked at. */
export function shapeOf(dims: TensorDim[], roles: Roles): [number, number, number] {
  const size = (axis: Axis) => dims.find(({ name }) => roles[name] === axis)?.size ?? 1;
  return [size("facet"), size("y"), size("x")];
}

export const sliceKey = (dims: TensorDim[], roles: Roles) =>
  `slice.${dims.map(({ name }) => roles[name]).join(",")}`;

type Fold = {
  first: number;
  add: (sum: number, value: number) => number;
  end: (sum: number, n: number) => number;
};
const same = (sum: number) => sum;
const FOLDS: Record<Reduction, Fold> = {
  mean: { first: 0, add: (sum, value) => sum + value, end: (sum, n) => sum / n },
  sum: { first: 0, add: (sum, value) => sum + value, end: same },
  norm: { first: 0, add: (sum, value) => sum + value * value, end: Math.sqrt },
  max: { first: -Infinity, add: Math.max, end: same },
  min: { first: Infinity, add: Math.min, end: same },
};

/** One dim of an array, [before, dim, after], made one number; NaN is left out, and stays where there is nothing else. */
function folded(values: Float64Array, before: number, size: number, after: number, by: Fold): Float64Array {
  const found = new Float64Array(before * after);
  for (let b = 0; b < before; b++) {
    for (let a = 0; a < after; a++) {
      let [sum, n] = [by.first, 0];
      for (let at = 0; at < size; at++) {
        const value = values[(b * size + at) * after + a] as number;
        if (Number.isNaN(value)) continue;
        sum = by.add(sum, value);
        n++;
      }
      found[b * after + a] = n ? by.end(sum, n) : Number.NaN;
    }
  }
  return found;
}

const product = (sizes: number[]) => sizes.reduce((all, size) => all * size, 1);

/** Indices first, then reductions in the order of the dims. */
export function sliceOf(values: Float32Array, dims: TensorDim[], roles: Roles): Slice {
  const shape = shapeOf(dims, roles);
  const sizes = dims.map(({ size }) => size);
  const strides = sizes.map((_, at) => product(sizes.slice(at + 1)));
  const fixed = dims.map(({ name }) => typeof roles[name] === "number");
  let start = 0;
  dims.forEach(({ name }, at) => {
    if (fixed[at]) start += (roles[name] as number) * (strides[at] as number);
  });
  let left = dims.flatMap(({ name }, at) =>
    fixed[at] ? [] : [{ name, size: sizes[at] as number, stride: strides[at] as number }],
  );
  let now = new Float64Array(product(left.map(({ size }) => size)));
  for (let i = 0; i < now.length; i++) {
    let [rest, from] = [i, start];
    for (let at = left.length - 1; at >= 0; at--) {
      const { size, stride } = left[at] as (typeof left)[number];
      from += (rest % size) * stride;
      rest = Math.floor(rest / size);
    }
    now[i] = values[from] as number;
  }
  for (const { name } of dims) {
    const role = roles[name];
    if (typeof role === "number" || role === undefined || isAxis(role)) continue;
    const at = left.findIndex((dim) => dim.name === name);
    const before = product(left.slice(0, at).map(({ size }) => size));
    const after = product(left.slice(at + 1).map(({ size }) => size));
    now = folded(now, before, left[at]?.size ?? 1, after, FOLDS[role]) as Float64Array<ArrayBuffer>;
    left = left.filter((_, other) => other !== at);
  }
  const own = left.map((_, at) => product(left.slice(at + 1).map(({ size }) => size)));
  const step = (axis: Axis) => own[left.findIndex(({ name }) => roles[name] === axis)] ?? 0;
  const [by_facet, by_y, by_x] = [step("facet"), step("y"), step("x")];
  const found = new Float32Array(product(shape));
  let i = 0;
  for (let f = 0; f < shape[0]; f++)
    for (let y = 0; y < shape[1]; y++)
      for (let x = 0; x < shape[2]; x++) found[i++] = now[f * by_facet + y * by_y + x * by_x] as number;
  return { values: found, shape };
}

/** Give a dim a role; whoever had that axis takes the place that becomes free. */
export function withRole(roles: Roles, name: string, role: Role): Roles {
  const before = roles[name] as Role;
  const other = isAxis(role)
    ? Object.keys(roles).find((dim) => dim !== name && roles[dim] === role)
    : undefined;
  return { ...roles, ...(other !== undefined && { [other]: before }), [name]: role };
}

/** Where colours end, and whether they go two ways. */
export function scaleOf({ values }: Slice): { limit: number; signed: boolean } {
  const step = Math.max(1, Math.floor(values.length / 50_000));
  const sizes: number[] = [];
  let negative = false;
  for (let at = 0; at < values.length; at++) {
    const value = values[at] as number;
    if (value < 0) negative = true;
    if (at % step === 0) sizes.push(Math.abs(value));
  }
  return { limit: colourLimit(sizes), signed: negative };
}

/** The value of the largest size in a block of cells, so that one strong cell does not vanish where many share a pixel. */
export function pooled(
  values: Float32Array,
  from: number,
  width: number,
  x: [number, number],
  y: [number, number],
): number {
  let found = Number.NaN;
  for (let row = y[0]; row < y[1]; row++) {
    for (let column = x[0]; column < x[1]; column++) {
      const value = values[from + row * width + column] as number;
      if (!(Math.abs(value) <= Math.abs(found))) found = Number.isNaN(value) ? found : value;
    }
  }
  return found;
}
