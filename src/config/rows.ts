/**
 * Structure options between configuration and view: rows to bring along to a cluster, and the options that the
 * view's rows give a name. Beside those of structures there are rows of two more services: the grid's own options
 * and the split-brain protections. Members ask at run time, so answers are kept per list of rows; a view's list never
 * changes, a new view brings a new one.
 */

import { isConsistent, type StructureOptions } from '../../partitions/service.js';
import { ConfigError } from '../base/errors.js';
import type { StructureRow } from '../cluster/view.js';
import type { MemberConfig } from '../config.js';
import { isGroup } from './group.js';
import { GRID_SERVICE, gridPreset, gridRow, gridRowProblem } from './inherit.js';
import { mostSpecific } from './patterns.js';
import { parseOptions } from './problems.js';
import { PROTECTION_KEY, PROTECTION_SERVICE, protectionRows, readDefinition } from './protection.js';
import { STRUCTURES, type StructureKind, structureOf } from './structures.js';
import { pathText } from './tree.js';

/** Names whose options are kept at a time, per list of rows; then the memory is given back. */
const MAX_KEPT_NAMES = 10_000;

/** The key `default` of the configuration is this pattern. */
const DEFAULT_PATTERN = '*';

interface Kept {
  readonly byService: Map<string, Map<string, StructureOptions>>;
  names: number;
  /** What `allOptions` found, once it was asked. */
  all: readonly StructureOptions[] | null;
}

const KEPT = new WeakMap<readonly StructureRow[], Kept>();

/** The rows that a member with this configuration brings: all options spelled out, as JSON text. */
export function structureRows(config: MemberConfig): StructureRow[] {
  const structures = STRUCTURES.flatMap(({ service, configKey }) => {
    const given = (config as unknown as Record<string, Record<string, unknown> | undefined>)[configKey] ?? {};
    return Object.entries(given).map(([key, options]) => ({
      service,
      pattern: key === 'default' ? DEFAULT_PATTERN : key,
      options: JSON.stringify(options),
    }));
  });
  return [gridRow(config.consistency), ...protectionRows(config.splitBrainProtections), ...structures];
}

/**
 * The options of structure `name` of `service` under the rows of a view: those of the most specific row, else
 * the defaults of the kind. Throws a `ConfigError` for an unknown service or a row that this version cannot read.
 */
export function optionsFor(service: string, name: string, rows: readonly StructureRow[]): StructureOptions {
  const kept = keptFor(rows);
  const options = kept.byService.get(service)?.get(name);
  return options ?? keep(kept, service, name, find(service, name, rows));
}

function keptFor(rows: readonly StructureRow[]): Kept {
  let kept = KEPT.get(rows);
  if (kept === undefined) {
    kept = { byService: new Map(), names: 0, all: null };
    KEPT.set(rows, kept);
  }
  return kept;
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
  return row === undefined ? defaultsOf(kind, rows) : readRow(kind, row, rows);
}

