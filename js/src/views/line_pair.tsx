/** Pictures of attention, level with each other in one scroll container: a run each, or the difference of both. */
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import {
  chooseEdges,
  type EdgeChoice,
  type EdgeRule,
  type Strand,
  strandsOf,
  tokensOf,
} from "../marks/edges";
import { type Lane, type Lanes, LONG, lanesOf, plainLanes } from "../marks/lanes";
import { count, percent } from "../marks/scale";
import type { Condition, Edges, HeadAttention, RunAttention, Segment, StackSpec, TextSpec } from "../wire";
import { useField, usePositionMarks } from "./hooks";
import { Minimap } from "./minimap";
import { AllLines, FocusedLines, type LinesProps, PartnerNumbers } from "./strands";
import { Column, Labels } from "./token_column";
import type { Picture } from "./token_lines";
import { QueryLabel, WeightBars } from "./weight_bars";

const LINE_HEIGHT = 18;
const TIGHT_LINE_HEIGHT = 15;
const TIGHT_FROM = 60;
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
