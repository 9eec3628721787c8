/**
 * The preset of the grid (option `consistency`) reaches every structure that has none of its own: in a configuration
 * it is written into the rows before they are checked, so that rules between preset and backups see it; in a view it
 * has a row of its own, for names that no row fits and so that a joiner cannot change it.
 */
import type { StructureRow } from '../cluster/view.js';
import { DEFAULT_PRESET, type PresetName, presetOf } from '../policy/presets.js';
import { type Group, isGroup } from './group.js';
import { STRUCTURES } from './structures.js';

/** `service` of the row with the options of the grid itself; there is one, under the pattern for everything. */
export const GRID_SERVICE = 'grid';

const EVERYTHING = '*';

/** A copy of a member's raw options in which each structure row has a preset; what is wrong in them stays wrong. */
export function withGridPreset(input: unknown): unknown {
  if (!isGroup(input) || typeof input.consistency !== 'string') return input;
  const { consistency } = input;
  if (presetOf(consistency) === undefined || consistency === DEFAULT_PRESET) return input;
  const filled = STRUCTURES.filter(({ configKey }) => isGroup(input[configKey])).map(({ configKey }) => {
    const rows = Object.entries(input[configKey] as Group).map(([pattern, row]) => {
      const given = isGroup(row) && row.consistency === undefined ? { ...row, consistency } : row;
      return [pattern, given] as const;
    });
    return [configKey, Object.fromEntries(rows)] as const;
  });
  return { ...input, ...Object.fromEntries(filled) };
}

export function gridRow(preset: PresetName): StructureRow {
  return { service: GRID_SERVICE, pattern: EVERYTHING, options: JSON.stringify({ consistency: preset }) };
}

/** The preset in a view's rows, for structures that name none; the default when the rows do not say. */
export function gridPreset(rows: readonly StructureRow[]): PresetName {
  const row = rows.find(({ service }) => service === GRID_SERVICE);
  return (row === undefined ? undefined : presetIn(row)) ?? DEFAULT_PRESET;
}

/** What is wrong with a row of the grid's options, or null. */
export function gridRowProblem(row: StructureRow): string | null {
  if (row.pattern !== EVERYTHING) return `grid options for ${JSON.stringify(row.pattern)}: there is one grid`;
  return presetIn(row) === undefined ? 'consistency: the row of the grid names no preset' : null;
}

function presetIn({ options }: StructureRow): PresetName | undefined {
  try {
    const { consistency } = Object(JSON.parse(options)) as { readonly consistency?: unknown };
    return presetOf(String(consistency))?.name as PresetName | undefined;
  } catch {
    return undefined;
  }
}
