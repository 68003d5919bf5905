/** Numbers to places, and numbers to words. */

/** The p-th percentile (0-100) of the finite values, by linear interpolation; 0 when there is none. */
export function percentile(values: Iterable<number>, p: number): number {
  const sorted = [...values].filter(Number.isFinite).sort((a, b) => a - b);
  if (sorted.length === 0) return 0;
  const place = ((sorted.length - 1) * p) / 100;
  const low = Math.floor(place);
  const at = (i: number) => sorted[i] as number;
  return at(low) + (at(Math.ceil(place)) - at(low)) * (place - low);
}

export function linear([d0, d1]: [number, number], [r0, r1]: [number, number]): (value: number) => number {
  const slope = d1 === d0 ? 0 : (r1 - r0) / (d1 - d0);
  return (value) => (slope === 0 ? (r0 + r1) / 2 : r0 + (value - d0) * slope);
}

/** Digits after the point that show `size` with two significant digits, between 2 and 6. */
export function digitsFor(size: number): number {
  const magnitude = Math.abs(size);
  if (!Number.isFinite(magnitude) || magnitude === 0) return 3;
  return Math.max(2, Math.min(6, 1 - Math.floor(Math.log10(magnitude))));
}

const MINUS = "\u2212";

export function plain(value: number, digits = 2): string {
  if (!Number.isFinite(value)) return "not defined";
  const text = Math.abs(value).toFixed(digits);
  return value < 0 && Number(text) !== 0 ? MINUS + text : text;
}

export function signed(value: number, digits = 2): string {
  const text = plain(value, digits);
  return Number.isFinite(value) && value > 0 && Number(text) !== 0 ? `+${text}` : text;
}

/** A weight between 0 and 1, as short as it can be read: .12, .004 */
export const weightText = (weight: number) => weight.toFixed(weight < 0.01 ? 3 : 2).replace(/^0/, "");

/** 13,225; by hand, because the first `toLocaleString` of a page takes a tenth of a second. */
export const count = (value: number | string) => String(value).replace(/\B(?=(\d{3})+(?!\d))/g, ",");

export function percent(share: number): string {
  const value = share * 100;
  if (value > 0 && value < 0.5) return "under 1%";
  return `${Math.round(value)}%`;
}

/** Where colours end: the 99th percentile of the sizes, so that one huge value does not fade all others; their largest where that is 0. */
export const colourLimit = (sizes: number[]) => percentile(sizes, 99) || percentile(sizes, 100);
