import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { HistoryOperation } from '../../chaos/checker/history.js';
import { checkLinearizable } from '../../chaos/checker/linearizable.js';
import {
  atomicLongModel,
  type Call,
  ILLEGAL,
  type Model,
  registerModel,
  UNKNOWN,
} from '../../chaos/checker/models.js';
import { SeededRandom } from '../../src/base/random.js';

/** `op(client, call, ret, f, what)`: an ok operation on key x. */
function op(
  c: number,
  call: number,
  ret: number,
  f: string,
  what: Partial<HistoryOperation> = {},
): HistoryOperation {
  return { c, k: 'x', f, call, ret, type: 'ok', ...what };
}
const write = (c: number, call: number, ret: number, v: unknown) => op(c, call, ret, 'write', { v });
const read = (c: number, call: number, ret: number, out: unknown) => op(c, call, ret, 'read', { out });
const cas = (c: number, call: number, ret: number, from: unknown, to: unknown, out: boolean) =>
  op(c, call, ret, 'cas', { from, to, out });
const open = (operation: HistoryOperation): HistoryOperation => {
  const { out: _, ...rest } = operation;
  return { ...rest, type: 'info', ret: null };
};
const failed = (operation: HistoryOperation): HistoryOperation => ({ ...operation, type: 'fail' });

type Case = readonly [name: string, verdict: 'ok' | 'illegal', history: HistoryOperation[]];

