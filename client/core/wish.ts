/**
 * What a call asks for that is not served as every other one: how strictly, how fresh, and what it must not go back behind.
 * Most calls ask for nothing, and have none. Called by `calls.ts`.
 */
import { ASKS_NOTHING, type Ask } from '../../partitions/call.js';
import type { RequestOptions, SeenPlaces } from '../../partitions/invoker.js';
import { SERVICES as STRUCTURES } from '../../partitions/services/index.js';
import type { Routes } from './routes.js';

export interface Wish {
  readonly consistency: 'EC' | 'EL' | null;
  readonly maxStalenessMs: number | null;
  readonly session: SeenPlaces | null;
  /** The answer has to tell its place. */
  readonly withPlace: boolean;
  readonly lockOwner: string;
  /** A read that any replica may answer. */
  readonly mayBeBehind: boolean;
  /** None has refused it yet. */
  anyReplica: boolean;
}

/** Kinds of structures that have presets. */
const KINDS = new Set(STRUCTURES.map(({ service }) => service.name));

/** By the name of an operation: the service that it is of. */
const SERVICES = new Map<string, string>();

function serviceOf(operation: string): string {
  let service = SERVICES.get(operation);
  if (service === undefined) {
    service = operation.slice(0, operation.indexOf('.'));
    SERVICES.set(operation, service);
  }
  return service;
}

/** Null for a call that asks for nothing. `seen`: what this client has seen, for calls with EL that name no session. */
export function wishOf(
  { name, kind }: { readonly name: string; readonly kind: 'read' | 'write' },
  structure: string,
  { consistency, maxStalenessMs, session, withPlace, isStrict, lockOwner = '' }: RequestOptions,
  routes: Routes,
  seen: SeenPlaces,
): Wish | null {
  const service = serviceOf(name);
  const byPreset = consistency === undefined && KINDS.has(service) && routes.isLatency(service, structure);
  const isLoose = byPreset || consistency === 'EL';
  const tellsPlace = isLoose || session !== undefined || withPlace === true || consistency !== undefined;
  if (!tellsPlace && lockOwner === '') return null;
  const mayBeBehind = isLoose && kind === 'read' && isStrict !== true;
  return {
    consistency: isStrict === true ? 'EC' : (consistency ?? null),
    maxStalenessMs: maxStalenessMs ?? null,
    session: session === undefined ? (isLoose ? seen : null) : session,
    withPlace: tellsPlace,
    lockOwner,
    mayBeBehind,
    anyReplica: mayBeBehind,
  };
}

/** `lockWaitMs`: how long the call may wait for a key that is locked; 0 for one that was not refused for that yet. */
export function askOf(wish: Wish | null, partition: number, lockWaitMs: number): Ask {
  if (wish === null) return lockWaitMs === 0 ? ASKS_NOTHING : { ...ASKS_NOTHING, lockWaitMs };
  const { consistency, session, withPlace, maxStalenessMs, lockOwner } = wish;
  const atLeast = session?.lowest(partition) ?? null;
  return { consistency, withPlace, atLeast, maxStalenessMs, lockOwner, lockWaitMs };
}
