/** What the grid's colours and marks mean, and the choice of unit. */
import type { GridValues } from "../marks/cells";
import { gradient } from "../marks/colour";
import { plain, signed } from "../marks/scale";
import type { Unit } from "../store";
import { NOT_COMPUTED, PREVIEW } from "../wire";
import { useField, useView } from "./hooks";

const UNITS: [Unit, string][] = [
  ["effect", "effect"],
  ["score", "score difference"],
];

export function UnitToggle() {
  const { store } = useView();
  const unit = useField("unit");
  const { gate } = useField("spec");
  return (
    <fieldset class="mv-toggle" aria-label="unit of the grid">
      {UNITS.map(([value, label]) => (
        <button
          key={value}
          type="button"
          data-lm-suppress-shortcuts
          aria-pressed={unit === value}
          disabled={value === "effect" && !gate.open}
          title={value === "effect" && !gate.open ? gate.message : undefined}
          onClick={() => store.set("unit", value)}
        >
          {label}
        </button>
      ))}
    </fieldset>
  );
}

export function GridLegend({ grid }: { grid: GridValues }) {
  const dark = useField("dark");
  const { unit, limit, digits } = grid;
  const any = (state: number) => grid.state.includes(state);
  const over = grid.values.some((value) => Math.abs(value) > limit);
  return (
    <div class="mv-legend">
      <div class="mv-ramp">
        <div class="mv-ramp-bar" style={{ background: gradient(dark) }} />
        <div class="mv-ramp-numbers">
          <span>{signed(-limit, digits)}</span>
          <span>0</span>
          <span title="99th percentile of the values' sizes">{signed(limit, digits)}</span>
        </div>
      </div>
      <p>
        {unit === "effect"
          ? "0 = nothing moved, 1 = the whole change"
          : `patched minus base score (${plain(0, 0)} = nothing moved)`}
      </p>
      <ul>
        {any(PREVIEW) && (
          <li>
            <span class="mv-cell mv-swatch" data-state={PREVIEW} /> preview, may be wrong
          </li>
        )}
        {any(NOT_COMPUTED) && (
          <li>
            <span class="mv-cell mv-swatch" data-state={NOT_COMPUTED} /> not computed
          </li>
        )}
        {over && (
          <li>
            <span class="mv-cell mv-swatch" data-state={2} data-over /> beyond ±{plain(limit, digits)}
          </li>
        )}
      </ul>
    </div>
  );
}
