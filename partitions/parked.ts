/**
 * Calls that wait for a structure to change: for an item to take, for room to put one. They are no part of the
 * replicated state: a caller that is still there asks again under the same call id, so that the primary of today parks
 * the call anew. Invariants: a call is run from here only while its caller was heard of lately and its connection is
 * there; it is run by the way of every call, so a call that took effect anywhere is answered from its session's window
 * and never applied twice; calls for one structure, or for one thing of it (a locked key), are run in the order in which
 * they came. Owned by the executor.
 */
import { Reader } from '../src/base/bytes.js';
import type { Clock, Timer } from '../src/base/ports.js';
import { Header } from '../src/wire/frame.js';
import type { CallRef, ReplySink } from './call.js';
import type { JoinedAnswers } from './joined-answers.js';
import { type Line, NO_LINE } from './operation-context.js';
import type { CallId } from './service.js';

/** Of one member. */
const MAX_CALLS = 10_000;
const MAX_BYTES = 64 * 1024 * 1024;
/** Callers ask again every 2 s; one that does not for this long is gone. */
const GONE_AFTER_MS = 5_000;
/** Deadlines are looked at no more often. */
const TICK_MS = 25;

type Body = Pick<Reader, 'bytes' | 'offset' | 'end'>;

/** A call as it came in, from where its reader stood then. */
export class Arrival {
  readonly header: Header;
  readonly sink: ReplySink;
  /** Of a `fanOut`: takes answers that can be joined to others. */
  readonly joined: JoinedAnswers | null;
  readonly #bytes: Uint8Array;
  readonly #from: number;
  readonly #end: number;

  constructor(
    header: Header,
    { bytes, offset, end }: Body,
    sink: ReplySink,
    joined: JoinedAnswers | null = null,
  ) {
    this.header = header;
    this.sink = sink;
    this.joined = joined;
    this.#bytes = bytes;
    this.#from = offset;
    this.#end = end;
  }

  /** A view of the frame, for the few that are kept. */
  get body(): Uint8Array {
    return this.#bytes.subarray(this.#from, this.#end);
  }
}

interface ParkedCall {
  readonly header: Header;
  readonly body: Buffer;
  readonly place: string;
  /** As whom it comes; see `waitFor`. */
  readonly as: string;
  /** Who has what it waits for. */
  holder: string;
  readonly sinceMs: number;
  readonly untilMs: number;
  sink: ReplySink;
  heardMs: number;
}

export type Run = (header: Header, reader: Reader, sink: ReplySink, waitedMs: number) => void;

export class ParkedCalls {
  readonly #clock: Clock;
  readonly #run: Run;
  readonly #byCall = new Map<string, ParkedCall>();
  /** By partition, structure and thing, in the order in which they came. */
  readonly #byPlace = new Map<string, Set<ParkedCall>>();
  #bytes = 0;
  /** The call that is run now: null when it was not parked again. */
  #running: ParkedCall | null = null;
  #isParkedAgain = false;
  readonly #changed = new Set<string>();
  #isBusy = false;
  #timer: Timer | null = null;
  #timerMs = Number.POSITIVE_INFINITY;

  constructor(clock: Clock, run: Run) {
    this.#clock = clock;
    this.#run = run;
  }

  get size(): number {
    return this.#byCall.size;
  }

