/** When write-behind writes what, under virtual time, with a store that is slow, refuses or is away. */
import { describe, expect, it } from 'vitest';
import { PendingWrites } from '../../partitions/services/map/pending.js';
import {
  type Item,
  type Problem,
  type Source,
  WriteBehind,
  type WriteBehindHost,
  type WriteBehindOptions,
} from '../../partitions/services/map/write-behind.js';
import { decodeKey, encodeKey } from '../../src/wire/keys.js';

const OPTIONS: WriteBehindOptions = {
  delayMs: 100,
  batchSize: 10,
  concurrency: 4,
  maxAttempts: 3,
  backoffMs: 50,
  maxBackoffMs: 400,
};
const TICK_MS = 10;
const refusal: Problem = { message: 'no' };

/** One member with some partitions and a store. */
class World implements WriteBehindHost {
  nowMs = 0;
  readonly behind: WriteBehind;
  readonly partitions = new Map<number, { seq: number; committedSeq: number | null; epoch: number }>();
  readonly pending = new Map<number, PendingWrites>();
  readonly store = new Map<string, string>();
  /** Names of the keys of each call, values behind them. */
  readonly calls: string[][] = [];
  readonly aside: string[] = [];
  readonly busy = new Set<string>();
  held: { seq: number; untilMs: number } = { seq: -1, untilMs: 0 };
  takesMs = 5;
  coalesces = true;
  refuses: (names: readonly string[]) => Problem | null = () => null;
  #due: { atMs: number; run: () => void }[] = [];

  constructor(options: Partial<WriteBehindOptions> = {}) {
    this.behind = new WriteBehind(this, { ...OPTIONS, ...options });
  }

  now(): number {
    return this.nowMs;
  }

  write(name: string, value: string | null, partition = 0): void {
    const place = this.partitions.get(partition) ?? { seq: 0, committedSeq: null, epoch: 1 };
    this.partitions.set(partition, place);
    const pending = this.pending.get(partition) ?? new PendingWrites();
    this.pending.set(partition, pending);
    const bytes = value === null ? null : Buffer.from(value);
    pending.note(encodeKey(name), bytes, ++place.seq, this.nowMs, this.coalesces);
  }

  *sources(): Generator<Source> {
    for (const [partition, { seq, committedSeq, epoch }] of this.partitions) {
      yield {
        partition,
        epoch: { lineage: 1, epoch },
        pending: this.pending.get(partition) as PendingWrites,
        seq,
        committedSeq: committedSeq ?? seq,
        heldSeq: this.held.seq,
        heldUntilMs: this.held.untilMs,
        isBusy: (key) => this.busy.has(decodeKey(key) as string),
      };
    }
  }

  tell(items: readonly Item[], done: (problem: Problem | null) => void): void {
    const names = items.map(({ key }) => decodeKey(key) as string);
    this.calls.push(
      items.map(({ value }, i) => `${names[i]}=${value === null ? 'gone' : Buffer.from(value).toString()}`),
    );
    const run = () => {
      const problem = this.refuses(names);
      if (problem === null)
        for (const [i, { value }] of items.entries()) {
          if (value === null) this.store.delete(names[i] as string);
          else this.store.set(names[i] as string, Buffer.from(value).toString());
        }
      done(problem);
    };
    this.#due.push({ atMs: this.nowMs + this.takesMs, run });
  }

  stored(items: readonly Item[]): void {
    for (const { partition, key, seq } of items) {
      const place = this.partitions.get(partition);
      if (place === undefined) continue;
      this.pending.get(partition)?.stored({ key, seq }, ++place.seq);
    }
  }

  setAside({ partition, key }: Item, attempts: number, message: string): void {
    this.aside.push(`${decodeKey(key)} ${attempts} ${message}`);
    const pending = this.pending.get(partition) as PendingWrites;
    const owed = pending.find(key);
    if (owed !== undefined) pending.put({ ...owed, failure: { attempts, message, atMs: this.nowMs } });
  }

  runFor(ms: number): void {
    for (const endMs = this.nowMs + ms; this.nowMs < endMs; ) {
      this.nowMs += TICK_MS / 2;
      const due = this.#due.filter(({ atMs }) => atMs <= this.nowMs);
      this.#due = this.#due.filter(({ atMs }) => atMs > this.nowMs);
      for (const { run } of due) run();
      if (this.nowMs % TICK_MS === 0) this.behind.tick();
    }
  }

