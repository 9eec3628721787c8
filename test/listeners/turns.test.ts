/** How much a teller does at a time: predicates are shared, turns end, everybody has one, and nobody is left in silence. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { AskedPredicates } from '../../listeners/asked.js';
import { Matcher } from '../../partitions/query/matcher.js';
import { Predicates } from '../../partitions/query/predicates.js';
import { encodeKey } from '../../src/wire/keys.js';
import { ValueCodec } from '../../src/wire/values.js';
import { Told, WIDE } from './told.js';

const codec = new ValueCodec();

/** 200 conditions that go over all of a text: 400,000 steps for 2,000 characters. */
const heavy = (n: number) =>
  Predicates.or(...Array.from({ length: 200 }, (_, i) => Predicates.like('t', `%<${i}>%b${n}%`)));

afterEach(() => {
  vi.restoreAllMocks();
});

describe('listeners with equal predicates', () => {
  it('have an event looked at once for all of them', async () => {
    const told = new Told();
    for (let n = 0; n < 100; n++) await told.listen(n, { predicate: heavy(7) });
    const asked = vi.spyOn(Matcher.prototype, 'matches');
    for (let i = 0; i < 3; i++) told.set(`<${i}> b7`);
    told.set('none');
    await told.scheduler.runFor(100);
    expect(asked).toHaveBeenCalledTimes(4);
    for (let n = 0; n < 100; n++) expect(told.events.get(n)).toEqual([1, 2, 3]);
    told.teller.stop();
  });
});

describe('listeners with different predicates that take long', () => {
  it('have their turns one after the other, and others get on between them', async () => {
    const told = new Told();
    for (let n = 0; n < 100; n++) await told.listen(n, { predicate: heavy(n) });
    const asked = vi.spyOn(Matcher.prototype, 'matches');
    const perTurn: number[] = [];
    let last = 0;
    const tick = () => {
      perTurn.push(asked.mock.calls.length - last);
      last = asked.mock.calls.length;
      told.scheduler.schedule(told.scheduler.now + 1, tick);
    };
    tick();
    told.set(`${'a'.repeat(1_990)} <199> b${Array.from({ length: 100 }, (_, n) => n).join('b')}`);
    await told.scheduler.runFor(2_000);
    expect(asked).toHaveBeenCalledTimes(100);
    expect(Math.max(...perTurn)).toBe(1);
    for (let n = 0; n < 100; n++) expect(told.events.get(n)).toEqual([1]);
    expect(told.gaps.size).toBe(0);
    told.teller.stop();
  });

  it('are told of a gap when they cannot follow, and keep nobody else from being told', async () => {
    const told = new Told({ limits: { ...WIDE, events: 20 } });
    for (let n = 0; n < 12; n++) await told.listen(n, { predicate: heavy(n) });
    await told.listen(12);
    await told.listen(13, { predicate: Predicates.like('t', '%b4%') });
    const text = `${'a'.repeat(1_980)} <199> b${Array.from({ length: 12 }, (_, n) => n).join('b')}`;
    let worstMs = 0;
    for (let i = 1; i <= 150; i++) {
      told.set(text);
      await told.scheduler.runFor(5);
      const behind = i - (told.events.get(12)?.at(-1) ?? 0);
      worstMs = Math.max(worstMs, behind * 5);
    }
    // A round of turns: 14 listeners.
    expect(worstMs).toBeLessThan(250);
    for (let s = 0; s < 20; s++) await told.hold(14, 1_000);
    for (const n of [12, 13]) {
      expect(told.events.get(n)).toEqual(Array.from({ length: 150 }, (_, i) => i + 1));
      expect(told.gaps.get(n)).toBe(undefined);
    }
    for (let n = 0; n < 12; n++) {
      const all = told.events.get(n) ?? [];
      expect(new Set(told.gaps.get(n))).toEqual(new Set(['overflow']));
      // In order, each once, and up to the last.
      expect(all).toEqual([...new Set(all)].sort((a, b) => a - b));
      expect(all.at(-1)).toBe(150);
    }
    told.teller.stop();
  });
});

describe('the predicates of a member', () => {
  it('are bounded in bytes, equal ones counting once', () => {
    const asked = new AskedPredicates(64);
    const one = Predicates.equal('a', 'x'.repeat(40));
    const [first, again] = [asked.take(one), asked.take(Predicates.equal('a', 'x'.repeat(40)))];
    expect(first).not.toBe(null);
    expect(again).toBe(first);
    const other = Predicates.equal('a', 'y'.repeat(40));
    expect(asked.take(other)).toBe(null);
    asked.release(first as never);
    expect(asked.take(other)).toBe(null);
    asked.release(again as never);
    expect(asked.take(other)).not.toBe(null);
  });

  it('refuse a listener when there is no room for another one', async () => {
    const told = new Told();
    const large = (n: number) => Predicates.inPredicate('a', ...Array(15).fill(`${n}${'x'.repeat(16_000)}`));
    for (let n = 0; n < 20; n++) await told.listen(n, { predicate: large(n) });
    expect(told.refused).toEqual([17, 18, 19]);
    await told.listen(20, { predicate: large(3) });
    expect(told.refused).toEqual([17, 18, 19]);
    told.teller.unlisten('c5', 5);
    await told.listen(21, { predicate: large(21) });
    expect(told.refused).toEqual([17, 18, 19]);
    told.teller.stop();
  });

  it('take an entry for a match that would take too long', () => {
    const asked = new AskedPredicates();
    const none = asked.take(Predicates.like('this', '%b%'));
    const event = (value: string) => ({
      ...{ seq: 1, index: 0, entries: 1, kind: 'updated' as const, key: encodeKey('k') },
      value: codec.encode(value),
      old: codec.encode('a'),
    });
    expect(none?.of(event('a'.repeat(1_400_000)))).toEqual({ had: false, has: false });
    expect(none?.of(event('a'.repeat(1_500_000)))).toEqual({ had: false, has: true });
  });
});
