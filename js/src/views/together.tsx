/** Several heads at once: those that were chosen are patched in one run, and the curve adds one after another. */
import { cellNumbers, type Grids, inUnit, shortName } from "../marks/cells";
import { linear, plain, signed } from "../marks/scale";
import type { Curve, Head, TogetherEntry } from "../wire";
import { keepFocus, useField, useView } from "./hooks";

const TOGETHER = "together";
const MANY = 40;

export function Together({ grids }: { grids: Grids }) {
  const { ask, select } = useView();
  const [spec, progress, loads] = [useField("spec"), useField("progress"), useField("loads")];
  const { heads, stack } = useField("selection");
  const joint = loads.get(TOGETHER);
  const curve = loads.get(`curve.${stack}`);
  const running = progress.state === "running";
  if (!spec.scores || (!progress.live && !joint && !curve)) return null;
  const single = heads.reduce((sum, at) => sum + (cellNumbers(grids, cellOf(at))?.value ?? Number.NaN), 0);
  const result = joint?.status === "loaded" ? (joint.value as TogetherEntry) : null;
  const current = result && sameHeads(result.heads, heads) ? result : null;
  const value = current && inUnit(spec, grids.unit, current.effect ?? Number.NaN, current.patched);
  return (
    <section
      class="mv-together"
      aria-label="several heads"
      data-panel
      data-lm-suppress-shortcuts
      tabIndex={-1}
    >
      <p>
        {heads.length === 0 ? (
          <span class="mv-muted">
            Shift+click or Space adds a head: compare up to four, or patch them together.
          </span>
        ) : (
          <>
            <strong>{heads.length}</strong> {heads.length === 1 ? "head" : "heads"}:{" "}
            {heads
              .slice(0, MANY)
              .map((at) => shortName(spec, cellOf(at)))
              .join(", ")}
          </>
        )}
      </p>
      <div class="mv-together-buttons">
        {heads.length > 0 && progress.live && (
          <button
            type="button"
            data-lm-suppress-shortcuts
            disabled={running}
            onClick={() => ask(TOGETHER, { type: "together", heads }, true)}
          >
            Patch together
          </button>
        )}
        {heads.length > 0 && (
          <button
            type="button"
            data-lm-suppress-shortcuts
            onClick={(event) => {
              keepFocus(event);
              select({ heads: [] });
            }}
          >
            Clear
          </button>
        )}
        {progress.live && !curve && (
          <button
            type="button"
            data-lm-suppress-shortcuts
            disabled={running}
            title="patches the strongest 1, 2, 3 ... heads together, and all but them"
            onClick={(event) => {
              keepFocus(event);
              ask(`curve.${stack}`, { type: "curve", stack }, true);
            }}
          >
            Top-k curve
          </button>
        )}
      </div>
      {value !== null && (
        <p>
          together <strong>{signed(value, grids.digits)}</strong>
          <span class="mv-muted"> (one by one they sum to {signed(single, grids.digits)})</span>
        </p>
      )}
      {[joint, curve].map((load, i) =>
        load?.status === "waiting" ? (
          <p key={i} class="mv-muted" role="status">
            running the ranker…
          </p>
        ) : load?.status === "late" ? (
          <p key={i} class="mv-muted" role="status">
            still running…
          </p>
        ) : load?.status === "failed" ? (
          <div key={i} class="mv-error" role="alert">
            <strong>These heads could not be patched together</strong>
            <p>{load.message}</p>
          </div>
        ) : null,
      )}
      {curve?.status === "loaded" && <CurveChart curve={curve.value as Curve} grids={grids} />}
    </section>
  );
}

const cellOf = ([stack, layer, head]: Head) => ({ stack, layer, head });
const sameHeads = (a: Head[], b: Head[]) => JSON.stringify(a) === JSON.stringify(b);

const WIDTH = 330;
const HEIGHT = 132;
const MARGIN = { left: 38, right: 88, top: 8, bottom: 26 };

function CurveChart({ curve, grids }: { curve: Curve; grids: Grids }) {
  const spec = useField("spec");
  const values = (of: Float32Array, patched: Float32Array) =>
    [...of].map((effect, k) => inUnit(spec, grids.unit, effect, patched[k] as number));
  const lines: [string, number[]][] = [
    ["these heads", values(curve.top, curve.top_patched)],
    ["all but these", values(curve.rest, curve.rest_patched)],
  ];
  const all = lines.flatMap(([, points]) => points).filter(Number.isFinite);
  const y = linear([Math.min(0, ...all), Math.max(0, ...all)], [HEIGHT - MARGIN.bottom, MARGIN.top]);
  const x = linear([0, curve.cells.length - 1], [MARGIN.left, WIDTH - MARGIN.right]);
  const path = (points: number[]) => points.map((value, k) => `${k ? "L" : "M"}${x(k)} ${y(value)}`).join("");
  const ticks = [Math.min(0, ...all), 0, Math.max(0, ...all)];
  const last = curve.cells.length - 1;
  return (
    <svg
      class="mv-curve"
      width={WIDTH}
      height={HEIGHT}
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      role="img"
      aria-label={`the ${last} strongest heads patched together: ${signed(lines[0]?.[1][last] ?? 0, grids.digits)}`}
    >
      {[...new Set(ticks)].map((tick) => (
        <g key={tick}>
          <line class="mv-axis" x1={MARGIN.left} x2={WIDTH - MARGIN.right} y1={y(tick)} y2={y(tick)} />
          <text x={MARGIN.left - 5} y={y(tick) + 4} text-anchor="end">
            {plain(tick, grids.digits)}
          </text>
        </g>
      ))}
      {lines.map(([name, points], i) => (
        <g key={name} data-line={i}>
          <path d={path(points)} fill="none" />
          {points.map((value, k) => (
            <circle key={k} cx={x(k)} cy={y(value)} r={2.5}>
              <title>{`${k} ${k === 1 ? "head" : "heads"}${k ? ` (+ ${curve.cells[k]})` : ""}, ${name}: ${signed(value, grids.digits)}`}</title>
            </circle>
          ))}
          <text x={x(last) + 8} y={y(points[last] ?? 0) + 4}>
            {name}
          </text>
        </g>
      ))}
      <text x={MARGIN.left} y={HEIGHT - 6}>
        0
      </text>
      <text x={x(last)} y={HEIGHT - 6} text-anchor="middle">
        {last} heads
      </text>
    </svg>
  );
}
