/** Replicas out of use are merged into the primary of their partition: completely, once, whoever dies on the way. */

import { beforeEach, describe, expect, it } from 'vitest';
import { decodeEntry, decodeParts } from '../../partitions/entry-body.js';
import { housekeep } from '../../partitions/housekeep.js';
import { JOURNAL_NAME, JOURNAL_OPERATIONS } from '../../partitions/merge-journal/ops.js';
import { journalOf } from '../../partitions/merge-journal/state.js';
import { MAP_OPERATIONS } from '../../partitions/services/map/ops.js';
import * as messages from '../../replication/merge-messages.js';
import { Reader, Writer } from '../../src/base/bytes.js';
import { SeededRandom } from '../../src/base/random.js';
import { encodeKey } from '../../src/wire/keys.js';
import { CHAIN, codec, FORK, OPTIONS, Parting, type Side, viewOf, type World } from './merge-harness.js';

let sides: Parting;
let world: World;
let owner: Side;
let spare: Side;
let source: Side;
let second: Side;

function begin(four: Parting): void {
  sides = four;
  ({ world, owner, spare, source, second } = sides);
}

beforeEach(() => begin(new Parting()));

describe('a merge', () => {
  it('brings what changed, reports what is lost, and gives up all replicas of the source', () => {
    sides.split();
    source.set('x', 'new', 1);
    source.set('x', 'both', 'of the fork');
    owner.set('x', 'both', 'of the chain');
    owner.set('x', 'own', 2);
    sides.heal();
    world.run(2_000);
    expect(sides.left()).toEqual([0, 0]);
    expect(['new', 'own', 'both', 'before7'].map((key) => owner.get('x', key))).toEqual([
      1,
      2,
      'of the chain',
      7,
    ]);
    expect(owner.contents()).toBe(spare.contents());
    const [{ report, done }] = owner.reports() as [ReturnType<Side['reports']>[number]];
    expect(done).toBe(true);
    expect(report).toMatchObject({ id: '00000002-00000001-3', from: 2, to: 1, entries: 1, truncated: 0 });
    expect(report.structures).toEqual([
      { service: 'map', name: 'x', merged: 1, discarded: 1, resurrected: 0, failed: 0 },
    ]);
    const [entry] = owner.page(report.id).entries;
    expect(codec.decode(entry?.discarded as Uint8Array)).toBe('of the fork');
    expect(codec.decode(entry?.kept as Uint8Array)).toBe('of the chain');
    expect([source.slab, second.slab].map(({ usedBytes }) => usedBytes ?? 0)).toEqual([0, 0]);
  });

  it('of a replica with nothing of its own gives it up and changes nothing', () => {
    sides.split();
    owner.set('x', 'own', 2);
    source.lead(CHAIN, 1, []);
    const { seq } = owner.here;
    const view = viewOf(CHAIN, 3, 2, [owner, spare], [source]);
    for (const side of [owner, spare, source]) side.view = view;
    source.here.history = source.here.history.slice(0, 1);
    source.leave();
    world.run(500);
    expect(source.leftovers.size).toBe(0);
    expect(owner.here.seq).toBe(seq);
    expect(owner.reports()).toEqual([]);
  });

  it('within one member takes the same way', () => {
    sides.split();
    for (let i = 0; i < 3_000; i++) source.set('x', `k${i}`, 'v'.repeat(100));
    const old = source.here;
    source.here = source.newReplica();
    source.leftovers.add(old);
    second.leave();
    owner.lead(CHAIN, 2, []);
    world.crash(second);
    // The source itself is today's primary, with the chain's contents.
    source.here = owner.here;
    const view = viewOf(CHAIN, 3, 2, [source]);
    source.view = view;
    world.run(2_000);
    expect(source.leftovers.size).toBe(0);
    expect(source.get('x', 'k2999')).toBe('v'.repeat(100));
    expect(source.counters.mergeBatches).toBeGreaterThan(3);
  });

  it('waits while there is no primary, and while this member is in no view', () => {
    sides.split();
    source.set('x', 'new', 1);
    sides.heal();
    source.view = null;
    second.view = null;
    world.run(500);
    expect(sides.left()).toEqual([1, 1]);
    const view = viewOf(CHAIN, 4, 2, [], [owner, spare, source, second]);
    for (const side of world.sides.values()) side.view = view;
    world.run(500);
    expect(sides.left()).toEqual([1, 1]);
    for (const side of world.sides.values())
      side.view = viewOf(CHAIN, 5, 2, [owner, spare], [source, second]);
    world.run(2_000);
    expect(sides.left()).toEqual([0, 0]);
    expect(owner.get('x', 'new')).toBe(1);
  });

  it('keeps few bytes on the way, whatever there is', () => {
    sides.split();
    for (let i = 0; i < 200; i++) source.set('x', `k${i}`, 'v'.repeat(100_000));
    sides.heal();
    let most = 0;
    world.loses = () => {
      most = Math.max(most, source.leftovers.inFlightBytes);
      return false;
    };
    sides.finish();
    expect(sides.left()).toEqual([0, 0]);
    expect(most).toBeGreaterThan(100_000);
    expect(most).toBeLessThan(1024 * 1024);
    expect([source.leftovers.inFlightBytes, second.leftovers.inFlightBytes]).toEqual([0, 0]);
    expect(owner.get('x', 'k199')).toBe('v'.repeat(100_000));
  });

  it('brings changed structures of all kinds, and counts additions of both sides', () => {
    sides.split();
    source.add('n', 5n, { client: 1, sequence: 1 });
    owner.add('n', 7n, { client: 2, sequence: 1 });
    source.add('n', 1n, { client: 1, sequence: 2 });
    sides.heal();
    world.run(2_000);
    expect(owner.long('n')).toBe(13n);
    expect(owner.contents()).toBe(spare.contents());
  });
});

