/** Two columns of tokens, or a text beside itself, and lines between those that stand in the relation. */
import { useState } from "preact/hooks";
import type { ColumnRow } from "../marks/relation";
import type { Candidates } from "../probe_wire";
import type { TokenSpec } from "../wire";
import { useField } from "./hooks";

const ROW = 21;
const WIDEST = 620;

type Props = {
  all: Candidates;
  p: Float64Array;
  drawn: number[];
  columns: [ColumnRow[], ColumnRow[]];
  tokens: TokenSpec;
  focused: number | null;
  name: (pos: number) => string;
  hover: (pair: number | null) => void;
  choose: (pair: number) => void;
  unfold: () => void;
};

export function RelationLines({
  all,
  p,
  drawn,
  columns,
  tokens,
  focused,
  name,
  hover,
  choose,
  unfold,
}: Props) {
  const width = useField("width");
  const [token, setToken] = useState<[end: 0 | 1, pos: number] | null>(null);
  const room = Math.min(WIDEST, width < 760 ? width - 8 : 0.54 * width);
  const side = Math.min(170, 0.32 * room);
  const gap = room - 2 * side;
  const height = ROW * Math.max(columns[0].length, columns[1].length);
  const placed = columns.map((rows) => {
    const at = new Map<number, number>();
    rows.forEach((row, number) => {
      if (row.kind === "token") at.set(row.pos, ROW * (number + 0.5));
    });
    return at;
  }) as [Map<number, number>, Map<number, number>];
  const end = (pair: number, which: 0 | 1) => all.pairs[2 * pair + which] as number;
  const lit = (pair: number) => (token === null ? true : end(pair, token[0]) === token[1]);
  const ends = [0, 1].map((which) => new Set(drawn.filter(lit).map((pair) => end(pair, which as 0 | 1))));
  const chosen = focused === null ? null : [end(focused, 0), end(focused, 1)];
  return (
    <div class="mv-relation-lines" style={{ width: `${room}px`, "--row": `${ROW}px` }}>
      {columns.map((rows, which) => (
        <ol key={which} data-end={which} style={{ width: `${side}px` }}>
          {rows.map((row) =>
            row.kind === "fold" ? (
              <li key={`${row.from}-`}>
                <button type="button" class="mv-textlink" data-lm-suppress-shortcuts onClick={unfold}>
                  … {row.to - row.from + 1} tokens
                </button>
              </li>
            ) : (
              <li
                key={row.pos}
                data-segment={tokens.segments[row.pos]}
                data-used={ends[which]?.has(row.pos) || undefined}
                data-chosen={chosen?.[which] === row.pos || undefined}
                onPointerEnter={() => {
                  setToken([which as 0 | 1, row.pos]);
                  const best = drawn.find((pair) => end(pair, which as 0 | 1) === row.pos);
                  if (best !== undefined) hover(best);
                }}
                onPointerLeave={() => {
                  setToken(null);
                  hover(null);
                }}
              >
                <bdi>{name(row.pos)}</bdi>
              </li>
            ),
          )}
        </ol>
      ))}
      <svg
        width={gap}
        height={height}
        style={{ left: `${side}px` }}
        aria-hidden="true"
        onPointerLeave={() => hover(null)}
      >
        {[...drawn].reverse().map((pair) => {
          const [from, to] = [placed[0].get(end(pair, 0)), placed[1].get(end(pair, 1))];
          if (from === undefined || to === undefined) return null;
          const d = `M6 ${from}C${0.4 * gap} ${from} ${0.6 * gap} ${to} ${gap - 6} ${to}`;
          return (
            // biome-ignore lint/a11y/noStaticElementInteractions: the list of pairs does the same by keys
            // biome-ignore lint/a11y/useKeyWithClickEvents: likewise
            <g
              key={pair}
              class="mv-relation-line"
              data-pair={pair}
              data-wrong={all.truth?.[pair] === 0 || undefined}
              data-focused={pair === focused || undefined}
              style={{ opacity: lit(pair) ? Math.max(0.14, p[pair] as number) : 0.06 }}
              onPointerEnter={() => hover(pair)}
              onClick={() => choose(pair)}
            >
              <path class="mv-relation-target" d={d} />
              <path d={d} />
            </g>
          );
        })}
      </svg>
    </div>
  );
}
