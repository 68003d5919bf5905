/** Banners, and how far the computation is. */
import { count } from "../marks/scale";
import { keepFocus, useField, useView } from "./hooks";

export function Status() {
  const { cancel } = useView();
  const spec = useField("spec");
  const progress = useField("progress");
  const fault = useField("fault");
  const { state, done, total, seconds, message, agreement, live } = progress;
  const banners = [...spec.banners];
  const { gate } = spec;
  // Python may tell of the gate in a banner of its own; once is enough.
  if (gate && !gate.open && !banners.some(({ text }) => text === gate.message)) {
    banners.unshift({ level: "warn", text: gate.message });
  }
  const agreed =
    agreement === null ? "" : `; correlation with the attribution preview r = ${agreement.toFixed(2)}`;
  const cells = `${count(total)} ${total === 1 ? "cell" : "cells"}`;
  const loaded =
    done === total
      ? `exact, ${cells}`
      : done === 0
        ? `attribution (a gradient estimate), ${cells}`
        : `exact ${count(done)} of ${cells}, the others were not computed`;
  const words = {
    running: `preview (attribution), exact ${count(done)} of ${count(total)}`,
    done: `exact, ${cells} in ${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s${agreed}`,
    loaded: `${loaded}${agreed}`,
    cancelled: `cancelled: exact ${count(done)} of ${count(total)}, the others are a preview (attribution)`,
    failed: `failed after ${count(done)} of ${count(total)}`,
  }[state];
  return (
    <>
      {fault !== null && (
        <div class="mv-error" role="alert">
          <strong>An update could not be read; what is shown is older</strong>
          <p>{fault}</p>
        </div>
      )}
      {banners.map(({ level, text }) => (
        <p key={text} class="mv-banner" data-level={level}>
          <span aria-hidden="true">{level === "warn" ? "!" : "i"}</span>
          {text}
        </p>
      ))}
      {total > 0 && (
        <div class="mv-status" data-state={state} data-panel data-lm-suppress-shortcuts tabIndex={-1}>
          {state === "running" && (
            <progress max={total || 1} value={done}>
              {done}
            </progress>
          )}
          <span>
            {words}
            {message && `: ${message}`}
          </span>
          {state === "running" && live && (
            <button
              type="button"
              data-lm-suppress-shortcuts
              onClick={(event) => {
                keepFocus(event);
                cancel();
              }}
            >
              Cancel
            </button>
          )}
        </div>
      )}
    </>
  );
}
