/** What panels draw beside the grids, by key: what came with the view, and what is fetched from the kernel when it is opened. */

import { type Decoders, decodeEntry } from "./decode";
import { describeError } from "./errors";
import type { BufferSpec, Buffers, Entry, Reply, Spec } from "./wire";

export type Load<T> =
  | { status: "loaded"; value: T }
  | { status: "waiting" }
  | { status: "late" }
  | { status: "failed"; message: string };

export type Loaded = Pick<ReadonlyMap<string, Load<unknown>>, "get">;

export const headKey = (stack: string, layer: number, head: number) => `attention.${stack}.${layer}.${head}`;
export const scoresKey = (stack: string, layer: number, head: number, pos: number) =>
  `scores.${stack}.${layer}.${head}.${pos}`;

const FETCHED_LIMIT = 32;
const PATIENCE_MS = 10_000;

type Options = {
  decoders: Decoders;
  send: (message: object) => void;
  changed: (states: Loaded) => void;
};

export class Loads {
  #states = new Map<string, Load<unknown>>();
  #sent: Record<string, Entry>; // came with the view: read when it is first looked at, never dropped
  #spec: Spec;
  #buffers: Buffers;
  #fetched: string[] = []; // least recently used first
  #requests = new Map<number, { key: string; timer: ReturnType<typeof setTimeout> }>();
  #next_id = 1;
  #options: Options;

  constructor(spec: Spec, buffers: Buffers, options: Options) {
    this.#options = options;
    this.#sent = spec.held;
    this.#spec = spec;
    this.#buffers = buffers;
  }

  /** What there is now; another object after each change, so that those who draw it see that it changed. */
  get states(): Loaded {
    return { get: (key) => this.#state(key) };
  }

  #state(key: string): Load<unknown> | undefined {
    const entry = this.#sent[key];
    if (entry && !this.#states.has(key)) this.#load(key, entry, this.#spec.buffers, this.#buffers);
    return this.#states.get(key);
  }

  /** Ask the kernel for what has this key, unless it is here or on its way; `anew` asks also then. */
  ask(key: string, message: object, anew = false): void {
    const status = this.#state(key)?.status;
    if (status === "loaded") this.#touch(key);
    if (!anew && (status === "loaded" || status === "waiting")) return;
    const id = this.#next_id++;
    const timer = setTimeout(() => this.#set(key, { status: "late" }), PATIENCE_MS);
    this.#requests.set(id, { key, timer });
    this.#set(key, { status: "waiting" });
    this.#options.send({ ...message, id });
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
    this.#load(request.key, reply.entry, reply.buffers, named);
    this.#touch(request.key);
    this.#options.changed(this.states);
  }

  dispose(): void {
    for (const { timer } of this.#requests.values()) clearTimeout(timer);
    this.#requests.clear();
  }

  #load(key: string, entry: Entry, specs: Record<string, BufferSpec>, buffers: Buffers): void {
    try {
      this.#states.set(key, {
        status: "loaded",
        value: decodeEntry(this.#options.decoders, key, entry, specs, buffers),
      });
    } catch (error) {
      // One unreadable head must not take the rest of the view with it: its panel tells what is wrong.
      this.#states.set(key, { status: "failed", message: describeError(error) });
    }
  }

  #touch(key: string): void {
    if (key in this.#sent) return;
    this.#fetched = [...this.#fetched.filter((other) => other !== key), key];
    for (const dropped of this.#fetched.splice(0, Math.max(0, this.#fetched.length - FETCHED_LIMIT))) {
      this.#states.delete(dropped);
    }
  }

  #set(key: string, state: Load<unknown>): void {
    this.#states.set(key, state);
    this.#options.changed(this.states);
  }
}
