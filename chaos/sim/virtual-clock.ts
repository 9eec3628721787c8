/**
 * Virtual time. The scheduler is one heap of events for the whole simulation, ordered by time and then by
 * insertion; after each event all promise jobs settle before the next one runs, so a run depends on nothing
 * but its events. `SimClock` is the Clock port of one simulated process: it has its own offset, drift and
 * wall clock, and it can be paused (SIGSTOP) and stopped (crash). The network delivers through it too.
 */
import type { Clock, Timer } from '../../src/base/ports.js';
import type { Journal } from './journal.js';

/** Immediates that are queued per turn of the real event loop; Node settles promise jobs between them. */
const STEPS_PER_TURN = 32;
/** More events than this at one instant mean that the simulated code loops without time passing. */
const MAX_EVENTS_PER_INSTANT = 1_000_000;

class ScheduledEvent implements Timer {
  readonly atMs: number;
  readonly order: number;
  readonly quiet: boolean;
  fn: (() => void) | null;
  readonly #scheduler: Scheduler;

  constructor(scheduler: Scheduler, atMs: number, order: number, fn: () => void, quiet: boolean) {
    this.#scheduler = scheduler;
    this.atMs = atMs;
    this.order = order;
    this.fn = fn;
    this.quiet = quiet;
  }

  cancel(): void {
    if (this.fn === null) return;
    this.fn = null;
    this.#scheduler.noteCancelled();
  }
}

export class Scheduler {
  #heap: ScheduledEvent[] = [];
  #now = 0;
  #order = 0;
  #cancelled = 0;
  #executed = 0;
  #atThisInstant = 0;
  #running = false;

  /** Virtual milliseconds since the start of the simulation. */
  get now(): number {
    return this.#now;
  }

  /** Events that wait. */
  get pending(): number {
    return this.#heap.length - this.#cancelled;
  }

  /** Events that were run since the start. */
  get executed(): number {
    return this.#executed;
  }

