/** The plan of the next table over random histories of joins, leaves, crashes, returns and reports. */

import { describe, expect, it } from 'vitest';
import { foundingPlan, type PartitionReports, type PlanInput, plan } from '../../partitions/plan.js';
import { SeededRandom } from '../../src/base/random.js';
import { NO_TOGGLES } from '../../src/cluster/toggle.js';
import type { MemberId, MemberInfo, TableEntry, View } from '../../src/cluster/view.js';

const PARTITIONS = 7;

const ALL_REPORTED: PartitionReports = { settled: () => true, ready: () => true, behind: () => false };
const NONE_REPORTED: PartitionReports = { settled: () => false, ready: () => false, behind: () => false };

function info(id: MemberId, leaving = false): MemberInfo {
  return { id, address: `host:${id.slice(1)}`, leaving };
}

function founded(slots: number): View {
  const members = [info('m1')];
  return {
    lineage: 'l',
    ordered: false,
    parent: null,
    replaced: [],
    number: 1,
    members,
    slots,
    structures: [],
    toggles: NO_TOGGLES,
    ...foundingPlan('m1', PARTITIONS),
  };
}

function inputFor(view: View, change: Partial<PlanInput> = {}): PlanInput {
  return {
    view,
    members: view.members,
    slots: view.slots,
    reports: NONE_REPORTED,
    isDead: () => false,
    lossTimeoutPassed: () => false,
    ...change,
  };
}

function apply(view: View, input: PlanInput): View {
  return { ...view, number: view.number + 1, members: input.members, slots: input.slots, ...plan(input) };
}

/** Until nothing changes any more, with everything reported. */
function settleDown(view: View, change: Partial<PlanInput> = {}): View {
  let now = view;
  for (let step = 0; step < 12; step++) {
    const next = apply(now, inputFor(now, { reports: ALL_REPORTED, ...change }));
    if (JSON.stringify(next.table) === JSON.stringify(now.table)) return next;
    now = next;
  }
  throw new Error('the moves do not end');
}

function syncedOf(entry: TableEntry): MemberId[] {
  return entry.replicas.filter(({ synced }) => synced).map(({ member }) => member);
}

/** Everything that must hold between two tables, whatever happened. */
function check(
  before: TableEntry,
  after: TableEntry,
  partition: number,
  input: PlanInput,
  target: readonly MemberId[],
): void {
  const { reports } = input;
  const present = (id: MemberId) => input.members.some((member) => member.id === id);
  const ids = after.replicas.map(({ member }) => member);
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids.every(present)).toBe(true);

  const primary = before.replicas[0]?.member;
  if (primary !== undefined && reports.behind(partition, primary)) {
    // It was taken for a holder and has nothing: as if it had never been named.
    const others = before.replicas.filter(
      ({ member }) => member !== primary && mayLead(before, member, input),
    );
    const lastSynced = before.lastSynced.filter((id) => id !== primary);
    const proven = before.proven.filter((id) => id !== primary);
    checkOrphan({ ...before, replicas: others, lastSynced, proven }, after, partition, input, target);
    return;
  }
  const isSynced = ({ member, synced }: { member: MemberId; synced: boolean }) =>
    member === primary
      ? synced
      : synced
        ? !reports.behind(partition, member)
        : reports.ready(partition, member);
  const survivors = before.replicas
    .filter((replica) => present(replica.member) && isSynced(replica))
    .map(({ member }) => member);
  const isLevel = before.settled || reports.settled(partition) || survivors[0] === primary;
  const isProven = isLevel || before.proven.length === 0 || before.proven.includes(survivors[0] as MemberId);
  if (!mayLead(before, survivors[0], input) || (isStrict(input) && !isProven)) {
    checkOrphan(before, after, partition, input, target);
    return;
  }
  expect(after.generation).toBe(before.generation);
  expect(after.replicas.length).toBeGreaterThan(0);
  // Only reported members become synced, and no step drops a level replica before its successors are level.
  for (const member of syncedOf(after)) expect(survivors).toContain(member);
  expect(syncedOf(after).length).toBeGreaterThanOrEqual(Math.min(survivors.length, target.length));
  const isNew = input.restart === true || reports.stale?.(partition) === true;
  const wasSettled = !isNew && (before.settled || reports.settled(partition));
  if (!wasSettled) expect(syncedOf(after).sort()).toEqual([...survivors].sort());

  const leader = after.replicas[0]?.member;
  expect(after.replicas[0]?.synced).toBe(true);
  if (primary !== undefined && !present(primary)) expect(leader).toBe(survivors[0]);
  else if (!wasSettled) expect(leader).toBe(primary);
  if (leader === primary && !isNew) expect(after.epoch).toBe(before.epoch);
  else {
    expect(after.epoch).toBe(input.view.number + 1);
    expect(after.settled).toBe(false);
  }
}

