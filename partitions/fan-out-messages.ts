/**
 * One read in several partitions of a member: what a query asks of all partitions goes to each member once, instead of once for
 * each of its partitions. Answered call by call, so that what holds for one read in one partition holds here. Sent by the calls
 * of a client, run by the executor. Numbers 36 to 38.
 */
import { ProtocolError } from '../src/base/errors.js';
import { count, type Field, list, mapped, optional, record, u16 } from '../src/wire/fields.js';
import { defineMessage } from '../src/wire/message.js';
import { placeField } from './history.js';

/** Partitions of one message. */
export const MAX_FAN_OUT = 512;

/** Calls, each once. */
function eachOnce<T>(items: Field<readonly T[]>, numberOf: (item: T) => number): Field<readonly T[]> {
  const asGiven = (given: readonly T[]) => given;
  return mapped(items, `ascending ${items.type}`, asGiven, (read) => {
    for (let i = 1; i < read.length; i++)
      if (numberOf(read[i] as T) <= numberOf(read[i - 1] as T))
        throw new ProtocolError('calls of a fanOut that are not in the order of their numbers');
    return read;
  });
}

const sequences = eachOnce(list(count, MAX_FAN_OUT), (sequence) => sequence);

export const fanOut = defineMessage({
  id: 36,
  name: 'fanOut',
  doc: 'The calls of one read in several partitions, each run and answered as if it had come alone, with its partition and sequence. The prefix and the request of all of them follow these fields.',
  fields: {
    /** Number of the operation. */
    operation: u16,
    /** `atLeast` as in the prefix, which has none. */
    calls: eachOnce(
      list(record({ partition: u16, sequence: count, atLeast: optional(placeField) }), MAX_FAN_OUT),
      ({ sequence }) => sequence,
    ),
  },
});

export const fanOutReply = defineMessage({
  id: 37,
  name: 'fanOutReply',
  doc: 'The answers to these calls of a fanOut, joined to one: the reply of the operation follows these fields. Calls whose answers cannot be joined are answered by messages of their own.',
  fields: { sequences },
});

export const fanOutRest = defineMessage({
  id: 38,
  name: 'fanOutRest',
  doc: 'Answer to a fanOut: these of its calls were not run, because those before them took as long as a member stays with one message. They are to be sent again.',
  fields: { sequences },
});
