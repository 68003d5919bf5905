/** How the grids are drawn: the unit, the order of heads, which cells stand out. */
import { type Grids, unitWords } from "../marks/cells";
import { plain } from "../marks/scale";
import type { Unit } from "../store";
import { metricDefined } from "../wire";
import { useField, useView } from "./hooks";

export interface GridLook {
  sorted: boolean;
  /** How many of the strongest heads are outlined. */
  top: number;
  /** Cells below this share of the scale are dimmed. */
  least: number;
}

export const usualLook: GridLook = { sorted: false, top: 0, least: 0 };

const TOPS = [0, 3, 5, 10, 20];

type Props = { look: GridLook; change: (next: Partial<GridLook>) => void; grids: Grids };

export function GridControls({ look, change, grids }: Props) {
  return (
    <div class="mv-controls">
      <UnitToggle />
      <label class="mv-check">
        <input
          type="checkbox"
          data-lm-suppress-shortcuts
          checked={look.sorted}
          onChange={(event) => change({ sorted: event.currentTarget.checked })}
        />
        sort heads
      </label>
      <label class="mv-check">
        outline
        <select
          data-lm-suppress-shortcuts
          value={look.top}
          onChange={(event) => change({ top: Number(event.currentTarget.value) })}
        >
          {TOPS.map((top) => (
            <option key={top} value={top}>
              {top ? `top ${top}` : "none"}
            </option>
          ))}
        </select>
      </label>
      <label class="mv-check">
        dim below
        <input
          type="range"
          data-lm-suppress-shortcuts
          min={0}
          max={1}
          step={0.05}
          value={look.least}
          aria-valuetext={`${leastWords(look, grids)} ${unitWords(grids)}`}
          onInput={(event) => change({ least: Number(event.currentTarget.value) })}
        />
        <output>{leastWords(look, grids)}</output>
      </label>
    </div>
  );
}

/** The threshold in words; that of a share is how far it lies from a half. */
function leastWords({ least }: GridLook, { unit, limit, digits }: Grids): string {
  return unit === "positive" ? `50 ± ${Math.round(100 * least * limit)}%` : plain(least * limit, digits);
}

export function UnitToggle() {
  const { store } = useView();
  const unit = useField("unit");
  const spec = useField("spec");
  if (!spec.scores && !spec.study) return null; // numbers of somebody else's: they have one unit
  const metric = spec.grids[0]?.metric ?? "effect";
  const units: [Unit, string][] = spec.study
    ? [
        ["effect", metric],
        ["ratio", "ratio of sums"],
        ["raw", "raw"],
        ["positive", "share of pairs"],
      ]
    : [
        ["effect", metric],
        ["score", "score difference"],
        ...(spec.ranks ? [["rank", "rank difference"] as [Unit, string]] : []),
      ];
  const closed = !metricDefined(spec);
  return (
    <fieldset class="mv-toggle" aria-label="unit of the grid">
      {units.map(([value, label]) => (
        <button
          key={value}
          type="button"
          data-lm-suppress-shortcuts
          aria-pressed={unit === value}
          disabled={value === "effect" && closed}
          title={value === "effect" && closed ? spec.gate?.message : undefined}
          onClick={() => store.set("unit", value)}
        >
          {label}
        </button>
      ))}
    </fieldset>
  );
}
