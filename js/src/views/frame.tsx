/** What stands around panels: a header, what to know before reading, tabs for those that share one place, where it comes from. */
import type { ComponentType } from "preact";
import { useLayoutEffect } from "preact/hooks";
import type { PanelName, Spec } from "../wire";
import { Boundary } from "./boundary";
import { useField, useView } from "./hooks";
import { Status } from "./status";

export type Panel = { title: string; note?: (spec: Spec) => string; body: ComponentType<{ wide: boolean }> };
export type Panels = Partial<Record<PanelName, Panel>>;

type Props = {
  /** Those that this bundle can draw. */
  panels: Panels;
  header: ComponentType;
  /** Panels that stand by themselves, and those that share one place. */
  top: PanelName[];
  tabs: PanelName[];
  wide: boolean;
  hidden: boolean;
};

export function Frame({ panels, header: Header, top, tabs, wide, hidden }: Props) {
  const { store } = useView();
  const { kind } = useField("spec");
  const chosen = useField("tab");
  const tab = chosen && tabs.includes(chosen) ? chosen : (tabs[0] ?? null);
  useLayoutEffect(() => store.set("tab", tab), [tab, store]);
  return (
    <div class="mv-view" hidden={hidden}>
      <Boundary>
        <Header />
        <Status />
      </Boundary>
      <div class="mv-panels" data-wide={wide || undefined} data-kind={kind}>
        {top.map((name) => (
          <Section key={name} name={name} panel={panels[name] as Panel} wide={wide} />
        ))}
        {tab !== null && <Tabs panels={panels} tabs={tabs} tab={tab} wide={wide} />}
      </div>
      <Provenance />
    </div>
  );
}

function Section({ name, panel, wide }: { name: PanelName; panel: Panel; wide: boolean }) {
  const spec = useField("spec");
  const { title, note, body: Body } = panel;
  const said = note?.(spec);
  return (
    <section class={`mv-panel mv-panel-${name}`} aria-label={title}>
      {name !== "lines" && (
        <h3>
          {title} {said && <span class="mv-note">{said}</span>}
        </h3>
      )}
      <Boundary>
        <Body wide={wide} />
      </Boundary>
    </section>
  );
}

type TabsProps = { panels: Panels; tabs: PanelName[]; tab: PanelName; wide: boolean };

function Tabs({ panels, tabs, tab, wide }: TabsProps) {
  const { store } = useView();
  const spec = useField("spec");
  const { title, note, body: Body } = panels[tab] as Panel;
  const said = note?.(spec);
  const onKeyDown = (event: KeyboardEvent) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    const next = tabs[(tabs.indexOf(tab) + step + tabs.length) % tabs.length] as PanelName;
    store.set("tab", next);
    const list = event.currentTarget as HTMLElement;
    queueMicrotask(() => list.querySelector<HTMLElement>(`[data-tab="${next}"]`)?.focus());
    event.preventDefault();
  };
  return (
    <div class="mv-panel mv-panel-tabs">
      {tabs.length > 1 && (
        <div role="tablist" aria-label="more panels" class="mv-tabs" onKeyDown={onKeyDown}>
          {tabs.map((name) => (
            <button
              key={name}
              type="button"
              role="tab"
              data-tab={name}
              data-lm-suppress-shortcuts
              aria-selected={name === tab}
              tabIndex={name === tab ? 0 : -1}
              onClick={() => store.set("tab", name)}
            >
              {(panels[name] as Panel).title}
            </button>
          ))}
        </div>
      )}
      <section key={tab} class={`mv-panel-${tab}`} role="tabpanel" aria-label={title}>
        {said && <p class="mv-muted mv-tab-note">{said}</p>}
        <Boundary>
          <Body wide={wide} />
        </Boundary>
      </section>
    </div>
  );
}

function Provenance() {
  const { provenance } = useField("spec");
  const rows = Object.entries(provenance);
  if (!rows.length) return null;
  return (
    <details class="mv-provenance">
      <summary data-lm-suppress-shortcuts>How this was made</summary>
      <dl>
        {rows.map(([key, value]) => (
          <div key={key}>
            <dt>{key}</dt>
            <dd>{typeof value === "string" ? value : JSON.stringify(value)}</dd>
          </div>
        ))}
      </dl>
    </details>
  );
}
