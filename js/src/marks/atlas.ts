/** An atlas without drawing it: places in a square, what lies near a place, what is in a box, which labels fit. */
import type { AtlasCell, AtlasSpec, LayerPoints, Points } from "../probe_wire";
import type { Rgb } from "./colour";

/** A layer's points in a square from -1 to 1, both axes by one scale; and its bounding box there. */
export interface Plane {
  u: Float32Array;
  v: Float32Array;
  box: Box;
}
export type Box = { left: number; right: number; bottom: number; top: number };

export function planeOf({ x, y, low, span }: LayerPoints): Plane {
  const half = Math.max(span[0], span[1]) / 2 || 1;
  const [cx, cy] = [low[0] + span[0] / 2, low[1] + span[1] / 2];
  return {
    u: x.map((value) => (value - cx) / half),
    v: y.map((value) => (value - cy) / half),
    box: {
      left: -span[0] / 2 / half,
      right: span[0] / 2 / half,
      bottom: -span[1] / 2 / half,
      top: span[1] / 2 / half,
    },
  };
}

/** Places between two planes: at 0 the first, at 1 the second. */
export function between(from: Plane, to: Plane, at: number): Plane {
  const mix = (a: Float32Array, b: Float32Array) =>
    a.map((value, i) => value + ((b[i] as number) - value) * at);
  return { u: mix(from.u, to.u), v: mix(from.v, to.v), box: to.box };
}

/** Points by the bins of a grid, so that a look at a place reads a few of them. */
export interface Bins {
  n: number;
  /** Bin b holds `order[start[b]]` up to `order[start[b + 1]]`. */
  start: Int32Array;
  order: Int32Array;
}

const binOf = (value: number, n: number) => Math.max(0, Math.min(n - 1, Math.floor(((value + 1) / 2) * n)));

export function binsOf({ u, v }: Plane): Bins {
  const n = Math.max(1, Math.min(256, Math.round(Math.sqrt(u.length / 4))));
  const bin = (at: number) => binOf(v[at] as number, n) * n + binOf(u[at] as number, n);
  const start = new Int32Array(n * n + 1);
  for (let at = 0; at < u.length; at++) (start[bin(at) + 1] as number)++;
  for (let b = 0; b < n * n; b++) (start[b + 1] as number) += start[b] as number;
  const next = start.slice();
  const order = new Int32Array(u.length);
  for (let at = 0; at < u.length; at++) {
    const b = bin(at);
    order[(next[b] as number)++] = at;
  }
  return { n, start, order };
}

function eachIn({ n, start, order }: Bins, box: Box, visit: (point: number) => void): void {
  for (let row = binOf(box.bottom, n); row <= binOf(box.top, n); row++) {
    for (let column = binOf(box.left, n); column <= binOf(box.right, n); column++) {
      const b = row * n + column;
      for (let i = start[b] as number; i < (start[b + 1] as number); i++) visit(order[i] as number);
    }
  }
}

/** The point nearest to a place, at most `radius` away; null where there is none. */
export function nearest(plane: Plane, bins: Bins, u: number, v: number, radius: number): number | null {
  let [best, least] = [null as number | null, radius * radius];
  eachIn(bins, { left: u - radius, right: u + radius, bottom: v - radius, top: v + radius }, (at) => {
    const away = ((plane.u[at] as number) - u) ** 2 + ((plane.v[at] as number) - v) ** 2;
    if (away > least || (away === least && best !== null && at > best)) return;
    [best, least] = [at, away];
  });
  return best;
}

/** All points in a box, ascending. */
export function inside(plane: Plane, bins: Bins, box: Box): Int32Array {
  const found: number[] = [];
  eachIn(bins, box, (at) => {
    const [u, v] = [plane.u[at] as number, plane.v[at] as number];
    if (u >= box.left && u <= box.right && v >= box.bottom && v <= box.top) found.push(at);
  });
  return Int32Array.from(found).sort();
}

/** Where the plane is seen: the middle, and pixels a unit. */
export interface Sight {
  u: number;
  v: number;
  zoom: number;
}

export const toX = (u: number, sight: Sight, width: number) => width / 2 + (u - sight.u) * sight.zoom;
export const toY = (v: number, sight: Sight, height: number) => height / 2 - (v - sight.v) * sight.zoom;
export const fromX = (x: number, sight: Sight, width: number) => sight.u + (x - width / 2) / sight.zoom;
export const fromY = (y: number, sight: Sight, height: number) => sight.v - (y - height / 2) / sight.zoom;

export const fitting = (width: number, height: number): Sight => ({
  u: 0,
  v: 0,
  zoom: 0.47 * Math.min(width, height),
});

/** Zoom by a factor so that what lies at a pixel stays there. */
export function zoomed(
  sight: Sight,
  factor: number,
  x: number,
  y: number,
  width: number,
  height: number,
): Sight {
  const zoom = Math.max(
    0.3 * Math.min(width, height),
    Math.min(200 * Math.min(width, height), sight.zoom * factor),
  );
  const [u, v] = [fromX(x, sight, width), fromY(y, sight, height)];
  return { zoom, u: u - (x - width / 2) / zoom, v: v + (y - height / 2) / zoom };
}

/** The middle of a cell, whose rows and columns count from the lower left corner of the layer's bounding box. */
export function middleOf(
  { row, column }: AtlasCell,
  size: number,
  { left, right, bottom, top }: Box,
): [number, number] {
  return [left + ((column + 0.5) / size) * (right - left), bottom + ((row + 0.5) / size) * (top - bottom)];
}

export interface Placed {
  x: number;
  y: number;
  words: string;
}

