/** One heat map: a canvas with labelled rows and columns, a cursor for pointer and keys, and the number below it. */
import { useCallback, useMemo, useState } from "preact/hooks";
import { movePlace } from "../marks/keys";
import { divergingLookup, hatched, packed, paint, sequentialTable } from "../marks/raster";
import { pooled, type scaleOf } from "../marks/tensor";
import type { Slice, TensorDim } from "../probe_wire";
import { Canvas } from "./canvas";
import { useField } from "./hooks";
import { placeOf } from "./tensor";

const LARGEST = 22;
/** Of few cells each is larger. */
const FEW = 160;
const ROOMY = 34;
const TALLEST = 620;
const LETTER = 6.4;
const LONGEST = 15;
const LABEL = 13; // px that a label needs

type Props = {
  slice: Slice;
  facet: number;
  scale: ReturnType<typeof scaleOf>;
  by_y: TensorDim | null;
  by_x: TensorDim | null;
  words: (value: number) => string;
  title: string;
  room: number;
  name: string;
};

const short = (label: string) => (label.length > LONGEST ? `${label.slice(0, LONGEST - 1)}…` : label);
const labelsOf = (dim: TensorDim | null, n: number) =>
  Array.from({ length: n }, (_, at) => (dim ? short(placeOf(dim, at)) : ""));

const longest = (labels: string[], least: number) =>
  labels.reduce((most, { length }) => Math.max(most, length), least);

/** Every how many places there is a label. */
const stepOf = (needed: number, side: number) => {
  const least = Math.max(1, Math.ceil(needed / side));
  return [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].find((step) => step >= least) ?? least;
};

