/** Every head of every layer as a thumbnail of its attention, max-pooled; a click opens the head. */
import { useCallback, useMemo, useRef, useState } from "preact/hooks";
import type { Load } from "../loads";
import { cellNumbers, describeCell } from "../marks/cells";
import { movePlace } from "../marks/keys";
import { divergingLookup, paint, sequentialTable } from "../marks/raster";
import type { StackSpec, Thumbs } from "../wire";
import { Canvas } from "./canvas";
import { useField, useGrids, useHeadEvents, useLoad, useView } from "./hooks";
import { Retry } from "./retry";
import { type Picture, Skeleton, Toggle } from "./token_lines";

const LARGEST = 76;
const SMALLEST = 18;
const LABEL = 30;
const ONE_ROW = 12;
const GAP = 2; // pixels of the image between two thumbnails, whose side has at least FINE
const FINE = 40;
const SIDE_BY_SIDE = 860;

export function ModelView() {
  const spec = useField("spec");
  const [picture, setPicture] = useState<Picture>("base");
  const has_source = spec.stacks.some(({ text }) => spec.texts[text]?.source);
  const stacks = spec.stacks.filter(({ key_labels }) => !key_labels);
  return (
    <div class="mv-model" data-panel data-lm-suppress-shortcuts tabIndex={-1}>
      {has_source && (
        <Toggle
          label="which run"
          value={picture}
          choose={(value) => setPicture(value as Picture)}
          options={[
            ["base", "base"],
            ["source", "source"],
            ["difference", "difference"],
          ]}
        />
      )}
      <div class="mv-stacks">
        {stacks.map((stack) => (
          <StackThumbs key={stack.name} stack={stack} picture={picture} named={spec.stacks.length > 1} />
        ))}
      </div>
      <p class="mv-muted mv-lines-note">
        {picture === "difference"
          ? "Blue: the source run attends more; orange: less. "
          : "Darker is more attention, on a square-root scale (brighter, in the dark theme). "}
        Rows attend to columns, both from the top left; several tokens to a pixel show their strongest.
      </p>
    </div>
  );
}

type StackProps = { stack: StackSpec; picture: Picture; named: boolean };

function StackThumbs({ stack, picture, named }: StackProps) {
  const { ask } = useView();
  const progress = useField("progress");
  const key = `thumbs.${stack.name}`;
  const message = useMemo(() => ({ type: "thumbs", stack: stack.name }), [stack.name]);
  const load: Load<Thumbs> | undefined = useLoad<Thumbs>(key, message);
  const title = named && <h4>{stack.title || stack.name}</h4>;
  if (load?.status === "loaded") {
    return (
      <div class="mv-stack">
        {title}
        <ThumbGrid stack={stack} thumbs={load.value} picture={picture} />
      </div>
    );
  }
  return (
    <div class="mv-stack mv-stack-missing">
      {title}
      {load?.status === "waiting" ? (
        <Skeleton words="reading the attention of all heads from the kernel" />
      ) : load ? (
        <div class="mv-error" role="alert">
          <strong>The thumbnails could not be read</strong>
          <p>
            {load.status === "failed" ? load.message : "The kernel does not answer; it may be busy or gone."}
          </p>
          {progress.live && <Retry again={() => ask(key, message, true)} />}
        </div>
      ) : (
        <p class="mv-hint">This file holds no thumbnails; open the notebook to see them.</p>
      )}
    </div>
  );
}

type GridProps = { stack: StackSpec; thumbs: Thumbs; picture: Picture };

