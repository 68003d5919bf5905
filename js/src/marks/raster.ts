/** Matrices as pixels: one image a matrix, scaled up by the browser, because thousands of nodes would be slow. */
import { diverging, type Rgb, sequential } from "./colour";

/** Paint `width` x `height` pixels; `colour` gives null where nothing is drawn. */
export function paint(
  canvas: HTMLCanvasElement,
  width: number,
  height: number,
  colour: (x: number, y: number) => number,
): void {
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  if (!context) throw new Error("this browser gives no canvas to draw on");
  const image = context.createImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  for (let y = 0, i = 0; y < height; y++) for (let x = 0; x < width; x++, i++) pixels[i] = colour(x, y);
  context.putImageData(image, 0, 0);
}

/** A colour as one number of a canvas's memory (all hosts that there are are little-endian). */
export const packed = ([r, g, b]: Rgb) => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;

const STEPS = 512;

/** A ramp that is looked up, not computed: index 0 to 255 is the square root of a share. */
export const sequentialTable = (dark: boolean) =>
  Uint32Array.from({ length: 256 }, (_, i) => packed(sequential((i / 255) ** 2, dark)));

/** The diverging ramp from -limit to limit as a function from value to colour. */
export function divergingLookup(limit: number, dark: boolean): (value: number) => number {
  const table = Uint32Array.from({ length: STEPS + 1 }, (_, i) =>
    packed(diverging((2 * i) / STEPS - 1, 1, dark)),
  );
  return (value) => {
    const share = limit > 0 ? Math.max(-1, Math.min(1, value / limit)) : 0;
    return table[Math.round(((share + 1) / 2) * STEPS)] as number;
  };
}

/** Hatching for "not computed": never the colour of 0. */
export const hatched = (x: number, y: number, dark: boolean) =>
  (x + y) % 4 === 0
    ? packed(dark ? [90, 96, 104] : [176, 184, 192])
    : packed(dark ? [30, 34, 38] : [250, 250, 250]);
