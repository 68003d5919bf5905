/** Two pictures of one head, base and source, level with each other in one scroll container. */
import { useEffect, useMemo, useRef } from "preact/hooks";
import { type Block, chooseEdges, type EdgeChoice, isSpecial, lineLook, partners } from "../marks/edges";
import { isPick } from "../marks/keys";
import { joins, tokenLabel } from "../marks/rows";
import { count, percent, weightText } from "../marks/scale";
import type { Condition, HeadAttention, RunAttention } from "../wire";
import { useField, useFocusedPos, usePositionEvents, usePositionMarks, useView } from "./hooks";
import { QueryLabel, WeightBars } from "./weight_bars";

const LINE_HEIGHT = 18;
const TIGHT_LINE_HEIGHT = 15;
const TIGHT_FROM = 60;
const NUMBERED_PARTNERS = 10;

type PairProps = { attention: HeadAttention; block: Block; hide_added: boolean };

export function LinePair({ attention, block, hide_added }: PairProps) {
  const spec = useField("spec");
  const { pos } = useField("selection");
  const scroll = useRef<HTMLDivElement>(null);
  usePositionMarks(scroll);
  const height = spec.alignment.length > TIGHT_FROM ? TIGHT_LINE_HEIGHT : LINE_HEIGHT;
  // A position that was pinned in another panel is brought into sight, moving nothing but this container.
  useEffect(() => {
    const box = scroll.current;
    if (!box || pos === null) return;
    const top = pos * height;
    if (top < box.scrollTop || top > box.scrollTop + box.clientHeight - 60)
      box.scrollTop = top - box.clientHeight / 2;
  }, [pos, height]);
  const query_label = spec.attention.query_labels?.[0];
  const choices = useMemo(() => {
    const choose = (condition: Condition) => {
      const { segments } = spec.tokens[condition];
      const query = query_label === undefined ? segments : [];
      return chooseEdges(attention[condition], { query, key: segments }, { hide_added, block });
    };
    return { base: choose("base"), source: choose("source") };
  }, [spec, attention, hide_added, block]);
  const forward = spec.direction === "perturbed->original";
  const half = (condition: Condition, text: string) => (
    <Half
      title={`${condition} run: ${text}`}
      hidden={hide_added}
      {...{ condition, attention, choices, height, query_label }}
    />
  );
  return (
    <div class="mv-lines-scroll" ref={scroll} style={{ "--line": `${height}px` }}>
      {half("base", forward ? "original" : "perturbed")}
      {half("source", forward ? "perturbed" : "original")}
    </div>
  );
}

type HalfProps = {
  title: string;
  condition: Condition;
  attention: HeadAttention;
  choices: Record<Condition, EdgeChoice>;
  hidden: boolean;
  height: number;
  /** What attends, where that is no position of the text. */
  query_label: string | undefined;
};

function Half({ title, condition, attention, choices, hidden, height, query_label }: HalfProps) {
  const spec = useField("spec");
  const run = attention[condition];
  const { indices, shown_mass, added_mass } = choices[condition];
  const { segments } = spec.tokens[condition];
  const rows = segments.length * height;
  const lines = { run, indices, height };
  const bars = query_label !== undefined;
  const shown = `${count(indices.length)} of ${count(run.of)} ${bars ? "weights" : "lines"}, ${percent(shown_mass)} of the mass`;
  const added = segments.includes("prompt") ? "special and prompt tokens" : "special tokens";
  const left_out = `hidden: ${percent(added_mass)}, at ${added}`;
  const largest = (of: Condition) => attention[of].weight[choices[of].indices[0] ?? -1] ?? 0;
  return (
    <div class="mv-half" data-condition={condition}>
      <div class="mv-half-head">
        <h4>{title}</h4>
        <p title={shown}>{shown}</p>
        {hidden && <p title={left_out}>{left_out}</p>}
      </div>
      <div class="mv-half-body">
        {bars ? (
          <QueryLabel label={query_label} tokens={spec.tokens[condition]} {...lines} />
        ) : (
          <Column condition={condition} side="from" />
        )}
        <div class="mv-strands" style={{ height: `${rows}px` }}>
          {bars ? (
            <WeightBars {...lines} limit={Math.max(largest("base"), largest("source"))} />
          ) : (
            <>
              <svg viewBox={`0 0 100 ${rows}`} preserveAspectRatio="none" aria-hidden="true">
                <FocusedLines {...lines} />
                <AllLines {...lines} />
              </svg>
              <PartnerNumbers {...lines} />
            </>
          )}
        </div>
        <Column
          condition={condition}
          side="to"
          received={bars ? undefined : run.received}
          strongest={Math.max(1e-9, ...attention.base.received, ...attention.source.received)}
        />
      </div>
    </div>
  );
}