function ThumbGrid({ stack, thumbs, picture }: GridProps) {
  const { store } = useView();
  const dark = useField("dark");
  const width = useField("width");
  const spec = useField("spec");
  const grids = useGrids();
  const selection = useField("selection");
  const { open, toggle } = useHeadEvents();
  const { n_layers, n_heads } = stack;
  const { rows, columns } = thumbs;
  const zoom = Math.max(1, Math.floor(FINE / columns));
  const [across, down] = [columns * zoom, rows * zoom];
  const root = useRef<HTMLDivElement>(null);
  const here = selection.stack === stack.name;
  const [active, setActive] = useState({ row: selection.layer, column: selection.head });
  const room =
    spec.stacks.length > 1 && width >= SIDE_BY_SIDE ? (width - 64) / 2 - LABEL : width - LABEL - 44;
  const size = Math.max(SMALLEST, Math.min(LARGEST, Math.floor(room / n_heads) - GAP));

  const draw = useCallback(
    (canvas: HTMLCanvasElement) => {
      const table = sequentialTable(dark);
      const diverge = divergingLookup(0.5, dark);
      const [base, source] = [thumbs.base, thumbs.source ?? thumbs.base];
      const [step_x, step_y] = [across + GAP, down + GAP];
      const from = picture === "source" ? source : base;
      const share = (byte: number) => (byte / 255) ** 2;
      paint(canvas, n_heads * step_x, n_layers * step_y, (x, y) => {
        const [in_x, in_y] = [x % step_x, y % step_y];
        if (in_x >= across || in_y >= down) return 0;
        const layer = n_layers - 1 - Math.floor(y / step_y);
        const i =
          ((layer * n_heads + Math.floor(x / step_x)) * rows + Math.floor(in_y / zoom)) * columns +
          Math.floor(in_x / zoom);
        if (picture !== "difference") return table[from[i] as number] as number;
        return diverge(share(source[i] as number) - share(base[i] as number));
      });
    },
    [thumbs, picture, dark],
  );

  const cellOf = (event: Event) => {
    const node = (event.target as Element).closest<HTMLElement>("[role=gridcell]");
    return node && { stack: stack.name, layer: Number(node.dataset.layer), head: Number(node.dataset.head) };
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const cell = cellOf(event);
    if (!cell) return;
    const next = movePlace(event, { row: cell.layer, column: cell.head }, [n_layers, n_heads]);
    if (next) {
      setActive(next);
      root.current
        ?.querySelector<HTMLElement>(`[data-layer="${next.row}"][data-head="${next.column}"]`)
        ?.focus();
    } else if (event.key === "Enter") open(cell);
    else if (event.key === " ") toggle(cell);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const hover = (event: Event) => {
    const cell = cellOf(event);
    if (cell && grids.stacks.length) store.set("hovered_cell", cell);
  };
  const chosen = new Set(
    selection.heads.filter(([name]) => name === stack.name).map(([, a, b]) => `${a}.${b}`),
  );
  const cells = [...Array(n_layers).keys()].reverse().map((layer) => (
    <div role="row" key={layer} class="mv-thumb-row">
      <span role="rowheader">L{layer}</span>
      {[...Array(n_heads).keys()].map((head) => {
        const cell = { stack: stack.name, layer, head };
        const words = cellNumbers(grids, cell)
          ? describeCell(cell, spec, grids).join("; ")
          : `layer ${layer}, head ${head}`;
        return (
          <div
            key={head}
            role="gridcell"
            class="mv-thumb"
            data-layer={layer}
            data-head={head}
            data-chosen={chosen.has(`${layer}.${head}`) || undefined}
            data-lm-suppress-shortcuts
            tabIndex={active.row === layer && active.column === head ? 0 : -1}
            aria-selected={here && selection.layer === layer && selection.head === head}
            aria-label={words}
            title={words}
          />
        );
      })}
    </div>
  ));
  const pitch_x = size * (1 + GAP / across);
  const pitch_y =
    (rows === 1 ? ONE_ROW : size * Math.min(2, Math.max(0.5, rows / columns))) * (1 + GAP / down);
  return (
    <div class="mv-thumbs-scroll">
      <div class="mv-thumbs" ref={root} style={{ "--pitch-x": `${pitch_x}px`, "--pitch-y": `${pitch_y}px` }}>
        <Canvas paint={draw} width={n_heads * pitch_x} height={n_layers * pitch_y} />
        <div
          role="grid"
          aria-label={`attention of all heads, ${n_layers} layers by ${n_heads} heads`}
          onClick={(event) => {
            const cell = cellOf(event);
            if (cell) (event.shiftKey ? toggle : open)(cell);
          }}
          onPointerOver={hover}
          onFocusIn={hover}
          onPointerLeave={() => store.set("hovered_cell", null)}
          onFocusOut={() => store.set("hovered_cell", null)}
          onKeyDown={onKeyDown}
        >
          {cells}
        </div>
      </div>
    </div>
  );
}
