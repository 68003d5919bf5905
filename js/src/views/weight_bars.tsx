/**
 * Attention from one place that is no position of the text (the decoder's first step): with a single query the slope of
 * a line would say nothing, so every key has a bar, and the place and its strongest keys stay in sight.
 */
import { useMemo } from "preact/hooks";
import { joins, tokenLabel } from "../marks/rows";
import { weightText } from "../marks/scale";
import type { TokenSpec } from "../wire";
import { useField, useFocusedPos, usePositionEvents } from "./hooks";
import type { LinesProps } from "./line_pair";

const NUMBERED = 10;
const LISTED = 6;

/** Edges come by falling weight. */
export function QueryLabel({
  label,
  tokens,
  run,
  indices,
}: LinesProps & { label: string; tokens: TokenSpec }) {
  const { alignment } = useField("spec");
  const { pos: pinned } = useField("selection");
  const { pin: _, ...events } = usePositionEvents("to");
  return (
    <div class="mv-query-label">
      <div>
        <strong>{label}</strong>
        <ol aria-label="attends most to" {...events}>
          {indices.slice(0, LISTED).map((i) => {
            const pos = run.key_pos[i] as number;
            return (
              <li key={pos}>
                <button type="button" data-lm-suppress-shortcuts data-pos={pos} aria-pressed={pos === pinned}>
                  <bdi
                    data-changed={alignment[pos] !== "equal" || undefined}
                    data-joined={joins(tokens, pos) || undefined}
                  >
                    {tokenLabel(tokens, pos)}
                  </bdi>{" "}
                  {weightText(run.weight[i] as number)}
                </button>
              </li>
            );
          })}
        </ol>
      </div>
    </div>
  );
}

export function WeightBars({ run, indices, height, limit }: LinesProps & { limit: number }) {
  const { alignment } = useField("spec");
  const focus = useFocusedPos();
  const share = (i: number) => (run.weight[i] as number) / limit;
  const top = (i: number) => `${(run.key_pos[i] as number) * height}px`;
  const bars = useMemo(
    () =>
      indices.map((i) => (
        <i
          key={run.key_pos[i]}
          data-changed={alignment[run.key_pos[i] as number] !== "equal" || undefined}
          style={{ top: top(i), "--share": share(i) }}
        />
      )),
    [run, indices, height, limit, alignment],
  );
  const numbered = indices.filter((i, place) => place < NUMBERED || run.key_pos[i] === focus?.pos);
  return (
    <div class="mv-bars" aria-hidden="true">
      {bars}
      {numbered.map((i) => (
        <b key={run.key_pos[i]} style={{ top: top(i), "--share": share(i) }}>
          {weightText(run.weight[i] as number)}
        </b>
      ))}
    </div>
  );
}
