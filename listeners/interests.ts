/**
 * Which structures anybody listens to, by this member's knowledge, and their rings in the replicas that it holds. Invariant:
 * a complete replica of a member has a ring of exactly the structures that somebody listens to, or did a moment ago, so that
 * what nobody listens to costs nothing. Called by the teller.
 */
import { type EventBudget, EventRing } from '../partitions/events/ring.js';
import type { PartitionReplica } from '../partitions/replica.js';

/** Of all structures in all replicas of a member: some 40 MB when they are empty. */
const MAX_RINGS = 262_144;

/** One structure that somebody listens to. */
export interface Interest<L> {
  readonly serviceId: number;
  readonly structure: string;
  /** A ring of it has got an event. */
  readonly told: (partition: number) => void;
  readonly listeners: Set<L>;
  /** Partitions with events that the listeners may not have been told. */
  readonly dirty: Set<number>;
  /** Since when nobody listens. */
  idleSinceMs: number;
}

export class Interests<L> {
  readonly #byName = new Map<number, Map<string, Interest<L>>>();
  readonly #replicas: () => Iterable<PartitionReplica>;
  readonly #budget: EventBudget;
  readonly #changed: (interest: Interest<L>, partition: number) => void;
  #size = 0;

  /** `changed` is called when a ring of the interest gets an event. */
  constructor(
    replicas: () => Iterable<PartitionReplica>,
    budget: EventBudget,
    changed: (interest: Interest<L>, partition: number) => void,
  ) {
    this.#replicas = replicas;
    this.#budget = budget;
    this.#changed = changed;
  }

  *all(): Generator<Interest<L>> {
    for (const byName of this.#byName.values()) yield* byName.values();
  }

  /** Whoever gets it adds a listener. Null when there is no room for the rings of another structure. */
  of(serviceId: number, structure: string): Interest<L> | null {
    const known = this.#byName.get(serviceId)?.get(structure);
    if (known !== undefined) return known;
    const replicas = [...this.#replicas()];
    if (!this.#hasRoomFor(replicas.length)) return null;
    const told = (partition: number) => {
      // By name: a replica that was kept aside may be older than the interest.
      const present = this.#byName.get(serviceId)?.get(structure);
      if (present !== undefined) this.#changed(present, partition);
    };
    const dirty = new Set<number>();
    const interest = { serviceId, structure, told, listeners: new Set<L>(), dirty, idleSinceMs: 0 };
    const byName = this.#byName.get(serviceId) ?? new Map<string, Interest<L>>();
    this.#byName.set(serviceId, byName.set(structure, interest));
    this.#size++;
    for (const replica of replicas) this.#open(replica, interest);
    return interest;
  }

  /** Ends what nobody listens to any more, the longest idle first, if there is no room otherwise. */
  #hasRoomFor(rings: number): boolean {
    const isFull = () => this.#budget.rings + this.#size + rings >= MAX_RINGS;
    if (!isFull()) return true;
    const idle = [...this.all()].filter(({ listeners }) => listeners.size === 0);
    for (const interest of idle.sort((a, b) => a.idleSinceMs - b.idleSinceMs)) {
      this.#end(interest);
      if (!isFull()) return true;
    }
    return false;
  }

  remove(interest: Interest<L>, listener: L, nowMs: number): void {
    interest.listeners.delete(listener);
    interest.idleSinceMs = nowMs;
  }

  /** Ends what nobody has listened to since then: who comes back sooner, with a token, goes on without a gap. */
  sweep(sinceMs: number): void {
    for (const interest of [...this.all()])
      if (interest.listeners.size === 0 && interest.idleSinceMs <= sinceMs) this.#end(interest);
  }

  get isEmpty(): boolean {
    return this.#byName.size === 0;
  }

  #end({ serviceId, structure }: Interest<L>): void {
    const byName = this.#byName.get(serviceId);
    if (byName?.delete(structure) === true) this.#size--;
    if (byName?.size === 0) this.#byName.delete(serviceId);
    for (const replica of this.#replicas()) close(replica, serviceId, structure);
  }

  #open(replica: PartitionReplica, interest: Interest<L>): void {
    const { serviceId, structure, told } = interest;
    if (!replica.complete || !replica.isWhole || replica.rings.find(serviceId, structure) !== null) return;
    const ring = new EventRing(replica.id, replica.seq, this.#budget, told);
    replica.rings.set(serviceId, structure, ring);
    const state = replica.find(serviceId, structure);
    if (state?.events !== undefined) state.events = ring;
  }

  /** Replicas may have come, become complete, or come back. */
  refresh(): void {
    for (const replica of this.#replicas()) {
      for (const [serviceId, structure] of [...replica.rings.names()])
        if (!this.#byName.get(serviceId)?.has(structure)) close(replica, serviceId, structure);
      for (const interest of this.all()) this.#open(replica, interest);
    }
  }
}

function close(replica: PartitionReplica, serviceId: number, structure: string): void {
  replica.rings.delete(serviceId, structure);
  const state = replica.find(serviceId, structure);
  if (state?.events !== undefined) state.events = null;
}
