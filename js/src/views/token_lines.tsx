/** Attention lines of the selected head, or of several, in each run; and what is said while they are not here. */
import type { ComponentChildren } from "preact";
import { useMemo, useState } from "preact/hooks";
import { headKey, type Load } from "../loads";
import { cellNumbers, type Grids, shortName, unitWords } from "../marks/cells";
import { type Block, MASSES, usualMass } from "../marks/edges";
import { LONG } from "../marks/lanes";
import { percent, signed } from "../marks/scale";
import type { Head, HeadAttention, StackSpec } from "../wire";
import { HeadPicker } from "./head_picker";
import { keepFocus, useField, useGrids, useLoad, useView } from "./hooks";
import { LinePictures, type LineRule } from "./line_pair";
import { MatrixPictures } from "./matrix";
import { Retry } from "./retry";

const BLOCKS: [Block, string][] = [
  ["all", "All"],
  ["query>doc", "Q→D"],
  ["doc>query", "D→Q"],
  ["query>query", "Q→Q"],
  ["doc>doc", "D→D"],
];
export type Picture = "both" | "base" | "source" | "difference";
const PICTURES: [Picture, string][] = [
  ["both", "both runs"],
  ["base", "base"],
  ["source", "source"],
  ["difference", "difference"],
];
export const COMPARED = 4;

const READING_LINES =
  " Violet lines touch a changed token; bars behind the tokens at the right show the mean attention that they receive.";
const READING_DIFFERENCE =
  " Blue lines gained weight in the source run, dashed orange lines lost it; the width is how much.";
const READING_BARS = " A bar is the weight of the token beside it, violet where the token is changed.";
const READING_ONE = " Bars behind the tokens at the right show the mean attention that they receive.";
const ADDED =
  "special tokens mark where texts begin and end; prompt tokens, in italics, are what the ranker itself writes around them";
const WORDS =
  "one row a word: what a word is attended to is summed over its pieces, what it attends to is averaged over them";

/** What patching the head did, in words; null where that is not known. */
function effectText(grids: Grids, [stack, layer, head]: Head): string | null {
  const value = cellNumbers(grids, { stack, layer, head })?.value ?? Number.NaN;
  if (!Number.isFinite(value)) return null;
  const of_change = grids.unit === "effect" && grids.metric === "effect";
  return of_change ? signed(value) : `${signed(value, grids.digits)} ${unitWords(grids)}`.trim();
}

