/** What every bundle exports: `render` for the live widget, `mount_snapshot` for a page without a kernel. One view behind both. */
import type { RenderProps } from "@anywidget/types";
import { type ComponentType, render as draw } from "preact";
import type { Decoders } from "./decode";
import { describeError } from "./errors";
import { isOurs } from "./marks/keys";
import { type Connection, connect, type Model } from "./model";
import { snapshotModel, unpacked } from "./snapshot";
import { isDark, watchTheme } from "./theme";
import { Boundary, errorPanel } from "./views/boundary";
import { ViewContext } from "./views/hooks";
import type { Snapshot } from "./wire";

/** The module of a bundle: its view, and how what the view asks for is decoded. */
export function moduleOf(View: ComponentType, decoders: Decoders) {
  const mount = (model: Model, el: HTMLElement) => mountView(model, el, View, decoders);
  return {
    render: ({ model, el }: RenderProps) => mount(model, el),
    mount_snapshot: async (el: HTMLElement, data: Snapshot) => mount(snapshotModel(await unpacked(data)), el),
  };
}

function mountView(model: Model, el: HTMLElement, View: ComponentType, decoders: Decoders): () => void {
  const root = el.ownerDocument.createElement("div");
  root.className = "mechviz";
  root.dir = "ltr"; // the picture's left and right mean something; tokens have a direction of their own
  el.append(root);
  let connection: Connection;
  try {
    connection = connect(model, decoders);
  } catch (error) {
    root.append(errorPanel(el.ownerDocument, describeError(error)));
    return () => root.remove();
  }
  const { store } = connection;
  const ending = new AbortController();
  const { signal } = ending;

  const applyTheme = () => {
    const theme = String(model.get("theme") ?? "auto");
    const dark = isDark(theme, el);
    root.dataset.theme = dark ? "dark" : "light";
    // The host's own colours fit only as long as the host chooses the theme.
    root.toggleAttribute("data-host", theme === "auto");
    store.set("dark", dark);
  };
  applyTheme();
  watchTheme(el, applyTheme, signal);
  model.on("change:theme", applyTheme);

  // Width may be 0 at first (hidden tab, windowed notebook): the view draws when it is known.
  const resize = new ResizeObserver(([entry]) => {
    if (entry) store.set("width", Math.round(entry.contentRect.width));
  });
  resize.observe(root);
  const onKeyDown = (event: KeyboardEvent) => {
    if (!isOurs(event)) return;
    event.stopPropagation();
    if (event.key === "Escape" && store.get("selection").pos !== null) connection.select({ pos: null });
  };
  root.addEventListener("keydown", onKeyDown, { signal });

  draw(
    <ViewContext.Provider value={connection}>
      <Boundary>
        <View />
      </Boundary>
    </ViewContext.Provider>,
    root,
  );

  return () => {
    ending.abort();
    resize.disconnect();
    model.off("change:theme", applyTheme);
    draw(null, root);
    connection.dispose();
    root.remove();
  };
}