function isStrict({ fewestSync }: PlanInput): boolean {
  return fewestSync !== undefined && fewestSync !== null;
}

/** It was waited for by every write that a consistent structure has acknowledged, when the entry was last settled. */
function mayLead(before: TableEntry, member: MemberId | undefined, { fewestSync }: PlanInput): boolean {
  if (member === undefined) return false;
  const index = before.replicas.findIndex((replica) => replica.member === member);
  return fewestSync === undefined || fewestSync === null || index <= fewestSync;
}

/**
 * Who has every acknowledged write of consistent structures at the end of a view, told from what its members do and not
 * from what the plan remembers: nothing is acknowledged while the entry asks for proof.
 */
function complete(
  before: ReadonlySet<MemberId>,
  entry: TableEntry,
  partition: number,
  { reports, fewestSync }: PlanInput,
): ReadonlySet<MemberId> {
  // A backup that is not what it was taken for says so when it is to lead.
  const primary = entry.replicas[0]?.member;
  const isBehind = (id: MemberId) => id === primary && reports.behind(partition, id);
  const waited = syncedOf(entry).filter((id) => {
    const index = entry.replicas.findIndex(({ member }) => member === id);
    return entry.moving || index <= (fewestSync as number);
  });
  const isLevel =
    primary !== undefined && !isBehind(primary) && (entry.settled || reports.settled(partition));
  const isAsked = !entry.settled && (primary === undefined || entry.proven.length > 0);
  // Copied as a whole, and waited for since.
  const copied = entry.replicas.filter(({ member, synced }) => !synced && reports.ready(partition, member));
  const kept = isAsked ? [...before] : waited.filter((id) => isLevel || before.has(id));
  const all = [...kept, ...(isLevel ? waited : []), ...copied.map(({ member }) => member)];
  return new Set(all.filter((id) => !isBehind(id)));
}

function checkOrphan(
  before: TableEntry,
  after: TableEntry,
  partition: number,
  input: PlanInput,
  target: readonly MemberId[],
): void {
  const present = (id: MemberId) => input.members.some((member) => member.id === id);
  const mayCount = syncedOf(before).filter((member) => mayLead(before, member, input));
  const holders = mayCount.length > 0 ? mayCount : before.lastSynced;
  const newest = isStrict(input) && before.proven.length > 0 ? before.proven : holders;
  // Those that had everything when a primary last said so are better than nobody, but for consistent structures.
  const last = isStrict(input) ? newest : [...new Set([...newest, ...before.lastSynced])];
  const back = newest.some(present) ? newest.filter(present) : last.filter(present);
  if (back.length > 0) {
    expect(syncedOf(after)).toEqual(back);
    expect(after.proven).toEqual(newest);
    expect(after.generation).toBe(before.generation);
    expect(after.epoch).toBe(input.view.number + 1);
  } else if (
    target.length > 0 &&
    (input.lossTimeoutPassed(partition) || (last.length > 0 && last.every((id) => input.isDead(id))))
  ) {
    expect(after.replicas).toHaveLength(1);
    expect(after.generation).toBe(input.view.number + 1);
    expect(after.epoch).toBe(input.view.number + 1);
  } else {
    expect(after.replicas).toEqual([]);
    expect(after.lastSynced).toEqual(last);
    expect(after.generation).toBe(before.generation);
  }
}

