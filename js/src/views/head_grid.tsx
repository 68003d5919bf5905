/** The grids of effects, one a stack: rows are layers with layer 0 at the bottom, columns are heads, and the MLP apart. */
import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { describeCell, type Grids, type GridValues, holdsZero, isClear } from "../marks/cells";
import { css, diverging, ink } from "../marks/colour";
import { isOurs, movePlace } from "../marks/keys";
import { linear, plain } from "../marks/scale";
import { type Cell, MLP } from "../store";
import { EXACT } from "../wire";
import { GridControls, type GridLook, usualLook } from "./grid_controls";
import { GridLegend } from "./grid_legend";
import { useField, useGrids, useHeadEvents, useView } from "./hooks";
import { Together } from "./together";
import { TopHeads } from "./top_heads";

export const MANY_HEADS = 24;
const GLYPH_FROM = 16;
const LABEL_ROOM = 40;
const TOTAL_ROOM = 108;
const MLP_ROOM = 36;
const LIST_ROOM = 200;
const LIST_BESIDE = 660; // narrower views show the list of heads below the grid

/** Side of a cell in px: 16-28 where that fits, smaller for grids with many heads. */
function cellSize(width: number, wide: boolean, n_heads: number, mlps: boolean): number {
  const room = (wide ? width * 0.62 - LIST_ROOM : width) - LABEL_ROOM - TOTAL_ROOM - (mlps ? MLP_ROOM : 0);
  const fitting = Math.floor(room / n_heads) - 2;
  const [least, most] = n_heads > MANY_HEADS ? [5, 18] : [16, n_heads > 8 ? 22 : 28];
  return Math.max(least, Math.min(most, fitting));
}

export function HeadGrid({ wide }: { wide: boolean }) {
  const { store } = useView();
  const grids = useGrids();
  const width = useField("width");
  const [look, setLook] = useState<GridLook>(usualLook);
  const box = useRef<HTMLDivElement>(null);
  const hover = (cell: Cell | null) => store.set("hovered_cell", cell);
  const most = Math.max(...grids.stacks.map(({ n_heads }) => n_heads));
  const mlps = grids.stacks.some((grid) => grid.mlps);
  const size = cellSize(width, wide, most, mlps);
  const columns = useMemo(
    () => grids.stacks.map((grid) => columnOrder(grid, look.sorted)),
    [grids, look.sorted],
  );
  return (
    <div class="mv-heads" data-below={width < LIST_BESIDE || most > MANY_HEADS || undefined}>
      <div class="mv-grid-side">
        <GridControls look={look} change={(next) => setLook({ ...look, ...next })} grids={grids} />
        <div class="mv-grid-box" ref={box}>
          <div class="mv-stacks">
            {grids.stacks.map((grid, i) => (
              <StackGrid
                key={grid.stack.name}
                {...{ grid, grids, look, size, hover, mlps }}
                columns={columns[i] as number[]}
              />
            ))}
          </div>
          <Card box={box} grids={grids} />
        </div>
        <GridLegend grids={grids} look={look} />
        <Together grids={grids} />
      </div>
      <TopHeads grids={grids} />
    </div>
  );
}

/** Heads in the order of their columns: by number, or by the mean size of their effects. */
function columnOrder({ n_layers, n_heads, values }: GridValues, sorted: boolean): number[] {
  const heads = [...Array(n_heads).keys()];
  if (!sorted) return heads;
  const size = heads.map((head) => {
    let total = 0;
    for (let layer = 0; layer < n_layers; layer++) total += Math.abs(values[layer * n_heads + head] || 0);
    return total;
  });
  return heads.sort((a, b) => (size[b] as number) - (size[a] as number));
}

type StackProps = {
  grid: GridValues;
  grids: Grids;
  look: GridLook;
  size: number;
  columns: number[];
  mlps: boolean;
  hover: (cell: Cell | null) => void;
};

