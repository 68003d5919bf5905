/**
 * Attention from one place that is no position of the text (the decoder's first step): with a single query the slope of
 * a line would say nothing, so every key has a bar, and the place and its strongest keys stay in sight.
 */
import { useMemo } from "preact/hooks";
import type { Strand } from "../marks/edges";
import { joins, tokenLabel } from "../marks/rows";
import { weightText } from "../marks/scale";
import type { TextSpec, TokenSpec } from "../wire";
import { useField, useFocusedPos, usePositionEvents } from "./hooks";

const NUMBERED = 10;
const LISTED = 6;

type LabelProps = { label: string; tokens: TokenSpec; text: TextSpec; strands: Strand[] };

/** Strands come by falling weight; their lanes are positions. */
export function QueryLabel({ label, tokens, text, strands }: LabelProps) {
  const { pos: pinned } = useField("selection");
  const { pin: _, ...events } = usePositionEvents("to");
  return (
    <div class="mv-query-label">
      <div>
        <strong>{label}</strong>
        <ol aria-label="attends most to" {...events}>
          {strands.slice(0, LISTED).map(({ to: pos, weight }) => (
            <li key={pos}>
              <button type="button" data-lm-suppress-shortcuts data-pos={pos} aria-pressed={pos === pinned}>
                <bdi
                  data-changed={text.alignment[pos] !== "equal" || undefined}
                  data-joined={joins(tokens, pos) || undefined}
                >
                  {tokenLabel(tokens, pos)}
                </bdi>{" "}
                {weightText(weight)}
              </button>
            </li>
          ))}
        </ol>
      </div>
    </div>
  );
}

type BarsProps = { text: TextSpec; strands: Strand[]; height: number; limit: number };

export function WeightBars({ text, strands, height, limit }: BarsProps) {
  const focus = useFocusedPos();
  const style = ({ to, weight }: Strand) => ({ top: `${to * height}px`, "--share": weight / limit });
  const bars = useMemo(
    () =>
      strands.map((strand) => (
        <i
          key={strand.to}
          data-changed={text.alignment[strand.to] !== "equal" || undefined}
          style={style(strand)}
        />
      )),
    [strands, height, limit, text],
  );
  const numbered = strands.filter(({ to }, place) => place < NUMBERED || to === focus?.pos);
  return (
    <div class="mv-bars" aria-hidden="true">
      {bars}
      {numbered.map((strand) => (
        <b key={strand.to} style={style(strand)}>
          {weightText(strand.weight)}
        </b>
      ))}
    </div>
  );
}
