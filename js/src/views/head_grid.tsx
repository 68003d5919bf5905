/** The grid of effects: rows are layers with layer 0 at the bottom, columns are heads. */
import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { describeCell, type GridValues } from "../marks/cells";
import { css, diverging, ink } from "../marks/colour";
import { isPick, moveCell } from "../marks/keys";
import { linear, plain, signed } from "../marks/scale";
import type { Cell } from "../store";
import { EXACT } from "../wire";
import { GridLegend, UnitToggle } from "./grid_legend";
import { useField, useGrid, useView } from "./hooks";
import { TopHeads } from "./top_heads";

export const MANY_HEADS = 24;
const GLYPH_FROM = 16;
const LABEL_ROOM = 40;
const TOTAL_ROOM = 108;
const LIST_ROOM = 200;
const LIST_BESIDE = 660; // narrower views show the list of heads below the grid

/** Side of a cell in px: 16-28 where that fits, smaller for grids with many heads. */
function cellSize(width: number, wide: boolean, n_heads: number): number {
  const room = (wide ? width * 0.62 - LIST_ROOM : width) - LABEL_ROOM - TOTAL_ROOM;
  const fitting = Math.floor(room / n_heads) - 2;
  const [least, most] = n_heads > MANY_HEADS ? [5, 18] : [16, n_heads > 8 ? 22 : 28];
  return Math.max(least, Math.min(most, fitting));
}

export function HeadGrid({ wide }: { wide: boolean }) {
  const { store, select } = useView();
  const grid = useGrid();
  const { n_layers, n_heads } = grid;
  const { layer, head } = useField("selection");
  const width = useField("width");
  const size = cellSize(width, wide, n_heads);
  const [active, setActive] = useState<Cell>({ layer, head });
  const box = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => setActive({ layer, head }), [layer, head]);

  const cellOf = (event: Event): Cell | null => {
    const node = (event.target as Element).closest<HTMLElement>("[role=gridcell]");
    return node ? { layer: Number(node.dataset.layer), head: Number(node.dataset.head) } : null;
  };
  const hover = (event: Event) => {
    const cell = cellOf(event);
    if (cell) store.set("hovered_cell", cell);
  };
  const leave = () => store.set("hovered_cell", null);
  const pick = (cell: Cell | null) => cell && select(cell);
  const onKeyDown = (event: KeyboardEvent) => {
    const cell = cellOf(event);
    if (!cell) return;
    const next = moveCell(event, cell, [n_layers, n_heads]);
    if (next) {
      setActive(next);
      findCell(box.current, next)?.focus();
    } else if (isPick(event)) pick(cell);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  const layers = [...Array(n_layers).keys()].reverse();
  const gap = size >= 10 ? 2 : 1;
  const style = { "--cell": `${size}px`, "--gap": `${gap}px`, "--heads": n_heads };
  return (
    <div class="mv-heads" data-below={width < LIST_BESIDE || n_heads > MANY_HEADS || undefined}>
      <div class="mv-grid-side">
        <UnitToggle />
        <div class="mv-grid-box" ref={box}>
          <div class="mv-grid-scroll" style={style}>
            <HeadMeans grid={grid} />
            <div
              role="grid"
              aria-label={`patch effects, ${n_layers} layers by ${n_heads} heads`}
              onPointerOver={hover}
              onPointerLeave={leave}
              onFocusIn={hover}
              onFocusOut={leave}
              onClick={(event) => pick(cellOf(event))}
              onKeyDown={onKeyDown}
            >
              {layers.map((row) => (
                <Row
                  key={row}
                  layer={row}
                  grid={grid}
                  size={size}
                  active={active.layer === row ? active.head : -1}
                  selected={layer === row ? head : -1}
                />
              ))}
              <HeadNumbers n_heads={n_heads} />
            </div>
          </div>
          <Card box={box} grid={grid} />
        </div>
        <GridLegend grid={grid} />
      </div>
      <TopHeads grid={grid} />
    </div>
  );
}

const findCell = (box: HTMLElement | null, { layer, head }: Cell) =>
  box?.querySelector<HTMLElement>(`[data-layer="${layer}"][data-head="${head}"]`);

const isLabelled = (index: number, size: number) => size <= MANY_HEADS || index % 4 === 0;

type RowProps = { layer: number; grid: GridValues; size: number; active: number; selected: number };

