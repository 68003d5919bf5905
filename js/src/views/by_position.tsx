/** Effects by position: a heat map a site, tokens across, layers upwards, with their sums at the edges. */
import { useCallback, useMemo, useRef, useState } from "preact/hooks";
import { unitWords } from "../marks/cells";
import { css, diverging, gradient } from "../marks/colour";
import { movePlace } from "../marks/keys";
import { type Columns, columnsOf, type PositionGrid, positionGrid } from "../marks/positions";
import { divergingLookup, hatched, paint } from "../marks/raster";
import { tokenLabel } from "../marks/rows";
import { count, plain, signed } from "../marks/scale";
import { EXACT, type GridSpec, PREVIEW, type StackSpec, type TextSpec } from "../wire";
import { Canvas } from "./canvas";
import { useField, useView } from "./hooks";

const ROW = 15;
const MOST = 18;
const LABELS = 34;
const SUMS = 74;
const SUM_HEIGHT = 34;

const SITES: Record<string, string> = {
  resid_pre: "residual stream, before the layer",
  attn_out: "attention's output",
  mlp_out: "MLP's output",
  z: "heads' z, the strongest head of each layer",
  pattern: "rows of the pattern, the strongest head of each layer",
};

export function ByPosition() {
  const { compute } = useView();
  const spec = useField("spec");
  const cells = useField("cells");
  const unit = useField("unit");
  const width = useField("width");
  const progress = useField("progress");
  const grid = spec.grids.find(({ dims }) => dims.includes("pos")) as GridSpec;
  const values = useMemo(() => positionGrid(spec, grid, cells, unit), [spec, grid, cells, unit]);
  const text = spec.texts[spec.text] as TextSpec;
  const room = Math.max(120, width - LABELS - SUMS - 60);
  const columns = useMemo(() => columnsOf(values.n_positions, room, MOST), [values.n_positions, room]);
  const state = cells[grid.key]?.state;
  const previews = state?.includes(PREVIEW);
  const exact = state?.filter((one) => one === EXACT).length ?? 0;
  const unit_words = unitWords({ unit, metric: grid.metric });
  const offered =
    progress.live && progress.offers.includes(grid.key) && previews && progress.state !== "running";
  return (
    <div class="mv-positions" data-panel data-lm-suppress-shortcuts tabIndex={-1}>
      <p class="mv-positions-state">
        {previews ? (
          <>
            <strong>preview (attribution), may be wrong</strong>
            {exact > 0 && `, exact ${count(exact)} of ${count(state?.length ?? 0)}`}
          </>
        ) : (
          `exact, ${count(exact)} cells`
        )}
        {offered && (
          <button type="button" data-lm-suppress-shortcuts onClick={() => compute(grid.key)}>
            Compute exact values
          </button>
        )}
        {columns.pooled > 1 && (
          <span class="mv-muted">{columns.pooled} tokens to a column: the strongest of them is shown</span>
        )}
      </p>
      {values.sites.map((site, i) => (
        <SiteMap
          key={site}
          {...{ values, columns, text, unit_words }}
          stack={spec.stacks.find(({ name }) => name === grid.stack)}
          site={i}
          title={SITES[site] ?? site}
          last={i === values.sites.length - 1}
        />
      ))}
      <Legend values={values} unit_words={unit_words} />
    </div>
  );
}

function Legend({ values, unit_words }: { values: PositionGrid; unit_words: string }) {
  const dark = useField("dark");
  return (
    <div class="mv-legend mv-positions-legend">
      <div class="mv-ramp">
        <div class="mv-ramp-bar" style={{ background: gradient(dark) }} />
        <div class="mv-ramp-numbers">
          <span>{signed(-values.limit, values.digits)}</span>
          <span>0</span>
          <span>{signed(values.limit, values.digits)}</span>
        </div>
      </div>
      <p>
        {unit_words === "of the change" ? "share of the change" : unit_words || "value"} that one cell moves;
        the colours end at the 99.5th percentile. Bars: sums over the layers (above) and over the tokens
        (right). Hatched: not computed. A click selects the layer and pins the token.
      </p>
    </div>
  );
}

type MapProps = {
  values: PositionGrid;
  columns: Columns;
  text: TextSpec;
  /** Whose layers these are, where its heads can be selected. */
  stack: StackSpec | undefined;
  site: number;
  title: string;
  unit_words: string;
  last: boolean;
};

