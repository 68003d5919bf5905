/** What was asked, where there is one text only, or a list. */
import { plain } from "../marks/scale";
import { useField } from "./hooks";

export function AttentionHeader() {
  const spec = useField("spec");
  const { ranker, doc, perturbation, score, curves } = spec;
  const query = spec.query || curves?.title;
  if (!ranker.name && !query) return null;
  return (
    <header class="mv-header">
      <div class="mv-asked">
        {ranker.name && (
          <p class="mv-ranker">
            {ranker.name} {ranker.kind && <span class="mv-kind">{ranker.kind}</span>}
          </p>
        )}
        {query && (
          <p class="mv-query">
            {doc && <span class="mv-label">query</span>} <bdi>{query}</bdi>
          </p>
        )}
        {doc && spec.kind === "attention" && (
          <p class="mv-doc">
            <span class="mv-label">document</span>{" "}
            <bdi>{doc.length > 200 ? `${doc.slice(0, 200)} …` : doc}</bdi>
          </p>
        )}
        {perturbation && (
          <p class="mv-perturbation">
            <span class="mv-label">changed by</span> <code>{perturbation}</code>
          </p>
        )}
      </div>
      {score !== undefined && score !== null && (
        <p class="mv-score">
          <span class="mv-label">score</span> {plain(score, 4)}
        </p>
      )}
    </header>
  );
}
