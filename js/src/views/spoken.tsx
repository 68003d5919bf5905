/** The line that screen readers repeat: the cell under the pointer or the focus, at most twice a second. */
import { useEffect, useState } from "preact/hooks";
import { describeCell } from "../marks/cells";
import { useField, useGrids, useView } from "./hooks";

const PAUSE_MS = 500;

export function Spoken() {
  const { store } = useView();
  const grids = useGrids();
  const cell = useField("hovered_cell");
  const [text, setText] = useState("");
  useEffect(() => {
    if (!cell) return;
    const timer = setTimeout(
      () => setText(describeCell(cell, store.get("spec"), grids).join("; ")),
      PAUSE_MS,
    );
    return () => clearTimeout(timer);
  }, [cell, grids, store]);
  return (
    <div class="mv-spoken" aria-live="polite">
      {text}
    </div>
  );
}
