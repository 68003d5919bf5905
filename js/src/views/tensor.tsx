/** Any array with named dims: two as axes, one side by side, the others at an index or reduced. */
import { useMemo, useState } from "preact/hooks";
import { digitsFor, plain, signed } from "../marks/scale";
import { AXES, scaleOf, shapeOf, sliceKey, sliceOf, withRole } from "../marks/tensor";
import {
  REDUCTIONS,
  type Role,
  type Roles,
  type Slice,
  type TensorDim,
  type TensorSpec,
} from "../probe_wire";
import { useField, useLoad, useView } from "./hooks";
import { Ramp } from "./ramp";
import { Retry } from "./retry";
import { WithTable } from "./table";
import { HeatMap } from "./tensor_map";

/** Heat maps that are drawn side by side, and rows of the table. */
const FACETS = 36;
const ROWS = 2000;

export const placeOf = ({ labels }: TensorDim, at: number) => labels?.[at] ?? String(at);

export function TensorPanel() {
  const spec = useField("spec").tensor as TensorSpec;
  const { ask } = useView();
  const { live } = useField("progress");
  const { dims, whole } = spec;
  const [roles, setRoles] = useState<Roles>(spec.start);
  const key = whole ? "tensor" : sliceKey(dims, roles);
  const message = { type: "slice", roles };
  const load = useLoad<Float32Array>(key, whole ? null : message);
  const value = load?.status === "loaded" ? load.value : null;
  const slice = useMemo(
    (): Slice | null =>
      value && (whole ? sliceOf(value, dims, roles) : { values: value, shape: shapeOf(dims, roles) }),
    [value, whole, dims, roles],
  );
  return (
    <div class="mv-tensor" data-panel data-lm-suppress-shortcuts tabIndex={-1}>
      <div class="mv-tensor-dims">
        {dims.map((dim) => (
          <DimControl key={dim.name} dim={dim} roles={roles} change={setRoles} />
        ))}
      </div>
      {slice ? (
        <Maps spec={spec} slice={slice} roles={roles} />
      ) : load?.status === "failed" ? (
        <div class="mv-error" role="alert">
          <strong>This part of the array could not be read</strong>
          <p>{load.message}</p>
          {live && <Retry again={() => ask(key, message, true)} />}
        </div>
      ) : (
        <p class="mv-foot" role="status">
          {!live
            ? "This page holds only a part of the array, and not this one: open the notebook to see it, or go back to where the view began."
            : load?.status === "late"
              ? "The kernel does not answer; it may be busy or gone."
              : "reading from the kernel…"}
        </p>
      )}
      {!whole && !live && (
        <p class="mv-foot">
          The array is large: this page holds the view that it began with, at some indices.
        </p>
      )}
    </div>
  );
}

const ROLE_NAMES: Record<string, string> = { x: "across", y: "down", facet: "side by side" };

function DimControl({
  dim,
  roles,
  change,
}: {
  dim: TensorDim;
  roles: Roles;
  change: (roles: Roles) => void;
}) {
  const { name, size } = dim;
  const role = roles[name] as Role;
  const index = typeof role === "number";
  return (
    <div class="mv-tensor-dim" data-axis={AXES.includes(role as never) || undefined}>
      <label class="mv-check">
        <bdi>{name}</bdi> <span class="mv-muted">{size}</span>
        <select
          data-lm-suppress-shortcuts
          value={index ? "index" : role}
          onChange={(event) => {
            const chosen = event.currentTarget.value;
            change(withRole(roles, name, chosen === "index" ? 0 : (chosen as Role)));
          }}
        >
          {AXES.map((axis) => (
            <option key={axis} value={axis}>
              {ROLE_NAMES[axis]}
            </option>
          ))}
          <option value="index">at an index</option>
          {REDUCTIONS.map((one) => (
            <option key={one} value={one}>
              {one}
            </option>
          ))}
        </select>
      </label>
      {index && (
        <label class="mv-check">
          <input
            type="range"
            data-lm-suppress-shortcuts
            aria-label={`index of ${name}`}
            aria-valuetext={placeOf(dim, role)}
            min={0}
            max={size - 1}
            value={role}
            onInput={(event) => change({ ...roles, [name]: Number(event.currentTarget.value) })}
          />
          <output>
            <bdi>{placeOf(dim, role)}</bdi>
          </output>
        </label>
      )}
    </div>
  );
}

function Maps({ spec, slice, roles }: { spec: TensorSpec; slice: Slice; roles: Roles }) {
  const width = useField("width");
  const [locked, setLocked] = useState<ReturnType<typeof scaleOf> | null>(null);
  const own = useMemo(() => scaleOf(slice), [slice]);
  const scale = locked ?? own;
  const digits = digitsFor(scale.limit);
  const words = (value: number) => (scale.signed ? signed(value, digits) : plain(value, digits));
  const [facets, rows, columns] = slice.shape;
  const of = (axis: string) => spec.dims.find(({ name }) => roles[name] === axis) ?? null;
  const [by_facet, by_y, by_x] = [of("facet"), of("y"), of("x")];
  const shown = Math.min(facets, FACETS);
  const abreast = Math.max(1, Math.min(facets, 4, Math.floor(width / 264)));
  const each = facets === 1 ? width : Math.min(420, width / abreast - 24);
  const fixed = spec.dims
    .filter(({ name }) => !AXES.includes(roles[name] as never))
    .map((dim) => {
      const role = roles[dim.name] as Role;
      return typeof role === "number" ? `${dim.name} ${placeOf(dim, role)}` : `${role} over ${dim.name}`;
    });
  const named = [by_facet, by_y, by_x].filter((dim) => dim !== null);
  return (
    <WithTable
      table={() => ({
        label: spec.name,
        columns: [
          ...named.map((dim) => ({ name: dim.name })),
          { name: spec.name, number: true, show: (value) => (value === null ? "–" : words(value as number)) },
        ],
        rows: Array.from({ length: Math.min(ROWS, slice.values.length) }, (_, at) => {
          const places = [Math.floor(at / (rows * columns)), Math.floor(at / columns) % rows, at % columns];
          const value = slice.values[at] as number;
          const names = [by_facet, by_y, by_x].flatMap((dim, axis) =>
            dim ? [placeOf(dim, places[axis] as number)] : [],
          );
          return [...names, Number.isNaN(value) ? null : value];
        }),
      })}
    >
      <div class="mv-bar">
        <Ramp limit={scale.limit} signed={scale.signed} words={words} unit={spec.name} />
        <label class="mv-check">
          <input
            type="checkbox"
            data-lm-suppress-shortcuts
            checked={locked !== null}
            onChange={(event) => setLocked(event.currentTarget.checked ? own : null)}
          />
          keep these colours
        </label>
        {fixed.length > 0 && <span class="mv-muted">{fixed.join(", ")}</span>}
      </div>
      <div class="mv-tensor-maps">
        {Array.from({ length: shown }, (_, facet) => (
          <HeatMap
            key={facet}
            {...{ slice, facet, scale, by_y, by_x, words }}
            title={by_facet ? `${by_facet.name} ${placeOf(by_facet, facet)}` : ""}
            room={each}
            name={spec.name}
          />
        ))}
      </div>
      {facets > shown && (
        <p class="mv-foot">
          The first {shown} of {facets}; look at the others by an index.
        </p>
      )}
      {slice.values.length > ROWS && <p class="mv-foot">The table holds the first {ROWS} numbers.</p>}
    </WithTable>
  );
}
