/** What colours mean: a ramp with its numbers. */
import { css, gradient, sequential } from "../marks/colour";
import { useField } from "./hooks";

const STOPS = [0, 0.04, 0.16, 0.36, 0.64, 1];

type Props = {
  /** Where the colours end. */
  limit: number;
  /** Do they go two ways from 0? */
  signed: boolean;
  words: (value: number) => string;
  unit: string;
};

/** `signed`: from -limit to limit; else from 0, by the square root of the value. */
export function Ramp({ limit, signed, words, unit }: Props) {
  const dark = useField("dark");
  const stops = STOPS.map((share) => `${css(sequential(share, dark))} ${100 * share}%`);
  return (
    <div class="mv-ramp">
      <span class="mv-ramp-unit">{unit}</span>
      <span>
        {signed && words(-limit)}
        {!signed && "0"}
      </span>
      <i style={{ background: signed ? gradient(dark) : `linear-gradient(to right, ${stops.join(", ")})` }} />
      <span>{words(limit)}</span>
    </div>
  );
}
