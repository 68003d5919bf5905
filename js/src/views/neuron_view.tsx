/** What one attention score is made of: query, keys, their products by dimension, the scaled score, the softmax. */
import { useCallback, useMemo, useState } from "preact/hooks";
import { type Load, scoresKey } from "../loads";
import { divergingLookup, paint } from "../marks/raster";
import { tokenLabel } from "../marks/rows";
import { percentile, plain, signed, weightText } from "../marks/scale";
import type { Run, RunScores, Scores, StackSpec, TextSpec, TokenSpec } from "../wire";
import { Canvas } from "./canvas";
import { HeadPicker } from "./head_picker";
import { useField, useGrids, useLoad, useView } from "./hooks";
import { Retry } from "./retry";
import { Check, Skeleton, Toggle } from "./token_lines";

const ROW = 17;
const STRIP = 5; // px a dimension, at most
const WIDEST = 190;
const SHOWN = 48;

export function NeuronView() {
  const { select, ask } = useView();
  const spec = useField("spec");
  const grids = useGrids();
  const progress = useField("progress");
  const { stack: name, layer, head, pos, key_pos } = useField("selection");
  const stack = spec.stacks.find((one) => one.name === name) as StackSpec;
  const text = spec.texts[stack.text] as TextSpec;
  const [run, setRun] = useState<Run>("base");
  const [sorted, setSorted] = useState(true);
  const [all, setAll] = useState(false);
  const step = Boolean(stack.query_labels); // a decoder's one position, or another text's
  const at = step ? 0 : (pos ?? firstOf(text));
  const key = scoresKey(name, layer, head, at);
  const one_position = Boolean(stack.key_labels);
  const message = useMemo(
    () => (one_position ? null : { type: "scores", stack: name, layer, head, pos: at }),
    [key, one_position],
  );
  const load: Load<Scores> | undefined = useLoad<Scores>(key, message);
  const tokens = run === "source" && text.source ? text.source : text.base;
  const loaded = load?.status === "loaded" ? load.value : null;
  const scores = loaded && ((run === "source" && loaded.source) || loaded.base);
  return (
    <div class="mv-neurons" data-panel data-lm-suppress-shortcuts tabIndex={-1}>
      <div class="mv-lines-bar">
        <h3>
          Layer {layer}, head {head}
        </h3>
        {!grids.stacks.length && <HeadPicker />}
        {step ? (
          <span class="mv-muted">query: {stack.query_labels?.[0]}</span>
        ) : (
          <TokenPicker label="query" tokens={tokens} value={at} choose={(value) => select({ pos: value })} />
        )}
        {text.source && (
          <Toggle
            label="which run"
            value={run}
            choose={(value) => setRun(value as Run)}
            options={[
              ["base", "base"],
              ["source", "source"],
            ]}
          />
        )}
        <Check checked={sorted} set={setSorted} title="else in the order of the text">
          largest first
        </Check>
      </div>
      {one_position ? (
        <p class="mv-hint">
          There is nothing to take apart: this head sees one position only, whose weight is 1 whatever its
          score.
        </p>
      ) : scores && loaded ? (
        <Products
          {...{ scores, tokens, all, setAll, sorted }}
          scale={loaded.scale}
          alignment={text.alignment}
          chosen={key_pos}
          choose={(value) => select({ key_pos: value === key_pos ? null : value })}
        />
      ) : load?.status === "failed" ? (
        <div class="mv-error" role="alert">
          <strong>The queries and keys of this head could not be read</strong>
          <p>{load.message}</p>
        </div>
      ) : load?.status === "late" ? (
        <p class="mv-hint">
          The kernel does not answer; it may be busy or gone.{" "}
          <Retry again={() => message && ask(key, message, true)} />
        </p>
      ) : progress.live ? (
        <Skeleton words="reading queries and keys from the kernel" />
      ) : (
        <HeldScores />
      )}
    </div>
  );
}

/** Where to begin: at the first token that was changed, else at the first that is of a text. */
function firstOf({ alignment, base }: TextSpec): number {
  const changed = alignment.findIndex((change) => change !== "equal");
  if (changed >= 0) return changed;
  return Math.max(
    0,
    base.segments.findIndex((segment) => segment === "query" || segment === "doc"),
  );
}

