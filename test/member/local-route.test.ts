/** What becomes of a call from another member that ends with a fault of this one. */
import { expect, it } from 'vitest';
import type { ReplySink } from '../../partitions/call.js';
import type { Executor } from '../../partitions/executor.js';
import { Reader } from '../../src/base/bytes.js';
import { ProtocolError } from '../../src/base/errors.js';
import { dispatchMemberCall } from '../../src/member/local-route.js';
import { Header } from '../../src/wire/frame.js';

it.each([
  [new ProtocolError('cut off'), ['Protocol']],
  [new TypeError('a fault'), ['broke a fault']],
])('fails alone with %s, and leaves the connection as it is', (error, expected) => {
  const told: string[] = [];
  const executor = {
    knows: () => true,
    execute() {
      throw error;
    },
    broke: (_header: Header, _sink: ReplySink, thrown: Error) => told.push(`broke ${thrown.message}`),
  };
  const sink = {
    isOpen: true,
    isFull: false,
    reply() {},
    resolved() {},
    joined() {},
    rest() {},
    fail: (_: unknown, name: string) => told.push(name),
  };
  const reader = new Reader(Buffer.alloc(4));
  expect(dispatchMemberCall(executor as unknown as Executor, new Header(), reader, sink as ReplySink)).toBe(
    true,
  );
  expect(told).toEqual(expected);
});
