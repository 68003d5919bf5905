/** The two texts cut into rows that stay level, with long equal stretches folded. Positions index both runs. */
import type { Change, TextSpec, TokenSpec } from "../wire";

export type Row = { kind: "tokens" | "fold"; positions: number[] };

const ROW_LIMIT = 40;
const CONTEXT = 12; // equal tokens kept on each side of a change
const FOLD_FROM = 24; // a fold that hides fewer saves nothing
const SHORT_TEXT = 80; // never folded

/** Do `pos` and the position before it belong to one word of this text? */
export function joins(tokens: TokenSpec, pos: number): boolean {
  const word = tokens.words[pos] ?? -1;
  return word >= 0 && word === tokens.words[pos - 1] && tokens.segments[pos] === tokens.segments[pos - 1];
}

/** Positions that the two texts show: those of the side that changed; specials and prompts are not text. */
export function textPositions({ base, source, alignment }: TextSpec, side: string): number[] {
  const all = [...alignment.keys()];
  const ofSide = (pos: number) =>
    [base, source ?? base].some((run) => run.segments[pos] === side || run.fillers[pos]);
  const wanted = all.filter(ofSide);
  return wanted.length ? wanted : all;
}

const endsSentence = (label: string | undefined) => /[.?!;]$/.test(label ?? "");

/** `opened` holds the first positions of folds that the reader opened. */
export function alignedRows(
  positions: number[],
  alignment: Change[],
  sides: [TokenSpec, TokenSpec],
  opened: ReadonlySet<number>,
): Row[] {
  const rows: Row[] = [];
  let row: number[] = [];
  const close = () => {
    if (row.length) rows.push({ kind: "tokens", positions: row });
    row = [];
  };
  const folds = foldedRuns(positions, alignment, sides);
  const inWord = (pos: number) => sides.some((side) => joins(side, pos));
  for (let i = 0; i < positions.length; i++) {
    const pos = positions[i] as number;
    const length = folds.get(i);
    if (length && !opened.has(pos)) {
      close();
      rows.push({ kind: "fold", positions: positions.slice(i, i + length) });
      i += length - 1;
      continue;
    }
    row.push(pos);
    const next = positions[i + 1];
    if (next === undefined || inWord(next)) continue;
    if (row.length >= ROW_LIMIT || sides.some((side) => endsSentence(side.labels[pos]))) close();
  }
  close();
  return rows;
}

/** Index of a fold's first position -> how many positions it hides. */
function foldedRuns(
  positions: number[],
  alignment: Change[],
  sides: [TokenSpec, TokenSpec],
): Map<number, number> {
  const folds = new Map<number, number>();
  if (positions.length <= SHORT_TEXT) return folds;
  const changed = positions.flatMap((pos, i) => (alignment[pos] === "equal" ? [] : [i]));
  const inWord = (i: number) =>
    i < positions.length && sides.some((side) => joins(side, positions[i] as number));
  const bounds = [-1, ...changed, positions.length];
  for (let k = 0; k + 1 < bounds.length; k++) {
    let from = (bounds[k] as number) + 1 + CONTEXT;
    let to = (bounds[k + 1] as number) - CONTEXT;
    while (inWord(from)) from++;
    while (to > from && inWord(to)) to--;
    if (to - from >= FOLD_FROM) folds.set(from, to - from);
  }
  return folds;
}

const OPEN_BOX = "\u2423";

/** How a token stands in a list of tokens, where a space that is a token of its own must be seen. */
export function tokenLabel({ labels, strings }: TokenSpec, pos: number): string {
  const label = labels[pos] || strings[pos] || "";
  return label.trim() ? label : OPEN_BOX;
}

/** How a token stands in running text. */
export function textLabel({ labels, strings }: TokenSpec, pos: number): string {
  return labels[pos] || strings[pos] || "";
}

const RTL = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]/;
const LETTER = /\p{L}/u;

/** Direction of a whole text, by its first letter: tokens are isolated, so the row has to know its own direction. */
export function textDirection(labels: string[]): "ltr" | "rtl" {
  const first = labels.find((label) => LETTER.test(label)) ?? "";
  return RTL.test(first) ? "rtl" : "ltr";
}
