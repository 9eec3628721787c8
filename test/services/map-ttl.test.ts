/** When entries of a map end, to the millisecond: by their time to live, and because they were not used. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MAP_OPERATIONS as ops } from '../../partitions/services/map/ops.js';
import { MAP } from '../../partitions/services/map/proxy.js';
import type { MapState } from '../../partitions/services/map/state.js';
import { encodeKey } from '../../src/wire/keys.js';
import type { OperationDef } from '../../src/wire/message.js';
import { type LogEntry, Primary, Replica, START_MS } from './partition-harness.js';

const DEFAULTS = -1;
const key = encodeKey('k');
const v = (text: string) => Buffer.from(text);

/** One call at a time of the wall clock, which the harness moves on otherwise. */
function at<Q, P>(primary: Primary, ms: number, operation: OperationDef<Q, P>, request: Q): P {
  primary.wallMs = START_MS + ms;
  return primary.run(operation, request).reply as P;
}

function put(primary: Primary, ms: number, ttlMs: number, maxIdleMs = DEFAULTS, to = key): void {
  at(primary, ms, ops.set, { key: to, value: v('x'), life: { ttlMs, maxIdleMs } });
}

function backupOf(primary: Primary, log: readonly LogEntry[] = primary.log): Primary {
  const backup = new Primary(MAP.service);
  for (const entry of log) backup.apply(entry);
  backup.seq = primary.seq;
  backup.isBehind = true;
  return backup;
}

function pasted(to: Primary, from: Primary, cursor: number): number {
  const { chunk, next } = from.copy(cursor, 200);
  to.paste(chunk);
  return next;
}

function isThere(primary: Primary, ms: number): boolean {
  return at(primary, ms, ops.getEntryView, { key }).entry !== null;
}

