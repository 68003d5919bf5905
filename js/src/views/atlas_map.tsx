/** The map itself. Moving and zooming draw on the canvas and nothing else. */
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import {
  between,
  binsOf,
  fitting,
  fromX,
  fromY,
  type Ink,
  inside,
  nearest,
  type Plane,
  type Sight,
  splat,
  toX,
  toY,
  zoomed,
} from "../marks/atlas";
import { cellTerms, gridLines } from "../marks/atlas_words";
import type { Rgb } from "../marks/colour";
import { isOurs } from "../marks/keys";
import { count, digitsFor, plain } from "../marks/scale";
import type { AtlasCell, AtlasSpec, Points } from "../probe_wire";
import { useField } from "./hooks";

/** Which points were found (1) and brushed (2). */
export type Marked = { bits: Uint8Array; found: boolean; brushed: boolean };

const TALLEST = 620;
/** Of more points each is small, and what lies below is seen through it. */
const MANY = 20_000;
const MOVE_MS = 380;
const REACH = 9; // px from a point that still mean it
const KEY_STEP = 50;

type Props = {
  spec: AtlasSpec;
  points: Points;
  plane: Plane;
  cells: AtlasCell[];
  buckets: Uint8Array;
  colours: Rgb[];
  marked: Marked | null;
  terms: boolean;
  brush: (points: Int32Array | null) => void;
  step: (layers: number) => void;
};

type Drag = { x: number; y: number; sight: Sight; brush: boolean; to: [number, number]; moved: boolean };

/** How large a point is, and how much of what lies below is seen through it: by how many there are. */
const sizeOf = (n: number) => (n > MANY ? 1.3 : n > 4000 ? 2 : n > 800 ? 3 : 4.5);
const alphaOf = (n: number) => (n > MANY ? 0.55 : n > 4000 ? 0.7 : 0.85);

