/** What a near cache knows of positions, whatever becomes of the messages on their way. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Scheduler, SimClock } from '../../chaos/sim/virtual-clock.js';
import { NearMap } from '../../nearcache/near-map.js';
import { nearCacheOptions } from '../../nearcache/options.js';
import { Tracks } from '../../nearcache/tracks.js';
import { Watchers } from '../../nearcache/watchers.js';
import { murmur3 } from '../../partitions/hash.js';
import { MISS } from '../../partitions/near.js';
import { NO_TOGGLES } from '../../src/cluster/toggle.js';
import type { View } from '../../src/cluster/view.js';
import { encodeKey } from '../../src/wire/keys.js';

const MEMBER = '00000001-0000-4000-8000-000000000001';
const LINEAGE = '0000beef-0000-4000-8000-000000000000';
const MAX_STALENESS_MS = 100;
const HISTORY = [{ lineage: 0xbeef, epoch: 1, start: 0 }];

function view(number: number, epoch: number): View {
  const replica = { member: MEMBER, synced: true };
  const entry = {
    replicas: [replica],
    epoch,
    settled: true,
    moving: false,
    generation: 0,
    lastSynced: [],
    proven: [],
  };
  return {
    lineage: LINEAGE,
    number,
    ordered: true,
    parent: null,
    replaced: [],
    members: [{ id: MEMBER, address: 'm1:1', leaving: false }],
    slots: 0,
    table: [entry],
    target: [[MEMBER]],
    structures: [],
    toggles: NO_TOGGLES,
  };
}

/** One member with one partition and one map, one process with a near cache, and messages that go as they are told to. */
class World {
  readonly scheduler = new Scheduler();
  readonly clock = new SimClock(this.scheduler, 'c', { offsetMs: 0, rate: 1, wallOffsetMs: 0 } as never);
  readonly values = new Map<string, number>();
  /** When a value of a key stopped to be the latest. */
  readonly overwrittenMs = new Map<number, number>();
  seq = 0;
  leads = true;
  leased = true;
  fate: () => { readonly lost: boolean; readonly delayMs: number } = () => ({ lost: false, delayMs: 1 });
  readonly watchers: Watchers;
  readonly tracks: Tracks;
  readonly near: NearMap;
  readonly #written = new Map<string, number>();

  constructor() {
    const where = () => ({ view: 1, lineage: 0xbeef });
    this.watchers = new Watchers({
      self: MEMBER,
      clock: this.clock,
      view: () => view(1, 1),
      where,
      vouch: () => (this.leads ? { epoch: 1, seq: this.seq, leased: this.leased, history: HISTORY } : null),
      faults: {},
    });
    const link = {
      queuedBytes: 0,
      send: (body: never) => this.#carry(() => this.tracks.told(MEMBER, 0xbeef, body)),
    };
    this.tracks = new Tracks({
      clock: this.clock,
      send: (_to, def, body) =>
        this.#carry(() => {
          if (def.name === 'watch') this.watchers.watch('c', link as never, body as never, where());
          else this.watchers.ask('c', body as never, where());
        }),
      watched: () => [{ name: 'm', maxStalenessMs: MAX_STALENESS_MS }],
      changed: (_map, track, hash, seq) => this.near.changed(track, hash, seq),
      faults: {},
    });
    this.near = new NearMap(nearCacheOptions.parse({ maxStalenessMs: MAX_STALENESS_MS }), {
      clock: this.clock,
      decode: (bytes) => Buffer.from(bytes).readUInt32LE(0),
      encodeKey,
      track: (partition) => this.tracks.of(partition),
      demanded: (nowMs, ms) => this.tracks.demanded(nowMs, ms),
      isWatched: (hash) => this.tracks.isLive(hash),
      seen: { lowest: () => null, saw: () => {} },
      faults: {},
    });
    this.near.isLatency = true;
    this.tracks.adopted(view(1, 1));
  }

  #carry(deliver: () => void): void {
    const { lost, delayMs } = this.fate();
    if (!lost) this.scheduler.schedule(this.scheduler.now + delayMs, deliver);
  }

  write(key: string): void {
    const before = this.values.get(key);
    this.seq++;
    if (before !== undefined) this.overwrittenMs.set(before, this.scheduler.now);
    this.values.set(key, this.seq);
    this.#written.set(key, this.seq);
    this.watchers.changed(0, 'm', this.seq, [murmur3(encodeKey(key))]);
  }

  /** As a proxy does it; what a hit gives, with how long it was out of date. */
  read(key: string): { readonly value: number; readonly staleMs: number } | null {
    const found = this.near.find(key, {});
    if (found !== MISS) {
      const value = found as number;
      const { now } = this.scheduler;
      return { value, staleMs: now - (this.overwrittenMs.get(value) ?? now) };
    }
    const reserved = this.near.reserve(key, encodeKey(key), 0, {});
    this.#carry(() => {
      const value = this.values.get(key) ?? 0;
      const position = { lineage: 0xbeef, epoch: 1, seq: this.#written.get(key) ?? 0 };
      const side = { lineage: 0xbeef, view: 1, goodForMs: Number.POSITIVE_INFINITY };
      const place = { source: 'primary', ageMs: 0, position, ...side } as const;
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32LE(value);
      this.#carry(() => reserved?.fill(bytes, place));
    });
    return null;
  }
}

