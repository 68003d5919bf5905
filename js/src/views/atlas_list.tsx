/** The points that were brushed or found: how many, what they have in common, and which they are. */
import { useMemo } from "preact/hooks";
import { topTerms, wordsOf } from "../marks/atlas";
import { count, digitsFor, plain } from "../marks/scale";
import type { AtlasSpec, Points } from "../probe_wire";
import { keepFocus } from "./hooks";

const LISTED = 100;
const TERMS = 8;

type Props = {
  spec: AtlasSpec;
  points: Points;
  list: Int32Array | null;
  title: string;
  clear: (() => void) | null;
};

export function AtlasList({ spec, points, list, title, clear }: Props) {
  const { labels, score, grade } = points;
  const { level, n } = spec;
  // All labels are read once, when something is first listed.
  const all = useMemo(
    () => (list && labels ? wordsOf(labels, labels.keys(), level) : null),
    [list !== null, labels, level],
  );
  const own = useMemo(() => (list && labels ? wordsOf(labels, list, level) : null), [list, labels, level]);
  const summary = useMemo(() => {
    if (!list) return null;
    const mean = (of: Float32Array) => {
      const known = [...list].map((at) => of[at] as number).filter(Number.isFinite);
      return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
    };
    return { score: mean(score), grade: mean(grade) };
  }, [list, score, grade]);
  if (!list || !summary) {
    return (
      <aside class="mv-atlas-side mv-muted">
        <p>
          Drag to move, turn the wheel to zoom once the map has the focus, and drag with Shift (or with Brush
          on) to list what lies in a box.
        </p>
        <p>
          Keys: arrows move, + and − zoom, 0 shows all, [ and ] change the layer, Enter lists what lies in the
          middle, Esc ends a list.
        </p>
      </aside>
    );
  }
  const shown = list.subarray(0, LISTED);
  const digits = digitsFor(summary.score ?? 1);
  const top = all && own ? topTerms(own, all, [list.length, n], TERMS) : [];
  return (
    <aside class="mv-atlas-side" aria-label={`${title} ${level}s`}>
      <h4>
        {title}: {count(list.length)} {list.length === 1 ? level : `${level}s`}
        {clear && (
          <button
            type="button"
            data-lm-suppress-shortcuts
            onClick={(event) => {
              keepFocus(event);
              clear();
            }}
          >
            Clear
          </button>
        )}
      </h4>
      <p class="mv-muted" role="status">
        {summary.score !== null && `mean score ${plain(summary.score, digits)}`}
        {summary.score !== null && summary.grade !== null && ", "}
        {summary.grade !== null && `mean grade ${plain(summary.grade, 2)}`}
      </p>
      {top.length > 0 && (
        <p class="mv-atlas-terms">
          {top.map(([word, times]) => (
            <span key={word}>
              <bdi>{word}</bdi> <span class="mv-muted">{count(times)}</span>
            </span>
          ))}
        </p>
      )}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a list that scrolls must be reached by keys */}
      <ol data-lm-suppress-shortcuts tabIndex={0} aria-label={`${title} ${level}s`}>
        {[...shown].map((at) => (
          <li key={at}>
            <bdi>{labels?.[at] ?? `${level} ${at}`}</bdi>
            {Number.isFinite(score[at]) && (
              <span class="mv-tree-number">{plain(score[at] as number, digits)}</span>
            )}
          </li>
        ))}
      </ol>
      {list.length > LISTED && <p class="mv-muted">and {count(list.length - LISTED)} more</p>}
    </aside>
  );
}
