/** Small views for the tests of status and explain: members m0, m1, ... and a table written as short texts. */
import { NO_TOGGLES } from '../../src/cluster/toggle.js';
import type { TableEntry, View } from '../../src/cluster/view.js';
import type { MemberReport } from '../../src/policy/status.js';

const LINEAGE = '11111111-1111-4111-8111-111111111111';

/** `'0 1 2?'`: primary m0, synced backup m1, syncing m2; `!` at the end: not settled; empty: lost. */
function entryOf(text: string): TableEntry {
  const replicas = text
    .replace('!', '')
    .split(' ')
    .filter((word) => word !== '')
    .map((word) => ({ member: `m${word.replace('?', '')}`, synced: !word.endsWith('?') }));
  const settled = !text.endsWith('!');
  return { replicas, epoch: 1, settled, moving: false, generation: 0, lastSynced: [], proven: [] };
}

/** What a member of such a view reports about itself. */
export function reportOf(hears: readonly string[], more: Partial<MemberReport> = {}): MemberReport {
  return {
    lineage: LINEAGE,
    view: 7,
    parent: null,
    missing: [],
    ordered: false,
    leaseMs: null,
    leftovers: 0,
    leftoverBytes: 0,
    backups: [],
    divergent: [],
    antiEntropy: { compared: 0, differing: 0, repaired: 0, bytes: 0 },
    entries: 10,
    sizeBytes: 1_000,
    owed: 0,
    hears,
    migrations: [],
    ...more,
  };
}

/** `target` has the same form as the table; left out, the replicas are where they are to be. */
export function viewOf(members: number, slots: number, table: readonly string[], target = table): View {
  return {
    lineage: LINEAGE,
    number: 7,
    members: Array.from({ length: members }, (_, i) => ({
      id: `m${i}`,
      address: `host:${i + 1}`,
      leaving: false,
    })),
    slots,
    table: table.map(entryOf),
    target: target.map((text) => entryOf(text).replicas.map(({ member }) => member)),
    ordered: false,
    parent: null,
    replaced: [],
    structures: [],
    toggles: NO_TOGGLES,
  };
}
