/** Attention lines of the selected head, in the base and in the source run; and what is said while they are not here. */
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { headKey } from "../heads";
import { type GridValues, unitWords } from "../marks/cells";
import type { Block } from "../marks/edges";
import { signed } from "../marks/scale";
import { keepFocus, useField, useGrid, useView } from "./hooks";
import { LinePair } from "./line_pair";

const BLOCKS: [Block, string][] = [
  ["all", "All"],
  ["query>doc", "Q→D"],
  ["doc>query", "D→Q"],
  ["query>query", "Q→Q"],
  ["doc>doc", "D→D"],
];

const READING_LINES =
  " Violet lines touch a changed token; bars behind the tokens at the right show the mean attention that they receive.";
const READING_BARS = " A bar is the weight of the token beside it, violet where the token is changed.";
const ADDED =
  "special tokens mark where texts begin and end; prompt tokens, in italics, are what the ranker itself writes around them";

/** What patching the head did, in words; null where that is not known. */
function effectText(grid: GridValues, layer: number, head: number): string | null {
  const value = grid.values[layer * grid.n_heads + head] as number;
  if (!Number.isFinite(value)) return null;
  const of_change = grid.unit === "effect" && grid.metric === "effect";
  return of_change ? signed(value) : `${signed(value, grid.digits)} ${unitWords(grid)}`;
}

export function TokenLines() {
  const { openHead } = useView();
  const [spec, heads, progress] = [useField("spec"), useField("heads"), useField("progress")];
  const { layer, head } = useField("selection");
  const grid = useGrid();
  const [block, setBlock] = useState<Block>("all");
  const [hide_added, setHideAdded] = useState(false);
  const state = heads.get(headKey(layer, head));
  const { label, query_labels, key_labels } = spec.attention;
  const one_position = Boolean(key_labels);
  const missing = !state && progress.live && !one_position;
  useEffect(() => {
    if (missing) openHead(layer, head);
  }, [missing, layer, head, openHead]);
  const segments = spec.tokens.base.segments;
  const has_blocks = !query_labels && segments.includes("query") && segments.includes("doc");
  const effect = effectText(grid, layer, head);
  const retry = (
    <button
      type="button"
      data-lm-suppress-shortcuts
      onClick={(event) => {
        keepFocus(event);
        openHead(layer, head);
      }}
    >
      Retry
    </button>
  );

  let body: ComponentChildren;
  if (one_position) {
    body = (
      <p class="mv-hint">
        There is nothing to draw: all of this head's attention goes to its own position, in both runs. What it
        writes there can still differ between the runs; the patch effect tells.
      </p>
    );
  } else if (state?.status === "loaded") {
    body = (
      <LinePair attention={state.attention} block={has_blocks ? block : "all"} hide_added={hide_added} />
    );
  } else if (state?.status === "failed") {
    body = (
      <div class="mv-error" role="alert">
        <strong>The attention of this head could not be read</strong>
        <p>{state.message}</p>
        {progress.live && retry}
      </div>
    );
  } else if (state?.status === "late") {
    body = <p class="mv-hint">The kernel does not answer; it may be busy or gone. {retry}</p>;
  } else if (progress.live) {
    body = <Skeleton />;
  } else {
    body = <HeldHeads />;
  }

  return (
    <div class="mv-lines" data-panel data-lm-suppress-shortcuts tabIndex={-1}>
      <div class="mv-lines-bar">
        <h3>
          Attention of layer {layer}, head {head}
          <span class="mv-lines-effect">patch effect {effect ?? "not known"}</span>
        </h3>
        {has_blocks && (
          <fieldset
            class="mv-toggle"
            aria-label="which lines: from query (Q) or document (D) to query or document"
          >
            {BLOCKS.map(([value, label]) => (
              <button
                key={value}
                type="button"
                data-lm-suppress-shortcuts
                aria-pressed={block === value}
                onClick={() => setBlock(value)}
              >
                {label}
              </button>
            ))}
          </fieldset>
        )}
        {!one_position && (
          <label class="mv-check" title={ADDED}>
            <input
              type="checkbox"
              data-lm-suppress-shortcuts
              checked={hide_added}
              onChange={(event) => setHideAdded(event.currentTarget.checked)}
            />
            hide special {segments.includes("prompt") && "and prompt "}tokens
          </label>
        )}
      </div>
      {body}
      <p class="mv-muted mv-lines-note">
        {label && <>{label}. </>}
        Attention is not effect: the number that counts is the patch effect{effect && `, ${effect}`}.
        {state?.status === "loaded" && !one_position && (query_labels ? READING_BARS : READING_LINES)}
      </p>
    </div>
  );
}

function Skeleton() {
  return (
    <div class="mv-skeleton" role="status" aria-label="reading this head's attention from the kernel">
      <span class="mv-skeleton-text">reading from the kernel…</span>
    </div>
  );
}

/** A file holds only some heads: say so, and offer those. */
function HeldHeads() {
  const { select } = useView();
  const { attention } = useField("spec");
  const n = attention.heads.length;
  if (n === 0)
    return <p class="mv-hint">This file holds no attention lines; open the notebook to see them.</p>;
  return (
    <div class="mv-hint">
      <p>
        This file holds lines for {n} {n === 1 ? "head" : "heads"}; open the notebook for the others.
      </p>
      <div class="mv-held">
        {attention.heads.map(({ layer, head }) => (
          <button
            key={headKey(layer, head)}
            type="button"
            data-lm-suppress-shortcuts
            onClick={(event) => {
              keepFocus(event);
              select({ layer, head });
            }}
          >
            L{layer}H{head}
          </button>
        ))}
      </div>
    </div>
  );
}
