/**
 * Messages of the connection itself: handshake, pieces of large messages, replies and failures of calls.
 * Numbers 1..15.
 */
import { bool, bytes, count, f64, oneOf, text, u8, u16, u32, uuid } from './fields.js';
import { defineMessage } from './message.js';

/** Most bytes of one piece of a large message, and of a message that travels whole. */
export const PIECE_BYTES = 256 * 1024;

export const piece = defineMessage({
  id: 1,
  name: 'piece',
  doc: 'A part of a message above 256 KiB; the receiver puts the parts together by transfer number.',
  fields: { transfer: u32, totalBytes: u32, offset: u32, part: bytes(PIECE_BYTES) },
});

export const hello = defineMessage({
  id: 2,
  name: 'hello',
  doc: 'First message of whoever dialled: who it is and what it speaks.',
  lane: 'control',
  fields: {
    clusterName: text(256),
    versionMin: u16,
    versionMax: u16,
    role: oneOf(['member', 'client'] as const),
    /** UUID of the member process or of the client session. */
    id: uuid,
    /** Advertised address of a member, empty for a client. */
    address: text(256),
    /** 0 for a client, which takes the cluster's. */
    partitionCount: u16,
    /** A client that talks to one member only, which then forwards. */
    singleMember: bool,
  },
});

export const welcome = defineMessage({
  id: 3,
  name: 'welcome',
  doc: 'The handshake is accepted; the version is the highest that both speak.',
  lane: 'control',
  fields: { version: u16, id: uuid, address: text(256), partitionCount: u16 },
});

export const refusal = defineMessage({
  id: 4,
  name: 'refusal',
  doc: 'The handshake is refused; the connection is closed after it.',
  lane: 'control',
  fields: { error: u16, message: text(2048) },
});

export const reply = defineMessage({
  id: 5,
  name: 'reply',
  doc: 'Answer to the call of the header; the body is the reply of its operation.',
  fields: {},
});

export const failure = defineMessage({
  id: 6,
  name: 'failure',
  doc: 'The call of the header was not done as asked; the error is a row of the registry. The view in the header is the one the sender knows.',
  fields: {
    error: u16,
    /** True when the call may have taken effect: the caller must not report it as not done. */
    maybeApplied: bool,
    message: text(2048),
  },
});

export const ping = defineMessage({
  id: 7,
  name: 'ping',
  doc: 'Sent by a client at intervals: it lives, has this view, and needs no reply any more of its calls below this sequence. Members send it for their embedded calls, and for clients that talk to them only.',
  lane: 'control',
  fields: {
    client: count,
    below: count,
    view: u32,
    /** The session is that of the embedded calls of the member that sends it. */
    embedded: bool,
  },
});

export const pong = defineMessage({
  id: 8,
  name: 'pong',
  doc: 'Answer to a ping.',
  lane: 'control',
  fields: {},
});

export const resolveCall = defineMessage({
  id: 9,
  name: 'resolveCall',
  doc: 'Asks what became of the call of the header. A call that was not applied is declared void and never will be.',
  fields: { service: u8, structure: text(240), below: count, ageMs: u32 },
});

export const resolvedCall = defineMessage({
  id: 10,
  name: 'resolvedCall',
  doc: 'Answer to resolveCall; the reply of the call follows when it was done.',
  fields: { outcome: oneOf(['done', 'not done', 'unknown'] as const), reply: bytes(17 * 1024 * 1024) },
});

export const pieceArrived = defineMessage({
  id: 11,
  name: 'pieceArrived',
  doc: 'Answer to each piece, on the same connection: the sender keeps few of them on their way, so that a heartbeat behind them is not late.',
  lane: 'control',
  fields: { transfer: u32, offset: u32 },
});

export const placedReply = defineMessage({
  id: 12,
  name: 'placedReply',
  doc: 'Answer to the call of the header, which asked where its answer comes from; the reply of its operation follows these fields.',
  fields: {
    source: oneOf(['primary', 'backup'] as const),
    /** The answer is at least as new as this long ago; Infinity when the backup does not know. */
    ageMs: f64,
    /** The position of the answer, with the lineage and epoch that it is of. */
    lineage: u32,
    epoch: u32,
    seq: count,
    /** The history in which it was answered. */
    sideLineage: u32,
    sideView: u32,
    /** What it shows ends by itself in so long; Infinity: when something changes. */
    goodForMs: f64,
  },
});

export const callerGone = defineMessage({
  id: 13,
  name: 'callerGone',
  doc: 'From a member that forwards: the client session of the header has no connection to it any more, so nothing must wait for it; if it has ended, nothing is its own any more.',
  fields: { ended: bool },
});
