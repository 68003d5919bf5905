/** The strongest heads as a list: numbers that can be compared, and one click to open a head. */
import { cellNumbers, type Grids, shortName } from "../marks/cells";
import { linear } from "../marks/scale";
import { PREVIEW } from "../wire";
import { useField, useHeadEvents, useView } from "./hooks";

const ROWS = 8;

export function TopHeads({ grids }: { grids: Grids }) {
  const { store } = useView();
  const spec = useField("spec");
  const selection = useField("selection");
  const { open } = useHeadEvents();
  const cells = grids.order.slice(0, ROWS);
  if (!cells.length) return null;
  const leave = () => store.set("hovered_cell", null);
  const intervals = cells.map((cell) => {
    const numbers = cellNumbers(grids, cell);
    return [numbers?.low, numbers?.high].filter((end): end is number => Number.isFinite(end));
  });
  const values = [...cells.map(({ value }) => value), ...intervals.flat()];
  const place = linear([Math.min(0, ...values), Math.max(0, ...values, 1e-12)], [0, 100]);
  return (
    <div class="mv-top">
      <h4>Strongest heads</h4>
      <ol>
        {cells.map(({ value, state, ...cell }, i) => {
          const [zero, end] = [place(0), place(value)];
          const [low, high] = intervals[i] as number[];
          const selected =
            cell.stack === selection.stack && cell.layer === selection.layer && cell.head === selection.head;
          return (
            <li key={shortName(spec, cell)}>
              <button
                type="button"
                data-lm-suppress-shortcuts
                aria-pressed={selected}
                onClick={() => open(cell)}
                onPointerEnter={() => store.set("hovered_cell", cell)}
                onPointerLeave={leave}
                onFocus={() => store.set("hovered_cell", cell)}
                onBlur={leave}
              >
                <span class="mv-top-name">{shortName(spec, cell)}</span>{" "}
                <span class="mv-top-room" data-preview={state === PREVIEW || undefined}>
                  <i
                    data-sign={Math.sign(value)}
                    style={{ left: `${Math.min(zero, end)}%`, width: `${Math.abs(end - zero)}%` }}
                  />
                  <b style={{ left: `${zero}%` }} />
                  {low !== undefined && high !== undefined && (
                    <s style={{ left: `${place(low)}%`, width: `${place(high) - place(low)}%` }} />
                  )}
                </span>
                <span class="mv-top-value">{grids.words(value)}</span>
              </button>
            </li>
          );
        })}
      </ol>
    </div>
  );
}
