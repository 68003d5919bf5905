/** Pictures of attention, level with each other in one scroll container: a run each, or the difference of both. */
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import {
  chooseEdges,
  type EdgeChoice,
  type EdgeRule,
  isSpecial,
  lineLook,
  partners,
  type Strand,
  strandsOf,
  tokensOf,
} from "../marks/edges";
import { isPick } from "../marks/keys";
import { type Lane, type Lanes, LONG, lanesOf, plainLanes } from "../marks/lanes";
import { joins, tokenLabel } from "../marks/rows";
import { count, percent, signed, weightText } from "../marks/scale";
import type {
  Condition,
  Edges,
  HeadAttention,
  RunAttention,
  Segment,
  StackSpec,
  TextSpec,
  TokenSpec,
} from "../wire";
import { useField, useFocusedPos, usePositionEvents, usePositionMarks, useView } from "./hooks";
import { Minimap } from "./minimap";
import type { Picture } from "./token_lines";
import { QueryLabel, WeightBars } from "./weight_bars";

const LINE_HEIGHT = 18;
const TIGHT_LINE_HEIGHT = 15;
const TIGHT_FROM = 60;
const NUMBERED_PARTNERS = 10;
const MAP_FROM = 36; // rows: fewer are in sight at once

export interface LineRule extends Omit<EdgeRule, "mass"> {
  words: boolean;
  fold: boolean;
  /** Null: as many lines as can be read. */
  mass: number | null;
}

type PicturesProps = {
  series: HeadAttention[];
  stack: StackSpec;
  picture: Picture;
  rule: LineRule & { mass: number };
};

/** The edges of one head that are chosen, in one condition. */
type Chosen = { edges: Edges; choice: EdgeChoice };

const edgesOf = (head: HeadAttention, condition: Condition) => head[condition] as Edges | null;

export function LinePictures({ series, stack, picture, rule }: PicturesProps) {
  const spec = useField("spec");
  const { pos } = useField("selection");
  const text = spec.texts[stack.text] as TextSpec;
  const scroll = useRef<HTMLDivElement>(null);
  const [opened, setOpened] = useState<ReadonlySet<number>>(new Set());
  usePositionMarks(scroll);
  const labels = stack.query_labels;
  const bars = labels?.length === 1;
  const conditions: Condition[] = picture === "both" ? ["base", "source"] : [picture];
  const { hide_added, block, mass } = rule;

  const chosen = useMemo(() => {
    const choose = (head: HeadAttention, condition: Condition): Chosen => {
      const edges = edgesOf(head, condition) as Edges;
      const { segments } = tokensOf(text, condition);
      const of = { query: labels ? [] : segments, key: segments };
      return { edges, choice: chooseEdges(edges, of, { hide_added, block, mass }) };
    };
    return conditions.map((condition) => series.map((head) => choose(head, condition)));
  }, [text, series, picture, labels, hide_added, block, mass]);

  const length = text.base.labels.length;
  const folds = rule.fold && length > LONG && !bars;
  const lanes = useMemo(() => {
    if (bars) return plainLanes(length);
    const weights = folds ? weightsOf(chosen.flat(), length, Boolean(labels)) : null;
    const kept = new Set(pos === null ? [] : [pos]);
    return lanesOf(text, { words: rule.words, weights, opened, kept });
  }, [text, chosen, folds, rule.words, opened, bars, folds && pos]);
  const left = useMemo(() => (labels ? plainLanes(labels.length) : lanes), [labels, lanes]);

  const height = lanes.lanes.length > TIGHT_FROM ? TIGHT_LINE_HEIGHT : LINE_HEIGHT;
  // A position that was pinned in another panel is brought into sight, moving nothing but this container.
  useEffect(() => {
    const box = scroll.current;
    if (!box || pos === null) return;
    const top = (lanes.of[pos] ?? 0) * height;
    if (top < box.scrollTop || top > box.scrollTop + box.clientHeight - 60)
      box.scrollTop = top - box.clientHeight / 2;
  }, [pos, height, lanes]);

  const open = (lane: Lane) => setOpened(new Set([...opened, ...lane.positions]));
  const strongest = Math.max(
    1e-9,
    ...conditions.flatMap((condition) =>
      condition === "difference" ? [] : [...(series[0]?.[condition]?.received ?? [])],
    ),
  );
  const limit = Math.max(
    0,
    ...chosen.flat().map(({ edges, choice }) => edges.weight[choice.indices[0] ?? -1] ?? 0),
  );
  return (
    <div class="mv-lines-box" data-pictures={conditions.length}>
      <div class="mv-lines-scroll" ref={scroll} style={{ "--line": `${height}px` }}>
        {conditions.map((condition, i) => (
          <Half
            key={condition}
            {...{ condition, series, stack, text, height, left, bars, open, strongest, limit }}
            right={lanes}
            chosen={chosen[i] as Chosen[]}
            hidden={hide_added}
          />
        ))}
      </div>
      {lanes.lanes.length >= MAP_FROM && (
        <Minimap
          scroll={scroll}
          weights={laneWeights(chosen.flat(), lanes)}
          changed={lanes.lanes.map(({ positions }) => positions.some((at) => text.alignment[at] !== "equal"))}
        />
      )}
    </div>
  );
}

