/**
 * The operations of all structures by their numbers, each with its service and its handler, and what a message asks for of one.
 * Owned by the executor.
 */
import type { Reader } from '../src/base/bytes.js';
import type { AnyOperation } from '../src/wire/message.js';
import { type CallPrefix, readPrefix } from './call.js';
import type { Handler, Service, ServiceState } from './service.js';

export interface Bound {
  readonly service: Service;
  readonly operation: AnyOperation;
  readonly handler: Handler<ServiceState>;
  /** The reply has fields, so that remembering it takes memory. */
  readonly hasReply: boolean;
}

/** Throws when an operation has no handler. */
export function bindOperations(services: Iterable<Service>): ReadonlyMap<number, Bound> {
  const operations = new Map<number, Bound>();
  for (const service of services) {
    for (const operation of service.operations) {
      const handler = service.handlers[operation.name.slice(service.name.length + 1)];
      if (handler === undefined) throw new Error(`${operation.name} has no handler`);
      operations.set(operation.id, {
        service,
        operation,
        handler: handler as Handler<ServiceState>,
        hasReply: Object.keys(operation.reply.fields).length > 0,
      });
    }
  }
  return operations;
}

/** What a message asks for, decoded. */
export interface Asked {
  readonly bound: Bound;
  readonly prefix: CallPrefix;
  readonly request: unknown;
  readonly requestBytes: number;
}

/** The reader stands behind the header. `waitedMs`: it was read for the first time so long ago. */
export function asked(bound: Bound, reader: Reader, waitedMs: number): Asked {
  const prefix = readPrefix(reader, waitedMs);
  const requestBytes = reader.remaining;
  const request = bound.operation.request.read(reader);
  reader.finish();
  return { bound, prefix, request, requestBytes };
}
