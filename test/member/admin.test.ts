/** Orders of people: what is carried out, what is refused and why, and who hears of it. */
import { beforeEach, describe, expect, it } from 'vitest';
import { order } from '../../src/cluster/messages.js';
import { lineageTag, type TableEntry, type View } from '../../src/cluster/view.js';
import { Administration } from '../../src/member/admin.js';
import { Bench, id, LINEAGE, OPTIONS } from '../cluster/lineages-bench.js';

let bench: Bench;
let sent: { readonly to: string; readonly name: string; readonly body: unknown }[] = [];
beforeEach(() => {
  bench = new Bench();
  sent = [];
});

function administration(number: number): Administration {
  return new Administration({
    self: id(number),
    lineages: bench.of(number),
    logger: { log: () => {} },
    now: () => bench.clock(number),
    send: (to, def, body) => sent.push({ to, name: def.name, body }),
  });
}

function cluster(change: Partial<View> = {}): void {
  bench.cluster([1, 2, 3, 4, 5], change);
  bench.beats(6);
}

/** Members 1 and 2 in a fork, the others dead. */
function forked(): Administration {
  cluster();
  bench.pause(3, 4, 5);
  bench.run(4 * OPTIONS.suspicionMs);
  expect(bench.isOne([1, 2])).toBe(true);
  return administration(1);
}

describe('the order to found', () => {
  it('is taken once for a cluster, and told to all others', () => {
    cluster();
    const admin = administration(1);
    expect(admin.run({ kind: 'found' })).toMatchObject({ ok: true, details: { lineage: LINEAGE, view: 1 } });
    expect(admin.found).toBe(true);
    const body = { lineage: lineageTag(LINEAGE), found: true, dead: [], acceptLoss: [] };
    expect(sent).toEqual([2, 3, 4, 5].map((n) => ({ to: id(n), name: order.name, body })));
  });

  it('changes nothing where it was given before, and is refused in a fork and in no cluster', () => {
    cluster({ ordered: true });
    const admin = administration(1);
    expect(admin.run({ kind: 'found' })).toMatchObject({ ok: true, text: expect.stringMatching(/before/) });
    expect([admin.found, sent]).toEqual([false, []]);
    bench = new Bench();
    expect(forked().run({ kind: 'found' })).toMatchObject({
      ok: false,
      text: expect.stringMatching(/no majority/),
    });
    bench = new Bench();
    bench.add(1);
    expect(administration(1).run({ kind: 'found' })).toMatchObject({ ok: false });
    expect(sent).toEqual([]);
  });
});

describe('the order to recover', () => {
  it('is taken when everybody of the last view is here or named, by id or by address', () => {
    const admin = forked();
    expect(admin.run({ kind: 'recover', dead: [id(3), 'host:4', 'host:5'] }).ok).toBe(true);
    expect([...admin.dead]).toEqual([3, 4, 5].map(id));
    expect(sent.map(({ to }) => to)).toEqual([id(2)]);
  });

  it.each([
    ['somebody is not named', [id(3), 'host:4'], /neither here nor named as dead: host:5/],
    ['somebody was never a member', [id(3), 'host:4', 'host:5', 'host:9'], /no member host:9/],
    ['somebody is here', ['host:2', 'host:3', 'host:4', 'host:5'], /still heard.*host:2/],
  ] as const)('is refused when %s', (_name, dead, text) => {
    const admin = forked();
    expect(admin.run({ kind: 'recover', dead: [...dead] })).toMatchObject({
      ok: false,
      text: expect.stringMatching(text),
    });
    expect([admin.dead.size, sent]).toEqual([0, []]);
  });

  it('is refused when one that is named was heard within the suspicion time', () => {
    const admin = forked();
    bench.paused.delete(id(5));
    // One way is enough: it lives.
    bench.isolate(5, 'to');
    bench.beats(1);
    const reply = admin.run({ kind: 'recover', dead: ['host:3', 'host:4', 'host:5'] });
    expect(reply).toMatchObject({ ok: false, text: expect.stringMatching(/still heard.*host:5/) });
  });

  it('is refused by the majority, and by a member of a fork that was never in its chain', () => {
    cluster();
    expect(administration(1).run({ kind: 'recover', dead: ['host:5'] })).toMatchObject({
      ok: false,
      text: expect.stringMatching(/majority/),
    });
    bench = new Bench();
    forked();
    bench.add(6);
    bench.meet(6, 1);
    expect(bench.runUntil(() => bench.isOne([1, 2, 6]), 4 * OPTIONS.suspicionMs)).not.toBeNull();
    expect(administration(6).run({ kind: 'recover', dead: ['host:3', 'host:4', 'host:5'] })).toMatchObject({
      ok: false,
      text: expect.stringMatching(/another member of the fork/),
    });
  });

  it('makes the fork the chain with its next view, for all of its members', () => {
    forked();
    const lineage = bench.lineageOf(1);
    const dead = [3, 4, 5].map(id);
    for (const n of [1, 2]) for (const one of dead) bench.process(n).orders.dead.add(one);
    bench.beats(4);
    for (const n of [1, 2]) {
      expect(bench.of(n).view).toMatchObject({ lineage, parent: null });
      expect([bench.of(n).isInFork, bench.of(n).chainView?.lineage]).toEqual([false, lineage]);
    }
    bench.beats(4);
    expect(bench.holdsLease(1)).toBe(true);
  });
});

