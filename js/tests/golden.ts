/** The fixtures that Python's own tests write, so that both sides read the same bytes. */
import { readFileSync } from "node:fs";
import { decodeBase64, decodeEntry } from "../src/decode";
import { PROBE_ENTRIES } from "../src/probe_entries";
import type { Snapshot } from "../src/wire";

export type Golden = Snapshot & { expected: Record<string, unknown> };

export const golden = (name: string): Golden => {
  const path = new URL(`../../tests/fixtures/wire/${name}.json`, import.meta.url);
  return JSON.parse(readFileSync(path, "utf8")) as Golden;
};

/** What came with a fixture under a key, decoded as the bundle of probes does. */
export function entryOf<T>({ spec, buffers }: Golden, key: string): T {
  const bytes = Object.fromEntries(
    Object.entries(buffers).map(([name, text]) => [name, decodeBase64(text as string)]),
  );
  return decodeEntry(PROBE_ENTRIES, key, spec.held[key] as never, spec.buffers, bytes) as T;
}