describe('a time to live', () => {
  it('ends to the millisecond, for every operation', () => {
    const ways: [string, (primary: Primary, ms: number) => unknown, unknown, unknown][] = [
      ['get', (p, ms) => at(p, ms, ops.get, { key }).value, v('x'), null],
      ['containsKey', (p, ms) => at(p, ms, ops.containsKey, { key }).found, true, false],
      ['getAll', (p, ms) => at(p, ms, ops.getAll, { keys: [key] }).values, [v('x')], [null]],
      ['size', (p, ms) => at(p, ms, ops.size, {}).entries, 1, 0],
      [
        'containsValue',
        (p, ms) => at(p, ms, ops.containsValue, { value: v('x'), cursor: 0 }).found,
        true,
        false,
      ],
      ['keys', (p, ms) => at(p, ms, ops.scan, { cursor: 0, what: 'keys', maxBytes: 99 }).keys.length, 1, 0],
      ['put', (p, ms) => at(p, ms, ops.put, { key, value: v('y'), life: null }).value, v('x'), null],
      [
        'putIfAbsent',
        (p, ms) => at(p, ms, ops.putIfAbsent, { key, value: v('y'), life: null }).value,
        v('x'),
        null,
      ],
      ['replace', (p, ms) => at(p, ms, ops.replace, { key, value: v('y') }).value, v('x'), null],
      [
        'replaceIfSame',
        (p, ms) => at(p, ms, ops.replaceIfSame, { key, expected: v('x'), value: v('y') }).replaced,
        true,
        false,
      ],
      ['remove', (p, ms) => at(p, ms, ops.remove, { key }).value, v('x'), null],
      [
        'removeIfSame',
        (p, ms) => at(p, ms, ops.removeIfSame, { key, expected: v('x') }).removed,
        true,
        false,
      ],
      ['tryRemove', (p, ms) => at(p, ms, ops.tryRemove, { key, waitMs: 0 }).removed, true, false],
      ['evict', (p, ms) => at(p, ms, ops.evict, { key }).evicted, true, false],
      ['setTtl', (p, ms) => at(p, ms, ops.setTtl, { key, ttlMs: 0 }).found, true, false],
      ['getEntryView', (p, ms) => at(p, ms, ops.getEntryView, { key }).entry === null, false, true],
    ];
    for (const [name, way, before, after] of ways) {
      for (const [ms, expected] of [
        [99, before],
        [100, after],
      ] as const) {
        const primary = new Primary(MAP.service);
        put(primary, 0, 100);
        expect(way(primary, ms), `${name} at ${ms}`).toEqual(expected);
      }
    }
  });

  it('is that of the map for a call that says nothing, and 0 is for ever', () => {
    const primary = new Primary(MAP.service);
    primary.options = MAP.options.parse({ ttlMs: 100 });
    at(primary, 0, ops.set, { key, value: v('x'), life: null });
    expect([isThere(primary, 99), isThere(primary, 100)]).toEqual([true, false]);
    put(primary, 200, 0);
    expect(isThere(primary, 1_000_000)).toBe(true);
    at(primary, 2_000_000, ops.replace, { key, value: v('y') });
    expect([isThere(primary, 2_000_099), isThere(primary, 2_000_100)]).toEqual([true, false]);
  });

  it('is changed by setTtl, from now on, with value and times of the entry kept', () => {
    const primary = new Primary(MAP.service);
    put(primary, 0, 100, 5_000);
    expect(at(primary, 50, ops.setTtl, { key, ttlMs: 200 }).found).toBe(true);
    const { entry } = at(primary, 60, ops.getEntryView, { key });
    expect(entry).toMatchObject({ value: v('x'), ttlMs: 200, maxIdleMs: 5_000, expiresMs: START_MS + 250 });
    expect(entry).toMatchObject({ createdMs: START_MS, updatedMs: START_MS });
    const backup = backupOf(primary);
    expect([isThere(backup, 249), isThere(backup, 250)]).toEqual([true, false]);
    at(primary, 100, ops.setTtl, { key, ttlMs: 0 });
    expect(at(primary, 110, ops.getEntryView, { key }).entry).toMatchObject({ expiresMs: START_MS + 5_000 });
  });

  it('was told to be over for good: no other clock shows the entry again', () => {
    for (const tell of [
      (primary: Primary) => at(primary, 100, ops.get, { key }),
      (primary: Primary) => at(primary, 100, ops.replace, { key, value: v('y') }),
      (primary: Primary) => at(primary, 100, ops.setTtl, { key, ttlMs: 0 }),
    ]) {
      const primary = new Primary(MAP.service);
      put(primary, 0, 100);
      tell(primary);
      const next = backupOf(primary);
      next.isBehind = false;
      expect(isThere(next, 0)).toBe(false);
    }
  });

  it('bounds how long a value is kept near', () => {
    const primary = new Primary(MAP.service);
    put(primary, 0, 100, 50);
    at(primary, 20, ops.get, { key });
    expect(primary.goodForMs).toBe(30);
    at(primary, 60, ops.get, { key });
    expect(primary.goodForMs).toBe(10);
  });
});

describe('a max idle time', () => {
  it('is counted from the last use at the primary', () => {
    const primary = new Primary(MAP.service);
    put(primary, 0, 0, 100);
    for (const ms of [99, 198, 297]) expect(at(primary, ms, ops.get, { key }).value).toEqual(v('x'));
    // A look at the entry is no use of it.
    expect([isThere(primary, 396), isThere(primary, 397)]).toEqual([true, false]);
  });

  it('is not decided by a backup, which neither counts uses', () => {
    const primary = new Primary(MAP.service);
    put(primary, 0, 0, 100);
    at(primary, 5, ops.get, { key });
    const backup = backupOf(primary);
    expect(at(backup, 99, ops.get, { key }).value).toEqual(v('x'));
    expect(backup.isUndecided).toBe(false);
    for (const [operation, request] of [
      [ops.get, { key }],
      [ops.size, {}],
      [ops.scan, { cursor: 0, what: 'keys', maxBytes: 99 }],
    ] as const) {
      backup.wallMs = START_MS + 100;
      backup.run(operation, request);
      expect(backup.isUndecided, operation.name).toBe(true);
    }
    expect(at(primary, 104, ops.get, { key }).value).toEqual(v('x'));
  });

  it('goes on at a new primary as if the last use were a little later than it knows, never earlier', () => {
    const ms = fc.integer({ min: 1, max: 99 });
    const property = fc.property(fc.array(ms, { maxLength: 30 }), fc.nat({ max: 120 }), (gaps, after) => {
      const primary = new Primary(MAP.service);
      put(primary, 0, 0, 100);
      let last = 0;
      for (const gap of gaps) {
        last += gap;
        expect(at(primary, last, ops.get, { key }).value).toEqual(v('x'));
      }
      const next = backupOf(primary);
      next.isBehind = false;
      next.leadsSinceMs = START_MS + last + 1;
      const isKnown = last + after < last + 100;
      if (isKnown) expect(isThere(next, last + after)).toBe(true);
      if (after > 125) expect(isThere(next, last + after)).toBe(false);
    });
    fc.assert(property);
  });

  it('costs the stream a bounded number of changes, however often an entry is used', () => {
    const primary = new Primary(MAP.service);
    put(primary, 0, 0, 8_000);
    for (let ms = 1; ms < 8_000; ms++) at(primary, ms, ops.get, { key });
    expect(primary.log.length).toBeGreaterThan(4);
    expect(primary.log.length).toBeLessThan(12);
    const { store } = backupOf(primary).state as MapState;
    let told = 0;
    store.scan(0, { records: 9, bytes: 9_999 }, (ref) => (told = store.accessedMs(ref) - START_MS));
    expect(told).toBeGreaterThan(6_900);
  });
});

