/** Passages in groups, each piece with its number behind it. Arrow keys go from piece to piece and from passage to passage. */
import { type ComponentChildren, Fragment } from "preact";
import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { css, diverging, ink, sequential } from "../marks/colour";
import { isOurs } from "../marks/keys";
import { LONG, limitOf, partsOf, textOf } from "../marks/passages";
import { count, digitsFor, plain, signed } from "../marks/scale";
import { MARK, type Passage, type PassageGroup, type PassagesSpec, SPACE } from "../probe_wire";
import { keepFocus, useField, useHeld } from "./hooks";
import { Ramp } from "./ramp";
import { WithTable } from "./table";

/** Passages of a group that are drawn at first. */
const FIRST = 25;
/** From as many passages on there is a filter. */
const FILTERED_FROM = 8;

export function PassagesPanel() {
  const spec = useField("spec").passages as PassagesSpec;
  const groups = useHeld<PassageGroup[]>("passages");
  return groups && <Groups spec={spec} groups={groups} />;
}

/** `most`: the largest value of a passage; 0 where there are not two to compare. */
type Look = { limit: number; most: number; dark: boolean; signed: boolean; words: (value: number) => string };
type Bubble = { x: number; y: number; words: string } | null;

function Groups({ spec, groups }: { spec: PassagesSpec; groups: PassageGroup[] }) {
  const dark = useField("dark");
  const [asked, setAsked] = useState("");
  const look = useMemo((): Look => {
    const limit = limitOf(groups);
    const own = groups.flatMap(({ passages }) => passages.flatMap(({ value }) => value ?? []));
    const digits = digitsFor(limit);
    const words = (value: number) => (spec.signed ? signed(value, digits) : plain(value, digits));
    return {
      limit,
      most: own.length > 1 ? Math.max(...own.map(Math.abs)) : 0,
      dark,
      signed: spec.signed,
      words,
    };
  }, [groups, dark, spec.signed]);
  const all = groups.flatMap(({ passages }) => passages);
  const wanted = asked.trim().toLowerCase();
  const fits = (passage: Passage) => `${passage.label} ${textOf(passage)}`.toLowerCase().includes(wanted);
  const found = wanted ? all.filter(fits).length : all.length;
  const body = useMemo(
    () =>
      groups.map((group, number) => {
        const passages = wanted ? group.passages.filter(fits) : group.passages;
        return wanted && !passages.length ? null : (
          <Group key={number} group={{ ...group, passages }} look={look} />
        );
      }),
    [groups, look, wanted],
  );
  const numbered = all.some(({ values }) => values.some(Number.isFinite));
  const gaps = numbered && all.some(({ values }) => !values.every(Number.isFinite));
  return (
    <div class="mv-passages" data-panel data-lm-suppress-shortcuts tabIndex={-1}>
      <div class="mv-bar">
        {numbered && <Ramp limit={look.limit} signed={spec.signed} words={look.words} unit={spec.unit} />}
        {gaps && <span class="mv-muted">grey: no number</span>}
        {all.some(({ flags }) => flags.some((flag) => flag & MARK)) && (
          <span class="mv-muted">
            <b class="mv-piece" data-mark>
              outlined
            </b>{" "}
            what is meant
          </span>
        )}
        {all.length >= FILTERED_FROM && (
          <label class="mv-check mv-end">
            <input
              type="search"
              data-lm-suppress-shortcuts
              placeholder="Find in the passages"
              aria-label="Find in the passages"
              value={asked}
              onInput={(event) => setAsked(event.currentTarget.value)}
            />
            <span role="status">{wanted && `${count(found)} of ${count(all.length)}`}</span>
          </label>
        )}
      </div>
      <WithTable
        table={() => ({
          label: `passages, ${spec.unit}`,
          columns: [
            { name: "group" },
            { name: "passage" },
            { name: spec.unit, number: true },
            { name: "text" },
          ],
          rows: groups.flatMap(({ title, passages }) =>
            passages.map((passage) => [title, passage.label, passage.value, textOf(passage)]),
          ),
        })}
      >
        <Pieces>{body}</Pieces>
      </WithTable>
      {spec.note && <p class="mv-foot">{spec.note}</p>}
    </div>
  );
}

