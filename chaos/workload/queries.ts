/**
 * Queries of whole maps beside writes of single keys: one map without indexes, and one with an index by configuration and
 * another one that is added while the run goes on. Each worker writes keys of its own and asks about all. Each value has a
 * number of its own, greater than all before; a key whose last call has an unknown outcome is left alone, so that what it has
 * stays nearly known. What is asked and shown is for `checker/queries.ts`. One worker calls one operation after the other.
 */

import { Aggregators } from '../../partitions/query/aggregators.js';
import type { PagingPredicate } from '../../partitions/query/paging.js';
import type { Predicate } from '../../partitions/query/predicate.js';
import { Predicates } from '../../partitions/query/predicates.js';
import { Projections } from '../../partitions/query/projections.js';
import type { GridMap } from '../../partitions/services/map/proxy.js';
import type { SeededRandom } from '../../src/base/random.js';
import { ALL_KEYS, type Asked, type Condition, type Item, type Shows } from '../checker/queried.js';
import { LOOSE } from '../checker/queries.js';
import type { Caller, WorkerContext } from './caller.js';
import type { Entry, Recorder, Step } from './recorder.js';
import type { StepsFor } from './workload.js';

export const QUERIED = 'queried';
export const INDEXED = 'queried-indexed';
export const QUERIED_MAPS: readonly string[] = [QUERIED, INDEXED];
/** Of each worker, in each map. */
const KEYS = 3;
const GROUPS = 4;
/** Of one map: what is checked grows with keys times queries. */
const MAX_QUERIES = 300;
const MAX_PAGE = 6;

type Value = Item & { readonly pad?: string };
type QueriedMap = GridMap<string, Value>;

/** What all workers of a run share. */
export class QueryLog {
  #last = 0;
  /** Queries that told that they used an index. */
  usedIndex = 0;
  /** Since when nobody writes, ms; null: it did not come to that. */
  restMs: number | null = null;
  readonly asked = new Map<string, number>();
  readonly keys = new Map<string, Set<string>>(QUERIED_MAPS.map((name) => [name, new Set()]));

  next(): number {
    return ++this.#last;
  }

  get last(): number {
    return this.#last;
  }

  /** False when a map was asked often enough. */
  use(name: string): boolean {
    const used = this.asked.get(name) ?? 0;
    this.asked.set(name, used + 1);
    return used < MAX_QUERIES;
  }
}

/** Options of the maps, beside those of all. */
export function queriedMaps<T extends object>(options: T) {
  return { [INDEXED]: { ...options, indexes: [{ type: 'HASH' as const, attributes: ['group'] }] } };
}

/** A query by the name of its method. */
export interface Kind {
  readonly f: string;
  readonly shows: Shows;
  /** Asks for what matches; else for everything. */
  readonly isWhere: boolean;
  readonly run: (map: QueriedMap, where: Predicate, log: QueryLog) => Promise<unknown>;
}

const kind = (f: string, shows: Shows, isWhere: boolean, run: Kind['run']): Kind => ({
  f,
  shows,
  isWhere,
  run,
});

export const KINDS: readonly Kind[] = [
  kind('entrySet', 'entries', false, async (map) => (await map.entrySet()).map(withoutPad)),
  kind('keySet', 'keys', false, (map) => map.keySet()),
  kind('values', 'values', false, async (map) => (await map.values()).map(itemOf)),
  kind('size', 'count', false, (map) => map.size()),
  kind('entrySetWithPredicate', 'entries', true, async (map, where) =>
    (await map.entrySetWithPredicate(where)).map(withoutPad),
  ),
  kind('keySetWithPredicate', 'keys', true, (map, where) => map.keySetWithPredicate(where)),
  kind('valuesWithPredicate', 'values', true, async (map, where) =>
    (await map.valuesWithPredicate(where)).map(itemOf),
  ),
  kind('project', 'numbers', false, (map) => map.project(Projections.singleAttribute<number>('n'))),
  kind('projectWithPredicate', 'numbers', true, (map, where) =>
    map.projectWithPredicate(Projections.singleAttribute<number>('n'), where),
  ),
  kind('count', 'count', true, (map, where) => map.aggregateWithPredicate(Aggregators.count(), where)),
  kind('sum', 'sum', true, async (map, where) =>
    (await map.aggregateWithPredicate(Aggregators.integerSum('n'), where)).toString(),
  ),
  kind('explainQuery', 'count', true, async (map, where, log) => {
    const { matched, used } = await map.explainQuery(where);
    if (Object.keys(used).some((name) => name !== '')) log.usedIndex++;
    return matched;
  }),
];

function itemOf({ n, group }: Value): Item {
  return { n, group };
}

