/** Keys of the grid, and which keys are ours at all. */
import type { Cell } from "../store";

type Chord = Pick<KeyboardEvent, "key" | "ctrlKey" | "metaKey" | "altKey" | "shiftKey">;

/**
 * Keys that must not reach the notebook: with the focus inside a widget JupyterLab takes a plain `x` for "cut the cell".
 * Tab, chords and Shift+Enter (run the cell) stay the notebook's.
 */
export function isOurs({ key, ctrlKey, metaKey, altKey, shiftKey }: Chord): boolean {
  if (ctrlKey || metaKey || altKey || key === "Tab") return false;
  return !(key === "Enter" && shiftKey);
}

/** Enter or Space by itself: selects a cell, pins a token. */
export const isPick = (chord: Chord) => isOurs(chord) && (chord.key === "Enter" || chord.key === " ");

/** Where a key moves the focus in the grid; layer 0 is the bottom row. Null when the key does not move. */
export function moveCell(
  chord: Chord,
  { layer, head }: Cell,
  [n_layers, n_heads]: [number, number],
): Cell | null {
  const { key, ctrlKey, metaKey, altKey } = chord;
  const corner = ctrlKey && (key === "Home" || key === "End");
  if (metaKey || altKey || (ctrlKey && !corner)) return null; // the host's chords
  const to = (next: Cell): Cell => ({
    layer: Math.max(0, Math.min(n_layers - 1, next.layer)),
    head: Math.max(0, Math.min(n_heads - 1, next.head)),
  });
  switch (key) {
    case "ArrowUp":
      return to({ layer: layer + 1, head });
    case "ArrowDown":
      return to({ layer: layer - 1, head });
    case "ArrowLeft":
      return to({ layer, head: head - 1 });
    case "ArrowRight":
      return to({ layer, head: head + 1 });
    case "Home":
      return to({ layer: ctrlKey ? n_layers - 1 : layer, head: 0 });
    case "End":
      return to({ layer: ctrlKey ? 0 : layer, head: n_heads - 1 });
    default:
      return null;
  }
}
