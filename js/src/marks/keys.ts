/** Keys of the grid, and which keys are ours at all. */

type Chord = Pick<KeyboardEvent, "key" | "ctrlKey" | "metaKey" | "altKey" | "shiftKey">;

/**
 * Keys that must not reach the notebook: with the focus inside a widget JupyterLab takes a plain `x` for "cut the cell".
 * Tab, chords and Shift+Enter (run the cell) stay the notebook's.
 */
export function isOurs({ key, ctrlKey, metaKey, altKey, shiftKey }: Chord): boolean {
  if (ctrlKey || metaKey || altKey || key === "Tab") return false;
  return !(key === "Enter" && shiftKey);
}

/** A place in a matrix: rows count from the bottom. */
export type Place = { row: number; column: number };

/** Enter or Space by itself: selects a cell, pins a token. */
export const isPick = (chord: Chord) => isOurs(chord) && (chord.key === "Enter" || chord.key === " ");

/** Where a key moves the focus in a matrix whose row 0 is at the bottom. Null when the key does not move. */
export function movePlace(
  chord: Chord,
  { row, column }: Place,
  [n_rows, n_columns]: [number, number],
): Place | null {
  const { key, ctrlKey, metaKey, altKey } = chord;
  const corner = ctrlKey && (key === "Home" || key === "End");
  if (metaKey || altKey || (ctrlKey && !corner)) return null; // the host's chords
  const to = (next: Place): Place => ({
    row: Math.max(0, Math.min(n_rows - 1, next.row)),
    column: Math.max(0, Math.min(n_columns - 1, next.column)),
  });
  switch (key) {
    case "ArrowUp":
      return to({ row: row + 1, column });
    case "ArrowDown":
      return to({ row: row - 1, column });
    case "ArrowLeft":
      return to({ row, column: column - 1 });
    case "ArrowRight":
      return to({ row, column: column + 1 });
    case "Home":
      return to({ row: ctrlKey ? n_rows - 1 : row, column: 0 });
    case "End":
      return to({ row: ctrlKey ? 0 : row, column: n_columns - 1 });
    default:
      return null;
  }
}