function withoutPad([key, value]: readonly [string, Value]): [string, Item] {
  return [key, itemOf(value)];
}

function predicateOf({ group, from, to }: Condition): Predicate {
  const parts = [
    ...(group === undefined ? [] : [Predicates.equal('group', group)]),
    ...(from === undefined || to === undefined ? [] : [Predicates.between('n', from, to)]),
  ];
  return parts.length === 0
    ? Predicates.alwaysTrue()
    : parts.length === 1
      ? (parts[0] as Predicate)
      : Predicates.and(...parts);
}

/** How a query is made and recorded. */
export interface Asking {
  readonly caller: Caller;
  readonly recorder: Recorder;
  readonly log: QueryLog;
  readonly timeoutMs: number;
}

export function queriedMap(
  { grid }: Pick<Caller, 'grid'>,
  name: string,
  options: { readonly timeoutMs: number; readonly consistency?: 'EC' | 'EL' },
): QueriedMap {
  return grid.getMap<string, Value>(name).with(options);
}

/** `isLoose`: any replica may answer. */
export function ask(
  how: Asking,
  name: string,
  which: Kind,
  where: Condition,
  isLoose = false,
): Promise<Entry> {
  const { caller, recorder, log, timeoutMs } = how;
  const v: Asked = { shows: which.shows, where: which.isWhere ? where : {} };
  const map = queriedMap(caller, name, { timeoutMs, consistency: isLoose ? 'EL' : 'EC' });
  const step: Step = { k: `${name}/${ALL_KEYS}`, f: isLoose ? LOOSE : which.f, v };
  return recorder.call(
    caller,
    step,
    false,
    timeoutMs,
    () => which.run(map, predicateOf(where), log),
    (out) => out,
  );
}

/** Goes over the pages of a map, in the order of numbers; each page is a query of its own. */
export class Pages {
  readonly #name: string;
  readonly #where: Condition;
  readonly #paging: PagingPredicate;
  #after: number | null = null;
  isOver = false;

  constructor(name: string, where: Condition, size: number) {
    this.#name = name;
    this.#where = where;
    this.#paging = Predicates.paging(predicateOf(where), size, { attribute: 'n' });
  }

