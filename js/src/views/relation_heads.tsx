/** All heads as a grid: what a detector weighs them by, or what they say of one pair; a click switches a head off. */
import { useRef, useState } from "preact/hooks";
import { css, diverging, ink } from "../marks/colour";
import { isPick, movePlace } from "../marks/keys";
import { ofWay, WAYS, type Way } from "../marks/relation";
import { colourLimit, digitsFor, signed } from "../marks/scale";
import type { Candidates, RelationSpec } from "../probe_wire";
import { useField } from "./hooks";
import { Ramp } from "./ramp";

const LARGEST = 26;
const SMALLEST = 12;
const MARKED_FROM = 16;

type Props = {
  spec: RelationSpec;
  all: Candidates;
  pair: number | null;
  off: ReadonlySet<number>;
  setOff: (off: ReadonlySet<number>) => void;
};

export function RelationHeads({ spec, all, pair, off, setOff }: Props) {
  const dark = useField("dark");
  const width = useField("width");
  const [way, setWay] = useState<Way>("both");
  const [of, setOf] = useState<"weights" | "pair">("weights");
  const [at, setAt] = useState(0);
  const [told, setTold] = useState<number | null>(null);
  const grid = useRef<HTMLDivElement>(null);
  const { layers, heads } = spec;
  const cells = all.weights.length;
  const shown =
    of === "pair" && pair !== null
      ? all.contributions.subarray(pair * cells, (pair + 1) * cells)
      : all.weights;
  const values = Array.from({ length: cells / 2 }, (_, head) => ofWay(shown, head, way));
  const limit = colourLimit(values.map(Math.abs));
  const digits = digitsFor(limit);
  const room = width < 760 ? width : 0.4 * width;
  const side = Math.max(SMALLEST, Math.min(LARGEST, Math.floor((room - 40) / heads) - 2));
  const label = (head: number) => `${layers[Math.floor(head / heads)]}.${head % heads}`;
  const toggle = (head: number) => {
    const next = new Set(off);
    if (!next.delete(head)) next.add(head);
    setOff(next);
  };
  const read = told ?? at;
  return (
    <section class="mv-relation-heads" aria-label="heads">
      <h4>
        Heads <span class="mv-note">a click, or Space, switches one off</span>
      </h4>
      <div class="mv-bar">
        <fieldset class="mv-toggle" aria-label="what is shown of heads">
          {(["weights", "pair"] as const).map((one) => (
            <button
              key={one}
              type="button"
              data-lm-suppress-shortcuts
              aria-pressed={of === one}
              disabled={one === "pair" && pair === null}
              onClick={() => setOf(one)}
            >
              {one === "weights" ? "weights" : "this pair"}
            </button>
          ))}
        </fieldset>
        <fieldset class="mv-toggle" aria-label="which way">
          {(["both", ...WAYS] as const).map((one) => (
            <button
              key={one}
              type="button"
              data-lm-suppress-shortcuts
              aria-pressed={way === one}
              onClick={() => setWay(one)}
            >
              {one}
            </button>
          ))}
        </fieldset>
        <button
          type="button"
          data-lm-suppress-shortcuts
          disabled={!off.size}
          onClick={() => setOff(new Set())}
        >
          All on
        </button>
      </div>
      <div
        role="grid"
        aria-label={`heads, ${of === "weights" ? "weights" : "what they say of this pair"}`}
        class="mv-relation-grid"
        ref={grid}
        style={{ "--side": `${side}px`, "--heads": heads }}
        onPointerOver={(event) => {
          const head = (event.target as HTMLElement).dataset.head;
          setTold(head === undefined ? null : Number(head));
        }}
        onPointerLeave={() => setTold(null)}
        onKeyDown={(event) => {
          if (isPick(event)) toggle(at);
          else {
            const next = movePlace(event, { row: Math.floor(at / heads), column: at % heads }, [
              layers.length,
              heads,
            ]);
            if (!next) return;
            const head = next.row * heads + next.column;
            setAt(head);
            grid.current?.querySelector<HTMLElement>(`[data-head="${head}"]`)?.focus();
          }
          event.preventDefault();
          event.stopPropagation();
        }}
      >
        {layers
          .map((layer, row) => (
            <div role="row" key={layer}>
              <span role="rowheader">{layer}</span>
              {Array.from({ length: heads }, (_, column) => {
                const head = row * heads + column;
                const value = values[head] as number;
                const colour = diverging(value, limit, dark);
                const is_off = off.has(head);
                const strong = side >= MARKED_FROM && Math.abs(value) >= limit / 2 && limit > 0;
                return (
                  // biome-ignore lint/a11y/useKeyWithClickEvents: the grid around it hears the keys
                  <span
                    key={column}
                    role="gridcell"
                    data-head={head}
                    data-off={is_off || undefined}
                    data-lm-suppress-shortcuts
                    tabIndex={head === at ? 0 : -1}
                    aria-label={`${label(head)}: ${signed(value, digits)}${is_off ? ", off" : ""}`}
                    style={{ background: css(colour), color: ink(colour) }}
                    onClick={(event) => {
                      setAt(head);
                      event.currentTarget.focus();
                      toggle(head);
                    }}
                  >
                    {strong && !is_off ? (value > 0 ? "+" : "−") : ""}
                  </span>
                );
              })}
            </div>
          ))
          .reverse()}
        <div role="row">
          <span role="rowheader">layer</span>
          {Array.from({ length: heads }, (_, head) => (
            <span role="columnheader" key={head}>
              {side >= MARKED_FROM || head % 4 === 0 ? head : ""}
            </span>
          ))}
        </div>
      </div>
      <div class="mv-bar mv-relation-foot">
        <Ramp
          limit={limit}
          signed
          words={(value) => signed(value, digits)}
          unit={of === "weights" ? "weight" : "for and against"}
        />
        <span class="mv-muted" aria-live="polite">
          head {label(read)}: {signed(values[read] as number, digits)}
          {off.has(read) && ", off"}
        </span>
      </div>
    </section>
  );
}
