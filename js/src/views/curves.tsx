/** Named curves with their intervals. Pointer and arrow keys move along x; the line below reads all curves there. */
import type { TargetedEvent } from "preact";
import { useMemo, useState } from "preact/hooks";
import { extent, markOf, runsOf, spread, ticksOf, written } from "../marks/curves";
import { movePlace } from "../marks/keys";
import { linear } from "../marks/scale";
import type { CurvesSpec, CurveValues } from "../wire";
import { useField, useHeld } from "./hooks";
import { WithTable } from "./table";

const HEIGHT = 300;
const TOP = 24;
const WIDEST = 900;
const GAP = 15;
/** Points closer than this get no mark, but for those that no line reaches. */
const MARK_ROOM = 7;
/** About how wide a letter is on the axes, and in a name. */
const [LETTER, NAME_LETTER] = [6.6, 6.8];
const LONGEST = 28;
/** What a name that is turned needs on its axis. */
const TURNED = 17;
const NONE = "–";

const short = (name: string) => (name.length > LONGEST ? `${name.slice(0, LONGEST - 1)}…` : name);
const longest = (names: string[], letter: number) =>
  letter * Math.max(0, ...names.map((name) => short(name).length));

export function CurvesPanel() {
  const spec = useField("spec").curves as CurvesSpec;
  const values = useHeld<CurveValues>("curves");
  return values && <Chart spec={spec} values={values} />;
}

/** All that stands still while somebody reads. */
function layout(spec: CurvesSpec, values: CurveValues, width: number) {
  const { names, places, reference } = spec;
  const n = places.length;
  const named = typeof places[0] === "string";
  const [low, high] = extent(spec, values);
  const [rows, step] = ticksOf(low, high, 6);
  const all = [...names, ...reference.map(([name]) => name)];
  const room = longest(all, NAME_LETTER) + 30;
  const labelled = room < 0.36 * width && all.length * GAP < HEIGHT;
  const words = rows.map((row) => written(row, step));
  const right = width - (labelled ? room : 8);
  let left = 10 + longest(words, LETTER);
  const slot = (right - left) / n;
  const widest = named ? longest(places as string[], LETTER) : 0;
  const turned = widest > slot - 6;
  if (turned) left = Math.max(left, 0.71 * widest + 8 - slot / 2);
  const y = linear([low, high], [TOP + HEIGHT, TOP]);
  const numbers = places.map((place, number) => (named ? number : Number(place)));
  const [first, last] = [numbers[0], numbers[n - 1]] as [number, number];
  const x = named ? linear([-0.5, n - 0.5], [left, right]) : linear([first, last], [left + 10, right - 10]);
  const [columns, x_step] =
    named || n === 1
      ? [numbers.filter((at) => !turned || at % Math.ceil((TURNED * n) / (right - left)) === 0), 1]
      : ticksOf(first, last, Math.max(2, Math.min(10, (right - left) / 70)), numbers.every(Number.isInteger));
  const label = (column: number) =>
    named || n === 1 ? short(String(places[named ? column : 0])) : written(column, x_step);

  const lines = names.map((_, curve) => {
    const { value, points } = values;
    const put = (of: Float32Array) => (place: number) =>
      [x(numbers[place] as number), y(of[curve * n + place] as number)] as const;
    const runs = runsOf(points, [value], curve, n).map((run) => run.map(put(value)));
    const dense = (right - left) / runs.flat().length < MARK_ROOM;
    const marked = runs.filter((run) => !dense || run.length === 1).flat();
    const bands = runsOf(points, [values.low, values.high], curve, n).map((run) => [
      ...run.map(put(values.high)),
      ...run.map(put(values.low)).reverse(),
    ]);
    return {
      line: pathOf(runs),
      marks: marked.map(([a, b]) => `M${a} ${b}${markOf(curve)}`).join(""),
      band: pathOf(bands),
      end: runs.at(-1)?.at(-1),
    };
  });
  const ends = [...lines.map(({ end }) => end), ...reference.map(([, value]) => [right, y(value)] as const)];
  const wanted = ends.map((end) => end?.[1] ?? TOP + HEIGHT);
  const labels = spread(wanted, GAP, TOP, TOP + HEIGHT).map((at, number) => {
    const end = ends[number];
    return {
      at,
      name: all[number] as string,
      lead:
        end &&
        pathOf([
          [
            [end[0] + 5, end[1]],
            [right + 2, end[1]],
            [right + 16, at],
          ],
        ]),
    };
  });
  const foot = TOP + HEIGHT + (turned ? 0.71 * widest + 8 : 14) + 20;
  return {
    named,
    numbers,
    x,
    y,
    left,
    right,
    rows,
    step,
    columns,
    turned,
    foot,
    lines,
    labels: labelled ? labels : [],
    label,
  };
}

const pathOf = (runs: (readonly [number, number])[][]) =>
  runs.map((run) => `M${run.map((point) => point.join(" ")).join("L")}`).join("");