/** How much of the chosen lines leaves or reaches each position. */
function weightsOf(chosen: Chosen[], length: number, keys_only: boolean): Float64Array {
  const weights = new Float64Array(length);
  const add = (pos: number, weight: number) => {
    weights[pos] = (weights[pos] as number) + weight;
  };
  for (const { edges, choice } of chosen) {
    for (const i of choice.indices) {
      const weight = Math.abs(edges.weight[i] as number);
      add(edges.key_pos[i] as number, weight);
      if (!keys_only) add(edges.query_pos[i] as number, 0.01 * weight);
    }
  }
  return weights;
}

function laneWeights(chosen: Chosen[], { lanes, of }: Lanes): number[] {
  const weights = lanes.map(() => 0);
  for (const { edges, choice } of chosen) {
    for (const i of choice.indices) {
      const lane = of[edges.key_pos[i] as number] as number;
      weights[lane] = (weights[lane] as number) + Math.abs(edges.weight[i] as number);
    }
  }
  return weights;
}

type HalfProps = {
  condition: Condition;
  series: HeadAttention[];
  stack: StackSpec;
  text: TextSpec;
  chosen: Chosen[];
  left: Lanes;
  right: Lanes;
  height: number;
  hidden: boolean;
  bars: boolean;
  strongest: number;
  limit: number;
  open: (lane: Lane) => void;
};

function Half(props: HalfProps) {
  const { condition, series, stack, text, chosen, left, right, height, hidden, bars } = props;
  const spec = useField("spec");
  const tokens = tokensOf(text, condition);
  const rows = Math.max(left.lanes.length, right.lanes.length) * height;
  const strands = useMemo(
    () => chosen.map(({ edges, choice }) => strandsOf(edges, choice.indices, left, right)),
    [chosen, left, right],
  );
  const lines: LinesProps = {
    strands,
    right,
    text,
    height,
    signed: condition === "difference",
    keys_only: Boolean(stack.query_labels),
  };
  const received = condition === "difference" ? undefined : (series[0]?.[condition] as RunAttention).received;
  return (
    <div class="mv-half" data-condition={condition}>
      <div class="mv-half-head">
        <h4>{halfTitle(condition, spec.direction, text)}</h4>
        {series.length > 1 ? (
          <Compared series={series} chosen={chosen} />
        ) : (
          <Shown {...props} chosen={chosen[0] as Chosen} />
        )}
        {hidden && <Hidden chosen={chosen} segments={tokens.segments} />}
      </div>
      <div class="mv-half-body">
        {bars ? (
          <QueryLabel
            label={stack.query_labels?.[0] ?? ""}
            {...{ tokens, text }}
            strands={strands[0] as Strand[]}
          />
        ) : stack.query_labels ? (
          <Labels labels={stack.query_labels} />
        ) : (
          <Column side="from" lanes={left} {...{ condition, tokens, text }} open={props.open} />
        )}
        <div class="mv-strands" style={{ height: `${rows}px` }}>
          {bars ? (
            <WeightBars {...{ text, height }} strands={strands[0] as Strand[]} limit={props.limit} />
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
          side="to"
          lanes={right}
          {...{ condition, tokens, text }}
          open={props.open}
          received={bars ? undefined : received}
          strongest={props.strongest}
        />
      </div>
    </div>
  );
}

function halfTitle(condition: Condition, direction: string | undefined, text: TextSpec): string {
  if (condition === "difference") return "difference: source minus base";
  if (!text.source) return "attention";
  const forward = direction === "perturbed->original";
  return `${condition} run: ${(condition === "base") === forward ? "original" : "perturbed"}`;
}

function Shown({ condition, chosen, bars }: Pick<HalfProps, "condition" | "bars"> & { chosen: Chosen }) {
  const { edges, choice } = chosen;
  const what = bars ? "weights" : "lines";
  const of = condition === "difference" ? "of all differences" : "of the mass";
  const shown = `${count(choice.indices.length)} of ${count(edges.of)} ${what}, ${percent(choice.shown_mass)} ${of}`;
  return <p title={shown}>{shown}</p>;
}

function Hidden({ chosen, segments }: { chosen: Chosen[]; segments: Segment[] }) {
  const added = segments.includes("prompt") ? "special and prompt tokens" : "special tokens";
  const shares = chosen.map(({ choice }) => percent(choice.added_mass)).join(", ");
  const left_out = `hidden: ${shares}, at ${added}`;
  return <p title={left_out}>{left_out}</p>;
}

/** Which colour is which head. */
function Compared({ series, chosen }: { series: HeadAttention[]; chosen: Chosen[] }) {
  return (
    <p class="mv-compared">
      {series.map(({ layer, head }, i) => (
        <span key={`${layer}.${head}`} data-series={i}>
          <svg width="22" height="8" aria-hidden="true">
            <line x1="0" x2="22" y1="4" y2="4" />
          </svg>{" "}
          L{layer}H{head} {percent(chosen[i]?.choice.shown_mass ?? 0)}
        </span>
      ))}
    </p>
  );
}

/** What attends, where that is another text than what is attended to. */
function Labels({ labels }: { labels: string[] }) {
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

type LinesProps = {
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

function AllLines(props: LinesProps) {
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

function FocusedLines(props: LinesProps) {
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
function PartnerNumbers(props: LinesProps) {
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

function Column({ condition, tokens, text, side, lanes, received, strongest = 1, open }: ColumnProps) {
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
