/**
 * One structure in one partition, run as the grid runs it but without one: requests and replies go through their
 * codecs, deltas into a log. Frames are overwritten after use, so that a view that outlives its frame shows.
 */

import { MergeFunctions } from '../../partitions/merge-policies.js';
import type {
  Actor,
  CallId,
  DiscardedEntry,
  Handler,
  MergeContext,
  MergeSince,
  OperationContext,
  PurgeHorizon,
  Service,
  ServiceState,
  StoreAccess,
  StructureOptions,
  Version,
} from '../../partitions/service.js';
import { SERVICES } from '../../partitions/services/index.js';
import { Slab } from '../../partitions/store/slab.js';
import type { UserFunctions } from '../../partitions/user-functions.js';
import { Reader, Writer } from '../../src/base/bytes.js';
import type { AnyOperation } from '../../src/wire/message.js';
import { ValueCodec } from '../../src/wire/values.js';
import { someFunctions } from './functions.js';

export const START_MS = 1_700_000_000_000;
const SCRIBBLE = 0xa5;

export interface LogEntry {
  readonly seq: number;
  readonly delta: Buffer;
}

export interface Outcome {
  /** Decoded from a frame of its own. */
  readonly reply: unknown;
  /** Position of the change, or 0 when nothing was recorded. */
  readonly seq: number;
  /** The highest position that the reply depends on, 0 for none. */
  readonly dependsOn: number;
  readonly requestBytes: number;
  readonly replyBytes: number;
}

/** What a merge told. */
export interface Merged {
  merged: number;
  readonly discarded: DiscardedEntry[];
  readonly resurrected: Uint8Array[];
  readonly failed: { readonly key: Uint8Array; readonly reason: string }[];
}

export class Replica {
  readonly slab = new Slab();
  readonly state: ServiceState;

  constructor(service: Service, name = 'x') {
    this.state = service.createState({ slab: this.slab, partition: 0, name });
  }

  apply({ seq, delta }: LogEntry): void {
    const frame = Buffer.from(delta);
    this.state.apply(new Reader(frame), seq);
    frame.fill(SCRIBBLE);
  }

  paste(chunk: Uint8Array): void {
    const frame = Buffer.from(chunk);
    this.state.paste(new Reader(frame));
    frame.fill(SCRIBBLE);
  }
}

export class Primary extends Replica {
  readonly service: Service;
  readonly name: string;
  readonly log: LogEntry[] = [];
  seq = 0;
  wallMs = START_MS;
  /** Monotonic. */
  nowMs = 1_000;
  /** Who leads the partition; a takeover gives another one. */
  /** Of the operations to come; null: each is a call of its own. */
  call: CallId | null = null;
  actor: Actor = { memberHi: 0xfedcba98, memberLo: 0x76543210, lineage: 1, epoch: 1 };
  /** Of the structure, as operations see them. */
  options: StructureOptions;
  /** What a call on a map with a store sees of it; null: it has none. */
  store: StoreAccess | null = null;
  /** Since when it leads, on its wall clock. */
  leadsSinceMs = Number.NEGATIVE_INFINITY;
  /** It answers as a backup does. */
  isBehind = false;
  /** An earlier primary may have applied what is called. */
  mayBeElsewhere = false;
  /** Of the last operation. */
  isUndecided = false;
  isCrowded = false;
  goodForMs = Number.POSITIVE_INFINITY;
  #upkeepKeys: Uint8Array[] = [];
  /** Who calls. */
  client = 0;
  lockOwner = '';
  /** Counts the versions that were given or seen; four make a millisecond. */
  versions = 0;
  #functions: UserFunctions | undefined;
  /** Those of `someFunctions`, until a test registers its own. */
  get functions(): UserFunctions {
    this.#functions ??= someFunctions();
    return this.#functions;
  }

  set functions(functions: UserFunctions) {
    this.#functions = functions;
  }

  constructor(service: Service, name = 'x') {
    super(service, name);
    this.service = service;
    this.name = name;
    this.options = defaultOptions(service);
  }

