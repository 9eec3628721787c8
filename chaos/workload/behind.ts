/**
 * Reads that may be behind: a map with EL on few keys, each write with a value of its own, each answer with its place. A
 * worker reads and writes in sessions: the one of its client, and one of its own, which it takes along to another member or
 * client now and then by its token. What comes of it is kept for `checker/behind.ts`.
 */
import { Session } from '../../client/core/session.js';
import type { Place } from '../../partitions/history.js';
import type { CallOptions, SeenPlaces } from '../../partitions/invoker.js';
import { partitionOfKey } from '../../partitions/placement.js';
import { GridError } from '../../src/base/errors.js';
import type { SeededRandom } from '../../src/base/random.js';
import { tagText } from '../../src/cluster/view.js';
import { encodeKey } from '../../src/wire/keys.js';
import type { Scheduler } from '../sim/virtual-clock.js';
import type { WorkerContext } from './caller.js';

export const BEHIND = 'behind';

/** One call; times on the scheduler. */
export interface BehindCall {
  readonly session: string;
  readonly host: string;
  readonly key: string;
  readonly partition: number;
  readonly kind: 'read' | 'write';
  /** Written, or read. */
  value: string | null;
  readonly callMs: number;
  retMs: number | null;
  /** Null for a call that failed. */
  place: Place | null;
  /** What its session has seen by it; null for nothing new. */
  seen: Place | null;
  source: string | null;
  /** The history that answered: lineage and view. */
  side: string;
  ageMs: number;
  maxStalenessMs: number | null;
  code: string | null;
}

export class BehindLog {
  readonly calls: BehindCall[] = [];
}

/** Sees the place of each answer, beside the session that it passes it on to. */
class Watched implements SeenPlaces {
  last: Place | null = null;
  readonly #session: SeenPlaces;

  constructor(session: SeenPlaces) {
    this.#session = session;
  }

  lowest(partition: number): Place | null {
    return this.#session.lowest(partition);
  }

  saw(partition: number, place: Place, held: Place | null): void {
    this.last = place;
    this.#session.saw(partition, place, held);
  }
}

function sideOf({ lineage, epoch }: Place): string {
  return `${tagText(lineage)}/${epoch}`;
}

export interface BehindPlan {
  readonly keys: number;
  readonly partitionCount: number;
  /** Values from a near cache are no older than this; null without one. */
  readonly nearMs: number | null;
}

export class BehindWorker {
  readonly #context: WorkerContext;
  readonly #log: BehindLog;
  readonly #scheduler: Scheduler;
  readonly #random: SeededRandom;
  readonly #plan: BehindPlan;
  #session: Session;
  #sessionName: string;
  #sessions = 1;
  #written = 0;

  constructor(
    context: WorkerContext,
    log: BehindLog,
    scheduler: Scheduler,
    random: SeededRandom,
    plan: BehindPlan,
  ) {
    this.#context = context;
    this.#log = log;
    this.#scheduler = scheduler;
    this.#random = random;
    this.#plan = plan;
    this.#session = this.#begin();
    this.#sessionName = `${context.worker}/1`;
  }

  #begin(token?: string): Session {
    return Session.of(() => ({ clusterName: 'sim', partitionCount: this.#plan.partitionCount }), token);
  }

  async step(): Promise<void> {
    const { caller } = this.#context;
    // Through its token, as another process would take it over.
    if (this.#random.float() < 0.1) this.#session = this.#begin(this.#session.token());
    const key = `b${this.#random.below(this.#plan.keys)}`;
    const draw = this.#random.float();
    const maxStalenessMs = draw < 0.3 ? 20 + this.#random.below(500) : null;
    const timeoutMs = this.#context.timeoutMs();
    const watched = new Watched(this.#session);
    const options: CallOptions = {
      timeoutMs,
      session: watched,
      ...(maxStalenessMs === null ? {} : { maxStalenessMs }),
    };
    const map = caller.grid.getMap<string, string>(BEHIND).with(options);
    const isWrite = this.#random.float() < 0.3;
    const call: BehindCall = {
      session: this.#sessionName,
      host: caller.host,
      key,
      partition: partitionOfKey(encodeKey(key), this.#plan.partitionCount),
      kind: isWrite ? 'write' : 'read',
      value: isWrite ? `${this.#context.worker}.${++this.#written}` : null,
      callMs: this.#scheduler.now,
      retMs: null,
      place: null,
      seen: null,
      source: null,
      side: '',
      ageMs: 0,
      maxStalenessMs,
      code: null,
    };
    this.#log.calls.push(call);
    try {
      if (isWrite) await map.set(key, call.value as string);
      else {
        const { value, source, ageMs, lineage, position } = await map.getWithMeta(key);
        Object.assign(call, { value, source, ageMs, side: `${lineage}/${position.view}` });
        if (source === 'nearCache') {
          const { nearMs } = this.#plan;
          call.maxStalenessMs = Math.min(maxStalenessMs ?? Number.POSITIVE_INFINITY, nearMs ?? 0);
          const tag = Number.parseInt(lineage, 16);
          call.place = { lineage: tag, epoch: position.view, seq: position.sequence };
        }
      }
      call.seen = watched.last;
      call.place ??= watched.last;
      // A write makes a position of the history that answers.
      if (isWrite && call.place !== null) call.side = sideOf(call.place);
    } catch (error) {
      call.code = error instanceof GridError ? error.code : String(error);
      if (call.code === 'ERR_SESSION_LOST') {
        this.#session = this.#begin();
        this.#sessionName = `${this.#context.worker}/${++this.#sessions}`;
      }
    }
    call.retMs = this.#scheduler.now;
  }
}