describe('an entry that is over', () => {
  it('is removed by the primary, one step after the other, on backups too', () => {
    const primary = new Primary(MAP.service);
    for (let i = 0; i < 5_000; i++) put(primary, 0, i % 2 === 0 ? 100 : 0, 0, encodeKey(i));
    primary.wallMs = START_MS + 99;
    expect(primary.expireAll()).toBe(0);
    primary.wallMs = START_MS + 100;
    expect((primary.state as MapState).dueMs).toBe(START_MS + 100);
    expect(primary.expireAll()).toBe(2_500);
    expect((primary.state as MapState).dueMs).toBe(Number.POSITIVE_INFINITY);
    const backup = backupOf(primary);
    expect([primary.state.entryCount, backup.state.entryCount]).toEqual([2_500, 2_500]);
    expect(backup.state.dump()).toEqual(primary.state.dump());
  });

  it('that was used lately is removed as any other, and nothing else is touched', () => {
    const primary = new Primary(MAP.service);
    for (let i = 0; i < 200; i++) put(primary, 0, 100, 1_000, encodeKey(i));
    for (let i = 0; i < 200; i++) put(primary, 0, 0, 0, encodeKey(`stays ${i}`));
    for (let i = 0; i < 200; i++) at(primary, 90, ops.get, { key: encodeKey(i) });
    primary.wallMs = START_MS + 100;
    expect(primary.expireAll()).toBe(200);
    for (let i = 0; i < 200; i++)
      expect(at(primary, 110, ops.get, { key: encodeKey(`stays ${i}`) }).value).toEqual(v('x'));
    expect(backupOf(primary).state.dump()).toEqual(primary.state.dump());
  });

  it('leaves a mark only until every replica has it', () => {
    const primary = new Primary(MAP.service);
    put(primary, 0, 100);
    primary.wallMs += 200;
    primary.expireAll();
    primary.purgeAll({ seq: primary.seq - 1, ms: 0 });
    expect(primary.state.dump()).toHaveLength(1);
    primary.purgeAll({ seq: primary.seq, ms: 0 });
    expect([primary.state.dump(), primary.state.sizeBytes]).toEqual([[], 0]);
  });
});

