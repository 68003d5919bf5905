/** Axioms as a table: how often the ranker agrees, by how much, and by groups of pairs. Each cell opens its pairs. */
import { useMemo, useState } from "preact/hooks";
import { css, diverging, gradient, ink } from "../marks/colour";
import { count, digitsFor, linear, percent, percentile, signed } from "../marks/scale";
import type { Bucketed, Count, ScorecardSpec, ScoreRow } from "../wire";
import { useField, useView } from "./hooks";
import { CopyButton } from "./table";
import { Toggle } from "./token_lines";

type What = "satisfied" | "change";
type Sorted = { by: string; down: boolean } | null;

const HALF = 0.5;
const GROUPS: Record<Bucketed, string> = { grade: "grade", rank: "rank" };
const COLUMNS = [
  "axiom",
  "group",
  "value",
  "n",
  "satisfied",
  "satisfied_low",
  "satisfied_high",
  "change",
  "low",
  "high",
] as const;

const keyOf = (group: string, value: string) => `${group} ${value}`;

export function ScorecardPanel() {
  const card = useField("spec").scorecard as ScorecardSpec;
  const dark = useField("dark");
  const [what, setWhat] = useState<What>("satisfied");
  const [sorted, setSorted] = useState<Sorted>(null);
  const { axioms, columns, find, limit } = useMemo(() => arranged(card), [card]);
  const digits = digitsFor(limit);
  const order = useMemo(() => ordered(axioms, sorted, find, what, card), [axioms, sorted, find, what, card]);
  const heading = (name: string, by: string, number: boolean, span?: number) => (
    <th
      key={by}
      scope="col"
      rowSpan={span}
      data-number={number || undefined}
      aria-sort={sorted?.by === by ? (sorted.down ? "descending" : "ascending") : undefined}
    >
      <button
        type="button"
        data-lm-suppress-shortcuts
        onClick={() => setSorted({ by, down: sorted?.by === by ? !sorted.down : number })}
      >
        {name}
      </button>
    </th>
  );
  const groups = (["grade", "rank"] as const).filter((group) => columns[group].length);
  return (
    <div class="mv-scorecard" data-panel data-lm-suppress-shortcuts tabIndex={-1}>
      {groups.length > 0 && (
        <Toggle
          label="what the groups show"
          value={what}
          choose={(value) => setWhat(value as What)}
          options={[
            ["satisfied", "share that agrees"],
            ["change", "mean score change"],
          ]}
        />
      )}
      <div class="mv-table-scroll">
        <table aria-label="agreement with axioms">
          <thead>
            <tr>
              {heading("axiom", "axiom", false, 2)}
              {heading("pairs", "n", true, 2)}
              {heading("agrees", "satisfied", true, 2)}
              {heading("score change", "change", true, 2)}
              {groups.map((group) => (
                <th key={group} scope="colgroup" colSpan={columns[group].length} class="mv-group-head">
                  by {GROUPS[group]}
                </th>
              ))}
              {heading("left out", "dropped", false, 2)}
            </tr>
            <tr>
              {groups.flatMap((group) =>
                columns[group].map((value) => heading(value, keyOf(group, value), true)),
              )}
            </tr>
          </thead>
          <tbody>
            {order.map((axiom) => {
              const all = find(axiom, "all", "");
              return (
                <tr key={axiom}>
                  <th scope="row">
                    <bdi>{axiom}</bdi>
                  </th>
                  <td data-number>
                    <Opens row={all} words={count(all?.n ?? 0)} />
                  </td>
                  <td data-number>
                    {all && <Bar row={all} what="satisfied" limit={limit} digits={digits} />}
                  </td>
                  <td data-number>{all && <Bar row={all} what="change" limit={limit} digits={digits} />}</td>
                  {groups.flatMap((group) =>
                    columns[group].map((value) => {
                      const row = find(axiom, group, value);
                      return (
                        <td key={keyOf(group, value)} data-number class="mv-heat-cell">
                          {row ? (
                            <Heat {...{ row, what, limit, digits, dark }} />
                          ) : (
                            <span class="mv-muted">–</span>
                          )}
                        </td>
                      );
                    }),
                  )}
                  <td class="mv-left-out">
                    <LeftOut counts={card.dropped[axiom] ?? []} />
                  </td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
      <div class="mv-scorecard-foot">
        <CopyButton
          columns={COLUMNS.map((name) => ({ name }))}
          rows={card.rows.map((row) => COLUMNS.map((name) => row[name]))}
        />
        {groups.length > 0 && (
          <div class="mv-ramp">
            <div class="mv-ramp-bar" style={{ background: gradient(dark) }} />
            <div class="mv-ramp-numbers mv-muted">
              <span>{what === "satisfied" ? "0%" : signed(-limit, digits)}</span>
              <span>{what === "satisfied" ? "50%" : "0"}</span>
              <span>{what === "satisfied" ? "100%" : signed(limit, digits)}</span>
            </div>
          </div>
        )}
        <p class="mv-muted">
          Agrees: the ranker scores the text higher that the axiom prefers. Score change: the mean, towards
          that text. Whiskers are 95% intervals over queries, small numbers pairs. A number lists its pairs.
        </p>
      </div>
    </div>
  );
}

type Find = (axiom: string, group: string, value: string) => ScoreRow | undefined;

function arranged({ rows }: ScorecardSpec) {
  const axioms = [...new Set(rows.map(({ axiom }) => axiom))];
  const by_key = new Map(rows.map((row) => [`${row.axiom}\n${row.group}\n${row.value}`, row]));
  const find: Find = (axiom, group, value) => by_key.get(`${axiom}\n${group}\n${value}`);
  const start = (value: string) =>
    value === "unknown" ? Infinity : Number.parseInt(value.replace("over ", "1"), 10);
  const valuesOf = (group: Bucketed) =>
    [...new Set(rows.filter((row) => row.group === group).map(({ value }) => value))].sort(
      (a, b) => start(a) - start(b) || a.localeCompare(b),
    );
  const sizes = rows.flatMap(({ change, low, high, group }) =>
    [change, ...(group === "all" ? [low, high] : [])].filter((value) => value !== null),
  );
  const limit = percentile(sizes.map(Math.abs), 100) || 1;
  return { axioms, columns: { grade: valuesOf("grade"), rank: valuesOf("rank") }, find, limit };
}

const dropped_of = (card: ScorecardSpec, axiom: string) =>
  (card.dropped[axiom] ?? []).reduce((sum, [, n]) => sum + n, 0);

function ordered(axioms: string[], sorted: Sorted, find: Find, what: What, card: ScorecardSpec): string[] {
  if (!sorted) return axioms;
  const { by, down } = sorted;
  const sign = down ? -1 : 1;
  if (by === "axiom") return [...axioms].sort((a, b) => sign * a.localeCompare(b));
  const value = (axiom: string): number => {
    if (by === "dropped") return dropped_of(card, axiom);
    const [group, ...rest] = by.split(" ");
    const row = rest.length ? find(axiom, group as string, rest.join(" ")) : find(axiom, "all", "");
    return (rest.length ? row?.[what] : row?.[by as What | "n"]) ?? Number.NaN;
  };
  // What is not known comes last, whichever way.
  return [...axioms].sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    if (Number.isNaN(x) || Number.isNaN(y)) return Number(Number.isNaN(x)) - Number(Number.isNaN(y));
    return sign * (x - y);
  });
}

/** A number that lists its pairs. */
function Opens({ row, words, title }: { row: ScoreRow | undefined; words: string; title?: string }) {
  const { store } = useView();
  const filter = useField("filter");
  if (!row) return <>{words}</>;
  const bucket = row.group === "all" ? null : { of: row.group, value: row.value };
  const pressed =
    filter.axiom === row.axiom && filter.bucket?.of === bucket?.of && filter.bucket?.value === bucket?.value;
  return (
    <button
      type="button"
      class="mv-opens"
      data-lm-suppress-shortcuts
      aria-pressed={pressed}
      aria-label={`${row.axiom}${bucket ? `, ${bucket.of} ${bucket.value}` : ""}: ${title ?? words}; list its pairs`}
      title={title}
      onClick={() =>
        store.set(
          "filter",
          pressed ? { bin: null, bucket: null, axiom: null } : { bin: null, bucket, axiom: row.axiom },
        )
      }
    >
      {words}
    </button>
  );
}

type CellProps = { row: ScoreRow; what: What; limit: number; digits: number };

function wordsOf({ row, what, digits }: Omit<CellProps, "limit">) {
  const show = (value: number | null) =>
    value === null ? "–" : what === "satisfied" ? percent(value) : signed(value, digits);
  const [value, low, high] =
    what === "satisfied"
      ? [row.satisfied, row.satisfied_low, row.satisfied_high]
      : [row.change, row.low, row.high];
  const interval = low === null || high === null ? "" : `, 95% interval ${show(low)} to ${show(high)}`;
  const title = `${show(value)}${interval}, ${count(row.n)} ${row.n === 1 ? "pair" : "pairs"}`;
  return { value, low, high, words: show(value), title };
}

const ROOM = 74;

/** A value as a bar from its middle (a half, or 0) with its interval, and as a number. */
function Bar({ row, what, limit, digits }: CellProps) {
  const { value, low, high, words, title } = wordsOf({ row, what, digits });
  const middle = what === "satisfied" ? HALF : 0;
  const x = linear(what === "satisfied" ? [0, 1] : [-limit, limit], [1, ROOM - 1]);
  return (
    <span class="mv-score-bar" title={title}>
      {value !== null && (
        <svg width={ROOM} height={16} viewBox={`0 0 ${ROOM} 16`} aria-hidden="true">
          <rect
            data-sign={value >= middle ? 1 : -1}
            x={Math.min(x(middle), x(value))}
            width={Math.max(0.75, Math.abs(x(value) - x(middle)))}
            y={3}
            height={10}
          />
          <line class="mv-zero" x1={x(middle)} x2={x(middle)} y1={0} y2={16} />
          {low !== null && high !== null && (
            <line class="mv-whisker" x1={x(low)} x2={x(high)} y1={8} y2={8} />
          )}
        </svg>
      )}
      <Opens row={row} words={words} title={title} />
      {low !== null && high !== null && (
        <span class="mv-muted mv-interval">
          {what === "satisfied"
            ? `${Math.round(100 * low)}–${Math.round(100 * high)}`
            : `${signed(low, digits)} … ${signed(high, digits)}`}
        </span>
      )}
    </span>
  );
}

/** A value of a group: its colour about the middle, always with its number and how many pairs it stands on. */
function Heat({ row, what, limit, digits, dark }: CellProps & { dark: boolean }) {
  const { value, words, title } = wordsOf({ row, what, digits });
  if (value === null) return <span class="mv-heat-none">–</span>;
  const colour = what === "satisfied" ? diverging(value - HALF, HALF, dark) : diverging(value, limit, dark);
  return (
    <span class="mv-heat-value" style={{ background: css(colour), color: ink(colour) }}>
      <Opens row={row} words={words} title={title} />
      <small>{count(row.n)}</small>
    </span>
  );
}

function LeftOut({ counts }: { counts: Count[] }) {
  const n = counts.reduce((sum, [, many]) => sum + many, 0);
  if (!n) return <>0</>;
  return (
    <>
      {count(n)}
      {counts.map(([reason, many]) => (
        <span key={reason} class="mv-muted">
          {counts.length > 1 && `${count(many)} `}
          <bdi>{reason}</bdi>
        </span>
      ))}
    </>
  );
}
