/**
 * What primaries do for their entries by themselves: they remove those that are over, tell backups which were used, and
 * let entries go where a member leads more of a structure than it may. A look at all states costs one comparison each,
 * whatever they hold; the work is done in slices with a pause between them, so that calls are answered meanwhile.
 * Invariants: a slice is bounded; a partition whose backups lag is left for later. Called by the member's housekeeping.
 */
import type { Executor } from '../partitions/executor.js';
import { housekeep } from '../partitions/housekeep.js';
import type { PartitionReplica } from '../partitions/replica.js';
import type { Crowding, Service, ServiceState, StructureOptions } from '../partitions/service.js';
import type { Slab } from '../partitions/store/slab.js';
import type { Clock, Random } from '../src/base/ports.js';
import type { ReplicationCounters } from './host.js';

/** How often all states are looked at. */
export const UPKEEP_MS = 250;
/** Between the slices of one look. */
const PAUSE_MS = 1;
/** Entries that one slice removes, and changes that it makes, roughly. */
const SLICE_ENTRIES = 1_000;
const SLICE_CHANGES = 64;
/** Entries that make room after one write. */
const EVICTIONS_PER_WRITE = 4;
/** Of the stream of one partition, waiting for backups: more is not added to it here. */
const MAX_LOG_BYTES = 4 * 1024 * 1024;

export interface UpkeepHost {
  readonly clock: Clock;
  readonly random: Random;
  readonly counters: ReplicationCounters;
  executor(): Executor;
  /** All that this member holds. */
  replicas(): Iterable<PartitionReplica>;
  replica(partition: number): PartitionReplica;
  /** It is the primary of the partition, and serves it. */
  leads(partition: number): boolean;
  optionsOf(service: Service, structure: string): StructureOptions;
  /** This member may change the structure in the partition now. */
  mayChange(partition: number, options: StructureOptions): boolean;
}

interface Led {
  readonly replica: PartitionReplica;
  readonly service: Service;
  readonly structure: string;
  readonly state: ServiceState;
}

export class Upkeeper {
  readonly #host: UpkeepHost;
  /** What the slices of this look have still to do. */
  #rest: Led[] = [];
  #crowded: Crowd[] = [];
  #isWaiting = false;

  constructor(host: UpkeepHost) {
    this.#host = host;
  }

  /** Begins a look at all that this member leads, unless the last one goes on. */
  look(): void {
    if (this.#isWaiting) return;
    const wallMs = this.#host.clock.wallNow();
    const states = this.#states();
    this.#rest = states.filter(({ state }) => (state.dueMs ?? Number.POSITIVE_INFINITY) <= wallMs);
    this.#crowded = this.#crowds(states);
    this.#slice();
  }

  #states(): Led[] {
    const executor = this.#host.executor();
    const led: Led[] = [];
    for (const replica of this.#host.replicas()) {
      if (!this.#host.leads(replica.id)) continue;
      for (const [serviceId, structure, state] of replica.states()) {
        const service = executor.service(serviceId);
        if (service?.expire !== undefined) led.push({ replica, service, structure, state });
      }
    }
    return led;
  }

  #slice(): void {
    this.#isWaiting = false;
    let left = SLICE_ENTRIES;
    for (let changes = 0; changes < SLICE_CHANGES && left > 0; changes++) {
      const led = this.#rest.pop();
      if (led === undefined) break;
      left -= this.#expire(led);
    }
    while (left > 0 && this.#crowded.length > 0) left -= this.#relieve(this.#crowded.pop() as Crowd, left);
    if (this.#rest.length === 0 && this.#crowded.length === 0) return;
    this.#isWaiting = true;
    this.#host.clock.setTimer(PAUSE_MS, () => this.#slice());
  }

  #expire(led: Led): number {
    const { replica, service, structure, state } = led;
    const options = this.#host.optionsOf(service, structure);
    const isBehind = replica.log.sizeBytes > MAX_LOG_BYTES;
    if (isBehind || !this.#mayChange(replica.id, options)) return 0;
    const removed =
      housekeep(this.#host.executor(), replica, service.id, structure, (_service, current, context) =>
        service.expire?.(current, context),
      ) ?? 0;
    this.#host.counters.expirations += removed;
    if (removed > 0 && (state.dueMs ?? Number.POSITIVE_INFINITY) <= this.#host.clock.wallNow())
      this.#rest.push(led);
    return removed;
  }

  #mayChange(partition: number, options: StructureOptions): boolean {
    return this.#host.leads(partition) && this.#host.mayChange(partition, options);
  }

  /** By structure that has a bound here. */
  #crowds(states: readonly Led[]): Crowd[] {
    const crowds = new Map<
      Crowding,
      Crowd & { readonly states: ServiceState[]; options: StructureOptions }
    >();
    for (const { replica, service, structure, state } of states) {
      const options = this.#host.optionsOf(service, structure);
      const crowding = service.crowd?.(replica.slab, structure, options);
      if (crowding === undefined) continue;
      const found = crowds.get(crowding);
      if (found === undefined)
        crowds.set(crowding, { crowding, service, structure, states: [state], options });
      else found.states.push(state);
    }
    for (const { crowding, states: led, options } of crowds.values()) {
      crowding.lead(led as never[], options);
      crowding.settle();
    }
    return [...crowds.values()].filter(({ crowding }) => crowding.isOver);
  }

  /** After a write that made a structure larger than it may be. */
  relieve(service: Service, structure: string, slab: Slab): void {
    const crowding = service.crowd?.(slab, structure, this.#host.optionsOf(service, structure));
    if (crowding !== undefined) this.#evict({ crowding, service, structure }, EVICTIONS_PER_WRITE);
  }

  /** Gives how many entries went. */
  #relieve(crowd: Crowd, most: number): number {
    const evicted = this.#evict(crowd, most);
    if (crowd.crowding.isOver && evicted > 0) this.#crowded.push(crowd);
    return evicted;
  }

  #evict({ crowding, service, structure }: Crowd, most: number): number {
    const { clock, counters, random } = this.#host;
    const options = this.#host.optionsOf(service, structure);
    let evicted = 0;
    for (; evicted < most && crowding.isOver; evicted++) {
      const next = crowding.next(random, clock.wallNow());
      if (next === null || !this.#mayChange(next.partition, options)) break;
      const replica = this.#host.replica(next.partition);
      housekeep(this.#host.executor(), replica, service.id, structure, (_service, state, context) =>
        service.evict?.(state, [next.key], context),
      );
      counters.evictions++;
    }
    return evicted;
  }
}

interface Crowd {
  readonly crowding: Crowding;
  readonly service: Service;
  readonly structure: string;
}