  async next({ caller, recorder, timeoutMs }: Asking): Promise<Entry> {
    const { pageSize: size } = this.#paging;
    const v: Asked = { shows: 'entries', where: this.#where, page: { after: this.#after, size } };
    const map = queriedMap(caller, this.#name, { timeoutMs, consistency: 'EC' });
    const read = async () => (await map.entrySetWithPredicate(this.#paging)).map(withoutPad);
    const step = { k: `${this.#name}/${ALL_KEYS}`, f: 'page', v };
    const entry = await recorder.call(caller, step, false, timeoutMs, read, (out) => out);
    const rows = (entry.out ?? []) as readonly (readonly [string, Item])[];
    this.isOver = entry.type !== 'ok' || rows.length < size;
    this.#after = rows.at(-1)?.[1].n ?? null;
    this.#paging.nextPage();
    return entry;
  }
}

export class QueryWorker {
  readonly #context: WorkerContext;
  readonly #recorder: Recorder;
  readonly #random: SeededRandom;
  readonly #log: QueryLog;
  readonly #padBytes: number;
  /** How often the key of a slot was given up. */
  readonly #given = new Map<string, number>();
  #pages: Pages | null = null;

  /** `padBytes`: of each value of the map without indexes, so that a partition takes several steps. */
  constructor(
    context: WorkerContext,
    recorder: Recorder,
    random: SeededRandom,
    log: QueryLog,
    padBytes: number,
  ) {
    this.#context = context;
    this.#recorder = recorder;
    this.#random = random;
    this.#log = log;
    this.#padBytes = padBytes;
  }

  async step(): Promise<void> {
    const random = this.#random;
    const name = QUERIED_MAPS[random.below(QUERIED_MAPS.length)] as string;
    const draw = random.float();
    if (draw < 0.3) return this.#change(name);
    if (draw < 0.36) return this.#changeMany(name);
    if (draw < 0.42) return this.#read(name);
    if (draw < 0.44) return this.#addIndex();
    if (!this.#log.use(name)) return;
    const how = this.#asking();
    if (draw < 0.56) return this.#page(name, how);
    const which = KINDS[random.below(KINDS.length)] as Kind;
    await ask(how, name, which, this.#where(), draw > 0.93);
  }

  #asking(): Asking {
    const timeoutMs = this.#context.timeoutMs();
    return { caller: this.#context.caller, recorder: this.#recorder, log: this.#log, timeoutMs };
  }

  /** All, some groups, numbers of a while ago, or both. */
  #where(): Condition {
    const random = this.#random;
    const draw = random.float();
    const group = `g${random.below(GROUPS)}`;
    const to = this.#log.last - random.below(20);
    const range = { from: Math.max(0, to - 5 - random.below(60)), to: Math.max(0, to) };
    if (draw < 0.2) return {};
    if (draw < 0.55) return { group };
    return draw < 0.85 ? range : { group, ...range };
  }

  #item(): Item {
    return { n: this.#log.next(), group: `g${this.#random.below(GROUPS)}` };
  }

  #valueOf(name: string, item: Item): Value {
    return name === QUERIED && this.#padBytes > 0 ? { ...item, pad: 'x'.repeat(this.#padBytes) } : item;
  }

  #key(name: string, slot: number): string {
    const key = `${this.#context.worker}.${slot}.${this.#given.get(`${name} ${slot}`) ?? 0}`;
    this.#log.keys.get(name)?.add(key);
    return key;
  }

  /** Nobody knows for how long a call of unknown outcome may still do something. */
  #giveUp(name: string, slot: number, { type }: Entry): void {
    const slotName = `${name} ${slot}`;
    if (type === 'info') this.#given.set(slotName, (this.#given.get(slotName) ?? 0) + 1);
  }

  async #change(name: string): Promise<void> {
    const slot = this.#random.below(KEYS);
    const key = this.#key(name, slot);
    const { caller, recorder, timeoutMs } = this.#asking();
    const map = queriedMap(caller, name, { timeoutMs });
    const k = `${name}/${key}`;
    const isRemoval = this.#random.float() < 0.2;
    const item = this.#item();
    const set = () => map.set(key, this.#valueOf(name, item));
    const entry = isRemoval
      ? await recorder.call(caller, { k, f: 'remove' }, true, timeoutMs, () => map.delete(key))
      : await recorder.call(caller, { k, f: 'write', v: item }, true, timeoutMs, set);
    this.#giveUp(name, slot, entry);
  }

  async #changeMany(name: string): Promise<void> {
    const { caller, recorder, timeoutMs } = this.#asking();
    const items = Array.from({ length: KEYS }, (_, slot) => [this.#key(name, slot), this.#item()] as const);
    const steps = items.map(([key, v]) => ({ k: `${name}/${key}`, f: 'write', v }));
    const map = queriedMap(caller, name, { timeoutMs });
    const write = () => map.putAll(items.map(([key, item]) => [key, this.#valueOf(name, item)] as const));
    const entries = await recorder.callMany(caller, steps, true, timeoutMs, write);
    for (const [slot, entry] of entries.entries()) this.#giveUp(name, slot, entry);
  }

  async #read(name: string): Promise<void> {
    const keys = [...(this.#log.keys.get(name) ?? [])];
    if (keys.length === 0) return;
    const { caller, recorder, timeoutMs } = this.#asking();
    await readItem({ caller, recorder, timeoutMs }, name, keys[this.#random.below(keys.length)] as string);
  }

  async #addIndex(): Promise<void> {
    const { caller, recorder, timeoutMs } = this.#asking();
    const map = queriedMap(caller, INDEXED, { timeoutMs });
    const add = () => map.addIndex({ type: 'SORTED', attributes: ['n'] });
    await recorder.call(caller, { k: `${INDEXED}/${ALL_KEYS}`, f: 'addIndex' }, true, timeoutMs, add);
  }

  async #page(name: string, how: Asking): Promise<void> {
    this.#pages ??= new Pages(
      name,
      this.#random.float() < 0.5 ? {} : this.#where(),
      1 + this.#random.below(MAX_PAGE),
    );
    await this.#pages.next(how);
    if (this.#pages.isOver) this.#pages = null;
  }
}

/** One key, as a reading among those of the queries. */
export function readItem(
  { caller, recorder, timeoutMs }: Pick<Asking, 'caller' | 'recorder' | 'timeoutMs'>,
  name: string,
  key: string,
): Promise<Entry> {
  const map = queriedMap(caller, name, { timeoutMs, consistency: 'EC' });
  const out = (value: Value | null) => (value === null ? null : itemOf(value));
  return recorder.call(caller, { k: `${name}/${key}`, f: 'read' }, false, timeoutMs, () => map.get(key), out);
}

/** Steps of workers that do nothing but query and write what is queried. */
export function querySteps(recorder: Recorder, log: QueryLog, padBytes: number): StepsFor {
  return (context, random) => {
    const worker = new QueryWorker(context, recorder, random.fork('queries'), log, padBytes);
    return () => worker.step();
  };
}