  /** The same call came again: true when it is parked, and waits on. */
  isAskedAgain({ header, sink }: Pick<Arrival, 'header' | 'sink'>): boolean {
    const parked = this.#byCall.get(nameOf(header));
    if (parked === undefined || parked === this.#running) return false;
    // Its caller may know a newer view by now, and be owed what a preset promises there.
    Object.assign(parked.header, header);
    parked.sink = sink;
    parked.heardMs = this.#clock.now();
    return true;
  }

  /** Parks a call for so long; false when there is no room. */
  park(
    arrival: Pick<Arrival, 'header' | 'body' | 'sink'>,
    serviceId: number,
    structure: string,
    waitMs: number,
    line: Line = NO_LINE,
  ): boolean {
    const { header, sink } = arrival;
    const place = placeOf(header.partition, serviceId, structure, line.thing);
    const before = this.#running?.header === header ? this.#running : null;
    if (before !== null) {
      before.holder = line.holder;
      this.#isParkedAgain = before.place === place;
      if (this.#isParkedAgain) return true;
      // It waits for something else from now on.
      this.#drop(before);
    }
    const { body } = arrival;
    if (this.size >= MAX_CALLS || this.#bytes + body.length > MAX_BYTES) return false;
    const nowMs = this.#clock.now();
    const parked: ParkedCall = {
      header: copyOf(header),
      body: Buffer.from(body),
      place,
      as: line.as,
      holder: line.holder,
      sinceMs: before?.sinceMs ?? nowMs,
      untilMs: nowMs + waitMs,
      sink,
      heardMs: before?.heardMs ?? nowMs,
    };
    this.#byCall.set(nameOf(header), parked);
    const there = this.#byPlace.get(place);
    if (there === undefined) this.#byPlace.set(place, new Set([parked]));
    else there.add(parked);
    this.#bytes += body.length;
    this.#setTimer(Math.min(parked.untilMs, nowMs + GONE_AFTER_MS));
    return true;
  }

  /** The call is settled in another way, or was refused. */
  remove(call: CallRef): void {
    const parked = this.#byCall.get(nameOf(call));
    if (parked !== undefined && parked !== this.#running) this.#drop(parked);
  }

  #drop(parked: ParkedCall): void {
    const name = nameOf(parked.header);
    if (this.#byCall.get(name) !== parked) return;
    this.#byCall.delete(name);
    const there = this.#byPlace.get(parked.place);
    there?.delete(parked);
    if (there?.size === 0) this.#byPlace.delete(parked.place);
    this.#bytes -= parked.body.length;
    if (this.size === 0) this.#forgetTimer();
  }

  /** Nobody waits any more: a process that has nothing else to do may end. */
  #forgetTimer(): void {
    this.#timer?.cancel();
    this.#timer = null;
    this.#timerMs = Number.POSITIVE_INFINITY;
  }

  /** The structure, or the thing, has changed: runs what waits for it, until one has to wait on. */
  wake(partition: number, serviceId: number, structure: string, thing = ''): void {
    if (this.size === 0) return;
    const place = placeOf(partition, serviceId, structure, thing);
    if (this.#byPlace.has(place)) this.#changed.add(place);
    // What a call that is run from here changes is looked after when it is done.
    if (!this.#isBusy) this.#wakeAll();
  }

  /** A merge may have changed anything of the structure. */
  wakeEach(partition: number, serviceId: number, structure: string): void {
    if (this.size === 0) return;
    const prefix = placeOf(partition, serviceId, structure, '');
    for (const place of this.#byPlace.keys()) if (place.startsWith(prefix)) this.#changed.add(place);
    if (!this.#isBusy) this.#wakeAll();
  }

  #wakeAll(): void {
    this.#isBusy = true;
    for (const changed of this.#changed) {
      this.#changed.delete(changed);
      this.#wakePlace(changed);
    }
    this.#isBusy = false;
  }

  /** Behind one that has to wait on only the calls of the holder are run. */
  #wakePlace(place: string): void {
    let holder = '';
    for (const parked of this.#byPlace.get(place) ?? []) {
      if (holder !== '' && parked.as !== holder) continue;
      if (this.#try(parked)) continue;
      holder = parked.holder;
      if (holder === '') return;
    }
  }

  /** False when the call has to wait on. */
  #try(parked: ParkedCall): boolean {
    const nowMs = this.#clock.now();
    if (this.#isGone(parked, nowMs)) {
      this.#drop(parked);
      return true;
    }
    this.#running = parked;
    this.#isParkedAgain = false;
    this.#run(parked.header, new Reader(parked.body), parked.sink, nowMs - parked.sinceMs);
    this.#running = null;
    if (this.#isParkedAgain) return false;
    this.#drop(parked);
    return true;
  }

  #isGone({ sink, heardMs }: ParkedCall, nowMs: number): boolean {
    return !sink.isOpen || nowMs - heardMs > GONE_AFTER_MS;
  }

  /** Nobody is there any more to get the answers. */
  gone(sink: ReplySink): void {
    for (const parked of this.#byCall.values()) if (parked.sink === sink) this.#drop(parked);
  }

  /** The same for a client whose calls another member had forwarded. */
  sessionGone(client: number): void {
    for (const parked of this.#byCall.values()) if (parked.header.client === client) this.#drop(parked);
  }

  /** The partition is not served here any more: whoever waits asks its new primary. */
  release(partition: number, message: string): void {
    for (const parked of this.#byCall.values()) {
      if (parked.header.partition !== partition) continue;
      this.#drop(parked);
      parked.sink.fail(refOf(parked.header), 'WrongTarget', false, message);
    }
  }

  #setTimer(atMs: number): void {
    if (atMs >= this.#timerMs) return;
    this.#timer?.cancel();
    this.#timerMs = atMs;
    this.#timer = this.#clock.setTimer(Math.max(TICK_MS, atMs - this.#clock.now()), () => this.#tick());
  }

  #tick(): void {
    this.#timer = null;
    this.#timerMs = Number.POSITIVE_INFINITY;
    const nowMs = this.#clock.now();
    let nextMs = Number.POSITIVE_INFINITY;
    this.#isBusy = true;
    for (const parked of this.#byCall.values()) {
      if (this.#isGone(parked, nowMs)) this.#drop(parked);
      else if (parked.untilMs <= nowMs) {
        // What is left of its time may be less than the clock can tell.
        if (!this.#try(parked)) nextMs = Math.min(nextMs, nowMs + TICK_MS);
      } else nextMs = Math.min(nextMs, parked.untilMs, parked.heardMs + GONE_AFTER_MS + TICK_MS);
    }
    this.#wakeAll();
    if (nextMs < Number.POSITIVE_INFINITY) this.#setTimer(nextMs);
  }
}

/** The same for each attempt of a call. */
export function nameOf({ client, sequence }: CallId): string {
  return `${client}/${sequence}`;
}

function placeOf(partition: number, serviceId: number, structure: string, thing: string): string {
  return `${partition}/${serviceId}/${structure}\0${thing}`;
}

export function refOf({ partition, client, sequence }: Header): CallRef {
  return { partition, client, sequence };
}

export function copyOf(header: Header): Header {
  return Object.assign(new Header(), header);
}
