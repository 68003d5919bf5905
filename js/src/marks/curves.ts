/** Named curves over one axis, without drawing them (mechviz/figures/curves.py). */
import type { CurvesSpec, CurveValues } from "../wire";
import { roundUp } from "./pairs";
import { count, plain } from "./scale";

/** One mark each, about the point where the path stands: curves differ by more than their colour. */
export const MARKS = [
  "m-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0z",
  "m-2.7-2.7h5.4v5.4h-5.4z",
  "m0-4l4 4l-4 4l-4-4z",
  "m0-4l3.8 6.6h-7.6z",
];
export const markOf = (curve: number) => MARKS[curve % MARKS.length] as string;

/** From where to where the y axis goes: all that is drawn, and a little room. */
export function extent({ reference }: CurvesSpec, { value, low, high }: CurveValues): [number, number] {
  let [least, most] = [Infinity, -Infinity];
  for (const of of [value, low, high, reference.map(([, at]) => at)]) {
    for (const number of of) {
      if (number < least) least = number;
      if (number > most) most = number;
    }
  }
  if (least > most) return [0, 1];
  const room = 0.05 * (most - least) || Math.abs(least) * 0.1 || 1;
  return [least - room, most + room];
}

/** Round numbers of a range, at most `most` and one, and the step between them; `whole` allows no fractions. */
export function ticksOf(low: number, high: number, most: number, whole = false): [number[], number] {
  const step = Math.max(roundUp((high - low) / most), whole ? 1 : 0);
  const first = Math.ceil(low / step - 1e-9);
  const n = Math.floor(high / step + 1e-9) - first + 1;
  return [Array.from({ length: n }, (_, i) => (first + i) * step), step];
}

/** A number in words, so that it can be told from one that is a step away. */
export function written(value: number, step: number): string {
  if (value && (step < 1e-5 || Math.abs(value) >= 1e7))
    return value.toExponential(2).replaceAll("-", "\u2212");
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return digits ? plain(value, digits) : count(plain(value, 0));
}

/** Places moved apart to at least `gap`, each as little as can be, within a range; their order stays. */
export function spread(wanted: number[], gap: number, low: number, high: number): number[] {
  const order = [...wanted.keys()].sort((a, b) => (wanted[a] as number) - (wanted[b] as number));
  // Less its gaps, a row that is far enough apart only rises: runs that fall are drawn together to their mean.
  const runs: { sum: number; of: number[] }[] = [];
  order.forEach((one, place) => {
    let [sum, of] = [(wanted[one] as number) - place * gap, [one]];
    for (let last = runs.at(-1); last && last.sum / last.of.length > sum / of.length; last = runs.at(-1)) {
      [sum, of] = [sum + last.sum, [...last.of, ...of]];
      runs.pop();
    }
    runs.push({ sum, of });
  });
  const most = high - gap * (order.length - 1);
  const moved: number[] = [];
  let place = 0;
  for (const { sum, of } of runs) {
    for (const one of of) moved[one] = Math.max(low, Math.min(most, sum / of.length)) + gap * place++;
  }
  return moved;
}

/** The places of a curve's points, in runs where none of the given numbers is missing; other curves' places break no run. */
export function runsOf(points: Uint8Array, of: Float32Array[], curve: number, n: number): number[][] {
  const runs: number[][] = [[]];
  for (let place = 0; place < n; place++) {
    const at = curve * n + place;
    if (!points[at]) continue;
    if (of.every((numbers) => Number.isFinite(numbers[at]))) runs.at(-1)?.push(place);
    else runs.push([]);
  }
  return runs.filter((run) => run.length);
}
