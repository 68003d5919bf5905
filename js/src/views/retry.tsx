/** Asks again for what could not be loaded. */
import { keepFocus } from "./hooks";

export function Retry({ again }: { again: () => void }) {
  return (
    <button
      type="button"
      data-lm-suppress-shortcuts
      onClick={(event) => {
        keepFocus(event);
        again();
      }}
    >
      Retry
    </button>
  );
}
