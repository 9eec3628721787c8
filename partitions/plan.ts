/**
 * The partition table of the next view, as a pure function of the present one and of what primaries reported.
 * An entry moves to its target in steps, each a view, so that no step lowers the number of level replicas:
 *   1. `moving`: every synced replica is waited for from now on; missing members are added as syncing;
 *   2. members that the primary reported complete become synced;
 *   3. planned handover: the target's primary comes first, the old one stays as a backup until it has confirmed;
 *   4. settled under its primary: extra replicas are dropped, `moving` ends.
 * A step is taken only when the entry is settled, that is when its primary has reported that it serves and that
 * all synced replicas are level. Called by the proposer of a view (`src/member`).
 */
import type { MemberId, MemberInfo, Replica, TableEntry, View } from '../src/cluster/view.js';
import { assign, partitionGroups } from './assign.js';

/** Former holders of a partition that an entry names. */
const MAX_REMEMBERED = 8;

/** What primaries reported for the present view. */
export interface PartitionReports {
  settled(partition: number): boolean;
  ready(partition: number, member: MemberId): boolean;
  /** Of a backup: it cannot be brought level. Of the primary itself: it was taken for a holder, and has nothing. */
  behind(partition: number, member: MemberId): boolean;
  /** Its primary has served another lineage meanwhile, and needs an epoch of its own to serve this one. */
  stale?(partition: number): boolean;
}

export interface PlanInput {
  readonly view: View;
  /** Members of the next view, oldest first. */
  readonly members: readonly MemberInfo[];
  /** Backup slots of the next view. */
  readonly slots: number;
  readonly reports: PartitionReports;
  /** The process certainly ended or left, so that its replicas will never come back. */
  readonly isDead: (id: MemberId) => boolean;
  /** The time to wait for the last holders of partitions is over. */
  readonly lossTimeoutPassed: (partition: number) => boolean;
  /** Every partition begins a new epoch: a fork begins, or members come back from forks. */
  readonly restart?: boolean;
  /**
   * While a structure is `consistent`, the backups that its writes wait for; else null: a replica behind that many may
   * lack acknowledged writes of it, and is never promoted.
   */
  readonly fewestSync?: number | null;
}

export interface Plan {
  readonly table: readonly TableEntry[];
  readonly target: readonly (readonly MemberId[])[];
}

export function plan(input: PlanInput): Plan {
  const target = targetOf(input);
  const present = new Set(input.members.map((member) => member.id));
  const table = input.view.table.map((entry, partition) =>
    advance(
      restarted(survive(entry, partition, input, present, target[partition] ?? []), partition, input),
      input.view.number + 1,
      target[partition] ?? [],
    ),
  );
  return { table, target };
}

/** The same replicas under a new epoch, when the primary has to take over once more. */
function restarted(entry: TableEntry, partition: number, input: PlanInput): TableEntry {
  if (entry.replicas.length === 0) return entry;
  if (input.restart !== true && input.reports.stale?.(partition) !== true) return entry;
  const epoch = input.view.number + 1;
  return { ...entry, epoch, settled: false, lastSynced: lastProven(entry), proven: provenOf(entry, input) };
}

/** The table of a lineage's first view: one member has it all, empty. */
export function foundingPlan(founder: MemberId, partitionCount: number): Plan {
  const entry: TableEntry = {
    replicas: [{ member: founder, synced: true }],
    epoch: 1,
    settled: false,
    moving: false,
    generation: 0,
    lastSynced: [],
    proven: [],
  };
  const partitions = Array.from({ length: partitionCount });
  return { table: partitions.map(() => entry), target: partitions.map(() => [founder]) };
}

function targetOf({ view, members, slots }: PlanInput): readonly (readonly MemberId[])[] {
  const staying = members.filter((member) => !member.leaving);
  if (staying.length === 0) {
    // All leave, and hand over to nobody: what moves already may go on, but not to one that is gone.
    const present = new Set(members.map((member) => member.id));
    return view.target.map((row) => row.filter((id) => present.has(id)));
  }
  const before = view.members.filter((member) => !member.leaving);
  const same = staying.length === before.length && staying.every((member, i) => member.id === before[i]?.id);
  // The target is kept while nothing it depends on changes, or half-done moves would be planned anew each time.
  if (same && slots === view.slots) return view.target;
  const hosts = staying.map((member) => ({ id: member.id, host: hostOf(member.address) }));
  return assign({
    members: partitionGroups(hosts),
    partitionCount: view.table.length,
    backups: slots,
    current: view.table.map((entry) => entry.replicas.map((replica) => replica.member)),
  });
}

