/** What the grid's colours and marks mean, and the choice of unit. */
import type { GridValues } from "../marks/cells";
import { gradient } from "../marks/colour";
import { plain, signed } from "../marks/scale";
import type { Unit } from "../store";
import { metricDefined, NOT_COMPUTED, PREVIEW } from "../wire";
import { useField, useView } from "./hooks";

const MEANINGS: Record<string, string> = {
  effect: "0 = nothing moved, 1 = the whole change",
  raw: "patched minus base score (0 = nothing moved)",
  robust: "score difference over \u221a(1 + change\u00b2) (0 = nothing moved)",
};

export function UnitToggle() {
  const { store } = useView();
  const unit = useField("unit");
  const spec = useField("spec");
  const units: [Unit, string][] = [
    ["effect", spec.grid.metric],
    ["score", "score difference"],
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
          title={value === "effect" && closed ? spec.gate.message : undefined}
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
  const { unit, metric, limit, digits } = grid;
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
        {unit === "score" ? MEANINGS.raw : (MEANINGS[metric] ?? `the metric ${metric}, computed in Python`)}
      </p>
      <ul>
        {limit > 0 && <li>+ − at least half of the scale</li>}
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