class History {
  readonly #random: SeededRandom;
  readonly #gone: MemberId[] = [];
  readonly #dead = new Set<MemberId>();
  #next = 2;
  readonly #fewestSync: number | null;
  /** Of each partition. */
  readonly #complete: ReadonlySet<MemberId>[];
  view: View;
  readonly reached = { promotions: 0, handovers: 0, orphans: 0, revived: 0, emptied: 0, becameSynced: 0 };

  constructor(seed: number) {
    this.#random = new SeededRandom(seed, 'plan');
    this.view = founded(this.#random.below(4));
    this.#fewestSync = [null, null, 1, 2][this.#random.below(4)] as number | null;
    this.#complete = this.view.table.map((entry) => new Set(syncedOf(entry)));
  }

  #oneIn(n: number): boolean {
    return this.#random.below(n) === 0;
  }

  #members(): MemberInfo[] {
    let members = this.view.members.map((member) => ({
      ...member,
      leaving: member.leaving || this.#oneIn(25),
    }));
    const kept = members.filter(({ id }) => {
      if (!this.#oneIn(8)) return true;
      if (this.#oneIn(2)) this.#dead.add(id);
      else this.#gone.push(id);
      return false;
    });
    if (kept.length > 0) members = kept;
    if (members.length < 7 && this.#oneIn(3)) members.push(info(`m${this.#next++}`));
    const back = this.#oneIn(3) ? this.#gone.shift() : undefined;
    if (back !== undefined && !members.some(({ id }) => id === back)) members.push(info(back));
    return members;
  }

  /** Each report is there or not; the same answer for the same question. */
  #reports(): PartitionReports {
    const seed = this.#random.uint32();
    const draw = (text: string) => new SeededRandom(seed, text).float();
    const settled = (p: number) => draw(`s${p}`) < 0.6;
    // A primary that has nothing knows it from the first view of its epoch on.
    const hasSettled = (p: number, m: MemberId) => {
      const { replicas, epoch } = this.view.table[p] as TableEntry;
      return replicas[0]?.member === m && (epoch !== this.view.number || settled(p));
    };
    return {
      settled,
      ready: (p, m) => draw(`r${p}${m}`) < 0.5,
      behind: (p, m) => !hasSettled(p, m) && draw(`b${p}${m}`) < 0.05,
      stale: (p) => draw(`t${p}`) < 0.03,
    };
  }

  step(): void {
    const seed = this.#random.uint32();
    const input = inputFor(this.view, {
      members: this.#members(),
      slots: this.#oneIn(20) ? this.#random.below(4) : this.view.slots,
      reports: this.#reports(),
      isDead: (id) => this.#dead.has(id),
      lossTimeoutPassed: (p) => new SeededRandom(seed, `${p}`).float() < 0.1,
      restart: this.#oneIn(20),
      fewestSync: this.#fewestSync,
    });
    const next = apply(this.view, input);
    next.table.forEach((after, partition) => {
      const before = this.view.table[partition] as TableEntry;
      check(before, after, partition, input, next.target[partition] ?? []);
      if (isStrict(input)) this.#checkLeader(before, after, partition, input);
      this.#count(before, after);
    });
    this.view = next;
  }

  #checkLeader(before: TableEntry, after: TableEntry, partition: number, input: PlanInput): void {
    const all = complete(this.#complete[partition] as ReadonlySet<MemberId>, before, partition, input);
    const [was, is] = [before.replicas[0]?.member, after.replicas[0]?.member];
    const isEmptied = after.generation > before.generation;
    if (is !== undefined && is !== was && !isEmptied)
      expect(all, `${JSON.stringify(before)} to ${JSON.stringify(after)}`).toContain(is);
    this.#complete[partition] = isEmptied ? new Set([is as MemberId]) : all;
  }

  #count(before: TableEntry, after: TableEntry): void {
    const [was, is] = [before.replicas[0]?.member, after.replicas[0]?.member];
    if (was !== undefined && is === undefined) this.reached.orphans++;
    if (was === undefined && is !== undefined)
      this.reached[after.generation > before.generation ? 'emptied' : 'revived']++;
    if (was !== undefined && is !== undefined && was !== is) {
      const planned = after.replicas.some(({ member }) => member === was);
      this.reached[planned ? 'handovers' : 'promotions']++;
    }
    const old = new Set(syncedOf(before));
    if (was !== undefined && syncedOf(after).some((id) => !old.has(id))) this.reached.becameSynced++;
  }
}