const REGISTER: Case[] = [
  ['an empty history', 'ok', []],
  ['a read of the absent value before any write', 'ok', [read(0, 0, 1, null)]],
  ['a write and a read after it', 'ok', [write(0, 0, 1, 7), read(1, 2, 3, 7)]],
  [
    'a stale read: the old value after the write was answered',
    'illegal',
    [write(0, 0, 1, 7), read(1, 2, 3, null)],
  ],
  ['a read of a value that nobody wrote', 'illegal', [write(0, 0, 1, 7), read(1, 2, 3, 8)]],
  ['a read beside a write sees the new value', 'ok', [write(0, 0, 10, 7), read(1, 5, 6, 7)]],
  ['a read beside a write sees the old value', 'ok', [write(0, 0, 10, 7), read(1, 5, 6, null)]],
  [
    'new-old inversion: one reader sees the new value, a later one the old',
    'illegal',
    [write(0, 0, 100, 7), read(1, 10, 20, 7), read(2, 30, 40, null)],
  ],
  [
    'old and then new beside one write',
    'ok',
    [write(0, 0, 100, 7), read(1, 10, 20, null), read(2, 30, 40, 7)],
  ],
  [
    'two readers that see two concurrent writes in different orders',
    'illegal',
    [
      write(0, 0, 100, 1),
      write(1, 0, 100, 2),
      read(2, 10, 20, 1),
      read(2, 30, 40, 2),
      read(3, 10, 20, 2),
      read(3, 30, 40, 1),
    ],
  ],
  [
    'two readers that agree on the order of two concurrent writes',
    'ok',
    [write(0, 0, 100, 1), write(1, 0, 100, 2), read(2, 10, 20, 2), read(2, 30, 40, 1), read(3, 25, 45, 1)],
  ],
  [
    'a lost update: both cas on the same value succeed',
    'illegal',
    [write(0, 0, 1, 1), cas(1, 2, 10, 1, 2, true), cas(2, 2, 10, 1, 3, true)],
  ],
  [
    'one of two cas on the same value succeeds',
    'ok',
    [write(0, 0, 1, 1), cas(1, 2, 10, 1, 2, true), cas(2, 2, 10, 1, 3, false), read(0, 11, 12, 2)],
  ],
  [
    'a cas that says no although the value was there all the time',
    'illegal',
    [write(0, 0, 1, 1), cas(1, 2, 3, 1, 2, false)],
  ],
  ['a cas that says yes on the wrong value', 'illegal', [write(0, 0, 1, 1), cas(1, 2, 3, 5, 2, true)]],
  [
    'a chain of cas that overlap, in the only order that works',
    'ok',
    [cas(0, 0, 10, 2, 3, true), cas(1, 0, 10, null, 1, true), cas(2, 0, 10, 1, 2, true), read(3, 11, 12, 3)],
  ],
  [
    'a value that comes back after it was overwritten',
    'illegal',
    [write(0, 0, 1, 1), write(0, 2, 3, 2), read(1, 4, 5, 2), read(1, 6, 7, 1)],
  ],
  [
    'a removed value that is read again',
    'illegal',
    [write(0, 0, 1, 1), op(0, 2, 3, 'remove', { out: 1 }), read(1, 4, 5, 1)],
  ],
  ['remove, then absent', 'ok', [write(0, 0, 1, 1), op(0, 2, 3, 'remove', { out: 1 }), read(1, 4, 5, null)]],
  [
    'two removes that both got the one value',
    'illegal',
    [write(0, 0, 1, 1), op(1, 2, 9, 'remove', { out: 1 }), op(2, 2, 9, 'remove', { out: 1 })],
  ],
  [
    'a put whose answer skips a write',
    'illegal',
    [write(0, 0, 1, 1), write(0, 2, 3, 2), op(1, 4, 5, 'put', { v: 3, out: 1 })],
  ],
  [
    'two putIfAbsent that both won',
    'illegal',
    [op(0, 0, 9, 'putIfAbsent', { v: 1, out: null }), op(1, 0, 9, 'putIfAbsent', { v: 2, out: null })],
  ],
  [
    'a replace of an absent value leaves it absent',
    'ok',
    [
      op(0, 0, 1, 'replace', { v: 1, out: null }),
      read(0, 2, 3, null),
      op(1, 4, 5, 'removeIfSame', { from: 1, out: false }),
    ],
  ],
  [
    'an info write that takes effect long after its client gave up',
    'ok',
    [write(0, 0, 1, 1), open(write(1, 2, 3, 2)), read(0, 50, 51, 1), read(0, 60, 61, 2)],
  ],
  [
    'an info write that never takes effect',
    'ok',
    [write(0, 0, 1, 1), open(write(1, 2, 3, 2)), read(0, 50, 51, 1)],
  ],
  [
    'an info write that is seen and then undone',
    'illegal',
    [write(0, 0, 1, 1), open(write(1, 2, 3, 2)), read(0, 50, 51, 2), read(0, 60, 61, 1)],
  ],
  [
    'an info write that takes effect twice',
    'illegal',
    [open(write(1, 0, 1, 2)), read(0, 2, 3, 2), write(0, 4, 5, 3), read(0, 6, 7, 2)],
  ],
  ['an info write that is seen before it was called', 'illegal', [read(0, 0, 1, 2), open(write(1, 5, 6, 2))]],
  [
    'an info cas explains a value; its own answer is unknown',
    'ok',
    [write(0, 0, 1, 1), open(cas(1, 2, 3, 1, 2, true)), read(0, 4, 5, 1), read(0, 6, 7, 2)],
  ],
  [
    'an info cas cannot have worked on a value that never was',
    'illegal',
    [write(0, 0, 1, 1), open(cas(1, 2, 3, 9, 2, true)), read(0, 4, 5, 2)],
  ],
  ['an info read says nothing', 'ok', [write(0, 0, 1, 1), open(read(1, 2, 3, 9)), read(0, 4, 5, 1)]],
  [
    'a failed write whose value is read all the same',
    'illegal',
    [failed(write(0, 0, 1, 1)), read(1, 2, 3, 1)],
  ],
  ['a failed write had no effect', 'ok', [failed(write(0, 0, 1, 1)), read(1, 2, 3, null)]],
  [
    'closed intervals: a read that begins when the write ends may miss it',
    'ok',
    [write(0, 0, 10, 1), read(1, 10, 11, null)],
  ],
  [
    'a read that begins just after the write ended may not',
    'illegal',
    [write(0, 0, 10, 1), read(1, 11, 12, null)],
  ],
  [
    'closed intervals: operations of one instant in any order',
    'ok',
    [read(0, 5, 5, 2), write(1, 5, 5, 2), read(2, 5, 5, 1), write(3, 5, 5, 1)],
  ],
  [
    'objects are equal by content, whatever the order of their properties',
    'ok',
    [write(0, 0, 1, { a: 1, b: [2, { c: 3, d: 4 }] }), read(1, 2, 3, { b: [2, { d: 4, c: 3 }], a: 1 })],
  ],
  ['a number is not the text of its digits', 'illegal', [write(0, 0, 1, 1), read(1, 2, 3, '1')]],
  [
    'keys do not disturb each other',
    'ok',
    [write(0, 0, 1, 1), { ...write(0, 2, 3, 2), k: 'y' }, read(1, 4, 5, 1), { ...read(1, 6, 7, 2), k: 'y' }],
  ],
  [
    'one bad key among good ones',
    'illegal',
    [write(0, 0, 1, 1), { ...write(0, 2, 3, 2), k: 'y' }, read(1, 4, 5, 1), { ...read(1, 6, 7, 1), k: 'y' }],
  ],
];

