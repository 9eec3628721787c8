/** What a member tells the proposer of the next view of the partitions that it leads. Pure; called by `replication.ts`. */
import type { MemberId } from '../src/cluster/view.js';
import type { PrimaryStream } from './primary.js';

/** What one primary reports for the next view. */
export interface Report {
  readonly settled: number[];
  readonly ready: { readonly partition: number; readonly member: MemberId }[];
  readonly behind: { readonly partition: number; readonly member: MemberId }[];
  readonly stale: number[];
}

/** `hollow`: partitions that it was taken for a holder of, and of which it has nothing; `stale`: see `Report`. */
export function reportOf(
  primaries: ReadonlyMap<number, PrimaryStream>,
  own: { readonly hollow: ReadonlySet<number>; readonly stale: ReadonlySet<number>; readonly self: MemberId },
): Report {
  const behind = [...own.hollow].map((partition) => ({ partition, member: own.self }));
  const report: Report = { settled: [], ready: [], behind, stale: [...own.stale] };
  for (const [partition, primary] of primaries) {
    if (!primary.entry.settled && primary.isSettled) report.settled.push(partition);
    for (const slot of primary.slots.values()) {
      if (slot.complete && !slot.synced) report.ready.push({ partition, member: slot.member });
      if (slot.behind && slot.synced) report.behind.push({ partition, member: slot.member });
    }
  }
  return report;
}
