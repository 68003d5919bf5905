/** The views of what probes find: one panel below the other. */
import { AtlasPanel } from "./atlas";
import { AttentionHeader } from "./attention_header";
import { CurvesPanel } from "./curves";
import { Frame, type Panels } from "./frame";
import { useField } from "./hooks";
import { PassagesPanel } from "./passages";
import { RelationPanel } from "./relation";
import { TensorPanel } from "./tensor";
import { TreePanel } from "./tree";

const PANELS: Panels = {
  passages: { title: "Passages", body: PassagesPanel },
  curves: { title: "Curves", body: CurvesPanel },
  tree: { title: "Tree", note: () => "what each value is made of", body: TreePanel },
  relation: { title: "Relation", note: () => "how likely each pair of tokens is", body: RelationPanel },
  tensor: {
    title: "Array",
    note: ({ tensor }) => tensor?.dims.map(({ name }) => name).join(" × ") ?? "",
    body: TensorPanel,
  },
  atlas: {
    title: "Atlas",
    note: ({ atlas }) => (atlas ? `${atlas.level}s as a layer places them` : ""),
    body: AtlasPanel,
  },
};

export function ProbeApp() {
  const { panels } = useField("spec");
  const width = useField("width");
  if (width === 0) return null;
  return (
    <Frame panels={PANELS} header={AttentionHeader} top={panels} tabs={[]} wide={false} hidden={false} />
  );
}