const add = (c: number, call: number, ret: number, v: number, out: unknown) =>
  op(c, call, ret, 'add', { v, out });
const get = (c: number, call: number, ret: number, out: unknown) => op(c, call, ret, 'get', { out });

const LONG: Case[] = [
  ['additions beside each other add up', 'ok', [add(0, 0, 9, 5, 8), add(1, 0, 9, 3, 3), get(0, 10, 11, 8)]],
  ['an addition that was applied twice', 'illegal', [add(0, 0, 1, 5, 5), get(1, 2, 3, 10)]],
  [
    'an addition without an answer that was applied twice',
    'illegal',
    [open(add(0, 0, 1, 5, 5)), get(1, 2, 3, 10)],
  ],
  [
    'an addition without an answer that was applied once, late',
    'ok',
    [open(add(0, 0, 1, 5, 5)), get(1, 2, 3, 0), get(1, 4, 5, 5)],
  ],
  ['two additions that both saw the same sum', 'illegal', [add(0, 0, 9, 1, 1), add(1, 0, 9, 1, 1)]],
  ['an acknowledged addition that was lost', 'illegal', [add(0, 0, 1, 5, 5), get(1, 2, 3, 0)]],
  [
    'unique numbers from getAndIncrement',
    'ok',
    [
      op(0, 0, 9, 'getAndIncrement', { out: 1 }),
      op(1, 0, 9, 'getAndIncrement', { out: 0 }),
      op(2, 10, 11, 'incrementAndGet', { out: 3 }),
      op(2, 12, 13, 'decrementAndGet', { out: 2 }),
      op(2, 14, 15, 'getAndDecrement', { out: 2 }),
      op(2, 16, 17, 'getAndAdd', { v: -1, out: 1 }),
      op(2, 18, 19, 'addAndGet', { v: 4, out: 4 }),
    ],
  ],
  [
    'the same number given out twice',
    'illegal',
    [op(0, 0, 9, 'getAndIncrement', { out: 0 }), op(1, 0, 9, 'getAndIncrement', { out: 0 })],
  ],
  [
    'set, getAndSet and compareAndSet',
    'ok',
    [
      op(0, 0, 1, 'set', { v: 7 }),
      op(0, 2, 3, 'getAndSet', { v: '8', out: 7 }),
      op(0, 4, 5, 'compareAndSet', { from: 8, to: 9n, out: true }),
      op(0, 6, 7, 'compareAndSet', { from: 8, to: 10, out: false }),
      get(0, 8, 9, '9'),
    ],
  ],
  [
    'a compareAndSet that says yes twice on one value',
    'illegal',
    [
      op(0, 0, 9, 'compareAndSet', { from: 0, to: 1, out: true }),
      op(1, 0, 9, 'compareAndSet', { from: 0, to: 2, out: true }),
    ],
  ],
  [
    'sums wrap at 64 bits, exactly',
    'ok',
    [
      op(0, 0, 1, 'set', { v: '9223372036854775807' }),
      op(0, 2, 3, 'add', { v: 1, out: '-9223372036854775808' }),
    ],
  ],
  [
    'a sum that lost its last bit to a double',
    'illegal',
    [op(0, 0, 1, 'set', { v: '9007199254740993' }), get(0, 2, 3, '9007199254740992')],
  ],
];

