/** A map of three members against a plain Map, call by call, with times to live, entry processors and queries. */
import { inspect } from 'node:util';
import fc from 'fast-check';
import { it } from 'vitest';
import {
  Aggregators,
  type GridMap,
  type ModuleRegistry,
  type Predicate,
  Predicates,
  type ProcessorEntry,
} from '../../src/index.js';
import { commandsOf, type Methods, MODEL_TIMEOUT_MS, runModel } from './harness.js';

const KEYS: readonly unknown[] = ['a', '', 1, '1', 2n, { a: 1 }, Buffer.from('a')];
/** So long that no run sees its end. */
const TTL_MS = 3_600_000;
/** As entry views say it. */
const FOR_EVER = Number.POSITIVE_INFINITY;
const MAX_N = 4;

interface Value {
  readonly n: number;
  readonly tag: string;
}

interface Entry {
  readonly value: Value;
  readonly ttlMs: number;
}

/** By index of the key. */
type Model = Map<number, Entry>;
type Real = GridMap<unknown, Value>;

interface Step {
  readonly key: number;
  readonly n: number;
  readonly other: number;
  readonly keys: readonly number[];
  readonly condition: number;
}

const keyAt = (index: number) => KEYS[index];
const numbered = (n: number): Value => ({ n, tag: n % 2 === 0 ? 'even' : 'odd' });
const lasting = (n: number): Entry => ({ value: numbered(n), ttlMs: FOR_EVER });

/** In an order that does not depend on hashes. */
const sorted = <T>(items: readonly T[]): T[] =>
  [...items].sort((a, b) => (inspect(a) < inspect(b) ? -1 : inspect(a) > inspect(b) ? 1 : 0));

const pairsOf = (model: Model, meant: (value: Value) => boolean = () => true) =>
  [...model].filter(([, { value }]) => meant(value)).map(([key, { value }]) => [keyAt(key), value] as const);

const before = (model: Model, key: number): Value | null => model.get(key)?.value ?? null;

/** Conditions as predicates and as plain functions. */
const CONDITIONS: readonly (readonly [(n: number) => Predicate, (value: Value, n: number) => boolean])[] = [
  [(n) => Predicates.equal('n', n), (value, n) => value.n === n],
  [(n) => Predicates.greaterThan('n', n), (value, n) => value.n > n],
  [(n) => Predicates.sql(`tag = 'odd' AND n <= ${n}`), ({ tag, n: own }, n) => tag === 'odd' && own <= n],
  [(n) => Predicates.not(Predicates.like('tag', `e%${n}`)), () => true],
  [() => Predicates.alwaysFalse(), () => false],
];

const predicateOf = ({ condition, n }: Step) => (CONDITIONS[condition] as (typeof CONDITIONS)[number])[0](n);
const meantBy =
  ({ condition, n }: Step) =>
  (value: Value) =>
    (CONDITIONS[condition] as (typeof CONDITIONS)[number])[1](value, n);

/** Sets an entry if `holds`; gives what was there. */
function put(model: Model, key: number, entry: Entry, holds = true): Value | null {
  const old = before(model, key);
  if (holds) model.set(key, entry);
  return old;
}

function remove(model: Model, key: number, holds = true): Value | null {
  const old = before(model, key);
  if (holds) model.delete(key);
  return old;
}

/** What the entry processor `grow` does: makes a key that is not there, removes at the end, answers with what was. */
function grow(model: Model, key: number, by: number): Value | null {
  const old = before(model, key);
  const n = (old?.n ?? 0) + by;
  if (n > MAX_N) model.delete(key);
  else model.set(key, { value: numbered(n), ttlMs: by % 2 === 0 ? TTL_MS : FOR_EVER });
  return old;
}

function growAll(model: Model, keys: readonly number[], by: number) {
  const results = keys.map((key) => [keyAt(key), grow(model, key, by)] as const);
  return sorted(results.filter(([, old]) => old !== null));
}