describe('the source', () => {
  beforeEach(() => {
    sides.split();
    for (let i = 0; i < 4_000; i++) source.set('x', `k${i}`, 'v'.repeat(200));
    for (let i = 0; i < 10; i++) source.add('n', 1n, { client: 1, sequence: i + 1 });
  });

  it.each([1, 3, 6, 9, 12, 16])('may die after %i messages: another holder finishes', (after) => {
    sides.heal();
    second.view = null;
    source.tick();
    world.deliver(after);
    world.crash(source);
    second.view = viewOf(CHAIN, 4, 2, [owner, spare], [second]);
    for (const side of [owner, spare]) side.view = second.view;
    sides.finish();
    expect(second.leftovers.size).toBe(0);
    for (const key of ['k0', 'k1', 'k2000', 'k3999']) expect(owner.get('x', key)).toBe('v'.repeat(200));
    expect(owner.long('n')).toBe(10n);
    const merged = owner.reports().flatMap(({ report }) => report.structures);
    expect(merged.find(({ name }) => name === 'x')?.merged).toBe(4_000);
    expect(owner.contents()).toBe(spare.contents());
  });

  it('goes on where an earlier holder got to', () => {
    sides.heal();
    second.view = null;
    source.tick();
    world.deliver(14);
    const merged = owner.counters.mergeBatches;
    expect(merged).toBeGreaterThan(2);
    world.crash(source);
    second.view = viewOf(CHAIN, 4, 2, [owner, spare], [second]);
    for (const side of [owner, spare]) side.view = second.view;
    sides.finish();
    const all = 4_000 * 300;
    expect(second.counters.mergeBytesSent).toBeLessThan(all - (merged - 1) * 128 * 1024);
    expect(second.leftovers.size).toBe(0);
  });

  it('that is a shorter prefix merges what it has, and the longer one brings the rest', () => {
    source.holdsBack = true;
    source.set('x', 'last', 'of the source');
    source.set('x', 'k5', 'newer');
    sides.heal();
    source.view = null;
    sides.finish();
    expect(second.leftovers.size).toBe(0);
    expect([owner.get('x', 'k5'), owner.get('x', 'last')]).toEqual(['v'.repeat(200), null]);
    source.view = viewOf(CHAIN, 4, 2, [owner, spare], [source, second]);
    for (const side of [owner, spare]) side.view = source.view;
    sides.finish();
    expect(source.leftovers.size).toBe(0);
    expect([owner.get('x', 'k5'), owner.get('x', 'last')]).toEqual(['newer', 'of the source']);
    expect(source.counters.mergeBytesSent).toBeLessThan(64 * 1024);
  });

  it('is given up only when the backups of the owner have all of it', () => {
    sides.heal();
    owner.holdsBack = true;
    world.run(5_000);
    expect(sides.left()).toEqual([1, 1]);
    for (let i = 0; i < 100 && sides.left().some((size) => size > 0); i++) {
      owner.flush();
      world.run(200);
    }
    expect(sides.left()).toEqual([0, 0]);
    expect(spare.contents()).toBe(owner.contents());
  });
});