describe('the plan of the next table', () => {
  it('keeps its promises over random histories, and its moves end', () => {
    const total: Record<string, number> = {};
    for (let seed = 1; seed <= 80; seed++) {
      const history = new History(seed);
      for (let step = 0; step < 40; step++) history.step();
      for (const [state, count] of Object.entries(history.reached))
        total[state] = (total[state] ?? 0) + count;
      const end = settleDown(history.view, { lossTimeoutPassed: () => true });
      checkEnd(end);
    }
    console.log('reached:', JSON.stringify(total));
    for (const [state, count] of Object.entries(total)) expect(count, state).toBeGreaterThan(50);
  });

  it('starts with everything on the founder', () => {
    const { table, target } = foundingPlan('m1', 3);
    expect(table.map(syncedOf)).toEqual([['m1'], ['m1'], ['m1']]);
    expect(target).toEqual([['m1'], ['m1'], ['m1']]);
  });

  it('promotes the lowest surviving synced index, not a syncing one before it', () => {
    const view = withEntry(['m1', 'm2?', 'm3', 'm4'], ['m1', 'm2', 'm3', 'm4']);
    const after = plan(inputFor(view, { members: without(view, 'm1') })).table[0] as TableEntry;
    expect(after.replicas.map(({ member }) => member)).toEqual(['m3', 'm4', 'm2']);
    expect(after.replicas.map(({ synced }) => synced)).toEqual([true, true, false]);
    expect(after.epoch).toBe(view.number + 1);
  });

  it('lets nobody lead who is behind the fewest sync backups, and waits for those that may', () => {
    const view = withEntry(['m1', 'm2', 'm3'], ['m1', 'm2', 'm3']);
    const tableWithout = (gone: readonly MemberId[], fewestSync: number | null) =>
      plan(inputFor(view, { members: view.members.filter(({ id }) => !gone.includes(id)), fewestSync }))
        .table[0];
    expect(tableWithout(['m1', 'm2'], 1)).toMatchObject({ replicas: [], lastSynced: ['m1', 'm2'] });
    expect(tableWithout(['m1', 'm2'], 2)?.replicas[0]?.member).toBe('m3');
    expect(tableWithout(['m1', 'm2'], null)?.replicas[0]?.member).toBe('m3');
    expect(tableWithout(['m1'], 1)?.replicas[0]?.member).toBe('m2');
    const waiting = { ...view, number: 10, table: [tableWithout(['m1', 'm2'], 1) as TableEntry] };
    const back = (ids: readonly MemberId[]) =>
      plan(inputFor(waiting, { members: ids.map((id) => info(id)), fewestSync: 1 })).table[0];
    expect(back(['m3', 'm4'])?.replicas).toEqual([]);
    expect(back(['m3', 'm2'])?.replicas).toEqual([{ member: 'm2', synced: true }]);
  });

  it('begins a new epoch everywhere at a restart, and in a stale partition, with the same replicas', () => {
    const view = settleDown(withMembers(['m1', 'm2', 'm3']));
    const stale = plan(inputFor(view, { reports: { ...NONE_REPORTED, stale: (p) => p === 2 } })).table;
    const all = plan(inputFor(view, { restart: true })).table;
    for (const [p, entry] of view.table.entries()) {
      const lastSynced = syncedOf(entry);
      const proven = lastSynced;
      expect(all[p]).toEqual({ ...entry, epoch: view.number + 1, settled: false, lastSynced, proven });
      expect(stale[p]).toEqual(p === 2 ? all[p] : entry);
    }
  });

  it('goes back to those that had everything when a promoted replica dies before it has reported', () => {
    const promoted = apply(
      withEntry(['m1', 'm2', 'm3'], ['m1', 'm2', 'm3']),
      inputFor(withEntry(['m1', 'm2', 'm3'], ['m1', 'm2', 'm3']), { members: [info('m3'), info('m4')] }),
    );
    expect(promoted.table[0]).toMatchObject({ settled: false, lastSynced: ['m1', 'm2', 'm3'] });
    const members = [info('m2'), info('m4')];
    const back = plan(inputFor(promoted, { members })).table[0];
    expect(back?.replicas[0]).toEqual({ member: 'm2', synced: true });
    // Nothing consistent is served before the primary has reported; after that only its own holders can bring it back.
    const strict = { members, fewestSync: 2 };
    expect(plan(inputFor(promoted, strict)).table[0]?.replicas).toEqual([{ member: 'm2', synced: true }]);
    const here = { members: [info('m3'), info('m4')], reports: ALL_REPORTED, fewestSync: 2 };
    const served = apply(promoted, inputFor(promoted, { ...here, slots: 0 }));
    expect(served.table[0]).toMatchObject({ proven: [], settled: true });
    expect(plan(inputFor(served, strict)).table[0]).toMatchObject({ replicas: [], lastSynced: ['m3'] });
    // Once all replicas are back in their places, they alone count.
    const present = { members: [info('m3'), info('m4')] };
    const whole = settleDown(apply(promoted, inputFor(promoted, present)), present);
    expect(whole.table[0]?.lastSynced).toEqual([]);
  });

  it('never remembers more holders than a view can name', () => {
    const many = Array.from({ length: 8 }, (_, i) => `m${i + 10}`);
    const lastSynced = Array.from({ length: 8 }, (_, i) => `m${i + 20}`);
    const view = withEntry(many, many, { moving: true, settled: false, lastSynced });
    const after = plan(inputFor(view, { members: [info('m1')] })).table[0];
    expect(after).toMatchObject({ replicas: [], lastSynced: many });
  });

  it('drops a primary that has nothing, and says whom it waits for instead', () => {
    const named = withEntry(['m1', 'm2'], ['m1', 'm2'], { settled: false, lastSynced: ['m1', 'm2', 'm9'] });
    const behind = (p: number, id: MemberId) => p === 0 && id === 'm1';
    const reports = { ...NONE_REPORTED, behind };
    const other = plan(inputFor(named, { reports })).table[0];
    expect(other?.replicas.map(({ member }) => member)).toEqual(['m2']);
    expect(other).toMatchObject({ epoch: named.number + 1, generation: 0 });
    const alone = withEntry(['m1'], ['m1'], {
      settled: false,
      lastSynced: ['m1', 'm9'],
      proven: ['m1', 'm8'],
    });
    expect(plan(inputFor(alone, { reports })).table[0]).toMatchObject({ replicas: [], lastSynced: ['m9'] });
    const strict = plan(inputFor(alone, { reports, fewestSync: 1 })).table[0];
    expect(strict).toMatchObject({ replicas: [], lastSynced: ['m8'] });
    // That nobody is known who may hold it is no proof of a loss.
    const nobody = withEntry(['m1'], ['m1'], { settled: false });
    const input = inputFor(nobody, { reports, isDead: () => true });
    expect(plan(input).table[0]).toMatchObject({ replicas: [], generation: 0 });
  });

  it('leaves a primary that has not settled where it is, although its target is another', () => {
    const view = withEntry(['m1', 'm2'], ['m2', 'm1'], { settled: false });
    expect(plan(inputFor(view)).table[0]?.replicas[0]?.member).toBe('m1');
  });

  it('hands a primary over only when all of the target is level, and keeps the old one until it has settled', () => {
    const view = withEntry(['m1', 'm2'], ['m2', 'm3']);
    const moving = apply(view, inputFor(view));
    expect(moving.table[0]).toMatchObject({ moving: true, settled: false });
    expect(moving.table[0]?.replicas.map(({ member }) => member)).toEqual(['m1', 'm2', 'm3']);
    const settled = apply(moving, inputFor(moving, { reports: { ...ALL_REPORTED, ready: () => false } }));
    expect(settled.table[0]?.replicas[0]?.member).toBe('m1');
    const handed = apply(settled, inputFor(settled, { reports: ALL_REPORTED }));
    expect(handed.table[0]?.replicas.map(({ member }) => member)).toEqual(['m2', 'm3', 'm1']);
    expect(handed.table[0]).toMatchObject({ settled: false, epoch: handed.number });
    const unconfirmed = apply(handed, inputFor(handed));
    expect(unconfirmed.table[0]?.replicas).toHaveLength(3);
    const end = apply(unconfirmed, inputFor(unconfirmed, { reports: ALL_REPORTED }));
    expect(end.table[0]?.replicas.map(({ member }) => member)).toEqual(['m2', 'm3']);
    expect(end.table[0]).toMatchObject({ moving: false, settled: true, epoch: handed.number });
  });

  it('takes nobody for a new home that is leaving, and empties those that are', () => {
    let view = settleDown(withMembers(['m1', 'm2', 'm3']));
    view = { ...view, members: view.members.map((member) => ({ ...member, leaving: false })) };
    const members = view.members.map((member) => info(member.id, member.id === 'm2'));
    const end = settleDown(view, { members });
    expect(end.table.flatMap(({ replicas }) => replicas).some(({ member }) => member === 'm2')).toBe(false);
    expect(end.table.every(({ replicas }) => replicas.length === 2)).toBe(true);
  });

  it('keeps the target as it is while nothing changes that it depends on', () => {
    const view = settleDown(withMembers(['m1', 'm2', 'm3']));
    expect(plan(inputFor(view)).target).toBe(view.target);
  });
});

