/** Many texts or tokens as points in the plane, layer by layer: move, zoom, search, brush. */
import { useMemo, useState } from "preact/hooks";
import { bucketsOf, type Colouring, isFound, planeOf } from "../marks/atlas";
import { css, mixed, type Rgb } from "../marks/colour";
import { count, digitsFor, percent, percentile, plain } from "../marks/scale";
import type { AtlasCell, AtlasSpec, LayerPoints, Points } from "../probe_wire";
import { AtlasList } from "./atlas_list";
import { AtlasMap, type Marked } from "./atlas_map";
import { useField, useHeld, useLoad, useView } from "./hooks";
import { Retry } from "./retry";
import { WithTable } from "./table";

/** Steps of a colour that goes with the score. */
const STEPS = 12;
const NARROW = 860;

export function AtlasPanel() {
  const spec = useField("spec").atlas as AtlasSpec;
  const points = useHeld<Points>("atlas");
  return points && <Atlas spec={spec} points={points} />;
}

/** From pale to strong, each still seen on the page; then the colour of a point that has no value. */
function coloursOf(n: number, dark: boolean): Rgb[] {
  const [from, to]: [Rgb, Rgb] = dark
    ? [
        [72, 104, 134],
        [160, 214, 255],
      ]
    : [
        [168, 202, 230],
        [8, 62, 112],
      ];
  const none: Rgb = dark ? [92, 98, 106] : [190, 196, 202];
  return [...Array.from({ length: n }, (_, at) => mixed(from, to, n > 1 ? at / (n - 1) : 0.65)), none];
}

