/** Attention edges by head: those that came with the view, and those fetched from the kernel when a head is opened. */
import { describeError } from "./errors";
import {
  type BufferSpec,
  type Buffers,
  decodeHead,
  type HeadAttention,
  type HeadEntry,
  type Reply,
  type Spec,
} from "./wire";

export type HeadState =
  | { status: "loaded"; attention: HeadAttention }
  | { status: "waiting" }
  | { status: "late" }
  | { status: "failed"; message: string };

export const headKey = (layer: number, head: number) => `${layer}.${head}`;

const FETCHED_LIMIT = 32;
const PATIENCE_MS = 10_000;

type Options = {
  send: (message: object) => void;
  changed: (heads: ReadonlyMap<string, HeadState>) => void;
};

export class Heads {
  #states = new Map<string, HeadState>();
  #sent: Set<string>; // came with the view, never dropped
  #fetched: string[] = []; // least recently used first
  #requests = new Map<number, { key: string; timer: ReturnType<typeof setTimeout> }>();
  #next_id = 1;
  #options: Options;

  constructor(spec: Spec, buffers: Buffers, options: Options) {
    this.#options = options;
    this.#sent = new Set(spec.attention.heads.map(({ layer, head }) => headKey(layer, head)));
    for (const entry of spec.attention.heads) this.#load(entry, spec.buffers, buffers);
  }

  get states(): ReadonlyMap<string, HeadState> {
    return new Map(this.#states);
  }

  /** Ask the kernel for a head, unless it is here or on its way. */
  open(layer: number, head: number): void {
    const key = headKey(layer, head);
    const status = this.#states.get(key)?.status;
    if (status === "loaded") this.#touch(key);
    if (status === "loaded" || status === "waiting") return;
    const id = this.#next_id++;
    const timer = setTimeout(() => this.#set(key, { status: "late" }), PATIENCE_MS);
    this.#requests.set(id, { key, timer });
    this.#set(key, { status: "waiting" });
    this.#options.send({ type: "attention", id, layer, head });
  }

  /** Take the kernel's answer. One that comes after we gave up waiting is still welcome. */
  receive(reply: Reply, buffers: DataView[]): void {
    const request = this.#requests.get(reply.id);
    if (!request) return;
    clearTimeout(request.timer);
    this.#requests.delete(reply.id);
    if (reply.type === "error") {
      this.#set(request.key, { status: "failed", message: reply.message });
      return;
    }
    const named = Object.fromEntries(reply.order.map((name, i) => [name, buffers[i] as DataView]));
    this.#load(reply.entry, reply.buffers, named);
    this.#touch(request.key);
    this.#options.changed(this.states);
  }

  dispose(): void {
    for (const { timer } of this.#requests.values()) clearTimeout(timer);
    this.#requests.clear();
  }

  #load(entry: HeadEntry, specs: Record<string, BufferSpec>, buffers: Buffers): void {
    const key = headKey(entry.layer, entry.head);
    try {
      this.#states.set(key, { status: "loaded", attention: decodeHead(entry, specs, buffers) });
    } catch (error) {
      // One unreadable head must not take the rest of the view with it: its panel tells what is wrong.
      this.#states.set(key, {
        status: "failed",
        message: describeError(error),
      });
    }
  }

  #touch(key: string): void {
    if (this.#sent.has(key)) return;
    this.#fetched = [...this.#fetched.filter((other) => other !== key), key];
    for (const dropped of this.#fetched.splice(0, Math.max(0, this.#fetched.length - FETCHED_LIMIT))) {
      this.#states.delete(dropped);
    }
  }

  #set(key: string, state: HeadState): void {
    this.#states.set(key, state);
    this.#options.changed(this.states);
  }
}