/** Nobody in the view holds the partition. */
const LOST: TableEntry = {
  replicas: [],
  epoch: 2,
  settled: false,
  moving: false,
  generation: 0,
  lastSynced: [id(9)],
  proven: [],
};

describe('the order to accept a loss', () => {
  const held: TableEntry = { ...LOST, replicas: [{ member: id(1), synced: true }], lastSynced: [] };

  it.each([
    [[], true, [1, 2]],
    [[2], true, [2]],
    [[0, 1], false, []],
    [[7], false, []],
  ] as const)('of %j is taken: %s, for %j', (partitions, ok, given) => {
    cluster({ table: [held, LOST, LOST], target: [[id(1)], [id(1)], [id(2)]] });
    const admin = administration(1);
    expect(admin.run({ kind: 'acceptLoss', partitions }).ok).toBe(ok);
    expect([...admin.acceptedLoss]).toEqual(given);
    expect(sent).toHaveLength(ok ? 4 : 0);
  });

  it('changes nothing when nothing is lost', () => {
    cluster({ table: [held], target: [[id(1)]] });
    expect(administration(1).run({ kind: 'acceptLoss', partitions: [] }).ok).toBe(true);
    expect(sent).toEqual([]);
  });
});

describe('an order that another member has taken', () => {
  const body = { lineage: lineageTag(LINEAGE), found: true, dead: [id(4)], acceptLoss: [3] };

  it('counts for the lineage that it was given to, and ends with it', () => {
    cluster({ table: [LOST, LOST, LOST, LOST], target: [[id(1)], [id(1)], [id(2)], [id(2)]] });
    const admin = administration(1);
    admin.receive({ ...body, lineage: body.lineage + 1 });
    expect([admin.found, admin.dead.size, admin.acceptedLoss.size]).toEqual([false, 0, 0]);
    admin.receive(body);
    admin.receive({ ...body, dead: [id(5)], acceptLoss: [] });
    expect([admin.found, [...admin.dead], [...admin.acceptedLoss]]).toEqual([true, [id(4), id(5)], [3]]);
    bench.pause(3, 4, 5);
    bench.run(4 * OPTIONS.suspicionMs);
    const fork = lineageTag(bench.lineageOf(1) as string);
    admin.adopted(bench.of(1).view as View);
    expect([admin.found, admin.dead.size, admin.acceptedLoss.size]).toEqual([false, 0, 0]);
    admin.receive({ lineage: fork, found: false, dead: [id(5)], acceptLoss: [] });
    expect([admin.found, [...admin.dead]]).toEqual([false, [id(5)]]);
  });
});
