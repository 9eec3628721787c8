/**
 * Calls that wait for a store outside of the grid: for values that are not in memory, and for the store to have a write
 * before it is made. They are no part of the replicated state: whoever still waits asks again, at the primary of today.
 * Invariants: the store is asked once for a key at a time, whoever waits; what it gave is put only if nobody wrote the key
 * meanwhile; one call at a time has a key written in the store; a write is told to the store only when the mark of it can
 * not be lost, and made in memory only when the store has it. Owned by the executor.
 */
import { Reader, textOf } from '../src/base/bytes.js';
import type { Clock, Timer } from '../src/base/ports.js';
import type { Header } from '../src/wire/frame.js';
import type { CallRef, ReplySink } from './call.js';
import { type EpochName, isOfEpoch } from './history.js';
import type { NeedsStore } from './needs-store.js';
import { type Arrival, copyOf, nameOf, refOf } from './parked.js';
import type { CallId, LoadTarget, OperationContext, ServiceState, StorePlan } from './service.js';
import { Access, type StructurePlace } from './store-access.js';

import type { Found, StorePort, WhyNot, WriteProblem } from './store-port.js';

/** Of one member. */
const MAX_CALLS = 10_000;
const MAX_BYTES = 64 * 1024 * 1024;
/** A call is run so often when the keys that it loaded are written or removed each time. */
const MAX_ROUNDS = 8;
/** Keys are busy for no longer than a call of the store for each of these many that wait. */
const PATIENCE = 2;

/** What a planned call comes to, for `OutsideHost.apply`. */
export interface Planned<D> {
  readonly arrival: Pick<Arrival, 'header' | 'sink'>;
  readonly doing: D;
  readonly plan: StorePlan;
}

type KeyedPlace = Pick<StructurePlace, 'replica' | 'serviceId' | 'structure'>;

/** What it needs of the executor. `D`: what the executor keeps of a planned call. */
export interface OutsideHost<D> {
  readonly clock: Clock;
  readonly port: StorePort;
  run(header: Header, reader: Reader, sink: ReplySink, waitedMs: number): void;
  /** This member leads the partition and may write. */
  leads(partition: number): boolean;
  /** False when nothing was changed, for want of the right to. */
  amend(place: StructurePlace, change: (state: ServiceState, context: OperationContext) => void): boolean;
  /** Calls `done` with whether the last position can not be lost any more. */
  whenSafe(place: StructurePlace, call: CallRef, done: (isSafe: boolean) => void): void;
  apply(planned: Planned<D>): void;
  /** See `Resolver.giveUp`. */
  giveUp(place: StructurePlace, call: CallRef): void;
}

interface Waiting {
  readonly name: string;
  readonly header: Header;
  readonly body: Buffer;
  readonly place: StructurePlace;
  /** In which this member led when it came. */
  readonly epoch: EpochName | undefined;
  readonly sinceMs: number;
  readonly absent: Set<string>;
  sink: ReplySink;
  /** Loads that it waits for. */
  lacking: number;
  failure: string | null;
  rounds: number;
  /** The store is told of its write. */
  isStoring: boolean;
  /** Where it waits for a key that is busy. */
  queue: string | null;
  isParkedAgain: boolean;
  timer: Timer | null;
}

interface Flight {
  readonly partition: number;
  readonly key: Uint8Array;
  readonly sinceSeq: number;
  readonly calls: Waiting[];
}

export class Outside<D> {
  readonly #host: OutsideHost<D>;
  readonly #calls = new Map<string, Waiting>();
  /** By place of the key. */
  readonly #flights = new Map<string, Flight>();
  readonly #queues = new Map<string, Waiting[]>();
  /** By place of a key whose write the store is told of. */
  readonly #storing = new Map<string, Waiting>();
  #bytes = 0;
  #running: Waiting | null = null;

  constructor(host: OutsideHost<D>) {
    this.#host = host;
  }

  get size(): number {
    return this.#calls.size;
  }

