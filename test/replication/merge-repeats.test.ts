/** Calls that both sides of a split know, and records that cannot be taken: nothing counts twice or goes silently. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { MAP_OPERATIONS } from '../../partitions/services/map/ops.js';
import { mapService } from '../../partitions/services/map/service.js';
import { WindowsCopy } from '../../partitions/sessions.js';
import { Reader, Writer } from '../../src/base/bytes.js';
import { encodeKey } from '../../src/wire/keys.js';
import { CHAIN, codec, FORK, OPTIONS, Parting, type Side, viewOf, type World } from './merge-harness.js';

const OTHER_FORK = '00000003-0000-4000-8000-000000000000';

let sides: Parting;
let world: World;
let owner: Side;
let spare: Side;
let source: Side;
let second: Side;

beforeEach(() => {
  sides = new Parting();
  ({ world, owner, spare, source, second } = sides);
});

/** They are the members of a view, in which the other ones hold nothing. */
function see(lineage: string, number: number, among: readonly Side[], others: readonly Side[] = []): void {
  for (const side of [...among, ...others]) side.view = viewOf(lineage, number, number, among, others);
}

/** A new replica has the windows of another one from a copy. */
function copyWindows({ here: { sessions } }: Side): void {
  const out = new Writer();
  new WindowsCopy(sessions).next(Number.POSITIVE_INFINITY, out);
  sessions.clear();
  sessions.paste(new Reader(out.toBytes()), 0);
}

