/**
 * The requests of one structure that is in one partition as a whole, with one set of options. Called by the proxies of queue,
 * topic and atomic long.
 */
import { encodeKey } from '../../src/wire/keys.js';
import type { OperationDef } from '../../src/wire/message.js';
import { murmur3, partitionOf } from '../hash.js';
import type { Invoker, RequestOptions } from '../invoker.js';

export class NamedRequests {
  readonly name: string;
  readonly invoker: Invoker;
  readonly options: RequestOptions;
  readonly #hash: number;

  constructor(name: string, invoker: Invoker, options: RequestOptions) {
    this.name = name;
    this.invoker = invoker;
    this.options = options;
    this.#hash = murmur3(encodeKey(name));
  }

  /** Of a grid with so many partitions. */
  readonly partitionOf = (partitionCount: number): number => partitionOf(this.#hash, partitionCount);

  /** What `request` throws rejects, and nothing is sent. */
  send<Q, P, R>(
    operation: OperationDef<Q, P>,
    request: () => Q,
    decode: (reply: P) => R,
    options: RequestOptions = this.options,
  ): Promise<R> {
    const { invoker, name } = this;
    try {
      const partition = this.partitionOf(invoker.partitionCount);
      return invoker.invoke(operation, partition, name, request(), options, decode);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** The same, for a method that has another name than the operation. */
  sendAs<Q, P, R>(
    calledAs: string,
    operation: OperationDef<Q, P>,
    request: () => Q,
    decode: (reply: P) => R,
  ): Promise<R> {
    return this.send(operation, request, decode, { ...this.options, calledAs });
  }
}
