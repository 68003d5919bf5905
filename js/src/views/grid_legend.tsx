/** What the grids' colours and marks mean. */
import type { Grids } from "../marks/cells";
import { gradient } from "../marks/colour";
import { plain, signed } from "../marks/scale";
import { NOT_COMPUTED, PREVIEW } from "../wire";
import type { GridLook } from "./grid_controls";
import { useField } from "./hooks";

const MEANINGS: Record<string, string> = {
  effect: "0 = nothing moved, 1 = the whole change",
  raw: "patched minus base score (0 = nothing moved)",
  robust: "score difference over \u221a(1 + change\u00b2) (0 = nothing moved)",
  rank: "places that the document moves up (+) or down (\u2212)",
  values: "as they were given; white or black is 0",
};

export function GridLegend({ grids, look }: { grids: Grids; look: GridLook }) {
  const dark = useField("dark");
  const { unit, metric, limit, digits, stacks } = grids;
  const states = stacks.flatMap(({ state, mlps }) => [state, ...(mlps ? [mlps.state] : [])]);
  const any = (state: number) => states.some((all) => all.includes(state));
  const values = stacks.flatMap((grid) => [grid.values, ...(grid.mlps ? [grid.mlps.values] : [])]);
  const over = values.some((all) => all.some((value) => Math.abs(value) > limit));
  const meaning =
    unit === "effect"
      ? (MEANINGS[metric] ?? `the metric ${metric}, computed in Python`)
      : MEANINGS[unit === "score" ? "raw" : "rank"];
  return (
    <div class="mv-legend">
      <div class="mv-ramp">
        <div class="mv-ramp-bar" style={{ background: gradient(dark) }} />
        <div class="mv-ramp-numbers">
          <span>{signed(-limit, digits)}</span>
          <span>0</span>
          <span title="99th percentile of the heads' sizes">{signed(limit, digits)}</span>
        </div>
      </div>
      <p>{meaning}</p>
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
        {look.top > 0 && (
          <li>
            <span class="mv-cell mv-swatch" data-state={2} data-top /> of the {look.top} strongest
          </li>
        )}
        {stacks.some(({ low }) => low) && (
          <li>
            <span class="mv-cell mv-swatch" data-state={2} data-unsure /> 95% interval holds 0
          </li>
        )}
      </ul>
    </div>
  );
}