function Row({ layer, grid, size, active, selected }: RowProps) {
  const dark = useField("dark");
  return useMemo(
    () => (
      <div role="row" class="mv-row">
        <span role="rowheader" aria-label={`layer ${layer}`}>
          {isLabelled(layer, grid.n_layers) && `L${layer}`}
        </span>
        {[...Array(grid.n_heads).keys()].map((head) => {
          const i = layer * grid.n_heads + head;
          const [value, state] = [grid.values[i] as number, grid.state[i] as number];
          const known = Number.isFinite(value);
          const colour = diverging(known ? value : 0, grid.limit, dark);
          const strong = known && state === EXACT && Math.abs(value) >= grid.limit / 2 && size >= GLYPH_FROM;
          const words = state ? signed(value, grid.digits) : "not computed";
          return (
            <div
              key={head}
              role="gridcell"
              class="mv-cell"
              data-layer={layer}
              data-head={head}
              data-state={state}
              data-undefined={(state > 0 && !known) || undefined}
              data-over={(known && Math.abs(value) > grid.limit) || undefined}
              data-lm-suppress-shortcuts
              tabIndex={head === active ? 0 : -1}
              aria-selected={head === selected}
              aria-label={`layer ${layer}, head ${head}: ${words}`}
              style={known ? { "--colour": css(colour), color: ink(colour) } : undefined}
            >
              {strong && grid.limit > 0 ? (value > 0 ? "+" : "\u2212") : ""}
            </div>
          );
        })}
        <Total grid={grid} layer={layer} />
      </div>
    ),
    [layer, grid, size, active, selected, dark],
  );
}

/** A bar from the zero line to a value, in percent of the room that all bars share. */
function bar(value: number, all: number[]): { start: number; length: number; zero: number } {
  const place = linear([Math.min(0, ...all), Math.max(0, ...all, 1e-12)], [0, 100]);
  const [zero, end] = [place(0), place(value)];
  return { start: Math.min(zero, end), length: Math.abs(end - zero), zero };
}

function Total({ grid, layer }: { grid: GridValues; layer: number }) {
  const value = grid.layer_sums[layer] as number;
  const { start, length, zero } = bar(value, grid.layer_sums);
  return (
    <span
      class="mv-total"
      aria-hidden="true"
      title={`sum over the heads of layer ${layer}: ${signed(value, grid.digits)}`}
    >
      <span class="mv-total-room">
        <i data-sign={Math.sign(value)} style={{ left: `${start}%`, width: `${length}%` }} />
        <b style={{ left: `${zero}%` }} />
      </span>
      {isLabelled(layer, grid.n_layers) && <span class="mv-total-value">{signed(value, grid.digits)}</span>}
    </span>
  );
}

function HeadMeans({ grid }: { grid: GridValues }) {
  return (
    <div class="mv-row mv-means" aria-hidden="true">
      <span class="mv-means-label">mean</span>
      {grid.head_means.map((value, head) => {
        const { start, length } = bar(value, grid.head_means);
        return (
          <span
            key={head}
            class="mv-mean"
            title={`mean over the layers, head ${head}: ${plain(value, grid.digits + 1)}`}
          >
            <i data-sign={Math.sign(value)} style={{ bottom: `${start}%`, height: `${length}%` }} />
          </span>
        );
      })}
      <span class="mv-total-label">layer sum</span>
    </div>
  );
}

function HeadNumbers({ n_heads }: { n_heads: number }) {
  return (
    <div role="row" class="mv-row mv-head-numbers">
      <span role="columnheader">head</span>
      {[...Array(n_heads).keys()].map((head) => (
        <span key={head} role="columnheader" aria-label={`head ${head}`}>
          {isLabelled(head, n_heads) && head}
        </span>
      ))}
    </div>
  );
}

const CARD_WIDTH = 214;

/** The words of the hovered or focused cell, above it and inside the view. */
function Card({ box, grid }: { box: { current: HTMLDivElement | null }; grid: GridValues }) {
  const [spec, cells, cell] = [useField("spec"), useField("cells"), useField("hovered_cell")];
  const [place, setPlace] = useState<{ left: number; bottom: number } | null>(null);
  useLayoutEffect(() => {
    const node = cell && findCell(box.current, cell);
    if (!node || !box.current) return setPlace(null);
    const [around, inside] = [box.current.getBoundingClientRect(), node.getBoundingClientRect()];
    const centre = inside.left - around.left + inside.width / 2;
    setPlace({
      left: Math.max(0, Math.min(around.width - CARD_WIDTH, centre - CARD_WIDTH / 2)),
      bottom: around.bottom - inside.top + 7,
    });
  }, [cell, box]);
  if (!cell || !place) return null;
  const [name, ...lines] = describeCell(cell, spec, cells, grid);
  return (
    <div
      class="mv-card"
      style={{ left: `${place.left}px`, bottom: `${place.bottom}px`, width: `${CARD_WIDTH}px` }}
    >
      <strong>{name}</strong>
      {lines.map((line) => (
        <div key={line}>{line}</div>
      ))}
    </div>
  );
}
