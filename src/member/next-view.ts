/**
 * The next view for a change of membership: who stays, structures that newcomers bring, and the partition table.
 * Collects what primaries report for the present view. Called by the member on behalf of `Membership`.
 */
import { foundingPlan, type PartitionReports, plan } from '../../partitions/plan.js';
import type { Change } from '../cluster/membership.js';
import type { MemberId, MemberInfo, StructureRow, View } from '../cluster/view.js';
import { rowProblems, slotsOf } from '../config/rows.js';

/** Reports of primaries; they hold for one view and are forgotten with it. */
export class Reports implements PartitionReports {
  readonly #settled = new Set<number>();
  readonly #ready = new Set<string>();
  readonly #behind = new Set<string>();

  add(report: {
    readonly settled: readonly number[];
    readonly ready: readonly { readonly partition: number; readonly member: MemberId }[];
    readonly behind: readonly { readonly partition: number; readonly member: MemberId }[];
  }): void {
    for (const partition of report.settled) this.#settled.add(partition);
    for (const { partition, member } of report.ready) this.#ready.add(`${partition}/${member}`);
    for (const { partition, member } of report.behind) this.#behind.add(`${partition}/${member}`);
  }

  clear(): void {
    this.#settled.clear();
    this.#ready.clear();
    this.#behind.clear();
  }

  settled(partition: number): boolean {
    return this.#settled.has(partition);
  }

  ready(partition: number, member: MemberId): boolean {
    return this.#ready.has(`${partition}/${member}`);
  }

  behind(partition: number, member: MemberId): boolean {
    return this.#behind.has(`${partition}/${member}`);
  }
}

export interface NextViewInput {
  readonly view: View;
  readonly change: Change;
  readonly reports: Reports;
  readonly lossTimeoutPassed: (partition: number) => boolean;
}

/** The next view, or null when it would be equal to the present one. */
export function nextView({ view, change, reports, lossTimeoutPassed }: NextViewInput): View | null {
  const structures = withNew(view.structures, change.joined);
  const members = withoutEmptied(view, change.members);
  const slots = structures === view.structures ? view.slots : slotsOf(structures);
  const { table, target } = plan({ view, members, slots, reports, isDead: change.isDead, lossTimeoutPassed });
  const isSame =
    structures === view.structures &&
    JSON.stringify(members) === JSON.stringify(view.members) &&
    JSON.stringify(table) === JSON.stringify(view.table) &&
    JSON.stringify(target) === JSON.stringify(view.target);
  return isSame
    ? null
    : { lineage: view.lineage, number: view.number + 1, members, slots, table, target, structures };
}

/** The view's configuration wins: only structures that it does not know are added. */
function withNew(rows: readonly StructureRow[], joined: Change['joined']): readonly StructureRow[] {
  const known = new Set(rows.map(keyOf));
  const added: StructureRow[] = [];
  for (const joiner of joined) {
    for (const row of joiner.structures) {
      // A row that cannot be read would refuse every call on its names, on all members.
      if (known.has(keyOf(row)) || rowProblems([row]).length > 0) continue;
      known.add(keyOf(row));
      added.push(row);
    }
  }
  return added.length === 0 ? rows : [...rows, ...added];
}

function keyOf(row: StructureRow): string {
  return `${row.service}/${row.pattern}`;
}

/** A member that leaves goes when it holds no replica any more, and when somebody stays. */
function withoutEmptied(view: View, members: readonly MemberInfo[]): readonly MemberInfo[] {
  if (members.every((member) => member.leaving)) return members;
  const holders = new Set<MemberId>();
  for (const entry of view.table) {
    for (const replica of entry.replicas) holders.add(replica.member);
    for (const id of entry.lastSynced) holders.add(id);
  }
  return members.filter(
    (member) => !member.leaving || holders.has(member.id) || !view.members.some((m) => m.id === member.id),
  );
}

/** The first view of a lineage: its founder has everything, and it is empty. */
export function foundingView(
  lineage: string,
  founder: { readonly id: MemberId; readonly address: string },
  partitionCount: number,
  structures: readonly StructureRow[],
): View {
  const members = [{ id: founder.id, address: founder.address, leaving: false }];
  const slots = slotsOf(structures);
  return { lineage, number: 1, members, slots, ...foundingPlan(founder.id, partitionCount), structures };
}