  /** Runs an operation; throws when it breaks a rule that holds for all. */
  run(operation: AnyOperation, request: unknown): Outcome {
    const input = framed((out) => operation.request.write(out, request));
    const name = operation.name.slice(this.service.name.length + 1);
    const handler = this.service.handlers[name] as Handler<ServiceState>;
    this.isUndecided = false;
    this.isCrowded = false;
    this.goodForMs = Number.POSITIVE_INFINITY;
    this.#upkeepKeys = [];
    const { context, finish } = this.#context(operation.name);
    const body = operation.request.read(new Reader(input));
    const output = framed((out) => operation.reply.write(out, handler(this.state, body as never, context)));
    input.fill(SCRIBBLE);
    const { seq, dependsOn } = finish();
    if (seq > 0 && operation.kind === 'read')
      throw new Error(`${operation.name} is a read and recorded a delta`);
    const reply: unknown = operation.reply.read(new Reader(output));
    if (operation.kind === 'read' && !this.isBehind) this.#upkeep(this.#upkeepKeys);
    return { reply, seq, dependsOn, requestBytes: input.length, replyBytes: output.length };
  }

  /** What a read left to do, as a change of its own. */
  #upkeep(keys: readonly Uint8Array[]): void {
    if (keys.length === 0 || this.service.upkeep === undefined) return;
    const { context, finish } = this.#context('upkeep');
    this.service.upkeep(this.state as never, keys, context);
    finish();
  }

  /** All steps of removing what is over at this time; gives how many entries that were. */
  expireAll(): number {
    const { wallMs } = this;
    let removed = 0;
    for (let step = -1; step !== 0 && this.service.expire !== undefined; removed += step) {
      // Each step moves the clock on: a later one would remove what ends a millisecond later.
      this.wallMs = wallMs;
      const { context, finish } = this.#context('expire');
      step = this.service.expire(this.state as never, context);
      finish();
    }
    return removed;
  }

  evict(keys: readonly Uint8Array[]): void {
    const { context, finish } = this.#context('evict');
    this.service.evict?.(this.state as never, keys, context);
    finish();
  }

  /** One step; returns the next cursor. */
  purge(cursor: number, horizon: PurgeHorizon): number {
    if (this.service.purge === undefined) return -1;
    const { context, finish } = this.#context('purge');
    const next = this.service.purge(this.state as never, cursor, horizon, context);
    finish();
    return next;
  }

  /** What it does by itself at this time; `isGone`: all sessions are dead. */
  tend(isGone = false): void {
    const { context, finish } = this.#context('tend');
    this.service.tend?.(this.state as never, { isGone: () => isGone }, context);
    finish();
  }

  /** A change that no call makes. */
  own(change: (context: OperationContext) => void): void {
    const { context, finish } = this.#context('a change of its own');
    change(context);
    finish();
  }

  /** All steps. */
  purgeAll(horizon: PurgeHorizon = { seq: this.seq, ms: Number.POSITIVE_INFINITY }): void {
    for (let cursor = 0; cursor >= 0; ) cursor = this.purge(cursor, horizon);
  }

  /** The same contents under another primary, from here on: a side of a split. */
  fork(actor: Actor): Primary {
    const side = new Primary(this.service, this.name);
    for (const entry of this.log) side.apply(entry);
    side.log.push(...this.log);
    side.seq = this.seq;
    side.wallMs = this.wallMs;
    side.versions = this.versions;
    side.actor = actor;
    side.options = this.options;
    side.#functions = this.#functions;
    return side;
  }

  /** What this side changed after a position, in pages. */
  changes(since: MergeSince, maxBytes = 1_000_000): Buffer[] {
    const pages: Buffer[] = [];
    for (let cursor = 0; cursor >= 0; ) {
      const out = new Writer();
      cursor = this.state.changes(cursor, since, maxBytes, out);
      if (out.length > 0) pages.push(out.toBytes());
    }
    return pages;
  }

  /** Merges a page into this side, as positions of its own; tells what became of its records. */
  merge(page: Uint8Array, options: Pick<MergeContext, 'sharedSeq'> & Partial<MergeContext>): Merged {
    const told: Merged = { merged: 0, discarded: [], resurrected: [], failed: [] };
    const frame = Buffer.from(page);
    const records = new Reader(frame);
    do {
      const { context, finish } = this.#context('merge');
      this.service.merge(this.state as never, records, {
        policy: 'LatestUpdate',
        functions: new MergeFunctions(new ValueCodec()),
        operation: context,
        merged: (count) => {
          told.merged += count;
        },
        discarded: (entry) => void told.discarded.push(entry),
        standing: [],
        repeated: [],
        resurrected: (key) => void told.resurrected.push(key),
        failed: (key, reason) => void told.failed.push({ key, reason }),
        ...options,
      });
      finish();
    } while (records.remaining > 0);
    frame.fill(SCRIBBLE);
    return told;
  }

  /** Takes over what another replica wrote of some hashes at a position; this one is at it. */
  mend(hashes: readonly number[], records: Uint8Array, seq: number): number {
    const frame = Buffer.from(records);
    const repaired = this.state.digested?.mend(hashes, new Reader(frame), seq, true) ?? 0;
    frame.fill(SCRIBBLE);
    return repaired;
  }

  copy(cursor: number, maxBytes: number): { chunk: Buffer; next: number } {
    const out = new Writer();
    const next = this.state.copy(cursor, maxBytes, out);
    return { chunk: out.toBytes(), next };
  }

  #context(what: string): { context: OperationContext; finish: () => { seq: number; dependsOn: number } } {
    const last = this.seq;
    const delta = new Writer();
    let changed = false;
    let dependsOn = 0;
    const now = () => this.nowMs;
    const functions = () => this.functions;
    const context: OperationContext = {
      seq: last + 1,
      wallMs: this.wallMs++,
      get nowMs() {
        return now();
      },
      version: () => this.#version(),
      observe: ({ ms, counter }) => {
        this.versions = Math.max(this.versions, (ms - START_MS) * 4 + counter);
      },
      actor: this.actor,
      call: this.call ?? { client: this.actor.lineage, sequence: last + 1 },
      options: this.options,
      delta: () => {
        changed = true;
        return delta;
      },
      wait: () => false,
      client: this.client,
      lockOwner: this.lockOwner,
      waitFor: () => false,
      wake: () => {},
      endsIn: () => {},
      dependsOn: (seq) => {
        if (seq > last) throw new Error(`${what} depends on ${seq}, and the last position is ${last}`);
        dependsOn = Math.max(dependsOn, seq);
      },
      store: this.store,
      touched: () => {},
      goodFor: (ms) => {
        this.goodForMs = Math.min(this.goodForMs, ms);
      },
      isBehind: this.isBehind,
      leadsSinceMs: this.leadsSinceMs,
      mayBeElsewhere: this.mayBeElsewhere,
      undecided: () => {
        this.isUndecided = true;
      },
      upkeep: (key) => this.#upkeepKeys.push(Buffer.from(key)),
      crowded: () => {
        this.isCrowded = true;
      },
      structures: () => [],
      get functions() {
        return functions();
      },
    };
    const finish = () => {
      if (!changed) return { seq: 0, dependsOn };
      this.seq = last + 1;
      this.log.push({ seq: this.seq, delta: delta.toBytes() });
      return { seq: this.seq, dependsOn };
    };
    return { context, finish };
  }

  #version(): Version {
    const count = ++this.versions;
    return {
      ms: START_MS + (count >> 2),
      counter: count & 3,
      memberHi: this.actor.memberHi,
      memberLo: this.actor.memberLo,
    };
  }
}

/** Of a service that is not in the list, those of a map. */
function defaultOptions(service: Service): StructureOptions {
  const present = DEFAULTS.get(service);
  if (present !== undefined) return present;
  const module = SERVICES.find((one) => one.service === service) ?? SERVICES[0];
  const options = module.options.parse({});
  DEFAULTS.set(service, options);
  return options;
}

/** Parsing takes longer than most of what is done with the options. */
const DEFAULTS = new Map<Service, StructureOptions>();

function framed(write: (out: Writer) => void): Buffer {
  const out = new Writer();
  write(out);
  return out.toBytes();
}
