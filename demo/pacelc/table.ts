/**
 * The table at the end: a column for each preset, a block for each phase, at most 100 columns wide. Pure; colours come
 * from `paint`, and a cell is padded before it is painted.
 */
import type { Calls, Figures, PresetFigures, Spread, StaleFigures } from './figures.js';
import { MEMBERS_OF, PRESETS } from './plan.js';
import type { Paint } from './timeline.js';

const LABEL_WIDTH = 30;
const CELL_WIDTH = 17;

interface Cell {
  readonly text: string;
  readonly tone?: keyof Paint;
}

interface Row {
  readonly label: string;
  readonly cell: (figures: PresetFigures) => Cell;
}

interface Block {
  readonly title: string;
  readonly rows: readonly Row[];
}

export function drawTable(figures: Figures, paint: Paint): string[] {
  const head = ''.padEnd(LABEL_WIDTH) + PRESETS.map((preset) => preset.padStart(CELL_WIDTH)).join('');
  const lines = [paint.bold(head)];
  for (const { title, rows } of blocksOf(figures)) {
    lines.push(paint.dim(`${title} `.padEnd(LABEL_WIDTH + PRESETS.length * CELL_WIDTH, '─')));
    for (const { label, cell } of rows) {
      const cells = PRESETS.map((preset) => {
        const { text, tone } = cell(figures.presets[preset]);
        const padded = text.padStart(CELL_WIDTH);
        return tone === undefined ? padded : paint[tone](padded);
      });
      lines.push(`  ${label}`.padEnd(LABEL_WIDTH) + cells.join(''));
    }
  }
  return lines;
}

function blocksOf({ lengthsMs, presets }: Figures): Block[] {
  const all = Object.values(presets);
  const sizes = { majority: MEMBERS_OF.majority.length, minority: MEMBERS_OF.minority.length };
  const during = seconds(lengthsMs.split);
  return [
    {
      title: `TOGETHER, ${seconds(lengthsMs.together)}`,
      rows: [
        ...callRows(({ together }) => together),
        ...staleRows('stale reads', all, ({ together }) => together.reads.stale),
      ],
    },
    {
      title: `SPLIT, ${during}: the side of ${sizes.majority}`,
      rows: [...callRows(({ split }) => split.majority), ...splitRows(all, ({ split }) => split.majority)],
    },
    {
      title: `SPLIT, ${during}: the side of ${sizes.minority}`,
      rows: [...callRows(({ split }) => split.minority), ...splitRows(all, ({ split }) => split.minority)],
    },
    { title: `HEALED, merged after ${seconds(lengthsMs.healing)}`, rows: ACCOUNT },
  ];
}

const ACCOUNT: readonly Row[] = [
  { label: 'merged from the other side', cell: ({ merged }) => (merged === 0 ? noted(0) : plain(merged)) },
  { label: 'discarded, in the report', cell: ({ discarded }) => noted(discarded.length) },
  { label: '  and of unknown outcome', cell: ({ discardedUnknown }) => noted(discardedUnknown.length) },
  { label: 'lost', cell: ({ lost }) => verdict(lost.length) },
  { label: 'stale reads after the merge', cell: ({ whole }) => noted(whole.reads.stale.count) },
  { label: 'reads beyond their bound', cell: (of) => verdict(of.beyondBound + of.hitsTooOld) },
];

function callRows(of: (figures: PresetFigures) => Calls): Row[] {
  return [
    { label: 'writes acknowledged', cell: (figures) => served(of(figures).writes.acknowledged) },
    {
      label: '       refused + unknown',
      cell: (figures) => {
        const { refused, unknown } = of(figures).writes;
        return failed(refused, unknown);
      },
    },
    { label: '       p50 · p99, ms', cell: (figures) => latency(of(figures).writes.latencyMs) },
    { label: 'reads  answered', cell: (figures) => served(of(figures).reads.answered) },
    { label: '       refused', cell: (figures) => noted(of(figures).reads.refused) },
    { label: '       p50 · p99, ms', cell: (figures) => latency(of(figures).reads.latencyMs) },
  ];
}

function splitRows(all: readonly PresetFigures[], of: (figures: PresetFigures) => Calls): Row[] {
  return [
    ...staleRows("stale, of this side's writes", all, (figures) => of(figures).reads.stale),
    ...staleRows("stale, of the other side's", all, (figures) => of(figures).reads.behindOther),
  ];
}

/** The truth, and below it what the answers told; no ages where no read was stale. */
function staleRows(
  label: string,
  all: readonly PresetFigures[],
  of: (figures: PresetFigures) => StaleFigures,
): Row[] {
  const counts: Row = { label, cell: (figures) => noted(of(figures).count) };
  if (all.every((figures) => of(figures).count === 0)) return [counts];
  return [
    counts,
    { label: '  true age, p50 · max', cell: (figures) => ages(of(figures).ageMs) },
    {
      label: '  bound told, p50 · max',
      cell: (figures) => {
        const { count: stale, boundMs } = of(figures);
        return stale > 0 && boundMs === null ? { text: 'none' } : ages(boundMs);
      },
    },
  ];
}

const count = (n: number) => n.toLocaleString('en-US');
const plain = (n: number): Cell => ({ text: count(n) });
const nothing = (): Cell => ({ text: '–', tone: 'dim' });
const noted = (n: number): Cell =>
  n === 0 ? { text: '0', tone: 'dim' } : { text: count(n), tone: 'yellow' };
const verdict = (n: number): Cell => ({ text: count(n), tone: n === 0 ? 'green' : 'red' });
const served = (n: number): Cell => (n === 0 ? { text: '0', tone: 'red' } : plain(n));

function failed(refused: number, unknown: number): Cell {
  if (refused + unknown === 0) return noted(0);
  return { text: unknown === 0 ? count(refused) : `${count(refused)} + ${count(unknown)}`, tone: 'yellow' };
}

function latency(spread: Spread | null): Cell {
  return spread === null ? nothing() : { text: `${millis(spread.p50)} · ${millis(spread.p99)}` };
}

function ages(spread: Spread | null): Cell {
  return spread === null ? nothing() : { text: `${duration(spread.p50)} · ${duration(spread.max)}` };
}

/** Two digits or more. */
export function millis(ms: number): string {
  if (ms >= 9.95) return count(Math.round(ms));
  return ms.toFixed(ms >= 0.995 ? 1 : 2);
}

/** Two of these fit into a cell. */
export function duration(ms: number): string {
  if (Math.round(ms) >= 1000) return seconds(ms);
  return `${ms >= 9.95 ? Math.round(ms) : ms.toFixed(1)} ms`;
}

export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
