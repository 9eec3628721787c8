/**
 * The next view for a change of membership: who stays, structures that newcomers bring, and the partition table.
 * Collects what primaries report for the present view. Called by the member on behalf of `Membership`.
 */
import { foundingPlan, type PartitionReports, plan } from '../../partitions/plan.js';
import type { Change } from '../cluster/membership.js';
import { rootOf } from '../cluster/rank.js';
import { NO_TOGGLES, type Toggle, withToggle } from '../cluster/toggle.js';
import {
  MAX_REPLACED,
  type MemberId,
  type MemberInfo,
  missingFrom,
  type StructureRow,
  type View,
} from '../cluster/view.js';
import { consistentSyncBackups, rowProblems, slotsOf } from '../config/rows.js';
import { toggledRows } from '../config/toggle.js';
import type { PresetName } from '../policy/presets.js';

/** Reports of primaries; they hold for one view and are forgotten with it. */
export class Reports implements PartitionReports {
  readonly #settled = new Set<number>();
  readonly #ready = new Set<string>();
  readonly #behind = new Set<string>();
  readonly #stale = new Set<number>();

  add(report: {
    readonly stale: readonly number[];
    readonly settled: readonly number[];
    readonly ready: readonly { readonly partition: number; readonly member: MemberId }[];
    readonly behind: readonly { readonly partition: number; readonly member: MemberId }[];
  }): void {
    for (const partition of report.settled) this.#settled.add(partition);
    for (const partition of report.stale) this.#stale.add(partition);
    for (const { partition, member } of report.ready) this.#ready.add(`${partition}/${member}`);
    for (const { partition, member } of report.behind) this.#behind.add(`${partition}/${member}`);
  }

  clear(): void {
    this.#settled.clear();
    this.#ready.clear();
    this.#behind.clear();
    this.#stale.clear();
  }

  stale(partition: number): boolean {
    return this.#stale.has(partition);
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

/** What a person ordered: it takes effect with the next view. */
export interface Orders {
  /** The cluster counts as founded by order. */
  readonly found: boolean;
  /** Members of the chain that are declared dead, so that a fork may become the chain. */
  readonly dead: ReadonlySet<MemberId>;
  /** Partitions whose contents are given up. */
  readonly acceptedLoss: ReadonlySet<number>;
}

export interface NextViewInput {
  readonly view: View;
  readonly change: Change;
  readonly reports: Reports;
  readonly lossTimeoutPassed: (partition: number) => boolean;
  readonly orders: Orders;
  /** The newest view of the chain that this member knows. */
  readonly chain: View | null;
  /** A change of a preset that this view can carry. */
  readonly toggle?: Toggle | null;
  /** Only for tests: a partition is given up while its holders are only cut off. */
  readonly goneWhileCut?: boolean;
}

/** The next view, or null when it would be equal to the present one. */
export function nextView(input: NextViewInput): View | null {
  const { view, change, reports, orders } = input;
  const toggle = isSteady(view, change) ? (input.toggle ?? null) : null;
  const structures =
    toggle === null
      ? withNew(view.structures, change.joined)
      : toggledRows(view.structures, toggle.target, toggle.preset as PresetName);
  const members = withoutEmptied(view, change.members);
  const slots = structures === view.structures ? view.slots : slotsOf(structures);
  const recovery = recoveryOf(input, structures);
  const parent = recovery === null ? view.parent : null;
  const replaced = recovery === null ? view.replaced : [...view.replaced, rootOf(view)].slice(-MAX_REPLACED);
  // Without a person's word the chain may live on somewhere: then the two have to be able to merge.
  const ordered = recovery === 'by itself' ? false : view.ordered || (orders.found && parent === null);
  const { table, target } = plan({
    view,
    members,
    slots,
    reports,
    ...lossRules(input, structures),
    restart: change.restart || parent !== view.parent,
    fewestSync: parent === null ? consistentSyncBackups(structures) : null,
  });
  const isSame =
    !change.restart &&
    toggle === null &&
    ordered === view.ordered &&
    parent === view.parent &&
    structures === view.structures &&
    JSON.stringify(members) === JSON.stringify(view.members) &&
    JSON.stringify(table) === JSON.stringify(view.table) &&
    JSON.stringify(target) === JSON.stringify(view.target);
  return isSame
    ? null
    : {
        ...view,
        number: view.number + 1,
        ordered,
        parent,
        replaced,
        members,
        slots,
        table,
        target,
        structures,
        toggles: toggle === null ? view.toggles : withToggle(view.toggles, toggle),
      };
}

/** Presets change in a view of their own: so none changes what a view with other members was counted on for. */
function isSteady({ members }: View, change: Change): boolean {
  const isSame =
    members.length === change.members.length && members.every(({ id }, i) => id === change.members[i]?.id);
  return isSame && change.joined.length === 0 && !change.restart;
}

/** When a partition that nobody holds starts empty: never in a fork, and never by itself while a structure is consistent. */
function lossRules(
  { view, change, orders, lossTimeoutPassed, goneWhileCut }: NextViewInput,
  structures: readonly StructureRow[],
): { isDead: (id: MemberId) => boolean; lossTimeoutPassed: (partition: number) => boolean } {
  const isGivenUp = (partition: number) => orders.acceptedLoss.has(partition);
  if (goneWhileCut === true) return { isDead: () => true, lossTimeoutPassed: () => true };
  if (view.parent !== null) return { isDead: () => false, lossTimeoutPassed: isGivenUp };
  if (consistentSyncBackups(structures) !== null)
    return { isDead: () => false, lossTimeoutPassed: isGivenUp };
  return { isDead: change.isDead, lossTimeoutPassed: (p) => lossTimeoutPassed(p) || isGivenUp(p) };
}

/**
 * A fork becomes the chain when a person has declared dead all members of the chain that are not in it. While no structure
 * is consistent it is enough that their addresses answer as other processes: should the chain have gone on with others,
 * the two merge.
 */
function recoveryOf(
  { view, chain, orders, change }: NextViewInput,
  structures: readonly StructureRow[],
): 'by order' | 'by itself' | null {
  if (view.parent === null || chain === null) return null;
  const missing = missingFrom(chain, change.members);
  // Then they leave the fork, and continue the chain.
  if (missing.length === 0) return null;
  if (missing.every(({ id }) => orders.dead.has(id))) return 'by order';
  const mayBeItself = !view.ordered || consistentSyncBackups(structures) === null;
  return mayBeItself && missing.every(({ id }) => change.isDead(id)) ? 'by itself' : null;
}

/** The first view of a fork: what these members hold of `origin`, each partition under a new epoch. */
export function forkView(origin: View, members: readonly MemberInfo[], lineage: string): View {
  const none = { settled: () => false, ready: () => false, behind: () => false };
  const { table, target } = plan({
    view: origin,
    members,
    slots: origin.slots,
    reports: none,
    isDead: () => false,
    lossTimeoutPassed: () => false,
    restart: true,
  });
  const parent = origin.parent ?? { lineage: origin.lineage, number: origin.number };
  return { ...origin, lineage, number: origin.number + 1, parent, members, table, target };
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
  ordered: boolean,
): View {
  const members = [{ id: founder.id, address: founder.address, leaving: false }];
  const slots = slotsOf(structures);
  return {
    lineage,
    number: 1,
    ordered,
    parent: null,
    replaced: [],
    members,
    slots,
    ...foundingPlan(founder.id, partitionCount),
    structures,
    toggles: NO_TOGGLES,
  };
}
