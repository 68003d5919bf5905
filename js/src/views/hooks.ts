import { createContext, type RefObject } from "preact";
import { useContext, useEffect, useLayoutEffect, useMemo, useState } from "preact/hooks";
import type { Load } from "../loads";
import { type Grids, gridsOf } from "../marks/cells";
import type { Connection } from "../model";
import type { Cell, Side, State } from "../store";
import { type Head, type PatchingSpec, patchingOf } from "../wire";

export const ViewContext = createContext<Connection | null>(null);

/** Called before a button goes away: the focus moves to the panel around it, not to the page. */
export function keepFocus(event: Event): void {
  (event.currentTarget as Element).closest<HTMLElement>("[data-panel]")?.focus();
}

export function useView(): Connection {
  const view = useContext(ViewContext);
  if (!view) throw new Error("a panel was drawn outside its view");
  return view;
}

/** A field of the store; the component draws again when that field changes, and only then. */
export function useField<K extends keyof State>(key: K): State[K] {
  const { store } = useView();
  const [, redraw] = useState(0);
  const value = store.get(key);
  useLayoutEffect(() => {
    const changed = () => redraw((n) => n + 1);
    if (!Object.is(store.get(key), value)) changed(); // it changed between drawing and subscribing
    return store.on(key, changed);
  }, [store, key]);
  return value;
}

export function useGrids(): Grids {
  const [spec, cells, unit] = [useField("spec"), useField("cells"), useField("unit")];
  return useMemo(() => gridsOf(spec, cells, unit), [spec, cells, unit]);
}

/** The spec of a view of a perturbed pair. */
export const usePatching = (): PatchingSpec => patchingOf(useField("spec"));

/** What has this key: loaded, on its way, failed; asked for where a kernel can answer. Undefined where it cannot be had. */
export function useLoad<T>(key: string, message: object | null): Load<T> | undefined {
  const { ask } = useView();
  const [loads, progress] = [useField("loads"), useField("progress")];
  const state = loads.get(key) as Load<T> | undefined;
  const missing = !state && progress.live && message !== null;
  useEffect(() => {
    if (missing) ask(key, message as object);
  }, [missing, key, ask]);
  return missing ? { status: "waiting" } : state;
}

/** What came with the view under a key, or null; what went wrong with it is the panel's error. */
export function useHeld<T>(key: string): T | null {
  const load = useLoad<T>(key, null);
  if (load?.status === "failed") throw new Error(load.message);
  return load?.status === "loaded" ? load.value : null;
}

/**
 * Mark the nodes of the hovered and the pinned position, straight in the document: a hover must not draw
 * some thousand tokens again.
 */
export function usePositionMarks(ref: RefObject<HTMLElement>): void {
  const { store } = useView();
  useLayoutEffect(() => {
    const mark = () => {
      const root = ref.current;
      if (!root) return;
      const set = (name: string, pos: number | null | undefined) => {
        for (const node of root.querySelectorAll(`[${name}]`)) node.removeAttribute(name);
        if (pos === null || pos === undefined) return;
        // A node may stand for several positions.
        for (const node of root.querySelectorAll(`[data-pos~="${pos}"]`)) node.setAttribute(name, "");
      };
      set("data-hovered", store.get("hovered_pos")?.pos);
      set("data-pinned", store.get("selection").pos);
    };
    mark();
    const ends = [store.on("hovered_pos", mark), store.on("selection", mark)];
    return () => {
      for (const end of ends) end();
    };
  });
}

/** The position whose lines stand out, and on which side it was meant: the hovered one, else the pinned one. */
export function useFocusedPos(): { pos: number; side: Side } | null {
  const hovered = useField("hovered_pos");
  const { pos } = useField("selection");
  const side = useField("pinned_side");
  return hovered ?? (pos === null ? null : { pos, side });
}

const posOf = (event: Event) => {
  const pos = (event.target as Element).closest<HTMLElement>("[data-pos]")?.dataset.pos;
  return pos === undefined ? null : Number.parseInt(pos, 10);
};

/** Hover previews a position, click pins it, and a click on the pinned one frees it. */
export function usePositionEvents(side: Side) {
  const { store, select } = useView();
  return {
    onPointerOver: (event: Event) => {
      const pos = posOf(event);
      store.set("hovered_pos", pos === null ? null : { pos, side });
    },
    onPointerLeave: () => store.set("hovered_pos", null),
    onClick: (event: Event) => {
      const pos = posOf(event);
      if (pos !== null) pin(pos);
    },
    pin,
  };
  function pin(pos: number) {
    const same = store.get("selection").pos === pos && store.get("pinned_side") === side;
    store.set("pinned_side", side);
    select({ pos: same ? null : pos });
  }
}

/** Open a head in the lines, or add it to those that are compared and patched together. */
export function useHeadEvents() {
  const { store, select } = useView();
  return {
    open({ stack, layer, head }: Cell) {
      const { stacks } = store.get("spec");
      const textOf = (of: string) => stacks.find(({ name }) => name === of)?.text;
      // Positions of one text mean nothing in another.
      const same_text = textOf(stack) === textOf(store.get("selection").stack);
      select({ stack, layer, head, ...(!same_text && { pos: null, key_pos: null }) });
      const tab = store.get("tab");
      const there = store.get("spec").panels.includes("lines");
      if (there && tab !== null && tab !== "lines" && tab !== "neurons") store.set("tab", "lines");
    },
    toggle({ stack, layer, head }: Cell) {
      const { heads } = store.get("selection");
      const rest = heads.filter(([a, b, c]) => !(a === stack && b === layer && c === head));
      const added: Head[] = rest.length < heads.length ? rest : [...heads, [stack, layer, head]];
      select({ heads: added });
    },
  };
}
