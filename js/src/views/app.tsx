/** The whole view: a header, and the panels over one selection. Those that come after the first share one place, by tabs. */
import type { ComponentType } from "preact";
import { useLayoutEffect } from "preact/hooks";
import type { PanelName, Spec } from "../wire";
import { AttentionHeader } from "./attention_header";
import { BeforeAfter } from "./before_after";
import { Boundary } from "./boundary";
import { ByPosition } from "./by_position";
import { Changes } from "./changes";
import { CircuitPanel } from "./circuit";
import { Covariates } from "./covariates";
import { CurvesPanel } from "./curves";
import { Groups } from "./groups";
import { HeadGrid, MANY_HEADS } from "./head_grid";
import { Header } from "./header";
import { useField, useView } from "./hooks";
import { ModelView } from "./model_view";
import { NeuronView } from "./neuron_view";
import { OpenedPair } from "./opened_pair";
import { PairList } from "./pair_list";
import { Ranking } from "./ranking";
import { ScoreParts } from "./score_parts";
import { ScorecardPanel } from "./scorecard";
import { Spoken } from "./spoken";
import { Status } from "./status";
import { StudyCells } from "./study_cells";
import { StudyHeader } from "./study_header";
import { TokenLines } from "./token_lines";

const WIDE = 1180;

type Panel = { title: string; note?: (spec: Spec) => string; body: ComponentType<{ wide: boolean }> };

const PANELS: Record<PanelName, Panel> = {
  heads: {
    title: "Heads",
    note: ({ scores, study }) =>
      scores ? "what patching one head does to the score" : study ? "over all pairs" : "",
    body: HeadGrid,
  },
  texts: { title: "Texts", note: changeCounts, body: BeforeAfter },
  lines: { title: "Attention", body: TokenLines },
  model: {
    title: "All heads",
    note: () => "a thumbnail of each head's attention; a click opens it",
    body: ModelView,
  },
  neurons: { title: "Queries and keys", note: () => "what one attention score is made of", body: NeuronView },
  positions: {
    title: "By position",
    note: () => "what patching one position does to the score",
    body: ByPosition,
  },
  ranking: { title: "Ranking", body: Ranking },
  score: { title: "Score", note: () => "what the score is made of", body: ScoreParts },
  circuit: { title: "Circuit", note: () => "which parts carry the change, and to where", body: CircuitPanel },
  cells: { title: "Cells", note: ({ study }) => `${study?.grid ?? ""}, over all pairs`, body: StudyCells },
  changes: { title: "Score changes", note: () => "a bin lists its pairs", body: Changes },
  groups: { title: "Groups", body: Groups },
  covariates: { title: "Covariates", note: () => "what goes with the size of the effects", body: Covariates },
  pairs: { title: "Pairs", body: PairList },
  scorecard: { title: "Scorecard", body: ScorecardPanel },
  curves: { title: "Curves", body: CurvesPanel },
};

/** Panels that stand at the top whenever they are there; of the others, the first does if none of these is. */
const TOP: PanelName[] = ["heads", "texts"];

/** Panels that stand by themselves, and those that share one place. */
function arrange({ panels, kind }: Spec): [PanelName[], PanelName[]] {
  const lead = panels[0];
  const top = panels.filter((name) => TOP.includes(name) || name === lead);
  const rest = panels.filter((name) => !top.includes(name));
  if (kind === "study" || kind === "scorecard") return [panels, []]; // one page to read, not tabs
  return kind === "patching" || rest.length > 1 ? [top, rest] : [panels, []];
}

export function App() {
  const { store } = useView();
  const spec = useField("spec");
  const width = useField("width");
  const chosen = useField("tab");
  const opened = useField("opened");
  const [top, tabs] = arrange(spec);
  const tab = chosen && tabs.includes(chosen) ? chosen : (tabs[0] ?? null);
  useLayoutEffect(() => store.set("tab", tab), [tab, store]);
  if (width === 0) return null;
  const grids = spec.grids.filter(({ name }) => name === "heads");
  const beside = top.includes("texts") || (top.includes("heads") && top.includes("changes"));
  const wide = width >= WIDE && grids.length === 1 && (grids[0]?.shape[1] ?? 0) <= MANY_HEADS && beside;
  const many = spec.kind === "study" || spec.kind === "scorecard";
  return (
    <>
      <div class="mv-view" hidden={opened !== null}>
        <Boundary>
          {spec.scores ? <Header /> : many ? <StudyHeader /> : <AttentionHeader />}
          <Status />
        </Boundary>
        <div class="mv-panels" data-wide={wide || undefined} data-kind={spec.kind}>
          {top.map((name) => (
            <Section key={name} name={name} wide={wide} />
          ))}
          {tabs.length > 0 && <Tabs tabs={tabs} tab={tab as PanelName} wide={wide} />}
        </div>
        <Provenance />
        <Spoken />
      </div>
      {opened !== null && <OpenedPair key={opened} number={opened} view={App} />}
    </>
  );
}

function Section({ name, wide }: { name: PanelName; wide: boolean }) {
  const spec = useField("spec");
  const { title, note, body: Body } = PANELS[name];
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

function Tabs({ tabs, tab, wide }: { tabs: PanelName[]; tab: PanelName; wide: boolean }) {
  const { store } = useView();
  const spec = useField("spec");
  const { note, body: Body } = PANELS[tab];
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
              {PANELS[name].title}
            </button>
          ))}
        </div>
      )}
      <section key={tab} class={`mv-panel-${tab}`} role="tabpanel" aria-label={PANELS[tab].title}>
        {said && <p class="mv-muted mv-tab-note">{said}</p>}
        <Boundary>
          <Body wide={wide} />
        </Boundary>
      </section>
    </div>
  );
}

/** "3 tokens inserted, 1 replaced" */
function changeCounts({ texts, text }: Spec): string {
  const kinds = { insert: "inserted", delete: "deleted", replace: "replaced" };
  const alignment = texts[text]?.alignment ?? [];
  const parts = Object.entries(kinds).flatMap(([change, word]) => {
    const n = alignment.filter((other) => other === change).length;
    return n ? [`${n} ${word}`] : [];
  });
  return parts.length ? `tokens: ${parts.join(", ")}` : "no token differs";
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