  /**
   * Runs `fn` at virtual time `atMs` (now, if that has passed), after the events already queued for that time.
   * A `quiet` event promises to wake no promise; the next event then follows without draining promise jobs.
   */
  schedule(atMs: number, fn: () => void, quiet = false): Timer {
    if (Number.isNaN(atMs)) throw new RangeError('an event was scheduled at NaN');
    const event = new ScheduledEvent(this, Math.max(atMs, this.#now), this.#order++, fn, quiet);
    this.#heap.push(event);
    siftUp(this.#heap, this.#heap.length - 1);
    return event;
  }

  /**
   * Runs all events up to and including `untilMs`; resolves once the last one's promise jobs have settled, with
   * `now` at `untilMs`. Rejects with what an event threw; the simulation can then be run on.
   */
  async run(untilMs: number): Promise<void> {
    await this.#loop(untilMs, undefined);
  }

  /** Runs for `durationMs` of virtual time. */
  async runFor(durationMs: number): Promise<void> {
    await this.#loop(this.#now + durationMs, undefined);
  }

  /** Runs until `condition` holds (asked after each event) or `limitMs` is reached; says whether it held. */
  runUntil(condition: () => boolean, limitMs: number): Promise<boolean> {
    return this.#loop(limitMs, condition);
  }

  /** Called by an event that was cancelled: when most of the heap is dead, it is swept. */
  noteCancelled(): void {
    this.#cancelled++;
    if (this.#cancelled < 1024 || this.#cancelled * 2 < this.#heap.length) return;
    this.#heap = this.#heap.filter((event) => event.fn !== null);
    this.#cancelled = 0;
    for (let i = (this.#heap.length >> 1) - 1; i >= 0; i--) siftDown(this.#heap, i);
  }

  #loop(untilMs: number, condition: (() => boolean) | undefined): Promise<boolean> {
    if (this.#running) return Promise.reject(new Error('the scheduler is already running'));
    this.#running = true;
    return new Promise((resolve, reject) => {
      let over = false;
      const step = (): void => {
        if (over) return;
        try {
          const outcome = this.#step(untilMs, condition);
          if (outcome === undefined) return;
          over = true;
          this.#running = false;
          resolve(outcome);
        } catch (error) {
          over = true;
          this.#running = false;
          reject(error);
        }
      };
      const turn = (): void => {
        for (let i = 1; i < STEPS_PER_TURN; i++) setImmediate(step);
        setImmediate(() => {
          step();
          if (!over) turn();
        });
      };
      turn();
    });
  }

  /** Runs one event (and quiet ones before it); undefined to go on, or how the run ended. */
  #step(untilMs: number, condition: (() => boolean) | undefined): boolean | undefined {
    if (condition?.() === true) return true;
    for (;;) {
      const event = this.#take(untilMs);
      if (event === undefined) {
        this.#now = Math.max(this.#now, untilMs);
        return false;
      }
      this.#atThisInstant = event.atMs > this.#now ? 0 : this.#atThisInstant + 1;
      if (this.#atThisInstant > MAX_EVENTS_PER_INSTANT) {
        throw new Error(
          `time stands still at ${this.#now} ms: events keep scheduling events for the same instant`,
        );
      }
      this.#now = event.atMs;
      this.#executed++;
      const fn = event.fn!;
      event.fn = null;
      fn();
      if (!event.quiet) return undefined;
    }
  }

  #take(untilMs: number): ScheduledEvent | undefined {
    const heap = this.#heap;
    for (;;) {
      const top = heap[0];
      if (top === undefined || (top.fn !== null && top.atMs > untilMs)) return undefined;
      const last = heap.pop()!;
      if (last !== top) {
        heap[0] = last;
        siftDown(heap, 0);
      }
      if (top.fn !== null) return top;
      this.#cancelled--;
    }
  }
}

function before(a: ScheduledEvent, b: ScheduledEvent): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

function siftUp(heap: ScheduledEvent[], start: number): void {
  const event = heap[start]!;
  let at = start;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (!before(event, heap[parent]!)) break;
    heap[at] = heap[parent]!;
    at = parent;
  }
  heap[at] = event;
}

function siftDown(heap: ScheduledEvent[], start: number): void {
  const event = heap[start]!;
  const { length } = heap;
  let at = start;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= length) break;
    if (child + 1 < length && before(heap[child + 1]!, heap[child]!)) child++;
    if (!before(heap[child]!, event)) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = event;
}

export interface SimClockOptions {
  /** What the monotonic clock shows at virtual time 0. */
  readonly offsetMs?: number;
  /** Local milliseconds per virtual millisecond; 1.05 runs 5 % fast. */
  readonly rate?: number;
  /** How far the wall clock is from `WALL_START_MS` at virtual time 0. */
  readonly wallOffsetMs?: number;
  readonly journal?: Journal;
}

/** What a wall clock without offset shows at virtual time 0 (2025-01-01T00:00:00Z). */
export const WALL_START_MS = 1_735_689_600_000;

export class SimClock implements Clock {
  /** The name of the process in the journal. */
  readonly node: string;
  readonly #scheduler: Scheduler;
  readonly #journal: Journal | undefined;
  #state: 'running' | 'paused' | 'stopped' = 'running';
  #rate: number;
  #anchorVirtualMs: number;
  #anchorLocalMs: number;
  #wallMinusLocalMs: number;
  #backlog: (() => void)[] = [];
  #pumping = false;

  constructor(scheduler: Scheduler, node: string, options: SimClockOptions = {}) {
    this.node = node;
    this.#scheduler = scheduler;
    this.#journal = options.journal;
    this.#rate = options.rate ?? 1;
    const offsetMs = options.offsetMs ?? 0;
    this.#anchorVirtualMs = scheduler.now;
    this.#anchorLocalMs = offsetMs + scheduler.now * this.#rate;
    this.#wallMinusLocalMs = WALL_START_MS + (options.wallOffsetMs ?? 0) - offsetMs;
  }

  get state(): 'running' | 'paused' | 'stopped' {
    return this.#state;
  }

  now(): number {
    return this.#anchorLocalMs + (this.#scheduler.now - this.#anchorVirtualMs) * this.#rate;
  }

  wallNow(): number {
    return Math.floor(this.now() + this.#wallMinusLocalMs);
  }

  setTimer(delayMs: number, fn: () => void): Timer {
    return new LocalTimer(this, this.now() + Math.max(0, delayMs), fn);
  }

  defer(fn: () => void): void {
    this.#scheduler.schedule(this.#scheduler.now, () => this.deliver('defer', '', fn));
  }

  /** Schedules `fn` (not held by a pause) for when this clock shows at least `localMs`. */
  scheduleAtLocal(localMs: number, fn: () => void): Timer {
    let atMs = this.#anchorVirtualMs + (localMs - this.#anchorLocalMs) / this.#rate;
    // Rounding may leave the local clock a hair before the due time, and code that looks again would spin.
    const shownMs = this.#anchorLocalMs + (atMs - this.#anchorVirtualMs) * this.#rate;
    if (shownMs < localMs) atMs += 1e-6;
    return this.#scheduler.schedule(atMs, fn);
  }

  /**
   * Runs `fn` as something that happens to this process: now, on resume (in order) while it is paused, never
   * once it is stopped. Call it from an event of its own. `event` and `subject` go to the journal,
   * unless `event` is empty.
   */
  deliver(event: string, subject: string, fn: () => void): void {
    if (this.#state === 'stopped') return;
    if (this.#state === 'paused' || this.#backlog.length > 0) {
      this.#backlog.push(() => this.#happen(event, subject, fn));
    } else {
      this.#happen(event, subject, fn);
    }
  }

  /** Moves the wall clock by `ms`, as an operator or a time service would. */
  stepWall(ms: number): void {
    this.#wallMinusLocalMs += ms;
    this.#record('wall clock steps', `${ms} ms`);
  }

  /** Changes the drift from now on; timers that are set keep to the local clock. */
  setRate(rate: number): void {
    this.#anchorLocalMs = this.now();
    this.#anchorVirtualMs = this.#scheduler.now;
    this.#rate = rate;
    this.#record('clock rate', String(rate));
  }

  /** Stops the process as SIGSTOP does: clocks go on, but timers, deferred calls and frames wait. */
  pause(): void {
    if (this.#state !== 'running') return;
    this.#state = 'paused';
    this.#record('paused', '');
  }

  /** Lets a paused process go on; what waited runs now, in order, each in its own event. */
  resume(): void {
    if (this.#state !== 'paused') return;
    this.#state = 'running';
    this.#record('resumed', '');
    this.#pump();
  }

  /** Ends the process for good: nothing of it ever runs again. */
  stop(): void {
    if (this.#state === 'stopped') return;
    this.#state = 'stopped';
    this.#backlog = [];
    this.#record('stopped', '');
  }

  #happen(event: string, subject: string, fn: () => void): void {
    if (event !== '') this.#record(event, subject);
    fn();
  }

  #pump(): void {
    if (this.#pumping || this.#backlog.length === 0) return;
    this.#pumping = true;
    this.#scheduler.schedule(this.#scheduler.now, () => {
      this.#pumping = false;
      if (this.#state !== 'running') return;
      // What arrives from now on is due after the whole backlog, so the head leaves only after it has run.
      try {
        this.#backlog[0]?.();
      } finally {
        this.#backlog.shift();
        this.#pump();
      }
    });
  }

  #record(event: string, subject: string): void {
    this.#journal?.record(this.#scheduler.now, this.node, event, subject);
  }
}

/** A timer by the clock of its process; when that clock slowed down in the meantime, it waits on. */
class LocalTimer implements Timer {
  readonly #clock: SimClock;
  readonly #dueLocalMs: number;
  #fn: (() => void) | null;
  #event: Timer;

  constructor(clock: SimClock, dueLocalMs: number, fn: () => void) {
    this.#clock = clock;
    this.#dueLocalMs = dueLocalMs;
    this.#fn = fn;
    this.#event = clock.scheduleAtLocal(dueLocalMs, this.#due);
  }

  cancel(): void {
    this.#fn = null;
    this.#event.cancel();
  }

  readonly #due = (): void => {
    if (this.#clock.now() < this.#dueLocalMs) {
      this.#event = this.#clock.scheduleAtLocal(this.#dueLocalMs, this.#due);
    } else {
      this.#clock.deliver('timer', '', this.#fire);
    }
  };

  readonly #fire = (): void => {
    const fn = this.#fn;
    this.#fn = null;
    fn?.();
  };
}