const pieceOf = (event: Event) => (event.target as Element).closest<HTMLElement>("[data-piece]");

/** The piece that is meant, or the first. */
const firstOf = (of?: HTMLElement) =>
  of?.querySelector<HTMLElement>("[data-piece][data-mark]") ??
  of?.querySelector<HTMLElement>("[data-piece]") ??
  undefined;

/** Keys and the pointer among all pieces; only the bubble is drawn anew. */
function Pieces({ children }: { children: ComponentChildren }) {
  const box = useRef<HTMLDivElement>(null);
  const [bubble, setBubble] = useState<Bubble>(null);
  const tell = (piece: HTMLElement | null) => {
    const around = box.current?.getBoundingClientRect();
    const words = piece?.dataset.words;
    if (!piece || !around || !words) return setBubble(null);
    const [first] = piece.getClientRects();
    const at = first ?? piece.getBoundingClientRect();
    const middle = at.left + at.width / 2 - around.left;
    setBubble({ x: Math.max(40, Math.min(around.width - 40, middle)), y: at.top - around.top, words });
  };
  useLayoutEffect(() => {
    const of = box.current;
    if (of && !of.querySelector("[data-piece][tabindex='0']")) firstOf(of)?.setAttribute("tabindex", "0");
  });
  const go = (from: HTMLElement, event: KeyboardEvent) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -1, ArrowDown: 1 }[event.key];
    const ends = { Home: 0, End: -1 }[event.key];
    if (!isOurs(event) || (step === undefined && ends === undefined)) return;
    const passage = from.closest("[role=listbox]") as HTMLElement;
    const own = [...passage.querySelectorAll<HTMLElement>("[data-piece]")];
    let to: HTMLElement | undefined;
    if (ends !== undefined) to = own.at(ends);
    else if (event.key === "ArrowLeft" || event.key === "ArrowRight")
      to = own[own.indexOf(from) + (step as number)];
    else {
      const boxes = [...(box.current?.querySelectorAll<HTMLElement>("[role=listbox]") ?? [])];
      const next = boxes[boxes.indexOf(passage) + (step as number)];
      to = firstOf(next);
    }
    event.preventDefault();
    event.stopPropagation();
    to?.focus();
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: it hears the keys of the pieces in it
    <div
      class="mv-passage-box"
      ref={box}
      onPointerOver={(event) => tell(pieceOf(event))}
      onPointerLeave={() => setBubble(null)}
      onFocusIn={(event) => {
        const piece = pieceOf(event);
        if (!piece) return;
        // One stop for Tab: the piece that had the focus last.
        for (const other of box.current?.querySelectorAll<HTMLElement>("[data-piece][tabindex='0']") ?? []) {
          other.tabIndex = -1;
        }
        piece.tabIndex = 0;
        tell(piece);
      }}
      onFocusOut={() => setBubble(null)}
      onKeyDown={(event) => {
        const piece = pieceOf(event);
        if (piece) go(piece, event);
      }}
    >
      {children}
      {bubble && (
        <span class="mv-bubble" aria-hidden="true" style={{ left: `${bubble.x}px`, top: `${bubble.y}px` }}>
          {bubble.words}
        </span>
      )}
    </div>
  );
}

