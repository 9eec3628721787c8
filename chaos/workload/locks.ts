/**
 * Locks of few keys: flows of several clients lock, write with the fence under the lock, and unlock; some let their lease
 * end, some die with their client, and some write without a lock. What was held is kept for `checker/locks.ts`. One
 * worker calls one operation after the other; those of one client exclude each other too.
 */
import type { GridMap } from '../../partitions/services/map/proxy.js';
import type { SeededRandom } from '../../src/base/random.js';
import type { Scheduler } from '../sim/virtual-clock.js';
import type { Caller, WorkerContext } from './caller.js';
import type { Entry, Recorder } from './recorder.js';

export const LOCKS = 'locks';
export const LOCK_KEYS: readonly string[] = ['l0', 'l1'];
/** A client of which nothing is heard for so long counts as dead. */
export const HOLDER_MS = 3_000;
const UNLOCK_TIMEOUT_MS = 1_500;
/** Longer than backups are missing: a member that left need not come back before the end. */
const MAX_UNLOCKS = 300;

/** A lock that its caller was given; times on the scheduler. */
export interface Hold {
  /** `lock/<key>`. */
  readonly k: string;
  readonly caller: Caller;
  readonly worker: string;
  readonly isNamed: boolean;
  readonly fence: bigint;
  readonly callMs: number;
  readonly ackMs: number;
  /** Null for none. */
  readonly leaseMs: number | null;
  /** Of the side that gave it; null when that is not certain. */
  readonly lineage: string | null;
  /** When the unlock was sent, or its process died; null when it never was. */
  endMs: number | null;
  /** The first unlock, once it is settled. */
  unlock: Entry | null;
  /** The side that refused it, as far as is known. */
  refusedBy: string | null;
  /** That side said that it had taken the lock from its holder. */
  wasLost: boolean;
  /** Unlocks it once more, where that side did not know of it. */
  readonly again: () => Promise<void>;
}

/** A write without a lock. */
export interface Intrusion {
  readonly k: string;
  readonly caller: Caller;
  readonly entry: Entry;
  readonly lineage: string | null;
}

export class LockLog {
  readonly holds: Hold[] = [];
  readonly intrusions: Intrusion[] = [];
  deaths = 0;
}

/** What the run does for the workers. */
export interface LockHost {
  readonly scheduler: Scheduler;
  /** A client that nobody else uses. */
  newClient(): Caller;
  /** Its process ends at once. */
  kill(host: string): void;
}

export class LockWorker {
  readonly #context: WorkerContext;
  readonly #recorder: Recorder;
  readonly #log: LockLog;
  readonly #host: LockHost;
  readonly #random: SeededRandom;
  #owners = 0;

  constructor(
    context: WorkerContext,
    recorder: Recorder,
    log: LockLog,
    host: LockHost,
    random: SeededRandom,
  ) {
    this.#context = context;
    this.#recorder = recorder;
    this.#log = log;
    this.#host = host;
    this.#random = random;
  }

  async step(): Promise<void> {
    const draw = this.#random.float();
    const key = LOCK_KEYS[this.#random.below(LOCK_KEYS.length)] as string;
    const { caller } = this.#context;
    if (draw < 0.15) return this.#intrude(caller, key);
    if (draw < 0.2) return this.#look(caller, key);
    if (draw < 0.23) return this.#die(key);
    return this.#flow(caller, key);
  }

  /** Lock, write, unlock. */
  async #flow(caller: Caller, key: string): Promise<void> {
    const isNamed = this.#random.float() < 0.3;
    const leaseMs = this.#random.float() < 0.3 ? 150 + this.#random.below(700) : null;
    const waitMs = this.#random.below(1500);
    const holdMs = this.#random.below(120);
    const writes = this.#random.below(3);
    const forgets = leaseMs !== null && this.#random.float() < 0.4;
    const map = this.#mapOf(caller, isNamed);
    const hold = await this.#acquire(caller, key, map, { isNamed, leaseMs, waitMs });
    if (hold === null) return;
    for (let i = 0; i < writes; i++) await this.#write(caller, key, map, hold.fence);
    await this.#sleep(holdMs);
    if (forgets) return;
    await this.#unlock(caller, key, map, hold);
  }

