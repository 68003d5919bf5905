/** What the score is made of: products by dimension, term weights, a max-sim matrix, or two logits. */
import { useCallback, useMemo, useState } from "preact/hooks";
import type { Load } from "../loads";
import { sequential } from "../marks/colour";
import { hatched, packed, paint } from "../marks/raster";
import { digitsFor, linear, plain, signed } from "../marks/scale";
import type { Parts, Run } from "../wire";
import { Canvas } from "./canvas";
import { useField } from "./hooks";
import { type Column, Table, type Value } from "./table";
import { Toggle } from "./token_lines";

const SHOWN = 24;

export function ScoreParts() {
  const loads = useField("loads");
  const load = loads.get("parts") as Load<Parts> | undefined;
  if (load?.status === "failed") {
    return (
      <div class="mv-error" role="alert">
        <strong>What the score is made of could not be read</strong>
        <p>{load.message}</p>
      </div>
    );
  }
  if (load?.status !== "loaded")
    return <p class="mv-hint">This file leaves out what the score is made of.</p>;
  const parts = load.value;
  return (
    <div class="mv-parts" data-panel data-lm-suppress-shortcuts tabIndex={-1}>
      {parts.kind === "max_sim" ? <MaxSim parts={parts} /> : <Bars parts={parts} />}
    </div>
  );
}

const SAID: Record<string, string> = {
  dimensions:
    "The score is the sum over all dimensions of the query's vector times the document's. Shown are those that differ most between the texts.",
  terms:
    "The score is the sum over all terms of their weight in the query times their weight in the document. Shown are those that differ most between the texts.",
  labels: "The ranker weighs two label tokens against each other: their logits after the prompt.",
};
const NAMES: Record<string, string> = { dimensions: "dimension", terms: "term", labels: "label" };

/** The two texts of a view, in the order of the runs. */
function useRunNames(): [string, string] {
  const { direction } = useField("spec");
  return direction === "original->perturbed" ? ["perturbed", "original"] : ["original", "perturbed"];
}

function Bars({ parts }: { parts: Parts }) {
  const rows = parts.rows ?? [];
  const names = useRunNames();
  const [all, setAll] = useState(false);
  const two = (rows[0]?.length ?? 2) > 2;
  const values = rows.flatMap(([, ...of]) => of);
  const digits = Math.max(2, digitsFor(Math.max(...values.map(Math.abs), 0)));
  const x = linear([Math.min(0, ...values), Math.max(0, ...values, 1e-12)], [0, 100]);
  const shown = all ? rows : rows.slice(0, SHOWN);
  const bar = (value: number, which: string) => (
    <span class="mv-part-bar" data-text={which}>
      <i style={{ left: `${Math.min(x(0), x(value))}%`, width: `${Math.abs(x(value) - x(0))}%` }} />
      <b style={{ left: `${x(0)}%` }} />
    </span>
  );
  const columns: Column[] = [
    { name: NAMES[parts.kind] ?? "part" },
    { name: two ? names[0] : "value", number: true, show: (value) => signed(value as number, digits) },
    ...(two
      ? [
          { name: names[1], number: true, show: (value: Value) => signed(value as number, digits) },
          { name: "change", number: true, show: (value: Value) => signed(value as number, digits) },
        ]
      : []),
  ];
  const table = rows.map(([name, a = 0, b = 0]): Value[] => (two ? [name, a, b, b - a] : [name, a]));
  return (
    <>
      <p class="mv-muted">
        {two
          ? SAID[parts.kind]
          : SAID[parts.kind]?.replace(
              " Shown are those that differ most between the texts.",
              " Shown are the largest.",
            )}
      </p>
      <div class="mv-parts-both">
        <div>
          {two && (
            <p class="mv-part-legend mv-muted">
              <i data-text={names[0]} /> {names[0]} <i data-text={names[1]} /> {names[1]}
            </p>
          )}
          <ol class="mv-part-rows">
            {shown.map(([name, a = 0, b = 0]) => (
              <li key={name}>
                <bdi>{name}</bdi>
                <span class="mv-part-bars">
                  {bar(a, names[0])}
                  {two && bar(b, names[1])}
                </span>
                <span class="mv-number">{two ? signed(b - a, digits) : signed(a, digits)}</span>
              </li>
            ))}
          </ol>
          {rows.length > SHOWN && (
            <button type="button" data-lm-suppress-shortcuts onClick={() => setAll(!all)}>
              {all ? `only the first ${SHOWN}` : `all ${rows.length} that are here`}
            </button>
          )}
          {parts.totals && (
            <p class="mv-muted">
              {(parts.of ?? 0) > rows.length &&
                `${(parts.of ?? 0) - rows.length} others add ${parts.rest?.map((rest) => signed(rest, digits)).join(" and ")}. `}
              Sum: {parts.totals.map((total) => plain(total, 4)).join(" → ")}.
            </p>
          )}
          {parts.kind === "labels" && two && <Odds rows={rows} names={names} />}
        </div>
        <Table label="what the score is made of" columns={columns} rows={table} />
      </div>
    </>
  );
}