function SiteMap({ values, columns, text, stack, site, title, unit_words, last }: MapProps) {
  const { store, select } = useView();
  const dark = useField("dark");
  const selection = useField("selection");
  const { n_layers, n_positions, limit, digits } = values;
  const pinned = selection.pos;
  const here = !stack || selection.stack === stack.name;
  const selected = here ? Math.min(selection.layer, n_layers - 1) : 0;
  const [place, setPlace] = useState<{ row: number; column: number } | null>(null);
  const root = useRef<HTMLDivElement>(null);
  const { n, pooled, size } = columns;
  const pooledValues = useMemo(() => values.pooled(site, pooled), [values, site, pooled]);
  const paintMap = useCallback(
    (canvas: HTMLCanvasElement) => {
      const colour = divergingLookup(limit, dark);
      // At the size that is shown where cells can be hatched, else a pixel a cell.
      const [fx, fy] = [Math.max(1, Math.round(size)), ROW];
      paint(canvas, n * fx, n_layers * fy, (x, y) => {
        const value = pooledValues[(n_layers - 1 - Math.floor(y / fy)) * n + Math.floor(x / fx)] as number;
        return Number.isFinite(value) ? colour(value) : hatched(x, y, dark);
      });
    },
    [pooledValues, limit, dark, n, n_layers, size],
  );
  const by_token = values.token_sums[site] as Float64Array;
  const by_layer = values.layer_sums[site] as number[];
  const tops = Array.from({ length: n }, (_, column) => strongest(by_token, column * pooled, pooled));
  const at = (event: PointerEvent | MouseEvent) => {
    const box = (event.currentTarget as Element).getBoundingClientRect();
    const column = Math.min(n - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * n)));
    const row =
      n_layers -
      1 -
      Math.min(n_layers - 1, Math.max(0, Math.floor(((event.clientY - box.top) / box.height) * n_layers)));
    return { row, column };
  };
  const show = (next: { row: number; column: number } | null) => {
    setPlace(next);
    store.set("hovered_pos", next && { pos: strongestPos(values, site, next, pooled), side: "both" });
  };
  const choose = (next: { row: number; column: number }) =>
    select({
      ...(stack && !here && { stack: stack.name, head: Math.min(selection.head, stack.n_heads - 1) }),
      layer: next.row,
      pos: strongestPos(values, site, next, pooled),
    });
  const onKeyDown = (event: KeyboardEvent) => {
    const now = place ?? { row: selected, column: pinned === null ? 0 : Math.floor(pinned / pooled) };
    const next = movePlace(event, now, [n_layers, n]);
    if (next) show(next);
    else if (event.key === "Enter" || event.key === " ") choose(now);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const pos = place && strongestPos(values, site, place, pooled);
  const value = place && (pooledValues[place.row * n + place.column] as number);
  const token = (at: number) => {
    const { base, source } = text;
    const words = [
      tokenLabel(base, at),
      ...(source && source.labels[at] !== base.labels[at] ? [tokenLabel(source, at)] : []),
    ];
    return words.join(" → ");
  };
  const number = (row: number, at: number) => {
    if (Number.isFinite(value)) return `${signed(value as number, digits)} ${unit_words}`.trim();
    return values.computed[(site * n_layers + row) * n_positions + at] ? "not defined here" : "not computed";
  };
  const words =
    place && pos !== null
      ? `layer ${place.row}, position ${pos} “${token(pos)}”: ${number(place.row, pos)}`
      : `${title}: ${n_layers} layers by ${n_positions} positions`;
  const width = n * size;
  const height = n_layers * ROW;
  const largest = Math.max(1e-12, ...tops.map(Math.abs));
  const largest_layer = Math.max(1e-12, ...by_layer.map(Math.abs));
  return (
    <div class="mv-site" style={{ "--row": `${ROW}px` }}>
      <h4>{title}</h4>
      <div class="mv-site-grid" style={{ gridTemplateColumns: `${LABELS}px ${width}px ${SUMS}px` }}>
        <span />
        <svg class="mv-token-sums" width={width} height={SUM_HEIGHT} aria-hidden="true">
          {tops.map((sum, column) => (
            <rect
              key={column}
              data-sign={Math.sign(sum)}
              x={column * size}
              width={Math.max(1, size - (size > 4 ? 1 : 0))}
              y={sum > 0 ? (SUM_HEIGHT / 2) * (1 - sum / largest) : SUM_HEIGHT / 2}
              height={Math.max(0.5, (SUM_HEIGHT / 2) * (Math.abs(sum) / largest))}
            >
              <title>{`${token(Math.min(n_positions - 1, column * pooled))}: sum over the layers ${signed(sum, digits)}`}</title>
            </rect>
          ))}
          <line class="mv-axis" x1={0} x2={width} y1={SUM_HEIGHT / 2} y2={SUM_HEIGHT / 2} />
        </svg>
        <span class="mv-sum-label">sums</span>
        <span class="mv-layer-labels" aria-hidden="true">
          {[...Array(n_layers).keys()].reverse().map((layer) => (
            <i key={layer} data-selected={(here && layer === selected) || undefined}>
              {n_layers <= 24 || layer % 4 === 0 ? `L${layer}` : ""}
            </i>
          ))}
        </span>
        <div
          ref={root}
          class="mv-heat"
          role="slider"
          aria-label={`${title}, by layer and position`}
          aria-valuemin={0}
          aria-valuemax={n_layers * n - 1}
          aria-valuenow={place ? place.row * n + place.column : 0}
          aria-valuetext={words}
          data-lm-suppress-shortcuts
          tabIndex={0}
          onPointerMove={(event) => show(at(event))}
          onPointerLeave={() => show(null)}
          onClick={(event) => choose(at(event))}
          onKeyDown={onKeyDown}
          onFocus={() =>
            show(place ?? { row: selected, column: pinned === null ? 0 : Math.floor(pinned / pooled) })
          }
          onBlur={() => show(null)}
        >
          <Canvas paint={paintMap} width={width} height={height} />
          {pinned !== null && (
            <b
              class="mv-pinned-column"
              style={{ left: `${Math.floor(pinned / pooled) * size}px`, width: `${size}px` }}
            />
          )}
          {place && (
            <b
              class="mv-crosshair"
              style={{
                left: `${place.column * size}px`,
                width: `${size}px`,
                top: `${(n_layers - 1 - place.row) * ROW}px`,
                height: `${ROW}px`,
              }}
            />
          )}
        </div>
        <span class="mv-layer-sums" aria-hidden="true">
          {[...by_layer.keys()].reverse().map((layer) => {
            const sum = by_layer[layer] as number;
            return (
              <i key={layer} title={`sum over the tokens, layer ${layer}: ${signed(sum, digits)}`}>
                <b
                  style={{
                    width: `${(34 * Math.abs(sum)) / largest_layer}px`,
                    background: css(diverging(Math.sign(sum), 1.6, dark)),
                  }}
                />
                {plain(sum, digits)}
              </i>
            );
          })}
        </span>
        {last && <TokenLabels {...{ columns, text }} />}
      </div>
      <p class="mv-site-words" aria-hidden="true">
        {place ? words : " "}
      </p>
    </div>
  );
}

