/** A study's grid that is not one of heads: one small grid of numbers for each site, rows are layers. */
import { useMemo, useRef, useState } from "preact/hooks";
import { describeStudyCell, HALF, holdsZero, isClear, studyValue } from "../marks/cells";
import { css, diverging, gradient, ink } from "../marks/colour";
import { isPick, movePlace } from "../marks/keys";
import { digitsFor, percent, percentile, signed } from "../marks/scale";
import { type Cells, CLEAR, type GridSpec } from "../wire";
import { UnitToggle } from "./grid_controls";
import { cellWords } from "./groups";
import { useField, useView } from "./hooks";

type Study = NonNullable<Cells["study"]>;

export function StudyCells() {
  const spec = useField("spec");
  const cells = useField("cells");
  const unit = useField("unit");
  const dark = useField("dark");
  const grid = spec.grids[0] as GridSpec;
  const own = cells[grid.key] as Cells;
  const { effects, study } = own;
  if (!study) throw new Error("this grid came without what a study says of its cells");
  const values = useMemo(
    () => Float64Array.from(effects, (effect, at) => studyValue(study, unit, effect, at)),
    [effects, study, unit],
  );
  const limit = useMemo(() => percentile(values.map(Math.abs), 99), [values]);
  const digits = Math.max(2, digitsFor(limit));
  const show = (value: number) =>
    Number.isFinite(value) ? (unit === "positive" ? percent(value + HALF) : signed(value, digits)) : "–";
  // The last two dims are a grid, those before them tell grids apart; one dim alone is a column of layers.
  const two = grid.dims.length > 1;
  const n_columns = two ? (grid.shape.at(-1) as number) : 1;
  const n_rows = grid.shape.at(two ? -2 : -1) as number;
  const count = effects.length / Math.max(1, n_columns * n_rows);
  const { dims, shape, labels = [] } = grid;
  const outer = { dims: dims.slice(0, -2), shape: shape.slice(0, -2), labels: labels.slice(0, -2) };
  return (
    <div class="mv-study-cells">
      <div class="mv-controls">
        <UnitToggle />
      </div>
      <div class="mv-cell-grids">
        {Array.from({ length: count }, (_, i) => (
          <CellGrid
            key={i}
            {...{ grid, own, study, values, limit, show, n_rows, n_columns, two }}
            title={two && outer.dims.length ? cellWords(outer.dims, outer.shape, outer.labels, i) : ""}
            from={i * n_rows * n_columns}
          />
        ))}
      </div>
      <div class="mv-cells-legend mv-muted">
        <div class="mv-ramp">
          <div class="mv-ramp-bar" style={{ background: gradient(dark) }} />
          <div class="mv-ramp-numbers">
            <span>{show(-limit)}</span>
            <span>{unit === "positive" ? show(0) : "0"}</span>
            <span>{show(limit)}</span>
          </div>
        </div>
        <p>
          A strip of colour only: q over {CLEAR}, not told apart after correction. In brackets: the{" "}
          {percent(spec.study?.confidence ?? 0.95)} interval holds 0. Hatched: not defined.
        </p>
      </div>
      <Readout grid={grid} study={study} own={own} />
    </div>
  );
}

type Props = {
  grid: GridSpec;
  own: Cells;
  study: Study;
  values: Float64Array;
  limit: number;
  show: (value: number) => string;
  n_rows: number;
  n_columns: number;
  two: boolean;
  title: string;
  from: number;
};

function CellGrid({ grid, own, study, values, limit, show, n_rows, n_columns, two, title, from }: Props) {
  const { store } = useView();
  const dark = useField("dark");
  const selected = useField("cell");
  const [active, setActive] = useState({ row: 0, column: 0 });
  const root = useRef<HTMLDivElement>(null);
  const labels = grid.labels ?? [];
  const [rows, columns] = two ? [labels.at(-2), labels.at(-1)] : [labels.at(-1), ["effect"]];
  const row_dim = grid.dims.at(two ? -2 : -1) as string;
  const onKeyDown = (event: KeyboardEvent) => {
    const node = (event.target as Element).closest<HTMLElement>("[data-at]");
    if (!node) return;
    const at = Number(node.dataset.at) - from;
    const next = movePlace(event, { row: Math.floor(at / n_columns), column: at % n_columns }, [
      n_rows,
      n_columns,
    ]);
    if (next) {
      setActive(next);
      root.current
        ?.querySelector<HTMLElement>(`[data-at="${from + next.row * n_columns + next.column}"]`)
        ?.focus();
    } else if (isPick(event)) store.set("cell", at + from);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <div>
      {title && <h4>{title}</h4>}
      <div class="mv-cell-grid-scroll">
        <div
          class="mv-cell-grid"
          role="grid"
          aria-label={`effects${title ? `, ${title}` : ""}`}
          style={{ "--columns": n_columns }}
          ref={root}
          onKeyDown={onKeyDown}
          onClick={(event) => {
            const at = (event.target as Element).closest<HTMLElement>("[data-at]")?.dataset.at;
            if (at) store.set("cell", Number(at));
          }}
        >
          <div role="row">
            <span role="columnheader">{two ? "" : row_dim}</span>
            {columns?.map((name) => (
              <span key={name} role="columnheader">
                {grid.dims.at(-1) === "head" ? `H${name}` : name}
              </span>
            ))}
          </div>
          {Array.from({ length: n_rows }, (_, i) => n_rows - 1 - i).map((row) => (
            <div role="row" key={row}>
              <span role="rowheader">{row_dim === "layer" ? `L${rows?.[row]}` : rows?.[row]}</span>
              {Array.from({ length: n_columns }, (_, column) => {
                const at = from + row * n_columns + column;
                const value = values[at] as number;
                const known = Number.isFinite(value);
                const weak = known && !isClear(study, at);
                const unsure = holdsZero(own.low?.[at], own.high?.[at]);
                const colour = diverging(known ? value : 0, limit, dark);
                return (
                  <span
                    key={column}
                    role="gridcell"
                    data-at={at}
                    data-weak={weak || undefined}
                    data-undefined={!known || undefined}
                    data-lm-suppress-shortcuts
                    tabIndex={active.row === row && active.column === column ? 0 : -1}
                    aria-selected={at === selected}
                    onFocus={() => setActive({ row, column })}
                    title={describeStudyCell(
                      store.get("spec"),
                      study,
                      at,
                      own.effects[at] as number,
                      interval(own, at),
                    ).join("\n")}
                    style={
                      known ? { "--colour": css(colour), ...(!weak && { color: ink(colour) }) } : undefined
                    }
                  >
                    {unsure && known ? `(${show(value)})` : show(value)}
                  </span>
                );
              })}
            </div>
          ))}
        </div>
      </div>
    </div>
  );
}

const interval = ({ low, high }: Cells, at: number) =>
  low && high ? { low: low[at] as number, high: high[at] as number } : null;

/** What is known of the selected cell, in words. */
function Readout({ grid, study, own }: { grid: GridSpec; study: Study; own: Cells }) {
  const spec = useField("spec");
  const at = useField("cell");
  const name = cellWords(grid.dims, grid.shape, grid.labels ?? [], at);
  return (
    <p class="mv-readout" role="status">
      <strong>{name}</strong>:{" "}
      {describeStudyCell(spec, study, at, own.effects[at] as number, interval(own, at)).join("; ")}
    </p>
  );
}
