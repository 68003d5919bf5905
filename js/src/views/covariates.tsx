/** How the size of the effects goes with what the pairs are. */
import { pText } from "../marks/cells";
import { signed } from "../marks/scale";
import { useField } from "./hooks";
import { type Column, Table, type Value } from "./table";

const CORRELATIONS = ["spearman", "partial"];
const P_VALUES = ["p", "p_partial"];
const HEADINGS: Record<string, string> = {
  n_queries: "queries",
  partial: "partial (given the score change)",
  p_partial: "p of partial",
};

export function Covariates() {
  const rows = useField("spec").study?.covariates ?? [];
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const columns: Column[] = names.map((name) => ({
    name: HEADINGS[name] ?? name,
    number: rows.every((row) => typeof row[name] !== "string"),
    ...(CORRELATIONS.includes(name) && {
      show: (value: Value) => <Correlation value={value as number | null} />,
    }),
    ...(P_VALUES.includes(name) && {
      show: (value: Value) => (value === null ? "not defined" : pText(value as number)),
    }),
  }));
  return (
    <div class="mv-covariates">
      <Table
        label="covariates of the size of the effects"
        columns={columns}
        rows={rows.map((row) => names.map((name) => row[name] ?? null))}
      />
    </div>
  );
}

/** A correlation as a bar from -1 to 1, and as a number. */
function Correlation({ value }: { value: number | null }) {
  if (value === null) return <>not defined</>;
  return (
    <span class="mv-correlation">
      <span class="mv-correlation-room" aria-hidden="true">
        <i
          data-sign={Math.sign(value)}
          style={{ left: `${50 + 50 * Math.min(0, value)}%`, width: `${50 * Math.abs(value)}%` }}
        />
        <b />
      </span>
      {signed(value, 2)}
    </span>
  );
}
