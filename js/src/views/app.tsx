/** The views of pairs, texts and studies: panels over one selection. Those that come after the first share one place, by tabs. */
import type { PanelName, Spec } from "../wire";
import { AttentionHeader } from "./attention_header";
import { BeforeAfter } from "./before_after";
import { ByPosition } from "./by_position";
import { Changes } from "./changes";
import { CircuitPanel } from "./circuit";
import { Covariates } from "./covariates";
import { CurvesPanel } from "./curves";
import { Frame, type Panels } from "./frame";
import { Groups } from "./groups";
import { HeadGrid, MANY_HEADS } from "./head_grid";
import { Header } from "./header";
import { useField } from "./hooks";
import { ModelView } from "./model_view";
import { NeuronView } from "./neuron_view";
import { OpenedPair } from "./opened_pair";
import { PairList } from "./pair_list";
import { Ranking } from "./ranking";
import { ScoreParts } from "./score_parts";
import { ScorecardPanel } from "./scorecard";
import { Spoken } from "./spoken";
import { StudyCells } from "./study_cells";
import { StudyHeader } from "./study_header";
import { TokenLines } from "./token_lines";

const WIDE = 1180;

const PANELS: Panels = {
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

const isMany = (kind: string) => ["study", "scorecard"].includes(kind);

/** Panels that stand by themselves, and those that share one place. */
function arrange({ panels, kind }: Spec): [PanelName[], PanelName[]] {
  const lead = panels[0];
  const top = panels.filter((name) => TOP.includes(name) || name === lead);
  const rest = panels.filter((name) => !top.includes(name));
  if (isMany(kind)) return [panels, []]; // one page to read, not tabs
  return kind === "patching" || rest.length > 1 ? [top, rest] : [panels, []];
}

function TheHeader() {
  const { scores, kind } = useField("spec");
  return scores ? <Header /> : isMany(kind) ? <StudyHeader /> : <AttentionHeader />;
}

export function App() {
  const spec = useField("spec");
  const width = useField("width");
  const opened = useField("opened");
  const [top, tabs] = arrange(spec);
  if (width === 0) return null;
  const grids = spec.grids.filter(({ name }) => name === "heads");
  const beside = top.includes("texts") || (top.includes("heads") && top.includes("changes"));
  const wide = width >= WIDE && grids.length === 1 && (grids[0]?.shape[1] ?? 0) <= MANY_HEADS && beside;
  return (
    <>
      <Frame panels={PANELS} header={TheHeader} top={top} tabs={tabs} wide={wide} hidden={opened !== null} />
      <Spoken />
      {opened !== null && <OpenedPair key={opened} number={opened} view={App} />}
    </>
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