const is = (model: Model, key: number, n: number) => model.get(key)?.value.n === n;
const code = (error: { readonly code: string }) => error.code;

const METHODS: Methods<Model, Real, Step> = {
  get: [(model, { key }) => before(model, key), (real, { key }) => real.get(keyAt(key))],
  put: [
    (model, { key, n }) => put(model, key, lasting(n)),
    (real, { key, n }) => real.put(keyAt(key), numbered(n)),
  ],
  set: [
    (model, { key, n }) => void put(model, key, lasting(n)),
    (real, { key, n }) => real.set(keyAt(key), numbered(n)),
  ],
  putIfAbsent: [
    (model, { key, n }) => put(model, key, lasting(n), !model.has(key)),
    (real, { key, n }) => real.putIfAbsent(keyAt(key), numbered(n)),
  ],
  replace: [
    (model, { key, n }) => put(model, key, lasting(n), model.has(key)),
    (real, { key, n }) => real.replace(keyAt(key), numbered(n)),
  ],
  replaceIfSame: [
    (model, { key, n, other }) => {
      const holds = is(model, key, other);
      put(model, key, lasting(n), holds);
      return holds;
    },
    (real, { key, n, other }) => real.replaceIfSame(keyAt(key), numbered(other), numbered(n)),
  ],
  remove: [(model, { key }) => remove(model, key), (real, { key }) => real.remove(keyAt(key))],
  removeIfSame: [
    (model, { key, n }) => {
      const holds = is(model, key, n);
      remove(model, key, holds);
      return holds;
    },
    (real, { key, n }) => real.remove(keyAt(key), numbered(n)),
  ],
  delete: [(model, { key }) => void remove(model, key), (real, { key }) => real.delete(keyAt(key))],
  evict: [(model, { key }) => model.delete(key), (real, { key }) => real.evict(keyAt(key))],
  containsKey: [(model, { key }) => model.has(key), (real, { key }) => real.containsKey(keyAt(key))],
  containsValue: [
    (model, { n }) => [...model.values()].some(({ value }) => value.n === n),
    (real, { n }) => real.containsValue(numbered(n)),
  ],
  getEntryView: [
    (model, { key }) => {
      const entry = model.get(key);
      return entry === undefined ? null : [entry.value, entry.ttlMs];
    },
    async (real, { key }) => {
      const view = await real.getEntryView(keyAt(key));
      return view === null ? null : [view.value, view.ttl];
    },
  ],
  size: [(model) => model.size, (real) => real.size()],
  isEmpty: [(model) => model.size === 0, (real) => real.isEmpty()],
  getAll: [
    (model, { keys }) => sorted(pairsOf(model).filter(([key]) => keys.map(keyAt).includes(key))),
    async (real, { keys }) => sorted(await real.getAll(new Set(keys.map(keyAt)))),
  ],
  putAll: [
    (model, { keys, n }) => {
      for (const key of keys) put(model, key, lasting(n));
    },
    (real, { keys, n }) => real.putAll(keys.map((key) => [keyAt(key), numbered(n)] as const)),
  ],
  keySet: [
    (model) => sorted(pairsOf(model).map(([key]) => key)),
    async (real) => sorted(await real.keySet()),
  ],
  values: [
    (model) => sorted(pairsOf(model).map(([, value]) => value)),
    async (real) => sorted(await real.values()),
  ],
  entrySet: [(model) => sorted(pairsOf(model)), async (real) => sorted(await real.entrySet())],
  iterate: [
    (model) => sorted(pairsOf(model)),
    async (real) => {
      const met: unknown[] = [];
      for await (const pair of real) met.push(pair);
      return sorted(met);
    },
  ],
  clear: [(model) => model.clear(), (real) => real.clear()],
  evictAll: [(model) => model.clear(), (real) => real.evictAll()],
  destroy: [(model) => model.clear(), (real) => real.destroy()],
  executeOnKey: [
    (model, { key, n }) => grow(model, key, n),
    (real, { key, n }) => real.executeOnKey(keyAt(key), { name: 'grow', argument: n }),
  ],
  executeOnKeys: [
    (model, { keys, n }) => growAll(model, [...new Set(keys)], n),
    async (real, { keys, n }) =>
      sorted(await real.executeOnKeys(keys.map(keyAt), { name: 'grow', argument: n })),
  ],
  executeOnEntries: [
    (model, { n }) => growAll(model, [...model.keys()], n),
    async (real, { n }) => sorted(await real.executeOnEntries({ name: 'grow', argument: n })),
  ],
  executeOnEntriesThatMatch: [
    (model, step) => {
      const meant = meantBy(step);
      const keys = [...model].filter(([, { value }]) => meant(value)).map(([key]) => key);
      return growAll(model, keys, step.other);
    },
    async (real, step) =>
      sorted(await real.executeOnEntries({ name: 'grow', argument: step.other }, predicateOf(step))),
  ],
  executeWhatThrows: [
    () => 'ERR_FUNCTION_FAILED',
    (real, { key }) => real.executeOnKey(keyAt(key), 'throw').catch(code),
  ],
  executeWhatNobodyKnows: [
    () => 'ERR_UNKNOWN_FUNCTION',
    (real, { key }) => real.executeOnKey(keyAt(key), 'nobody').catch(code),
  ],
  entrySetWithPredicate: [
    (model, step) => sorted(pairsOf(model, meantBy(step))),
    async (real, step) => sorted(await real.entrySetWithPredicate(predicateOf(step))),
  ],
  keySetWithPredicate: [
    (model, step) => sorted(pairsOf(model, meantBy(step)).map(([key]) => key)),
    async (real, step) => sorted(await real.keySetWithPredicate(predicateOf(step))),
  ],
  valuesWithPredicate: [
    (model, step) => sorted(pairsOf(model, meantBy(step)).map(([, value]) => value)),
    async (real, step) => sorted(await real.valuesWithPredicate(predicateOf(step))),
  ],
  removeAll: [
    (model, step) => {
      const meant = meantBy(step);
      for (const [key, { value }] of model) if (meant(value)) model.delete(key);
    },
    (real, step) => real.removeAll(predicateOf(step)),
  ],
  count: [
    (model, step) => pairsOf(model, meantBy(step)).length,
    (real, step) => real.aggregateWithPredicate(Aggregators.count(), predicateOf(step)),
  ],
};

