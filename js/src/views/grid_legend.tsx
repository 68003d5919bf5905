/** What the grids' colours and marks mean. */
import type { Grids } from "../marks/cells";
import { gradient } from "../marks/colour";
import { percent, plain } from "../marks/scale";
import { CLEAR, NOT_COMPUTED, PREVIEW } from "../wire";
import type { GridLook } from "./grid_controls";
import { useField } from "./hooks";

const MEANINGS: Record<string, string> = {
  effect: "0 = nothing moved, 1 = the whole change",
  raw: "patched minus base score (0 = nothing moved)",
  robust: "score difference over \u221a(1 + change\u00b2) (0 = nothing moved)",
  rank: "places that the document moves up (+) or down (\u2212)",
  values: "as they were given; white or black is 0",
  ratio: "patched minus base over source minus base, each summed over the pairs",
  mean: "mean over the pairs of patched minus base score",
  positive: "share of pairs whose score moves the way the perturbation moves it",
};

/** What a unit is called in `MEANINGS`, where it is not the metric itself. */
const MEANT: Record<string, string> = { score: "raw", raw: "mean" };

export function GridLegend({ grids, look }: { grids: Grids; look: GridLook }) {
  const [dark, spec] = [useField("dark"), useField("spec")];
  const { unit, metric, limit, digits, stacks } = grids;
  const study = stacks.some((grid) => grid.study);
  const states = stacks.flatMap(({ state, mlps }) => [state, ...(mlps ? [mlps.state] : [])]);
  const any = (state: number) => states.some((all) => all.includes(state));
  const values = stacks.flatMap((grid) => [grid.values, ...(grid.mlps ? [grid.mlps.values] : [])]);
  const over = values.some((all) => all.some((value) => Math.abs(value) > limit));
  const meaning =
    unit === "effect"
      ? (MEANINGS[metric] ?? `the metric ${metric}, computed in Python`)
      : MEANINGS[MEANT[unit] ?? unit];
  return (
    <div class="mv-legend">
      <div class="mv-ramp">
        <div class="mv-ramp-bar" style={{ background: gradient(dark) }} />
        <div class="mv-ramp-numbers">
          <span>{grids.words(-limit)}</span>
          <span>{unit === "positive" ? grids.words(0) : "0"}</span>
          <span title="99th percentile of the heads' sizes">{grids.words(limit)}</span>
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
            <span class="mv-cell mv-swatch" data-state={NOT_COMPUTED} />{" "}
            {study ? "not defined" : "not computed"}
          </li>
        )}
        {over && (
          <li>
            <span class="mv-cell mv-swatch" data-state={2} data-over />{" "}
            {unit === "positive" ? "beyond these" : `beyond ±${plain(limit, digits)}`}
          </li>
        )}
        {look.top > 0 && (
          <li>
            <span class="mv-cell mv-swatch" data-state={2} data-top /> of the {look.top} strongest
          </li>
        )}
        {study && (
          <li>
            <span class="mv-cell mv-swatch" data-state={2} data-weak /> q over {CLEAR}: not told apart after
            correction
          </li>
        )}
        {stacks.some(({ bounds }) => bounds[0]) && (
          <li>
            <span class="mv-cell mv-swatch" data-state={2} data-unsure data-weak={study || undefined} />{" "}
            {percent(spec.study?.confidence ?? 0.95)} interval holds 0
          </li>
        )}
      </ul>
    </div>
  );
}