describe('calls', () => {
  /** An addition that both sides applied themselves; the source's log and tail have let go of it. */
  function repeatedAddition(released: readonly Side[]): void {
    sides.together();
    source.add('n', 1n, { client: 8, sequence: 1 });
    sides.part();
    source.add('n', 10n, { client: 9, sequence: 1 });
    source.add('n', 100n, { client: 9, sequence: 2 });
    owner.add('n', 10n, { client: 9, sequence: 1 });
    for (const side of released) side.add('m', 1n, { client: 9, sequence: side === owner ? 3 : 4, below: 3 });
    for (const { here } of [source, second]) {
      here.log.clear();
      here.tail.clear();
    }
  }

  it('that added on both sides count once, also when log and tail have let go of them', () => {
    repeatedAddition([]);
    sides.heal();
    sides.finish();
    expect([sides.left(), owner.long('n'), spare.contents()]).toEqual([[0, 0], 111n, owner.contents()]);
  });

  it('that added on both sides count once when both windows have released them', () => {
    repeatedAddition([source, owner]);
    sides.heal();
    sides.finish();
    expect([sides.left(), owner.long('n'), owner.long('m')]).toEqual([[0, 0], 111n, 2n]);
  });

  it('that added on both sides count once when the backup of the source brings them', () => {
    repeatedAddition([source, owner]);
    source.flush();
    sides.heal();
    world.crash(source);
    sides.finish();
    expect([second.leftovers.size, owner.long('n'), owner.long('m')]).toEqual([0, 111n, 2n]);
  });

  it('that added on both sides count once after the windows were copied', () => {
    repeatedAddition([source, owner]);
    copyWindows(source);
    sides.heal();
    world.crash(second);
    sides.finish();
    expect([source.leftovers.size, owner.long('n'), owner.long('m')]).toEqual([0, 111n, 2n]);
  });

  it('that were never answered are not told as done, also when log and tail have let go of them', () => {
    world.options = () => ({ ...OPTIONS, consistency: 'PC/EC' });
    sides.together();
    // On their way when the sides parted: the structure is consistent, so that nobody here may answer.
    sides.part();
    const request = { key: encodeKey('k'), value: codec.encode('v') };
    source.call(MAP_OPERATIONS.set, 'x', request, { client: 9, sequence: 1 });
    copyWindows(source);
    for (const { here } of [source, second]) {
      here.log.clear();
      here.tail.clear();
    }
    expect(source.here.sessions.find(9)?.find(1)).toBeDefined();
    sides.heal();
    sides.finish();
    expect([sides.left(), owner.get('x', 'k')]).toEqual([[0, 0], null]);
    expect(owner.here.sessions.find(9)?.find(1)).toBeUndefined();
  });

  /** The first application reaches nobody; the chain goes on without it, and applies the call again. */
  function addOnBothSides(followers: readonly Side[]): void {
    const call = { client: 9, sequence: 1 };
    world.run(100);
    source.lead(CHAIN, 1, [owner, spare, second]);
    see(CHAIN, 1, [source, owner, spare, second]);
    source.add('n', 1n, { client: 8, sequence: 1 });
    source.followers = [];
    source.add('n', 10n, call);
    owner.lead(CHAIN, 2, followers);
    see(CHAIN, 2, [owner, ...followers]);
    owner.add('n', 10n, call);
  }

  /** Who has released the call by then, because the chain has answered it; and what the fork consists of in the end. */
  const RELEASED = [
    ['nobody', 'its primary'],
    ['the source', 'its primary'],
    ['the source and the owner', 'its primary'],
    ['the source', 'its backup'],
    ['the source', 'a copy'],
    ['the fork', 'its primary'],
    ['the fork and the owner', 'its backup'],
    ['the fork', 'a copy'],
  ] as const;

  it.each(RELEASED)(
    'that a fork has from an earlier merge count once when the owner has applied them itself: %s has released them, and %s is merged',
    (who, what) => {
      const release = ({ here }: Side) => here.sessions.open(9, 0).release(2);
      addOnBothSides([]);
      if (who.startsWith('the source')) release(source);
      if (who.endsWith('the owner')) release(owner);
      // Two forks meet, of which one never heard of the call; then what they are together comes to the chain.
      spare.lead(FORK, 3, [second]);
      see(FORK, 3, [spare, second]);
      spare.add('n', 100n, { client: 8, sequence: 2 });
      source.leave();
      see(FORK, 4, [spare, second], [source]);
      world.run(2_000);
      expect([source.leftovers.size, spare.long('n')]).toEqual([0, 111n]);
      const last = what === 'its backup' ? second : spare;
      if (who.startsWith('the fork')) release(last);
      if (what === 'a copy') copyWindows(last);
      last.leave();
      see(CHAIN, 4, [owner], [source, spare, second]);
      world.run(2_000);
      expect([last.leftovers.size, owner.long('n')]).toEqual([0, 111n]);
    },
  );

  it('that came to two forks from one history, and are released, are one when the forks meet', () => {
    world.run(100);
    source.lead(CHAIN, 1, [owner, spare, second]);
    see(CHAIN, 1, [source, owner, spare, second]);
    source.add('n', 1n, { client: 8, sequence: 1 });
    source.followers = [second];
    source.add('n', 10n, { client: 9, sequence: 1 });
    for (const { here } of [source, second]) here.sessions.open(9, 0).release(2);
    owner.lead(CHAIN, 2);
    spare.lead(FORK, 3);
    source.leave();
    second.leave();
    see(CHAIN, 3, [owner], [source]);
    see(FORK, 4, [spare], [second]);
    world.run(2_000);
    expect([source.leftovers.size, second.leftovers.size]).toEqual([0, 0]);
    expect([owner.long('n'), spare.long('n')]).toEqual([11n, 11n]);
    spare.add('n', 100n, { client: 8, sequence: 2 });
    spare.leave();
    see(CHAIN, 4, [owner], [source, spare, second]);
    world.run(2_000);
    expect([spare.leftovers.size, owner.long('n')]).toEqual([0, 111n]);
  });

  it('that a fork has from an earlier merge are left out of maps where the owner has declared them void', () => {
    const call = { client: 9, sequence: 1 };
    world.run(100);
    source.lead(CHAIN, 1, [owner, spare]);
    see(CHAIN, 1, [source, owner, spare]);
    source.set('x', 'k', 'shared');
    // The write reaches nobody before the source is cut off; the chain declares it void, and tells the client.
    source.holdsBack = true;
    const request = { key: encodeKey('k'), value: codec.encode('void') };
    source.call(MAP_OPERATIONS.set, 'x', request, call);
    source.set('x', 'other', 'of the source');
    owner.lead(CHAIN, 2);
    see(CHAIN, 2, [owner]);
    expect(owner.resolve(mapService.id, 'x', call)).toEqual([{ kind: 'resolved', outcome: 'not done' }]);
    // A fork that never heard of it takes it in as done.
    spare.lead(FORK, 3);
    see(FORK, 3, [spare]);
    spare.set('x', 'third', 'of the fork');
    source.holdsBack = false;
    source.leave();
    see(FORK, 4, [spare], [source]);
    world.run(2_000);
    expect([source.leftovers.size, spare.get('x', 'k')]).toEqual([0, 'void']);
    spare.leave();
    see(CHAIN, 4, [owner], [source, spare]);
    world.run(2_000);
    expect(['k', 'other', 'third'].map((key) => owner.get('x', key))).toEqual([
      'shared',
      'of the source',
      'of the fork',
    ]);
  });

  it('that were settled in one merge still count once after a merge with the other application of them', () => {
    addOnBothSides([spare]);
    // Each of two that are cut off goes on in a fork of its own; then the forks meet.
    spare.lead(FORK, 3);
    see(FORK, 3, [spare]);
    spare.add('n', 100n, { client: 8, sequence: 2 });
    source.lead(OTHER_FORK, 3);
    see(OTHER_FORK, 3, [source]);
    source.add('n', 1_000n, { client: 8, sequence: 3 });
    see(CHAIN, 3, [owner]);
    spare.leave();
    see(OTHER_FORK, 4, [source], [spare]);
    world.run(2_000);
    expect([spare.leftovers.size, source.long('n')]).toEqual([0, 1_111n]);
    source.leave();
    see(CHAIN, 4, [owner], [source, spare]);
    world.run(2_000);
    expect([source.leftovers.size, owner.long('n')]).toEqual([0, 1_111n]);
  });
});