  get owed(): number {
    return [...this.pending.values()].reduce((sum, { count }) => sum + count, 0);
  }
}

describe('write-behind', () => {
  it('writes after the delay, in batches over all partitions', () => {
    const world = new World();
    world.runFor(50);
    for (let i = 0; i < 25; i++) world.write(`k${i}`, `${i}`, i % 3);
    world.runFor(90);
    expect(world.calls).toEqual([]);
    world.runFor(60);
    expect(world.calls.map(({ length }) => length)).toEqual([10, 10, 5]);
    expect([world.store.size, world.owed]).toEqual([25, 0]);
  });

  it('tells the store the last value, and that a key is gone', () => {
    const world = new World();
    world.write('a', '1');
    world.write('a', '2');
    world.write('b', '1');
    world.write('b', null);
    world.runFor(200);
    expect(world.calls).toEqual([['a=2', 'b=gone']]);
  });

  it('writes a key that never rests once in a delay', () => {
    const world = new World();
    for (let i = 0; i < 100; i++) {
      world.write('a', `${i}`);
      world.runFor(10);
    }
    expect(world.calls.length).toBeGreaterThan(5);
    expect(world.calls.length).toBeLessThan(12);
  });

  it('tells every value in order without coalescing', () => {
    const world = new World();
    world.coalesces = false;
    for (const value of ['1', '2', '3']) world.write('a', value);
    world.write('b', '1');
    world.runFor(300);
    expect(world.calls.flat().filter((call) => call.startsWith('a'))).toEqual(['a=1', 'a=2', 'a=3']);
    expect(world.owed).toBe(0);
  });

  it('has one call for a key at a time, however slow', () => {
    const world = new World({ delayMs: 0 });
    world.takesMs = 300;
    world.write('a', '1');
    world.runFor(100);
    world.write('a', '2');
    world.runFor(100);
    expect(world.calls).toEqual([['a=1']]);
    expect(world.behind.isInFlight(0, encodeKey('a'))).toBe(true);
    world.runFor(600);
    expect(world.calls).toEqual([['a=1'], ['a=2']]);
  });

  it('has no more calls at a time than it may', () => {
    const world = new World({ delayMs: 0, batchSize: 1 });
    world.takesMs = 1_000;
    for (let i = 0; i < 9; i++) world.write(`k${i}`, 'x');
    world.runFor(500);
    expect(world.calls.length).toBe(4);
  });

  it('tells nothing that a crash can take back', () => {
    const world = new World();
    world.write('a', '1');
    world.write('b', '1');
    const place = world.partitions.get(0) as { committedSeq: number | null };
    place.committedSeq = 1;
    world.runFor(300);
    expect(world.calls).toEqual([['a=1']]);
    place.committedSeq = null;
    world.runFor(300);
    expect(world.store.size).toBe(2);
  });

  it('waits for what a former primary may still be writing', () => {
    const world = new World();
    world.write('a', '1');
    world.held = { seq: 1, untilMs: 1_000 };
    world.write('b', '1');
    world.write('a', '2');
    world.runFor(900);
    expect([...world.store.keys()]).toEqual(['b']);
    world.runFor(200);
    expect(world.store.get('a')).toBe('2');
  });

  it('leaves a key alone for which a call waits', () => {
    const world = new World();
    world.busy.add('a');
    world.write('a', '1');
    world.runFor(300);
    expect(world.calls).toEqual([]);
  });

  it('writes at once what is flushed', () => {
    const world = new World({ delayMs: 60_000 });
    world.write('a', '1');
    world.behind.flush(0, 1);
    world.write('b', '1');
    world.runFor(50);
    expect([...world.store.keys()]).toEqual(['a']);
  });

  it('ignores what becomes of a write for a partition that it does not lead any more', () => {
    const world = new World({ delayMs: 0 });
    world.takesMs = 200;
    world.write('a', '1');
    world.runFor(50);
    world.partitions.delete(0);
    world.runFor(500);
    expect(world.owed).toBe(1);
    expect(world.behind.isInFlight(0, encodeKey('a'))).toBe(false);
  });
});