describe('a near cache and the news that it gets', () => {
  it('serves from the second read on, and says how old the value is', async () => {
    const world = new World();
    world.write('a');
    world.read('a');
    await world.scheduler.runFor(20);
    world.read('a');
    await world.scheduler.runFor(20);
    expect(world.read('a')).toEqual({ value: 1, staleMs: 0 });
    expect(world.near.placeFound()).toMatchObject({ source: 'nearCache', position: { epoch: 1, seq: 1 } });
    expect(world.near.placeFound().ageMs).toBeLessThanOrEqual(MAX_STALENESS_MS);
  });

  it('gives nothing that is older than allowed, whatever is lost, late or out of order', async () => {
    const step = fc.record({
      act: fc.constantFrom('write', 'read', 'read', 'read', 'wait'),
      key: fc.constantFrom('a', 'b', 'c'),
      ms: fc.nat(60),
    });
    const fates = fc.array(
      fc.record({
        lost: fc.boolean().map((lost) => lost),
        delayMs: fc.oneof(fc.constant(1), fc.nat(30), fc.nat(400)),
      }),
      { minLength: 1, maxLength: 50 },
    );
    let hits = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 20, maxLength: 120 }),
        fates,
        fc.nat(9),
        async (steps, list, share) => {
          const world = new World();
          let at = 0;
          world.fate = () => {
            const fate = list[at++ % list.length] as (typeof list)[number];
            return { lost: fate.lost && at % 10 < share, delayMs: fate.delayMs };
          };
          for (const { act, key, ms } of steps) {
            if (act === 'write') world.write(key);
            else if (act === 'wait') await world.scheduler.runFor(ms);
            else {
              const hit = world.read(key);
              if (hit !== null) hits++;
              if (hit !== null)
                expect(hit.staleMs).toBeLessThanOrEqual(world.near.placeFound().ageMs + 0.001);
            }
            await world.scheduler.runFor(2);
          }
        },
      ),
      { numRuns: 300 },
    );
    expect(hits).toBeGreaterThan(300);
  });

  it('begins again when a message is missing, and keeps what has not changed', async () => {
    const world = new World();
    for (const key of ['a', 'b']) world.write(key);
    for (let i = 0; i < 2; i++) {
      for (const key of ['a', 'b']) world.read(key);
      await world.scheduler.runFor(30);
    }
    world.fate = () => ({ lost: true, delayMs: 1 });
    await world.scheduler.runFor(60);
    world.fate = () => ({ lost: false, delayMs: 1 });
    await world.scheduler.runFor(60);
    expect(world.read('a')).toEqual({ value: 1, staleMs: 0 });
    world.fate = () => ({ lost: true, delayMs: 1 });
    world.write('a');
    await world.scheduler.runFor(20);
    world.fate = () => ({ lost: false, delayMs: 1 });
    await world.scheduler.runFor(150);
    // The loss of the news of one key voids the partition: nobody knows what was in it.
    expect(world.read('b')).toBeNull();
    await world.scheduler.runFor(20);
    expect(world.read('b')).toEqual({ value: 2, staleMs: 0 });
  });

  it('keeps nothing of an answer that passes the news of a change', async () => {
    const world = new World();
    world.write('a');
    world.read('a');
    await world.scheduler.runFor(20);
    let late = 60;
    world.fate = () => ({ lost: false, delayMs: late });
    world.near.changing(encodeKey('a'));
    // Asked now, answered before the write, and 60 ms under way.
    late = 0;
    world.read('a');
    late = 60;
    await world.scheduler.runFor(1);
    late = 1;
    world.write('a');
    await world.scheduler.runFor(100);
    const hit = world.read('a');
    expect(hit === null || hit.value === 2).toBe(true);
    expect(world.near.statistics.lateFills).toBe(1);
  });

  it('counts only what a primary with a lease says for a consistent map', async () => {
    const world = new World();
    world.near.isConsistent = true;
    world.write('a');
    for (let i = 0; i < 2; i++) {
      world.read('a');
      await world.scheduler.runFor(20);
    }
    expect(world.read('a')).toEqual({ value: 1, staleMs: 0 });
    world.leased = false;
    await world.scheduler.runFor(2 * MAX_STALENESS_MS);
    expect(world.read('a')).toBeNull();
    expect(world.near.statistics.tooOld).toBeGreaterThan(0);
    world.leased = true;
    await world.scheduler.runFor(MAX_STALENESS_MS);
    expect(world.read('a')).toEqual({ value: 1, staleMs: 0 });
  });

  it('gives nothing from before a takeover', async () => {
    const world = new World();
    world.write('a');
    for (let i = 0; i < 2; i++) {
      world.read('a');
      await world.scheduler.runFor(20);
    }
    world.tracks.adopted(view(2, 2));
    expect(world.read('a')).toBeNull();
  });
});
