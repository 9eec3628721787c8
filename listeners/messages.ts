/** What whoever listens asks members, and what members tell them. Numbers 120..129. */
import { EVENT_KINDS, eventPlaceField } from '../partitions/events/event.js';
import { GAP_REASONS } from '../partitions/events/listening.js';
import { epochNameField } from '../partitions/history.js';
import { MAX_LISTED_PARTITIONS, MAX_STRUCTURE_NAME_BYTES } from '../partitions/limits.js';
import { predicateField } from '../partitions/query/predicate-codec.js';
import {
  bool,
  bytes,
  count,
  list,
  oneOf,
  optional,
  record,
  text,
  u8,
  u16,
  u32,
  uuid,
} from '../src/wire/fields.js';
import { MAX_KEY_BYTES } from '../src/wire/keys.js';
import { defineMessage } from '../src/wire/message.js';
import { MAX_VALUE_BYTES } from '../src/wire/values.js';

/** Listeners of one process. */
export const MAX_LISTENERS = 4_096;
/** Lineages that a listener has left, and may come back to. */
export const MAX_LEFT = 8;
/** Events in one message. */
export const MAX_TOLD = 4_096;

export const listen = defineMessage({
  id: 120,
  name: 'listen',
  doc: 'Asks a member to tell of the changes of a structure, in those partitions of the list that it leads; every member of the view keeps events for whoever has said so. Sent again with other partitions it adds them. The client in the header is the session of whoever listens.',
  fields: {
    /** The member that is asked: another one passes the message on. */
    to: uuid,
    /** Chosen by the sender: a new one makes void what the member had under way for it. */
    round: u32,
    /** Number of the listener, chosen by the sender. */
    listener: u32,
    service: u8,
    structure: text(MAX_STRUCTURE_NAME_BYTES),
    /** Bit i for kind i of the list of kinds of events. */
    kinds: u16,
    withValue: bool,
    key: optional(bytes(MAX_KEY_BYTES)),
    /** Only of entries that match before or after the change. */
    predicate: optional(predicateField),
    /** Where to go on; no place: with what changes from now on. `left`: up to where it was told of other lineages before. */
    partitions: list(
      record({
        partition: u16,
        /** In which it leads, as far as the sender knows; in another one it does not answer. */
        epoch: epochNameField,
        place: optional(eventPlaceField),
        left: list(eventPlaceField, MAX_LEFT),
      }),
      MAX_LISTED_PARTITIONS,
    ),
  },
});

export const unlisten = defineMessage({
  id: 121,
  name: 'unlisten',
  doc: 'Nothing is to be told to this listener any more.',
  fields: { to: uuid, listener: u32 },
});

export const heard = defineMessage({
  id: 122,
  name: 'heard',
  doc: 'All messages of the round below this number have arrived; more may be sent. Renews what the sender listens to.',
  fields: {
    to: uuid,
    round: u32,
    below: u32,
    /** An answer is wanted. */
    asks: bool,
  },
});

export const listening = defineMessage({
  id: 123,
  name: 'listening',
  doc: 'Answer to listen: the member keeps events for the listener from now on, or has no room for it.',
  fields: { member: uuid, round: u32, listener: u32, refused: bool },
});

export const told = defineMessage({
  id: 124,
  name: 'told',
  doc: 'Answer to heard: how many messages the member has sent in its round; none when it does not know who asks.',
  fields: { member: uuid, round: u32, below: u32, known: bool },
});

const event = record({
  kind: oneOf(EVENT_KINDS),
  lineage: u32,
  epoch: u32,
  seq: count,
  index: u32,
  key: bytes(MAX_KEY_BYTES),
  value: optional(bytes(MAX_VALUE_BYTES + 1)),
  old: optional(bytes(MAX_VALUE_BYTES + 1)),
  entries: u32,
});

export const events = defineMessage({
  id: 125,
  name: 'events',
  doc: 'Tells a listener what has changed, by partition: numbered without a gap in a round, each partition from the place on up to which it was told before.',
  fields: {
    member: uuid,
    round: u32,
    number: u32,
    listener: u32,
    parts: list(
      record({
        partition: u16,
        /** In which the member leads: whoever knows that it leads in another one has asked, or will, in that one. */
        epoch: epochNameField,
        /** begin: nothing was told before; on: from `before` on; gap: between `before` and `through` events may be missing. */
        what: oneOf(['begin', 'on', 'gap'] as const),
        reason: optional(oneOf(GAP_REASONS)),
        before: optional(eventPlaceField),
        /** Told with these events. With a gap: where they begin to be without one, when there are none. */
        through: eventPlaceField,
        events: list(event, MAX_TOLD),
      }),
      MAX_LISTED_PARTITIONS,
    ),
  },
});
