/** What comes under the keys of the views of probes. */
import { type Decoders, decodeCurves, type Read, readAll } from "./decode";
import type { Candidates, LayerEntry, LayerPoints, PassageGroup, PassagesEntry, Points } from "./probe_wire";

/** Every passage with its own part of the two arrays. */
function decodePassages({ groups }: PassagesEntry, read: Read): PassageGroup[] {
  const values = read("passages.values") as Float32Array;
  const flags = read("passages.flags") as Uint8Array;
  let at = 0;
  const decoded = groups.map((group) => ({
    ...group,
    passages: group.passages.map((passage) => {
      const end = at + passage.pieces.length;
      const own = { ...passage, values: values.subarray(at, end), flags: flags.subarray(at, end) };
      at = end;
      return own;
    }),
  }));
  if (at !== values.length)
    throw new Error(`passages hold ${at} pieces, and there are ${values.length} values`);
  return decoded;
}

function decodeLayer(entry: LayerEntry, at: Float32Array | Uint16Array): LayerPoints {
  const n = at.length / 2;
  const small = at instanceof Uint16Array;
  const axis = (which: 0 | 1) => {
    const [low, span] = [entry.low[which], entry.span[which]];
    const found = new Float32Array(n);
    for (let i = 0; i < n; i++) {
      const value = at[2 * i + which] as number;
      found[i] = small ? low + (value / 65535) * span : value;
    }
    return found;
  };
  return { ...entry, x: axis(0), y: axis(1) };
}

export const PROBE_ENTRIES: Decoders = {
  curves: decodeCurves,
  passages: (_key, entry, read) => decodePassages(entry as PassagesEntry, read),
  expand: (_key, entry) => entry,
  relation: (key, _entry, read, has) =>
    ({
      ...readAll(read, key, ["pairs", "contributions", "other", "weights"]),
      truth: has("relation.truth") ? read("relation.truth") : null,
    }) as Candidates,
  tensor: (_key, _entry, read) => read("tensor.values"),
  slice: (key, _entry, read) => read(`${key}.values`),
  atlas: (_key, _entry, read, has) =>
    ({
      ...readAll(read, "atlas", ["score", "grade", "text"]),
      labels: has("atlas.labels")
        ? new TextDecoder().decode(read("atlas.labels") as Uint8Array<ArrayBuffer>).split("\0")
        : null,
    }) as Points,
  layer: (key, entry, read) =>
    decodeLayer(entry as LayerEntry, read(`${key}.at`) as Float32Array | Uint16Array),
};