describe('the owner', () => {
  beforeEach(() => {
    sides.split();
    for (let i = 0; i < 4_000; i++) source.set('x', `k${i}`, 'v'.repeat(200));
    source.set('x', 'both', 'of the fork');
    owner.set('x', 'both', 'of the chain');
    for (let i = 0; i < 10; i++) source.add('n', 1n, { client: 1, sequence: i + 1 });
  });

  it.each([2, 5, 8, 11, 14, 20])('may die after %i messages: its backup knows how far it got', (after) => {
    sides.heal();
    source.tick();
    world.deliver(after);
    world.crash(owner);
    spare.lead(CHAIN, 4, []);
    for (const side of [spare, source, second]) side.view = viewOf(CHAIN, 4, 4, [spare], [source, second]);
    sides.finish();
    expect(sides.left()).toEqual([0, 0]);
    for (const key of ['k0', 'k1999', 'k3999']) expect(spare.get('x', key)).toBe('v'.repeat(200));
    expect(spare.get('x', 'both')).toBe('of the chain');
    expect(spare.long('n')).toBe(10n);
    const [{ report }] = spare.reports() as [ReturnType<Side['reports']>[number]];
    expect(report.entries).toBe(1);
    expect(report.structures.find(({ name }) => name === 'x')).toMatchObject({ discarded: 1 });
  });

  it('that loses what its backup did not have gets it again', () => {
    sides.heal();
    owner.holdsBack = true;
    source.tick();
    world.deliver();
    world.run(500);
    world.crash(owner);
    expect(journalOf(spare.here)).toBeUndefined();
    spare.lead(CHAIN, 4, []);
    for (const side of [spare, source, second]) side.view = viewOf(CHAIN, 4, 4, [spare], [source, second]);
    sides.finish();
    expect(sides.left()).toEqual([0, 0]);
    expect(spare.get('x', 'k3999')).toBe('v'.repeat(200));
    expect(spare.long('n')).toBe(10n);
  });

  it('takes each step once, however often and in whatever order it comes', () => {
    sides.heal();
    const random = new SeededRandom(1, 'loss');
    world.loses = ({ header }) => random.float() < (header.message === messages.mergeAck.id ? 0.5 : 0.2);
    sides.finish(120_000);
    expect(sides.left()).toEqual([0, 0]);
    expect(owner.long('n')).toBe(10n);
    const [{ report }] = owner.reports() as [ReturnType<Side['reports']>[number]];
    expect(report.structures.find(({ name }) => name === 'x')).toMatchObject({ discarded: 1, merged: 4_000 });
    expect(owner.contents()).toBe(spare.contents());
  });

  it('puts data, marker and report of a step into one position', () => {
    sides.heal();
    const before = owner.here.seq;
    source.tick();
    world.deliver(12);
    const kinds: number[][] = [];
    for (let seq = before + 1; seq <= owner.here.seq; seq++) {
      const { delta } = decodeEntry(owner.here.log.at(seq)?.body as Uint8Array);
      kinds.push(decodeParts(delta).map(({ serviceId }) => serviceId));
    }
    const pages = kinds.filter(([first]) => first === 0).length;
    expect(pages).toBe(3);
    expect(kinds.slice(0, pages)).toEqual(Array.from({ length: pages }, () => [0, 239]));
    for (const parts of kinds.slice(pages)) expect(parts).toEqual([1, 239]);
    expect(kinds.length).toBeGreaterThan(pages + 1);
  });
});

