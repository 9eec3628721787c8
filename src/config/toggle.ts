/**
 * What a change of a preset makes of the rows of a view, and why it may not be made. Pure: the member that takes an order
 * and the one that proposes the view come to the same answer for the same view.
 */
import { ConfigError } from '../base/errors.js';
import type { ToggleTarget } from '../cluster/toggle.js';
import type { StructureRow, View } from '../cluster/view.js';
import { DEFAULT_PRESET, PRESET_NAMES, type PresetName, presetOf } from '../policy/presets.js';
import { isGroup } from './group.js';
import { GRID_SERVICE, gridPreset, gridRow } from './inherit.js';
import { matches } from './patterns.js';
import { PROTECTION_SERVICE } from './protection.js';
import { optionsFor, rowProblems } from './rows.js';
import { STRUCTURES, structureOf } from './structures.js';

/** With so many rows, names that had none get none of their own: every view carries all rows. */
export const MAX_ROWS_TO_ADD = 1_000;
const SHOWN = 5;

/** The preset of one row of the view, or of the grid. */
export interface RowPreset {
  /** `map`, `atomicLong`, ...; null for the grid, whose preset is that of names without a row. */
  readonly service: string | null;
  /** An exact name, or a pattern with `*`. */
  readonly pattern: string;
  readonly preset: string;
}

/** The preset of the grid, and that of each row. */
export function presetsOf(rows: readonly StructureRow[]): RowPreset[] {
  const grid = { service: null, pattern: '*', preset: gridPreset(rows) };
  return [grid, ...rows.filter(isStructure).map((row) => ({ ...placeOf(row), preset: presetIn(row, rows) }))];
}

function placeOf({ service, pattern }: StructureRow) {
  return { service, pattern };
}

function isStructure({ service }: StructureRow): boolean {
  return service !== GRID_SERVICE && service !== PROTECTION_SERVICE;
}

function presetIn(row: StructureRow, rows: readonly StructureRow[]): string {
  const given = optionsIn(row).consistency;
  return typeof given === 'string' ? given : gridPreset(rows);
}

function optionsIn({ options }: StructureRow): Readonly<Record<string, unknown>> {
  try {
    const found: unknown = JSON.parse(options);
    return isGroup(found) ? found : {};
  } catch {
    return {};
  }
}

/** The rows with the preset in them; the same list when they say so already. Throws a `ConfigError` for what has no options. */
export function toggledRows(
  rows: readonly StructureRow[],
  target: ToggleTarget,
  preset: PresetName,
): readonly StructureRow[] {
  const given = (row: StructureRow): StructureRow =>
    presetIn(row, rows) === preset
      ? row
      : { ...row, options: JSON.stringify({ ...optionsIn(row), consistency: preset }) };
  if (target === null) {
    const hasGrid = rows.some(({ service }) => service === GRID_SERVICE);
    const grid: StructureRow[] = hasGrid || preset === DEFAULT_PRESET ? [] : [gridRow(preset)];
    const all = rows.map((row) => {
      if (row.service === GRID_SERVICE) return gridPreset(rows) === preset ? row : gridRow(preset);
      return isStructure(row) ? given(row) : row;
    });
    return grid.length === 0 && all.every((row, i) => row === rows[i]) ? rows : [...grid, ...all];
  }
  const { service, pattern } = target;
  const at = rows.findIndex((row) => row.service === service && row.pattern === pattern);
  if (at >= 0) {
    const row = given(rows[at] as StructureRow);
    return row === rows[at] ? rows : rows.with(at, row);
  }
  const options = optionsFor(service, pattern, rows);
  if (options.consistency === preset) return rows;
  return [...rows, { service, pattern, options: JSON.stringify({ ...options, consistency: preset }) }];
}

/** Why the preset cannot be given under this view, as a sentence; null when it can. */
export function toggleProblem(
  { structures: rows, ordered, parent }: Pick<View, 'structures' | 'ordered' | 'parent'>,
  target: ToggleTarget,
  preset: string,
): string | null {
  const name = presetOf(preset)?.name as PresetName | undefined;
  if (name === undefined)
    return `there is no preset ${JSON.stringify(preset)}; use ${PRESET_NAMES.join(', ')}`;
  const missing = target === null ? null : noRow(rows, target);
  if (missing !== null) return missing;
  let after: readonly StructureRow[];
  try {
    after = toggledRows(rows, target, name);
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  const problems = rowProblems(after).filter((problem) => !rowProblems(rows).includes(problem));
  if (problems.length > 0) return listed(problems);
  if (parent !== null && presentOf(rows, target).some((present) => sideOf(present) !== sideOf(name)))
    return 'this side of a split has no majority: what holds in a split (PA or PC) can only be changed by the majority';
  if (!ordered && name.startsWith('PC'))
    return 'this cluster was not founded by an order, and serves no consistent (PC) structures; run `elsegrid cluster found` once';
  return null;
}

function listed(problems: readonly string[]): string {
  const more = problems.length > SHOWN ? ` (and ${problems.length - SHOWN} more)` : '';
  return `${problems.slice(0, SHOWN).join('; ')}${more}`;
}

/** The presets that a change would replace. */
function presentOf(rows: readonly StructureRow[], target: ToggleTarget): string[] {
  if (target === null) return presetsOf(rows).map(({ preset }) => preset);
  const { service, pattern } = target;
  const row = rows.find((known) => known.service === service && known.pattern === pattern);
  return [row === undefined ? optionsFor(service, pattern, rows).consistency : presetIn(row, rows)];
}

/** PA or PC. */
function sideOf(preset: string): string {
  return preset.slice(0, 2);
}

/** A pattern is changed where it stands: which names a new one would take from which others, nobody could tell. */
function noRow(
  rows: readonly StructureRow[],
  { service, pattern }: NonNullable<ToggleTarget>,
): string | null {
  if (structureOf(service) === undefined)
    return `there is no data structure ${JSON.stringify(service)}; use ${STRUCTURES.map((kind) => kind.service).join(', ')}`;
  const own = rows.filter((row) => row.service === service);
  if (own.some((row) => row.pattern === pattern)) return null;
  if (pattern.includes('*') && pattern !== '*') {
    const patterns = own.map((row) => row.pattern).filter((known) => known.includes('*'));
    const known = patterns.length === 0 ? 'there are none' : `there are ${patterns.slice(0, 20).join(', ')}`;
    return `no options were configured for the pattern ${JSON.stringify(pattern)} (${known}); name one of these, or a structure`;
  }
  if (rows.length >= MAX_ROWS_TO_ADD)
    return `${rows.length} names and patterns have options of their own already; change the preset of a pattern`;
  return null;
}

/** Rows for names within a pattern that have another preset of their own, and keep it. */
export function exceptionsOf(
  rows: readonly StructureRow[],
  target: ToggleTarget,
  preset: string,
): RowPreset[] {
  if (target === null || !target.pattern.includes('*')) return [];
  return presetsOf(rows).filter(
    (row) =>
      row.service === target.service &&
      row.pattern !== target.pattern &&
      row.preset !== preset &&
      matches(target.pattern, row.pattern),
  );
}
