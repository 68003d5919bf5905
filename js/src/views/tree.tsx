/** What a score is made of, from the score down: rows that open, each with its value as a bar. */
import { useMemo, useRef, useState } from "preact/hooks";
import { isOurs } from "../marks/keys";
import { count, digitsFor, plain, signed } from "../marks/scale";
import { childrenOf, errorOf, pathOf, type Row, rowsOf } from "../marks/tree";
import type { NodeKind, TreeNode, TreeSpec } from "../probe_wire";
import { useField, useView } from "./hooks";
import { Retry } from "./retry";
import { SignedBar } from "./signed_bar";
import { WithTable } from "./table";

/** Open nodes below the root begin open in a tree of at most this many. */
const SMALL = 40;
const THRESHOLDS = [0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2];
const NAMES: Record<NodeKind, string> = {
  score: "",
  head: "head",
  mlp: "MLP",
  embed: "embedding",
  bias: "bias",
  token: "token",
  input: "input",
  rest: "rest",
};

const expandKey = (id: number) => `expand.${id}`;

export function TreePanel() {
  const { ask } = useView();
  const spec = useField("spec").tree as TreeSpec;
  const { live } = useField("progress");
  const loads = useField("loads");
  const { nodes } = spec;
  const below = useMemo(() => childrenOf(nodes), [nodes]);
  const by_id = useMemo(() => new Map(nodes.map((node) => [node.id, node])), [nodes]);
  const [expanded, setExpanded] = useState<ReadonlySet<number>>(() => {
    const open = nodes.filter(({ parent, state }) => parent < 1 && state === "open");
    return new Set(nodes.length <= SMALL ? open.map(({ id }) => id) : [0]);
  });
  const [unfolded, setUnfolded] = useState<ReadonlySet<number>>(new Set());
  const [level, setLevel] = useState(2);
  const [at, setAt] = useState("0");
  const list = useRef<HTMLDivElement>(null);
  const least = THRESHOLDS[level] as number;
  const rows = useMemo(
    () => rowsOf(nodes, below, { expanded, least, unfolded }),
    [nodes, below, expanded, least, unfolded],
  );
  const here = rows.some(({ key }) => key === at) ? at : "0";
  const opens = spec.opens && live;

  const numbers = rows.map((row) => (row.kind === "node" ? (row.node.value ?? 0) : row.value));
  const [low, high] = [Math.min(0, ...numbers), Math.max(0, ...numbers)];
  const span = high - low || 1;
  const digits = digitsFor(Math.abs(nodes[0]?.value ?? 1));
  const scale = { zero: (100 * -low) / span, span, digits };

  const focus = (key: string) => {
    setAt(key);
    queueMicrotask(() => list.current?.querySelector<HTMLElement>(`[data-key="${key}"]`)?.focus());
  };
  const open = (node: TreeNode) => {
    if (node.state === "leaf") return;
    setExpanded(new Set([...expanded, node.id]));
    if (node.state === "closed" && opens) {
      const failed = loads.get(expandKey(node.id))?.status === "failed";
      ask(expandKey(node.id), { type: "expand", node: node.id }, failed);
    }
  };
  const close = (node: TreeNode) => setExpanded(new Set([...expanded].filter((id) => id !== node.id)));
  const unfold = (of: number) => {
    setUnfolded(new Set([...unfolded, of]));
    const first = below.get(of)?.[0];
    if (first) focus(String(first.id));
  };
  const act = (row: Row) => {
    if (row.kind === "fold") unfold(row.of);
    else if (row.kind === "node") (expanded.has(row.node.id) ? close : open)(row.node);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const number = rows.findIndex(({ key }) => key === here);
    const row = rows[number];
    if (!row || !isOurs(event)) return;
    const to = (next?: Row) => next && focus(next.key);
    switch (event.key) {
      case "ArrowDown":
        to(rows[number + 1]);
        break;
      case "ArrowUp":
        to(rows[number - 1]);
        break;
      case "Home":
        to(rows[0]);
        break;
      case "End":
        to(rows.at(-1));
        break;
      case "ArrowRight":
        if (row.kind === "node" && row.expanded) to(rows[number + 1]);
        else act(row);
        break;
      case "ArrowLeft":
        if (row.kind === "node" && expanded.has(row.node.id) && row.node.state !== "leaf") close(row.node);
        else
          to(
            rows
              .slice(0, number)
              .reverse()
              .find((above) => above.level < row.level),
          );
        break;
      case "Enter":
      case " ":
        act(row);
        break;
      default:
        return;
    }
    event.preventDefault();
    event.stopPropagation();
  };
  const errors = nodes.filter(({ state }) => state === "open").map((node) => Math.abs(errorOf(node, below)));
  const closed = nodes.filter(({ state }) => state === "closed").length;
  return (
    <div class="mv-tree" data-panel data-lm-suppress-shortcuts tabIndex={-1}>
      <div class="mv-bar">
        <label class="mv-check">
          fold shares below
          <input
            type="range"
            data-lm-suppress-shortcuts
            min={0}
            max={THRESHOLDS.length - 1}
            value={level}
            aria-valuetext={`${least * 100}% of what siblings amount to`}
            onInput={(event) => setLevel(Number(event.currentTarget.value))}
          />
          <output>{least ? `${least * 100}%` : "none"}</output>
        </label>
        {(unfolded.size > 0 || expanded.size > 1) && (
          <button
            type="button"
            data-lm-suppress-shortcuts
            onClick={() => {
              setExpanded(new Set([0]));
              setUnfolded(new Set());
              focus("0");
            }}
          >
            Close all
          </button>
        )}
      </div>
      <WithTable
        table={() => ({
          label: spec.title,
          columns: [
            { name: "node" },
            { name: "kind" },
            { name: "by" },
            {
              name: "value",
              number: true,
              show: (value) => (value === null ? "–" : signed(value as number, digits)),
            },
          ],
          rows: nodes.map((node) => [
            pathOf(node, by_id) || node.label,
            NAMES[node.kind],
            node.via,
            node.value,
          ]),
        })}
      >
        <div class="mv-tree-head" aria-hidden="true">
          <span />
          <span />
          <span>value</span>
          <span>of parent</span>
        </div>
        <div role="tree" aria-label={spec.title} ref={list} onKeyDown={onKeyDown}>
          {rows.map((row) => (
            <TreeRow
              key={row.key}
              {...{ row, scale, opens }}
              asked={row.kind === "node" && expanded.has(row.node.id) && row.node.state === "closed"}
              current={row.key === here}
              act={() => {
                setAt(row.key);
                act(row);
              }}
              again={() =>
                row.kind === "node" &&
                ask(expandKey(row.node.id), { type: "expand", node: row.node.id }, true)
              }
            />
          ))}
        </div>
      </WithTable>
      <p class="mv-foot">
        {spec.note && `${spec.note} `}
        {errors.length > 0 && `Children sum to their parents to within ${within(Math.max(...errors))}. `}
        {closed > 0 &&
          !opens &&
          `${count(closed)} ${closed === 1 ? "node opens" : "nodes open"} only where a kernel runs.`}
      </p>
    </div>
  );
}