describe('calls', () => {
  it('of the source are answered by the owner after the merge, and not applied again', () => {
    sides.split();
    const id = { client: 9, sequence: 4 };
    const [first] = source.add('n', 5n, id);
    sides.heal();
    world.run(2_000);
    expect(owner.add('n', 5n, id)).toEqual([first]);
    expect(owner.resolve(2, 'n', id)).toEqual([{ kind: 'resolved', outcome: 'done' }]);
    expect(owner.long('n')).toBe(5n);
  });

  it('are told to wait while their merge is under way, also at a new owner', () => {
    sides.split();
    for (let i = 0; i < 4_000; i++) source.set('x', `k${i}`, 'v'.repeat(200));
    const id = { client: 9, sequence: 4 };
    source.add('n', 5n, id);
    sides.heal();
    source.tick();
    world.deliver(12);
    const waits = { kind: 'fail', error: 'NotServing', maybeApplied: true };
    expect(owner.add('n', 5n, id)).toEqual([waits]);
    expect(owner.resolve(2, 'n', id)).toEqual([waits]);
    world.crash(owner);
    spare.lead(CHAIN, 4, []);
    for (const side of [spare, source, second]) side.view = viewOf(CHAIN, 4, 4, [spare], [source, second]);
    expect(spare.add('n', 5n, id)).toEqual([waits]);
    sides.finish();
    expect(spare.add('n', 5n, id)[0]).toMatchObject({ kind: 'reply' });
    expect(spare.long('n')).toBe(5n);
  });

  /** The source applied the call, its backups never got it, and the client tried again at the new primary. */
  function leftBehind(release: boolean): void {
    sides.together();
    source.add('n', 1n, { client: 8, sequence: 1 });
    source.holdsBack = true;
    source.add('n', 10n, { client: 9, sequence: 1 });
    source.set('x', 'k', 'only here');
    source.here.answered.set(1, { epoch: 1, upTo: [source.here.seq, 1, 1, 1, 1, 1, 1] });
    sides.takeOver();
    owner.add('n', 10n, { client: 9, sequence: 1 });
    if (release) owner.add('n', 100n, { client: 9, sequence: 2, below: 2 });
    source.leave();
    source.view = viewOf(CHAIN, 3, 2, [owner, spare], [source]);
    for (const side of [owner, spare]) side.view = source.view;
    world.run(2_000);
  }

  it('that the owner has applied itself have no effect again', () => {
    leftBehind(false);
    expect(source.leftovers.size).toBe(0);
    expect(owner.long('n')).toBe(11n);
    expect(owner.get('x', 'k')).toBe('only here');
  });

  it('that the owner has applied and the client has released have no effect again', () => {
    leftBehind(true);
    expect(owner.long('n')).toBe(111n);
  });

  it('that the source has had from a later primary than itself are taken for answered', () => {
    sides.together();
    source.holdsBack = true;
    source.add('n', 10n, { client: 9, sequence: 1 });
    // It once led an earlier epoch, in which it answered nothing.
    source.here.answered.set(1, { epoch: 0, upTo: [0, 0, 0, 0, 0, 0, 0] });
    sides.takeOver();
    owner.add('n', 100n, { client: 9, sequence: 2, below: 2 });
    source.leave();
    source.view = viewOf(CHAIN, 3, 2, [owner, spare], [source]);
    for (const side of [owner, spare]) side.view = source.view;
    world.run(2_000);
    expect(owner.long('n')).toBe(110n);
  });

  it('whose deltas the log does not have any more are left out of maps all the same', () => {
    sides.together();
    source.set('x', 'k', 'before');
    source.holdsBack = true;
    const id = { client: 9, sequence: 1 };
    const request = { key: encodeKey('k'), value: codec.encode('void') };
    source.call(MAP_OPERATIONS.set, 'x', request, id);
    source.here.log.clear();
    sides.takeOver();
    expect(owner.resolve(1, 'x', id)).toEqual([{ kind: 'resolved', outcome: 'not done' }]);
    source.leave();
    source.view = viewOf(CHAIN, 3, 2, [owner, spare], [source]);
    for (const side of [owner, spare]) side.view = source.view;
    sides.finish();
    expect(source.leftovers.size).toBe(0);
    expect(owner.get('x', 'k')).toBe('before');
  });

  it('of a fork count even when their client has released them', () => {
    sides.split();
    source.add('n', 5n, { client: 9, sequence: 1 });
    owner.add('n', 7n, { client: 9, sequence: 2, below: 2 });
    sides.heal();
    world.run(2_000);
    expect(owner.long('n')).toBe(12n);
  });
});

