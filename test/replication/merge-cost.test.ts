/** What a merge sends depends on what the sides changed since they parted, and not on what they hold. */
import { describe, expect, it } from 'vitest';
import { MAP_OPERATIONS } from '../../partitions/services/map/ops.js';
import { encodeKey } from '../../src/wire/keys.js';
import { CHAIN, codec, FORK, type Side, viewOf, World } from './merge-harness.js';

const HUNDRED_BYTES = 'v'.repeat(100);

/** Bytes of all messages of a merge of a side that holds so many entries and has changed so many of them. */
function bytesOfMerge(held: number, changed: number): number {
  const world = new World();
  const [owner, source] = ['m1', 'm2'].map((id) => world.side(id)) as [Side, Side];
  const isAt = (lineage: string, number: number) => (side: Side) => {
    side.view = viewOf(lineage, number, number, [side]);
  };
  world.run(100);
  const shared = viewOf(CHAIN, 1, 1, [source, owner]);
  source.lead(CHAIN, 1, [owner]);
  for (const side of [source, owner]) side.view = shared;
  let sequence = 0;
  const set = (i: number, value: unknown) => {
    const request = { key: encodeKey(`k${i}`), value: codec.encode(value) };
    sequence++;
    const [answer] = source.call(MAP_OPERATIONS.set, 'x', request, { sequence, below: sequence });
    expect(answer?.kind).toBe('reply');
  };
  for (let i = 0; i < held; i++) set(i, HUNDRED_BYTES);
  world.clock.nowMs += 1;
  owner.lead(CHAIN, 2);
  source.lead(FORK, 2);
  isAt(CHAIN, 2)(owner);
  isAt(FORK, 2)(source);
  for (let i = 0; i < changed; i++) set(i, i);
  source.leave();
  owner.view = source.view = viewOf(CHAIN, 3, 2, [owner], [source]);
  let bytes = 0;
  world.loses = (message) => {
    bytes += message.bytes.byteLength;
    return false;
  };
  for (let leftMs = 60_000; leftMs > 0 && source.leftovers.size > 0; leftMs -= 50) world.run(50);
  expect(source.leftovers.size).toBe(0);
  for (let i = 0; i < changed; i++) expect(owner.get('x', `k${i}`)).toBe(i);
  return bytes;
}

describe('the bytes of a merge', () => {
  it('go by what was changed, and are below 3 MB for a thousand entries', () => {
    const bytes = bytesOfMerge(20_000, 1_000);
    expect(bytes).toBeLessThan(3_000_000);
    expect(Math.abs(bytes - bytesOfMerge(2_000, 1_000))).toBeLessThan(bytes / 20);
    expect(bytesOfMerge(2_000, 100)).toBeLessThan(bytes / 5);
  });
});
