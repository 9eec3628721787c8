/**
 * One partition as this member holds it: its structures, its session windows, its place in the stream. The same
 * object is a primary or a backup at different times. Invariant: all positions up to `seq` are applied, and nothing
 * beyond; `history` says where each epoch that is part of it began.
 */
import type { Reader, Writer } from '../src/base/bytes.js';
import { ReplicaRings } from './events/rings.js';
import { type EpochStart, withEpoch } from './history.js';
import type { DeltaLog } from './log.js';
import type { SelfEnding, Service, ServiceState } from './service.js';
import type { SessionWindows } from './sessions.js';
import type { Slab } from './store/slab.js';

/** Calls that were on their way when a cluster was split: those of a few seconds. */
const MAX_TAIL = 2_048;
const MAX_TAIL_BYTES = 256 * 1024;
const MAX_TAIL_ENTRY_BYTES = 64 * 1024 * 1024;
/** In a copy, instead of the number of a service: the tail follows. */
export const TAIL = 241;
/** In a copy, instead of the number of a service: everything has arrived. */
export const COPY_END = 242;

/** Of one primary. */
export interface Answered {
  readonly epoch: number;
  /** By number of sync backups: calls up to this position of the epoch. */
  readonly upTo: readonly number[];
}

export class PartitionReplica {
  readonly id: number;
  readonly sessions: SessionWindows;
  readonly log: DeltaLog;
  readonly slab: Slab;
  /** Events of structures that somebody listens to. */
  readonly rings = new ReplicaRings();
  readonly #states = new Map<number, Map<string, ServiceState>>();
  /** Epoch of the stream that it leads or follows, by the view; 0 for none. */
  epoch = 0;
  seq = 0;
  history: EpochStart[] = [];
  /** Number of the view in which the contents began, after earlier ones were lost; 0 when none ever were. */
  generation = 0;
  /** When these contents began empty because earlier ones were lost: calls from before are of unknown outcome. */
  emptySinceMs: number | null = null;
  /** Since when, on this member's clock, it leads this epoch of the partition as its primary. */
  ledSinceMs = Number.NEGATIVE_INFINITY;
  /** Positions of the former lineage that some replica of it may have lacked, as the log had them. */
  readonly tail = new Map<number, Uint8Array>();
  /** By lineage tag: what this member may have answered when it last stopped as a primary in that lineage. */
  readonly answered = new Map<number, Answered>();
  /** False while a copy of the contents is still arriving, until the view calls it synced. */
  complete = true;
  /** False until the end of a copy has arrived: then it is no holder, whatever a view says that did not see the copy begin. */
  isWhole = true;

  constructor(id: number, slab: Slab, sessions: SessionWindows, log: DeltaLog) {
    this.id = id;
    this.slab = slab;
    this.sessions = sessions;
    this.log = log;
  }

  /** All replicas have the positions up to this one, as far as this one knows: none of them can be taken back. */
  get everywhereSeq(): number {
    return this.log.length === 0 ? this.seq : this.log.firstSeq - 1;
  }

  find(serviceId: number, name: string): ServiceState | undefined {
    return this.#states.get(serviceId)?.get(name);
  }

  /** The states of one service, by name. */
  statesOf(serviceId: number): ReadonlyMap<string, ServiceState> | undefined {
    return this.#states.get(serviceId);
  }

  state(service: Service, name: string): ServiceState {
    const found = this.find(service.id, name);
    if (found !== undefined) return found;
    const state = this.emptyState(service, name);
    this.attach(service, name, state);
    return state;
  }

  /** A state that an operation began is a part of the replica from now on. */
  attach(service: Service, name: string, state: ServiceState): void {
    const byName = this.#states.get(service.id);
    if (byName === undefined) this.#states.set(service.id, new Map([[name, state]]));
    else byName.set(name, state);
  }

  /**
   * Forgets a structure of which nothing is left, not even marks of removals; true when it did. Called after each
   * position of housekeeping, so that all replicas forget it at the same position.
   */
  detachEmpty(serviceId: number, name: string): boolean {
    const byName = this.#states.get(serviceId);
    const state = byName?.get(name);
    if (byName === undefined || state === undefined) return false;
    if (state.entryCount > 0 || state.sizeBytes > 0) return false;
    state.dispose();
    byName.delete(name);
    return true;
  }

