/** Passages without drawing them: where a long one is cut, where colours end. */
import { MARK, type Passage, SPACE } from "../probe_wire";
import { colourLimit } from "./scale";

/** A passage of more pieces is cut. */
export const LONG = 90;
const AROUND = 16;

/** Pieces [from, to) that are shown. */
export type Part = [from: number, to: number];

/** What is shown of a passage: all of a short one; of a long one what is around its marks, else around its largest values. */
export function partsOf({ pieces, flags, values }: Pick<Passage, "pieces" | "flags" | "values">): Part[] {
  const n = pieces.length;
  if (n <= LONG) return [[0, n]];
  let centres = [...flags.keys()].filter((at) => (flags[at] as number) & MARK);
  if (!centres.length) {
    const size = (at: number) => Math.abs(values[at] as number);
    centres = [...values.keys()]
      .filter((at) => size(at) > 0)
      .sort((a, b) => size(b) - size(a))
      .slice(0, 3)
      .sort((a, b) => a - b);
  }
  if (!centres.length) return [[0, 2 * AROUND]];
  const parts: Part[] = [];
  for (const at of centres) {
    const [from, to] = [Math.max(0, at - AROUND), Math.min(n, at + AROUND + 1)];
    const last = parts.at(-1);
    // A gap that hides a few pieces saves nothing.
    if (last && from <= last[1] + 4) last[1] = Math.max(last[1], to);
    else parts.push([from < 5 ? 0 : from, to > n - 5 ? n : to]);
  }
  return parts;
}

/** Where the colours of all groups end. */
export const limitOf = (groups: { passages: Pick<Passage, "values">[] }[]) =>
  colourLimit(groups.flatMap(({ passages }) => passages.flatMap(({ values }) => [...values].map(Math.abs))));

/** The text of a passage as it was written. */
export const textOf = ({ pieces, flags }: Pick<Passage, "pieces" | "flags">) =>
  pieces.map((piece, at) => (at && (flags[at] as number) & SPACE ? ` ${piece}` : piece)).join("");