export function hostOf(address: string): string {
  return address.slice(0, address.lastIndexOf(':'));
}

/** Removes members that are gone, applies reports, promotes, and deals with a partition that nobody holds. */
function survive(
  entry: TableEntry,
  partition: number,
  input: PlanInput,
  present: ReadonlySet<MemberId>,
  target: readonly MemberId[],
): TableEntry {
  const { reports } = input;
  const primary = entry.replicas[0]?.member;
  if (primary !== undefined && reports.behind(partition, primary)) {
    const has = (id: MemberId) => id !== primary;
    // Judged where they stand: without the first, one that was never waited for would seem to have been.
    const isHolder = ({ member }: Replica) => has(member) && mayLead(entry, member, input);
    const replicas = entry.replicas.filter(isHolder);
    const others = { ...entry, replicas, lastSynced: entry.lastSynced.filter(has) };
    return orphan({ ...others, proven: entry.proven.filter(has) }, partition, input, present, target);
  }
  const kept = entry.replicas
    .filter((replica) => present.has(replica.member))
    .map((replica) => reported(replica, replica.member === primary, partition, reports));
  const synced = kept.filter((replica) => replica.synced);
  const settled = entry.settled || reports.settled(partition);
  const first = synced[0]?.member;
  const isProven = settled || first === primary || isAmongProven(entry, first, input);
  if (first === undefined || !isProven || !mayLead(entry, first, input))
    return orphan(entry, partition, input, present, target);
  const ordered = [...synced, ...kept.filter((replica) => !replica.synced)];
  if (primary !== undefined && kept[0]?.member === primary) {
    // A backup that moves up counts for structures that have not waited for it so far: it has to be level first.
    const movesUp = ordered.some(({ member, synced: isSynced }, index) => {
      return isSynced && index < entry.replicas.findIndex((replica) => replica.member === member);
    });
    const lastSynced = ordered.length < entry.replicas.length ? lastProven(entry) : entry.lastSynced;
    const isSettled = settled && !movesUp;
    // It has none of what was acknowledged without it: nothing is served until it has, so that those before it can lead.
    const isNew = ordered.some(({ member }, index) => {
      return index <= (input.fewestSync ?? -1) && !mayLead(entry, member, input);
    });
    const proven = isSettled ? [] : isNew ? provenOf(entry, input) : entry.proven;
    return { ...entry, replicas: ordered, settled: isSettled, lastSynced, proven };
  }
  // The lowest surviving synced index takes over.
  const lastSynced = lastProven(entry);
  const proven = provenOf(entry, input);
  return { ...entry, replicas: ordered, epoch: input.view.number + 1, settled: false, lastSynced, proven };
}

/** There are `consistent` structures. */
function isStrict({ fewestSync = null }: PlanInput): boolean {
  return fewestSync !== null;
}

/** Until an entry is settled, positions in it prove nothing to `consistent` structures: who was further back moves up. */
function isAmongProven({ proven }: TableEntry, member: MemberId | undefined, input: PlanInput): boolean {
  if (!isStrict(input) || proven.length === 0) return true;
  return member !== undefined && proven.includes(member);
}

/** Who had everything when a primary last served `consistent` structures; the present one has if it needed no proof. */
function provenOf(entry: TableEntry, input: PlanInput): readonly MemberId[] {
  if (entry.proven.length > 0) return entry.proven;
  return entry.replicas
    .filter(({ member, synced }) => synced && mayLead(entry, member, input))
    .map(({ member }) => member)
    .slice(0, MAX_REMEMBERED);
}

/**
 * Who had everything before replicas were lost: they are remembered until all are back in their places. The one that is
 * left may die as well, and a view can even name a member that has died meanwhile, because what was once accepted has to
 * be brought to its end.
 */
