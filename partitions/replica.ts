/**
 * One partition as this member holds it: its structures, its session windows, its place in the stream. The same
 * object is a primary or a backup at different times. Invariant: all positions up to `seq` are applied, and nothing
 * beyond; `history` says where each epoch that is part of it began.
 */
import type { DeltaLog, EpochStart } from './log.js';
import type { Service, ServiceState } from './service.js';
import type { SessionWindows } from './sessions.js';
import type { Slab } from './store/slab.js';

/** Epochs that a replica remembers; one that is older than all of them is copied anew. */
const MAX_HISTORY = 32;

export class PartitionReplica {
  readonly id: number;
  readonly sessions: SessionWindows;
  readonly log: DeltaLog;
  readonly #slab: Slab;
  readonly #states = new Map<number, Map<string, ServiceState>>();
  /** Epoch of the last position. */
  epoch = 0;
  seq = 0;
  history: EpochStart[] = [];
  /** Contents began at this generation of the partition. */
  generation = 0;
  /** False while a copy of the contents is still arriving. */
  complete = true;

  constructor(id: number, slab: Slab, sessions: SessionWindows, log: DeltaLog) {
    this.id = id;
    this.#slab = slab;
    this.sessions = sessions;
    this.log = log;
  }

  find(serviceId: number, name: string): ServiceState | undefined {
    return this.#states.get(serviceId)?.get(name);
  }

  state(service: Service, name: string): ServiceState {
    let byName = this.#states.get(service.id);
    if (byName === undefined) {
      byName = new Map();
      this.#states.set(service.id, byName);
    }
    let state = byName.get(name);
    if (state === undefined) {
      state = service.createState({ slab: this.#slab, name });
      byName.set(name, state);
    }
    return state;
  }

  /** A state that belongs to nobody, for reading a structure that this partition has nothing of. */
  emptyState(service: Service, name: string): ServiceState {
    return service.createState({ slab: this.#slab, name });
  }

  /** Structures in a fixed order: it reaches the wire. */
  structures(): { serviceId: number; name: string; state: ServiceState }[] {
    const all = [];
    for (const [serviceId, byName] of this.#states) {
      for (const [name, state] of byName) all.push({ serviceId, name, state });
    }
    return all.sort((a, b) => a.serviceId - b.serviceId || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  }

  get entryCount(): number {
    let count = 0;
    for (const byName of this.#states.values())
      for (const state of byName.values()) count += state.entryCount;
    return count;
  }

  get sizeBytes(): number {
    let size = 0;
    for (const byName of this.#states.values()) for (const state of byName.values()) size += state.sizeBytes;
    return size;
  }

  /** A new epoch begins after `start`. */
  enter(epoch: number, start: number): void {
    this.epoch = epoch;
    this.history.push({ epoch, start });
    if (this.history.length > MAX_HISTORY) this.history.shift();
  }

  /** Whether positions up to `seq` of `epoch` are part of the history given. */
  static isPrefix(epoch: number, seq: number, history: readonly EpochStart[]): boolean {
    const first = history[0];
    if (first === undefined || (epoch < first.epoch && seq > 0)) return seq === 0;
    const known = epoch === 0 || history.some((entry) => entry.epoch === epoch);
    // Any later epoch may have begun lowest: one that took over before it had caught up with the epoch before.
    return known && history.every((later) => later.epoch <= epoch || seq <= later.start);
  }

  /** Forgets all contents. */
  reset(): void {
    for (const byName of this.#states.values()) for (const state of byName.values()) state.dispose();
    this.#states.clear();
    this.sessions.clear();
    this.log.clear();
    this.epoch = 0;
    this.seq = 0;
    this.history = [];
    this.complete = true;
  }
}
