/**
 * What a multimap has to do, as plain JavaScript, and commands that do the same to both and compare. Used on an invoker
 * without a grid and through a client of a real one.
 */
import { inspect } from 'node:util';
import fc from 'fast-check';
import type { GridMultiMap } from '../../partitions/services/multimap/proxy.js';
import { withAffinity } from '../../src/wire/keys.js';
import { commandsOf, type Methods } from '../model/harness.js';

export const KEYS: readonly unknown[] = [
  'a',
  '',
  1,
  '1',
  2n,
  { a: 1 },
  withAffinity('a', 'b'),
  Buffer.from('a'),
];
export const VALUES: readonly unknown[] = [
  'x',
  '',
  1,
  2.5,
  { name: 'n', list: [1, 2] },
  Buffer.from('x'),
  3n,
];

/** Indexes of values by indexes of keys. */
type Model = Map<number, number[]>;

export class Expected {
  readonly isSet: boolean;
  readonly pairs: Model = new Map();

  constructor(isSet: boolean) {
    this.isSet = isSet;
  }

  values(key: number): readonly number[] {
    return this.pairs.get(key) ?? [];
  }

  put(key: number, value: number): boolean {
    const values = this.values(key);
    if (this.isSet && values.includes(value)) return false;
    this.pairs.set(key, [...values, value]);
    return true;
  }

  remove(key: number, value: number): boolean {
    const values = this.values(key);
    const at = values.indexOf(value);
    if (at < 0) return false;
    if (values.length === 1) this.pairs.delete(key);
    else this.pairs.set(key, values.toSpliced(at, 1));
    return true;
  }

  removeAll(key: number): readonly number[] {
    const values = this.values(key);
    this.pairs.delete(key);
    return values;
  }

  get entries(): [number, number][] {
    return [...this.pairs].flatMap(([key, values]) => values.map((value): [number, number] => [key, value]));
  }
}

type Real = GridMultiMap<unknown, unknown>;
type Command = fc.AsyncCommand<Expected, Real>;

/** In an order that does not depend on hashes. */
const sorted = <T>(items: readonly T[]): T[] =>
  [...items].sort((a, b) => (inspect(a) < inspect(b) ? -1 : inspect(a) > inspect(b) ? 1 : 0));
const keyAt = (index: number) => KEYS[index];
const valueAt = (index: number) => VALUES[index];

interface Step {
  readonly key: number;
  readonly value: number;
  readonly pairs: readonly (readonly [number, readonly number[]])[];
}

/** What each method gives: of the model, and of the multimap. */
const METHODS: Methods<Expected, Real, Step> = {
  put: [
    (model, { key, value }) => model.put(key, value),
    (real, { key, value }) => real.put(keyAt(key), valueAt(value)),
  ],
  putAll: [
    (model, { pairs }) => {
      for (const [key, values] of pairs) for (const value of values) model.put(key, value);
    },
    (real, { pairs }) => real.putAll(pairs.map(([key, values]) => [keyAt(key), values.map(valueAt)])),
  ],
  get: [(model, { key }) => model.values(key).map(valueAt), (real, { key }) => real.get(keyAt(key))],
  remove: [
    (model, { key, value }) => model.remove(key, value),
    (real, { key, value }) => real.remove(keyAt(key), valueAt(value)),
  ],
  removeAll: [
    (model, { key }) => model.removeAll(key).map(valueAt),
    (real, { key }) => real.removeAll(keyAt(key)),
  ],
  delete: [(model, { key }) => void model.removeAll(key), (real, { key }) => real.delete(keyAt(key))],
  containsKey: [(model, { key }) => model.pairs.has(key), (real, { key }) => real.containsKey(keyAt(key))],
  containsValue: [
    (model, { value }) => model.entries.some(([, one]) => one === value),
    (real, { value }) => real.containsValue(valueAt(value)),
  ],
  containsEntry: [
    (model, { key, value }) => model.values(key).includes(value),
    (real, { key, value }) => real.containsEntry(keyAt(key), valueAt(value)),
  ],
  valueCount: [(model, { key }) => model.values(key).length, (real, { key }) => real.valueCount(keyAt(key))],
  size: [(model) => model.entries.length, (real) => real.size()],
  isEmpty: [(model) => model.pairs.size === 0, (real) => real.isEmpty()],
  keySet: [
    (model) => sorted([...model.pairs.keys()].map(keyAt)),
    async (real) => sorted(await real.keySet()),
  ],
  values: [
    (model) => sorted(model.entries.map(([, value]) => valueAt(value))),
    async (real) => sorted(await real.values()),
  ],
  entrySet: [
    (model) => sorted(model.entries.map(([key, value]) => [keyAt(key), valueAt(value)])),
    async (real) => sorted(await real.entrySet()),
  ],
  iterate: [
    (model) => sorted(model.entries.map(([key, value]) => [keyAt(key), valueAt(value)])),
    async (real) => {
      const met: unknown[] = [];
      for await (const pair of real) met.push(pair);
      return sorted(met);
    },
  ],
  clear: [(model) => model.pairs.clear(), (real) => real.clear()],
  destroy: [(model) => model.pairs.clear(), (real) => real.destroy()],
};

/** How often methods are drawn that fill the multimap, so that there is something for the others. */
const WEIGHTS: Readonly<Record<string, number>> = { put: 8, putAll: 3, remove: 4, get: 3, containsEntry: 2 };

const key = fc.nat({ max: KEYS.length - 1 });
/** Few, so that equal ones meet. */
const value = fc.oneof({ weight: 3, arbitrary: fc.nat({ max: 2 }) }, fc.nat({ max: VALUES.length - 1 }));
const step: fc.Arbitrary<Step> = fc.record({
  key,
  value,
  pairs: fc.array(fc.tuple(key, fc.array(value, { maxLength: 4 })), { maxLength: 4 }),
});

export function commands(maxCommands: number): fc.Arbitrary<Iterable<Command>> {
  return commandsOf(METHODS, step, WEIGHTS, maxCommands);
}
