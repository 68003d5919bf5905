/** What comes under the keys of the views of pairs, texts and studies. */
import { type Decoders, decodeCurves, type Read, readAll } from "./decode";
import {
  type Condition,
  type Curve,
  type CurveEntry,
  type EdgeCount,
  type Edges,
  type Groups,
  type GroupsEntry,
  type HeadAttention,
  type HeadEntry,
  type Matrix,
  type OpenedEntry,
  PAIR_NUMBERS,
  PAIR_TEXTS,
  type Pairs,
  type PairsEntry,
  type Parts,
  type PartsEntry,
  RUNS,
  type Run,
  type RunAttention,
  type RunScores,
  type ScoreEntry,
  type Scores,
  type Snapshot,
  type Thumbs,
} from "./wire";

function decodeHead(key: string, entry: HeadEntry, read: Read): HeadAttention {
  const edges = (condition: Condition): Edges => ({
    ...(entry[condition] as EdgeCount),
    ...(readAll(read, `${key}.${condition}`, ["query_pos", "key_pos", "weight"]) as Omit<
      Edges,
      keyof EdgeCount
    >),
  });
  const run = (name: Run): RunAttention => ({
    ...edges(name),
    ...(readAll(read, `${key}.${name}`, ["received", "row_sum"]) as Pick<
      RunAttention,
      "received" | "row_sum"
    >),
  });
  const { stack, layer, head, source, difference } = entry;
  return {
    stack,
    layer,
    head,
    base: run("base"),
    source: source ? run("source") : null,
    difference: difference ? edges("difference") : null,
  };
}

function decodeScores(key: string, entry: ScoreEntry, read: Read, has: (name: string) => boolean): Scores {
  const run = (name: Run) =>
    readAll(read, `${key}.${name}`, ["q", "k", "scores", "pattern"]) as unknown as RunScores;
  return { ...entry, base: run("base"), source: has(`${key}.source.q`) ? run("source") : null };
}

function decodePairs(entry: PairsEntry, read: Read): Pairs {
  return {
    ...entry,
    ...readAll(read, "pairs", PAIR_NUMBERS),
    number: read("pairs.number"),
    at: readAll(read, "pairs", PAIR_TEXTS),
    in_bucket: readAll(read, "pairs.buckets", ["grade", "rank"]),
  } as Pairs;
}

/** A pair's own view, as a page without a kernel has it. */
function decodeOpened(key: string, { parts, ...entry }: OpenedEntry, read: Read): Snapshot {
  const buffers: Record<"buffers" | "cells", Record<string, DataView>> = { buffers: {}, cells: {} };
  for (const [part, name] of parts) {
    buffers[part][name] = new DataView(read(`${key}.${part}.${name}`).buffer as ArrayBuffer);
  }
  return { ...entry, ...buffers };
}

const decodeMatrix: Decoders[string] = (key, entry, read, has) =>
  ({
    ...entry,
    base: read(`${key}.base`),
    source: has(`${key}.source`) ? read(`${key}.source`) : null,
  }) as Thumbs | Matrix;

export const ENTRIES: Decoders = {
  curves: decodeCurves,
  attention: (key, entry, read) => decodeHead(key, entry as HeadEntry, read),
  thumbs: decodeMatrix,
  matrix: decodeMatrix,
  scores: (key, entry, read, has) => decodeScores(key, entry as ScoreEntry, read, has),
  parts: (_key, entry, read, has) =>
    ({
      ...(entry as PartsEntry),
      matrices: RUNS.map((run) => `parts.${run}`)
        .filter(has)
        .map(read),
    }) as Parts,
  curve: (key, entry, read) =>
    ({
      ...(entry as CurveEntry),
      ...readAll(read, key, ["top", "rest", "top_patched", "rest_patched"]),
    }) as Curve,
  together: (_key, entry) => entry,
  pairs: (_key, entry, read) => decodePairs(entry as PairsEntry, read),
  pair: (key, entry, read) => decodeOpened(key, entry as OpenedEntry, read),
  groups: (key, entry, read) =>
    ({ ...(entry as GroupsEntry), ...readAll(read, key, ["effect", "low", "high", "n"]) }) as Groups,
};