describe('hand-written histories', () => {
  it.each(REGISTER)('register: %s -> %s', (_name, verdict, history) => {
    const result = checkLinearizable(history, registerModel);
    expect(result.verdict, result.text).toBe(verdict);
    const shuffled = [...history].reverse();
    expect(checkLinearizable(shuffled, registerModel).verdict).toBe(verdict);
  });

  it.each(LONG)('atomic long: %s -> %s', (_name, verdict, history) => {
    const result = checkLinearizable(history, atomicLongModel);
    expect(result.verdict, result.text).toBe(verdict);
  });
});

describe('what a failure says', () => {
  it('names the key, the longest order and the operation that does not fit', () => {
    const history = [
      write(0, 0, 1, 1),
      { ...write(5, 0, 1, 9), k: 'fine' },
      write(0, 2, 3, 2),
      read(1, 4, 5, 2),
      read(2, 6, 9, 1),
      cas(3, 8, 12, 2, 3, true),
    ];
    const result = checkLinearizable(history, registerModel);
    expect([result.verdict, result.keys, result.operations]).toEqual(['illegal', 2, 6]);
    expect(result.failures).toHaveLength(1);
    const [failure] = result.failures;
    expect(failure!.key).toBe('x');
    expect(failure!.blocking).toEqual(history[4]);
    expect(failure!.prefix.slice(0, 3)).toEqual([history[0], history[2], history[3]]);
    expect(result.text).toContain('key "x" is not linearizable');
    expect(result.text).toContain('1. client 0 write 1 [0, 1]; then it is 1');
    expect(result.text).toContain('Blocked by: client 2 read = 1 [6, 9]');
  });

  it('shortens a long prefix but counts all of it', () => {
    const history = Array.from({ length: 100 }, (_, i) => write(0, 2 * i, 2 * i + 1, i));
    const result = checkLinearizable([...history, read(1, 500, 501, 3)], registerModel);
    expect(result.failures[0]!.prefix).toHaveLength(100);
    expect(result.text).toContain('100 of 101 operations fit');
    expect(result.text.split('\n').length).toBeLessThan(20);
  });

  it('refuses operations that make no sense instead of passing them', () => {
    expect(() => checkLinearizable([read(0, 5, 4, 1)], registerModel)).toThrow('ret is before call');
    expect(() => checkLinearizable([op(0, 0, 1, 'red', { out: 1 })], registerModel)).toThrow('"red"');
    expect(() => checkLinearizable([op(0, 0, 1, 'read')], registerModel)).toThrow('proves nothing');
    expect(() => checkLinearizable([get(0, 0, 1, 'many')], atomicLongModel)).toThrow('many');
  });
});

/** Additions of different powers at once and a sum that none of their 2^20 subsets has. */
function hardHistory(): HistoryOperation[] {
  const writes = Array.from({ length: 20 }, (_, i) => op(i, 0, 1_000, 'add', { v: 2 ** i }));
  return [...writes, op(99, 0, 1_000, 'get', { out: -1 })];
}