function Group({ group, look }: { group: PassageGroup; look: Look }) {
  const { query } = useField("spec");
  const [all, setAll] = useState(false);
  const shown = all ? group.passages : group.passages.slice(0, FIRST);
  const left = group.passages.length - shown.length;
  const labelled = group.passages.some(({ label, value }) => label || value !== null);
  return (
    <section class="mv-passage-group" aria-label={group.title || "passages"}>
      {group.title && group.title !== query && (
        <h4>
          <bdi>{group.title}</bdi>
        </h4>
      )}
      {group.note && <p class="mv-muted">{group.note}</p>}
      <ul data-labelled={labelled || undefined}>
        {shown.map((passage, number) => (
          <Row key={number} passage={passage} look={look} />
        ))}
      </ul>
      {left > 0 && (
        <button
          type="button"
          class="mv-textlink"
          data-lm-suppress-shortcuts
          onClick={(event) => {
            keepFocus(event);
            setAll(true);
          }}
        >
          {count(left)} more
        </button>
      )}
    </section>
  );
}

function Row({ passage, look }: { passage: Passage; look: Look }) {
  const [whole, setWhole] = useState(false);
  const { label, value, pieces, flags, values } = passage;
  const parts = useMemo(() => (whole ? [[0, pieces.length] as const] : partsOf(passage)), [whole, passage]);
  const plainly = !values.some(Number.isFinite);
  const head = label || value !== null;
  const said = value === null ? "" : look.words(value);
  return (
    <li>
      {head && (
        <p class="mv-passage-label">
          <bdi>{label}</bdi>
          {value !== null && (
            <span class="mv-passage-value">
              {said}
              {look.most > 0 && (
                <i
                  data-minus={value < 0 || undefined}
                  style={{ width: `${(100 * Math.abs(value)) / look.most}%` }}
                />
              )}
            </span>
          )}
        </p>
      )}
      <p class="mv-passage-text" dir="auto">
        <span
          role="listbox"
          aria-label={[label, said].filter(Boolean).join(" ") || "passage"}
          aria-orientation="horizontal"
        >
          {parts.map(([from, to], part) => (
            <Fragment key={from}>
              {from > 0 && <Gap n={from - (parts[part - 1]?.[1] ?? 0)} />}
              {pieces.slice(from, to).map((piece, i) => {
                const at = from + i;
                return (
                  <Piece
                    key={at}
                    {...{ piece, look, plainly }}
                    value={values[at] as number}
                    flag={flags[at] as number}
                    begins={at === 0}
                  />
                );
              })}
            </Fragment>
          ))}
          {(parts.at(-1)?.[1] ?? 0) < pieces.length && <Gap n={pieces.length - (parts.at(-1)?.[1] ?? 0)} />}
        </span>
        {pieces.length > LONG && (
          <>
            {" "}
            <button
              type="button"
              class="mv-textlink"
              data-lm-suppress-shortcuts
              aria-expanded={whole}
              onClick={() => setWhole(!whole)}
            >
              {whole ? "less" : `show all ${count(pieces.length)}`}
            </button>
          </>
        )}
      </p>
    </li>
  );
}

const Gap = ({ n }: { n: number }) => <span class="mv-passage-gap"> … {count(n)} … </span>;

type PieceProps = {
  piece: string;
  value: number;
  flag: number;
  look: Look;
  begins: boolean;
  plainly: boolean;
};

function Piece({ piece, value, flag, look, begins, plainly }: PieceProps) {
  const known = Number.isFinite(value);
  const colour = !known
    ? null // NaN has no place on a ramp
    : look.signed
      ? diverging(value, look.limit, look.dark)
      : sequential(look.limit > 0 ? value / look.limit : 0, look.dark);
  const words = known ? look.words(value) : plainly ? "" : "no number";
  const style = colour ? { background: css(colour), color: ink(colour) } : undefined;
  return (
    <>
      {!begins && (flag & SPACE) > 0 && " "}
      <span
        class="mv-piece"
        role="option"
        aria-selected={(flag & MARK) > 0}
        aria-label={words ? `${piece}: ${words}` : piece}
        data-piece
        data-lm-suppress-shortcuts
        tabIndex={-1}
        data-mark={(flag & MARK) > 0 || undefined}
        data-words={words}
        data-none={(!known && !plainly) || undefined}
        style={style}
      >
        {piece}
      </span>
    </>
  );
}