export function AtlasMap({
  spec,
  points,
  plane,
  cells,
  buckets,
  colours,
  marked,
  terms,
  brush,
  step,
}: Props) {
  const dark = useField("dark");
  const width_of_view = useField("width");
  const box = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const [size, setSize] = useState<[number, number]>([0, 0]);
  const [mode, setMode] = useState(false);
  const [hovered, setHovered] = useState<{ point: number; x: number; y: number } | null>(null);
  const [said, setSaid] = useState("");
  const sight = useRef<Sight | null>(null);
  const drag = useRef<Drag | null>(null);
  const drawn = useRef<Plane>(plane);
  const frame = useRef(0);
  const bins = useMemo(() => binsOf(plane), [plane]);
  const [width, height] = size;

  useLayoutEffect(() => {
    const room = box.current?.clientWidth ?? 0;
    const next: [number, number] = [room, Math.min(TALLEST, Math.max(300, Math.round(0.78 * room)))];
    if (next[0] === size[0] && next[1] === size[1]) return;
    sight.current =
      sight.current && size[0]
        ? { ...sight.current, zoom: (sight.current.zoom * next[0]) / size[0] }
        : fitting(...next);
    setSize(next);
  }, [width_of_view]);

  const draw = () => {
    const target = canvas.current;
    const at = sight.current;
    if (!target || !at || !width) return;
    const ratio = devicePixelRatio || 1;
    const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (target.width !== w || target.height !== h) [target.width, target.height] = [w, h];
    const context = target.getContext("2d", { willReadFrequently: true });
    if (!context) throw new Error("this browser gives no canvas to draw on");
    const style = getComputedStyle(target);
    const [page, ink] = [style.getPropertyValue("--mv-bg"), style.getPropertyValue("--mv-fg")];
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = page;
    context.fillRect(0, 0, w, h);
    if (terms) {
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      gridLines(context, spec.size, drawn.current, at, size, style.getPropertyValue("--mv-faint"));
      context.setTransform(1, 0, 0, 1, 0, 0);
    }
    const image = context.getImageData(0, 0, w, h);
    const scaled = { ...at, zoom: at.zoom * ratio };
    const n = points.score.length;
    const radius = ratio * radiusOf(n, at.zoom / fitting(width, height).zoom);
    const alpha = alphaOf(n);
    const plainly = colours.map((rgb): Ink => ({ rgb, alpha }));
    const bits = marked?.bits;
    const paint = (inks: Ink[], radius: number, inkOf: (point: number) => number) =>
      splat(image.data, [w, h], drawn.current, scaled, radius, inks, inkOf);
    if (!bits) paint(plainly, radius, (point) => buckets[point] as number);
    else {
      const needed = (marked.found ? 1 : 0) | (marked.brushed ? 2 : 0);
      const out = (point: number) => ((bits[point] as number) & needed) === 0;
      const faint = colours.map((rgb): Ink => ({ rgb, alpha: alpha * 0.16 }));
      paint(faint, radius, (point) => (out(point) ? (buckets[point] as number) : -1));
      // What was searched for has a colour of its own, the last one; what was brushed keeps that of its value.
      const strong: Ink = { rgb: dark ? [255, 176, 102] : [178, 82, 0], alpha: 0.95 };
      const over = [...colours.map((rgb): Ink => ({ rgb, alpha: 1 })), strong];
      paint(over, 1.25 * radius, (point) =>
        out(point) ? -1 : (bits[point] as number) & 1 ? colours.length : (buckets[point] as number),
      );
    }
    context.putImageData(image, 0, 0);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (terms) cellTerms(context, spec, cells, drawn.current, at, size, ink, page, style.fontFamily);
    const brushing = drag.current;
    if (brushing?.brush && brushing.moved) {
      const { x, y, to } = brushing;
      context.strokeStyle = ink;
      context.lineWidth = 1;
      context.setLineDash([5, 4]);
      context.strokeRect(
        Math.min(x, to[0]) + 0.5,
        Math.min(y, to[1]) + 0.5,
        Math.abs(to[0] - x),
        Math.abs(to[1] - y),
      );
      context.setLineDash([]);
    }
  };
  const latest = useRef(draw);
  latest.current = draw;
  const redraw = () => {
    cancelAnimationFrame(frame.current);
    frame.current = requestAnimationFrame(() => latest.current());
  };
  useLayoutEffect(() => {
    latest.current();
  }, [size, buckets, colours, marked, terms, cells, dark]);

  // Another layer: the points go there, unless motion is not wanted.
  useLayoutEffect(() => {
    const from = drawn.current;
    if (from === plane) return;
    setHovered(null);
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    let begun = 0;
    let next = 0;
    const go = (now: number) => {
      begun ||= now;
      const share = still ? 1 : Math.min(1, (now - begun) / MOVE_MS);
      drawn.current = share < 1 ? between(from, plane, share * share * (3 - 2 * share)) : plane;
      latest.current();
      if (share < 1) next = requestAnimationFrame(go);
    };
    if (still) go(0);
    else next = requestAnimationFrame(go);
    return () => cancelAnimationFrame(next);
  }, [plane]);

  const place = (event: { clientX: number; clientY: number }): [number, number] => {
    const around = (canvas.current as HTMLElement).getBoundingClientRect();
    return [event.clientX - around.left, event.clientY - around.top];
  };
  const look = (x: number, y: number) => {
    const at = sight.current as Sight;
    const point = nearest(plane, bins, fromX(x, at, width), fromY(y, at, height), REACH / at.zoom);
    if (point === (hovered?.point ?? null)) return;
    setHovered(point === null ? null : { point, x, y });
  };
  const list = (x0: number, y0: number, x1: number, y1: number) => {
    const at = sight.current as Sight;
    const found = inside(plane, bins, {
      left: fromX(Math.min(x0, x1), at, width),
      right: fromX(Math.max(x0, x1), at, width),
      bottom: fromY(Math.max(y0, y1), at, height),
      top: fromY(Math.min(y0, y1), at, height),
    });
    brush(found);
    setSaid(`${count(found.length)} ${spec.level}s listed`);
  };
  const see = (next: Sight) => {
    sight.current = next;
    setHovered(null);
    redraw();
  };
  const zoom = (factor: number, x = width / 2, y = height / 2) =>
    see(zoomed(sight.current as Sight, factor, x, y, width, height));

  // Preact would make it passive, and a map that zooms must keep the page where it is.
  const onWheel = useRef<(event: WheelEvent) => void>(() => {});
  onWheel.current = (event) => {
    const focused = (box.current?.getRootNode() as Document | ShadowRoot).activeElement === box.current;
    if (!focused && !event.ctrlKey) return;
    event.preventDefault();
    zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016)), ...place(event));
  };
  useEffect(() => {
    const target = box.current;
    const listener = (event: WheelEvent) => onWheel.current(event);
    target?.addEventListener("wheel", listener, { passive: false });
    return () => {
      target?.removeEventListener("wheel", listener);
      cancelAnimationFrame(frame.current);
    };
  }, []);

  const onKeyDown = (event: KeyboardEvent) => {
    if (!isOurs(event)) return;
    const at = sight.current as Sight;
    const by = KEY_STEP / at.zoom;
    switch (event.key) {
      case "ArrowLeft":
        see({ ...at, u: at.u - by });
        break;
      case "ArrowRight":
        see({ ...at, u: at.u + by });
        break;
      case "ArrowUp":
        see({ ...at, v: at.v + by });
        break;
      case "ArrowDown":
        see({ ...at, v: at.v - by });
        break;
      case "+":
      case "=":
        zoom(1.4);
        break;
      case "-":
        zoom(1 / 1.4);
        break;
      case "0":
        see(fitting(width, height));
        break;
      case "[":
        step(-1);
        break;
      case "]":
        step(1);
        break;
      case "Enter":
        list(width / 3, height / 3, (2 * width) / 3, (2 * height) / 3);
        break;
      case "Escape":
        brush(null);
        break;
      default:
        return;
    }
    event.preventDefault();
    event.stopPropagation();
  };
  const label = hovered && describe(spec, points, hovered.point);
  return (
    <>
      <div class="mv-atlas-tools">
        <button type="button" data-lm-suppress-shortcuts aria-pressed={mode} onClick={() => setMode(!mode)}>
          Brush
        </button>
        <button type="button" data-lm-suppress-shortcuts aria-label="zoom in" onClick={() => zoom(1.5)}>
          +
        </button>
        <button type="button" data-lm-suppress-shortcuts aria-label="zoom out" onClick={() => zoom(1 / 1.5)}>
          −
        </button>
        <button type="button" data-lm-suppress-shortcuts onClick={() => see(fitting(width, height))}>
          All
        </button>
      </div>
      <div
        class="mv-atlas-map"
        role="application"
        aria-roledescription="map"
        aria-label={`map of ${count(points.score.length)} ${spec.level}s: arrows move, plus and minus zoom, Enter lists what lies in the middle`}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a map is moved by keys
        tabIndex={0}
        data-lm-suppress-shortcuts
        data-brush={mode || undefined}
        ref={box}
        style={{ height: `${height}px` }}
        onKeyDown={onKeyDown}
        onPointerDown={(event) => {
          if (event.button !== 0) return;
          const [x, y] = place(event);
          drag.current = {
            x,
            y,
            sight: sight.current as Sight,
            brush: mode || event.shiftKey,
            to: [x, y],
            moved: false,
          };
          event.currentTarget.setPointerCapture(event.pointerId);
        }}
        onPointerMove={(event) => {
          const [x, y] = place(event);
          const held = drag.current;
          if (!held) return look(x, y);
          held.to = [x, y];
          held.moved ||= Math.hypot(x - held.x, y - held.y) > 3;
          if (!held.moved) return;
          if (held.brush) redraw();
          else
            see({
              ...held.sight,
              u: held.sight.u - (x - held.x) / held.sight.zoom,
              v: held.sight.v + (y - held.y) / held.sight.zoom,
            });
        }}
        onPointerUp={() => {
          const held = drag.current;
          drag.current = null;
          if (!held) return;
          if (held.brush && held.moved) list(held.x, held.y, ...held.to);
          redraw();
        }}
        onPointerCancel={() => {
          drag.current = null;
          redraw();
        }}
        onPointerLeave={() => setHovered(null)}
      >
        <canvas ref={canvas} />
        {hovered && sight.current && (
          // Not on the canvas: a hover must not draw all points again.
          <i
            class="mv-atlas-ring"
            aria-hidden="true"
            style={{
              left: `${(100 * toX(plane.u[hovered.point] as number, sight.current, width)) / width}%`,
              top: `${(100 * toY(plane.v[hovered.point] as number, sight.current, height)) / height}%`,
              "--radius": `${radiusOf(points.score.length, sight.current.zoom / fitting(width, height).zoom) + 3.4}px`,
            }}
          />
        )}
        {hovered && label && (
          <span
            class="mv-bubble mv-atlas-bubble"
            aria-hidden="true"
            style={{
              [hovered.x > width / 2 ? "right" : "left"]:
                `${(hovered.x > width / 2 ? width - hovered.x : hovered.x) + 12}px`,
              [hovered.y > height / 2 ? "bottom" : "top"]:
                `${(hovered.y > height / 2 ? height - hovered.y : hovered.y) + 12}px`,
            }}
          >
            <bdi>{label.words}</bdi>
            <span class="mv-muted">{label.more}</span>
          </span>
        )}
      </div>
      <p class="mv-spoken" aria-live="polite">
        {said}
      </p>
    </>
  );
}

/** Close by, points grow a little; of many only a little, for they are what takes the time. */
const radiusOf = (n: number, growth: number) =>
  sizeOf(n) * Math.min(n > MANY ? 1.3 : 2.2, Math.max(1, growth ** 0.25));

function describe(spec: AtlasSpec, { labels, score, grade, text }: Points, point: number) {
  const more = [spec.level === "token" ? `text ${text[point]}` : ""];
  if (Number.isFinite(score[point]))
    more.push(`score ${plain(score[point] as number, digitsFor(score[point] as number))}`);
  if (Number.isFinite(grade[point])) more.push(`grade ${grade[point]}`);
  return { words: labels?.[point] ?? `${spec.level} ${point}`, more: more.filter(Boolean).join(", ") };
}
