/** All pairs as one list, of which only the rows in sight are drawn; each opens as a view of its own. */
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { isPick } from "../marks/keys";
import {
  type ChangeOf,
  type PairFilter,
  rowsOf,
  type SORTS,
  type Sort,
  type Status,
  sortedRows,
  UNFILTERED,
} from "../marks/pairs";
import { count, digitsFor, signed } from "../marks/scale";
import type { Pairs } from "../wire";
import { useField, useHeld, useView } from "./hooks";
import { type Look, lookOf, PairRow, pairKey } from "./pair_row";

const ROW = 50;
const HEAD = 28;
const ROOM = 8.5; // rows in sight
const SPARE = 5; // rows drawn beyond them

const NAMES: Record<(typeof SORTS)[number], string> = {
  query: "query and document",
  grade: "grade",
  rank: "rank",
  original: "score",
  change: "change",
  runs: "of the runs",
};

export function PairList() {
  const pairs = useHeld<Pairs>("pairs");
  if (!pairs) return null;
  if (!pairs.number.length) return <p class="mv-hint">There is no pair to list.</p>;
  return <List pairs={pairs} />;
}

function List({ pairs }: { pairs: Pairs }) {
  const { store } = useView();
  const spec = useField("spec");
  const filter = useField("filter");
  const opened = useField("opened");
  const [status, setStatus] = useState<Status>("all");
  const [words, setWords] = useState("");
  const [sort, setSort] = useState<Sort>(null);
  const [said, setSaid] = useState("");
  const can_open = useCanOpen();
  const of: ChangeOf = spec.kind === "scorecard" ? "preferred" : "texts";
  const rows = useMemo(
    () => sortedRows(pairs, rowsOf(pairs, filter, status, words), sort, of),
    [pairs, filter, status, words, sort, of],
  );
  const look = useMemo(() => lookOf(pairs, of), [pairs, of]);
  const open = (row: number) => {
    const number = pairs.number[row] as number;
    const hindrance = can_open(number);
    setSaid(hindrance);
    if (!hindrance) store.set("opened", number);
  };
  const dropped = pairs.reasons.length > 1 || pairs.reasons[0] !== "";
  const total = pairs.number.length;
  return (
    <div class="mv-pairs" data-panel data-lm-suppress-shortcuts tabIndex={-1}>
      <div class="mv-controls">
        <label class="mv-check">
          find
          <input
            type="search"
            data-lm-suppress-shortcuts
            placeholder="words, a number, a reason"
            value={words}
            onInput={(event) => setWords(event.currentTarget.value)}
          />
        </label>
        {dropped && (
          <label class="mv-check">
            show
            <select
              data-lm-suppress-shortcuts
              value={status}
              onChange={(event) => setStatus(event.currentTarget.value as Status)}
            >
              <option value="all">all</option>
              <option value="used">used</option>
              <option value="dropped">dropped</option>
            </select>
          </label>
        )}
        <Filters filter={filter} />
        <span class="mv-muted mv-pair-count" role="status">
          {rows.length === total ? `${count(total)} pairs` : `${count(rows.length)} of ${count(total)} pairs`}
          {spec.list && spec.list.of > total && `, a sample of ${count(spec.list.of)}`}
        </span>
      </div>
      <Rows {...{ pairs, rows, look, sort, setSort, open, returned: opened === null }} />
      <p class="mv-muted mv-pair-hint" role="status">
        {said || can_open(-1) || "A click or Enter opens a pair in its own view."}
      </p>
    </div>
  );
}

/** Why a pair cannot be opened here; empty where it can. */
function useCanOpen(): (number: number) => string {
  const spec = useField("spec");
  const progress = useField("progress");
  const loads = useField("loads");
  return (number) => {
    if (pairKey(number) in spec.held || loads.get(pairKey(number))?.status === "loaded") return "";
    if (progress.live && spec.list?.opens) return "";
    const held = Object.keys(spec.held).filter((key) => key.startsWith("pair."));
    if (progress.live || !spec.list?.opens)
      return "This view was made without a ranker, so no pair can be opened: pass opener= in Python.";
    const some = held.length
      ? `the ${held.length === 1 ? "pair" : `${held.length} pairs`} marked ●`
      : "no pair";
    return `This page holds ${some}; open any other in the notebook, and save the page again.`;
  };
}

