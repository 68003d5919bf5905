/** A strip beside a long list: where the attention goes, and which part is in sight. */
import type { RefObject } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";

const HEIGHT = 512;
const WIDTH = 26;

type Props = { scroll: RefObject<HTMLDivElement>; weights: number[]; changed: boolean[] };

export function Minimap({ scroll, weights, changed }: Props) {
  const [sight, setSight] = useState({ start: 0, size: 1 });
  useEffect(() => {
    const box = scroll.current;
    if (!box) return;
    const look = () =>
      setSight({ start: box.scrollTop / box.scrollHeight, size: box.clientHeight / box.scrollHeight });
    look();
    box.addEventListener("scroll", look, { passive: true });
    const sizes = new ResizeObserver(look);
    sizes.observe(box);
    return () => {
      box.removeEventListener("scroll", look);
      sizes.disconnect();
    };
  }, [weights.length]);
  const bars = useMemo(() => {
    const step = HEIGHT / weights.length;
    const most = Math.max(1e-9, ...weights);
    return weights.map((weight, i) => (
      <rect
        key={i}
        data-changed={changed[i] || undefined}
        x={0}
        y={i * step}
        width={Math.max(changed[i] ? 4 : 0, WIDTH * Math.sqrt(weight / most))}
        height={Math.max(0.8, step - 0.4)}
      />
    ));
  }, [weights, changed]);
  const go = (event: PointerEvent) => {
    const box = scroll.current;
    const { top, height } = (event.currentTarget as Element).getBoundingClientRect();
    if (box && event.buttons === 1)
      box.scrollTop = ((event.clientY - top) / height) * box.scrollHeight - box.clientHeight / 2;
  };
  if (sight.size >= 1) return null;
  return (
    <svg
      class="mv-minimap"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      preserveAspectRatio="none"
      aria-hidden="true"
      onPointerDown={go}
      onPointerMove={go}
    >
      {bars}
      <rect
        class="mv-sight"
        x={0.5}
        y={sight.start * HEIGHT}
        width={WIDTH - 1}
        height={sight.size * HEIGHT}
      />
    </svg>
  );
}