function StackGrid({ grid, grids, look, size, columns, mlps, hover }: StackProps) {
  const { n_layers, n_heads } = grid;
  const stack = grid.stack.name;
  const { ranker } = useField("spec");
  // Of an encoder-decoder it is said whose heads these are, also where there is one grid only.
  const title = grids.stacks.length > 1 || ranker.kind === "MonoT5" ? grid.stack.title || stack : "";
  const selection = useField("selection");
  const { open, toggle } = useHeadEvents();
  const here = selection.stack === stack;
  const [active, setActive] = useState({ row: selection.layer, column: columns.indexOf(selection.head) });
  const root = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    if (here) setActive({ row: selection.layer, column: columns.indexOf(selection.head) });
  }, [here, selection.layer, selection.head, columns]);

  const cellOf = (event: Event): Cell | null => {
    const node = (event.target as Element).closest<HTMLElement>("[role=gridcell]");
    return node ? { stack, layer: Number(node.dataset.layer), head: Number(node.dataset.head) } : null;
  };
  const columnOf = (head: number) => (head === MLP ? n_heads : columns.indexOf(head));
  const over = (event: Event) => {
    const cell = cellOf(event);
    if (cell) hover(cell);
  };
  const pick = (event: MouseEvent | KeyboardEvent, cell: Cell | null, add: boolean) => {
    if (!cell || cell.head === MLP) return;
    if (add) toggle(cell);
    else open(cell);
    event.preventDefault();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const cell = cellOf(event);
    if (!cell) return;
    const sizes: [number, number] = [n_layers, n_heads + (grid.mlps ? 1 : 0)];
    const next = movePlace(event, { row: cell.layer, column: columnOf(cell.head) }, sizes);
    if (next) {
      setActive(next);
      const head = next.column === n_heads ? MLP : (columns[next.column] as number);
      findCell(root.current, { stack, layer: next.row, head })?.focus();
    } else if (isOurs(event) && (event.key === "Enter" || event.key === " "))
      pick(event, cell, event.key === " ");
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  const layers = [...Array(n_layers).keys()].reverse();
  const chosen = useMemo(
    () =>
      new Set(
        selection.heads.filter(([name]) => name === stack).map(([, layer, head]) => `${layer}.${head}`),
      ),
    [selection.heads, stack],
  );
  const top = useMemo(
    () => new Set(grids.order.slice(0, look.top).map((cell) => `${cell.stack}.${cell.layer}.${cell.head}`)),
    [grids, look.top],
  );
  const style = {
    "--cell": `${size}px`,
    "--gap": `${size >= 10 ? 2 : 1}px`,
    "--heads": n_heads,
    "--mlp": mlps ? `${Math.max(size, 26)}px` : "0px",
  };
  return (
    <div class="mv-stack">
      {title && <h4>{title}</h4>}
      <div class="mv-grid-scroll" style={style} ref={root}>
        <HeadMeans grid={grid} grids={grids} columns={columns} mlps={mlps} />
        <div
          role="grid"
          aria-label={`patch effects, ${title ? `${title}, ` : ""}${n_layers} layers by ${n_heads} heads`}
          onPointerOver={over}
          onPointerLeave={() => hover(null)}
          onFocusIn={over}
          onFocusOut={() => hover(null)}
          onClick={(event) => pick(event, cellOf(event), event.shiftKey || event.ctrlKey || event.metaKey)}
          onKeyDown={onKeyDown}
        >
          {layers.map((row) => (
            <Row
              key={row}
              layer={row}
              {...{ grid, grids, size, columns, look, mlps }}
              active={active.row === row ? active.column : -1}
              selected={here && selection.layer === row ? selection.head : -2}
              chosen={[...chosen].filter((key) => key.startsWith(`${row}.`)).join(" ")}
              top={columns.filter((head) => top.has(`${stack}.${row}.${head}`)).join(" ")}
            />
          ))}
          <HeadNumbers columns={columns} mlps={Boolean(grid.mlps)} />
        </div>
      </div>
    </div>
  );
}

const findCell = (box: HTMLElement | null, { layer, head }: Cell) =>
  box?.querySelector<HTMLElement>(`[data-layer="${layer}"][data-head="${head}"]`);

const isLabelled = (index: number, size: number) => size <= MANY_HEADS || index % 4 === 0;

type RowProps = {
  layer: number;
  grid: GridValues;
  grids: Grids;
  size: number;
  columns: number[];
  look: GridLook;
  mlps: boolean;
  active: number;
  selected: number;
  /** Keys, joined: equal rows are not drawn again. */
  chosen: string;
  top: string;
};

function Row({ layer, grid, grids, size, columns, look, mlps, active, selected, chosen, top }: RowProps) {
  const dark = useField("dark");
  return useMemo(() => {
    const outlined = new Set(top ? top.split(" ").map(Number) : []);
    const added = new Set(chosen ? chosen.split(" ") : []);
    const cell = (head: number, column: number) => {
      const from = head === MLP ? grid.mlps : grid;
      const i = head === MLP ? layer : layer * grid.n_heads + head;
      const [value, state] = [from?.values[i] as number, from?.state[i] as number];
      const known = Number.isFinite(value);
      const colour = diverging(known ? value : 0, grids.limit, dark);
      const strong = known && state === EXACT && Math.abs(value) >= grids.limit / 2 && size >= GLYPH_FROM;
      const words = state ? grids.words(value) : grid.study ? "not defined" : "not computed";
      const weak = head !== MLP && known && !isClear(grid.study, i);
      const unsure = head !== MLP && holdsZero(grid.bounds[0]?.[i], grid.bounds[1]?.[i]);
      return (
        <div
          key={head}
          role="gridcell"
          class="mv-cell"
          data-layer={layer}
          data-head={head}
          data-state={state}
          data-undefined={(state > 0 && !known) || undefined}
          data-over={(known && Math.abs(value) > grids.limit) || undefined}
          data-top={outlined.has(head) || undefined}
          data-chosen={added.has(`${layer}.${head}`) || undefined}
          data-dim={(known && Math.abs(value) < look.least * grids.limit) || undefined}
          data-unsure={unsure || undefined}
          data-weak={weak || undefined}
          data-lm-suppress-shortcuts
          tabIndex={column === active ? 0 : -1}
          aria-selected={head === selected}
          aria-label={`layer ${layer}, ${head === MLP ? "MLP" : `head ${head}`}: ${words}${unsure ? ", not told apart from 0" : ""}${weak ? ", q over 0.05" : ""}`}
          style={known ? { "--colour": css(colour), color: ink(colour) } : undefined}
        >
          {strong && !weak && grids.limit > 0 ? (value > 0 ? "+" : "\u2212") : ""}
        </div>
      );
    };
    return (
      <div role="row" class="mv-row">
        <span role="rowheader" aria-label={`layer ${layer}`}>
          {isLabelled(layer, grid.n_layers) && `L${layer}`}
        </span>
        {columns.map(cell)}
        {grid.mlps ? cell(MLP, grid.n_heads) : mlps && <span role="gridcell" />}
        <Total grid={grid} grids={grids} layer={layer} />
      </div>
    );
  }, [layer, grid, grids, size, columns, look, mlps, active, selected, chosen, top, dark]);
}