describe('a call that does not count', () => {
  /** The source writes over its own change with a call that is not in the shared history. */
  function overwrite(id: { readonly client: number; readonly sequence: number }): void {
    sides.split();
    source.set('x', 'both', 'of the fork');
    const request = { key: encodeKey('both'), value: codec.encode('void') };
    source.call(MAP_OPERATIONS.set, 'x', request, id);
  }

  it('is reported with its key when it overwrote a change of the source', () => {
    const id = { client: 9, sequence: 1 };
    overwrite(id);
    expect(owner.resolve(1, 'x', id)).toEqual([{ kind: 'resolved', outcome: 'not done' }]);
    sides.heal();
    sides.finish();
    expect([sides.left(), owner.get('x', 'both')]).toEqual([[0, 0], 'old']);
    const [{ report }] = owner.reports() as [ReturnType<Side['reports']>[number]];
    const [entry] = owner.page(report.id).entries;
    expect(report.structures[0]).toMatchObject({ merged: 0, discarded: 1, failed: 0 });
    expect(entry?.key).toEqual(Buffer.from(encodeKey('both')));
    expect(entry?.reason).toContain('an earlier value of this key may have been lost');
  });

  it('is not reported when the owner has a later change', () => {
    const id = { client: 9, sequence: 1 };
    overwrite(id);
    const request = { key: encodeKey('both'), value: codec.encode('void') };
    owner.call(MAP_OPERATIONS.set, 'x', request, id);
    sides.heal();
    sides.finish();
    expect([sides.left(), owner.get('x', 'both')]).toEqual([[0, 0], 'void']);
    expect(owner.reports().map(({ report }) => report.entries)).toEqual([0]);
  });
});

describe('a record that cannot be taken', () => {
  /** The map's records behind the first `taken` bytes of a step throw while `isBroken`. */
  function broken(isBroken: () => boolean) {
    const { merge } = mapService;
    return vi.spyOn(mapService, 'merge').mockImplementation((state, records, context) => {
      merge(state, records, context);
      if (isBroken()) throw new RangeError('a mistake of the map');
    });
  }

  afterEach(() => void vi.restoreAllMocks());

  it('stays at its source, is told of once, and is merged when it can be', () => {
    sides.split();
    for (let i = 0; i < 50; i++) source.set('x', `k${i}`, 'of the fork');
    owner.set('x', 'k7', 'of the chain');
    let isBroken = true;
    broken(() => isBroken);
    sides.heal();
    world.run(8_000);
    expect(sides.left()).toEqual([1, 1]);
    const errors = world.logs.filter((line) => line.includes('a mistake of the map'));
    expect(errors).toHaveLength(2);
    expect(owner.contents()).toBe(spare.contents());
    isBroken = false;
    sides.finish(20_000);
    expect(sides.left()).toEqual([0, 0]);
    expect(owner.get('x', 'k49')).toBe('of the fork');
    expect(owner.contents()).toBe(spare.contents());
    const [{ report }] = owner.reports() as [ReturnType<Side['reports']>[number]];
    expect(report.structures).toEqual([
      { service: 'map', name: 'x', merged: 49, discarded: 1, resurrected: 0, failed: 0 },
    ]);
  });

  it('holds up no other replica of the partition', () => {
    sides.split();
    source.set('x', 'a', 'of the fork');
    const other = source.newReplica();
    const { here } = source;
    sides.heal();
    // A second history of the same partition at the same member, with nothing that a map has.
    source.here = other;
    other.history = [{ lineage: 1, epoch: 1, start: 0 }];
    other.seq = 3;
    source.leftovers.add(other);
    broken(() => true);
    expect(source.leftovers.size).toBe(2);
    world.crash(second);
    world.run(3_000);
    expect(source.leftovers.status().map(({ seq }) => seq)).toEqual([here.seq]);
  });
});
