/** What was asked and what the score did. */
import { scoreDigits } from "../marks/cells";
import { linear, plain, signed } from "../marks/scale";
import type { Patching, PatchingSpec } from "../wire";
import { usePatching } from "./hooks";

const DIRECTIONS = {
  "perturbed->original": "activations of the perturbed text are patched into the run of the original",
  "original->perturbed": "activations of the original text are patched into the run of the perturbed",
};

export function Header() {
  const spec = usePatching();
  const { ranker, scores, direction } = spec;
  const digits = scoreDigits(spec);
  const delta = scores.perturbed - scores.original;
  return (
    <header class="mv-header">
      <div class="mv-asked">
        <p class="mv-ranker">
          {ranker.name} <span class="mv-kind">{ranker.kind}</span>
        </p>
        <p class="mv-query">
          <span class="mv-label">query</span> <bdi>{spec.query}</bdi>
        </p>
        {spec.side === "query" && (
          <p class="mv-doc">
            <span class="mv-label">document</span> <bdi>{spec.doc}</bdi>
          </p>
        )}
        <p class="mv-perturbation">
          <span class="mv-label">{spec.side === "query" ? "query changed by" : "document changed by"}</span>{" "}
          <code>{spec.perturbation}</code>
        </p>
        <p class="mv-muted">{DIRECTIONS[direction]}</p>
      </div>
      <div class="mv-scores">
        <p class="mv-score">
          <span class="mv-label">score</span> {plain(scores.original, digits)}
          <span class="mv-arrow"> → </span>
          <strong>{plain(scores.perturbed, digits)}</strong>
          <span class="mv-delta">{signed(delta, digits)}</span>
          {spec.ranks && <span class="mv-ranks">{rankText(spec.ranks)}</span>}
        </p>
        <Dumbbell spec={spec} />
        <RunScores spec={spec} digits={digits} />
      </div>
    </header>
  );
}

function rankText({ original, perturbed, of }: NonNullable<Patching["ranks"]>): string {
  if (original === perturbed) return `rank ${original} of ${of}, unchanged`;
  const move = original > perturbed ? `up ${original - perturbed}` : `down ${perturbed - original}`;
  return `rank ${original} → ${perturbed} of ${of} (${move})`;
}

/** The scores of the two runs that are patched, which differ from the texts' own by what the fillers cost. */
function RunScores({ spec, digits }: { spec: PatchingSpec; digits: number }) {
  const { scores, direction, filler } = spec;
  const [of_base, of_source] =
    direction === "perturbed->original"
      ? [scores.original, scores.perturbed]
      : [scores.perturbed, scores.original];
  const costs = [scores.base - of_base, scores.source - of_source];
  const help =
    `Both runs need the same length, so the shorter text is filled up with "${filler}" where the other has more tokens. ` +
    "Effects are measured between these two runs; the filler's cost is how far each run's score lies from its own text's score.";
  return (
    <p class="mv-muted" title={help}>
      runs with fillers: base {plain(scores.base, digits)}, source {plain(scores.source, digits)}
      <span class="mv-help">
        filler's cost{" "}
        {costs
          .map((cost) => (Math.abs(cost) < 0.5 * 10 ** -digits ? "0" : signed(cost, digits)))
          .join(" and ")}
      </span>
    </p>
  );
}

const WIDTH = 340;
const HEIGHT = 46;
const MARGIN = 58;
const AXIS = 32;

/** Original and perturbed score on one axis; the competitors of the candidate list are grey ticks. */
function Dumbbell({ spec }: { spec: PatchingSpec }) {
  const { original, perturbed } = spec.scores;
  const competitors = (spec.ranks?.competitors ?? []).filter(Number.isFinite);
  const all = [original, perturbed, ...competitors];
  const x = linear([Math.min(...all), Math.max(...all)], [MARGIN, WIDTH - MARGIN]);
  const [x0, x1] = [x(original), x(perturbed)];
  const rising = x1 >= x0;
  const head = Math.abs(x1 - x0) > 16 ? (rising ? x1 - 6 : x1 + 6) : x1;
  const anchor = (first: boolean) => (first === rising ? "end" : "start");
  // Labels reach outwards from the two dots, and part where the dots meet.
  const overhang = Math.min(5, Math.abs(x1 - x0) / 2 - 4);
  const label = (at: number, first: boolean) => at + (anchor(first) === "end" ? overhang : -overhang);
  const text = `score axis: original ${plain(original, 3)}, perturbed ${plain(perturbed, 3)}`;
  return (
    <svg
      class="mv-dumbbell"
      width={WIDTH}
      height={HEIGHT}
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      role="img"
      aria-label={text}
    >
      <line class="mv-axis" x1={8} x2={WIDTH - 8} y1={AXIS} y2={AXIS} />
      {competitors.map((score, i) => (
        <line key={i} class="mv-competitor" x1={x(score)} x2={x(score)} y1={AXIS - 6} y2={AXIS + 6}>
          <title>{`competitor ${plain(score, 3)}`}</title>
        </line>
      ))}
      <line class="mv-change" x1={x0} x2={head} y1={AXIS} y2={AXIS} />
      <circle class="mv-original" cx={x0} cy={AXIS} r={4.5} />
      <circle class="mv-perturbed" cx={x1} cy={AXIS} r={5} />
      <text x={label(x0, true)} y={AXIS - 14} text-anchor={anchor(true)}>
        original
      </text>
      <text class="mv-perturbed-label" x={label(x1, false)} y={AXIS - 14} text-anchor={anchor(false)}>
        perturbed
      </text>
    </svg>
  );
}