function checkEnd(view: View): void {
  const staying = view.members.filter(({ leaving }) => !leaving);
  view.table.forEach((entry, partition) => {
    expect(entry.replicas.every(({ synced }) => synced)).toBe(true);
    if (staying.length === 0) return;
    expect(entry).toMatchObject({ settled: true, moving: false });
    expect(entry.replicas.map(({ member }) => member)).toEqual(view.target[partition]);
    expect(entry.replicas).toHaveLength(Math.min(view.slots + 1, staying.length));
  });
}

function withMembers(ids: readonly MemberId[]): View {
  const view = founded(1);
  return apply(view, inputFor(view, { members: ids.map((id) => info(id)) }));
}

function without(view: View, id: MemberId): MemberInfo[] {
  return view.members.filter((member) => member.id !== id);
}

/** One partition among m1..m4; `?` marks a syncing replica. */
function withEntry(
  replicas: readonly string[],
  target: readonly MemberId[],
  change: Partial<TableEntry> = {},
): View {
  const entry: TableEntry = {
    replicas: replicas.map((text) => ({ member: text.replace('?', ''), synced: !text.endsWith('?') })),
    epoch: 3,
    settled: true,
    moving: false,
    generation: 0,
    lastSynced: [],
    proven: [],
    ...change,
  };
  const members = ['m1', 'm2', 'm3', 'm4'].map((id) => info(id));
  return {
    lineage: 'l',
    ordered: false,
    parent: null,
    replaced: [],
    number: 9,
    members,
    slots: 1,
    structures: [],
    toggles: NO_TOGGLES,
    table: [entry],
    target: [target],
  };
}
