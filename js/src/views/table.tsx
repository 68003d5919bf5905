/** The numbers of a panel as a real table, to read, sort and copy. */
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { keepFocus } from "./hooks";

export type Value = string | number | null;

export interface Column {
  name: string;
  /** How a value is shown; numbers are copied as they are. */
  show?: (value: Value) => ComponentChildren;
  number?: boolean;
}

type Props = {
  label: string;
  columns: Column[];
  rows: Value[][];
  chosen?: number;
  choose?: (row: number) => void;
};

const quoted = (value: Value) => {
  const text = value === null ? "" : String(value);
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};

export const toCsv = (columns: Column[], rows: Value[][]) =>
  [columns.map(({ name }) => name), ...rows].map((row) => row.map(quoted).join(",")).join("\n");

/** What goes to the clipboard; where a host forbids that, the text is selected for the person to copy. */
async function copy(text: string, button: HTMLElement): Promise<boolean> {
  try {
    await button.ownerDocument.defaultView?.navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = button.ownerDocument.createElement("textarea");
    area.value = text;
    button.after(area);
    area.select();
    const done = button.ownerDocument.execCommand("copy");
    area.remove();
    return done;
  }
}

export function Table({ label, columns, rows, chosen, choose }: Props) {
  const [by, setBy] = useState<{ column: number; down: boolean } | null>(null);
  const order = [...rows.keys()];
  if (by) {
    const value = (row: number) => (rows[row] as Value[])[by.column] as Value;
    const compare = (a: Value, b: Value) =>
      typeof a === "number" && typeof b === "number" ? a - b : String(a ?? "").localeCompare(String(b ?? ""));
    order.sort((a, b) => (by.down ? -1 : 1) * compare(value(a), value(b)));
  }
  return (
    <div class="mv-table-box">
      <div class="mv-table-scroll">
        <table aria-label={label}>
          <thead>
            <tr>
              {columns.map(({ name, number }, i) => (
                <th
                  key={name}
                  scope="col"
                  data-number={number || undefined}
                  aria-sort={by?.column === i ? (by.down ? "descending" : "ascending") : undefined}
                >
                  <button
                    type="button"
                    data-lm-suppress-shortcuts
                    onClick={() => setBy({ column: i, down: by?.column === i ? !by.down : Boolean(number) })}
                  >
                    {name}
                  </button>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {order.map((row) => (
              <tr key={row} data-chosen={row === chosen || undefined} onClick={choose && (() => choose(row))}>
                {columns.map(({ name, show, number }, i) => {
                  const value = (rows[row] as Value[])[i] as Value;
                  return (
                    <td key={name} data-number={number || undefined}>
                      <bdi>{show ? show(value) : value}</bdi>
                    </td>
                  );
                })}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <CopyButton columns={columns} rows={order.map((row) => rows[row] as Value[])} />
    </div>
  );
}

export function CopyButton({ columns, rows }: Pick<Props, "columns" | "rows">) {
  const [copied, setCopied] = useState<boolean | null>(null);
  return (
    <p class="mv-table-buttons">
      <button
        type="button"
        data-lm-suppress-shortcuts
        onClick={async (event) => {
          const button = event.currentTarget;
          setCopied(await copy(toCsv(columns, rows), button));
        }}
      >
        Copy as CSV
      </button>
      <span role="status" class="mv-muted">
        {copied === null
          ? ""
          : copied
            ? "copied"
            : "this page may not copy: use the notebook's to_dataframe()"}
      </span>
    </p>
  );
}

/** A picture, and the same numbers as a table when asked for. */
export function WithTable({ table, children }: { table: () => Props; children: ComponentChildren }) {
  const [open, setOpen] = useState(false);
  return (
    <>
      {children}
      <button
        type="button"
        class="mv-table-button"
        data-lm-suppress-shortcuts
        aria-expanded={open}
        onClick={(event) => {
          keepFocus(event);
          setOpen(!open);
        }}
      >
        {open ? "Hide the table" : "Table"}
      </button>
      {open && <Table {...table()} />}
    </>
  );
}
