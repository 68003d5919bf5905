/** The two texts side by side, row by row level. What a change is, its mark says; colour only helps. */
import { Fragment } from "preact";
import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { scoreDigits } from "../marks/cells";
import { alignedRows, type Row, textDirection, textLabel, textPositions } from "../marks/rows";
import { plain } from "../marks/scale";
import type { Change, TextSpec, TokenSpec } from "../wire";
import { keepFocus, useField, usePatching, usePositionEvents, usePositionMarks } from "./hooks";

const NARROW = 640; // width of the view, and of this panel, below which the texts stand one above the other
const TIGHT = 380;

type Text = "original" | "perturbed";

export function BeforeAfter() {
  const spec = usePatching();
  const [opened, setOpened] = useState<ReadonlySet<number>>(new Set());
  const root = useRef<HTMLDivElement>(null);
  const width = useField("width");
  const [room, setRoom] = useState(width);
  useLayoutEffect(() => setRoom(root.current?.clientWidth ?? 0), [width, spec]);
  const stacked = width < NARROW || room < TIGHT;
  const { pin: _, ...events } = usePositionEvents("both");
  usePositionMarks(root);
  const forward = spec.direction === "perturbed->original";
  const text = spec.texts[spec.text] as TextSpec;
  const [base, source] = [text.base, text.source as TokenSpec];
  const [original, perturbed] = forward ? [base, source] : [source, base];
  const { scores } = spec;
  const { alignment } = text;
  const rows = useMemo(
    () => alignedRows(textPositions(text, spec.side), alignment, [original, perturbed], opened),
    [spec, opened],
  );
  const direction = textDirection(
    original.labels.filter((_label, pos) => original.segments[pos] === spec.side),
  );
  const body = useMemo(
    () =>
      rows.map((row) =>
        row.kind === "fold" ? (
          <Fold key={row.positions[0]} row={row} open={(pos) => setOpened(new Set([...opened, pos]))} />
        ) : (
          <div key={row.positions[0]} class="mv-text-row" dir={direction}>
            <TextRow row={row} tokens={original} alignment={alignment} text="original" />
            <TextRow row={row} tokens={perturbed} alignment={alignment} text="perturbed" />
          </div>
        ),
      ),
    [rows, direction],
  );
  const digits = scoreDigits(spec);
  return (
    <div
      class="mv-before-after"
      data-panel
      data-lm-suppress-shortcuts
      tabIndex={-1}
      data-stacked={stacked || undefined}
      ref={root}
      {...events}
    >
      <div class="mv-text-row mv-text-head">
        <h4 data-text="original">
          original <span>{plain(scores.original, digits)}</span>
        </h4>
        <h4 data-text="perturbed">
          perturbed <span>{plain(scores.perturbed, digits)}</span>
        </h4>
      </div>
      {body}
    </div>
  );
}

function Fold({ row, open }: { row: Row; open: (pos: number) => void }) {
  return (
    <button
      type="button"
      class="mv-fold"
      data-lm-suppress-shortcuts
      onClick={(event) => {
        keepFocus(event);
        open(row.positions[0] as number);
      }}
    >
      … {row.positions.length} equal tokens
    </button>
  );
}

type TextRowProps = { row: Row; tokens: TokenSpec; alignment: Change[]; text: Text };

function TextRow({ row, tokens, alignment, text }: TextRowProps) {
  return (
    <p data-text={text}>
      {row.positions.map((pos, i) => {
        const joined = i > 0 && !tokens.spaces[pos];
        return (
          <Fragment key={pos}>
            {i > 0 && !joined && " "}
            <Token tokens={tokens} pos={pos} change={alignment[pos] ?? "equal"} text={text} joined={joined} />
          </Fragment>
        );
      })}
    </p>
  );
}

type TokenProps = { tokens: TokenSpec; pos: number; change: Change; text: Text; joined: boolean };

function Token({ tokens, pos, change, text, joined }: TokenProps) {
  const label = textLabel(tokens, pos);
  // No direction of its own: the row has one, and an isolated piece would tear a word or a joined script apart.
  const common = { "data-pos": pos, "data-joined": joined || undefined };
  if (tokens.fillers[pos]) {
    return (
      <i class="mv-filler" title="filler: keeps both texts the same length" {...common}>
        {label}
      </i>
    );
  }
  if (change === "insert" && text === "perturbed") return <ins {...common}>{label}</ins>;
  if (change === "delete" && text === "original") return <del {...common}>{label}</del>;
  if (change === "replace") return <b {...common}>{label}</b>;
  return <span {...common}>{label}</span>;
}