describe('a write that the store refuses', () => {
  const poisoned = (names: readonly string[]) => (names.includes('bad') ? refusal : null);

  it('goes alone, so that the others get through, and is set aside after maxAttempts', () => {
    const world = new World();
    world.refuses = poisoned;
    for (const name of ['a', 'bad', 'b', 'c']) world.write(name, '1');
    world.runFor(150);
    expect([...world.store.keys()].sort()).toEqual(['a', 'b', 'c']);
    expect(world.behind.troubles).toMatchObject([{ message: 'no' }]);
    world.runFor(1_000);
    expect(world.aside).toEqual(['bad 3 no']);
    expect(world.behind.troubles).toEqual([]);
    const calls = world.calls.length;
    world.runFor(5_000);
    expect(world.calls.length).toBe(calls);
  });

  it('does not delay what is written meanwhile', () => {
    const world = new World({ maxAttempts: 1_000 });
    world.refuses = poisoned;
    world.write('bad', '1');
    for (let i = 0; i < 20; i++) {
      world.write(`k${i}`, '1');
      world.runFor(100);
    }
    world.runFor(100);
    expect(world.store.size).toBe(20);
  });

  it('is tried again with growing pauses while nothing else shows that the store works', () => {
    const world = new World();
    world.refuses = poisoned;
    world.write('bad', '1');
    world.runFor(5_000);
    expect(world.aside).toEqual([]);
    expect(world.calls.length).toBeGreaterThan(10);
    expect(world.calls.length).toBeLessThan(17);
    world.write('good', '1');
    world.runFor(2_000);
    expect(world.aside.length).toBe(1);
  });
});

describe('a store that is down', () => {
  it('is tried with one write at a time, sets nothing aside, and gets everything when it is back', () => {
    const world = new World();
    let isDown = true;
    world.refuses = () => (isDown ? refusal : null);
    for (let i = 0; i < 50; i++) world.write(`k${i}`, `${i}`);
    world.runFor(10_000);
    expect(world.behind.isDown).toBe(true);
    expect(world.aside).toEqual([]);
    // Five batches, three keys alone, and one write for each pause of 400 ms.
    expect(world.calls.length).toBeLessThan(45);
    isDown = false;
    world.runFor(2_000);
    expect([world.store.size, world.owed, world.behind.isDown]).toEqual([50, 0, false]);
    expect(world.aside).toEqual([]);
  });

  it('is asked at once by hurry', () => {
    const world = new World({ backoffMs: 60_000, maxBackoffMs: 60_000 });
    let isDown = true;
    world.refuses = () => (isDown ? refusal : null);
    for (let i = 0; i < 5; i++) world.write(`k${i}`, '1');
    world.runFor(1_000);
    isDown = false;
    world.behind.hurry();
    world.runFor(200);
    expect(world.store.size).toBe(5);
  });

  it('is asked at once by the first question of a flush, and once more for what was on its way', () => {
    const world = new World({ backoffMs: 60_000, maxBackoffMs: 60_000 });
    let isDown = true;
    world.refuses = () => (isDown ? refusal : null);
    for (let i = 0; i < 5; i++) world.write(`k${i}`, '1');
    world.runFor(1_000);
    world.takesMs = 300;
    world.behind.flush(0, 5, true);
    world.runFor(150);
    const calls = world.calls.length;
    world.behind.flush(0, 5, true);
    for (let i = 0; i < 20; i++) world.behind.flush(0, 5);
    world.runFor(10);
    expect(world.calls.length).toBe(calls);
    world.runFor(2_000);
    // One more, and then the pauses are as ever.
    expect(world.calls.length).toBe(calls + 1);
    isDown = false;
    world.runFor(2_000);
    expect(world.store.size).toBe(0);
    world.takesMs = 5;
    world.behind.flush(0, 5, true);
    world.runFor(200);
    expect(world.store.size).toBe(5);
  });

  it('is asked in a row by nobody, however many partitions are flushed', () => {
    const world = new World({ delayMs: 0, maxBackoffMs: 60_000 });
    world.refuses = () => refusal;
    for (let i = 0; i < 50; i++) world.write(`k${i}`, '1', i);
    world.runFor(5_000);
    const before = world.calls.length;
    for (let i = 0; i < 50; i++) {
      world.behind.flush(i, 1, true);
      world.runFor(10);
    }
    // 500 ms, and the short pause is 50 ms here.
    expect(world.calls.length - before).toBeLessThanOrEqual(11);
    expect(world.calls.length - before).toBeGreaterThan(3);
  });
});