describe('a map with times to live', () => {
  const step = fc.oneof(
    fc.record({
      kind: fc.constant('set' as const),
      k: fc.nat({ max: 5 }),
      ttl: fc.constantFrom(-1, 0, 5, 40),
      idle: fc.constantFrom(-1, 0, 30),
    }),
    fc.record({
      kind: fc.constantFrom('get', 'setTtl', 'remove', 'expire', 'size', 'promote', 'copy'),
      k: fc.nat({ max: 5 }),
      ttl: fc.constantFrom(-1, 0, 5, 40),
      idle: fc.constant(0),
    }),
  );

  /** What is known of an entry: it is there until `ends`; uncertain for a quarter of its idle time after a takeover. */
  class Model {
    readonly entries = new Map<
      number,
      { bornMs: number; ttlMs: number; idleMs: number; usedMs: number; slackMs: number }
    >();

    endsMs(k: number): number {
      const entry = this.entries.get(k);
      if (entry === undefined) return Number.NEGATIVE_INFINITY;
      const byTtl = entry.ttlMs > 0 ? entry.bornMs + entry.ttlMs : Number.POSITIVE_INFINITY;
      return Math.min(byTtl, entry.idleMs > 0 ? entry.usedMs + entry.idleMs : Number.POSITIVE_INFINITY);
    }
  }

  it('does what a model says, through takeovers and copies', () => {
    const steps = fc.array(fc.record({ step, waitMs: fc.nat({ max: 12 }) }), { maxLength: 60 });
    const property = fc.property(steps, (list) => {
      let primary = new Primary(MAP.service);
      primary.options = MAP.options.parse({ ttlMs: 20, maxIdleMs: 60 });
      const model = new Model();
      let nowMs = 0;
      for (const {
        step: { kind, k, ttl, idle },
        waitMs,
      } of list) {
        nowMs += waitMs;
        const keyOf = encodeKey(k);
        const entry = model.entries.get(k);
        if (kind === 'set') {
          put(primary, nowMs, ttl, idle, keyOf);
          const given = (asked: number, configured: number) => (asked < 0 ? configured : asked);
          model.entries.set(k, {
            bornMs: nowMs,
            ttlMs: given(ttl, 20),
            idleMs: given(idle, 60),
            usedMs: nowMs,
            slackMs: 0,
          });
        } else if (kind === 'get') {
          const found = at(primary, nowMs, ops.get, { key: keyOf }).value !== null;
          if (nowMs < model.endsMs(k)) expect(found).toBe(true);
          if (nowMs >= model.endsMs(k) + (entry?.slackMs ?? 0)) expect(found).toBe(false);
          if (found && entry !== undefined) Object.assign(entry, { usedMs: nowMs, slackMs: 0 });
          if (!found) model.entries.delete(k);
        } else if (kind === 'setTtl') {
          const { found } = at(primary, nowMs, ops.setTtl, { key: keyOf, ttlMs: ttl });
          if (nowMs < model.endsMs(k)) expect(found).toBe(true);
          if (found && entry !== undefined)
            Object.assign(entry, { bornMs: nowMs, ttlMs: ttl < 0 ? 20 : ttl });
          if (!found) model.entries.delete(k);
        } else if (kind === 'remove') {
          at(primary, nowMs, ops.delete, { key: keyOf });
          model.entries.delete(k);
        } else if (kind === 'expire') {
          primary.wallMs = START_MS + nowMs;
          primary.expireAll();
          for (const [one, { slackMs }] of model.entries)
            if (nowMs >= model.endsMs(one) + slackMs) model.entries.delete(one);
        } else if (kind === 'size') {
          const { entries } = at(primary, nowMs, ops.size, {});
          const count = (isThere: (one: number, slackMs: number) => boolean) =>
            [...model.entries].filter(([one, { slackMs }]) => isThere(one, slackMs)).length;
          expect(entries).toBeGreaterThanOrEqual(count((one) => nowMs < model.endsMs(one)));
          expect(entries).toBeLessThanOrEqual(count((one, slackMs) => nowMs < model.endsMs(one) + slackMs));
        } else {
          const next = new Primary(MAP.service);
          next.options = primary.options;
          if (kind === 'promote') for (const one of primary.log) next.apply(one);
          else for (let cursor = 0; cursor >= 0; ) cursor = pasted(next, primary, cursor);
          next.seq = primary.seq;
          next.log.push(...primary.log);
          next.versions = primary.versions;
          next.leadsSinceMs = START_MS + nowMs;
          primary = next;
          for (const one of model.entries.values()) if (one.idleMs > 0) one.slackMs = one.idleMs / 4;
        }
      }
      const backup = new Replica(MAP.service);
      for (const one of primary.log) backup.apply(one);
      expect(backup.state.dump()).toEqual(primary.state.dump());
    });
    // Of two entries that end a millisecond apart the first is removed alone.
    const apart: Parameters<typeof property.run>[0][0] = [
      { step: { kind: 'set', k: 0, ttl: 5, idle: -1 }, waitMs: 0 },
      { step: { kind: 'set', k: 2, ttl: 5, idle: -1 }, waitMs: 1 },
      { step: { kind: 'expire', k: 0, ttl: -1, idle: 0 }, waitMs: 4 },
      { step: { kind: 'get', k: 2, ttl: -1, idle: 0 }, waitMs: 0 },
    ];
    fc.assert(property, { numRuns: 300, examples: [[apart]] });
  });
});
