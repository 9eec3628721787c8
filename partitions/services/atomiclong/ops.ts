/**
 * The operations of an atomic long, each once: number, fields and what it does. Values wrap modulo 2^64. Members
 * handle them (`service.ts`), proxies send them (`proxy.ts`), the protocol page lists them.
 */
import { bool, i64, optional } from '../../../src/wire/fields.js';
import { operationsOf } from '../../../src/wire/message.js';
import { functionName, value } from '../keyed-ops.js';

const operation = operationsOf('atomicLong', 2);

/** A function and what it gets beside the value. */
const applied = { function: functionName, argument: optional(value) };

export const ATOMIC_LONG_OPERATIONS = {
  get: operation({
    index: 1,
    name: 'get',
    kind: 'read',
    doc: 'The value; 0 before the first write.',
    request: {},
    reply: { value: i64 },
  }),
  set: operation({
    index: 2,
    name: 'set',
    kind: 'write',
    doc: 'Sets the value.',
    request: { value: i64 },
    reply: {},
  }),
  getAndSet: operation({
    index: 3,
    name: 'getAndSet',
    kind: 'write',
    doc: 'Sets the value and answers with the old one.',
    request: { value: i64 },
    reply: { value: i64 },
  }),
  getAndAdd: operation({
    index: 4,
    name: 'getAndAdd',
    kind: 'write',
    doc: 'Adds to the value and answers with the old one.',
    request: { delta: i64 },
    reply: { value: i64 },
  }),
  compareAndSet: operation({
    index: 5,
    name: 'compareAndSet',
    kind: 'write',
    doc: 'Sets the value if it is the expected one.',
    request: { expected: i64, value: i64 },
    reply: { changed: bool },
  }),
  destroy: operation({
    index: 6,
    name: 'destroy',
    kind: 'write',
    doc: 'Sets the value back to 0 and frees its memory after a while.',
    request: {},
    reply: {},
  }),
  alter: operation({
    index: 7,
    name: 'alter',
    kind: 'write',
    doc: 'Sets the value to what a registered function makes of it; answers with both.',
    request: applied,
    reply: { before: i64, after: i64 },
  }),
  apply: operation({
    index: 8,
    name: 'apply',
    kind: 'read',
    doc: 'What a registered function makes of the value, which stays as it is.',
    request: applied,
    reply: { value: i64 },
  }),
};
