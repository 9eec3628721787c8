/**
 * How commands print: aligned tables and short texts for people, one JSON document for programs (`--json`).
 */
import { inspect } from 'node:util';

export type Cell = string | number | null | undefined;

/** Columns are as wide as their widest cell; those that hold only numbers are aligned to the right. */
export function table(headings: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const texts = rows.map((row) => headings.map((_, column) => cellText(row[column])));
  const widths = headings.map((heading, column) =>
    Math.max(heading.length, ...texts.map((row) => row[column]!.length)),
  );
  const numeric = headings.map(
    (_, column) => rows.length > 0 && rows.every((row) => row[column] == null || isNumeric(row[column])),
  );
  const line = (row: readonly string[]) =>
    row
      .map((text, column) =>
        numeric[column] ? text.padStart(widths[column]!) : text.padEnd(widths[column]!),
      )
      .join('  ')
      .trimEnd();
  return [line(headings), ...texts.map(line)].join('\n');
}

function cellText(cell: Cell): string {
  return cell === null || cell === undefined ? '-' : String(cell);
}

function isNumeric(cell: Cell): boolean {
  return typeof cell === 'number' || /^[0-9.]+( [KMGT]?i?B)?$/.test(String(cell));
}

/** `1.5 MiB`; null where it is not known. */
export function bytesText(sizeBytes: number | null): string | null {
  if (sizeBytes === null) return null;
  let size = sizeBytes;
  for (const unit of ['B', 'KiB', 'MiB', 'GiB']) {
    if (size < 1024) return unit === 'B' ? `${size} B` : `${size.toFixed(1)} ${unit}`;
    size /= 1024;
  }
  return `${size.toFixed(1)} TiB`;
}

/** One JSON document; what JSON does not have is written in the nearest form that it has: bigints as texts. */
export function jsonText(value: unknown): string {
  return JSON.stringify(value ?? null, jsonForm, 2);
}

function jsonForm(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'number' && !Number.isFinite(value)) return String(value);
  if (value instanceof Map) return [...value];
  if (value instanceof Set) return [...value];
  // A Buffer has already become { type, data } here; other views would become objects with a key for each index.
  if (ArrayBuffer.isView(value)) return [...(value as Uint8Array)];
  return value;
}

/** A value of a map on one line: JSON where JSON has it, else as Node prints it. */
export function valueText(value: unknown): string {
  if (typeof value === 'bigint') return value.toString();
  return isJson(value, 0)
    ? JSON.stringify(value)
    : inspect(value, { depth: 20, breakLength: Number.POSITIVE_INFINITY, maxArrayLength: 1_000 });
}

function isJson(value: unknown, depth: number): boolean {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return true;
  if (typeof value === 'number') return Number.isFinite(value);
  if (typeof value !== 'object' || depth > 100) return false;
  if (Array.isArray(value)) return value.every((item) => isJson(item, depth + 1));
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return false;
  return Object.values(value).every((item) => isJson(item, depth + 1));
}

/** The flags of a command that is printed to be typed, with which it finds a cluster. */
export function flagsTo(address: string, clusterName: string): string {
  return `--members ${address}${clusterName === 'dev' ? '' : ` --cluster ${shellText(clusterName)}`}`;
}

/** A word of a command that is printed to be typed. */
export function shellText(text: string): string {
  return /^[\w.-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