  #mapOf({ grid }: Caller, isNamed: boolean): GridMap<string, string> {
    const map = grid.getMap<string, string>(LOCKS);
    return isNamed ? map.with({ lockOwner: `${this.#context.worker}.${++this.#owners}` }) : map;
  }

  async #acquire(
    caller: Caller,
    key: string,
    map: GridMap<string, string>,
    { isNamed, leaseMs, waitMs }: { isNamed: boolean; leaseMs: number | null; waitMs: number },
  ): Promise<Hold | null> {
    const k = `lock/${key}`;
    const timeoutMs = 1_000 + this.#context.timeoutMs();
    const isTry = this.#random.float() < 0.5;
    const before = await lineageOf(caller, key);
    const call = () =>
      isTry
        ? map.with({ timeoutMs }).tryLock(key, waitMs, leaseMs ?? undefined)
        : map.with({ timeoutMs }).lock(key, leaseMs ?? undefined);
    const step = { k, f: 'lock', v: this.#context.worker };
    const outOf = (out: unknown) => (typeof out === 'bigint' ? out.toString() : null);
    const entry = await this.#recorder.call(caller, step, true, timeoutMs + waitMs, call, outOf);
    // What was found out by asking is given back by the client itself.
    if (entry.type !== 'ok' || entry.resolution !== undefined || typeof entry.out !== 'string') return null;
    const after = await lineageOf(caller, key);
    const hold: Hold = {
      k,
      caller,
      worker: this.#context.worker,
      isNamed,
      fence: BigInt(entry.out),
      callMs: entry.callMs,
      ackMs: entry.retMs as number,
      leaseMs,
      lineage: before === after ? before : null,
      endMs: null,
      unlock: null,
      refusedBy: null,
      wasLost: false,
      again: () => map.with({ timeoutMs: UNLOCK_TIMEOUT_MS }).unlock(key, BigInt(entry.out as string)),
    };
    this.#log.holds.push(hold);
    return hold;
  }

  async #write(caller: Caller, key: string, map: GridMap<string, string>, fence: bigint): Promise<void> {
    const timeoutMs = 300 + this.#random.below(700);
    const v = `fence ${fence}`;
    const set = () => map.with({ timeoutMs }).set(key, v);
    await this.#recorder.call(caller, { k: `${LOCKS}/${key}`, f: 'write', v }, true, timeoutMs, set);
  }

  /** Until it is known: a flow that lives does not leave its lock behind. */
  async #unlock(caller: Caller, key: string, map: GridMap<string, string>, hold: Hold): Promise<void> {
    for (let i = 0; i < MAX_UNLOCKS && caller.isAlive(); i++) {
      hold.endMs ??= this.#host.scheduler.now;
      const unlock = () => map.with({ timeoutMs: UNLOCK_TIMEOUT_MS }).unlock(key, hold.fence);
      const step = { k: hold.k, f: 'unlock', v: hold.fence.toString() };
      const entry = await this.#recorder.call(caller, step, true, UNLOCK_TIMEOUT_MS, unlock);
      hold.unlock ??= entry;
      const isRefused = entry.code === 'ERR_NOT_LOCK_OWNER' || entry.code === 'ERR_LOCK_LOST';
      hold.wasLost = entry.code === 'ERR_LOCK_LOST';
      if (isRefused) hold.refusedBy = await lineageOf(caller, key);
      if (entry.type === 'ok' || isRefused) return;
      await this.#sleep(100);
    }
  }

  async #intrude(caller: Caller, key: string): Promise<void> {
    const timeoutMs = 200 + this.#random.below(1_500);
    const before = await lineageOf(caller, key);
    const v = `without ${this.#context.worker}`;
    const map = caller.grid.getMap<string, string>(LOCKS).with({ timeoutMs });
    const step = { k: `${LOCKS}/${key}`, f: 'write', v };
    const entry = await this.#recorder.call(caller, step, true, timeoutMs, () => map.set(key, v));
    const after = await lineageOf(caller, key);
    this.#log.intrusions.push({ k: `lock/${key}`, caller, entry, lineage: before === after ? before : null });
  }

  async #look(caller: Caller, key: string): Promise<void> {
    const timeoutMs = this.#context.timeoutMs();
    const map = caller.grid.getMap<string, string>(LOCKS).with({ timeoutMs });
    const step = { k: `lock/${key}`, f: 'isLocked' };
    await this.#recorder.call(
      caller,
      step,
      false,
      timeoutMs,
      () => map.isLocked(key),
      (out) => out,
    );
  }

  /** A client of its own takes the lock, and dies with it. */
  async #die(key: string): Promise<void> {
    const caller = this.#host.newClient();
    await caller.ready;
    const map = caller.grid.getMap<string, string>(LOCKS);
    const hold = await this.#acquire(caller, key, map, { isNamed: false, leaseMs: null, waitMs: 500 });
    if (hold !== null) {
      await this.#sleep(this.#random.below(150));
      hold.endMs = this.#host.scheduler.now;
      this.#log.deaths++;
    }
    this.#host.kill(caller.host);
  }

  #sleep(ms: number): Promise<void> {
    const { scheduler } = this.#host;
    return new Promise((resolve) => {
      scheduler.schedule(scheduler.now + ms, resolve);
    });
  }
}

/** The lineage that answers, or null. */
export async function lineageOf({ grid }: Caller, key: string): Promise<string | null> {
  const map = grid.getMap<string, string>(LOCKS).with({ timeoutMs: 500 });
  const found = await map.getWithMeta(key).catch(() => null);
  return found === null ? null : found.lineage;
}
