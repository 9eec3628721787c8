/**
 * The picture of a run: for each preset and side a strip whose bars are acknowledged writes, with a dot where all were
 * refused. Counts while the run goes on and draws at any time; pure but for what it has counted.
 */
import { percentile } from './figures.js';
import { MEMBERS_OF, PRESETS, type PresetName, SIDES, type Side } from './plan.js';

const CELL_MS = 250;
const BARS = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const LABEL_WIDTH = 20;
/** Room for the number of writes behind a strip. */
const TOTAL_WIDTH = 16;
/** Bars of this part of all columns are not the highest ones: single bursts would make all others look low. */
const USUAL = 0.9;

export interface Paint {
  readonly bold: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly green: (text: string) => string;
  readonly yellow: (text: string) => string;
  readonly red: (text: string) => string;
}

export interface Mark {
  readonly atMs: number;
  readonly text: string;
}

interface Cell {
  acknowledged: number;
  /** Refused, or of unknown outcome. */
  failed: number;
}

export class Timeline {
  readonly #cells = new Map<string, Cell[]>();
  readonly #startMs: number;

  constructor(startMs: number) {
    this.#startMs = startMs;
  }

  count(preset: PresetName, side: Side, isAcknowledged: boolean, atMs: number): void {
    const index = Math.floor((atMs - this.#startMs) / CELL_MS);
    if (index < 0) return;
    const name = `${preset} ${side}`;
    const cells = this.#cells.get(name) ?? [];
    this.#cells.set(name, cells);
    while (cells.length <= index) cells.push({ acknowledged: 0, failed: 0 });
    const cell = cells[index] as Cell;
    if (isAcknowledged) cell.acknowledged++;
    else cell.failed++;
  }

  /** Writes that ended in the second before `nowMs`. */
  lastSecond(preset: PresetName, side: Side, nowMs: number): Cell {
    const end = Math.floor((nowMs - this.#startMs) / CELL_MS);
    const cells = this.#cells.get(`${preset} ${side}`) ?? [];
    return sumOf(cells.slice(Math.max(0, end - 1000 / CELL_MS), end));
  }

  /** Lines of at most `width` columns: what the marks stand for, then a strip for each preset and side. */
  draw(
    paint: Paint,
    { fromMs, toMs }: { readonly fromMs: number; readonly toMs: number },
    marks: readonly Mark[],
    width: number,
  ): string[] {
    const first = Math.max(0, Math.floor((fromMs - this.#startMs) / CELL_MS));
    const count = Math.max(1, Math.ceil((toMs - fromMs) / CELL_MS));
    const perColumn = Math.max(1, Math.ceil(count / Math.max(10, width - LABEL_WIDTH - TOTAL_WIDTH)));
    const columnOf = (ms: number) => Math.floor((ms - fromMs) / CELL_MS / perColumn);
    const columns = Math.ceil(count / perColumn);
    const strips = PRESETS.flatMap((preset) =>
      SIDES.map((side) => {
        const cells = (this.#cells.get(`${preset} ${side}`) ?? []).slice(first, first + count);
        return { preset, side, cells: grouped(cells, perColumn, columns), total: sumOf(cells) };
      }),
    );
    const most = usual(strips.flatMap(({ cells }) => cells.map(({ acknowledged }) => acknowledged)));
    const scale = `${((perColumn * CELL_MS) / 1000).toLocaleString('en-US')} s a column`;
    return [
      `${' '.repeat(LABEL_WIDTH)}${markLine(marks, columnOf, columns)}  ${paint.dim(scale)}`,
      ...strips.map(({ preset, side, cells, total }) => {
        const label = `${side === 'majority' ? paint.bold(preset) : '     '}  side of ${MEMBERS_OF[side].length}  `;
        const strip = cells.map((cell) => drawCell(cell, most, paint)).join('');
        return `  ${label}${strip}  ${paint.dim(`${total.acknowledged.toLocaleString('en-US')} writes`)}`;
      }),
    ];
  }
}

function drawCell({ acknowledged, failed }: Cell, most: number, paint: Paint): string {
  if (acknowledged === 0) return failed === 0 ? ' ' : paint.red('·');
  const bar = BARS[Math.min(BARS.length - 1, Math.floor((acknowledged / most) * BARS.length))] as string;
  return failed > acknowledged ? paint.yellow(bar) : paint.green(bar);
}

function usual(heights: readonly number[]): number {
  const sorted = heights.filter((height) => height > 0).sort((a, b) => a - b);
  return sorted.length === 0 ? 1 : percentile(sorted, USUAL);
}

function markLine(marks: readonly Mark[], columnOf: (ms: number) => number, columns: number): string {
  let line = '';
  for (const { atMs, text } of marks) {
    const at = columnOf(atMs);
    if (at < line.length) continue;
    line = `${line.padEnd(at)}│${text} `;
  }
  return line.padEnd(columns).slice(0, columns);
}

function grouped(cells: readonly Cell[], perColumn: number, columns: number): Cell[] {
  return Array.from({ length: columns }, (_, i) => sumOf(cells.slice(i * perColumn, (i + 1) * perColumn)));
}

function sumOf(cells: readonly Cell[]): Cell {
  return cells.reduce(
    (sum, { acknowledged, failed }) => ({
      acknowledged: sum.acknowledged + acknowledged,
      failed: sum.failed + failed,
    }),
    { acknowledged: 0, failed: 0 },
  );
}
