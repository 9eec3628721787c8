/**
 * Checks the stores that a member's maps ask for, once its modules have registered theirs: that they are there, and that
 * they have the methods which their maps need. Called by the door, and by the member's stores.
 */
import type { StoreOptions } from '../../partitions/services/map/store-options.js';
import type { MemberConfig } from '../config.js';
import { nearest } from './nearest.js';
import { type Problem, problemsError } from './problems.js';

/** By name; a function that makes stores is not looked at before it is called. */
export type KnownStores = ReadonlyMap<string, unknown>;

/** What of the options decides which methods a store needs. */
type Needs = Pick<StoreOptions, 'mode' | 'initialLoad'>;

/**
 * Throws one `ConfigError` that lists every map whose store is not among `known`, lacks a method, or cannot be loaded
 * eagerly.
 */
export function checkMapStores(config: MemberConfig, known: KnownStores): void {
  const problems = Object.entries(config.maps).flatMap(([pattern, { store }]) =>
    store === undefined ? [] : problemsOf(pattern, store, known),
  );
  if (problems.length > 0) throw problemsError(problems);
}

function problemsOf(pattern: string, store: StoreOptions, known: KnownStores): Problem[] {
  const problems: Problem[] = [];
  const path = ['maps', pattern, 'store'];
  const given = known.get(store.name);
  if (!known.has(store.name))
    problems.push({ path: [...path, 'name'], reason: unknownStore(store.name, [...known.keys()]) });
  else if (typeof given !== 'function') {
    const lack = lackOf(given, store);
    if (lack !== null)
      problems.push({
        path: [...path, 'name'],
        reason: `the store ${JSON.stringify(store.name)} has ${lack}`,
      });
  }
  if (store.initialLoad === 'eager' && (pattern === 'default' || pattern.includes('*'))) {
    const reason = 'eager needs a map of its own name: of a pattern nobody knows which maps there are';
    problems.push({ path: [...path, 'initialLoad'], reason });
  }
  return problems;
}

function unknownStore(name: string, known: readonly string[]): string {
  const near = nearest(name, known);
  const list =
    known.length === 0
      ? 'none is registered: registry.mapStore(name, store)'
      : `known here: ${known.join(', ')}`;
  const advice = near === undefined ? list : `did you mean ${JSON.stringify(near)}?`;
  return `there is no registered store ${JSON.stringify(name)}; ${advice}`;
}

const WRITES = ['store', 'delete'] as const;
const METHODS = ['load', 'loadAll', 'loadAllKeys', 'store', 'storeAll', 'delete', 'deleteAll', 'close'];

/** `no method store, which mode write-behind needs`, with the name that was meant; null when it has all. */
export function lackOf(store: unknown, { mode, initialLoad }: Needs): string | null {
  const has = (method: string) => typeof (store as Record<string, unknown> | null)?.[method] === 'function';
  const needed = [
    ...['load', ...(mode === 'read-through' ? [] : WRITES)].map(
      (method) => [method, `mode ${mode}`] as const,
    ),
    ...(initialLoad === 'eager' ? [['loadAllKeys', 'initialLoad eager'] as const] : []),
  ];
  const lack = needed.find(([method]) => !has(method));
  if (lack === undefined) return null;
  const [method, needs] = lack;
  const near = nearest(
    method,
    othersOf(store).filter((other) => nearest(other, METHODS) === method),
  );
  const meant = near === undefined ? '' : `; it has ${near}: did you mean ${method}?`;
  return `no method ${method}, which ${needs} needs${meant}`;
}

/** Names of functions that are no methods of a store, inherited ones included. */
function othersOf(store: unknown): string[] {
  const names = new Set<string>();
  for (
    let at: unknown = Object(store);
    at !== null && at !== Object.prototype;
    at = Object.getPrototypeOf(at)
  )
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(at)))
      if (typeof value === 'function' && !METHODS.includes(name)) names.add(name);
  return [...names];
}
