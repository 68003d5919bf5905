/** Which tokens stand in a relation, as a detector sees it: lines as likely as the pairs are, and the heads that say so. */
import { useMemo, useState } from "preact/hooks";
import { columnOf, drawnOf, firstThreshold, probabilities } from "../marks/relation";
import { tokenLabel } from "../marks/rows";
import { count } from "../marks/scale";
import type { Candidates, RelationSpec } from "../probe_wire";
import type { TextSpec } from "../wire";
import { useField, useHeld } from "./hooks";
import { RelationHeads } from "./relation_heads";
import { RelationLines } from "./relation_lines";
import { PairDetails, PairRows } from "./relation_pairs";
import { WithTable } from "./table";

const TOPS = [1, 2, 3, 5, 10];
const ALL = Number.POSITIVE_INFINITY;

export function RelationPanel() {
  const spec = useField("spec").relation as RelationSpec;
  const all = useHeld<Candidates>("relation");
  return all && <Relation spec={spec} all={all} />;
}

/** 0.97, and never 1.00 for what is not sure. */
export const likely = (p: number) =>
  p > 0.995 && p < 1 ? ">0.99" : p < 0.005 && p > 0 ? "<0.01" : p.toFixed(2);

function Relation({ spec, all }: { spec: RelationSpec; all: Candidates }) {
  const { texts, text } = useField("spec");
  const tokens = (texts[text] as TextSpec).base;
  const [off, setOff] = useState<ReadonlySet<number>>(new Set());
  const whole = useMemo(() => probabilities(spec, all, new Set()), [spec, all]);
  const p = useMemo(() => (off.size ? probabilities(spec, all, off) : whole), [spec, all, off, whole]);
  const [least, setLeast] = useState(() => firstThreshold(whole));
  const [top, setTop] = useState(3);
  const [chosen, setChosen] = useState<number | null>(null);
  const [hovered, setHovered] = useState<number | null>(null);
  const [unfolded, setUnfolded] = useState(false);
  // What heads that are off took away stays to be seen, as faint as it is now likely.
  const drawn = useMemo(
    () =>
      drawnOf(
        p.map((now, at) => Math.max(now, whole[at] as number)),
        all.pairs,
        least,
        top,
      ),
    [p, whole, all, least, top],
  );
  const columns = useMemo(
    () =>
      [0, 1].map((end) => {
        const every = new Set([...all.pairs].filter((_, at) => at % 2 === end));
        const used = new Set(drawn.map((at) => all.pairs[2 * at + end] as number));
        return columnOf(tokens, every, used, !unfolded);
      }) as [ReturnType<typeof columnOf>, ReturnType<typeof columnOf>],
    [all, tokens, drawn, unfolded],
  );
  const name = (pos: number) => tokenLabel(tokens, pos);
  const focused = hovered ?? chosen ?? drawn[0] ?? null;
  const now = drawn.filter((at) => (p[at] as number) >= least);
  const held = now.filter((at) => all.truth?.[at]).length;
  return (
    <div class="mv-relation" data-panel data-lm-suppress-shortcuts tabIndex={-1}>
      <div class="mv-bar">
        <label class="mv-check">
          at least as likely as
          <input
            type="range"
            data-lm-suppress-shortcuts
            min={0}
            max={0.99}
            step={0.01}
            value={least}
            onInput={(event) => setLeast(Number(event.currentTarget.value))}
          />
          <output>{least.toFixed(2)}</output>
        </label>
        <label class="mv-check">
          of each token at most
          <select
            data-lm-suppress-shortcuts
            value={String(top)}
            onChange={(event) => setTop(Number(event.currentTarget.value))}
          >
            {[...TOPS, ALL].map((n) => (
              <option key={n} value={String(n)}>
                {n === ALL ? "all" : n}
              </option>
            ))}
          </select>
        </label>
        <span role="status" class="mv-muted">
          {count(now.length)} {now.length === 1 ? "pair" : "pairs"}
          {all.truth && now.length > 0 && `, the relation holds in ${count(held)}`}
        </span>
        {all.truth && drawn.some((at) => !all.truth?.[at]) && (
          <span class="mv-muted">
            <i class="mv-relation-key" /> it does not hold
          </span>
        )}
        {off.size > 0 && (
          <span class="mv-off" role="status">
            {count(off.size)} {off.size === 1 ? "head" : "heads"} off
          </span>
        )}
      </div>
      <WithTable
        table={() => ({
          label: `pairs, ${spec.name}`,
          columns: [
            { name: "from" },
            { name: "to" },
            { name: "likely", number: true, show: (value) => likely(value as number) },
            { name: "with all heads", number: true, show: (value) => likely(value as number) },
            ...(all.truth ? [{ name: "holds" }] : []),
          ],
          rows: [...p.keys()].map((at) => [
            `${name(all.pairs[2 * at] as number)} (${all.pairs[2 * at]})`,
            `${name(all.pairs[2 * at + 1] as number)} (${all.pairs[2 * at + 1]})`,
            p[at] as number,
            whole[at] as number,
            ...(all.truth ? [all.truth[at] ? "yes" : "no"] : []),
          ]),
        })}
      >
        <div class="mv-relation-body">
          <div class="mv-relation-left">
            <RelationLines
              {...{ all, p, drawn, columns, tokens, focused, name }}
              hover={setHovered}
              choose={setChosen}
              unfold={() => setUnfolded(true)}
            />
          </div>
          <div class="mv-relation-right">
            <PairRows {...{ all, p, whole, drawn, name, focused }} hover={setHovered} choose={setChosen} />
            {focused !== null && <PairDetails {...{ spec, all, p, name, off }} pair={focused} />}
            <RelationHeads {...{ spec, all, off, setOff }} pair={focused} />
          </div>
        </div>
      </WithTable>
      <p class="mv-foot">
        {spec.note}
        {spec.n < spec.of && ` The likeliest ${count(spec.n)} of ${count(spec.of)} candidates are here.`}
      </p>
    </div>
  );
}
