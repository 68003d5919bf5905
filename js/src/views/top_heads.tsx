/** The strongest heads as a list: numbers that can be compared, and one click to open a head. */
import type { GridValues } from "../marks/cells";
import { linear, signed } from "../marks/scale";
import { PREVIEW } from "../wire";
import { useField, useView } from "./hooks";

const ROWS = 8;

export function TopHeads({ grid }: { grid: GridValues }) {
  const { select, store } = useView();
  const selection = useField("selection");
  const cells = grid.order.slice(0, ROWS);
  if (!cells.length) return null;
  const leave = () => store.set("hovered_cell", null);
  const values = cells.map((i) => grid.values[i] as number);
  const place = linear([Math.min(0, ...values), Math.max(0, ...values, 1e-12)], [0, 100]);
  return (
    <div class="mv-top">
      <h4>Strongest heads</h4>
      <ol>
        {cells.map((i, rank) => {
          const cell = { layer: Math.floor(i / grid.n_heads), head: i % grid.n_heads };
          const value = values[rank] as number;
          const [zero, end] = [place(0), place(value)];
          const selected = cell.layer === selection.layer && cell.head === selection.head;
          return (
            <li key={i}>
              <button
                type="button"
                data-lm-suppress-shortcuts
                aria-pressed={selected}
                onClick={() => select(cell)}
                onPointerEnter={() => store.set("hovered_cell", cell)}
                onPointerLeave={leave}
                onFocus={() => store.set("hovered_cell", cell)}
                onBlur={leave}
              >
                <span class="mv-top-name">
                  L{cell.layer}H{cell.head}
                </span>{" "}
                <span class="mv-top-room" data-preview={grid.state[i] === PREVIEW || undefined}>
                  <i
                    data-sign={Math.sign(value)}
                    style={{ left: `${Math.min(zero, end)}%`, width: `${Math.abs(end - zero)}%` }}
                  />
                  <b style={{ left: `${zero}%` }} />
                </span>
                <span class="mv-top-value">{signed(value, grid.digits)}</span>
              </button>
            </li>
          );
        })}
      </ol>
    </div>
  );
}
