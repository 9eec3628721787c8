/**
 * One structure in one partition, run as the grid runs it but without one: requests and replies go through their
 * codecs, deltas into a log. Frames are overwritten after use, so that a view that outlives its frame shows.
 */

import type {
  Actor,
  Handler,
  OperationContext,
  PurgeHorizon,
  Service,
  ServiceState,
  Version,
} from '../../partitions/service.js';
import { Slab } from '../../partitions/store/slab.js';
import { Reader, Writer } from '../../src/base/bytes.js';
import type { AnyOperation } from '../../src/wire/message.js';

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

export class Replica {
  readonly slab = new Slab();
  readonly state: ServiceState;

  constructor(service: Service, name = 'x') {
    this.state = service.createState({ slab: this.slab, name });
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
  readonly log: LogEntry[] = [];
  seq = 0;
  wallMs = START_MS;
  /** Who leads the partition; a takeover gives another one. */
  actor: Actor = { memberHi: 0xfedcba98, memberLo: 0x76543210, lineage: 1, epoch: 1 };
  #versions = 0;

  constructor(service: Service, name = 'x') {
    super(service, name);
    this.service = service;
  }

  /** Runs an operation; throws when it breaks a rule that holds for all. */
  run(operation: AnyOperation, request: unknown): Outcome {
    const input = framed((out) => operation.request.write(out, request));
    const name = operation.name.slice(this.service.name.length + 1);
    const handler = this.service.handlers[name] as Handler<ServiceState>;
    const { context, finish } = this.#context(operation.name);
    const body = operation.request.read(new Reader(input));
    const output = framed((out) => operation.reply.write(out, handler(this.state, body as never, context)));
    input.fill(SCRIBBLE);
    const { seq, dependsOn } = finish();
    if (seq > 0 && operation.kind === 'read')
      throw new Error(`${operation.name} is a read and recorded a delta`);
    const reply: unknown = operation.reply.read(new Reader(output));
    return { reply, seq, dependsOn, requestBytes: input.length, replyBytes: output.length };
  }

  /** One step; returns the next cursor. */
  purge(cursor: number, horizon: PurgeHorizon): number {
    if (this.service.purge === undefined) return -1;
    const { context, finish } = this.#context('purge');
    const next = this.service.purge(this.state as never, cursor, horizon, context);
    finish();
    return next;
  }

  /** All steps. */
  purgeAll(horizon: PurgeHorizon = { seq: this.seq, ms: Number.POSITIVE_INFINITY }): void {
    for (let cursor = 0; cursor >= 0; ) cursor = this.purge(cursor, horizon);
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
    const context: OperationContext = {
      seq: last + 1,
      wallMs: this.wallMs++,
      version: () => this.#version(),
      observe: ({ ms, counter }) => {
        this.#versions = Math.max(this.#versions, (ms - START_MS) * 4 + counter);
      },
      actor: this.actor,
      delta: () => {
        changed = true;
        return delta;
      },
      dependsOn: (seq) => {
        if (seq > last) throw new Error(`${what} depends on ${seq}, and the last position is ${last}`);
        dependsOn = Math.max(dependsOn, seq);
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
    const count = ++this.#versions;
    return {
      ms: START_MS + (count >> 2),
      counter: count & 3,
      memberHi: this.actor.memberHi,
      memberLo: this.actor.memberLo,
    };
  }
}

function framed(write: (out: Writer) => void): Buffer {
  const out = new Writer();
  write(out);
  return out.toBytes();
}