/** A bar from the zero line to a value, in percent of the room that all bars share. */
function bar(value: number, all: number[]): { start: number; length: number; zero: number } {
  const place = linear([Math.min(0, ...all), Math.max(0, ...all, 1e-12)], [0, 100]);
  const [zero, end] = [place(0), place(value)];
  return { start: Math.min(zero, end), length: Math.abs(end - zero), zero };
}

function Total({ grid, grids, layer }: { grid: GridValues; grids: Grids; layer: number }) {
  const value = grid.layer_sums[layer] as number;
  const { start, length, zero } = bar(
    value,
    grids.stacks.flatMap(({ layer_sums }) => layer_sums),
  );
  return (
    <span
      class="mv-total"
      aria-hidden="true"
      title={`${totalName(grids)} over the heads of layer ${layer}: ${grids.words(value)}`}
    >
      <span class="mv-total-room">
        <i data-sign={Math.sign(value)} style={{ left: `${start}%`, width: `${length}%` }} />
        <b style={{ left: `${zero}%` }} />
      </span>
      {isLabelled(layer, grid.n_layers) && <span class="mv-total-value">{grids.words(value)}</span>}
    </span>
  );
}

/** Shares do not add up: of those it is the mean. */
const totalName = ({ unit }: Grids) => (unit === "positive" ? "mean" : "sum");

type MeansProps = { grid: GridValues; grids: Grids; columns: number[]; mlps: boolean };

function HeadMeans({ grid, grids, columns, mlps }: MeansProps) {
  return (
    <div class="mv-row mv-means" aria-hidden="true">
      <span class="mv-means-label">mean</span>
      {columns.map((head) => {
        const value = grid.head_means[head] as number;
        const { start, length } = bar(value, grid.head_means);
        return (
          <span
            key={head}
            class="mv-mean"
            title={`mean over the layers, head ${head}: ${grids.unit === "positive" ? grids.words(value) : plain(value, grids.digits + 1)}`}
          >
            <i data-sign={Math.sign(value)} style={{ bottom: `${start}%`, height: `${length}%` }} />
          </span>
        );
      })}
      {mlps && <span />}
      <span class="mv-total-label">layer {totalName(grids)}</span>
    </div>
  );
}

function HeadNumbers({ columns, mlps }: { columns: number[]; mlps: boolean }) {
  return (
    <div role="row" class="mv-row mv-head-numbers">
      <span role="columnheader">head</span>
      {columns.map((head) => (
        <span key={head} role="columnheader" aria-label={`head ${head}`}>
          {isLabelled(head, columns.length) && head}
        </span>
      ))}
      {mlps && <span role="columnheader">MLP</span>}
    </div>
  );
}

const CARD_WIDTH = 226;

/** The words of the hovered or focused cell, above it and inside the view. */
function Card({ box, grids }: { box: { current: HTMLDivElement | null }; grids: Grids }) {
  const [spec, cell] = [useField("spec"), useField("hovered_cell")];
  const [place, setPlace] = useState<{ left: number; bottom: number } | null>(null);
  useLayoutEffect(() => {
    const stacks = [...(box.current?.querySelectorAll<HTMLElement>(".mv-stack") ?? [])];
    const stack = cell && stacks[grids.stacks.findIndex((grid) => grid.stack.name === cell.stack)];
    const node = stack && findCell(stack, cell);
    if (!node || !box.current) return setPlace(null);
    const [around, inside] = [box.current.getBoundingClientRect(), node.getBoundingClientRect()];
    const centre = inside.left - around.left + inside.width / 2;
    setPlace({
      left: Math.max(0, Math.min(around.width - CARD_WIDTH, centre - CARD_WIDTH / 2)),
      bottom: around.bottom - inside.top + 7,
    });
  }, [cell, box, grids]);
  if (!cell || !place) return null;
  const [name, ...lines] = describeCell(cell, spec, grids);
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