/** The options of names that no row fits. */
function defaultsOf(kind: StructureKind, rows: readonly StructureRow[]): StructureOptions {
  return parseOptions(kind.options, { consistency: gridPreset(rows) });
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

function readRow(kind: StructureKind, row: StructureRow, rows: readonly StructureRow[]): StructureOptions {
  const place = pathText([kind.configKey, row.pattern]);
  let options: unknown;
  try {
    options = JSON.parse(row.options);
  } catch {
    throw new ConfigError(place, 'the options of this row are not JSON');
  }
  try {
    return parseOptions(
      kind.options,
      isGroup(options) ? { consistency: gridPreset(rows), ...options } : options,
    );
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
  return rows.map((row) => rowProblem(row, rows)).filter((problem) => problem !== null);
}

function rowProblem(row: StructureRow, rows: readonly StructureRow[]): string | null {
  if (row.service === GRID_SERVICE) return gridRowProblem(row);
  if (row.service === PROTECTION_SERVICE) {
    const place = pathText([PROTECTION_KEY, row.pattern]);
    return readDefinition(row) === null ? `${place}: this version cannot read the definition` : null;
  }
  const kind = structureOf(row.service);
  if (kind === undefined) return `there is no data structure ${JSON.stringify(row.service)} in this version`;
  try {
    readRow(kind, row, rows);
    return null;
  } catch (error) {
    return (error as Error).message;
  }
}

/**
 * The options of every row, and the defaults of each kind that has no row for all names: all that some structure
 * under these rows may have. Rows that this version cannot read count nothing.
 */
function allOptions(rows: readonly StructureRow[]): readonly StructureOptions[] {
  const kept = keptFor(rows);
  kept.all ??= STRUCTURES.flatMap((kind) => {
    const own = rows.filter((row) => row.service === kind.service);
    const all = own.flatMap((row) => readable(kind, row, rows));
    return own.some((row) => row.pattern === DEFAULT_PATTERN) ? all : [...all, defaultsOf(kind, rows)];
  });
  return kept.all;
}

function readable(kind: StructureKind, row: StructureRow, rows: readonly StructureRow[]): StructureOptions[] {
  try {
    return [readRow(kind, row, rows)];
  } catch {
    return [];
  }
}

/** Backup slots that the rows need: the most backups, sync and async, of any structure. */
export function slotsOf(rows: readonly StructureRow[]): number {
  return Math.max(0, ...allOptions(rows).map(({ backups }) => backups.sync + backups.async));
}

/** Most sync backups of any structure under these rows. */
export function mostSyncBackups(rows: readonly StructureRow[]): number {
  return Math.max(0, ...allOptions(rows).map(({ backups }) => backups.sync));
}

/**
 * Null when no structure is consistent (PC) under these rows. Else so many of a partition's lowest backups have every
 * write that such a structure has acknowledged: as many as the structure with most sync backups has, see
 * `servedOptions`.
 */
export function consistentSyncBackups(rows: readonly StructureRow[]): number | null {
  return allOptions(rows).some(isConsistent) ? mostSyncBackups(rows) : null;
}

const SERVED = new WeakMap<StructureOptions, StructureOptions>();

/**
 * The options that a structure is served under. The writes of a consistent one wait for the sync backups of all
 * structures, because the partition goes with its replicas as a whole: a backup that only others wait for could else
 * not take over for them without taking writes back here.
 */
export function servedOptions(
  service: string,
  name: string,
  rows: readonly StructureRow[],
): StructureOptions {
  const options = optionsFor(service, name, rows);
  if (!isConsistent(options)) return options;
  const known = SERVED.get(options);
  if (known !== undefined) return known;
  const backups = { ...options.backups, sync: mostSyncBackups(rows) };
  const served = { ...options, backups };
  SERVED.set(options, served);
  return served;
}

const STRICT = { PA: new WeakMap(), PC: new WeakMap() } as const satisfies Record<
  string,
  WeakMap<StructureOptions, StructureOptions>
>;

/** As strict as any preset makes the structure: calls wait for the sync backups, with `consistent` under a lease. */
export function strictOptions(
  options: StructureOptions,
  rows: readonly StructureRow[],
  consistent: boolean,
): StructureOptions {
  const kept: WeakMap<StructureOptions, StructureOptions> = consistent ? STRICT.PC : STRICT.PA;
  const known = kept.get(options);
  if (known !== undefined) return known;
  const isStrict = consistent || isConsistent(options);
  const strict: StructureOptions = {
    ...options,
    consistency: isStrict ? 'PC/EC' : 'PA/EC',
    backups: { ...options.backups, sync: isStrict ? mostSyncBackups(rows) : options.backups.sync },
    onBackupTimeout: isStrict ? 'indeterminate' : options.onBackupTimeout,
  };
  kept.set(options, strict);
  return strict;
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
    return differences(jsonOf(other.options), jsonOf(row.options), placeOf(row));
  });
}

/** Where the options of a row are in a configuration. */
function placeOf({ service, pattern }: StructureRow): string[] {
  if (service === GRID_SERVICE) return [];
  const key = service === PROTECTION_SERVICE ? PROTECTION_KEY : structureOf(service)?.configKey;
  return [key ?? service, pattern];
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
