/** The likeliest pairs as a list, and what speaks for and against one of them. */
import { useEffect, useRef } from "preact/hooks";
import { isOurs } from "../marks/keys";
import { strongest, WAYS } from "../marks/relation";
import { digitsFor, signed } from "../marks/scale";
import type { Candidates, RelationSpec } from "../probe_wire";
import { likely } from "./relation";
import { SignedBar } from "./signed_bar";

/** Pairs in the list; the table has all of them. */
const LISTED = 60;
const HEADS = 8;
/** Changes below it are not worth an arrow. */
const MOVED = 0.005;

type RowsProps = {
  all: Candidates;
  p: Float64Array;
  /** With all heads. */
  whole: Float64Array;
  drawn: number[];
  name: (pos: number) => string;
  focused: number | null;
  hover: (pair: number | null) => void;
  choose: (pair: number) => void;
};

export function PairRows({ all, p, whole, drawn, name, focused, hover, choose }: RowsProps) {
  const list = useRef<HTMLDivElement>(null);
  const shown = drawn.slice(0, LISTED);
  const current = focused !== null && shown.includes(focused) ? focused : shown[0];
  const keyed = useRef(false);
  useEffect(() => {
    if (keyed.current) list.current?.querySelector<HTMLElement>("[tabindex='0']")?.focus();
    keyed.current = false;
  }, [current]);
  return (
    <>
      <h4>Pairs</h4>
      {shown.length === 0 ? (
        <p class="mv-muted">no pair is as likely as this: lower the threshold</p>
      ) : (
        <div
          class="mv-relation-pairs"
          role="listbox"
          aria-label="pairs, the likeliest first"
          ref={list}
          onPointerLeave={() => hover(null)}
          onKeyDown={(event) => {
            const step = { ArrowDown: 1, ArrowUp: -1, Home: -LISTED, End: LISTED }[event.key];
            if (!isOurs(event) || step === undefined) return;
            const at = shown.indexOf(current as number) + step;
            keyed.current = true;
            hover(null);
            choose(shown[Math.max(0, Math.min(shown.length - 1, at))] as number);
            event.preventDefault();
            event.stopPropagation();
          }}
        >
          {shown.map((pair) => {
            const [value, before] = [p[pair] as number, whole[pair] as number];
            const moved = Math.abs(value - before) > MOVED;
            const [from, to] = [name(all.pairs[2 * pair] as number), name(all.pairs[2 * pair + 1] as number)];
            return (
              // biome-ignore lint/a11y/useKeyWithClickEvents: the list around it hears the keys
              <div
                key={pair}
                role="option"
                aria-selected={pair === current}
                data-lm-suppress-shortcuts
                tabIndex={pair === current ? 0 : -1}
                onPointerEnter={() => hover(pair)}
                onClick={() => choose(pair)}
                onFocus={() => choose(pair)}
              >
                <span class="mv-relation-pair">
                  <bdi>{from}</bdi> <span class="mv-muted">→</span> <bdi>{to}</bdi>
                </span>
                <span class="mv-relation-p">
                  <i style={{ width: `${100 * value}%` }} />
                  {moved && <b style={{ left: `${100 * before}%` }} />}
                </span>
                <span class="mv-tree-number">
                  {likely(value)}
                  {moved && <span class="mv-heard">, {likely(before)} with all heads</span>}
                </span>
                {all.truth && (
                  <span class="mv-truth" data-holds={Boolean(all.truth[pair]) || undefined}>
                    <span aria-hidden="true">{all.truth[pair] ? "✓" : "✗"}</span>
                    <span class="mv-heard">
                      {all.truth[pair] ? ", the relation holds" : ", it does not hold"}
                    </span>
                  </span>
                )}
              </div>
            );
          })}
        </div>
      )}
      {drawn.length > LISTED && <p class="mv-muted">{drawn.length - LISTED} more in the table</p>}
    </>
  );
}

type DetailsProps = {
  spec: RelationSpec;
  all: Candidates;
  p: Float64Array;
  name: (pos: number) => string;
  off: ReadonlySet<number>;
  pair: number;
};

export function PairDetails({ spec, all, p, name, off, pair }: DetailsProps) {
  const shares = strongest(all, pair, HEADS);
  const most = Math.max(1e-9, ...shares.map(({ value }) => Math.abs(value)));
  const digits = digitsFor(most);
  const negative = shares.some(({ value }) => value < 0);
  const zero = negative ? 50 : 0;
  const [from, to] = [name(all.pairs[2 * pair] as number), name(all.pairs[2 * pair + 1] as number)];
  return (
    <>
      <h4>
        <bdi>{from}</bdi> → <bdi>{to}</bdi>{" "}
        <span class="mv-note">{likely(p[pair] as number)} · the heads that say most</span>
      </h4>
      <ul class="mv-relation-heads-list" aria-live="polite">
        {shares.map(({ head, way, value }) => {
          const width = ((100 - zero) * Math.abs(value)) / most;
          return (
            <li key={`${head} ${way}`} data-off={off.has(head) || undefined}>
              <span>
                {spec.layers[Math.floor(head / spec.heads)]}.{head % spec.heads}{" "}
                <span class="mv-muted">{WAYS[way]}</span>
              </span>
              <SignedBar value={value} zero={zero} width={width} />
              <span class="mv-tree-number">{off.has(head) ? "off" : signed(value, digits)}</span>
            </li>
          );
        })}
      </ul>
    </>
  );
}
