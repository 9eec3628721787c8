/**
 * Options of the merge journal, which no configuration names: what it tells of merges is as safe as the safest data
 * of the grid, because it may tell of any. Called by the member's composition.
 */
import type { StructureOptions } from '../../partitions/service.js';
import type { StructureRow } from '../cluster/view.js';
import { mostSyncBackups } from '../config/rows.js';

const BACKUP_TIMEOUT_MS = 5_000;

/** By list of rows; a view's list never changes. */
const KEPT = new WeakMap<readonly StructureRow[], StructureOptions>();

export function journalOptions(rows: readonly StructureRow[]): StructureOptions {
  let options = KEPT.get(rows);
  if (options === undefined) {
    options = {
      backups: { sync: mostSyncBackups(rows), async: 0 },
      minSynced: 0,
      backupTimeoutMs: BACKUP_TIMEOUT_MS,
      onBackupTimeout: 'indeterminate',
      consistency: 'PA/EC',
      mergePolicy: 'LatestUpdate',
      splitBrainProtection: '',
    };
    KEPT.set(rows, options);
  }
  return options;
}