function Atlas({ spec, points }: { spec: AtlasSpec; points: Points }) {
  const { ask } = useView();
  const { held } = useField("spec");
  const { live } = useField("progress");
  const dark = useField("dark");
  const width = useField("width");
  const { layers, n } = spec;
  // A page without a kernel has the layers that came with it.
  const there = useMemo(
    () => [...layers.keys()].filter((at) => live || `layer.${at}` in held),
    [layers, held, live],
  );
  const [layer, setLayer] = useState(there.at(-1) ?? 0);
  const [by, setBy] = useState<Colouring>(spec.scored ? "score" : spec.grades ? "grade" : "none");
  const [asked, setAsked] = useState(spec.find);
  const [brushed, setBrushed] = useState<Int32Array | null>(null);
  const [terms, setTerms] = useState(true);
  const key = `layer.${layer}`;
  const message = { type: "layer", layer };
  const load = useLoad<LayerPoints>(key, message);
  const arrived = load?.status === "loaded" ? load.value : null;
  // While another layer is on its way, the one before stays.
  const [last, setLast] = useState<LayerPoints | null>(null);
  if (arrived && arrived !== last) setLast(arrived);
  const shown = arrived ?? last;
  const plane = useMemo(() => shown && planeOf(shown), [shown]);

  const steps = by === "grade" ? spec.grades : by === "score" ? STEPS : 1;
  const range = useMemo((): [number, number] => {
    if (by === "grade") return [-0.5, spec.grades - 0.5];
    return [percentile(points.score, 2), percentile(points.score, 98)];
  }, [by, points, spec.grades]);
  const buckets = useMemo(() => bucketsOf(points, by, steps, range), [points, by, steps, range]);
  const colours = useMemo(() => coloursOf(steps, dark), [steps, dark]);
  const found = useMemo(() => {
    const wanted = asked.trim().toLowerCase();
    if (!wanted || !points.labels) return null;
    return Int32Array.from(
      points.labels.flatMap((label, at) => (isFound(label, wanted, spec.level) ? [at] : [])),
    );
  }, [asked, points, spec.level]);
  const marked = useMemo((): Marked | null => {
    if (!found && !brushed) return null;
    const bits = new Uint8Array(n);
    for (const at of found ?? []) bits[at] = 1;
    for (const at of brushed ?? []) (bits[at] as number) |= 2;
    return { bits, found: found !== null, brushed: brushed !== null };
  }, [found, brushed, n]);
  const explained = spec.explained[layer];
  const narrow = width < NARROW;
  const list = brushed ?? found;
  const kinds = [spec.scored && "score", spec.grades > 0 && "grade", "none"].filter(Boolean) as Colouring[];
  const digits = digitsFor(range[1] - range[0]);
  return (
    <div class="mv-atlas" data-panel data-lm-suppress-shortcuts tabIndex={-1}>
      <div class="mv-bar">
        {there.length > 1 && (
          <label class="mv-check">
            layer
            <input
              type="range"
              data-lm-suppress-shortcuts
              min={0}
              max={there.length - 1}
              value={there.indexOf(layer)}
              aria-valuetext={`layer ${layers[layer]}`}
              onInput={(event) => setLayer(there[Number(event.currentTarget.value)] as number)}
            />
            <output>{layers[layer]}</output>
          </label>
        )}
        {kinds.length > 1 && (
          <label class="mv-check">
            colour
            <select
              data-lm-suppress-shortcuts
              value={by}
              onChange={(event) => setBy(event.currentTarget.value as Colouring)}
            >
              {kinds.map((kind) => (
                <option key={kind} value={kind}>
                  {kind}
                </option>
              ))}
            </select>
          </label>
        )}
        <label class="mv-check">
          <input
            type="checkbox"
            data-lm-suppress-shortcuts
            checked={terms}
            onChange={(event) => setTerms(event.currentTarget.checked)}
          />
          terms
        </label>
        {points.labels && (
          <label class="mv-check mv-end">
            <input
              type="search"
              data-lm-suppress-shortcuts
              placeholder={`Find ${spec.level}s`}
              aria-label={`find ${spec.level}s`}
              value={asked}
              onInput={(event) => setAsked(event.currentTarget.value)}
            />
            <span role="status">{found && `${count(found.length)} found`}</span>
          </label>
        )}
      </div>
      <WithTable
        table={() => ({
          label: `cells of layer ${layers[layer]}`,
          columns: [
            { name: "row", number: true },
            { name: "column", number: true },
            { name: `${spec.level}s`, number: true },
            { name: "terms" },
            {
              name: "mean score",
              number: true,
              show: (value) => (value === null ? "–" : plain(value as number, digits)),
            },
            ...(spec.grades ? [{ name: "of grades 0, 1, …" }] : []),
          ],
          rows: (shown?.cells ?? []).map((cell: AtlasCell) => [
            cell.row,
            cell.column,
            cell.n,
            cell.terms,
            cell.score,
            ...(spec.grades ? [cell.grades.join(", ")] : []),
          ]),
        })}
      >
        <div class="mv-atlas-body" data-narrow={narrow || undefined}>
          <div class="mv-atlas-left">
            {plane && shown ? (
              <AtlasMap
                {...{ spec, points, plane, buckets, colours, marked, terms }}
                cells={shown.cells}
                brush={setBrushed}
                step={(by_layers) => {
                  const next = there[there.indexOf(layer) + by_layers];
                  if (next !== undefined) setLayer(next);
                }}
              />
            ) : (
              <div class="mv-atlas-empty" />
            )}
            {load?.status === "failed" ? (
              <p role="alert">
                {load.message} <Retry again={() => ask(key, message, true)} />
              </p>
            ) : (
              !arrived && (
                <p class="mv-muted" role="status">
                  {load?.status === "late"
                    ? "The kernel does not answer; it may be busy or gone."
                    : `reading layer ${layers[layer]} from the kernel…`}
                </p>
              )
            )}
            <div class="mv-atlas-legend">
              {by === "score" && (
                <span class="mv-ramp">
                  <span class="mv-ramp-unit">score</span>
                  <span>{plain(range[0], digits)}</span>
                  <i
                    style={{
                      background: `linear-gradient(to right, ${colours.slice(0, -1).map(css).join(", ")})`,
                    }}
                  />
                  <span>{plain(range[1], digits)}</span>
                </span>
              )}
              {by === "grade" && (
                <span class="mv-ramp">
                  <span class="mv-ramp-unit">grade</span>
                  {colours.map((colour, at) => (
                    <span key={at}>
                      <b class="mv-dot" style={{ background: css(colour) }} />{" "}
                      {at < steps ? at : "not judged"}
                    </span>
                  ))}
                </span>
              )}
              <span class="mv-muted">
                {count(n)} {spec.level}s, {spec.method}
                {explained !== null &&
                  explained !== undefined &&
                  `, ${percent(explained)} of the variance in this plane`}
              </span>
            </div>
          </div>
          <AtlasList
            {...{ spec, points }}
            list={list}
            title={brushed ? "Brushed" : found ? "Found" : ""}
            clear={brushed ? () => setBrushed(null) : found ? () => setAsked("") : null}
          />
        </div>
      </WithTable>
      {there.length < layers.length && (
        <p class="mv-foot">
          This page holds {there.length === 1 ? "layer" : "layers"} {there.map((at) => layers[at]).join(", ")}{" "}
          of {layers.length}; the notebook has all.
        </p>
      )}
    </div>
  );
}