export type LinesProps = { run: RunAttention; indices: number[]; height: number };

function useLine({ run, indices, height }: LinesProps) {
  const { alignment } = useField("spec");
  return (i: number) => {
    const [from, to] = [run.query_pos[i] as number, run.key_pos[i] as number];
    const { opacity, width } = lineLook(run.weight[i] as number, indices.length);
    const changed = alignment[from] !== "equal" || alignment[to] !== "equal";
    return (
      <line
        key={i}
        class={changed ? "mv-line-changed" : undefined}
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

function AllLines({ run, indices, height }: LinesProps) {
  const line = useLine({ run, indices, height });
  // Strong lines come first on the wire and are drawn last, on top.
  return useMemo(
    () => <g class="mv-all-lines">{[...indices].reverse().map(line)}</g>,
    [run, indices, height],
  );
}

function FocusedLines({ run, indices, height }: LinesProps) {
  const focus = useFocusedPos();
  const line = useLine({ run, indices, height });
  if (!focus) return null;
  const own = indices.filter(
    (i) =>
      (focus.side !== "to" && run.query_pos[i] === focus.pos) ||
      (focus.side !== "from" && run.key_pos[i] === focus.pos),
  );
  return <g class="mv-focused-lines">{own.reverse().map(line)}</g>;
}

/** Weights beside the strongest partners of the focused position. */
function PartnerNumbers({ run, indices, height }: LinesProps) {
  const focus = useFocusedPos();
  if (!focus) return null;
  const { to, from } = partners(run, indices, focus.pos);
  const numbers = (side: "from" | "to", weights: Map<number, number>) =>
    [...weights].slice(0, NUMBERED_PARTNERS).map(([pos, weight]) => (
      <span key={`${side}${pos}`} class="mv-weight" data-side={side} style={{ top: `${pos * height}px` }}>
        {weightText(weight)}
      </span>
    ));
  return (
    <div aria-hidden="true">
      {focus.side !== "to" && numbers("to", to)}
      {focus.side !== "from" && numbers("from", from)}
    </div>
  );
}

const FILLER = "filler: keeps both texts the same length";
const PROMPT = "prompt: a token that the ranker itself adds";

type ColumnProps = {
  condition: Condition;
  side: "from" | "to";
  received?: Float32Array | undefined;
  strongest?: number;
};

function Column({ condition, side, received, strongest = 1 }: ColumnProps) {
  const { store } = useView();
  const spec = useField("spec");
  const { pos: pinned } = useField("selection");
  const { pin, ...events } = usePositionEvents(side);
  const onKeyDown = (event: KeyboardEvent) => {
    const node = event.target as HTMLElement;
    const step = { ArrowDown: node.nextElementSibling, ArrowUp: node.previousElementSibling }[event.key];
    if (step) (step as HTMLElement).focus();
    else if (isPick(event)) pin(Number(node.dataset.pos));
    else if (!event.key.startsWith("Arrow")) return;
    event.preventDefault();
  };
  const options = useMemo(() => {
    const { labels, segments, fillers } = spec.tokens[condition];
    return labels.map((_label, pos) => (
      <div
        key={pos}
        role="option"
        data-pos={pos}
        data-segment={isSpecial(segments[pos]) ? "special" : segments[pos]}
        data-changed={(spec.alignment[pos] ?? "equal") !== "equal" || undefined}
        data-filler={Boolean(fillers[pos]) || undefined}
        data-joined={joins(spec.tokens[condition], pos) || undefined}
        data-lm-suppress-shortcuts
        aria-selected={pos === pinned}
        tabIndex={pos === (pinned ?? 0) ? 0 : -1}
        title={fillers[pos] ? FILLER : segments[pos] === "prompt" ? PROMPT : undefined}
      >
        {received && <i style={{ width: `${(100 * (received[pos] ?? 0)) / strongest}%` }} />}
        <span dir="auto">{tokenLabel(spec.tokens[condition], pos)}</span>
      </div>
    ));
  }, [spec, condition, pinned, received, strongest]);
  const label = `${side === "from" ? "tokens that attend" : "tokens attended to"}, ${condition} run`;
  return (
    <div
      class="mv-column"
      role="listbox"
      aria-label={label}
      data-side={side}
      onKeyDown={onKeyDown}
      onFocusIn={(event) =>
        store.set("hovered_pos", { pos: Number((event.target as HTMLElement).dataset.pos), side })
      }
      onFocusOut={() => store.set("hovered_pos", null)}
      {...events}
    >
      {options}
    </div>
  );
}