function lastProven({ lastSynced, replicas }: TableEntry): readonly MemberId[] {
  const synced = replicas.filter((replica) => replica.synced).map(({ member }) => member);
  return [...new Set([...synced, ...lastSynced])].slice(0, MAX_REMEMBERED);
}

/** Whether the member has everything that was acknowledged, also for `consistent` structures. */
function mayLead(entry: TableEntry, member: MemberId | undefined, { fewestSync = null }: PlanInput): boolean {
  if (fewestSync === null) return true;
  return entry.replicas.findIndex((replica) => replica.member === member) <= fewestSync;
}

function reported(
  replica: Replica,
  isPrimary: boolean,
  partition: number,
  reports: PartitionReports,
): Replica {
  if (isPrimary) return replica;
  if (!replica.synced && reports.ready(partition, replica.member)) return { ...replica, synced: true };
  if (replica.synced && reports.behind(partition, replica.member)) return { ...replica, synced: false };
  return replica;
}

/** No synced replica is left in the view: wait for one of the last holders, or start empty when none can come. */
function orphan(
  entry: TableEntry,
  partition: number,
  input: PlanInput,
  present: ReadonlySet<MemberId>,
  target: readonly MemberId[],
): TableEntry {
  const synced = entry.replicas
    .filter((replica) => replica.synced && mayLead(entry, replica.member, input))
    .map((replica) => replica.member);
  const holdersNow = synced.length > 0 ? synced : entry.lastSynced;
  const newest = isStrict(input) && entry.proven.length > 0 ? entry.proven : holdersNow;
  // What the newest holders may have beyond the last proven ones is merged when they return; `consistent` structures
  // can not do without it.
  const holders = isStrict(input) ? newest : [...new Set([...newest, ...entry.lastSynced])];
  const number = input.view.number + 1;
  const taken = { ...entry, epoch: number, settled: false, moving: true };
  const isThere = (id: MemberId) => present.has(id);
  const returned = newest.some(isThere) ? newest.filter(isThere) : holders.filter(isThere);
  if (returned.length > 0)
    return {
      ...taken,
      replicas: returned.map((member) => ({ member, synced: true })),
      lastSynced: holders.slice(0, MAX_REMEMBERED),
      proven: newest.slice(0, MAX_REMEMBERED),
    };
  const isDead = holders.length > 0 && holders.every((id) => input.isDead(id));
  const gone = isDead || input.lossTimeoutPassed(partition);
  const first = target[0];
  if (!gone || first === undefined)
    return {
      ...entry,
      replicas: [],
      lastSynced: holders.slice(0, MAX_REMEMBERED),
      proven: [],
      settled: false,
    };
  const replicas = [{ member: first, synced: true }];
  return { ...taken, replicas, lastSynced: [], proven: [], generation: number };
}

/** One step of an entry towards its target. */
function advance(entry: TableEntry, number: number, target: readonly MemberId[]): TableEntry {
  const { replicas } = entry;
  if (!entry.settled || replicas.length === 0 || target.length === 0) return entry;
  const wanted = replicas.filter((replica) => replica.synced || target.includes(replica.member));
  const held = new Set(wanted.map((replica) => replica.member));
  const missing = target.filter((id) => !held.has(id)).map((member) => ({ member, synced: false }));
  if (isAt(wanted, target)) return { ...entry, replicas: wanted, moving: false, lastSynced: [] };
  if (!entry.moving) return { ...entry, replicas: [...wanted, ...missing], moving: true, settled: false };
  const syncedNow = new Set(wanted.filter((replica) => replica.synced).map((replica) => replica.member));
  if (!target.every((id) => syncedNow.has(id))) return { ...entry, replicas: [...wanted, ...missing] };
  const ordered = target.map((member) => ({ member, synced: true }));
  if (target[0] === replicas[0]?.member)
    return { ...entry, replicas: ordered, moving: false, lastSynced: [] };
  const extra = wanted.filter((replica) => !target.includes(replica.member));
  return { ...entry, replicas: [...ordered, ...extra], epoch: number, settled: false };
}

function isAt(replicas: readonly Replica[], target: readonly MemberId[]): boolean {
  return (
    replicas.length === target.length &&
    replicas.every((replica, i) => replica.synced && replica.member === target[i])
  );
}
