/** One pair of the list: its query, what was changed, its document, and its numbers. */
import { type ChangeOf, changesOf, isUsed, type SORTS } from "../marks/pairs";
import { digitsFor, percentile, plain, signed } from "../marks/scale";
import type { Pairs } from "../wire";
import { useField } from "./hooks";

export const pairKey = (number: number) => `pair.${number}`;

export interface Look {
  changes: Float32Array;
  runs: Float32Array;
  limit: number;
  digits: number;
  columns: (typeof SORTS)[number][];
  of: ChangeOf;
}

export function lookOf(pairs: Pairs, of: ChangeOf): Look {
  const [changes, runs] = [changesOf(pairs, of), changesOf(pairs, "runs")];
  const sizes = changes.map(Math.abs);
  const limit = percentile(sizes, 99);
  const known = (numbers: Float32Array) => numbers.some(Number.isFinite);
  const there = {
    query: true,
    grade: known(pairs.grade),
    rank: known(pairs.rank),
    original: known(pairs.original_score),
    change: known(changes),
    runs: known(runs),
  };
  const columns = (["query", "grade", "rank", "original", "change", "runs"] as const).filter(
    (name) => there[name],
  );
  // As many digits as tell the middle of the changes from none.
  const digits = Math.min(4, digitsFor(percentile(sizes, 50)));
  return { changes, runs, limit, digits, columns, of };
}

type RowProps = {
  pairs: Pairs;
  row: number;
  look: Look;
  index: number;
  stop: boolean;
  focused: () => void;
  open: () => void;
};

export function PairRow({ pairs, row, look, index, stop, focused, open }: RowProps) {
  const spec = useField("spec");
  const loads = useField("loads");
  const { changes, runs, limit, digits, columns } = look;
  const number = pairs.number[row] as number;
  const here = pairKey(number) in spec.held || loads.get(pairKey(number))?.status === "loaded";
  const [before, after] = [pairs.original_score[row] as number, pairs.perturbed_score[row] as number];
  const amount = (value: number, show: (value: number) => string) =>
    Number.isFinite(value) ? show(value) : "–";
  const whole = (value: number) => amount(value, String);
  const cells = {
    query: () => <Texts {...{ pairs, row, here }} />,
    grade: () => whole(pairs.grade[row] as number),
    rank: () => whole(pairs.rank[row] as number),
    original: () => (
      <>
        {amount(before, (value) => plain(value, digits))} <span class="mv-arrow">→</span>{" "}
        {amount(after, (value) => plain(value, digits))}
      </>
    ),
    change: () => <Change value={changes[row] as number} {...{ limit, digits }} />,
    runs: () => amount(runs[row] as number, (value) => signed(value, digits)),
  };
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the rows share one handler
    <div
      role="row"
      class="mv-pair"
      aria-rowindex={index}
      data-number={number}
      data-dropped={!isUsed(pairs, row) || undefined}
      data-lm-suppress-shortcuts
      tabIndex={stop ? 0 : -1}
      onFocus={focused}
      onClick={open}
    >
      {columns.map((name) => (
        <span key={name} role="gridcell" data-column={name}>
          {cells[name]()}
        </span>
      ))}
    </div>
  );
}

function Texts({ pairs, row, here }: { pairs: Pairs; row: number; here: boolean }) {
  const text = (name: "queries" | "docs" | "perturbations" | "reasons" | "axioms") =>
    pairs[name][pairs.at[name][row] as number] as string;
  const [gone, put] = pairs.changes[pairs.at.changes[row] as number] as [string, string];
  const [reason, axiom, perturbation] = [text("reasons"), text("axioms"), text("perturbations")];
  return (
    <>
      <span class="mv-pair-query">
        {here && (
          <span class="mv-pair-here" title="opened; it goes into the page when the view is saved">
            ●
          </span>
        )}
        <bdi>{text("queries") || `pair ${pairs.number[row]}`}</bdi>
        {(axiom || perturbation) && (
          <span class="mv-kind">
            <bdi>{axiom || perturbation}</bdi>
          </span>
        )}
        {reason && (
          <span class="mv-pair-reason">
            dropped: <bdi>{reason}</bdi>
          </span>
        )}
      </span>
      <span class="mv-pair-doc">
        {gone && (
          <del>
            <bdi>{gone}</bdi>
          </del>
        )}
        {put && (
          <ins>
            <bdi>{put}</bdi>
          </ins>
        )}
        <bdi>{text("docs")}</bdi>
      </span>
    </>
  );
}

/** A bar from the middle, and the number. */
function Change({ value, limit, digits }: { value: number; limit: number; digits: number }) {
  if (!Number.isFinite(value)) return <>–</>;
  const share = limit > 0 ? Math.max(-1, Math.min(1, value / limit)) : 0;
  return (
    <>
      <span class="mv-correlation-room" aria-hidden="true">
        <i
          data-sign={Math.sign(value)}
          style={{ left: `${50 + 50 * Math.min(0, share)}%`, width: `${50 * Math.abs(share)}%` }}
        />
        <b />
      </span>
      {signed(value, digits)}
    </>
  );
}