  /** A state that belongs to nobody: for a structure that this partition has nothing of, until `attach`. */
  emptyState(service: Service, name: string): ServiceState {
    const state = service.createState({ slab: this.slab, partition: this.id, name });
    if (state.events !== undefined) state.events = this.rings.find(service.id, name);
    return state;
  }

  /** Structures in a fixed order: it reaches the wire. */
  structures(): { serviceId: number; name: string; state: ServiceState }[] {
    const all = [];
    for (const [serviceId, byName] of this.#states) {
      for (const [name, state] of byName) all.push({ serviceId, name, state });
    }
    return all.sort(byPlace);
  }

  /** Structures with locks that are held, in a fixed order. */
  locked(): { serviceId: number; name: string; locks: SelfEnding }[] {
    const locked = [];
    for (const [serviceId, byName] of this.#states)
      for (const [name, { locks }] of byName)
        if (locks !== undefined && locks.heldCount > 0) locked.push({ serviceId, name, locks });
    return locked.length < 2 ? locked : locked.sort(byPlace);
  }

  /** The states, in no order that means something. */
  *states(): Generator<readonly [serviceId: number, name: string, state: ServiceState]> {
    for (const [serviceId, byName] of this.#states)
      for (const [name, state] of byName) yield [serviceId, name, state];
  }

  get entryCount(): number {
    let count = 0;
    for (const byName of this.#states.values())
      for (const state of byName.values()) count += state.entryCount;
    return count;
  }

  get sizeBytes(): number {
    let size = 0;
    for (const byName of this.#states.values())
      for (const state of byName.values()) size += state.sizeBytes + (state.derivedBytes ?? 0);
    return size;
  }

  /**
   * Another lineage begins for this replica, or the other replicas are gone: what some of them may lack is kept apart
   * from the log, because a merge has to know what these calls did.
   */
  keepTail(): void {
    let bytes = 0;
    for (let seq = this.seq; seq > this.seq - MAX_TAIL && bytes < MAX_TAIL_BYTES; seq--) {
      const entry = this.log.at(seq);
      if (entry === undefined) break;
      bytes += entry.body.length;
      this.tail.set(seq, entry.body);
    }
    for (const seq of this.tail.keys()) if (seq <= this.seq - MAX_TAIL) this.tail.delete(seq);
  }

  /** The encoded entry at a position, while log or tail have it. */
  bodyAt(seq: number): Uint8Array | undefined {
    return this.log.at(seq)?.body ?? this.tail.get(seq);
  }

  writeTail(out: Writer): void {
    for (const [seq, body] of this.tail) {
      out.f64(seq);
      out.bytes(body);
    }
  }

  pasteTail(reader: Reader): void {
    while (reader.remaining > 0 && this.tail.size < 2 * MAX_TAIL) {
      const seq = reader.f64();
      this.tail.set(seq, Buffer.from(reader.blob(MAX_TAIL_ENTRY_BYTES)));
    }
  }

  /** A new epoch begins after `start`. */
  enter(lineage: number, epoch: number, start: number): void {
    if (this.history.length > 0 && this.history.at(-1)?.lineage !== lineage) this.keepTail();
    this.epoch = epoch;
    this.history = withEpoch(this.history, { lineage, epoch, start });
  }

  /** Forgets all contents. */
  reset(): void {
    for (const byName of this.#states.values()) for (const state of byName.values()) state.dispose();
    this.#states.clear();
    this.rings.clear();
    this.sessions.clear();
    this.log.clear();
    this.tail.clear();
    this.answered.clear();
    this.epoch = 0;
    this.seq = 0;
    this.history = [];
    this.complete = true;
    this.isWhole = true;
  }
}

type Named = { readonly serviceId: number; readonly name: string };

function byPlace(a: Named, b: Named): number {
  return a.serviceId - b.serviceId || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
}
