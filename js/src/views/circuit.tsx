/** A circuit as a graph: parts by layer from left to right, edges by what they carry. */
import { useMemo, useState } from "preact/hooks";
import { above, layout, type Node } from "../marks/graph";
import { linear, plain, signed } from "../marks/scale";
import type { CircuitSpec } from "../wire";
import { useField, useHeadEvents } from "./hooks";
import { WithTable } from "./table";

const R = 15;

export function CircuitPanel() {
  const spec = useField("spec");
  const circuit = spec.circuit as CircuitSpec;
  const weights = circuit.edges.map(({ weight }) => Math.abs(weight));
  const most = Math.max(circuit.threshold, ...weights);
  const [least, setLeast] = useState(circuit.threshold);
  const [hovered, setHovered] = useState<string | null>(null);
  const shown = useMemo(() => above(circuit, least), [circuit, least]);
  const { nodes, edges, width, height, columns } = useMemo(
    () => layout(shown.vertices, shown.edges),
    [shown],
  );
  const thickness = linear([0, most], [0.6, 7]);
  const share = (value: number | null, name: string) =>
    value === null ? null : `${name} ${plain(value, 3)}`;
  const figures = [
    share(circuit.faithfulness, "faithfulness"),
    share(circuit.completeness, "completeness"),
    share(circuit.minimality, "minimality"),
  ].filter(Boolean);
  return (
    <div class="mv-circuit" data-panel data-lm-suppress-shortcuts tabIndex={-1}>
      <div class="mv-controls">
        <label class="mv-check">
          edges of at least
          <input
            type="range"
            data-lm-suppress-shortcuts
            min={circuit.threshold}
            max={most}
            step={(most - circuit.threshold) / 100 || 0.01}
            value={least}
            aria-valuetext={`${plain(least, 3)} of the change`}
            onInput={(event) => setLeast(Number(event.currentTarget.value))}
          />
          <output>{plain(least, 3)}</output>
        </label>
        <span class="mv-muted">
          {shown.edges.length} of {circuit.edges.length} edges, {shown.vertices.length} of{" "}
          {circuit.vertices.length} parts
        </span>
      </div>
      <WithTable
        table={() => ({
          label: "edges of the circuit",
          columns: [
            { name: "from" },
            { name: "to" },
            { name: "carries", number: true, show: (value) => signed(value as number, 4) },
            { name: "by" },
          ],
          rows: shown.edges.map(({ from_id, to_id, weight, kind }) => [from_id, to_id, weight, kind]),
        })}
      >
        <div class="mv-circuit-scroll">
          <svg
            width={width}
            height={height}
            viewBox={`0 0 ${width} ${height}`}
            role="group"
            aria-label="the circuit's graph"
          >
            {columns.map(({ name, x }) => (
              <text key={name} class="mv-column-name" x={x} y={18} text-anchor="middle">
                {name}
              </text>
            ))}
            {edges.map(({ from, to, weight, kind, from_id, to_id }) => {
              const lit = hovered === null || hovered === from_id || hovered === to_id;
              const bend = Math.max(24, (to.x - from.x) / 2);
              return (
                <g
                  key={`${from_id}>${to_id}`}
                  class="mv-edge"
                  data-sign={Math.sign(weight)}
                  data-faint={!lit || undefined}
                >
                  <title>{`${from.label} → ${to.label}: ${signed(weight, 3)} of the change, by ${kind}`}</title>
                  <path
                    d={`M${from.x + R} ${from.y}C${from.x + bend} ${from.y} ${to.x - bend} ${to.y} ${to.x - R} ${to.y}`}
                    stroke-width={thickness(Math.abs(weight))}
                  />
                  {kind && kind !== "in" && hovered !== null && lit && (
                    <text x={(from.x + to.x) / 2} y={(from.y + to.y) / 2 - 5} text-anchor="middle">
                      {kind} {signed(weight)}
                    </text>
                  )}
                </g>
              );
            })}
            {nodes.map((node) => (
              <Part key={node.id} node={node} stack={circuit.stack} hover={setHovered} />
            ))}
          </svg>
        </div>
      </WithTable>
      <p class="mv-muted mv-lines-note">
        {figures.join(", ")}. The width of an edge is what it carries of the score change: blue towards it,
        orange against it.
        {spec.stacks.length > 0 && " A click on a head selects it in the other panels."}
      </p>
    </div>
  );
}

type PartProps = { node: Node; stack: string; hover: (id: string | null) => void };

function Part({ node, stack, hover }: PartProps) {
  const spec = useField("spec");
  const selection = useField("selection");
  const { open } = useHeadEvents();
  const linked = node.kind === "head" && spec.stacks.some(({ name }) => name === stack);
  const selected =
    linked && selection.stack === stack && selection.layer === node.layer && selection.head === node.index;
  const pick = () => linked && open({ stack, layer: node.layer, head: node.index });
  const drop = node.drop === null ? "" : `; without it ${signed(-node.drop, 3)} of the change`;
  const label = { embed: "text", score: "score", mlp: "MLP", head: `H${node.index}` }[node.kind];
  return (
    // biome-ignore lint/a11y/useAriaPropsSupportedByRole: pressed is set only where the role is button
    // biome-ignore lint/a11y/noStaticElementInteractions: the same; other parts only show their edges
    // biome-ignore lint/a11y/noNoninteractiveTabindex: only buttons have one
    <g
      class="mv-vertex"
      data-kind={node.kind}
      data-selected={selected || undefined}
      transform={`translate(${node.x} ${node.y})`}
      role={linked ? "button" : "img"}
      aria-label={`${label}: ${node.label}${drop}`}
      aria-pressed={linked ? selected : undefined}
      tabIndex={linked ? 0 : undefined}
      data-lm-suppress-shortcuts
      onClick={pick}
      onKeyDown={(event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        pick();
        event.preventDefault();
      }}
      onPointerEnter={() => hover(node.id)}
      onPointerLeave={() => hover(null)}
      onFocus={() => hover(node.id)}
      onBlur={() => hover(null)}
    >
      <title>{`${node.label}${drop}`}</title>
      {node.kind === "head" ? (
        <circle r={R} />
      ) : (
        <rect x={-R - 4} y={-R + 2} width={2 * R + 8} height={2 * R - 4} rx={4} />
      )}
      <text y={4} text-anchor="middle">
        {label}
      </text>
    </g>
  );
}
