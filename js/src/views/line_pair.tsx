/** Two pictures of one head, base and source, level with each other in one scroll container. */
import { useEffect, useMemo, useRef } from "preact/hooks";
import { type Block, chooseEdges, isSpecial, lineLook, partners } from "../marks/edges";
import { isPick } from "../marks/keys";
import { joins } from "../marks/rows";
import { count, percent } from "../marks/scale";
import type { Side } from "../store";
import type { Condition, HeadAttention, RunAttention } from "../wire";
import { useField, usePositionEvents, usePositionMarks, useView } from "./hooks";

const LINE_HEIGHT = 18;
const TIGHT_LINE_HEIGHT = 15;
const TIGHT_FROM = 60;
const NUMBERED_PARTNERS = 10;

type PairProps = { attention: HeadAttention; block: Block; hide_special: boolean };

export function LinePair({ attention, block, hide_special }: PairProps) {
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
  const forward = spec.direction === "perturbed->original";
  return (
    <div class="mv-lines-scroll" ref={scroll} style={{ "--line": `${height}px` }}>
      <Half
        title={`base run: ${forward ? "original" : "perturbed"}`}
        condition="base"
        {...{ attention, block, hide_special, height }}
      />
      <Half
        title={`source run: ${forward ? "perturbed" : "original"}`}
        condition="source"
        {...{ attention, block, hide_special, height }}
      />
    </div>
  );
}

type HalfProps = PairProps & { title: string; condition: Condition; height: number };

function Half({ title, condition, attention, block, hide_special, height }: HalfProps) {
  const spec = useField("spec");
  const run = attention[condition];
  const { segments } = spec.tokens[condition];
  const choice = useMemo(
    () => chooseEdges(run, segments, { hide_special, block }),
    [run, segments, hide_special, block],
  );
  const strongest = Math.max(1e-9, ...attention.base.received, ...attention.source.received);
  const rows = segments.length * height;
  const shown = `showing ${count(choice.indices.length)} of ${count(run.of)} lines, ${percent(choice.shown_mass)} of the mass`;
  return (
    <div class="mv-half" data-condition={condition}>
      <div class="mv-half-head">
        <h4>{title}</h4>
        <p title={shown}>{shown}</p>
        {hide_special && <p>{percent(choice.special_mass)} of the mass, at special tokens, is hidden</p>}
      </div>
      <div class="mv-half-body">
        <Column condition={condition} side="from" />
        <div class="mv-strands" style={{ height: `${rows}px` }}>
          <svg viewBox={`0 0 100 ${rows}`} preserveAspectRatio="none" aria-hidden="true">
            <FocusedLines run={run} indices={choice.indices} height={height} />
            <AllLines run={run} indices={choice.indices} height={height} />
          </svg>
          <PartnerNumbers run={run} indices={choice.indices} height={height} />
        </div>
        <Column condition={condition} side="to" received={run.received} strongest={strongest} />
      </div>
    </div>
  );
}

type LinesProps = { run: RunAttention; indices: number[]; height: number };

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

/** The position whose lines stand out, and on which side it was meant: the hovered one, else the pinned one. */
function useFocusedPos(): { pos: number; side: Side } | null {
  const hovered = useField("hovered_pos");
  const { pos } = useField("selection");
  const side = useField("pinned_side");
  return hovered ?? (pos === null ? null : { pos, side });
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
        {weight.toFixed(2).replace(/^0/, "")}
      </span>
    ));
  return (
    <div aria-hidden="true">
      {focus.side !== "to" && numbers("to", to)}
      {focus.side !== "from" && numbers("from", from)}
    </div>
  );
}

type ColumnProps = { condition: Condition; side: "from" | "to"; received?: Float32Array; strongest?: number };

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
    const { labels, strings, segments, fillers } = spec.tokens[condition];
    return labels.map((label, pos) => (
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
        title={fillers[pos] ? "filler: keeps both texts the same length" : undefined}
      >
        {received && <i style={{ width: `${(100 * (received[pos] ?? 0)) / strongest}%` }} />}
        <span dir="auto">{label || strings[pos]}</span>
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