export function TokenLines() {
  const spec = useField("spec");
  const selection = useField("selection");
  const grids = useGrids();
  const { layer, head } = selection;
  const stack = spec.stacks.find(({ name }) => name === selection.stack) as StackSpec;
  const [compare, setCompare] = useState(false);
  const [matrix, setMatrix] = useState(false);
  const [rule, setRule] = useState<LineRule>({
    block: "all",
    hide_added: false,
    words: false,
    fold: true,
    mass: null,
  });
  const [picture, setPicture] = useState<Picture>("both");
  const one: Head = [stack.name, layer, head];
  const bars = stack.query_labels?.length === 1; // of one head at a time
  const others = bars ? [] : selection.heads.filter(([name]) => name === stack.name).slice(0, COMPARED);
  const several = compare && others.length > 0;
  const shown = several ? others : [one];
  const one_position = Boolean(stack.key_labels);
  const text = spec.texts[stack.text];
  const segments = text?.base.segments ?? [];
  const has_blocks = !stack.query_labels && segments.includes("query") && segments.includes("doc");
  const has_source = Boolean(text?.source);
  const whole = matrix && !bars && !several;
  const effect = effectText(grids, one);
  const patched = grids.stacks.length > 0 && spec.scores !== undefined;
  const change = (next: Partial<LineRule>) => setRule({ ...rule, ...next });
  const drawn: Picture = !has_source ? "base" : bars && picture === "difference" ? "both" : picture;

  return (
    <div class="mv-lines" data-panel data-lm-suppress-shortcuts tabIndex={-1}>
      <div class="mv-lines-bar">
        <h3>
          Attention of {several ? "several heads" : `layer ${layer}, head ${head}`}
          {!several && patched && <span class="mv-lines-effect">patch effect {effect ?? "not known"}</span>}
        </h3>
        {!grids.stacks.length && <HeadPicker />}
        {others.length > 0 && (
          <Toggle
            label="which heads"
            value={String(several)}
            choose={(value) => setCompare(value === "true")}
            options={[
              ["false", "this head"],
              ["true", `the ${others.length} chosen`],
            ]}
          />
        )}
        {has_source && !one_position && (
          <Toggle
            label="which run"
            value={drawn}
            choose={(value) => setPicture(value as Picture)}
            options={bars || several ? PICTURES.slice(0, 3) : PICTURES}
          />
        )}
        {!one_position && !bars && !several && (
          <Toggle
            label="lines or matrix"
            value={String(matrix)}
            choose={(value) => setMatrix(value === "true")}
            options={[
              ["false", "lines"],
              ["true", "matrix"],
            ]}
          />
        )}
        {has_blocks && !whole && (
          <Toggle
            label="which lines: from query (Q) or document (D) to query or document"
            value={rule.block}
            choose={(value) => change({ block: value as Block })}
            options={BLOCKS}
          />
        )}
      </div>
      {one_position ? (
        <p class="mv-hint">
          There is nothing to draw: all of this head's attention goes to its own position
          {has_source && ", in both runs"}. What it writes there can still differ between the runs; the patch
          effect tells.
        </p>
      ) : whole ? (
        <MatrixPictures {...{ stack, layer, head }} picture={drawn} />
      ) : (
        <WithHeads heads={shown}>
          {(series) => (
            <Lines
              {...{ series, stack, rule, change, bars }}
              picture={several && drawn === "difference" ? "both" : drawn}
              block={has_blocks ? rule.block : "all"}
              prompts={segments.includes("prompt")}
            />
          )}
        </WithHeads>
      )}
      <p class="mv-muted mv-lines-note">
        {stack.label && <>{stack.label}. </>}
        {patched && (
          <>Attention is not effect: the number that counts is the patch effect{effect && `, ${effect}`}.</>
        )}
        {!one_position &&
          !whole &&
          (bars
            ? READING_BARS
            : drawn === "difference"
              ? READING_DIFFERENCE
              : has_source
                ? READING_LINES
                : READING_ONE)}
      </p>
    </div>
  );
}

type ToggleProps = {
  label: string;
  value: string;
  options: [string, string][];
  choose: (value: string) => void;
};

export function Toggle({ label, value, options, choose }: ToggleProps) {
  return (
    <fieldset class="mv-toggle" aria-label={label}>
      {options.map(([option, words]) => (
        <button
          key={option}
          type="button"
          data-lm-suppress-shortcuts
          aria-pressed={value === option}
          onClick={() => choose(option)}
        >
          {words}
        </button>
      ))}
    </fieldset>
  );
}

type LinesProps = {
  series: HeadAttention[];
  stack: StackSpec;
  rule: LineRule;
  change: (next: Partial<LineRule>) => void;
  bars: boolean;
  picture: Picture;
  block: Block;
  prompts: boolean;
};

function Lines({ series, stack, rule, change, bars, picture, block, prompts }: LinesProps) {
  const spec = useField("spec");
  const text = spec.texts[stack.text];
  const segments = text?.base.segments ?? [];
  const difference = picture === "difference";
  const usual = useMemo(() => {
    const runs = series.flatMap((head) =>
      difference
        ? head.difference
          ? [head.difference]
          : []
        : [head.base, ...(head.source ? [head.source] : [])],
    );
    return bars ? 1 : usualMass(runs, { query: stack.query_labels ? [] : segments, key: segments });
  }, [series, difference, bars]);
  const mass = rule.mass ?? usual;
  return (
    <>
      <div class="mv-lines-rule">
        {!bars && (
          <label
            class="mv-check"
            title="of each token's attention, the strongest lines that hold this share are drawn"
          >
            lines for
            <input
              type="range"
              data-lm-suppress-shortcuts
              min={MASSES[0]}
              max={MASSES.at(-1)}
              step={0.1}
              value={mass}
              aria-valuetext={`${percent(mass)} of each token's attention`}
              onInput={(event) => change({ mass: Number(event.currentTarget.value) })}
            />
            <output>
              {percent(mass)} of {difference ? "all differences" : "each token's attention"}
            </output>
          </label>
        )}
        <Check checked={rule.hide_added} set={(hide_added) => change({ hide_added })} title={ADDED}>
          hide special {prompts && "and prompt "}tokens
        </Check>
        {!bars && (
          <Check checked={rule.words} set={(words) => change({ words })} title={WORDS}>
            merge words
          </Check>
        )}
        {!bars && segments.length > LONG && (
          <Check
            checked={rule.fold}
            set={(fold) => change({ fold })}
            title="stretches of tokens that little attention comes from or goes to become one row; a click opens it"
          >
            fold what matters little
          </Check>
        )}
      </div>
      <LinePictures {...{ series, stack, picture }} rule={{ ...rule, block, mass }} />
    </>
  );
}