function Chart({ spec, values }: { spec: CurvesSpec; values: CurveValues }) {
  const width = Math.min(WIDEST, useField("width"));
  const { names, places, reference, note } = spec;
  const n = places.length;
  const [at, setAt] = useState(n - 1);
  const drawn = useMemo(() => layout(spec, values, width), [spec, values, width]);
  const { named, numbers, x, y, left, right, rows, step, columns, turned, foot, lines, labels, label } =
    drawn;
  const bottom = TOP + HEIGHT;
  const show = (value: unknown) => (Number.isFinite(value) ? written(value as number, step / 100) : NONE);
  const here = named ? places[at] : `${spec.x} ${String(places[at]).replaceAll("-", "\u2212")}`;
  const said = (curve: number) => {
    const [value, from, to] = [values.value, values.low, values.high].map((of) => show(of[curve * n + at]));
    return from === NONE ? value : `${value} (${from} to ${to})`;
  };
  const read = [
    ...names.map((name, curve) => [name, said(curve)]),
    ...reference.map(([name, value]) => [name, show(value)]),
  ];
  const readAt = ({ clientX, currentTarget }: TargetedEvent<HTMLElement, PointerEvent>) => {
    const from = clientX - currentTarget.getBoundingClientRect().left;
    const away = numbers.map((number) => Math.abs(x(number) - from));
    setAt(away.indexOf(Math.min(...away)));
  };
  return (
    <div class="mv-curves" data-panel data-lm-suppress-shortcuts tabIndex={-1}>
      <WithTable
        table={() => ({
          label: `${spec.y} by ${spec.x}`,
          columns: [
            { name: "curve" },
            { name: spec.x, number: !named },
            ...["value", "low", "high"].map((name) => ({ name, number: true, show })),
          ],
          rows: names.flatMap((name, curve) =>
            places.flatMap((place, number) => {
              const cell = curve * n + number;
              const known = (of: Float32Array) => (Number.isFinite(of[cell]) ? (of[cell] as number) : null);
              const { points, value, low, high } = values;
              return points[cell] ? [[name, place, known(value), known(low), known(high)]] : [];
            }),
          ),
        })}
      >
        <div
          role="slider"
          tabIndex={0}
          data-lm-suppress-shortcuts
          aria-label={`${spec.y} by ${spec.x}, ${names.length} curves`}
          aria-valuemin={0}
          aria-valuemax={n - 1}
          aria-valuenow={at}
          aria-valuetext={[here, ...read.map((words) => words.join(" "))].join("; ")}
          onKeyDown={(event) => {
            const next = movePlace(event, { row: 0, column: at }, [1, n]);
            if (!next) return;
            setAt(next.column);
            event.preventDefault();
            event.stopPropagation();
          }}
          onPointerMove={readAt}
          onPointerDown={readAt}
        >
          <svg width={width} height={foot + 6} aria-hidden="true">
            <text y={11}>{spec.y}</text>
            <path class="mv-axis" d={rows.map((row) => `M${left} ${y(row)}H${right}`).join("")} />
            {rows.map((row) => (
              <text key={row} x={left - 6} y={y(row) + 4} text-anchor="end">
                {written(row, step)}
              </text>
            ))}
            <path
              class="mv-cursor"
              d={`M${left} ${bottom}H${right}M${x(numbers[at] as number)} ${TOP}V${bottom}${columns.map((column) => `M${x(column)} ${bottom}v4`).join("")}`}
            />
            {columns.map((column) => (
              <text
                key={column}
                transform={`translate(${x(column) + (turned ? 3 : 0)} ${bottom + (turned ? 13 : 17)})${turned ? "rotate(-45)" : ""}`}
                text-anchor={turned ? "end" : "middle"}
              >
                {label(column)}
              </text>
            ))}
            <text x={(left + right) / 2} y={foot} text-anchor="middle">
              {spec.x}
            </text>
            <path
              class="mv-reference"
              d={reference.map(([, value]) => `M${left} ${y(value)}H${right}`).join("")}
            />
            {lines.map(({ band }, curve) => (
              <g key={curve} data-series={curve}>
                <path class="mv-band" d={band} />
              </g>
            ))}
            {lines.map(({ line, marks }, curve) => (
              <g key={curve} data-series={curve}>
                <path d={line} />
                <path class="mv-mark" d={marks} />
              </g>
            ))}
            {labels.map(({ at, name, lead }, number) => {
              const own = number < names.length;
              return (
                <g key={number} data-series={own ? number : undefined}>
                  <path class="mv-lead" d={lead} />
                  {own && <path class="mv-mark" d={`M${right + 20} ${at}${markOf(number)}`} />}
                  <text class={own ? "mv-curve-name" : undefined} x={right + (own ? 28 : 19)} y={at + 4}>
                    {short(name)}
                  </text>
                </g>
              );
            })}
          </svg>
        </div>
        <p class="mv-curves-values">
          <strong>{here}</strong>
          {read.map(([name, words], number) => (
            <span key={number} data-series={number < names.length ? number : undefined}>
              <svg width="14" height="10" aria-hidden="true">
                {number < names.length ? (
                  <path class="mv-mark" d={`M7 5${markOf(number)}`} />
                ) : (
                  <path class="mv-reference" d="M0 5h14" />
                )}
              </svg>{" "}
              <bdi>{name}</bdi> {words}
            </span>
          ))}
        </p>
        {note && <p class="mv-muted">{note}</p>}
      </WithTable>
    </div>
  );
}
