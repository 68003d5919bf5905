/** A model without a kernel: the same traits, read from a file. Nothing that is sent goes anywhere. */

import { bytesOf, decodeBase64 } from "./decode";
import type { Model } from "./model";
import type { Snapshot } from "./wire";

const decodeAll = (encoded: Record<string, string | DataView>) =>
  Object.fromEntries(
    Object.entries(encoded).map(([name, data]) => [
      name,
      typeof data === "string" ? decodeBase64(data) : data,
    ]),
  );

/** Spread the one compressed text that a page holds into its buffers. */
export async function unpacked(data: Snapshot): Promise<Snapshot> {
  if (!data.packed) return data;
  const stream = new Blob([bytesOf(data.packed.data)]).stream().pipeThrough(new DecompressionStream("gzip"));
  const whole = await new Response(stream).arrayBuffer();
  const parts: { buffers: Snapshot["buffers"]; cells: Snapshot["cells"] } = { buffers: {}, cells: {} };
  let start = 0;
  for (const [part, name, length] of data.packed.index) {
    parts[part][name] = new DataView(whole, start, length);
    start += length;
  }
  return { ...data, ...parts };
}

export function snapshotModel(data: Snapshot): Model {
  const traits: Record<string, unknown> = {
    ...data,
    buffers: decodeAll(data.buffers),
    cells: decodeAll(data.cells),
    progress: { ...data.progress, live: false },
  };
  const nothing = () => {};
  return {
    get: (key: string) => traits[key] as never,
    set: (key: string, value: unknown) => {
      traits[key] = value;
    },
    on: nothing,
    off: nothing,
    save_changes: nothing,
    send: nothing,
  } as Model;
}
