/**
 * Messages between members about membership and views. Numbers 16..63.
 */
import {
  bool,
  count,
  type Field,
  f64,
  list,
  optional,
  record,
  text,
  u16,
  u32,
  uuid,
} from '../wire/fields.js';
import { defineMessage } from '../wire/message.js';
import type { Ballot } from './chain.js';
import { MAX_MEMBERS, MAX_PARTITIONS, structureRow, viewField } from './view.js';

const ballot: Field<Ballot> = record({ round: u32, member: uuid });

export const heartbeat = defineMessage({
  id: 16,
  name: 'heartbeat',
  doc: 'Sent to every member of the view and to joiners at each interval; lists whom the sender hears.',
  lane: 'control',
  fields: {
    /** The sender's monotonic clock. */
    sentMs: f64,
    leaving: bool,
    hears: list(uuid, MAX_MEMBERS),
  },
});

export const join = defineMessage({
  id: 17,
  name: 'join',
  doc: 'A process that is in no view asks to be admitted; repeated at each interval until a view names it.',
  lane: 'control',
  fields: {
    address: text(256),
    partitionCount: u16,
    structures: list(structureRow, 10_000),
    /** View that the joiner was last in, 0 when it is new: it may still hold replicas of that time. */
    lastView: count,
  },
});

export const seekCluster = defineMessage({
  id: 18,
  name: 'seekCluster',
  doc: 'Asks a process at a join address for its view, or whether it is looking for a cluster itself.',
  lane: 'control',
  fields: { address: text(256), mayFound: bool },
});

export const seeking = defineMessage({
  id: 19,
  name: 'seeking',
  doc: 'Answer to seekCluster of a process that is in no view.',
  lane: 'control',
  fields: {
    address: text(256),
    /** False for a process that was in a cluster before: it waits for that one, or for another to take it in. */
    mayFound: bool,
  },
});

export const viewMessage = defineMessage({
  id: 20,
  name: 'view',
  doc: 'A view that was chosen. Sent to the members of it and of the one before, to clients, and to whoever asks.',
  lane: 'control',
  fields: { view: viewField },
});

export const viewRequest = defineMessage({
  id: 21,
  name: 'viewRequest',
  doc: 'Asks for the newest view; sent by whoever hears of a newer one than its own.',
  lane: 'control',
  fields: { have: u32 },
});

export const goodbye = defineMessage({
  id: 22,
  name: 'goodbye',
  doc: 'The sender ends its process now.',
  lane: 'control',
  fields: {},
});

export const prepare = defineMessage({
  id: 24,
  name: 'prepare',
  doc: 'Paxos, phase 1: asks an acceptor to promise a ballot for view `number`.',
  lane: 'control',
  fields: { number: u32, ballot },
});

export const promise = defineMessage({
  id: 25,
  name: 'promise',
  doc: 'Paxos, phase 1: the promise, with the vote that the acceptor has cast, if any.',
  lane: 'control',
  fields: { number: u32, ballot, accepted: optional(record({ ballot, value: viewField })) },
});

export const accept = defineMessage({
  id: 26,
  name: 'accept',
  doc: 'Paxos, phase 2: asks an acceptor to vote for a view.',
  lane: 'control',
  fields: { number: u32, ballot, value: viewField },
});

export const accepted = defineMessage({
  id: 27,
  name: 'accepted',
  doc: 'Paxos, phase 2: the vote was cast.',
  lane: 'control',
  fields: { number: u32, ballot },
});

export const refused = defineMessage({
  id: 28,
  name: 'refused',
  doc: 'Paxos: the ballot was refused because a higher one was promised.',
  lane: 'control',
  fields: { number: u32, ballot, higher: ballot },
});

/** State of the partitions of one primary that the next view depends on; valid for the view in the header. */
export const partitionReport = defineMessage({
  id: 32,
  name: 'partitionReport',
  doc: 'A primary tells all members which partitions are settled and which replicas became complete or fell behind.',
  lane: 'control',
  fields: {
    settled: list(u16, MAX_PARTITIONS),
    ready: list(record({ partition: u16, member: uuid }), MAX_PARTITIONS * 8),
    behind: list(record({ partition: u16, member: uuid }), MAX_PARTITIONS * 8),
  },
});
