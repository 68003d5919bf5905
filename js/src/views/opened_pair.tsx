/** A pair's own view inside of that of a study: its panels over a store of its own, and the way back. */
import type { ComponentType } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { insideModel } from "../inside";
import { connect } from "../model";
import type { Snapshot } from "../wire";
import { Boundary } from "./boundary";
import { useField, useLoad, useView, ViewContext } from "./hooks";
import { pairKey } from "./pair_row";
import { Retry } from "./retry";

type Props = { number: number; view: ComponentType };

export function OpenedPair({ number, view }: Props) {
  const { store, ask } = useView();
  const { list, kind } = useField("spec");
  const key = pairKey(number);
  const message = { type: "open", number };
  const load = useLoad<Snapshot>(key, list?.opens ? message : null);
  const back = useRef<HTMLButtonElement>(null);
  useLayoutEffect(() => back.current?.focus(), []);
  const close = () => store.set("opened", null);
  return (
    <section
      class="mv-opened"
      aria-label={`pair ${number}`}
      data-panel
      data-lm-suppress-shortcuts
      tabIndex={-1}
      onKeyDown={(event) => {
        if (event.key !== "Escape") return;
        event.stopPropagation();
        close();
      }}
    >
      <p class="mv-opened-bar">
        <button type="button" ref={back} data-lm-suppress-shortcuts onClick={close}>
          ← Back to the {kind}
        </button>
        <strong>Pair {number}</strong>
      </p>
      {load?.status === "loaded" ? (
        <Boundary key={number}>
          <Inside opened={load.value} number={number} view={view} />
        </Boundary>
      ) : load?.status === "failed" ? (
        <div class="mv-error" role="alert">
          <strong>This pair could not be opened</strong>
          <p>{load.message}</p>
          <Retry again={() => ask(key, message, true)} />
        </div>
      ) : (
        <p class="mv-opening" role="status">
          <progress aria-label="running the ranker" /> {load?.status === "late" && "still "}running the ranker
          on this pair…
        </p>
      )}
    </section>
  );
}

type InsideProps = { opened: Snapshot; number: number; view: ComponentType };

function Inside({ opened, number, view: View }: InsideProps) {
  const outer = useView();
  const [inner] = useState(() =>
    connect(insideModel(outer.model, number, opened, outer.store.get("progress").live), outer.decoders),
  );
  useLayoutEffect(() => {
    const follow = (key: "width" | "dark") => {
      const copy = () => inner.store.set(key, outer.store.get(key) as never);
      copy();
      return outer.store.on(key, copy);
    };
    const ends = [follow("width"), follow("dark")];
    return () => {
      for (const end of ends) end();
      inner.dispose();
    };
  }, [inner, outer]);
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: it only hears keys of what is in it
    <div
      onKeyDown={(event) => {
        if (event.key !== "Escape" || inner.store.get("selection").pos === null) return;
        event.stopPropagation();
        inner.select({ pos: null });
      }}
    >
      <ViewContext.Provider value={inner}>
        <View />
      </ViewContext.Provider>
    </div>
  );
}
