/**
 * The operations of a queue, each once: number, fields and what it does. Items travel as the bytes that the caller's
 * codec made; equality is that of bytes. Members handle them (`service.ts`), proxies send them (`proxy.ts`), the
 * protocol page lists them.
 */
import { bool, bytes, count, list, optional, record, text, u16, u32 } from '../../../src/wire/fields.js';
import { operationsOf } from '../../../src/wire/message.js';
import { MAX_VALUE_BYTES } from '../../../src/wire/values.js';
import { MAX_STRUCTURE_NAME_BYTES } from '../../limits.js';

/** Most items of one request, and of one reply. */
export const MAX_ITEMS = 4096;

const operation = operationsOf('queue', 3);
/** With the byte that says its format. */
const item = bytes(MAX_VALUE_BYTES + 1);
const items = list(item, MAX_ITEMS);
/** How long the call may wait at the primary, since it was made. */
const waitMs = count;

/** Where a listing goes on: behind this item. */
const place = record({ ms: count, counter: u16, memberHi: u32, memberLo: u32 });

/** Names an item, and its place. */
const name = record({
  memberHi: u32,
  memberLo: u32,
  lineage: u32,
  epoch: u32,
  ordinal: count,
  ms: count,
  counter: u16,
});
/** Names a hand-out: where in which history it was made. */
const fence = record({ lineage: u32, epoch: u32, seq: count });
const delivery = record({ item, name, fence, deliveries: u32 });
const isCurrent = { isCurrent: bool };

export const QUEUE_OPERATIONS = {
  offer: operation({
    index: 1,
    name: 'offer',
    kind: 'write',
    doc: 'Puts an item at the tail unless the queue is full; waits for room.',
    request: { item, waitMs },
    reply: { accepted: bool },
  }),
  addAll: operation({
    index: 2,
    name: 'addAll',
    kind: 'write',
    doc: 'Puts items at the tail in their order: all of them, or none when they do not fit.',
    request: { items },
    reply: { accepted: bool },
  }),
  poll: operation({
    index: 3,
    name: 'poll',
    kind: 'write',
    doc: 'Takes the item at the head; waits for one.',
    request: { waitMs },
    reply: { item: optional(item) },
  }),
  drain: operation({
    index: 4,
    name: 'drain',
    kind: 'write',
    doc: 'Takes so many items from the head, or fewer when they are large or the queue has no more.',
    request: { max: u32 },
    reply: { items, left: count },
  }),
  peek: operation({
    index: 5,
    name: 'peek',
    kind: 'read',
    doc: 'The item at the head.',
    request: {},
    reply: { item: optional(item) },
  }),
  size: operation({
    index: 6,
    name: 'size',
    kind: 'read',
    doc: 'The number of items, how many there may be (0: any number), and how many are handed out and not acknowledged.',
    request: {},
    reply: { items: count, maxSize: count, inFlight: count },
  }),
  remove: operation({
    index: 7,
    name: 'remove',
    kind: 'write',
    doc: 'Removes the first item that equals this one.',
    request: { item },
    reply: { removed: bool },
  }),
  removeAll: operation({
    index: 8,
    name: 'removeAll',
    kind: 'write',
    doc: 'Removes every item that equals one of these.',
    request: { items },
    reply: { removed: count },
  }),
  retainAll: operation({
    index: 9,
    name: 'retainAll',
    kind: 'write',
    doc: 'Removes every item that equals none of these.',
    request: { items },
    reply: { removed: count },
  }),
  containsAll: operation({
    index: 10,
    name: 'containsAll',
    kind: 'read',
    doc: 'Whether each of these equals an item of the queue.',
    request: { items },
    reply: { found: bool },
  }),
  list: operation({
    index: 11,
    name: 'list',
    kind: 'read',
    doc: 'A page of the items in their order; the next one is behind the place in the reply.',
    request: { after: optional(place) },
    reply: { items, next: optional(place) },
  }),
  clear: operation({
    index: 12,
    name: 'clear',
    kind: 'write',
    doc: 'Removes all items, also those that are handed out.',
    request: {},
    reply: { removed: count },
  }),
  handOut: operation({
    index: 13,
    name: 'handOut',
    kind: 'write',
    doc: 'Hands out items from the head to a session: each comes back unless it is acknowledged within ackTimeoutMs. Waits for one.',
    request: { client: count, max: u32, ackTimeoutMs: u32, waitMs },
    reply: { deliveries: list(delivery, MAX_ITEMS) },
  }),
  acknowledge: operation({
    index: 14,
    name: 'acknowledge',
    kind: 'write',
    doc: 'Removes an item that is handed out under this fence, and under no later one.',
    request: { name, fence },
    reply: isCurrent,
  }),
  giveBack: operation({
    index: 15,
    name: 'giveBack',
    kind: 'write',
    doc: 'Puts an item that is handed out under this fence back to its place, after a while.',
    request: { name, fence, delayMs: u32 },
    reply: isCurrent,
  }),
  extend: operation({
    index: 16,
    name: 'extend',
    kind: 'write',
    doc: 'Gives whoever has an item under this fence so much time from now on.',
    request: { name, fence, ackTimeoutMs: u32 },
    reply: isCurrent,
  }),
  bury: operation({
    index: 17,
    name: 'bury',
    kind: 'write',
    doc: 'Puts an item that was handed out too often elsewhere into its dead-letter queue, once; not when that is full.',
    request: { from: text(MAX_STRUCTURE_NAME_BYTES), name, item },
    reply: { accepted: bool },
  }),
  buried: operation({
    index: 18,
    name: 'buried',
    kind: 'write',
    doc: 'Removes an item that is in the dead-letter queue by now.',
    request: { name },
    reply: {},
  }),
};