describe('the report', () => {
  it('lists everything of a structure that is consistent by now, and nothing is merged into it', () => {
    sides.split();
    source.set('x', 'new', 'of the fork');
    source.set('x', 'both', 'of the fork');
    owner.set('x', 'both', 'of the chain');
    source.add('n', 5n, { client: 9, sequence: 1 });
    world.options = () => ({ ...OPTIONS, consistency: 'PC/EC' });
    sides.heal();
    world.run(2_000);
    expect(sides.left()).toEqual([0, 0]);
    expect([owner.get('x', 'new'), owner.get('x', 'both'), owner.long('n')]).toEqual([
      null,
      'of the chain',
      0n,
    ]);
    const [{ report }] = owner.reports() as [ReturnType<Side['reports']>[number]];
    expect(report.structures.map(({ name, merged, discarded }) => [name, merged, discarded])).toEqual([
      ['x', 0, 2],
      ['n', 0, 1],
    ]);
    const { entries } = owner.page(report.id);
    expect(entries.every(({ reason, side }) => reason.includes('consistent') && side === 'source')).toBe(
      true,
    );
    expect(entries).toHaveLength(3);
  });

  it('that is full counts, and keeps hashes of keys', () => {
    begin(new Parting(20_000));
    sides.split();
    for (let i = 0; i < 300; i++) source.set('x', `k${i}`, 'f'.repeat(100));
    for (let i = 0; i < 300; i++) owner.set('x', `k${i}`, 'c'.repeat(100));
    sides.heal();
    sides.finish();
    const [{ report }] = owner.reports() as [ReturnType<Side['reports']>[number]];
    expect(report.structures[0]).toMatchObject({ merged: 0, discarded: 300 });
    expect(report.entries).toBeGreaterThan(20);
    expect(report.entries + report.truncated).toBe(300);
    expect(journalOf(owner.here)?.entryBytes).toBeLessThanOrEqual(24_000);
    expect(owner.page(report.id, '~').hashes).toHaveLength(report.truncated);
    expect(owner.contents()).toBe(spare.contents());
  });

  it('is read by pages, and goes when it is acknowledged, on all replicas', () => {
    sides.split();
    for (let i = 0; i < 50; i++) source.set('x', `k${i}`, i);
    for (let i = 0; i < 50; i++) owner.set('x', `k${i}`, -i);
    sides.heal();
    sides.finish();
    const [{ report, seq }] = owner.reports() as [ReturnType<Side['reports']>[number]];
    const keys = new Set<string>();
    for (let after = '', pages = 1; ; pages++) {
      const { entries, last, isLast } = owner.page(report.id, after, 500);
      for (const { key } of entries) keys.add(Buffer.from(key).toString('hex'));
      after = last;
      if (!isLast) continue;
      expect(pages).toBeGreaterThan(5);
      break;
    }
    expect(keys.size).toBe(50);
    const ack = (upTo: number, sequence: number) =>
      owner.call(
        JOURNAL_OPERATIONS.ack,
        JOURNAL_NAME,
        { id: report.id, seq: upTo },
        { client: 50, sequence },
      );
    ack(seq - 1, 1);
    expect(owner.reports()).toHaveLength(1);
    ack(seq, 2);
    expect(owner.reports()).toEqual([]);
    expect(owner.page(report.id).entries).toEqual([]);
    expect(journalOf(spare.here)?.reportCount).toBe(0);
    expect(owner.contents()).toBe(spare.contents());
    const horizon = { seq: owner.here.seq, ms: Number.POSITIVE_INFINITY };
    const next = housekeep(owner.executor, owner.here, 239, JOURNAL_NAME, (service, state, context) =>
      service.purge?.(state, 0, horizon, context),
    );
    expect(next).toBe(-1);
    expect([owner, spare].map(({ here }) => journalOf(here))).toEqual([undefined, undefined]);
  });

  it('of a merge into a fork comes along when the fork is merged', () => {
    sides.split();
    const third = world.side('m5');
    const lineage = '00000003-0000-4000-8000-000000000000';
    third.lead(lineage, 2, []);
    third.view = viewOf(lineage, 2, 2, [third]);
    third.set('x', 'both', 'of the third');
    source.set('x', 'both', 'of the fork');
    third.leave();
    third.view = viewOf(FORK, 3, 2, [source, second], [third]);
    for (const side of [source, second]) side.view = third.view;
    world.run(2_000);
    expect(third.leftovers.size).toBe(0);
    expect(source.reports()).toHaveLength(1);
    sides.heal();
    sides.finish();
    const found = owner.reports().flatMap(({ report }) => owner.page(report.id).entries);
    expect(found.map(({ discarded }) => codec.decode(discarded as Uint8Array))).toContain('of the third');
  });

  it('migrates with the partition', () => {
    sides.split();
    source.set('x', 'both', 'of the fork');
    owner.set('x', 'both', 'of the chain');
    sides.heal();
    world.run(2_000);
    const fresh = world.side('m6');
    const journal = journalOf(owner.here);
    const service = owner.executor.service(239);
    if (journal === undefined || service === undefined) throw new Error('there is no journal');
    for (let cursor = 0; cursor >= 0; ) {
      const out = new Writer();
      cursor = journal.copy(cursor, 100, out);
      fresh.here.state(service, JOURNAL_NAME).paste(new Reader(out.toBytes()));
    }
    expect(journalOf(fresh.here)?.dump()).toEqual(journal.dump());
    expect(journalOf(fresh.here)?.sizeBytes).toBe(journal.sizeBytes);
  });
});
