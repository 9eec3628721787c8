/** Seeded chance, events and assertions. */
import { describe, expect, it } from 'vitest';
import { AssertionError, assert } from '../../src/base/assert.js';
import { Events } from '../../src/base/events.js';
import { SeededRandom } from '../../src/base/random.js';

describe('seeded chance', () => {
  const draws = (random: SeededRandom) => Array.from({ length: 20 }, () => random.uint32());

  it('is the same for the same seed and label, and another for others', () => {
    expect(draws(new SeededRandom(5, 'a'))).toEqual(draws(new SeededRandom(5, 'a')));
    expect(draws(new SeededRandom(5, 'a'))).not.toEqual(draws(new SeededRandom(6, 'a')));
    expect(draws(new SeededRandom(5, 'a'))).not.toEqual(draws(new SeededRandom(5, 'b')));
    expect(draws(new SeededRandom(2 ** 40, 'a'))).not.toEqual(draws(new SeededRandom(0, 'a')));
  });

  it('of a fork does not depend on what the fork before it drew', () => {
    const [one, other] = [new SeededRandom(1), new SeededRandom(1)];
    draws(one.fork('x'));
    other.fork('x');
    expect(draws(one.fork('y'))).toEqual(draws(other.fork('y')));
  });

  it('is spread evenly and stays in its bounds', () => {
    const random = new SeededRandom(3);
    const counts = Array.from({ length: 10 }, () => 0);
    for (let i = 0; i < 20_000; i++) {
      const draw = random.below(10);
      counts[draw] = (counts[draw] as number) + 1;
    }
    for (const count of counts) expect(Math.abs(count - 2_000)).toBeLessThan(250);
    for (let i = 0; i < 1_000; i++) {
      const float = random.float();
      expect(float >= 0 && float < 1).toBe(true);
    }
  });

  it('makes UUIDs of version 4 that differ', () => {
    const random = new SeededRandom(9);
    const uuids = Array.from({ length: 1_000 }, () => random.uuid());
    expect(new Set(uuids).size).toBe(1_000);
    for (const uuid of uuids)
      expect(uuid).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });
});

describe('events', () => {
  interface Known {
    a: number;
    b: string;
  }

  it('reach every listener of their name until it is removed', () => {
    const events = new Events<Known>({ log: () => {} });
    const got: unknown[] = [];
    const remove = events.on('a', (n) => got.push(n));
    events.on('b', (text) => got.push(text));
    events.emit('a', 1);
    remove();
    events.emit('a', 2);
    events.emit('b', 'x');
    expect(got).toEqual([1, 'x']);
  });

  it('are stopped by no listener that throws, which is logged', () => {
    const logs: string[] = [];
    const events = new Events<Known>({ log: (level, event) => void logs.push(`${level} ${event}`) });
    const got: number[] = [];
    events.on('a', () => {
      throw new Error('a listener');
    });
    events.on('a', (n) => got.push(n));
    events.emit('a', 1);
    expect([got, logs]).toEqual([[1], ['error an event listener threw']]);
  });

  it('may remove a listener while they are told', () => {
    const events = new Events<Known>({ log: () => {} });
    const got: string[] = [];
    const remove = events.on('a', () => {
      got.push('one');
      remove();
    });
    events.on('a', () => got.push('two'));
    events.emit('a', 1);
    events.emit('a', 1);
    expect(got).toEqual(['one', 'two', 'two']);
  });
});

describe('an assertion', () => {
  it('throws with its message when it does not hold', () => {
    expect(() => assert(true, 'fine')).not.toThrow();
    expect(() => assert(0, 'broken')).toThrow(AssertionError);
    expect(() => assert(null, 'broken')).toThrow('broken');
  });
});