describe('budgets', () => {
  it('end in unknown when the states run out, never in a pass', () => {
    const result = checkLinearizable(hardHistory(), atomicLongModel, { maxStatesPerKey: 10_000 });
    expect(result.verdict).toBe('unknown');
    expect(result.failures[0]!.verdict).toBe('unknown');
    expect(result.text).toContain('the budget ran out');
  });

  it('end in unknown when the time runs out', () => {
    const result = checkLinearizable(hardHistory(), atomicLongModel, { timeLimitMs: 0 });
    expect(result.verdict).toBe('unknown');
  });

  it('do not hide that another key is illegal', () => {
    const bad = { ...get(0, 2_000, 2_001, 5), k: 'bad' };
    const result = checkLinearizable([...hardHistory(), bad], atomicLongModel, { maxStatesPerKey: 10_000 });
    expect(result.verdict).toBe('illegal');
    expect(result.failures.map(({ key, verdict }) => [key, verdict])).toEqual([
      ['x', 'unknown'],
      ['bad', 'illegal'],
    ]);
  });
});

interface Shape {
  readonly operations: number;
  readonly keys: number;
  readonly clients: number;
  /** Share of operations whose outcome stays unknown, half of which never take effect. */
  readonly open: number;
}

/** A history of a real sequential execution, one operation every 10 ns, with intervals stretched around it. */
function generate(seed: number, shape: Shape): HistoryOperation[] {
  const random = new SeededRandom(seed);
  const values = new Map<string, number>();
  const freeAt = new Array<number>(shape.clients).fill(0);
  const history: HistoryOperation[] = [];
  for (let i = 1; history.length < shape.operations; i++) {
    const now = i * 10;
    const c = random.below(shape.clients);
    if (freeAt[c]! >= now) continue;
    const call = Math.max(freeAt[c]!, now - random.below(100));
    const isOpen = random.float() < shape.open;
    const happens = !isOpen || random.float() < 0.5;
    const k = `k${random.below(shape.keys)}`;
    const value = values.get(k) ?? null;
    const ret = isOpen ? null : now + random.below(100);
    freeAt[c] = (ret ?? now) + 1;
    const common = { c, k, call, ret, type: isOpen ? ('info' as const) : ('ok' as const) };
    const kind = random.float();
    if (kind < 0.5) {
      history.push({ ...common, f: 'read', ...(isOpen ? {} : { out: value }) });
    } else if (kind < 0.8) {
      if (happens) values.set(k, i);
      history.push({ ...common, f: 'write', v: i });
    } else {
      const from = random.float() < 0.7 ? value : i - 1_000_000;
      if (happens && from === value) values.set(k, i);
      history.push({ ...common, f: 'cas', from, to: i, ...(isOpen ? {} : { out: from === value }) });
    }
  }
  return history;
}

/** Makes one late read return a value that a later write had certainly replaced; undefined where there is none. */
function withStaleRead(history: readonly HistoryOperation[]): HistoryOperation[] | undefined {
  const isWrite = (operation: HistoryOperation) => operation.f === 'write' && operation.type === 'ok';
  for (let at = history.length - 1; at >= 0; at--) {
    const victim = history[at]!;
    if (victim.f !== 'read' || victim.type !== 'ok') continue;
    const before = history.filter(
      (other) => isWrite(other) && other.k === victim.k && other.ret! < victim.call,
    );
    const newer = before.at(-1);
    const older = before.find((other) => newer !== undefined && other.ret! < newer.call);
    if (older !== undefined)
      return history.map((other, i) => (i === at ? { ...victim, out: older.v } : other));
  }
  return undefined;
}

/** Tries every order, with no memo and no shortcut; only for a handful of operations. */
function bruteForce<State>(
  history: readonly HistoryOperation[],
  model: Model<State, Call, unknown>,
  state: State = model.initial,
): boolean {
  const due = Math.min(...history.map((operation) => operation.ret ?? Number.POSITIVE_INFINITY));
  if (due === Number.POSITIVE_INFINITY) return true;
  return history.some((operation, i) => {
    if (operation.call > due) return false;
    const next = model.step(state, operation, operation.type === 'ok' ? operation.out : UNKNOWN);
    return next !== ILLEGAL && bruteForce(history.toSpliced(i, 1), model, next as State);
  });
}