const within = (error: number) =>
  error >= 0.001 ? plain(error, digitsFor(error)) : error.toExponential(0).replace("-", "\u2212");

type RowProps = {
  row: Row;
  scale: { zero: number; span: number; digits: number };
  /** Can a kernel open closed nodes? */
  opens: boolean;
  /** Was it to be opened, and is not yet? */
  asked: boolean;
  current: boolean;
  act: () => void;
  again: () => void;
};

function TreeRow({ row, scale, opens, asked, current, act, again }: RowProps) {
  const loads = useField("loads");
  const value = row.kind === "node" ? (row.node.value ?? Number.NaN) : row.value;
  const words = signed(value, scale.digits);
  const node = row.kind === "node" ? row.node : null;
  const load = node && asked ? loads.get(expandKey(node.id)) : undefined;
  const opening = node !== null && node.state !== "leaf";
  const width = (100 * Math.abs(value)) / scale.span;
  const share =
    row.kind === "node" && row.share !== null
      ? `${signed(100 * row.share, Math.abs(row.share) < 0.1 ? 1 : 0)}%`
      : "";
  const name = row.kind === "fold" ? `${count(row.n)} more` : "not in any part";
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the tree around it hears the keys
    <div
      role="treeitem"
      class="mv-tree-row"
      data-key={row.key}
      data-kind={node?.kind ?? row.kind}
      data-lm-suppress-shortcuts
      tabIndex={current ? 0 : -1}
      aria-level={row.level}
      aria-setsize={row.kind === "node" ? row.size : undefined}
      aria-posinset={row.kind === "node" ? row.place : undefined}
      aria-expanded={opening ? row.kind === "node" && row.expanded : undefined}
      aria-selected={current}
      onClick={(event) => {
        event.currentTarget.focus();
        act();
      }}
    >
      <span class="mv-tree-name" style={{ "--level": row.level - 1 }}>
        <span
          class="mv-twisty"
          aria-hidden="true"
          data-open={(row.kind === "node" && row.expanded) || undefined}
        >
          {opening ? (node.state === "closed" && !opens ? "▹" : "▸") : row.kind === "fold" ? "⋯" : ""}
        </span>
        {node ? <Name node={node} /> : <span class="mv-muted">{name}</span>}
      </span>
      <SignedBar value={value} zero={scale.zero} width={width} faint={row.kind !== "node"} />
      <span class="mv-tree-number">{words}</span>
      <span class="mv-tree-number mv-muted">
        {share}
        {share && <span class="mv-heard"> of its parent</span>}
      </span>
      {asked && (
        <span class="mv-tree-state" role="status">
          {!opens ? (
            "Opening this needs a running kernel; a saved page holds what was open."
          ) : load?.status === "failed" ? (
            <>
              {load.message} <Retry again={again} />
            </>
          ) : load?.status === "late" ? (
            "still computing…"
          ) : (
            "computing…"
          )}
        </span>
      )}
    </div>
  );
}

const VIA: Record<string, string> = { q: "by its query", k: "by its key", v: "by its values" };

/** What kind of node it is, where its label does not say so. */
const kindOf = ({ kind, label }: TreeNode) => {
  const name = NAMES[kind];
  return label.toLowerCase().startsWith(name.toLowerCase()) ? "" : name;
};

function Name({ node }: { node: TreeNode }) {
  return (
    <>
      {kindOf(node) && <span class="mv-tree-kind">{kindOf(node)}</span>}
      <bdi>{node.label.trim() || "␣"}</bdi>
      {node.kind === "token" && node.pos >= 0 && <span class="mv-muted">{node.pos}</span>}
      {node.via && node.kind !== "input" && <span class="mv-muted">{VIA[node.via] ?? node.via}</span>}
    </>
  );
}
