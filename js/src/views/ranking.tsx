/** Ranks before and after: slopes, with the rank that one head alone would give, and a table. */
import { useMemo, useState } from "preact/hooks";
import { cellName, cellNumbers } from "../marks/cells";
import { type Placed, placed, windowOf } from "../marks/ranking";
import { linear, percentile, plain, signed } from "../marks/scale";
import type { RankingSpec } from "../wire";
import { useField, useGrids } from "./hooks";
import { type Column, Table } from "./table";
import { Toggle } from "./token_lines";

const WIDTH = 380;
const ROW = 21;
const SCORE_HEIGHT = 360;
const SIDE = 96;
const TOP = 26;

type Height = "rank" | "score" | "change";

export function Ranking() {
  const spec = useField("spec");
  const ranking = spec.ranking as RankingSpec;
  const [by, setBy] = useState<Height>("rank");
  const [chosen, setChosen] = useState<number | null>(null);
  const documents = useMemo(() => placed(ranking.documents), [ranking]);
  const moved = documents.filter((document) => document.moved);
  const one = moved.length === 1 ? moved[0] : undefined;
  const shown = useMemo(() => windowOf(documents, one), [documents, one]);
  const left_out = documents.length - shown.length;
  return (
    <div class="mv-ranking" data-panel data-lm-suppress-shortcuts tabIndex={-1}>
      <div class="mv-ranking-picture">
        {ranking.compared && (
          <Toggle
            label="height of the slopes"
            value={by}
            choose={(value) => setBy(value as Height)}
            options={[
              ["rank", "by rank"],
              ["score", "by score"],
              ...(moved.length > 1 ? [["change", "score change"] as [string, string]] : []),
            ]}
          />
        )}
        {by === "change" ? (
          <Changes moved={moved} chosen={chosen} choose={setChosen} />
        ) : (
          <Slopes {...{ shown, documents, by, one, chosen }} compared={ranking.compared} choose={setChosen} />
        )}
        {left_out > 0 && <p class="mv-muted">… {left_out} others, not near the document that moved</p>}
        <Summary ranking={ranking} moved={moved} />
      </div>
      <div class="mv-ranking-table">
        <Table
          label="documents by rank"
          columns={columnsFor(ranking)}
          rows={[...documents].sort((a, b) => a.after - b.after).map((document) => rowOf(document, ranking))}
          chosen={
            chosen === null
              ? -1
              : [...documents].sort((a, b) => a.after - b.after).findIndex(({ index }) => index === chosen)
          }
          choose={(row) => setChosen(([...documents].sort((a, b) => a.after - b.after)[row] as Placed).index)}
        />
      </div>
    </div>
  );
}

const number = (digits: number) => (value: unknown) => plain(value as number, digits);
const change = (digits: number) => (value: unknown) => signed(value as number, digits);

function columnsFor({ compared, documents }: RankingSpec): Column[] {
  const graded = documents.some(({ grade }) => grade !== null);
  return [
    { name: "rank", number: true },
    ...(compared
      ? [
          { name: "was", number: true },
          {
            name: "moved",
            number: true,
            show: (value: unknown) => (value ? signed(value as number, 0) : "0"),
          },
        ]
      : []),
    { name: "score", number: true, show: number(4) },
    ...(compared ? [{ name: "change", number: true, show: change(4) }] : []),
    ...(graded ? [{ name: "grade", number: true }] : []),
    { name: "document" },
  ];
}

function rowOf(document: Placed, { compared, documents }: RankingSpec) {
  const graded = documents.some(({ grade }) => grade !== null);
  const some = compared && documents.some((other) => !other.moved);
  const { before, after, original, perturbed, grade, name, text, moved } = document;
  return [
    after,
    ...(compared ? [before, before - after] : []),
    perturbed,
    ...(compared ? [perturbed - original] : []),
    ...(graded ? [grade] : []),
    `${moved && some ? "● " : ""}${name}${text ? `: ${text}` : ""}`,
  ];
}