/** Labels that do not touch, the most important first. */
export function withoutOverlap(wanted: Placed[], widthOf: (words: string) => number, line: number): Placed[] {
  const kept: (Placed & { half: number })[] = [];
  for (const one of wanted) {
    const half = widthOf(one.words) / 2 + 8;
    if (
      kept.some((other) => Math.abs(other.y - one.y) < line && Math.abs(other.x - one.x) < half + other.half)
    )
      continue;
    kept.push({ ...one, half });
  }
  return kept;
}

const WORD = /[\p{L}\p{N}]{3,}/gu;

/** A token's label is its context, the token itself in brackets. */
const tokenOf = (label: string) => label.match(/\[(.+?)\]/)?.[1] ?? label;

/** Does a label hold what is searched for, in lower case? Of a token the token itself counts; with a space or [ all of it. */
export function isFound(label: string, wanted: string, level: AtlasSpec["level"]): boolean {
  const own = level === "token" && !/[\s[\]]/.test(wanted) ? tokenOf(label) : label;
  return own.toLowerCase().includes(wanted);
}

/** How often each word stands in labels; of a token's label only the token. */
export function wordsOf(
  labels: string[],
  points: Iterable<number>,
  level: AtlasSpec["level"],
): Map<string, number> {
  const found = new Map<string, number>();
  for (const at of points) {
    const label = labels[at] ?? "";
    const words = level === "token" ? [tokenOf(label)] : (label.match(WORD) ?? []);
    for (const word of new Set(words.map((one) => one.toLowerCase())))
      found.set(word, (found.get(word) ?? 0) + 1);
  }
  return found;
}

/**
 * The words that stand out among `size` of `n` points: by how much more often a word is there than it would be by chance, and
 * how often it is there at all.
 */
export function topTerms(
  own: Map<string, number>,
  all: Map<string, number>,
  [size, n]: [number, number],
  most: number,
): [string, number][] {
  const weight = ([word, times]: [string, number]) =>
    times * Math.log(times / size / ((all.get(word) ?? times) / n));
  return [...own]
    .filter((one) => weight(one) >= 0)
    .sort((a, b) => weight(b) - weight(a) || b[1] - a[1] || a[0].localeCompare(b[0]))
    .slice(0, most);
}

export type Colouring = "score" | "grade" | "none";

/** Which of `colours` each point has; the last is that of a point without a value. */
export function bucketsOf(points: Points, by: Colouring, n: number, range: [number, number]): Uint8Array {
  const found = new Uint8Array(points.score.length);
  if (by === "none") return found;
  const values = points[by];
  const [low, high] = range;
  for (let at = 0; at < found.length; at++) {
    const share = high > low ? ((values[at] as number) - low) / (high - low) : 0.5;
    found[at] = Number.isNaN(share) ? n : Math.max(0, Math.min(n - 1, Math.floor(share * n)));
  }
  return found;
}

/** How a point looks: its colour, and how little is seen through it. */
export type Ink = { rgb: Rgb; alpha: number };

/** Points as pixels: each a disc that is mixed over what is there, so that dense places are darker; `inkOf` below 0 draws none. */
export function splat(
  pixels: Uint8ClampedArray,
  [width, height]: [number, number],
  plane: Plane,
  sight: Sight,
  radius: number,
  inks: Ink[],
  inkOf: (point: number) => number,
): void {
  const reach = Math.ceil(radius + 0.5);
  // The pixels of a disc that it covers at all: where they are from its middle, and how far they are covered.
  const disc: { x: number; y: number; cover: number }[] = [];
  for (let y = -reach; y <= reach; y++) {
    for (let x = -reach; x <= reach; x++) {
      const cover = Math.min(1, radius + 0.5 - Math.hypot(x, y));
      if (cover > 0.04) disc.push({ x, y, cover });
    }
  }
  const n = disc.length;
  const steps = Int32Array.from(disc, ({ x, y }) => y * width + x);
  // In 256ths, and a pixel as one number: whole numbers are mixed several times as fast.
  const covers = inks.map(({ alpha }) =>
    Int32Array.from(disc, ({ cover }) => Math.round(256 * cover * alpha)),
  );
  const words = new Uint32Array(pixels.buffer);
  const { u, v } = plane;
  const [left, top] = [width / 2 - sight.u * sight.zoom, height / 2 + sight.v * sight.zoom];
  for (let at = 0; at < u.length; at++) {
    const cx = Math.round(left + (u[at] as number) * sight.zoom);
    const cy = Math.round(top - (v[at] as number) * sight.zoom);
    if (cx < -reach || cy < -reach || cx >= width + reach || cy >= height + reach) continue;
    const ink = inkOf(at);
    if (ink < 0) continue;
    const { rgb } = inks[ink] as Ink;
    const [r, g, b] = [rgb[0], rgb[1], rgb[2]];
    const cover = covers[ink] as Int32Array;
    const middle = cy * width + cx;
    const whole = cx >= reach && cy >= reach && cx < width - reach && cy < height - reach;
    for (let k = 0; k < n; k++) {
      if (!whole) {
        const { x, y } = disc[k] as (typeof disc)[number];
        if (cx + x < 0 || cx + x >= width || cy + y < 0 || cy + y >= height) continue;
      }
      const i = middle + (steps[k] as number);
      const share = cover[k] as number;
      const word = words[i] as number;
      const [red, green, blue] = [word & 255, (word >> 8) & 255, (word >> 16) & 255];
      words[i] =
        (word & 0xff000000) |
        ((blue + (((b - blue) * share) >> 8)) << 16) |
        ((green + (((g - green) * share) >> 8)) << 8) |
        (red + (((r - red) * share) >> 8));
    }
  }
}