/** The position that a column stands for: the strongest of those that it pools. */
function strongestPos(
  values: PositionGrid,
  site: number,
  { row, column }: { row: number; column: number },
  pooled: number,
) {
  const { n_layers, n_positions } = values;
  let best = column * pooled;
  for (let pos = best; pos < Math.min(n_positions, (column + 1) * pooled); pos++) {
    const size = (at: number) =>
      Math.abs(values.values[(site * n_layers + row) * n_positions + at] as number) || 0;
    if (size(pos) > size(best)) best = pos;
  }
  return best;
}

function strongest(values: Float64Array, from: number, count: number): number {
  let best = 0;
  for (let i = from; i < Math.min(values.length, from + count); i++)
    if (Math.abs(values[i] as number) > Math.abs(best)) best = values[i] as number;
  return best;
}

const TALL = 92;
const EVERY = 13; // px a label needs

/** The tokens under the last map, at an angle, as many as fit; changed ones always. */
function TokenLabels({ columns, text }: { columns: Columns; text: TextSpec }) {
  const { n, pooled, size } = columns;
  const tokens = text.source ?? text.base;
  const every = Math.max(1, Math.ceil(EVERY / size));
  const changed = (column: number) =>
    Array.from({ length: pooled }, (_, i) => column * pooled + i).find(
      (pos) => pos < text.alignment.length && text.alignment[pos] !== "equal",
    );
  let last = -every;
  const shown = Array.from({ length: n }, (_, column) => {
    const at = changed(column);
    const crowded = column - last < every;
    if (crowded || (at === undefined && column % every !== 0)) return null;
    last = column;
    const pos = at ?? column * pooled;
    const label = tokenLabel(text.source?.fillers[pos] ? text.base : tokens, pos);
    const short = [...label].length > 12 ? `${[...label].slice(0, 11).join("")}…` : label;
    const x = (column + 0.5) * size;
    return (
      <text
        key={column}
        x={x}
        y={10}
        transform={`rotate(-60 ${x} 10)`}
        text-anchor="end"
        data-changed={at !== undefined || undefined}
        data-segment={tokens.segments[pos]}
      >
        {short}
      </text>
    );
  });
  return (
    <>
      <span />
      <svg class="mv-token-labels" width={n * size} height={TALL} aria-hidden="true">
        {shown}
      </svg>
      <span />
    </>
  );
}
