/** The gate: how the score changes of all pairs are spread. A bin chooses the pairs of the list. */
import { useMemo, useRef, useState } from "preact/hooks";
import { isOurs } from "../marks/keys";
import { type ChangeOf, changesOf, type Histogram, histogram, histogramRange } from "../marks/pairs";
import { count, digitsFor, linear, percent, plain, signed } from "../marks/scale";
import type { Pairs } from "../wire";
import { useField, useLoad, useView } from "./hooks";
import { Dropped } from "./study_header";

const NAMES: Record<ChangeOf, string> = {
  texts: "of the texts: perturbed − original",
  runs: "of the runs that are patched: source − base",
  preferred: "towards what the axiom prefers",
};

export function Changes() {
  const { study, list } = useField("spec");
  const load = useLoad<Pairs>("pairs", null);
  const pairs = load?.status === "loaded" ? load.value : null;
  const drawn = useMemo(() => {
    if (!pairs) return null;
    const sides = (["texts", "runs"] as const).map((of) => ({ of, changes: changesOf(pairs, of) }));
    const known = sides.filter(({ changes }) => changes.some(Number.isFinite));
    const range = histogramRange(known.map(({ changes }) => changes));
    return range && known.map(({ of, changes }) => ({ of, found: histogram(pairs, changes, range), range }));
  }, [pairs]);
  if (load?.status === "failed") throw new Error(load.message);
  if (!drawn?.length)
    return <p class="mv-hint">No score of any pair is known, so there is no change to show.</p>;
  const most = Math.max(1, ...drawn.flatMap(({ found }) => found.bins.map((bin) => bin.used + bin.dropped)));
  const { low, step, n } = (drawn[0] as (typeof drawn)[number]).range;
  const ends: [number, number] = [low, low + n * step];
  return (
    <div class="mv-changes">
      {drawn.map(({ of, found }) => (
        <Bars key={of} {...{ of, found, most, ends }} min_change={study?.min_change ?? null} />
      ))}
      <Axis ends={ends} step={step} />
      <p class="mv-legend-row mv-muted">
        <i data-sign="1" /> up <i data-sign="-1" /> down <i class="mv-dropped-swatch" /> dropped
        {study?.min_change ? (
          <>
            <i class="mv-gate-swatch" /> least change that is used,{" "}
            {plain(study.min_change, digitsFor(study.min_change))}
          </>
        ) : null}
      </p>
      {study && <Dropped dropped={study.dropped} />}
      {list && list.n < list.of && (
        <p class="mv-muted">
          drawn from the {count(list.n)} pairs that are listed, of {count(list.of)}
        </p>
      )}
    </div>
  );
}

type BarsProps = {
  of: ChangeOf;
  found: Histogram;
  most: number;
  ends: [number, number];
  min_change: number | null;
};

function Bars({ of, found, most, ends, min_change }: BarsProps) {
  const { store } = useView();
  const filter = useField("filter");
  const [active, setActive] = useState(() => Math.max(0, tallest(found)));
  const box = useRef<HTMLDivElement>(null);
  const { bins, n, positive } = found;
  const digits = digitsFor(((ends[1] - ends[0]) / bins.length) * 10);
  const place = linear(ends, [0, 100]);
  const chosen = (low: number) => filter.bin?.of === of && filter.bin.low === low;
  const choose = (at: number) => {
    const { low, high } = bins[at] as Histogram["bins"][number];
    const bin = chosen(low) ? null : { of, low, high, last: at === bins.length - 1 };
    store.set("filter", { ...filter, bin });
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const to = { ArrowLeft: active - 1, ArrowRight: active + 1, Home: 0, End: bins.length - 1 }[event.key];
    if (to === undefined || !isOurs(event)) return;
    const next = Math.max(0, Math.min(bins.length - 1, to));
    setActive(next);
    box.current?.querySelectorAll("button")[next]?.focus();
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <div>
      <p class="mv-bars-name">
        {NAMES[of]} <strong>{n ? percent(positive / n) : "–"} go up</strong>
        <span class="mv-muted"> of {count(n)}</span>
      </p>
      <div class="mv-bars-box">
        <div
          class="mv-bars"
          role="group"
          aria-label={`pairs by score change ${NAMES[of]}`}
          ref={box}
          onKeyDown={onKeyDown}
        >
          {bins.map(({ low, high, used, dropped }, at) => {
            const words = `${signed(low, digits)} to ${signed(high, digits)}: ${count(used)} used${dropped ? `, ${count(dropped)} dropped` : ""}`;
            return (
              <button
                key={at}
                type="button"
                data-lm-suppress-shortcuts
                aria-pressed={chosen(low)}
                aria-label={words}
                title={words}
                tabIndex={at === active ? 0 : -1}
                onFocus={() => setActive(at)}
                onClick={() => choose(at)}
              >
                <i
                  class="mv-bar-dropped"
                  style={{ bottom: `${(100 * used) / most}%`, height: `${(100 * dropped) / most}%` }}
                />
                <i data-sign={high > 0 ? 1 : -1} style={{ height: `${(100 * used) / most}%` }} />
              </button>
            );
          })}
        </div>
        <b style={{ left: `${place(0)}%` }} />
        {min_change !== null &&
          of === "runs" &&
          [-min_change, min_change].map((at) =>
            at > ends[0] && at < ends[1] ? <s key={at} style={{ left: `${place(at)}%` }} /> : null,
          )}
      </div>
    </div>
  );
}

const tallest = ({ bins }: Histogram) =>
  bins.reduce((best, bin, at) => (bin.used > (bins[best]?.used ?? 0) ? at : best), 0);

function Axis({ ends: [low, high], step }: { ends: [number, number]; step: number }) {
  const place = linear([low, high], [0, 100]);
  const digits = digitsFor(step * 10);
  // An end that stands where 0 does would be written over it.
  const apart = (tick: number) => tick === 0 || Math.abs(place(tick) - place(0)) > 8;
  const ticks = [...new Set([low, 0, high])].filter(apart);
  return (
    <div class="mv-bars-axis mv-muted" aria-hidden="true">
      {ticks.map((tick) => (
        <span
          key={tick}
          data-end={tick === high || undefined}
          data-start={tick === low || undefined}
          style={{ left: `${place(tick)}%` }}
        >
          {tick ? signed(tick, digits) : "0"}
        </span>
      ))}
    </div>
  );
}
