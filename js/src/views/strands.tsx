/** The lines of one picture: all of them, those of the position in focus, and the weights of its partners. */
import { useMemo } from "preact/hooks";
import { lineLook, partners, type Strand } from "../marks/edges";
import type { Lanes } from "../marks/lanes";
import { signed, weightText } from "../marks/scale";
import type { TextSpec } from "../wire";
import { useFocusedPos } from "./hooks";

const NUMBERED_PARTNERS = 10;

export type LinesProps = {
  /** By head. */
  strands: Strand[][];
  right: Lanes;
  text: TextSpec;
  height: number;
  signed: boolean;
  /** Positions are those of the keys: what attends is another text. */
  keys_only: boolean;
};

function useLine({ strands, right, text, height, signed: sign }: LinesProps) {
  const n = strands.reduce((sum, of) => sum + of.length, 0);
  const changed = useMemo(
    () => right.lanes.map(({ positions }) => positions.some((pos) => text.alignment[pos] !== "equal")),
    [right, text],
  );
  return ({ from, to, weight }: Strand, series: number) => {
    const { opacity, width } = lineLook(weight, n);
    return (
      <line
        key={`${series}.${from}.${to}`}
        class={sign || strands.length > 1 || !(changed[from] || changed[to]) ? undefined : "mv-line-changed"}
        data-sign={sign ? Math.sign(weight) : undefined}
        data-series={strands.length > 1 ? series : undefined}
        x1={0}
        x2={100}
        y1={(from + 0.5) * height}
        y2={(to + 0.5) * height}
        stroke-opacity={opacity}
        stroke-width={width}
      />
    );
  };
}

export function AllLines(props: LinesProps) {
  const line = useLine(props);
  const { strands, height } = props;
  // Strong lines come first on the wire and are drawn last, on top.
  return useMemo(
    () => <g class="mv-all-lines">{strands.map((of, i) => [...of].reverse().map((one) => line(one, i)))}</g>,
    [strands, height],
  );
}

/** The lane of the hovered or pinned position, and the side it was meant on. */
function useFocusedLane({ right, keys_only }: LinesProps) {
  const focus = useFocusedPos();
  if (!focus) return null;
  const lane = right.of[focus.pos];
  return lane === undefined ? null : { lane, side: keys_only ? "to" : focus.side };
}

export function FocusedLines(props: LinesProps) {
  const focus = useFocusedLane(props);
  const line = useLine(props);
  if (!focus) return null;
  const own = (strand: Strand) =>
    (focus.side !== "to" && strand.from === focus.lane) ||
    (focus.side !== "from" && strand.to === focus.lane);
  return (
    <g class="mv-focused-lines">
      {props.strands.map((of, i) =>
        of
          .filter(own)
          .reverse()
          .map((one) => line(one, i)),
      )}
    </g>
  );
}

/** Weights beside the strongest partners of the focused lane, of the first head. */
export function PartnerNumbers(props: LinesProps) {
  const focus = useFocusedLane(props);
  if (!focus) return null;
  const { to, from } = partners(props.strands[0] as Strand[], focus.lane);
  const numbers = (side: "from" | "to", weights: Map<number, number>) =>
    [...weights].slice(0, NUMBERED_PARTNERS).map(([lane, weight]) => (
      <span
        key={`${side}${lane}`}
        class="mv-weight"
        data-side={side}
        style={{ top: `${lane * props.height}px` }}
      >
        {props.signed ? signed(weight) : weightText(weight)}
      </span>
    ));
  return (
    <div aria-hidden="true">
      {focus.side !== "to" && numbers("to", to)}
      {focus.side !== "from" && numbers("from", from)}
    </div>
  );
}
