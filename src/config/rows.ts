/**
 * Structure options between configuration and view: rows to bring along to a cluster, and the options that the
 * view's rows give a name. Members ask at run time, so answers are kept per list of rows; a view's list never
 * changes, a new view brings a new one.
 */

import type { StructureOptions } from '../../partitions/service.js';
import { ConfigError } from '../base/errors.js';
import type { StructureRow } from '../cluster/view.js';
import type { MemberConfig } from '../config.js';
import { mostSpecific } from './patterns.js';
import { parseOptions } from './problems.js';
import { STRUCTURES, type StructureKind, structureOf } from './structures.js';
import { pathText } from './tree.js';

/** Names whose options are kept at a time, per list of rows; then the memory is given back. */
const MAX_KEPT_NAMES = 10_000;

/** The key `default` of the configuration is this pattern. */
const DEFAULT_PATTERN = '*';

interface Kept {
  readonly byService: Map<string, Map<string, StructureOptions>>;
  names: number;
}

const KEPT = new WeakMap<readonly StructureRow[], Kept>();

/** The rows that a member with this configuration brings: all options spelled out, as JSON text. */
export function structureRows(config: MemberConfig): StructureRow[] {
  return STRUCTURES.flatMap(({ service, configKey }) => {
    const given = (config as unknown as Record<string, Record<string, unknown> | undefined>)[configKey] ?? {};
    return Object.entries(given).map(([key, options]) => ({
      service,
      pattern: key === 'default' ? DEFAULT_PATTERN : key,
      options: JSON.stringify(options),
    }));
  });
}

/**
 * The options of structure `name` of `service` under the rows of a view: those of the most specific row, else
 * the defaults of the kind. Throws a `ConfigError` for an unknown service or a row that this version cannot read.
 */
export function optionsFor(service: string, name: string, rows: readonly StructureRow[]): StructureOptions {
  let kept = KEPT.get(rows);
  if (kept === undefined) {
    kept = { byService: new Map(), names: 0 };
    KEPT.set(rows, kept);
  }
  const options = kept.byService.get(service)?.get(name);
  return options ?? keep(kept, service, name, find(service, name, rows));
}

function keep(kept: Kept, service: string, name: string, options: StructureOptions): StructureOptions {
  if (kept.names >= MAX_KEPT_NAMES) {
    kept.byService.clear();
    kept.names = 0;
  }
  const byName = kept.byService.get(service) ?? new Map<string, StructureOptions>();
  kept.byService.set(service, byName.set(name, options));
  kept.names++;
  return options;
}

function find(service: string, name: string, rows: readonly StructureRow[]): StructureOptions {
  const kind = structureOf(service);
  if (kind === undefined) throw new ConfigError('', `there is no data structure ${JSON.stringify(service)}`);
  const row = rowFor(service, name, rows);
  return row === undefined ? parseOptions(kind.options, {}) : readRow(kind, row);
}

/** The row that counts for the name, or undefined when the defaults do. */
export function rowFor(
  service: string,
  name: string,
  rows: readonly StructureRow[],
): StructureRow | undefined {
  return mostSpecific(
    rows.filter((row) => row.service === service),
    name,
  );
}

function readRow(kind: StructureKind, row: StructureRow): StructureOptions {
  const place = pathText([kind.configKey, row.pattern]);
  let options: unknown;
  try {
    options = JSON.parse(row.options);
  } catch {
    throw new ConfigError(place, 'the options of this row are not JSON');
  }
  try {
    return parseOptions(kind.options, options);
  } catch (error) {
    if (error instanceof ConfigError) throw new ConfigError(place, error.message);
    throw error;
  }
}

/**
 * What is wrong with rows that came from another member, a line each; empty when this version can serve them
 * all. A member checks a view that it joins with this, so that no call fails on it later.
 */
export function rowProblems(rows: readonly StructureRow[]): string[] {
  return rows.flatMap((row) => {
    const kind = structureOf(row.service);
    if (kind === undefined)
      return [`there is no data structure ${JSON.stringify(row.service)} in this version`];
    try {
      readRow(kind, row);
      return [];
    } catch (error) {
      return [(error as Error).message];
    }
  });
}

/**
 * Backup slots that the rows need: the most backups, sync and async, of any row and of the defaults of each kind
 * that has no row for all names. Rows that this version cannot read count nothing.
 */
export function slotsOf(rows: readonly StructureRow[]): number {
  let slots = 0;
  for (const kind of STRUCTURES) {
    const own = rows.filter((row) => row.service === kind.service);
    const all = own.map((row) => backupsOf(() => readRow(kind, row)));
    if (!own.some((row) => row.pattern === DEFAULT_PATTERN)) {
      all.push(backupsOf(() => parseOptions(kind.options, {})));
    }
    slots = Math.max(slots, ...all);
  }
  return slots;
}

function backupsOf(read: () => StructureOptions): number {
  try {
    const { backups } = read();
    return backups.sync + backups.async;
  } catch {
    return 0;
  }
}

export interface OptionDifference {
  /** For example `maps.users.backups.sync`. */
  readonly path: string;
  /** What the cluster has, and goes on with. */
  readonly cluster: unknown;
  /** What the joiner would have. */
  readonly joiner: unknown;
}

/** Where a joiner's rows say something else than the rows of the view for the same pattern. */
export function rowDifferences(
  cluster: readonly StructureRow[],
  joiner: readonly StructureRow[],
): OptionDifference[] {
  return joiner.flatMap((row) => {
    const other = cluster.find(({ service, pattern }) => service === row.service && pattern === row.pattern);
    if (other === undefined || other.options === row.options) return [];
    const start = [structureOf(row.service)?.configKey ?? row.service, row.pattern];
    return differences(jsonOf(other.options), jsonOf(row.options), start);
  });
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function differences(cluster: unknown, joiner: unknown, path: readonly string[]): OptionDifference[] {
  if (isGroup(cluster) && isGroup(joiner)) {
    const keys = new Set([...Object.keys(cluster), ...Object.keys(joiner)]);
    return [...keys].flatMap((key) => differences(cluster[key], joiner[key], [...path, key]));
  }
  return JSON.stringify(cluster) === JSON.stringify(joiner)
    ? []
    : [{ path: pathText(path), cluster, joiner }];
}

function isGroup(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Most sync backups of any structure under these rows. */
export function mostSyncBackups(rows: readonly StructureRow[]): number {
  const names = STRUCTURES.map(({ service }) => ({ service, pattern: '' }));
  return Math.max(
    0,
    ...[...names, ...rows].map(({ service, pattern }) => optionsFor(service, pattern, rows).backups.sync),
  );
}
