/** What a member says about itself for status pages, from its view and its replicas. Pure. */
import type { PartitionStatus } from '../../replication/replication.js';
import type { MemberId, View } from '../cluster/view.js';
import type { MemberReport } from '../policy/status.js';

export function memberReport(
  view: View | null,
  partitions: readonly PartitionStatus[],
  hears: (id: MemberId) => boolean,
): MemberReport {
  let entries = 0;
  let sizeBytes = 0;
  for (const status of partitions) {
    if (status.role === 'primary') entries += status.entries;
    sizeBytes += status.sizeBytes;
  }
  const migrations = partitions.flatMap(({ partition, copies }) => {
    return copies.map(({ to, copiedBytes, sizeBytes: totalBytes }) => ({
      partition,
      to,
      copiedBytes,
      totalBytes,
    }));
  });
  const heard = (view?.members ?? []).filter(({ id }) => hears(id)).map(({ id }) => id);
  return { entries, sizeBytes, hears: heard, migrations };
}
