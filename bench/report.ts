/**
 * Medians over the rounds, and the table. A ratio is taken within a round, between measurements that lie seconds
 * apart, and only then the median: figures of different rounds are never divided by each other.
 */
import { type Cell, cellName, type Sample, SYSTEMS } from './cells.js';

export interface Row extends Cell {
  readonly system: string;
  readonly opsPerSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
  /** To ioredis with its default settings; null when Redis was not measured. */
  readonly ratioToRedis: number | null;
  /** To ioredis with autopipelining. */
  readonly ratioToAutoPipelining: number | null;
  /** The ratios to Redis of the single rounds, which show how far they lie apart. */
  readonly ratiosToRedis: readonly number[];
}

export function rowsOf(samples: readonly Sample[]): Row[] {
  const cells = new Map(samples.map(({ cell }) => [cellName(cell), cell]));
  return [...cells.values()].flatMap((cell) => {
    const here = samples.filter((sample) => cellName(sample.cell) === cellName(cell));
    return SYSTEMS.map(({ name }) => name)
      .filter((name) => here.some(({ system }) => system === name))
      .map((name) => rowOf(name, cell, here));
  });
}

function rowOf(system: string, cell: Cell, here: readonly Sample[]): Row {
  const own = here.filter((sample) => sample.system === system);
  const ratiosToRedis = ratios(own, here, 'redis');
  const toAuto = ratios(own, here, 'redis-auto');
  return {
    ...cell,
    system,
    opsPerSecond: median(own.map((sample) => sample.opsPerSecond)),
    p50Us: median(own.map((sample) => sample.p50Us)),
    p99Us: median(own.map((sample) => sample.p99Us)),
    ratioToRedis: ratiosToRedis.length === 0 ? null : median(ratiosToRedis),
    ratioToAutoPipelining: toAuto.length === 0 ? null : median(toAuto),
    ratiosToRedis,
  };
}

function ratios(own: readonly Sample[], here: readonly Sample[], base: string): number[] {
  return own.flatMap((sample) => {
    const other = here.find(({ system, round }) => system === base && round === sample.round);
    return other === undefined ? [] : [sample.opsPerSecond / other.opsPerSecond];
  });
}

export function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

const COLUMNS = ['in flight', 'system', 'op/s', 'p50 us', 'p99 us', 'x Redis', 'x autopipelining'];

/** The table as text, one block for each operation and size of values. */
export function tableOf(rows: readonly Row[]): string {
  const blocks = new Map<string, Row[]>();
  for (const row of rows) {
    const title = `${row.operation}, values of ${row.valueBytes} bytes`;
    blocks.set(title, [...(blocks.get(title) ?? []), row]);
  }
  return [...blocks].map(([title, block]) => `${title}\n${blockOf(block)}`).join('\n\n');
}

function blockOf(rows: readonly Row[]): string {
  const lines = [COLUMNS, ...rows.map(textsOf)];
  const widths = COLUMNS.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  return lines
    .map((line) => `  ${line.map((text, i) => pad(text, i, widths)).join('  ')}`.trimEnd())
    .join('\n');
}

function pad(text: string, column: number, widths: readonly number[]): string {
  const width = widths[column] ?? 0;
  return column === 1 ? text.padEnd(width) : text.padStart(width);
}

function textsOf(row: Row): string[] {
  return [
    String(row.inFlight),
    SYSTEMS.find(({ name }) => name === row.system)?.label ?? row.system,
    Math.round(row.opsPerSecond).toLocaleString('en-US'),
    Math.round(row.p50Us).toLocaleString('en-US'),
    Math.round(row.p99Us).toLocaleString('en-US'),
    ratioText(row.ratioToRedis),
    ratioText(row.ratioToAutoPipelining),
  ];
}

function ratioText(ratio: number | null): string {
  return ratio === null ? '-' : ratio.toFixed(2);
}
