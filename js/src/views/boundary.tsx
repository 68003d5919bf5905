/** Nothing that goes wrong may leave an empty cell: an error becomes a panel with its words. */
import { Component, type ComponentChildren } from "preact";
import { describeError } from "../errors";

const TITLE = "This part could not be drawn";

type Props = { children: ComponentChildren };

export class Boundary extends Component<Props, { error: string | null }> {
  override state = { error: null };

  override componentDidCatch(error: unknown): void {
    console.error(error);
    this.setState({ error: describeError(error) });
  }

  override render({ children }: Props, { error }: { error: string | null }) {
    if (error === null) return children;
    return (
      <div class="mv-error" role="alert">
        <strong>{TITLE}</strong>
        <p>{error}</p>
      </div>
    );
  }
}

/** The same panel where there is nothing yet to draw with. */
export function errorPanel(owner: Document, message: string): HTMLElement {
  const panel = owner.createElement("div");
  panel.className = "mv-error";
  panel.setAttribute("role", "alert");
  const title = owner.createElement("strong");
  title.textContent = TITLE;
  const text = owner.createElement("p");
  text.textContent = message;
  panel.append(title, text);
  return panel;
}
