/** A canvas that is painted again when what it shows changes. */
import { useLayoutEffect, useRef } from "preact/hooks";

type Props = {
  paint: (canvas: HTMLCanvasElement) => void;
  width: number | string;
  height: number | string;
  class?: string;
};

export function Canvas({ paint, width, height, class: name }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useLayoutEffect(() => {
    if (canvas.current) paint(canvas.current);
  }, [paint]);
  const size = (value: number | string) => (typeof value === "number" ? `${value}px` : value);
  return (
    <span
      aria-hidden="true"
      class={`mv-canvas ${name ?? ""}`}
      style={{ width: size(width), height: size(height) }}
    >
      <canvas ref={canvas} />
    </span>
  );
}