type CheckProps = {
  checked: boolean;
  set: (checked: boolean) => void;
  title: string;
  children: ComponentChildren;
};

export function Check({ checked, set, title, children }: CheckProps) {
  return (
    <label class="mv-check" title={title}>
      <input
        type="checkbox"
        data-lm-suppress-shortcuts
        checked={checked}
        onChange={(event) => set(event.currentTarget.checked)}
      />
      {children}
    </label>
  );
}

const MESSAGE = (head: Head) => ({ type: "attention", stack: head[0], layer: head[1], head: head[2] });

/** Draws heads once all are here; else says what is missing and why. */
function WithHeads({
  heads,
  children,
}: {
  heads: Head[];
  children: (series: HeadAttention[]) => ComponentChildren;
}) {
  const { ask } = useView();
  const progress = useField("progress");
  const loads = useField("loads");
  const first = heads[0] as Head;
  // The first by its hook; hooks must not depend on how many heads there are.
  useLoad<HeadAttention>(headKey(...first), MESSAGE(first));
  const states = heads.map((head) => {
    const key = headKey(...head);
    const state = loads.get(key) as Load<HeadAttention> | undefined;
    if (!state && progress.live && head !== first) queueMicrotask(() => ask(key, MESSAGE(head)));
    return state;
  });
  const ready = states.flatMap((state) => (state?.status === "loaded" ? [state.value] : []));
  const last = useMemo(() => ready, ready);
  if (ready.length === heads.length) return <>{children(last)}</>;
  const at = states.findIndex((state) => state?.status !== "loaded");
  const state = states[at];
  const retry = (
    <Retry again={() => ask(headKey(...(heads[at] as Head)), MESSAGE(heads[at] as Head), true)} />
  );
  if (state?.status === "failed") {
    return (
      <div class="mv-error" role="alert">
        <strong>The attention of this head could not be read</strong>
        <p>{state.message}</p>
        {progress.live && retry}
      </div>
    );
  }
  if (state?.status === "late") {
    return (
      <p class="mv-hint">The kernel does not answer; it may be busy or gone. What is loaded stays. {retry}</p>
    );
  }
  return progress.live ? <Skeleton words="reading this head's attention from the kernel" /> : <HeldHeads />;
}

export function Skeleton({ words }: { words: string }) {
  return (
    <div class="mv-skeleton" role="status" aria-label={words}>
      <span class="mv-skeleton-text">reading from the kernel…</span>
    </div>
  );
}

/** A file holds only some heads: say so, and offer those. */
function HeldHeads() {
  const { select } = useView();
  const spec = useField("spec");
  const held = Object.keys(spec.held).flatMap((key) => {
    const [kind, stack, layer, head] = key.split(".");
    return kind === "attention" ? [{ stack: stack as string, layer: Number(layer), head: Number(head) }] : [];
  });
  const n = held.length;
  if (n === 0)
    return <p class="mv-hint">This file holds no attention lines; open the notebook to see them.</p>;
  return (
    <div class="mv-hint">
      <p>
        This file holds lines for {n} {n === 1 ? "head" : "heads"}; open the notebook for the others.
      </p>
      <div class="mv-held">
        {held.map((cell) => (
          <button
            key={headKey(cell.stack, cell.layer, cell.head)}
            type="button"
            data-lm-suppress-shortcuts
            onClick={(event) => {
              keepFocus(event);
              select(cell);
            }}
          >
            {shortName(spec, cell)}
          </button>
        ))}
      </div>
    </div>
  );
}
