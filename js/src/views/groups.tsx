/** The effect of the selected cell in each group of pairs, with its interval. */
import { shortName } from "../marks/cells";
import { count, digitsFor, linear, percent, signed } from "../marks/scale";
import type { Bucketed, Groups as GroupsOf, Spec } from "../wire";
import { useField, useHeld, useView } from "./hooks";
import { WithTable } from "./table";

const TITLES: Record<string, string> = { grade: "relevance grade", rank: "rank in the run" };
const HEIGHT = 24;
const LABEL = 74;
const WIDTH = 400;
const RIGHT = 128;
const FOOT = 16;

/** The selected cells, as indices into the grid and as names. */
function chosenCells(
  spec: Spec,
  selection: { layer: number; head: number; stack: string; heads: [string, number, number][] },
  cell: number,
) {
  const grid = spec.grids[0];
  const n_heads = spec.stacks[0]?.n_heads;
  if (n_heads !== undefined) {
    const own = { stack: selection.stack, layer: selection.layer, head: selection.head };
    const others = selection.heads.map(([stack, layer, head]) => ({ stack, layer, head }));
    const all = [own, ...others.filter(({ layer, head }) => layer !== own.layer || head !== own.head)];
    return all.slice(0, 4).map((at) => ({ at: at.layer * n_heads + at.head, name: shortName(spec, at) }));
  }
  return [{ at: cell, name: grid ? cellWords(grid.dims, grid.shape, grid.labels ?? [], cell) : "" }];
}

/** "attn_out, layer 3, query term" */
export function cellWords(dims: string[], shape: number[], labels: string[][], flat: number): string {
  let rest = flat;
  const words: string[] = [];
  for (let dim = dims.length - 1; dim >= 0; dim--) {
    const size = shape[dim] as number;
    const label = labels[dim]?.[rest % size] ?? String(rest % size);
    const numbered = dims[dim] === "layer" || dims[dim] === "head" || dims[dim] === "pos";
    words.unshift(numbered ? `${dims[dim]} ${label}` : label);
    rest = Math.floor(rest / size);
  }
  return words.join(", ");
}

export function Groups() {
  const spec = useField("spec");
  const selection = useField("selection");
  const cell = useField("cell");
  const cells = chosenCells(spec, selection, cell);
  const names = spec.study?.groups ?? [];
  return (
    <div class="mv-groups" data-panel data-lm-suppress-shortcuts tabIndex={-1}>
      {names.map((name) => (
        <Group key={name} name={name} cells={cells} />
      ))}
      <p class="mv-muted">
        {percent(spec.study?.confidence ?? 0.95)} intervals; select a cell of the grid to see its groups
        {spec.stacks.length > 0 && ", Shift+click to compare"}.
      </p>
    </div>
  );
}

type Chosen = { at: number; name: string };

function Group({ name, cells }: { name: string; cells: Chosen[] }) {
  const spec = useField("spec");
  const groups = useHeld<GroupsOf>(`groups.${name}`);
  if (!groups) return null;
  const size = groups.effect.length / Math.max(1, groups.values.length);
  const title = TITLES[name] ?? name;
  const rows = cells.flatMap(({ at, name: cell }) =>
    groups.values.map((value, i) => {
      const [effect, low, high] = [groups.effect, groups.low, groups.high].map(
        (of) => of[i * size + at] ?? Number.NaN,
      );
      return { cell, value, effect, low, high, n: groups.n[i] ?? 0 } as Row;
    }),
  );
  return (
    <div class="mv-group">
      <WithTable
        table={() => ({
          label: `effects by ${title}`,
          columns: [
            { name: "cell" },
            { name: title },
            ...["effect", "low", "high"].map((column) => ({ name: column, number: true, show: shown })),
            { name: "pairs", number: true },
          ],
          rows: rows.map(({ cell, value, effect, low, high, n }) => [cell, value, effect, low, high, n]),
        })}
      >
        <h4>
          {cells.map((cell) => cell.name).join(", ")} <span class="mv-muted">by {title}</span>
        </h4>
        <Intervals {...{ rows, cells, name, title }} metric={spec.grids[0]?.metric ?? "effect"} />
      </WithTable>
    </div>
  );
}

