/** Merge reports as users get them: of all partitions together, at least once, until they are acknowledged. */
import { beforeEach, describe, expect, it } from 'vitest';
import { type MergeReport, MergeReports, representativesOf } from '../../client/core/merge-reports.js';
import type { Invoker } from '../../partitions/invoker.js';
import { Reader } from '../../src/base/bytes.js';
import { TimeoutError } from '../../src/base/errors.js';
import { CHAIN, codec, FORK, type Side, viewOf, World } from './merge-harness.js';

let world: World;
let owner: Side;
let source: Side;
let refuses = false;
let asked = 0;

function reportsOf(side: () => Side): MergeReports {
  let sequence = 1;
  const client = Math.floor(world.clock.nowMs) + 5_000;
  const invoker: Invoker = {
    client,
    clock: world.clock,
    nextToken: () => sequence,
    partitionCount: 1,
    codec,
    bounded: (options) => options,
    whenClosed: () => () => {},
    fansOut: false,
    invokeEach: () => Promise.reject(new Error('reports are asked for one by one')),
    invoke(operation, _partition, structure, request, _options, decode) {
      asked++;
      if (refuses) return Promise.reject(new TimeoutError('no answer'));
      const [answer] = side().call(operation, structure, request, { client, sequence: sequence++ });
      if (answer?.kind !== 'reply') return Promise.reject(new Error(JSON.stringify(answer)));
      return Promise.resolve(decode(operation.reply.read(new Reader(answer.body)), null));
    },
  };
  return new MergeReports({
    invoker,
    clock: world.clock,
    logger: { log: () => {} },
    representatives: () => representativesOf(side().view),
  });
}

/** Time passes, and promises settle. */
async function pass(ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 100) {
    world.run(100);
    for (let i = 0; i < 20; i++) await Promise.resolve();
  }
}

function conflict(keys: readonly string[]): void {
  source.lead(CHAIN, 1, [owner]);
  for (const side of [source, owner]) side.view = viewOf(CHAIN, 1, 1, [source, owner]);
  source.set('x', 'shared', 1);
  owner.lead(CHAIN, 2);
  source.lead(FORK, 2);
  owner.view = viewOf(CHAIN, 2, 2, [owner]);
  source.view = viewOf(FORK, 2, 2, [source]);
  for (const key of keys) source.set('x', key, `source ${key}`);
  for (const key of keys) owner.set('x', key, `owner ${key}`);
}

function heal(): void {
  source.leave();
  for (const side of [source, owner]) side.view = viewOf(CHAIN, 3, 2, [owner], [source]);
}

beforeEach(() => {
  world = new World();
  [owner, source] = [world.side('m1'), world.side('m2')];
  refuses = false;
  asked = 0;
});

describe('merge reports', () => {
  it('come to a handler once, with counts, first keys and all entries', async () => {
    conflict(['a', 'b', 'c']);
    const got: MergeReport[] = [];
    const reports = reportsOf(() => owner);
    reports.on((report) => got.push(report));
    heal();
    await pass(6_000);
    expect(got).toHaveLength(1);
    const [report] = got as [MergeReport];
    expect(report).toMatchObject({ fromLineage: '00000002', toLineage: '00000001', truncated: false });
    expect(report.structures).toEqual([
      { service: 'map', name: 'x', merged: 0, discarded: 3, resurrected: 0, failed: 0 },
    ]);
    expect(report.firstKeys).toHaveLength(1);
    const entries = [];
    for await (const entry of report.entries()) entries.push(entry);
    entries.sort((a, b) => (String(a.key) < String(b.key) ? -1 : 1));
    expect(entries.map(({ key, kept, discarded, side }) => [key, kept, discarded, side])).toEqual(
      ['a', 'b', 'c'].map((key) => [key, `owner ${key}`, `source ${key}`, 'source']),
    );
    expect(await report.keyHashes()).toEqual([]);
  });

  it('come again to the next handler until they are acknowledged', async () => {
    conflict(['a']);
    heal();
    await pass(1_000);
    const first: MergeReport[] = [];
    const second: MergeReport[] = [];
    const reports = reportsOf(() => owner);
    const stop = reports.on((report) => first.push(report));
    await pass(3_000);
    stop();
    reports.on((report) => second.push(report));
    await pass(3_000);
    expect([first.length, second.length]).toEqual([1, 1]);
    expect((await reports.list()).map(({ id }) => id)).toEqual([first[0]?.id]);
    await first[0]?.ack();
    expect(await reports.list()).toEqual([]);
    const third: MergeReport[] = [];
    reports.on((report) => third.push(report));
    await pass(3_000);
    expect(third).toEqual([]);
    reports.close();
  });

  it('are asked for only while there is a handler, and again after a failure', async () => {
    conflict(['a']);
    heal();
    await pass(500);
    const reports = reportsOf(() => owner);
    await pass(3_000);
    expect(asked).toBe(0);
    const got: MergeReport[] = [];
    refuses = true;
    const stop = reports.on((report) => got.push(report));
    await pass(3_000);
    expect(got).toEqual([]);
    refuses = false;
    await pass(3_000);
    expect(got).toHaveLength(1);
    stop();
    await pass(2_000);
    asked = 0;
    await pass(3_000);
    expect(asked).toBe(0);
  });

  it('that throw in a handler stop nobody else', async () => {
    conflict(['a']);
    heal();
    await pass(500);
    const reports = reportsOf(() => owner);
    const got: MergeReport[] = [];
    reports.on(() => {
      throw new Error('a mistake of the user');
    });
    reports.on((report) => got.push(report));
    await pass(4_000);
    expect(got).toHaveLength(1);
  });

  it('of a merge whose source died in the middle come when it has stood still', async () => {
    conflict(Array.from({ length: 20 }, (_, i) => `k${i}`));
    for (let i = 0; i < 3_000; i++) source.set('x', `more${i}`, 'v'.repeat(500));
    const got: MergeReport[] = [];
    const reports = reportsOf(() => owner);
    reports.on((report) => got.push(report));
    heal();
    source.tick();
    world.deliver(6);
    for (let most = 40; owner.reports().length === 0 && most > 0; most--) world.deliver(1);
    expect(owner.reports().map(({ done }) => done)).toEqual([false]);
    world.crash(source);
    await pass(8_000);
    expect(got).toEqual([]);
    await pass(6_000);
    expect(got).toHaveLength(1);
    reports.close();
  });
});
