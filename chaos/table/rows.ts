/**
 * The rows of the table of promises: every combination of the options that promises depend on which configuration allows,
 * and further ones with calls that loosen or tighten and with a split-brain protection; with what `explain` says of each.
 * Pure.
 */
import { ConfigError } from '../../src/base/errors.js';
import { explainStructure } from '../../src/config/explain.js';
import { structureRows } from '../../src/config/rows.js';
import { memberConfig } from '../../src/config.js';
import type { Promised } from '../../src/policy/explanation.js';
import { PRESET_NAMES, type PresetName } from '../../src/policy/presets.js';
import type { Case } from '../case.js';
import { type Knobs, memberKnobs, structureKnobs } from '../knobs.js';

export interface Row {
  /** For example `PA/EC 1+0 success`. */
  readonly name: string;
  readonly knobs: Knobs;
  readonly sync: number;
  readonly async: number;
  readonly minSynced: number;
}

/** Of five members two sides may have as many. */
const MEMBERS_THAT_PROTECT = 2;
const PLAIN = { onBackupTimeout: 'indeterminate', call: null, minimumClusterSize: null } as const;

/** All rows, in the order in which they are printed. */
export function allRows(): Row[] {
  return [...combinations(), ...further()].filter(isAllowed);
}

function combinations(): Row[] {
  const rows: Row[] = [];
  for (const consistency of PRESET_NAMES)
    for (const sync of [0, 1, 2])
      for (const async of [0, 1])
        for (const minSynced of [0, 1, 2])
          for (const onBackupTimeout of ['indeterminate', 'success'] as const)
            rows.push(rowOf({ ...PLAIN, consistency, onBackupTimeout }, sync, async, minSynced));
  return rows;
}

function further(): Row[] {
  const opposite = (preset: PresetName) => (preset.endsWith('EL') ? 'EC' : 'EL');
  const called = PRESET_NAMES.flatMap((consistency) =>
    [1, 2].map((sync) => rowOf({ ...PLAIN, consistency, call: opposite(consistency) }, sync, 0, 0)),
  );
  const guarded = (['PA/EC', 'PA/EL'] as const).map((consistency) =>
    rowOf({ ...PLAIN, consistency, minimumClusterSize: MEMBERS_THAT_PROTECT }, 1, 0, 0),
  );
  return [...called, ...guarded];
}

function rowOf(knobs: Knobs, sync: number, async: number, minSynced: number): Row {
  const words = [
    knobs.consistency,
    `${sync}+${async}`,
    ...(minSynced === 0 ? [] : [`minSynced ${minSynced}`]),
    ...(knobs.onBackupTimeout === 'success' ? ['success'] : []),
    ...(knobs.call === null ? [] : [`calls ${knobs.call}`]),
    ...(knobs.minimumClusterSize === null ? [] : ['protected']),
  ];
  return { name: words.join(' '), knobs, sync, async, minSynced };
}

/** What a case of this row has in the place of what is drawn. */
export function caseOf({ knobs, sync, async, minSynced }: Row) {
  return {
    knobs,
    syncBackups: sync,
    asyncBackups: { maps: async, atomicLongs: async },
    minSynced,
  } as const satisfies Partial<Case>;
}

function configOf(row: Row) {
  const { sync, async, minSynced } = row;
  const plan = { knobs: row.knobs, syncBackups: sync };
  const structure = { backups: { sync, async }, minSynced, ...structureKnobs(plan) };
  return memberConfig({
    ...memberKnobs(plan),
    maps: { default: structure },
    atomicLongs: { default: structure },
  });
}

function isAllowed(row: Row): boolean {
  try {
    configOf(row);
    return true;
  } catch (error) {
    if (error instanceof ConfigError) return false;
    throw error;
  }
}

/**
 * How many seeds each row gets when rows of which the same is printed share them: none gets fewer than one, and the rows of a
 * kind have all of them together.
 */
export function spread(rows: readonly Row[], seeds: number): Map<Row, { firstSeed: number; seeds: number }> {
  const kinds = new Map<string, Row[]>();
  for (const row of rows) {
    const { consistency, call } = row.knobs;
    const verdicts = promisesOf(row).map(({ holds, applies }) => `${holds}${applies}`);
    const kind = [consistency, call, row.sync, ...verdicts].join();
    kinds.set(kind, [...(kinds.get(kind) ?? []), row]);
  }
  const shares = [...kinds.values()].flatMap((alike) => {
    const each = Math.ceil(seeds / alike.length);
    return alike.map((row, i) => [row, { firstSeed: 1 + i * each, seeds: each }] as const);
  });
  return new Map(shares);
}

/** What `explain` promises, G1 to G12; a promise that is for one kind of structure only as for that kind. */
export function promisesOf(row: Row): Promised[] {
  const rows = structureRows(configOf(row));
  const { call } = row.knobs;
  const wishes = call === null ? {} : { consistency: call };
  const of = (service: string) => explainStructure(service, 'any', rows, undefined, wishes).promises;
  const [map, long] = [of('map'), of('atomicLong')];
  return map.map((promise, i) => (promise.applies ? promise : (long[i] as Promised)));
}