/** A file holds the scores of one position, if that was pinned when it was written. */
function HeldScores() {
  const { select } = useView();
  const { held } = useField("spec");
  const found = Object.keys(held).find((key) => key.startsWith("scores."));
  if (!found) {
    return (
      <p class="mv-hint">
        This file holds no queries and keys: pin a token in the notebook before writing it, or open the
        notebook.
      </p>
    );
  }
  const [, stack, layer, head, pos] = found.split(".");
  const place = { stack: stack as string, layer: Number(layer), head: Number(head), pos: Number(pos) };
  return (
    <p class="mv-hint">
      This file holds queries and keys of one position.{" "}
      <button type="button" data-lm-suppress-shortcuts onClick={() => select(place)}>
        Show layer {layer}, head {head}
      </button>
    </p>
  );
}

type PickerProps = { label: string; tokens: TokenSpec; value: number; choose: (value: number) => void };

function TokenPicker({ label, tokens, value, choose }: PickerProps) {
  return (
    <label class="mv-check">
      {label}
      <select
        data-lm-suppress-shortcuts
        value={value}
        onChange={(event) => choose(Number(event.currentTarget.value))}
      >
        {tokens.labels.map((_label, pos) => (
          <option key={pos} value={pos}>
            {pos} {tokenLabel(tokens, pos)}
          </option>
        ))}
      </select>
    </label>
  );
}

type ProductsProps = {
  scores: RunScores;
  scale: number;
  tokens: TokenSpec;
  alignment: string[];
  sorted: boolean;
  all: boolean;
  setAll: (all: boolean) => void;
  chosen: number | null;
  choose: (pos: number) => void;
};

function Products(props: ProductsProps) {
  const { scores, scale, tokens, alignment, sorted, all, setAll, chosen, choose } = props;
  const { q, k, pattern } = scores;
  const [d, n] = [q.length, pattern.length];
  const dark = useField("dark");
  const order = useMemo(() => {
    const keys = [...pattern.keys()];
    if (sorted) keys.sort((a, b) => (pattern[b] as number) - (pattern[a] as number));
    return all ? keys : keys.slice(0, SHOWN);
  }, [scores, sorted, all]);
  const dots = useMemo(() => {
    const found = new Float64Array(n);
    for (let pos = 0; pos < n; pos++)
      for (let i = 0; i < d; i++)
        found[pos] = (found[pos] as number) + (q[i] as number) * (k[pos * d + i] as number);
    return found;
  }, [scores]);
  const product = (pos: number, i: number) => (q[i] as number) * (k[pos * d + i] as number);
  const limits = useMemo(() => {
    const vectors = percentile([...q, ...k].map(Math.abs), 99.5);
    const products = percentile(
      order.slice(0, 200).flatMap((pos) => Array.from({ length: d }, (_, i) => Math.abs(product(pos, i)))),
      99.5,
    );
    return { vectors, products };
  }, [scores, order]);
  const strip = Math.max(1, Math.min(STRIP, WIDEST / d)) * d;
  const matrix = useCallback(
    (value: (pos: number, i: number) => number, limit: number) => (canvas: HTMLCanvasElement) => {
      const colour = divergingLookup(limit, dark);
      paint(canvas, d, order.length, (x, y) => colour(value(order[y] as number, x)));
    },
    [scores, order, dark],
  );
  const keys = useMemo(() => matrix((pos, i) => k[pos * d + i] as number, limits.vectors), [matrix, limits]);
  const products = useMemo(() => matrix(product, limits.products), [matrix, limits]);
  const query = useCallback(
    (canvas: HTMLCanvasElement) => {
      const colour = divergingLookup(limits.vectors, dark);
      paint(canvas, d, 1, (x) => colour(q[x] as number));
    },
    [scores, limits, dark],
  );
  const name = (pos: number) => tokenLabel(tokens, pos);
  const pick = chosen !== null && chosen < n ? chosen : (order[0] ?? 0);
  return (
    <>
      <div class="mv-products" style={{ "--row": `${ROW}px`, "--strip": `${strip}px` }}>
        <div class="mv-product-heads" aria-hidden="true">
          <span />
          <span>
            query q
            <Canvas paint={query} width={strip} height={ROW - 3} />
          </span>
          <span>q × k, by dimension</span>
          <span class="mv-number">q · k × {plain(scale, 3)}</span>
          <span class="mv-number" title="what position, mask and bias add to the score">
            + rest
          </span>
          <span class="mv-number">score</span>
          <span>softmax</span>
        </div>
        <div class="mv-product-rows">
          <Canvas paint={keys} class="mv-strip-k" width={strip} height={order.length * ROW} />
          <Canvas paint={products} class="mv-strip-product" width={strip} height={order.length * ROW} />
          <ol aria-label="keys">
            {order.map((pos) => {
              const scaled = (dots[pos] as number) * scale;
              const score = scores.scores[pos] as number;
              const masked = score < -1e30;
              return (
                <li key={pos}>
                  <button
                    type="button"
                    data-lm-suppress-shortcuts
                    data-pos={pos}
                    data-changed={alignment[pos] !== "equal" || undefined}
                    aria-pressed={pos === pick}
                    onClick={() => choose(pos)}
                  >
                    <span dir="auto">{name(pos)}</span>
                    <span />
                    <span />
                    <span class="mv-number">
                      <Heard words="q k" />
                      {signed(scaled)}
                    </span>
                    <span class="mv-number">
                      <Heard words="rest" />
                      {masked ? "" : signed(score - scaled)}
                    </span>
                    <span class="mv-number">
                      <Heard words="score" />
                      {masked ? "masked" : signed(score)}
                    </span>
                    <span class="mv-softmax">
                      <i style={{ width: `${100 * (pattern[pos] as number)}%` }} />
                      <Heard words="weight" />
                      <b>{weightText(pattern[pos] as number)}</b>
                    </span>
                  </button>
                </li>
              );
            })}
          </ol>
        </div>
        {n > SHOWN && (
          <button type="button" data-lm-suppress-shortcuts onClick={() => setAll(!all)}>
            {all ? `only the first ${SHOWN}` : `all ${n} keys`}
          </button>
        )}
      </div>
      <Dimensions {...{ q, k, pick, d, scale }} name={name(pick)} total={dots[pick] as number} />
      <p class="mv-muted mv-lines-note">
        Blue is positive, orange negative. The products of q and k sum to q · k; scaled, and with what
        position and mask add, that is the score; the softmax over all keys makes it a weight.
      </p>
    </>
  );
}

