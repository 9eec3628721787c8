/**
 * An invoker without a grid: each request is handled at once by the primary of its partition, here. It records what
 * was sent, can refuse calls, and can hold replies back for a turn to let calls overlap.
 */

import { Scheduler, SimClock } from '../../chaos/sim/virtual-clock.js';
import type { AnswerPlace } from '../../partitions/call.js';
import type { CallOptions, Invoker, RequestOptions } from '../../partitions/invoker.js';
import type { StructureOptions } from '../../partitions/service.js';
import { SERVICES } from '../../partitions/services/index.js';
import type { AnyOperation, OperationDef } from '../../src/wire/message.js';
import { ValueCodec } from '../../src/wire/values.js';
import { someFunctions } from './functions.js';
import { Primary } from './partition-harness.js';

export interface Sent {
  readonly operation: string;
  readonly partition: number;
  readonly requestBytes: number;
  readonly replyBytes: number;
  readonly options: CallOptions;
}

export class InMemoryInvoker implements Invoker {
  readonly client = 1;
  readonly fansOut = true;
  readonly scheduler = new Scheduler();
  readonly clock = new SimClock(this.scheduler, 'test');
  readonly partitionCount: number;
  readonly codec = new ValueCodec();
  readonly sent: Sent[] = [];
  /** Names of the operations that several partitions were asked for together. */
  readonly fannedOut: string[] = [];
  readonly primaries = new Map<string, Primary>();
  /** Of all primaries. */
  readonly functions = someFunctions();
  /** What to refuse a call with, before it is handled. */
  refuse: (operation: AnyOperation, partition: number) => unknown = () => undefined;
  /** Of structures that are used for the first time from now on; left out: the defaults. */
  structureOptions: StructureOptions | undefined;
  /** Replies come in a later turn. */
  isSlow = false;
  /** Replies come when it has resolved. */
  held: Promise<void> | null = null;
  listening: Invoker['listening'];
  mostInFlight = 0;
  #inFlight = 0;
  #tokens = 0;

  constructor(partitionCount = 7) {
    this.partitionCount = partitionCount;
  }

  nextToken(): number {
    return ++this.#tokens;
  }

  whenClosed(): () => void {
    return () => {};
  }

  bounded(options: RequestOptions): RequestOptions {
    const deadlineMs = this.clock.now() + (options.timeoutMs ?? 10_000);
    return { ...options, deadlineMs: options.deadlineMs ?? deadlineMs };
  }

  invoke<Q, P, R>(
    operation: OperationDef<Q, P>,
    partition: number,
    structure: string,
    request: Q,
    options: CallOptions,
    decode: (reply: P, place: AnswerPlace | null) => R,
  ): Promise<R> {
    const refusal = this.refuse(operation, partition);
    if (refusal !== undefined) return Promise.reject(refusal);
    const outcome = this.primary(operation, partition, structure).run(operation, request);
    const { requestBytes, replyBytes } = outcome;
    this.sent.push({ operation: operation.name, partition, requestBytes, replyBytes, options });
    const result = decode(outcome.reply as P, null);
    this.#inFlight++;
    this.mostInFlight = Math.max(this.mostInFlight, this.#inFlight);
    const slowly = () => new Promise<void>((done) => setImmediate(done));
    const answered = this.held ?? (this.isSlow ? slowly() : Promise.resolve());
    return answered.then(() => {
      this.#inFlight--;
      return result;
    });
  }

  async invokeEach<Q, P>(
    operation: OperationDef<Q, P>,
    partitions: readonly number[],
    structure: string,
    request: Q,
    options: CallOptions,
    take: (reply: P, partitions: readonly number[]) => boolean,
  ): Promise<void> {
    this.fannedOut.push(operation.name);
    await new Promise<void>((resolve, reject) => {
      const each = partitions.map((partition) =>
        this.invoke(operation, partition, structure, request, options, (reply) => {
          if (take(reply, [partition])) resolve();
        }),
      );
      Promise.all(each).then(() => resolve(), reject);
    });
  }

  primary(operation: AnyOperation, partition: number, structure: string): Primary {
    const service = SERVICES.map((module) => module.service).find(({ operations }) =>
      operations.includes(operation),
    );
    if (service === undefined) throw new Error(`no structure has the operation ${operation.name}`);
    if (!Number.isInteger(partition) || partition < 0 || partition >= this.partitionCount) {
      throw new Error(`no partition ${partition}`);
    }
    const key = `${service.name}/${structure}/${partition}`;
    let primary = this.primaries.get(key);
    if (primary === undefined) {
      primary = new Primary(service, structure);
      primary.functions = this.functions;
      if (this.structureOptions !== undefined) primary.options = this.structureOptions;
      this.primaries.set(key, primary);
    }
    return primary;
  }

  count(operation: string): number {
    return this.sent.filter((sent) => sent.operation === operation).length;
  }
}