  /** The same call came again: true when it waits here, and its answer goes to the new sink. */
  isAskedAgain({ header, sink }: Arrival): boolean {
    if (this.#calls.size === 0) return false;
    const waiting = this.#calls.get(nameOf(header));
    if (waiting === undefined || waiting === this.#running) return false;
    // Its caller may know of another view by now.
    Object.assign(waiting.header, header);
    waiting.sink = sink;
    return true;
  }

  /** The store may have the write of this call, or get it: nothing can be said of it yet. */
  isStoring(call: CallRef): boolean {
    return this.#calls.get(nameOf(call))?.isStoring === true;
  }

  /** The call waits here for a key that is busy. */
  isWaiting(call: CallId): boolean {
    return this.#calls.get(nameOf(call))?.queue != null;
  }

  /** What a former primary was telling the store of this call is over: it goes on, before all that wait for its keys. */
  goOn(call: CallId): void {
    const waiting = this.#calls.get(nameOf(call));
    if (waiting === undefined || waiting.queue === null) return;
    this.#unqueue(waiting);
    this.#run(waiting);
  }

  /** A call here has the key written. */
  isTold(place: KeyedPlace, key: Uint8Array): boolean {
    return this.#storing.has(keyPlace(place, key));
  }

  access({ header }: Arrival, place: StructurePlace, isWrite: boolean): Access {
    const waiting = this.#calls.size === 0 ? undefined : this.#calls.get(nameOf(header));
    return new Access(this.#host.port, place, isWrite, waiting?.absent ?? null);
  }

  /** The operation of a call was run, changed nothing, and needs this. */
  wait(arrival: Arrival, place: StructurePlace, needs: NeedsStore): void {
    const waiting = this.#waiting(arrival, place);
    if (waiting === null) return;
    if (needs.why === 'busy') {
      this.#queue(waiting, needs.keys[0] as Uint8Array);
      return;
    }
    if (++waiting.rounds > MAX_ROUNDS) {
      this.#fail(waiting, 'its keys were written again and again while they were loaded', false);
      return;
    }
    this.#load(waiting, needs);
  }

  #waiting(arrival: Arrival, place: StructurePlace): Waiting | null {
    const { header, sink } = arrival;
    const name = nameOf(header);
    const present = this.#calls.get(name);
    if (present !== undefined) {
      present.isParkedAgain = true;
      return present;
    }
    const { body } = arrival;
    if (this.#calls.size >= MAX_CALLS || this.#bytes + body.length > MAX_BYTES) {
      sink.fail(
        refOf(header),
        'Overload',
        false,
        'so many calls wait for stores that no further one is taken',
      );
      return null;
    }
    const waiting: Waiting = {
      name,
      header: copyOf(header),
      body: Buffer.from(body),
      place,
      epoch: place.replica.history.at(-1),
      sinceMs: this.#host.clock.now(),
      absent: new Set(),
      sink,
      lacking: 0,
      failure: null,
      rounds: 0,
      isStoring: false,
      queue: null,
      isParkedAgain: true,
      timer: null,
    };
    this.#calls.set(name, waiting);
    this.#bytes += body.length;
    return waiting;
  }

  // --- loads

  #load(waiting: Waiting, { keys, target, known }: NeedsStore): void {
    const { place } = waiting;
    const asked: Uint8Array[] = [];
    const restored: { key: Uint8Array; value: Uint8Array }[] = [];
    for (const [i, view] of keys.entries()) {
      const value = known[i];
      if (value === null) waiting.absent.add(textOf(view));
      else if (value !== undefined) restored.push({ key: Buffer.from(view), value });
      else if (!this.#joins(waiting, view)) asked.push(Buffer.from(view));
    }
    if (restored.length > 0)
      this.#host.amend(place, (state, context) => target.put(state, restored, context));
    if (asked.length > 0) this.#ask(waiting, asked, target);
    // Not in the turn of the operation that needs it.
    else if (waiting.lacking === 0) this.#host.clock.defer(() => this.#run(waiting));
  }

  /** The key is being loaded. */
  #joins(waiting: Waiting, key: Uint8Array): boolean {
    const flight = this.#flights.get(keyPlace(waiting.place, key));
    if (flight === undefined) return false;
    flight.calls.push(waiting);
    waiting.lacking++;
    return true;
  }

  #ask(waiting: Waiting, keys: readonly Uint8Array[], target: LoadTarget): void {
    const { place, epoch } = waiting;
    const { replica, structure } = place;
    const why = this.#host.port.whyNone(structure);
    if (why !== null) {
      this.#fail(waiting, why.message, false, why.error);
      return;
    }
    const flights = keys.map((key): Flight => {
      const flight = { partition: replica.id, key, sinceSeq: replica.seq, calls: [waiting] };
      this.#flights.set(keyPlace(place, key), flight);
      return flight;
    });
    waiting.lacking += keys.length;
    this.#host.port.load(structure, keys, (found) => {
      for (const flight of flights) {
        const at = keyPlace(place, flight.key);
        if (this.#flights.get(at) === flight) this.#flights.delete(at);
      }
      if (this.#isLed(place, epoch)) this.#landed(place, flights, found, target);
    });
  }