/** A few operations with small values and arbitrary answers, `names` at random times. */
function arbitraryHistory(names: readonly string[], values: readonly unknown[]) {
  const value = fc.constantFrom(...values);
  return fc.array(
    fc
      .record({
        c: fc.integer({ min: 0, max: 5 }),
        call: fc.integer({ min: 0, max: 20 }),
        length: fc.integer({ min: 0, max: 10 }),
        f: fc.constantFrom(...names),
        isOpen: fc.boolean(),
        v: value,
        from: value,
        to: value,
        out: value,
        yes: fc.boolean(),
      })
      .map(({ c, call, length, f, isOpen, v, from, to, out, yes }) => {
        const what = f === 'cas' ? { from, to, out: yes } : { v, out };
        const done = op(c, call, call + length, f, what);
        return isOpen ? open(done) : done;
      }),
    { minLength: 1, maxLength: 6 },
  );
}

describe('generated histories', () => {
  const shapes = fc.record({
    operations: fc.integer({ min: 1, max: 300 }),
    keys: fc.integer({ min: 1, max: 4 }),
    clients: fc.integer({ min: 1, max: 12 }),
    open: fc.constantFrom(0, 0.02, 0.1),
  });

  it('of a sequential execution are ok, and with one stale read illegal', () => {
    let injected = 0;
    fc.assert(
      fc.property(fc.integer(), shapes, (seed, shape) => {
        const history = generate(seed, shape);
        const result = checkLinearizable(history, registerModel);
        expect(result.verdict, result.text).toBe('ok');
        const stale = withStaleRead(history);
        if (stale === undefined) return;
        injected++;
        expect(checkLinearizable(stale, registerModel).verdict).toBe('illegal');
      }),
      { numRuns: 200 },
    );
    expect(injected).toBeGreaterThan(50);
  });

  it.each([
    ['register', registerModel, ['read', 'write', 'cas', 'put', 'putIfAbsent', 'remove'], [1, 2, null]],
    ['atomic long', atomicLongModel, ['get', 'set', 'add', 'getAndAdd', 'cas'], [0, 1, 2, 3]],
  ] as [string, Model<unknown, Call, unknown>, string[], unknown[]][])(
    'of a few arbitrary operations (%s) get the verdict of trying every order',
    (_name, model, names, values) => {
      const seen = { ok: 0, illegal: 0, unknown: 0 };
      fc.assert(
        fc.property(arbitraryHistory(names, values), (history) => {
          const { verdict } = checkLinearizable(history, model);
          seen[verdict]++;
          expect(verdict).toBe(bruteForce(history, model) ? 'ok' : 'illegal');
        }),
        { numRuns: 2_000 },
      );
      expect(seen.ok).toBeGreaterThan(200);
      expect(seen.illegal).toBeGreaterThan(200);
      expect(seen.unknown).toBe(0);
    },
  );

  it('of 10,000 operations over 10 keys are checked in less than a second, good or bad', () => {
    const history = generate(3, { operations: 10_000, keys: 10, clients: 12, open: 0.01 });
    const stale = withStaleRead(history);
    const startMs = performance.now();
    const good = checkLinearizable(history, registerModel);
    const goodMs = performance.now() - startMs;
    const bad = checkLinearizable(stale!, registerModel);
    const badMs = performance.now() - startMs - goodMs;
    expect([good.verdict, bad.verdict]).toEqual(['ok', 'illegal']);
    expect(good.operations).toBeGreaterThan(9_900);
    expect(goodMs).toBeLessThan(1_000);
    expect(badMs).toBeLessThan(1_000);
  });
});
