/** The whole attention of one head as a heat map, query tokens down and key tokens across; fetched when it is opened. */
import { useCallback, useMemo, useState } from "preact/hooks";
import type { Load } from "../loads";
import { tokensOf } from "../marks/edges";
import { divergingLookup, paint, sequentialTable } from "../marks/raster";
import { tokenLabel } from "../marks/rows";
import { plain, signed } from "../marks/scale";
import type { Condition, Matrix, StackSpec, TextSpec } from "../wire";
import { Canvas } from "./canvas";
import { useField, useLoad, useView } from "./hooks";
import type { Picture } from "./token_lines";
import { Skeleton } from "./token_lines";

const LARGEST = 16;
const SIDE = 118;
const LABELLED_FROM = 11; // px a row

type Props = { stack: StackSpec; layer: number; head: number; picture: Picture };

export function MatrixPictures({ stack, layer, head, picture }: Props) {
  const progress = useField("progress");
  const key = `matrix.${stack.name}.${layer}.${head}`;
  const message = useMemo(() => ({ type: "matrix", stack: stack.name, layer, head }), [key]);
  const load: Load<Matrix> | undefined = useLoad<Matrix>(key, message);
  if (load?.status === "loaded") {
    const conditions: Condition[] = picture === "both" ? ["base", "source"] : [picture];
    return (
      <div class="mv-matrices">
        {conditions.map((condition) => (
          <HeatMap key={condition} matrix={load.value} n={conditions.length} {...{ stack, condition }} />
        ))}
      </div>
    );
  }
  if (load?.status === "failed") {
    return (
      <div class="mv-error" role="alert">
        <strong>The attention of this head could not be read</strong>
        <p>{load.message}</p>
      </div>
    );
  }
  if (load?.status === "late")
    return <p class="mv-hint">The kernel does not answer; it may be busy or gone.</p>;
  return progress.live ? (
    <Skeleton words="reading this head's attention from the kernel" />
  ) : (
    <p class="mv-hint">
      This file holds the lines of this head, not its whole matrix; open the notebook to see it.
    </p>
  );
}

type MapProps = { matrix: Matrix; stack: StackSpec; condition: Condition; n: number };

function HeatMap({ matrix, stack, condition, n }: MapProps) {
  const { store, select } = useView();
  const spec = useField("spec");
  const dark = useField("dark");
  const width = useField("width");
  const { pos: pinned } = useField("selection");
  const text = spec.texts[stack.text] as TextSpec;
  const tokens = tokensOf(text, condition);
  const { rows, columns, base, source } = matrix;
  const [place, setPlace] = useState<[number, number] | null>(null);
  const room = (width - 60 - n * SIDE) / n / columns;
  const side = room < 2 ? Math.max(1, room) : Math.min(LARGEST, Math.floor(room));
  const share = (byte: number) => (byte / 255) ** 2;
  const value = (row: number, column: number) => {
    const i = row * columns + column;
    if (condition !== "difference") return share(((condition === "source" && source) || base)[i] as number);
    return share((source ?? base)[i] as number) - share(base[i] as number);
  };
  const draw = useCallback(
    (canvas: HTMLCanvasElement) => {
      if (condition === "difference") {
        const colour = divergingLookup(0.5, dark);
        paint(canvas, columns, rows, (x, y) => colour(value(y, x)));
        return;
      }
      const table = sequentialTable(dark);
      const bytes = (condition === "source" && source) || base;
      paint(canvas, columns, rows, (x, y) => table[bytes[y * columns + x] as number] as number);
    },
    [matrix, condition, dark],
  );
  const query = (row: number) => stack.query_labels?.[row] ?? tokenLabel(tokens, row);
  const labelled = side >= LABELLED_FROM;
  const [row, column] = place ?? [-1, -1];
  const number = condition === "difference" ? signed(value(row, column), 3) : plain(value(row, column), 3);
  const title = condition === "difference" ? "source minus base" : text.source ? `${condition} run` : "";
  return (
    <figure class="mv-matrix" style={{ "--row": `${side}px` }}>
      <figcaption>
        {title && <strong>{title}: </strong>}
        {place ? (
          <>
            <bdi>{query(row)}</bdi> → <bdi>{tokenLabel(tokens, column)}</bdi> {number}
          </>
        ) : (
          <span class="mv-muted">rows attend to columns</span>
        )}
      </figcaption>
      <div class="mv-matrix-body">
        {labelled && (
          <ol class="mv-matrix-labels" aria-hidden="true">
            {Array.from({ length: rows }, (_, i) => (
              <li key={i} data-changed={(!stack.query_labels && text.alignment[i] !== "equal") || undefined}>
                <bdi>{query(i)}</bdi>
              </li>
            ))}
          </ol>
        )}
        {/* biome-ignore lint/a11y/noStaticElementInteractions: the lines hold the same weights, and take the focus */}
        {/* biome-ignore lint/a11y/useKeyWithClickEvents: likewise */}
        <div
          class="mv-heat"
          onPointerMove={(event) => {
            const box = event.currentTarget.getBoundingClientRect();
            const at = (part: number, size: number, n: number) =>
              Math.min(n - 1, Math.max(0, Math.floor((part / size) * n)));
            const next: [number, number] = [
              at(event.clientY - box.top, box.height, rows),
              at(event.clientX - box.left, box.width, columns),
            ];
            setPlace(next);
            store.set("hovered_pos", { pos: next[1], side: "to" });
          }}
          onPointerLeave={() => {
            setPlace(null);
            store.set("hovered_pos", null);
          }}
          onClick={() => place && select({ pos: place[1] })}
        >
          <Canvas paint={draw} width={columns * side} height={rows * (rows === 1 ? LARGEST : side)} />
          {pinned !== null && pinned < columns && (
            <b
              class="mv-pinned-column"
              style={{ left: `${pinned * side}px`, width: `${Math.max(2, side)}px` }}
            />
          )}
        </div>
      </div>
    </figure>
  );
}