  #landed(
    place: StructurePlace,
    flights: readonly Flight[],
    found: readonly Found[],
    target: LoadTarget,
  ): void {
    const { replica, serviceId, structure } = place;
    const state = replica.find(serviceId, structure);
    const loaded: { key: Uint8Array; value: Uint8Array }[] = [];
    const calls = new Set<Waiting>();
    for (const [i, { key, sinceSeq, calls: those }] of flights.entries()) {
      const one = found[i] ?? { error: 'the store gave no answer' };
      const isCurrent = this.#host.port.loadsOverNewer === true || target.isCurrent(state, key, sinceSeq);
      for (const waiting of those) {
        waiting.lacking--;
        calls.add(waiting);
        if ('error' in one) waiting.failure ??= one.error;
        else if (one.value === null && isCurrent) waiting.absent.add(textOf(key));
      }
      if ('value' in one && one.value !== null && isCurrent) loaded.push({ key, value: one.value });
    }
    if (loaded.length > 0) this.#host.amend(place, (into, context) => target.put(into, loaded, context));
    for (const waiting of calls) {
      if (waiting.lacking > 0 || this.#calls.get(waiting.name) !== waiting) continue;
      if (waiting.failure === null) this.#run(waiting);
      else this.#fail(waiting, waiting.failure, false);
    }
  }

  /** Position at which the oldest load of a partition began: whether a key was changed since must stay known. */
  loadingSince(partition: number): number {
    let oldest = Number.POSITIVE_INFINITY;
    for (const flight of this.#flights.values())
      if (flight.partition === partition) oldest = Math.min(oldest, flight.sinceSeq);
    return oldest;
  }

  // --- keys that are busy

  #queue(waiting: Waiting, key: Uint8Array): void {
    // What it was told of the store is of before the write that it waits for.
    waiting.absent.clear();
    const at = keyPlace(waiting.place, key);
    const queue = this.#queues.get(at);
    if (queue === undefined) this.#queues.set(at, [waiting]);
    else queue.push(waiting);
    waiting.queue = at;
    const { clock } = this.#host;
    const timeoutMs = PATIENCE * (waiting.place.options.store?.timeoutMs ?? 0);
    waiting.timer ??= clock.setTimer(timeoutMs, () =>
      this.#fail(waiting, 'earlier writes of the key still wait for the store', false),
    );
  }

  /** The store has what there was of a key: who waits for it goes on, until somebody has it written again. */
  freed(place: KeyedPlace, key: Uint8Array): void {
    if (this.#queues.size === 0) return;
    const at = keyPlace(place, key);
    const queue = this.#queues.get(at);
    if (queue === undefined) return;
    this.#queues.delete(at);
    for (const [i, waiting] of queue.entries()) {
      waiting.queue = null;
      this.#run(waiting);
      const again = this.#queues.get(at);
      if (again === undefined) continue;
      // It is busy again: those that came earlier stay before those that came now.
      const rest = queue.slice(i + 1).filter(({ name }) => this.#calls.has(name));
      this.#queues.set(at, [...again, ...rest]);
      return;
    }
  }

  #run(waiting: Waiting): void {
    if (this.#calls.get(waiting.name) !== waiting) return;
    const before = this.#running;
    this.#running = waiting;
    waiting.isParkedAgain = false;
    this.#host.run(
      waiting.header,
      new Reader(waiting.body),
      waiting.sink,
      this.#host.clock.now() - waiting.sinceMs,
    );
    this.#running = before;
    if (!waiting.isParkedAgain) this.#drop(waiting);
  }

  // --- writes

  /** The operation of a call was run, and changed nothing yet: the store is told first. */
  carryOut(planned: Planned<D> & { readonly arrival: Arrival }, place: StructurePlace): void {
    const { arrival, plan } = planned;
    const waiting = this.#waiting(arrival, place);
    if (waiting === null) return;
    waiting.isStoring = true;
    for (const { key } of plan.entries) this.#storing.set(keyPlace(place, key), waiting);
    waiting.timer?.cancel();
    waiting.timer = null;
    if (!this.#host.amend(place, (state, context) => plan.begin(state, context))) {
      this.#cancel(waiting, plan, 'the member must not change the map now', 'NoLease');
      return;
    }
    this.#host.whenSafe(place, refOf(arrival.header), (isSafe) => {
      if (this.#calls.get(waiting.name) !== waiting) return;
      if (isSafe && this.#isLed(place, waiting.epoch)) this.#tell(waiting, planned);
      else this.#cancel(waiting, plan, 'the backups did not take the mark of the write in time');
    });
  }

  #tell(waiting: Waiting, planned: Planned<D>): void {
    const { place } = waiting;
    const why = this.#host.port.whyNot(place.structure);
    if (why !== null) {
      this.#cancel(waiting, planned.plan, why.message, why.error);
      return;
    }
    this.#host.port.write(place.structure, planned.plan.entries, (problem) => {
      if (this.#calls.get(waiting.name) !== waiting) return;
      if (!this.#isLed(place, waiting.epoch)) {
        // Whoever leads now knows by the mark that the store may have it.
        this.#fail(waiting, 'the primary changed while the store was told', true);
        return;
      }
      if (problem === null) this.#made(waiting, planned);
      else this.#refused(waiting, planned.plan, problem);
    });
  }

  #made(waiting: Waiting, planned: Planned<D>): void {
    this.#drop(waiting);
    // The header that came is that of another call by now: links use theirs again.
    this.#host.apply({ ...planned, arrival: waiting });
    this.#freeAll(waiting, planned.plan);
  }

  #refused(waiting: Waiting, plan: StorePlan, { refused, message }: WriteProblem): void {
    if (refused) this.#cancel(waiting, plan, message);
    else this.#undo(waiting, plan, message);
  }

  /** The store may have it. */
  #undo(waiting: Waiting, plan: StorePlan, message: string): void {
    const { place, header } = waiting;
    if (this.#isLed(place, waiting.epoch)) {
      let isUnknown = false;
      this.#host.amend(place, (state, context) => {
        isUnknown = plan.isUnknown(state, context);
      });
      // Before the marks go: a crash between the two leaves marks that end once more.
      if (isUnknown) this.#host.giveUp(place, refOf(header));
      this.#host.amend(place, (state, context) => plan.undo(state, context));
    }
    this.#fail(waiting, message, true);
    this.#freeAll(waiting, plan);
  }

  #cancel(waiting: Waiting, plan: StorePlan, message: string, error: WhyNot['error'] = 'StoreFailed'): void {
    if (plan.isRepeated) {
      this.#undo(waiting, plan, message);
      return;
    }
    const { place } = waiting;
    if (this.#isLed(place, waiting.epoch))
      this.#host.amend(place, (state, context) => plan.cancel(state, context));
    this.#fail(waiting, message, false, error);
    this.#freeAll(waiting, plan);
  }

  #freeAll({ place }: Waiting, plan: StorePlan): void {
    for (const { key } of plan.entries) this.freed(place, key);
  }

  // --- ends

  #isLed({ replica }: StructurePlace, epoch: EpochName | undefined): boolean {
    return isOfEpoch(replica, epoch) && this.#host.leads(replica.id);
  }

  #fail(
    waiting: Waiting,
    message: string,
    mayBeStored: boolean,
    error: WhyNot['error'] = 'StoreFailed',
  ): void {
    if (this.#calls.get(waiting.name) !== waiting) return;
    this.#drop(waiting);
    const { structure } = waiting.place;
    const text = `the store of '${structure}': ${message}`;
    waiting.sink.fail(refOf(waiting.header), error, mayBeStored, text);
  }

  #drop(waiting: Waiting): void {
    if (!this.#calls.delete(waiting.name)) return;
    this.#bytes -= waiting.body.length;
    waiting.timer?.cancel();
    if (waiting.isStoring)
      for (const [at, told] of this.#storing) if (told === waiting) this.#storing.delete(at);
    this.#unqueue(waiting);
  }

  #unqueue(waiting: Waiting): void {
    if (waiting.queue === null) return;
    const queue = this.#queues.get(waiting.queue)?.filter((other) => other !== waiting) ?? [];
    if (queue.length === 0) this.#queues.delete(waiting.queue);
    else this.#queues.set(waiting.queue, queue);
    waiting.queue = null;
  }

  /** The partition is not served here any more: whoever waits asks its new primary. */
  release(partition: number, message: string): void {
    for (const waiting of this.#calls.values()) {
      if (waiting.header.partition !== partition) continue;
      this.#drop(waiting);
      waiting.sink.fail(refOf(waiting.header), 'WrongTarget', waiting.isStoring, message);
    }
    const prefix = `${partition}/`;
    for (const at of this.#flights.keys()) if (at.startsWith(prefix)) this.#flights.delete(at);
  }
}

function keyPlace({ replica, serviceId, structure }: KeyedPlace, key: Uint8Array): string {
  return `${replica.id}/${serviceId}/${structure}/${textOf(key)}`;
}
