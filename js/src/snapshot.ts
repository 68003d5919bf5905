/** A model without a kernel: the same traits, read from a file. Nothing that is sent goes anywhere. */
import type { Model } from "./model";
import { decodeBase64, type Snapshot } from "./wire";

const decodeAll = (encoded: Record<string, string>) =>
  Object.fromEntries(Object.entries(encoded).map(([name, text]) => [name, decodeBase64(text)]));

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