/** More of what fills the map, so that there is something for the others. */
const WEIGHTS = { put: 3, set: 3, putAll: 3, executeOnKey: 3, executeOnKeys: 2, get: 2, getEntryView: 2 };

const key = fc.nat({ max: KEYS.length - 1 });
const n = fc.integer({ min: 1, max: MAX_N });
const step: fc.Arbitrary<Step> = fc.record({
  key,
  n,
  other: n,
  keys: fc.array(key, { maxLength: 4 }),
  condition: fc.nat({ max: CONDITIONS.length - 1 }),
});

function register(registry: ModuleRegistry): void {
  registry.entryProcessor('grow', (entry: ProcessorEntry<unknown, Value>, by: number) => {
    const old = entry.value;
    const next = (old?.n ?? 0) + by;
    if (next > MAX_N) entry.remove();
    else if (by % 2 === 0) entry.set(numbered(next), TTL_MS);
    else entry.value = numbered(next);
    return old;
  });
  registry.entryProcessor('throw', (entry: ProcessorEntry<unknown, Value>) => {
    entry.remove();
    throw new Error('as it should');
  });
}

it('a map does what a plain Map does', { timeout: MODEL_TIMEOUT_MS }, async () => {
  await runModel(commandsOf(METHODS, step, WEIGHTS, 25), { register }, (client, name) => ({
    model: new Map() as Model,
    real: client.getMap<unknown, Value>(name),
  }));
});
