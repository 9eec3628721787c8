/**
 * Writes down what clients call and what they are told: every call ends as ok, as certainly without effect (fail) or
 * as unknown (info), and of the unknown ones some are asked about. Workloads call through it, checkers read it.
 * Invariants: times are virtual; what was resolved as not done counts as `fail`, so that any trace of it is found.
 */
import { BulkError, GridError, IndeterminateError } from '../../src/base/errors.js';
import type { SeededRandom } from '../../src/base/random.js';
import type { HistoryOperation } from '../checker/history.js';
import type { Scheduler } from '../sim/virtual-clock.js';
import type { Caller } from './caller.js';

/** How much later than its deadline a call may settle. */
const SETTLE_GRACE_MS = 2000;
/** Errors that a correct grid may end a call with; anything else is a finding. */
const EXPECTED_CODES: ReadonlySet<string> = new Set([
  'ERR_TIMEOUT',
  'ERR_NOT_SERVING',
  'ERR_PARTITION_UNAVAILABLE',
  'ERR_NO_MAJORITY',
  'ERR_OVERLOAD',
  'ERR_NOT_ENOUGH_BACKUPS',
  'ERR_WRONG_TARGET',
  'ERR_CLIENT_CLOSED',
  'ERR_MEMBER_CLOSED',
]);

/** The parts of a call that the models read. */
export interface Step {
  readonly k: string;
  readonly f: string;
  readonly v?: unknown;
  readonly from?: unknown;
  readonly to?: unknown;
}

export interface Entry extends Step {
  readonly c: number;
  readonly caller: Caller;
  readonly callMs: number;
  readonly deadlineMs: number;
  readonly isWrite: boolean;
  /** One key of a call for several: its answer came with that of the others, perhaps long after it was decided. */
  readonly isPart: boolean;
  retMs: number | null;
  type: 'open' | 'ok' | 'fail' | 'info';
  out?: unknown;
  /** Code of the error that ended it. */
  code?: string;
  /** What asking about it brought. */
  resolution?: 'done' | 'not done' | 'unknown';
}

export interface Finding {
  readonly guarantee: string;
  readonly text: string;
}

export class Recorder {
  readonly entries: Entry[] = [];
  readonly findings: Finding[] = [];
  readonly #scheduler: Scheduler;
  readonly #resolveShare: number;
  readonly #random: SeededRandom;
  readonly #expected: ReadonlySet<string>;

  /** `alsoExpected`: codes of errors that only this kind of run may bring. */
  constructor(
    scheduler: Scheduler,
    resolveShare: number,
    random: SeededRandom,
    alsoExpected: readonly string[] = [],
  ) {
    this.#scheduler = scheduler;
    this.#resolveShare = resolveShare;
    this.#random = random;
    this.#expected = new Set([...EXPECTED_CODES, ...alsoExpected]);
  }

  /** Calls one operation on one key; resolves with its entry once it is settled, and asked about if so drawn. */
  async call<T>(
    caller: Caller,
    step: Step,
    isWrite: boolean,
    timeoutMs: number,
    invoke: () => Promise<T>,
    outOf?: (value: T) => unknown,
  ): Promise<Entry> {
    const entry = this.#open(caller, step, isWrite, timeoutMs);
    try {
      const value = await invoke();
      this.#settle(entry, 'ok', outOf?.(value));
    } catch (error) {
      await this.#failed([entry], error, outOf as ((value: unknown) => unknown) | undefined);
    }
    return entry;
  }

  /** Calls one operation that concerns many keys; one entry a key, with what the error says about that key. */
  async callMany<T>(
    caller: Caller,
    steps: readonly Step[],
    isWrite: boolean,
    timeoutMs: number,
    invoke: () => Promise<T>,
    outOf?: (value: T, step: Step) => unknown,
  ): Promise<Entry[]> {
    const entries = steps.map((step) => this.#open(caller, step, isWrite, timeoutMs, true));
    try {
      const value = await invoke();
      for (const entry of entries) this.#settle(entry, 'ok', outOf?.(value, entry));
    } catch (error) {
      if (error instanceof BulkError) await this.#bulk(entries, error);
      else
        for (const entry of entries) this.#settle(entry, isWrite ? 'info' : 'fail', undefined, codeOf(error));
    }
    return entries;
  }

  #open(caller: Caller, step: Step, isWrite: boolean, timeoutMs: number, isPart = false): Entry {
    const { now } = this.#scheduler;
    const entry: Entry = {
      ...step,
      c: caller.number,
      caller,
      callMs: now,
      deadlineMs: now + timeoutMs,
      isWrite,
      isPart,
      retMs: null,
      type: 'open',
    };
    this.entries.push(entry);
    return entry;
  }

