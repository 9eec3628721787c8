/**
 * Split-brain protection, in Hazelcast's terms: a definition says how many members a side of a split must have at
 * least, and for which calls; structures name a definition. It guards against a side that is too small, not against
 * two sides at a time: that is what the PC presets are for. Definitions travel with the view, as rows of a service of
 * their own. The admission of calls asks `protectionFor`; configuration checks names with `unknownProtections`.
 */
import { z } from 'zod';
import type { StructureOptions } from '../../partitions/service.js';
import { MAX_MEMBERS, type StructureRow } from '../cluster/view.js';
import { nearest } from './nearest.js';
import type { Problem } from './problems.js';
import { STRUCTURES } from './structures.js';

/** `service` of the rows that hold definitions; their pattern is the name, taken literally. */
export const PROTECTION_SERVICE = 'splitBrainProtection';

export const PROTECTION_KEY = 'splitBrainProtections';

export const protectionSchema = z.strictObject({
  minimumClusterSize: z
    .int()
    .min(2)
    .max(MAX_MEMBERS)
    .describe(
      'Members, this one included, that must be heard for a call to be taken. Higher: smaller sides of a split refuse; lower: more crashes are tolerated.',
    ),
  protectOn: z
    .enum(['READ', 'WRITE', 'READ_WRITE'])
    .default('READ_WRITE')
    .describe('The calls that are refused below minimumClusterSize: those that read, that write, or both.'),
});

/** A definition with all defaults filled in. */
export type Protection = Readonly<z.output<typeof protectionSchema>>;

export const protectionsSchema = z
  .record(z.string().min(1).max(256), protectionSchema)
  .default({})
  .describe(
    'Split-brain protections by name; structures refer to one with their option splitBrainProtection.',
  );

/** A definition that is not there protects from everything: no call is taken that somebody wanted to be guarded. */
const UNKNOWN: Protection = { minimumClusterSize: MAX_MEMBERS + 1, protectOn: 'READ_WRITE' };

const KEPT = new WeakMap<readonly StructureRow[], ReadonlyMap<string, Protection>>();

export function protectionRows(protections: Readonly<Record<string, Protection>>): StructureRow[] {
  return Object.entries(protections).map(([pattern, definition]) => ({
    service: PROTECTION_SERVICE,
    pattern,
    options: JSON.stringify(definition),
  }));
}

/**
 * The split-brain protection of a structure with these options under the rows of a view, or null. Read once for each
 * list of rows. A name that the rows do not define, or not readably, is never satisfied.
 */
export function protectionFor(
  options: Pick<StructureOptions, 'splitBrainProtection'>,
  rows: readonly StructureRow[],
): Protection | null {
  if (options.splitBrainProtection === '') return null;
  let byName = KEPT.get(rows);
  if (byName === undefined) {
    byName = readDefinitions(rows);
    KEPT.set(rows, byName);
  }
  return byName.get(options.splitBrainProtection) ?? UNKNOWN;
}

function readDefinitions(rows: readonly StructureRow[]): ReadonlyMap<string, Protection> {
  const byName = new Map<string, Protection>();
  for (const row of rows) {
    if (row.service !== PROTECTION_SERVICE) continue;
    byName.set(row.pattern, readDefinition(row) ?? UNKNOWN);
  }
  return byName;
}

/** The definition in a row, or null when this version cannot read it. */
export function readDefinition(row: StructureRow): Protection | null {
  try {
    return protectionSchema.parse(JSON.parse(row.options));
  } catch {
    return null;
  }
}

/** Structures of a parsed configuration that name a protection which it does not define. */
export function unknownProtections(config: Readonly<Record<string, unknown>>): Problem[] {
  const defined = Object.keys(Object(config[PROTECTION_KEY]));
  return STRUCTURES.flatMap(({ configKey }) => {
    const rows = Object.entries(Object(config[configKey]) as Record<string, StructureOptions>);
    return rows.flatMap(([pattern, { splitBrainProtection: name }]) => {
      if (name === '' || defined.includes(name)) return [];
      const path = [configKey, pattern, 'splitBrainProtection'];
      return [{ path, reason: unknownName(name, defined) }];
    });
  });
}

function unknownName(name: string, defined: readonly string[]): string {
  const near = nearest(name, defined);
  const advice =
    near !== undefined
      ? `did you mean ${JSON.stringify(near)}?`
      : defined.length === 0
        ? `define it under ${PROTECTION_KEY}`
        : `known: ${defined.map((known) => JSON.stringify(known)).join(', ')}`;
  return `unknown split-brain protection ${JSON.stringify(name)}; ${advice}`;
}