const shown = (value: unknown) => signed(value as number, 3);

type Row = { cell: string; value: string; effect: number; low: number; high: number; n: number };
type IntervalsProps = { rows: Row[]; cells: Chosen[]; name: string; title: string; metric: string };

function Intervals({ rows, cells, name, title, metric }: IntervalsProps) {
  const { store } = useView();
  const filter = useField("filter");
  const all = rows.flatMap(({ effect, low, high }) => [effect, low, high]).filter(Number.isFinite);
  const x = linear([Math.min(0, ...all), Math.max(0, ...all, 1e-9)], [LABEL + 8, WIDTH - RIGHT - 8]);
  const digits = digitsFor(Math.max(0, ...all.map(Math.abs)));
  const per_group = rows.length / cells.length;
  const groups = rows.slice(0, per_group);
  const row_height = cells.length === 1 ? HEIGHT : HEIGHT + (cells.length - 1) * 13;
  const choose = (value: string) => {
    if (name !== "grade" && name !== "rank") return;
    const of: Bucketed = name;
    const same = filter.bucket?.of === of && filter.bucket.value === value;
    store.set("filter", { ...filter, bucket: same ? null : { of, value } });
  };
  return (
    <div class="mv-intervals" style={{ width: `${WIDTH}px` }}>
      <svg
        width={WIDTH}
        height={groups.length * row_height + FOOT}
        viewBox={`0 0 ${WIDTH} ${groups.length * row_height + FOOT}`}
        role="img"
        aria-label={words(rows, title, metric)}
      >
        <line class="mv-zero" x1={x(0)} x2={x(0)} y1={0} y2={groups.length * row_height} />
        <text class="mv-n" x={x(0)} y={groups.length * row_height + 12} text-anchor="middle">
          0
        </text>
        {cells.map((cell, c) =>
          groups.map((_, i) => {
            const { effect, low, high, n, value } = rows[c * per_group + i] as Row;
            const y = i * row_height + 12 + c * 13;
            return (
              <g key={`${cell.name} ${value}`} data-cell={c}>
                <title>{`${cell.name}, ${title} ${value}: ${signed(effect, 3)} (${signed(low, 3)} to ${signed(high, 3)}), ${count(n)} pairs`}</title>
                {Number.isFinite(low) && Number.isFinite(high) && (
                  <line class="mv-whisker" x1={x(low)} x2={x(high)} y1={y} y2={y} />
                )}
                {Number.isFinite(effect) && (
                  <circle data-sign={Math.sign(effect)} cx={x(effect)} cy={y} r={c ? 3.5 : 4.5} />
                )}
                <text x={WIDTH - RIGHT} y={y + 4}>
                  {cells.length > 1 && `${cell.name} `}
                  {Number.isFinite(effect) ? signed(effect, digits) : "not defined"}
                </text>
                {c === 0 && (
                  <text class="mv-n" x={WIDTH} y={y + 4} text-anchor="end">
                    n = {count(n)}
                  </text>
                )}
              </g>
            );
          }),
        )}
      </svg>
      {groups.map(({ value }, i) => (
        <button
          key={value}
          type="button"
          class="mv-group-name"
          data-lm-suppress-shortcuts
          aria-pressed={filter.bucket?.of === name && filter.bucket.value === value}
          title="list the pairs of this group"
          style={{ top: `${i * row_height}px`, width: `${LABEL}px` }}
          onClick={() => choose(value)}
        >
          {value}
        </button>
      ))}
    </div>
  );
}

const words = (rows: Row[], title: string, metric: string) =>
  `${metric} by ${title}: ${rows
    .slice(0, 12)
    .map(({ cell, value, effect }) => `${cell} ${value} ${signed(effect, 2)}`)
    .join("; ")}`;
