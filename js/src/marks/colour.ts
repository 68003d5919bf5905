/** Colours of values. Measured for colour blindness and mirror symmetric in lightness, so a grey print keeps size. */
export type Rgb = readonly [number, number, number];

const parse = (hex: string): Rgb => [
  Number.parseInt(hex.slice(1, 3), 16),
  Number.parseInt(hex.slice(3, 5), 16),
  Number.parseInt(hex.slice(5, 7), 16),
];

// From the most negative to the most positive: orange, neutral, blue. The dark one has a dark middle,
// so that zero recedes into the page in both themes.
const LIGHT = ["#8a4200", "#cf7a2a", "#f6cf9f", "#f5f5f5", "#b9d7ee", "#4a94cc", "#0a5a9c"];
const DARK = ["#ffb066", "#d07a25", "#7a4a1c", "#2a2a2a", "#1f4f78", "#3f8fcf", "#8cc8ff"];
const RAMPS = { light: LIGHT.map(parse), dark: DARK.map(parse) };

export const gradient = (dark: boolean) => `linear-gradient(to right, ${(dark ? DARK : LIGHT).join(", ")})`;

/** The colour `at` of the way from one to another. */
export function mixed(from: Rgb, to: Rgb, at: number): Rgb {
  const mix = (channel: 0 | 1 | 2) => Math.round(from[channel] + (to[channel] - from[channel]) * at);
  return [mix(0), mix(1), mix(2)];
}

/** Colour of `value` on the diverging ramp that reaches its ends at -limit and limit. */
export function diverging(value: number, limit: number, dark: boolean): Rgb {
  const ramp = dark ? RAMPS.dark : RAMPS.light;
  const middle = (ramp.length - 1) / 2;
  const place = middle + Math.max(-1, Math.min(1, limit > 0 ? value / limit : 0)) * middle;
  const low = Math.min(ramp.length - 2, Math.floor(place));
  return mixed(ramp[low] as Rgb, ramp[low + 1] as Rgb, place - low);
}

const SEQUENTIAL = { light: parse("#0a5a9c"), dark: parse("#8cc8ff") };
const PAGE = { light: parse("#ffffff"), dark: parse("#15171a") };

/** Colour of a share from 0 to 1, from the page's own colour to full blue, by the square root of the share. */
export function sequential(share: number, dark: boolean): Rgb {
  const theme = dark ? "dark" : "light";
  return mixed(PAGE[theme], SEQUENTIAL[theme], Math.sqrt(Math.max(0, Math.min(1, share))));
}

export const css = ([r, g, b]: Rgb) => `rgb(${r} ${g} ${b})`;

/** Black or white, whichever reads better on `colour` (relative luminance of WCAG 2). */
export function ink(colour: Rgb): string {
  const [r, g, b] = colour.map((channel) => {
    const c = channel / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000" : "#fff";
}