function Summary({ ranking, moved }: { ranking: RankingSpec; moved: Placed[] }) {
  const { overlap, ndcg, compared } = ranking;
  const changes = moved.map(({ original, perturbed }) => perturbed - original);
  const parts = [
    compared &&
      moved.length > 1 &&
      `median score change ${signed(percentile(changes, 50), 4)} (half of them from ${signed(percentile(changes, 25), 4)} to ${signed(percentile(changes, 75), 4)})`,
    overlap !== null && `rank-biased overlap ${plain(overlap, 3)} (p = 0.9)`,
    ndcg?.[0] != null &&
      (compared && ndcg[1] !== null
        ? `nDCG@10 ${plain(ndcg[0], 3)} → ${plain(ndcg[1] as number, 3)}`
        : `nDCG@10 ${plain(ndcg[0], 3)}`),
  ].filter(Boolean);
  return (
    <p class="mv-muted">
      {parts.length > 0 && <>{parts.join("; ")}. </>}
      Equal scores keep the order given.
    </p>
  );
}

type ChangesProps = { moved: Placed[]; chosen: number | null; choose: (index: number) => void };

const DOT_ROW = 15;

/** The score change of each document that was perturbed, largest first, with the median and the middle half. */
function Changes({ moved, chosen, choose }: ChangesProps) {
  const changes = moved.map(({ original, perturbed }) => perturbed - original);
  const order = [...moved.keys()].sort((a, b) => (changes[b] as number) - (changes[a] as number));
  const x = linear([Math.min(0, ...changes), Math.max(0, ...changes)], [SIDE, WIDTH - 50]);
  const height = order.length * DOT_ROW + 8;
  const [low, middle, high] = [25, 50, 75].map((p) => x(percentile(changes, p))) as [number, number, number];
  return (
    <svg
      class="mv-slopes"
      width={WIDTH}
      height={height + TOP}
      viewBox={`0 ${-TOP} ${WIDTH} ${height + TOP}`}
      role="img"
      aria-label={`score changes of ${moved.length} documents, median ${signed(percentile(changes, 50), 4)}`}
    >
      <rect class="mv-middle-half" x={low} width={Math.max(1, high - low)} y={0} height={height} />
      <line class="mv-median" x1={middle} x2={middle} y1={-4} y2={height} />
      <text class="mv-slope-head" x={middle} y={-9} text-anchor="middle">
        median {signed(percentile(changes, 50), 4)}
      </text>
      <line class="mv-axis" x1={x(0)} x2={x(0)} y1={0} y2={height} />
      {order.map((at, row) => {
        const document = moved[at] as Placed;
        const [change, y] = [changes[at] as number, row * DOT_ROW + 10];
        return (
          // biome-ignore lint/a11y/noStaticElementInteractions: the table beside it does the same by keys
          // biome-ignore lint/a11y/useKeyWithClickEvents: likewise
          <g
            key={document.index}
            class="mv-slope"
            data-overtaken
            data-chosen={document.index === chosen || undefined}
            onClick={() => choose(document.index)}
          >
            <title>{`${document.name}: ${signed(change, 4)}\n${document.text}`}</title>
            <line x1={x(0)} x2={x(change)} y1={y} y2={y} />
            <circle cx={x(change)} cy={y} r={3.5} />
            <text x={SIDE - 9} y={y + 4} text-anchor="end">
              {document.name}
            </text>
          </g>
        );
      })}
    </svg>
  );
}

type SlopesProps = {
  shown: Placed[];
  documents: Placed[];
  by: Height;
  one: Placed | undefined;
  compared: boolean;
  chosen: number | null;
  choose: (index: number) => void;
};

