/**
 * Messages between members about membership and views. Numbers 16..63.
 */
import { bool, type Field, f64, list, optional, record, text, u16, u32, uuid } from '../wire/fields.js';
import { defineMessage } from '../wire/message.js';
import type { Ballot } from './chain.js';
import type { Fences } from './lease.js';
import { toggleField } from './toggle.js';
import { MAX_MEMBERS, MAX_PARTITIONS, structureRow, viewField } from './view.js';

const fences: Field<Fences> = record({
  enteredMs: f64,
  removed: list(record({ member: uuid, ageMs: f64 }), MAX_MEMBERS),
});
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
    /** Where the sender is in the chain while it is in a fork; the header names the fork. */
    chain: optional(record({ lineage: u32, number: u32 })),
    /** The sender is in no view now: number of the last one that it was in, of the lineage of the header. */
    lastIn: optional(u32),
    /** What the view in the header promises about changed presets holds at the sender. */
    kept: bool,
  },
});

export const heartbeatAck = defineMessage({
  id: 23,
  name: 'heartbeatAck',
  doc: 'Answer to a heartbeat of the same view, from a member that has accepted no successor of it: helps the sender to its lease.',
  lane: 'control',
  fields: { lineage: u32, number: u32, sentMs: f64 },
});

export const join = defineMessage({
  id: 17,
  name: 'join',
  doc: 'A process that is in no view asks to be admitted; repeated at each interval until a view names it.',
  lane: 'control',
  fields: {
    /** Tag of the lineage that is asked. */
    lineage: u32,
    /** The lineage that the joiner comes from, which is taken in as a whole or not at all. */
    source: optional(record({ lineage: uuid, members: list(uuid, MAX_MEMBERS) })),
    address: text(256),
    partitionCount: u16,
    structures: list(structureRow, 10_000),
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
  fields: {
    view: viewField,
    /** From the proposer alone: what those that chose the view know of leases that have ended. */
    fences: optional(fences),
  },
});

export const viewRequest = defineMessage({
  id: 21,
  name: 'viewRequest',
  doc: 'Asks for the newest view; sent by whoever hears of a newer one than its own.',
  lane: 'control',
  fields: {
    /** Tag of the lineage, 0 for the one that the asked member is in. */
    lineage: u32,
    have: u32,
  },
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
  fields: { lineage: u32, number: u32, ballot },
});

export const promise = defineMessage({
  id: 25,
  name: 'promise',
  doc: 'Paxos, phase 1: the promise, with the vote that the acceptor has cast, if any.',
  lane: 'control',
  fields: { lineage: u32, number: u32, ballot, accepted: optional(record({ ballot, value: viewField })) },
});

export const accept = defineMessage({
  id: 26,
  name: 'accept',
  doc: 'Paxos, phase 2: asks an acceptor to vote for a view.',
  lane: 'control',
  fields: { lineage: u32, number: u32, ballot, value: viewField },
});

export const accepted = defineMessage({
  id: 27,
  name: 'accepted',
  doc: 'Paxos, phase 2: the vote was cast; with what the acceptor knows of leases.',
  lane: 'control',
  fields: { lineage: u32, number: u32, ballot, fences },
});

export const refused = defineMessage({
  id: 28,
  name: 'refused',
  doc: 'Paxos: the ballot was refused because a higher one was promised.',
  lane: 'control',
  fields: { lineage: u32, number: u32, ballot, higher: ballot },
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
    /** Their primary has served another lineage since: it needs an epoch of its own. */
    stale: list(u16, MAX_PARTITIONS),
  },
});

export const order = defineMessage({
  id: 33,
  name: 'order',
  doc: 'A person decided, at one member, which tells the others: that the cluster counts as founded by order, that members are dead for good, or that the contents of partitions are given up.',
  lane: 'control',
  fields: {
    lineage: u32,
    found: bool,
    dead: list(uuid, MAX_MEMBERS),
    acceptLoss: list(u16, MAX_PARTITIONS),
  },
});

export const toggleOrder = defineMessage({
  id: 34,
  name: 'toggleOrder',
  doc: 'A person ordered another preset, at the sender; repeated until a view has it. For the views that have counted `basis` such orders.',
  lane: 'control',
  fields: { lineage: u32, toggle: toggleField },
});