export function HeatMap({ slice, facet, scale, by_y, by_x, words, title, room, name }: Props) {
  const dark = useField("dark");
  const [, rows, columns] = slice.shape;
  const [at, setAt] = useState<{ row: number; column: number } | null>(null);
  const from = facet * rows * columns;
  const row_labels = useMemo(() => labelsOf(by_y, rows), [by_y, rows]);
  const column_labels = useMemo(() => labelsOf(by_x, columns), [by_x, columns]);
  const gutter = by_y ? LETTER * longest(row_labels, 2) + 10 : 6;
  const widest = longest(column_labels, 1);
  const space = Math.max(80, room - gutter - 12);
  const largest = rows * columns <= FEW ? ROOMY : LARGEST;
  const like = rows <= 4 * columns && columns <= 4 * rows; // about as many of each: then cells are square
  const side = Math.min(largest, space / columns, like ? TALLEST / rows : largest);
  const down = by_y ? (like ? side : Math.min(largest, Math.max(3, side), TALLEST / rows)) : largest;
  const [width, height] = [side * columns, down * rows];
  const turned = Boolean(by_x?.labels) && widest > 3;
  const x_step = stepOf(turned ? LABEL : LETTER * widest + 8, side);
  const y_step = stepOf(LABEL, down);
  const value = (row: number, column: number) => slice.values[from + row * columns + column] as number;

  const draw = useCallback(
    (canvas: HTMLCanvasElement) => {
      const diverging = divergingLookup(scale.limit, dark);
      const table = sequentialTable(dark);
      const colour = (value: number, x: number, y: number) => {
        if (Number.isNaN(value)) return hatched(x, y, dark);
        if (scale.signed) return diverging(value);
        const share = scale.limit > 0 ? Math.max(0, Math.min(1, value / scale.limit)) : 0;
        return table[Math.round(255 * Math.sqrt(share))] ?? packed([0, 0, 0]);
      };
      // Not computed cells need pixels of their own for their hatch; where cells are smaller than pixels, the largest stays.
      const pixels = devicePixelRatio || 1;
      const [w, h] = [Math.max(1, Math.round(width * pixels)), Math.max(1, Math.round(height * pixels))];
      const edge = (at: number, n: number, size: number) => Math.floor((at * n) / size);
      paint(canvas, w, h, (x, y) => {
        const [left, top] = [edge(x, columns, w), edge(y, rows, h)];
        const right = Math.max(left + 1, edge(x + 1, columns, w));
        const bottom = Math.max(top + 1, edge(y + 1, rows, h));
        const one = right === left + 1 && bottom === top + 1;
        return colour(
          one ? value(top, left) : pooled(slice.values, from, columns, [left, right], [top, bottom]),
          x,
          y,
        );
      });
    },
    [slice, facet, scale.limit, scale.signed, dark, width, height],
  );
  const say = (row: number, column: number) => {
    const places = [
      by_y && `${by_y.name} ${placeOf(by_y, row)}`,
      by_x && `${by_x.name} ${placeOf(by_x, column)}`,
    ];
    const found = value(row, column);
    return [places.filter(Boolean).join(", "), Number.isNaN(found) ? "no number" : words(found)]
      .filter(Boolean)
      .join(": ");
  };
  const move = (event: PointerEvent) => {
    const box = (event.currentTarget as HTMLElement).getBoundingClientRect();
    const place = (part: number, size: number, n: number) =>
      Math.max(0, Math.min(n - 1, Math.floor((part / size) * n)));
    const row = place(event.clientY - box.top, box.height, rows);
    const column = place(event.clientX - box.left, box.width, columns);
    setAt((old) => (old?.row === row && old.column === column ? old : { row, column }));
  };
  const here = at && at.row < rows && at.column < columns ? at : null;
  return (
    <figure class="mv-map">
      {title && (
        <figcaption>
          <bdi>{title}</bdi>
        </figcaption>
      )}
      <div class="mv-map-body" style={{ paddingLeft: `${gutter}px` }}>
        {row_labels.map(
          (label, row) =>
            row % y_step === 0 && (
              <span
                key={row}
                class="mv-map-row"
                aria-hidden="true"
                style={{ top: `${(row + 0.5) * down}px`, width: `${gutter - 6}px` }}
              >
                <bdi>{label}</bdi>
              </span>
            ),
        )}
        <div
          class="mv-map-cells"
          role="slider"
          tabIndex={0}
          data-lm-suppress-shortcuts
          aria-label={`${[name, title].filter(Boolean).join(", ")}: ${rows} by ${columns}`}
          aria-valuemin={0}
          aria-valuemax={rows * columns - 1}
          aria-valuenow={here ? here.row * columns + here.column : 0}
          aria-valuetext={say(here?.row ?? 0, here?.column ?? 0)}
          style={{ width: `${width}px`, height: `${height}px` }}
          onPointerMove={move}
          onPointerDown={move}
          onPointerLeave={() => setAt(null)}
          onFocus={() => setAt(here ?? { row: 0, column: 0 })}
          onBlur={() => setAt(null)}
          onKeyDown={(event) => {
            // Rows count from the top here.
            const place = here ?? { row: 0, column: 0 };
            const next = movePlace(event, { row: rows - 1 - place.row, column: place.column }, [
              rows,
              columns,
            ]);
            if (!next) return;
            setAt({ row: rows - 1 - next.row, column: next.column });
            event.preventDefault();
            event.stopPropagation();
          }}
        >
          <Canvas paint={draw} width={width} height={height} />
          {here && (
            <b
              class="mv-map-cursor"
              style={{
                left: `${here.column * side}px`,
                top: `${here.row * down}px`,
                width: `${Math.max(3, side)}px`,
                height: `${Math.max(3, down)}px`,
              }}
            />
          )}
        </div>
        {by_x && (
          <div
            class="mv-map-columns"
            aria-hidden="true"
            data-turned={turned || undefined}
            style={{ height: `${turned ? 0.72 * LETTER * widest + 14 : 18}px`, width: `${width}px` }}
          >
            {column_labels.map(
              (label, column) =>
                column % x_step === 0 && (
                  <span key={column} style={{ left: `${(column + 0.5) * side}px` }}>
                    <bdi>{label}</bdi>
                  </span>
                ),
            )}
          </div>
        )}
        {by_x && (
          <p class="mv-map-axis" aria-hidden="true">
            {by_x.name}
            {by_y && ` · down: ${by_y.name}`}
          </p>
        )}
        <p class="mv-map-read">{here ? say(here.row, here.column) : "\u00a0"}</p>
      </div>
    </figure>
  );
}
