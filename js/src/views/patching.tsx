/** The composite view: why the score of a document changed. Three panels over one selection. */
import type { ComponentChildren } from "preact";
import { gridTitle } from "../marks/cells";
import type { Change } from "../wire";
import { BeforeAfter } from "./before_after";
import { Boundary } from "./boundary";
import { HeadGrid, MANY_HEADS } from "./head_grid";
import { Header } from "./header";
import { useField } from "./hooks";
import { Spoken } from "./spoken";

import { Status } from "./status";
import { TokenLines } from "./token_lines";

const WIDE = 1180;

export function PatchingView() {
  const spec = useField("spec");
  const width = useField("width");
  if (width === 0) return null;
  const wide = width >= WIDE && (spec.grid.shape[1] ?? 0) <= MANY_HEADS;
  return (
    <div class="mv-view">
      <Boundary>
        <Header />
        <Status />
      </Boundary>
      <div class="mv-panels" data-wide={wide || undefined}>
        <Panel name="heads" title={gridTitle(spec)} note="what patching one head does to the score">
          <HeadGrid wide={wide} />
        </Panel>
        <Panel name="texts" title="Texts" note={changeCounts(spec.alignment)}>
          <BeforeAfter />
        </Panel>
        <section class="mv-panel mv-panel-attention" aria-label="Attention">
          <Boundary>
            <TokenLines />
          </Boundary>
        </section>
      </div>
      <Provenance />
      <Spoken />
    </div>
  );
}

/** "3 tokens inserted, 1 replaced" */
function changeCounts(alignment: Change[]): string {
  const kinds: [Change, string][] = [
    ["insert", "inserted"],
    ["delete", "deleted"],
    ["replace", "replaced"],
  ];
  const parts = kinds.flatMap(([change, word]) => {
    const n = alignment.filter((other) => other === change).length;
    return n ? [`${n} ${word}`] : [];
  });
  return parts.length ? `tokens: ${parts.join(", ")}` : "no token differs";
}

type PanelProps = { name: string; title: string; note: string; children: ComponentChildren };

function Panel({ name, title, note, children }: PanelProps) {
  return (
    <section class={`mv-panel mv-panel-${name}`} aria-label={title}>
      <h3>
        {title} <span class="mv-note">{note}</span>
      </h3>
      <Boundary>{children}</Boundary>
    </section>
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