  #settle(entry: Entry, type: 'ok' | 'fail' | 'info', out?: unknown, code?: string): void {
    const { now } = this.#scheduler;
    entry.type = type;
    entry.retMs = type === 'info' ? null : now;
    if (type === 'ok' && out !== undefined) entry.out = out;
    if (code !== undefined) entry.code = code;
    const graceMs = SETTLE_GRACE_MS + entry.caller.stalledMs() + 0.05 * (now - entry.callMs);
    if (now > entry.deadlineMs + graceMs) {
      const lateMs = (now - entry.deadlineMs).toFixed(0);
      this.#find('no hanging call', `${describeEntry(entry)} settled ${lateMs} ms after its deadline`);
    }
  }

  /** Ends the entries of one call with its error, and asks what became of them if nobody knows. */
  async #failed(
    entries: readonly Entry[],
    error: unknown,
    outOf: ((value: unknown) => unknown) | undefined,
  ): Promise<void> {
    this.#end(entries, error);
    if (error instanceof IndeterminateError && this.#random.float() < this.#resolveShare)
      await this.#resolve(entries, error, outOf);
  }

  #end(entries: readonly Entry[], error: unknown): void {
    const code = codeOf(error);
    const isKnown = error instanceof IndeterminateError || this.#expected.has(code);
    const isDefinite = error instanceof GridError && error.definite;
    for (const entry of entries) {
      this.#settle(entry, isDefinite || !entry.isWrite ? 'fail' : 'info', undefined, code);
      if (!isKnown) this.#find('typed errors', `${describeEntry(entry)} ended with ${String(error)}`);
    }
  }

  async #resolve(
    entries: readonly Entry[],
    error: IndeterminateError,
    outOf: ((value: unknown) => unknown) | undefined,
  ): Promise<void> {
    const resolution = await error.resolve();
    for (const entry of entries) {
      entry.resolution = resolution.outcome;
      if (resolution.outcome === 'unknown') continue;
      entry.type = resolution.outcome === 'done' ? 'ok' : 'fail';
      entry.retMs = this.#scheduler.now;
      if (resolution.outcome === 'done' && outOf !== undefined) entry.out = outOf(resolution.reply);
    }
  }

  async #bulk(entries: readonly Entry[], error: BulkError): Promise<void> {
    const done = new Set(error.done);
    const failures = [...error.refused, ...error.indeterminate];
    const reasons = new Map(failures.map(({ key, error: reason }) => [key, reason]));
    const unknown = new Map<IndeterminateError, Entry[]>();
    for (const entry of entries) {
      const key = keyOf(entry);
      const reason = reasons.get(key);
      if (done.has(key)) this.#settle(entry, entry.isWrite ? 'ok' : 'fail');
      else if (reason === undefined) this.#find('typed errors', `a bulk error does not name the key ${key}`);
      else this.#end([entry], reason);
      if (reason instanceof IndeterminateError) unknown.set(reason, [...(unknown.get(reason) ?? []), entry]);
    }
    for (const [reason, some] of unknown)
      if (this.#random.float() < this.#resolveShare) await this.#resolve(some, reason, undefined);
  }

  #find(guarantee: string, text: string): void {
    this.findings.push({ guarantee, text });
  }

  /** Ends the books: what never settled is unknown when its caller died, and a finding otherwise. */
  close(): void {
    for (const entry of this.entries) {
      if (entry.type !== 'open') continue;
      entry.type = 'info';
      if (entry.caller.isAlive()) this.#find('no hanging call', `${describeEntry(entry)} never settled`);
    }
  }

  /** The entries of one kind of structure as a history. */
  history(prefix: string): HistoryOperation[] {
    return this.entries.filter(({ k }) => k.startsWith(prefix)).map(toHistory);
  }
}

/** Keys of histories are `<structure>/<key>`. */
export function keyOf({ k }: Step): string {
  return k.slice(k.indexOf('/') + 1);
}

export function toHistory(entry: Entry): HistoryOperation {
  const { c, k, f, v, from, to, callMs, retMs, out } = entry;
  const type = entry.type === 'open' ? 'info' : entry.type;
  return {
    c,
    k,
    f,
    ...(v === undefined ? {} : { v }),
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
    call: Math.round(callMs * 1e6),
    ret: type === 'info' ? null : Math.round((retMs as number) * 1e6),
    type,
    ...(out === undefined ? {} : { out }),
  };
}

export function describeEntry({ c, k, f, callMs }: Entry): string {
  return `${f} of ${k} by caller ${c}, called at ${callMs.toFixed(1)} ms,`;
}

function codeOf(error: unknown): string {
  return error instanceof GridError ? error.code : String(error);
}
