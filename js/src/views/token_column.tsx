/** A list of tokens, words and folds beside the lines: what attends, or what is attended to. */
import { useMemo } from "preact/hooks";
import { isSpecial } from "../marks/edges";
import { isPick } from "../marks/keys";
import type { Lane, Lanes } from "../marks/lanes";
import { joins, tokenLabel } from "../marks/rows";
import type { Condition, TextSpec, TokenSpec } from "../wire";
import { useField, usePositionEvents, useView } from "./hooks";

const FILLER = "filler: keeps both texts the same length";
const PROMPT = "prompt: a token that the ranker itself adds";

type ColumnProps = {
  condition: Condition;
  tokens: TokenSpec;
  text: TextSpec;
  side: "from" | "to";
  lanes: Lanes;
  received?: Float32Array | undefined;
  strongest?: number;
  open: (lane: Lane) => void;
};

function laneLabel(lane: Lane, tokens: TokenSpec): string {
  if (lane.kind === "fold") return `… ${lane.positions.length} tokens`;
  return lane.positions.map((pos) => tokenLabel(tokens, pos)).join("");
}

export function Column({ condition, tokens, text, side, lanes, received, strongest = 1, open }: ColumnProps) {
  const { store } = useView();
  const { pos: pinned } = useField("selection");
  const { pin, ...events } = usePositionEvents(side);
  const laneAt = (node: Element | null) => lanes.lanes[Number((node as HTMLElement | null)?.dataset.lane)];
  const act = (lane: Lane | undefined) => {
    if (lane?.kind === "fold") open(lane);
    else if (lane) pin(lane.positions[0] as number);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const node = event.target as HTMLElement;
    const step = { ArrowDown: node.nextElementSibling, ArrowUp: node.previousElementSibling }[event.key];
    if (step) (step as HTMLElement).focus();
    else if (isPick(event)) act(laneAt(node));
    else if (!event.key.startsWith("Arrow")) return;
    event.preventDefault();
  };
  const options = useMemo(() => {
    const { segments, fillers } = tokens;
    const first_lane = pinned === null ? 0 : (lanes.of[pinned] ?? 0);
    return lanes.lanes.map((lane, at) => {
      const pos = lane.positions[0] as number;
      const token = lane.kind === "token";
      const share = lane.positions.reduce((sum, each) => sum + (received?.[each] ?? 0), 0);
      return (
        <div
          key={pos}
          role="option"
          data-lane={at}
          data-pos={lane.positions.join(" ")}
          data-kind={token ? undefined : lane.kind}
          data-segment={isSpecial(segments[pos]) ? "special" : segments[pos]}
          data-changed={
            lane.positions.some((each) => (text.alignment[each] ?? "equal") !== "equal") || undefined
          }
          data-filler={(token && Boolean(fillers[pos])) || undefined}
          data-joined={(token && joins(tokens, pos)) || undefined}
          data-lm-suppress-shortcuts
          aria-selected={pinned !== null && lane.positions.includes(pinned)}
          tabIndex={at === first_lane ? 0 : -1}
          title={
            lane.kind === "fold"
              ? "little attention comes from here or goes here; a click shows the tokens"
              : fillers[pos]
                ? FILLER
                : segments[pos] === "prompt"
                  ? PROMPT
                  : undefined
          }
        >
          {received && <i style={{ width: `${Math.min(100, (100 * share) / strongest)}%` }} />}
          <span dir="auto">{laneLabel(lane, tokens)}</span>
        </div>
      );
    });
  }, [tokens, text, lanes, pinned, received, strongest]);
  const run = condition === "difference" ? "both runs" : text.source ? `${condition} run` : "attention";
  return (
    <div
      class="mv-column"
      role="listbox"
      aria-label={`${side === "from" ? "tokens that attend" : "tokens attended to"}, ${run}`}
      data-side={side}
      onKeyDown={onKeyDown}
      onFocusIn={(event) => {
        const pos = laneAt(event.target as HTMLElement)?.positions[0];
        store.set("hovered_pos", pos === undefined ? null : { pos, side });
      }}
      onFocusOut={() => store.set("hovered_pos", null)}
      onPointerOver={events.onPointerOver}
      onPointerLeave={events.onPointerLeave}
      onClick={(event) => act(laneAt((event.target as Element).closest("[data-lane]")))}
    >
      {options}
    </div>
  );
}

/** What attends, where that is another text than what is attended to. */
export function Labels({ labels }: { labels: string[] }) {
  return (
    <ol class="mv-column" data-side="from" aria-label="tokens that attend">
      {labels.map((label, i) => (
        <li key={i}>
          <span dir="auto">{label}</span>
        </li>
      ))}
    </ol>
  );
}