function Slopes({ shown, documents, by, one, compared, chosen, choose }: SlopesProps) {
  const spec = useField("spec");
  const grids = useGrids();
  const selection = useField("selection");
  const scores = shown.flatMap(({ original, perturbed }) => [original, perturbed]);
  const height = by === "rank" ? shown.length * ROW + 10 : SCORE_HEIGHT;
  const score_y = linear([Math.max(...scores), Math.min(...scores)], [10, height - 10]);
  // Rows in sight are level with each other on both sides, however far their ranks are apart.
  const rows = (rank: (document: Placed) => number) =>
    new Map([...shown].sort((a, b) => rank(a) - rank(b)).map(({ index }, row) => [index, 12 + row * ROW]));
  const [left, right] = [rows(({ before }) => before), rows(({ after }) => after)];
  const y0 = (document: Placed) =>
    by === "rank" ? (left.get(document.index) as number) : score_y(document.original);
  const y1 = (document: Placed) =>
    by === "rank" ? (right.get(document.index) as number) : score_y(document.perturbed);
  const [x0, x1] = compared ? [SIDE, WIDTH - SIDE] : [SIDE, SIDE];
  const overtaken = (document: Placed) => document !== one && document.before !== document.after;
  const alone = one && overlay();
  const all = [...shown].sort((a, b) => Number(a.moved) - Number(b.moved));
  return (
    <svg
      class="mv-slopes"
      width={WIDTH}
      height={height + TOP}
      viewBox={`0 ${-TOP} ${WIDTH} ${height + TOP}`}
      role="img"
      aria-label={
        one ? `the document moves from rank ${one.before} to rank ${one.after}` : "ranks of the documents"
      }
    >
      <text class="mv-slope-head" x={x0} y={-10} text-anchor={compared ? "end" : "start"}>
        {compared ? "original" : by === "rank" ? "ranks" : "scores"}
      </text>
      {compared && (
        <text class="mv-slope-head" x={x1} y={-10}>
          perturbed
        </text>
      )}
      {all.map((document) => (
        // biome-ignore lint/a11y/noStaticElementInteractions: the table beside it does the same by keys
        // biome-ignore lint/a11y/useKeyWithClickEvents: likewise
        <g
          key={document.index}
          class="mv-slope"
          data-moved={(document.moved && Boolean(one)) || undefined}
          data-overtaken={overtaken(document) || undefined}
          data-chosen={document.index === chosen || undefined}
          onClick={() => choose(document.index)}
        >
          <title>{`${document.name}: rank ${document.before} → ${document.after}, score ${plain(document.original, 4)} → ${plain(document.perturbed, 4)}${document.text ? `\n${document.text}` : ""}`}</title>
          {compared && <line x1={x0} x2={x1} y1={y0(document)} y2={y1(document)} />}
          <circle cx={x0} cy={y0(document)} r={document.moved && one ? 4.5 : 3} />
          {compared && <circle cx={x1} cy={y1(document)} r={document.moved && one ? 5 : 3} />}
          {(by === "rank" || document.moved || documents.length <= 12) && (
            <>
              <text x={x0 - 9} y={y0(document) + 4} text-anchor="end">
                {by === "rank" ? named(document, document.before, true) : plain(document.original, 3)}
              </text>
              {compared && (
                <text x={x1 + 9} y={y1(document) + 4}>
                  {by === "rank" ? named(document, document.after, false) : plain(document.perturbed, 3)}
                </text>
              )}
            </>
          )}
        </g>
      ))}
      {alone && (
        <g class="mv-alone">
          <title>{alone.words}</title>
          <line x1={x0} x2={(x0 + x1) / 2} y1={one ? y0(one) : 0} y2={alone.y} />
          <circle cx={(x0 + x1) / 2} cy={alone.y} r={5} />
          <text x={(x0 + x1) / 2} y={alone.y - 9} text-anchor="middle">
            {alone.label}
          </text>
        </g>
      )}
    </svg>
  );

  /** Where the document would stand if only the selected head were patched. */
  function overlay() {
    if (!one || !spec.scores || !compared) return null;
    const cell = { stack: selection.stack, layer: selection.layer, head: selection.head };
    const patched = cellNumbers(grids, cell)?.patched;
    if (patched === undefined || !Number.isFinite(patched)) return null;
    const rest = documents.filter((document) => document !== one);
    const forward = spec.direction === "perturbed->original";
    const rivals = rest.map((document) => (forward ? document.original : document.perturbed));
    const rank = rivals.filter((rival) => rival >= patched).length + 1;
    const words = `if only ${cellName(spec, cell).toLowerCase()} is patched: score ${plain(patched, 4)}, rank ${rank}`;
    const near = shown.find(({ before, after }) => (forward ? before : after) === rank);
    const y = by === "score" ? score_y(patched) : near ? (forward ? y0(near) : y1(near)) : y0(one);
    return {
      words,
      y,
      label: `L${cell.layer}H${cell.head} alone: ${by === "rank" ? rank : plain(patched, 3)}`,
    };
  }
}

/** A document's name with its rank, which stands next to the dot. */
function named({ name }: Placed, rank: number, left: boolean) {
  const short = name === "this document" ? "this" : name;
  const number = <tspan class="mv-slope-rank">{rank}</tspan>;
  return left ? [short, "\u2002", number] : [number, "\u2002", short];
}
