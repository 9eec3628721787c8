/**
 * Checks the names of stores in a member's options, once its modules have registered theirs. Called by the door.
 */
import type { StoreOptions } from '../../partitions/services/map/store-options.js';
import type { MemberConfig } from '../config.js';
import { nearest } from './nearest.js';
import { type Problem, problemsError } from './problems.js';

/** Throws one `ConfigError` that lists every map whose store is not among `known`, or cannot be loaded eagerly. */
export function checkMapStores(config: MemberConfig, known: readonly string[]): void {
  const problems = Object.entries(config.maps).flatMap(([pattern, { store }]) =>
    store === undefined ? [] : problemsOf(pattern, store, known),
  );
  if (problems.length > 0) throw problemsError(problems);
}

function problemsOf(pattern: string, store: StoreOptions, known: readonly string[]): Problem[] {
  const problems: Problem[] = [];
  const path = ['maps', pattern, 'store'];
  if (!known.includes(store.name))
    problems.push({ path: [...path, 'name'], reason: unknownStore(store.name, known) });
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