function Filters({ filter }: { filter: PairFilter }) {
  const { store } = useView();
  const { bin, bucket, axiom } = filter;
  const parts = [
    axiom !== null && axiom,
    bucket && `${bucket.of} ${bucket.value}`,
    bin &&
      `${bin.of === "runs" ? "source − base" : "change"} ${signed(bin.low, digitsFor(bin.high - bin.low))} to ${signed(bin.high, digitsFor(bin.high - bin.low))}`,
  ].filter(Boolean);
  if (!parts.length) return null;
  return (
    <button
      type="button"
      class="mv-filter"
      data-lm-suppress-shortcuts
      aria-label={`only ${parts.join(", ")}; show all`}
      onClick={(event) => {
        event.currentTarget.closest<HTMLElement>("[data-panel]")?.focus();
        store.set("filter", UNFILTERED);
      }}
    >
      <bdi>{parts.join(", ")}</bdi> <span aria-hidden="true">×</span>
    </button>
  );
}

type RowsProps = {
  pairs: Pairs;
  rows: number[];
  look: Look;
  sort: Sort;
  setSort: (sort: Sort) => void;
  open: (row: number) => void;
  returned: boolean;
};

function Rows({ pairs, rows, look, sort, setSort, open, returned }: RowsProps) {
  const [top, setTop] = useState(0);
  const [active, setActive] = useState(0);
  const box = useRef<HTMLDivElement>(null);
  const wants_focus = useRef(false);
  const was_open = useRef(false);
  // Another order or filter begins at its top.
  useLayoutEffect(() => {
    setActive(0);
    if (box.current) box.current.scrollTop = 0;
  }, [rows]);
  const first = Math.max(0, Math.floor(top / ROW) - SPARE);
  const last = Math.min(rows.length, Math.ceil(top / ROW + ROOM) + SPARE);
  const shown = rows.slice(first, last);
  const stop = active >= first && active < last ? active : first;
  const focus = () => box.current?.querySelector<HTMLElement>(`[aria-rowindex="${active + 2}"]`)?.focus();
  useLayoutEffect(() => {
    if (!wants_focus.current) return;
    wants_focus.current = false;
    focus();
  });
  useEffect(() => {
    if (!returned) was_open.current = true;
    else if (was_open.current) {
      was_open.current = false;
      focus();
    }
  }, [returned]);
  const go = (to: number) => {
    const next = Math.max(0, Math.min(rows.length - 1, to));
    const node = box.current as HTMLDivElement;
    const room = node.clientHeight - HEAD;
    node.scrollTop = Math.max((next + 1) * ROW - room, Math.min(node.scrollTop, next * ROW));
    wants_focus.current = true;
    setTop(node.scrollTop);
    setActive(next);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (!(event.target as Element).closest(".mv-pair")) return;
    const page = Math.floor(ROOM) - 1;
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page }[event.key];
    const chord = event.ctrlKey || event.metaKey || event.altKey;
    if (step && !chord) go(active + step);
    else if (event.key === "Home" && !chord) go(0);
    else if (event.key === "End" && !chord) go(rows.length - 1);
    else if (isPick(event)) open(rows[active] as number);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <div class="mv-pair-box">
      <div
        role="grid"
        aria-label="pairs"
        aria-rowcount={rows.length + 1}
        class="mv-pair-scroll"
        ref={box}
        style={{ maxHeight: `${ROOM * ROW + HEAD}px` }}
        onScroll={(event) => setTop(event.currentTarget.scrollTop)}
        onKeyDown={onKeyDown}
      >
        <div role="row" aria-rowindex={1} class="mv-pair-head">
          {look.columns.map((name) => (
            <span
              key={name}
              role="columnheader"
              data-column={name}
              aria-sort={sort?.by === name ? (sort.down ? "descending" : "ascending") : undefined}
            >
              <button
                type="button"
                data-lm-suppress-shortcuts
                onClick={() =>
                  setSort({
                    by: name,
                    down: sort?.by === name ? !sort.down : name !== "query" && name !== "rank",
                  })
                }
              >
                {name === "change" && look.of === "preferred" ? "towards the axiom" : NAMES[name]}
              </button>
            </span>
          ))}
        </div>
        <div role="presentation" style={{ height: `${first * ROW}px` }} />
        {shown.map((row, i) => (
          <PairRow
            key={row}
            {...{ pairs, row, look }}
            index={first + i + 2}
            stop={first + i === stop}
            focused={() => setActive(first + i)}
            open={() => {
              setActive(first + i);
              open(row);
            }}
          />
        ))}
        <div role="presentation" style={{ height: `${(rows.length - last) * ROW}px` }} />
      </div>
      {rows.length === 0 && <p class="mv-hint">No pair fits; change the words or show all.</p>}
    </div>
  );
}
