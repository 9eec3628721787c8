/** The near cache of one map by itself: bounds, times, keys, sessions. */
import { describe, expect, it } from 'vitest';
import { Scheduler, SimClock } from '../../chaos/sim/virtual-clock.js';
import { Seen } from '../../client/core/session.js';
import { NearMap } from '../../nearcache/near-map.js';
import { nearCacheOptions } from '../../nearcache/options.js';
import { Track } from '../../nearcache/tracks.js';
import { MISS, type NearOptions } from '../../partitions/near.js';
import { decodeKey, encodeKey } from '../../src/wire/keys.js';
import { ValueCodec } from '../../src/wire/values.js';

const LINEAGE = 0xbeef;
const codec = new ValueCodec();

class Fixture {
  readonly scheduler = new Scheduler();
  readonly clock = new SimClock(this.scheduler, 'c', { offsetMs: 0, rate: 1, wallOffsetMs: 0 } as never);
  readonly seen = new Seen();
  readonly track = new Track(0);
  readonly source = { freshMs: 0 };
  readonly near: NearMap;

  constructor(options: object = {}) {
    this.near = new NearMap(nearCacheOptions.parse(options), {
      clock: this.clock,
      decode: (bytes) => codec.decode(bytes),
      encodeKey,
      track: () => this.track,
      demanded: () => {},
      isWatched: () => true,
      seen: this.seen,
      faults: {},
    });
    this.near.isLatency = true;
    this.track.lead(this.source as never, LINEAGE, 3, false);
    this.moveTo(10);
  }

  /** The primary says that all changes up to here were told. */
  moveTo(upTo: number): void {
    const history = [
      { lineage: LINEAGE, epoch: 2, start: 0 },
      { lineage: LINEAGE, epoch: 3, start: 5 },
    ];
    const news = { partition: 0, epoch: 3, upTo, leased: true, all: false, history };
    if (this.track.isLive) this.track.moveOn({ ...news, what: 'on' });
    else this.track.begin({ ...news, what: 'begin' }, false);
    this.source.freshMs = this.clock.now();
  }

  place(seq: number, source: 'primary' | 'backup' = 'primary') {
    return {
      source,
      ageMs: 0,
      position: { lineage: LINEAGE, epoch: 3, seq },
      lineage: LINEAGE,
      view: 3,
      goodForMs: Number.POSITIVE_INFINITY,
    } as const;
  }

  put(key: unknown, value: unknown, seq = 10): void {
    const reserved = this.near.reserve(key, encodeKey(key), 0, {});
    reserved?.fill(value === null ? null : codec.encode(value), this.place(seq));
  }

  find(key: unknown, options: NearOptions = {}): unknown {
    return this.near.find(key, options);
  }

  async pass(ms: number): Promise<void> {
    await this.scheduler.runFor(ms);
    this.source.freshMs = this.clock.now();
  }
}

