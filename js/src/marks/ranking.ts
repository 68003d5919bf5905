/** A ranked list before and after, without drawing it. */
import type { RankedDocument } from "../wire";

export interface Placed extends RankedDocument {
  index: number;
  before: number;
  after: number;
}

/** Ranks of scores, 1 the best; equal scores keep the order given. */
export function ranksOf(scores: number[]): number[] {
  const order = [...scores.keys()].sort((a, b) => (scores[b] as number) - (scores[a] as number) || a - b);
  const ranks: number[] = Array(scores.length).fill(0);
  order.forEach((index, place) => {
    ranks[index] = place + 1;
  });
  return ranks;
}

export function placed(documents: RankedDocument[]): Placed[] {
  const before = ranksOf(documents.map(({ original }) => original));
  const after = ranksOf(documents.map(({ perturbed }) => perturbed));
  return documents.map((document, index) => ({
    ...document,
    index,
    before: before[index] as number,
    after: after[index] as number,
  }));
}

const WINDOW = 9;
const LONG = 40;

/** The documents to draw: all of a short list, else those around the one that moved. */
export function windowOf(documents: Placed[], moved: Placed | undefined): Placed[] {
  if (documents.length <= LONG) return documents;
  const centre = moved ? [moved.before, moved.after] : [1, 1];
  const near = (rank: number) => centre.some((at) => Math.abs(rank - at) <= WINDOW);
  return documents.filter(({ before, after }) => near(before) || near(after));
}
