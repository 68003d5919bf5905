/** What was studied, on how many pairs, and why the others were left out. */
import { count } from "../marks/scale";
import type { Count, Spec } from "../wire";
import { useField } from "./hooks";

const DIRECTIONS = {
  "perturbed->original": "activations of the perturbed text are patched into the run of the original",
  "original->perturbed": "activations of the original text are patched into the run of the perturbed",
};

export function StudyHeader() {
  const spec = useField("spec");
  const { ranker, study } = spec;
  return (
    <header class="mv-header mv-study-header">
      <div class="mv-asked">
        {ranker.name && (
          <p class="mv-ranker">
            <bdi>{ranker.name}</bdi> {ranker.kind && <span class="mv-kind">{ranker.kind}</span>}
          </p>
        )}
        <p class="mv-query">
          <bdi>{study ? study.name : "Agreement with axioms"}</bdi>
        </p>
        {study && <p class="mv-muted">{DIRECTIONS[study.direction] ?? study.direction}</p>}
      </div>
      <Counts spec={spec} />
    </header>
  );
}

function Counts({ spec }: { spec: Spec }) {
  const { study, scorecard, list } = spec;
  if (scorecard) {
    const axioms = new Set(scorecard.rows.map(({ axiom }) => axiom)).size;
    return (
      <p class="mv-counts">
        <strong>{count(axioms)}</strong> {axioms === 1 ? "axiom" : "axioms"},{" "}
        <strong>{count(list?.of ?? 0)}</strong> {list?.of === 1 ? "pair" : "pairs"}
      </p>
    );
  }
  if (!study) return null;
  return (
    <div class="mv-counts">
      <p>
        <strong>{count(study.n_used)}</strong> {study.n_used === 1 ? "pair" : "pairs"} used, of{" "}
        <strong>{count(study.n_queries)}</strong> {study.n_queries === 1 ? "query" : "queries"}
      </p>
      <p class="mv-muted">{count(total(study.dropped))} dropped</p>
    </div>
  );
}

const total = (dropped: Count[]) => dropped.reduce((sum, [, many]) => sum + many, 0);

/** How many pairs were not used, and why. */
export function Dropped({ dropped }: { dropped: Count[] }) {
  const n = total(dropped);
  if (!n) return <p class="mv-muted">no pair was dropped</p>;
  return (
    <p class="mv-muted mv-dropped">
      {count(n)} dropped:{" "}
      {dropped.map(([reason, many], i) => (
        <span key={reason}>
          {i > 0 && "; "}
          {count(many)} <bdi>{reason || "without a reason"}</bdi>
        </span>
      ))}
    </p>
  );
}