describe('the near cache of a map', () => {
  it('finds keys of all kinds, and does not take one for another', () => {
    const keys = ['1', 1, 1n, true, -0, 0, '\0a', 'a', Buffer.from('a'), { a: 1 }, [1, 2], new Date(1)];
    const fixture = new Fixture();
    for (const [i, key] of keys.entries()) fixture.put(key, i);
    for (const [i, key] of keys.entries()) expect([i, fixture.find(key)]).toEqual([i, i]);
    expect(fixture.find({ a: 2 })).toBe(MISS);
    const kept = [...fixture.near.keys()].map((bytes) => decodeKey(bytes));
    expect(kept).toHaveLength(keys.length);
    expect(new Set(kept.map((key) => Buffer.from(encodeKey(key)).toString('hex')))).toEqual(
      new Set(keys.map((key) => Buffer.from(encodeKey(key)).toString('hex'))),
    );
  });

  it('takes a key that cannot be one for absent, so that the call itself refuses it', () => {
    const fixture = new Fixture();
    for (const key of [undefined, null, () => 1, Symbol('x')]) expect(fixture.find(key)).toBe(MISS);
  });

  it('evicts what was not used for longest', () => {
    const fixture = new Fixture({ maxEntries: 3 });
    for (const key of ['a', 'b', 'c']) fixture.put(key, key);
    fixture.find('a');
    fixture.put('d', 'd');
    expect(['a', 'b', 'c', 'd'].filter((key) => fixture.find(key) !== MISS)).toEqual(['a', 'c', 'd']);
    expect(fixture.near.statistics).toMatchObject({ entries: 3, evictions: 1 });
  });

  it('keeps what is used most with LFU, through a scan of keys that are read once', () => {
    const fixture = new Fixture({ maxEntries: 50, eviction: 'LFU' });
    for (let i = 0; i < 10; i++) fixture.put(`hot${i}`, i);
    for (let round = 0; round < 300; round++) {
      for (let i = 0; i < 10; i++) fixture.find(`hot${i}`);
      fixture.put(`cold${round}`, round);
    }
    const hot = Array.from({ length: 10 }, (_, i) => fixture.find(`hot${i}`)).filter((v) => v !== MISS);
    expect(hot).toHaveLength(10);
    expect(fixture.near.statistics.entries).toBe(50);
  });

  it('does not let a scan push out with LFU what is read often, which LRU does', () => {
    const hotLeft = (eviction: 'LRU' | 'LFU') => {
      const fixture = new Fixture({ maxEntries: 100, eviction });
      const hot = Array.from({ length: 50 }, (_, i) => `hot${i}`);
      for (const key of hot) fixture.put(key, 1);
      for (let i = 0; i < 20; i++) for (const key of hot) fixture.find(key);
      for (let i = 0; i < 200; i++) fixture.put(`cold${i}`, i);
      return hot.filter((key) => fixture.find(key) !== MISS).length;
    };
    expect([hotLeft('LRU'), hotLeft('LFU')]).toEqual([0, 50]);
  });

  it('forgets with LFU what was read often long ago', () => {
    const fixture = new Fixture({ maxEntries: 100, eviction: 'LFU' });
    for (let i = 0; i < 100; i++) fixture.put(`old${i}`, i);
    for (let n = 0; n < 50; n++) for (let i = 0; i < 100; i++) fixture.find(`old${i}`);
    for (let n = 0; n < 200; n++)
      for (let i = 0; i < 50; i++) if (fixture.find(`new${i}`) === MISS) fixture.put(`new${i}`, i);
    const kept = Array.from({ length: 50 }, (_, i) => fixture.find(`new${i}`)).filter((v) => v !== MISS);
    expect(kept.length).toBeGreaterThan(45);
  });

  it('stays within its bytes', () => {
    const fixture = new Fixture({ maxBytes: 10_000 });
    for (let i = 0; i < 100; i++) fixture.put(`k${i}`, 'x'.repeat(1_000));
    const { entries, sizeBytes } = fixture.near.statistics;
    expect(entries).toBeGreaterThan(4);
    expect(sizeBytes).toBeLessThanOrEqual(10_000);
    fixture.put('large', 'x'.repeat(20_000));
    expect(fixture.find('large')).toBe(MISS);
    expect(fixture.near.statistics.entries).toBe(entries);
  });

  it('drops what is older than ttlMs, or was not read for maxIdleMs', async () => {
    const fixture = new Fixture({ ttlMs: 100, maxIdleMs: 40 });
    fixture.put('a', 1);
    for (let i = 0; i < 4; i++) {
      await fixture.pass(22);
      expect(fixture.find('a')).toBe(1);
    }
    await fixture.pass(22);
    expect(fixture.find('a')).toBe(MISS);
    fixture.put('b', 1);
    await fixture.pass(50);
    expect(fixture.find('b')).toBe(MISS);
    expect(fixture.near.statistics.expirations).toBe(2);
  });

  it('refuses what is older than the call or the cache allows', async () => {
    const fixture = new Fixture({ maxStalenessMs: 100 });
    fixture.put('a', 1);
    await fixture.scheduler.runFor(60);
    expect(fixture.find('a', { maxStalenessMs: 50 })).toBe(MISS);
    expect(fixture.find('a')).toBe(1);
    expect(fixture.near.placeFound().ageMs).toBe(60);
    await fixture.scheduler.runFor(60);
    expect(fixture.find('a')).toBe(MISS);
    expect(fixture.near.statistics).toMatchObject({ hits: 1, tooOld: 2 });
    expect(fixture.near.statistics.ages.find(({ belowMs }) => belowMs === 64)?.count).toBe(1);
  });

  it('does not give a session less than it has seen, on any primary that it has seen', () => {
    const fixture = new Fixture();
    fixture.put('a', 1);
    const place = (seq: number, epoch = 3) => ({ lineage: LINEAGE, epoch, seq });
    fixture.seen.saw(0, place(11), null);
    expect(fixture.find('a')).toBe(MISS);
    expect(fixture.find('a', { session: null })).toBe(1);
    fixture.moveTo(11);
    expect(fixture.find('a')).toBe(1);
    const other = new Seen();
    other.saw(0, place(5, 2), null);
    expect(fixture.find('a', { session: other })).toBe(1);
    expect(other.lowest(0)).toEqual(place(10));
    const lost = new Seen();
    lost.saw(0, place(6, 2), null);
    expect(fixture.find('a', { session: lost })).toBe(MISS);
    expect(fixture.near.statistics.behindSession).toBe(2);
  });

  it('keeps of a backup only what is not behind the news', () => {
    const fixture = new Fixture();
    const fill = (seq: number) =>
      fixture.near.reserve('a', encodeKey('a'), 0, {})?.fill(codec.encode(seq), fixture.place(seq, 'backup'));
    fill(9);
    expect(fixture.find('a')).toBe(MISS);
    fill(10);
    expect(fixture.find('a')).toBe(10);
  });

  it('keeps what expires in the grid no longer than it is good, from when it was asked for', async () => {
    const fixture = new Fixture();
    const reserved = fixture.near.reserve('a', encodeKey('a'), 0, {});
    await fixture.pass(30);
    reserved?.fill(codec.encode(1), { ...fixture.place(10), goodForMs: 50 });
    await fixture.pass(19);
    expect(fixture.find('a')).toBe(1);
    await fixture.pass(1);
    expect(fixture.find('a')).toBe(MISS);
  });

  it('keeps absent keys when it is to', () => {
    const fixture = new Fixture();
    fixture.put('a', null, 0);
    expect(fixture.find('a')).toBe(null);
    const other = new Fixture({ cacheAbsent: false });
    other.put('a', null, 0);
    expect(other.find('a')).toBe(MISS);
  });

  it('forgets a key that this process changes, and an answer of before that is on its way', () => {
    const fixture = new Fixture();
    fixture.put('a', 1);
    const reserved = fixture.near.reserve('a', encodeKey('a'), 0, {});
    fixture.near.changing(encodeKey('a'));
    expect(fixture.find('a')).toBe(MISS);
    expect(reserved?.fill(codec.encode(1), fixture.place(10))).toBe(1);
    expect(fixture.find('a')).toBe(MISS);
  });

  it('is not used for calls with EC, and not at all while the map has a preset with EC', () => {
    const fixture = new Fixture();
    fixture.put('a', 1);
    expect(fixture.find('a', { consistency: 'EC' })).toBe(MISS);
    fixture.near.isLatency = false;
    expect(fixture.find('a')).toBe(MISS);
    expect(fixture.find('a', { consistency: 'EL' })).toBe(1);
    expect(fixture.near.reserve('b', encodeKey('b'), 0, {})).toBeNull();
  });
});

describe('the options of a near cache', () => {
  it.each([
    [{ maxStalenessMs: -1 }, 'maxStalenessMs'],
    [{ maxStalenessMs: Number.NaN }, 'maxStalenessMs'],
    [{ maxStalenessMs: '5' }, 'maxStalenessMs'],
    [{ maxEntries: 0 }, 'maxEntries'],
    [{ eviction: 'FIFO' }, 'eviction'],
    [{ evicts: 'LRU' }, 'evicts'],
  ])('refuse %j', (options, path) => {
    const result = nearCacheOptions.safeParse(options);
    expect(JSON.stringify(result.error?.issues)).toContain(path);
  });
});
