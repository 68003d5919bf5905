/** What an atlas has besides its points: the grid of its cells, and what lies in them in words. */
import type { AtlasCell, AtlasSpec } from "../probe_wire";
import { middleOf, type Plane, type Sight, toX, toY, withoutOverlap } from "./atlas";

const FONT = 12;
/** px between the lines of labels. */
const APART = 38;
/** Cells with fewer points than this share of the fullest have no label: their terms are chance. */
const LEAST = 0.08;

export function gridLines(
  context: CanvasRenderingContext2D,
  size: number,
  { box }: Plane,
  at: Sight,
  [width, height]: [number, number],
  colour: string,
) {
  const [left, right] = [toX(box.left, at, width), toX(box.right, at, width)];
  const [top, bottom] = [toY(box.top, at, height), toY(box.bottom, at, height)];
  context.beginPath();
  for (let line = 0; line <= size; line++) {
    const x = Math.round(left + ((right - left) * line) / size) + 0.5;
    const y = Math.round(top + ((bottom - top) * line) / size) + 0.5;
    context.moveTo(x, top);
    context.lineTo(x, bottom);
    context.moveTo(left, y);
    context.lineTo(right, y);
  }
  context.strokeStyle = colour;
  context.lineWidth = 1;
  context.stroke();
}

/** The terms of cells, those of the fullest first: as many as leave the points to be seen. */
export function cellTerms(
  context: CanvasRenderingContext2D,
  spec: AtlasSpec,
  cells: AtlasCell[],
  plane: Plane,
  at: Sight,
  [width, height]: [number, number],
  ink: string,
  page: string,
  family: string,
) {
  context.font = `600 ${FONT}px ${family}`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  const fullest = Math.max(...cells.map(({ n }) => n));
  const wanted = [...cells]
    .filter(({ n }) => n >= LEAST * fullest)
    .sort((a, b) => b.n - a.n)
    .flatMap((cell) => {
      const [u, v] = middleOf(cell, spec.size, plane.box);
      const [x, y] = [toX(u, at, width), toY(v, at, height)];
      const words = cell.terms.split(" ").slice(0, 2).join(" ");
      return words && x > 0 && x < width && y > 0 && y < height ? [{ x, y, words }] : [];
    });
  context.lineJoin = "round";
  context.lineWidth = 4;
  context.strokeStyle = page;
  context.fillStyle = ink;
  for (const { x, y, words } of withoutOverlap(wanted, (text) => context.measureText(text).width, APART)) {
    const half = context.measureText(words).width / 2;
    const inside = Math.max(half + 4, Math.min(width - half - 4, x));
    context.globalAlpha = 0.8;
    context.strokeText(words, inside, y);
    context.globalAlpha = 1;
    context.fillText(words, inside, y);
  }
}