/** The share that the first label gets of both, as the softmax over the two gives it. */
function Odds({ rows, names }: { rows: [string, ...number[]][]; names: [string, string] }) {
  const [yes, no] = rows;
  if (!yes || !no) return null;
  const share = (i: number) => 1 / (1 + Math.exp((no[i] as number) - (yes[i] as number)));
  return (
    <p>
      “{yes[0]}” against “{no[0]}”: {plain(share(1), 4)} {names[0]} → {plain(share(2), 4)} {names[1]}
    </p>
  );
}

const CELL = 15;

function MaxSim({ parts }: { parts: Parts }) {
  const dark = useField("dark");
  const names = useRunNames();
  const width = useField("width");
  const [run, setRun] = useState<Run>("base");
  const [place, setPlace] = useState<[number, number] | null>(null);
  const which = run === "source" ? 1 : 0;
  const queries = parts.query_tokens ?? [];
  const docs = parts.doc_tokens?.[which] ?? [];
  const matrix = parts.matrices[which] as Float32Array;
  const [n_queries, n_docs] = [queries.length, docs.length];
  const best = useMemo(() => bestOf(matrix, n_queries, n_docs), [matrix]);
  const cell = Math.max(2, Math.min(CELL, Math.floor((width - 240) / n_docs)));
  const most = Math.max(...best.map(({ value }) => value), 1e-9);
  const draw = useCallback(
    (canvas: HTMLCanvasElement) =>
      paint(canvas, n_docs * cell, n_queries * CELL, (x, y) => {
        const value = matrix[Math.floor(y / CELL) * n_docs + Math.floor(x / cell)] as number;
        if (!Number.isFinite(value)) return hatched(x, y, dark);
        return packed(sequential(Math.max(0, value / most) ** 2, dark));
      }),
    [matrix, dark, cell, most],
  );
  const total = best.reduce((sum, { value }) => sum + value, 0);
  const [row, column] = place ?? [-1, -1];
  const value = place ? (matrix[row * n_docs + column] as number) : Number.NaN;
  return (
    <>
      {parts.matrices.length > 1 && (
        <Toggle
          label="which text"
          value={run}
          choose={(value) => setRun(value as Run)}
          options={[
            ["base", names[0]],
            ["source", names[1]],
          ]}
        />
      )}
      <p class="mv-muted">
        Cosine of every query token with every document token. Each row's best (outlined) counts: they sum to{" "}
        {plain(total, 4)}. Hatched tokens are skipped by this ranker.
      </p>
      <div class="mv-max-sim">
        <ol class="mv-max-sim-labels" style={{ "--row": `${CELL}px` }}>
          {queries.map((token, i) => (
            <li key={i}>
              <bdi>{token}</bdi>
            </li>
          ))}
        </ol>
        <div
          class="mv-heat"
          onPointerMove={(event) => {
            const box = event.currentTarget.getBoundingClientRect();
            const at = (part: number, size: number, n: number) =>
              Math.min(n - 1, Math.max(0, Math.floor((part / size) * n)));
            setPlace([
              at(event.clientY - box.top, box.height, n_queries),
              at(event.clientX - box.left, box.width, n_docs),
            ]);
          }}
          onPointerLeave={() => setPlace(null)}
        >
          <Canvas paint={draw} width={n_docs * cell} height={n_queries * CELL} />
          {best.map(({ at }, i) => (
            <b
              key={i}
              class="mv-best"
              style={{
                left: `${at * cell}px`,
                top: `${i * CELL}px`,
                width: `${cell}px`,
                height: `${CELL}px`,
              }}
            />
          ))}
        </div>
        <ol class="mv-max-sim-best" style={{ "--row": `${CELL}px` }}>
          {best.map(({ at, value }, i) => (
            <li key={i}>
              {plain(value, 3)} <bdi>{docs[at]}</bdi>
            </li>
          ))}
        </ol>
      </div>
      <p class="mv-site-words">
        {place
          ? `“${queries[row]}” with “${docs[column]}”: ${Number.isFinite(value) ? plain(value, 4) : "skipped"}`
          : " "}
      </p>
    </>
  );
}

function bestOf(matrix: Float32Array, n_queries: number, n_docs: number) {
  return Array.from({ length: n_queries }, (_, row) => {
    let [at, value] = [0, Number.NEGATIVE_INFINITY];
    for (let column = 0; column < n_docs; column++) {
      const found = matrix[row * n_docs + column] as number;
      if (found > value) [at, value] = [column, found];
    }
    return { at, value };
  });
}