/** What a column is, for those who hear the numbers one after another. */
const Heard = ({ words }: { words: string }) => <span class="mv-heard">, {words} </span>;

type DimensionsProps = {
  q: Float32Array;
  k: Float32Array;
  pick: number;
  d: number;
  scale: number;
  name: string;
  total: number;
};

const HEIGHT = 74;

/** The products of one key by dimension, as bars from a zero line. */
function Dimensions({ q, k, pick, d, name, total, scale }: DimensionsProps) {
  const values = Array.from({ length: d }, (_, i) => (q[i] as number) * (k[pick * d + i] as number));
  const most = Math.max(1e-9, ...values.map(Math.abs));
  const bar = Math.max(2, Math.min(9, 620 / d));
  const largest = [...values.keys()].sort(
    (a, b) => Math.abs(values[b] as number) - Math.abs(values[a] as number),
  );
  return (
    <figure class="mv-dimensions">
      <figcaption>
        Products with the key <bdi>{name}</bdi>, by dimension: they sum to {signed(total)}, scaled{" "}
        {signed(total * scale)}. Largest:{" "}
        {largest
          .slice(0, 3)
          .map((i) => `dimension ${i} ${signed(values[i] as number)}`)
          .join(", ")}
        .
      </figcaption>
      <svg width={d * bar} height={HEIGHT} viewBox={`0 0 ${d * bar} ${HEIGHT}`} aria-hidden="true">
        {values.map((value, i) => {
          const size = (Math.abs(value) / most) * (HEIGHT / 2 - 2);
          return (
            <rect
              key={i}
              data-sign={Math.sign(value)}
              x={i * bar}
              width={bar - (bar > 3 ? 1 : 0)}
              y={value > 0 ? HEIGHT / 2 - size : HEIGHT / 2}
              height={Math.max(0.5, size)}
            >
              <title>{`dimension ${i}: ${signed(value, 3)}`}</title>
            </rect>
          );
        })}
        <line class="mv-axis" x1={0} x2={d * bar} y1={HEIGHT / 2} y2={HEIGHT / 2} />
      </svg>
    </figure>
  );
}
