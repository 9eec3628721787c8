/**
 * Removes tombstones that every replica has and nobody needs any more, a few partitions in turn: a
 * bounded step of a structure, and some more while they find something, so that it keeps up with what comes. And has
 * structures do what they do by themselves as time passes. Runs on primaries, as changes of their own that travel to the backups. Owned by `replication.ts`.
 */
import { housekeep } from '../partitions/housekeep.js';
import type { PartitionReplica } from '../partitions/replica.js';
import type { PurgeHorizon, Service, ServiceState } from '../partitions/service.js';
import { SERVICES } from '../partitions/services/index.js';
import type { ReplicationHost } from './host.js';
import { LockKeeper } from './lock-keeper.js';
import type { PrimaryStream } from './primary.js';

const TENDED: readonly Service[] = SERVICES.map(({ service }): Service => service).filter(
  ({ tend }) => tend !== undefined,
);
const NO_STATES: ReadonlyMap<string, ServiceState> = new Map();
/** Partitions that one step looks at. */
const PARTITIONS = 16;
/** Steps of one structure at a time. */
export const STEPS = 8;

export class Purger {
  readonly #host: ReplicationHost;
  /** Where the walk through a structure goes on. */
  readonly #cursors = new Map<string, number>();
  #turn = 0;
  /** Ends locks, which does not wait for its turn. */
  readonly keeper: LockKeeper;

  constructor(host: ReplicationHost) {
    this.#host = host;
    this.keeper = new LockKeeper(host);
  }

  step(primaries: readonly PrimaryStream[], beforeMs: number): void {
    const quiet = primaries.filter(isQuiet);
    const { outside } = this.#host.executor();
    for (let i = 0; i < Math.min(PARTITIONS, quiet.length); i++) {
      const { replica } = quiet[(this.#turn + i) % quiet.length] as PrimaryStream;
      // Of all steps: replicas do not have yet what the first one changes.
      const seq = Math.min(replica.everywhereSeq, outside.loadingSince(replica.id));
      const horizon = { seq, ms: beforeMs };
      for (const { serviceId, name } of replica.structures()) this.#purge(replica, serviceId, name, horizon);
    }
    this.#turn += PARTITIONS;
  }

  /** Structures whose time has come change by themselves. */
  tend(primaries: Iterable<PrimaryStream>, nowMs: number): void {
    for (const { replica } of primaries) {
      for (const service of TENDED) {
        for (const [name, state] of replica.statesOf(service.id) ?? NO_STATES)
          if ((state.tendMs ?? Number.POSITIVE_INFINITY) <= nowMs) this.#tend(replica, service, name, state);
      }
    }
  }

  #tend(replica: PartitionReplica, service: Service, name: string, state: ServiceState): void {
    const isGone = (client: number, sinceMs: number) =>
      this.#host.isGone(client, sinceMs, replica.ledSinceMs);
    this.#host.executor().own(replica, service, name, (context) => {
      service.tend?.(state as never, { isGone }, context);
    });
  }

  #purge(replica: PartitionReplica, serviceId: number, name: string, horizon: PurgeHorizon): void {
    const key = `${replica.id}/${serviceId}/${name}`;
    let cursor = this.#cursors.get(key) ?? 0;
    for (let step = 0; step < STEPS && cursor >= 0; step++) {
      const { seq } = replica;
      cursor = this.#step(replica, serviceId, name, cursor, horizon);
      if (replica.seq === seq) break;
    }
    if (cursor < 0) this.#cursors.delete(key);
    else this.#cursors.set(key, cursor);
  }

  #step(
    replica: PartitionReplica,
    serviceId: number,
    name: string,
    cursor: number,
    horizon: PurgeHorizon,
  ): number {
    const next = housekeep(this.#host.executor(), replica, serviceId, name, (service, state, context) =>
      service.purge?.(state, cursor, horizon, context),
    );
    return replica.find(serviceId, name) === undefined ? -1 : (next ?? -1);
  }
}

/** No part of a copy is on its way that would bring back what is removed. */
function isQuiet({ entry, slots }: PrimaryStream): boolean {
  for (const { migration } of slots.values()) if (migration?.isDone === false) return false;
  return !entry.moving && entry.settled;
}
