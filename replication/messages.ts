/**
 * Messages between the primary of a partition and its other replicas: the stream, repair, levelling at a takeover,
 * and the copy of the contents to a new replica. Numbers 64..95. The partition is in the header.
 */
import { historyField } from '../partitions/history.js';
import { bool, bytes, count, f64, list, optional, record, text, u8, u16, u32 } from '../src/wire/fields.js';
import { defineMessage } from '../src/wire/message.js';

const MAX_ENTRY_BYTES = 40 * 1024 * 1024;

export const stream = defineMessage({
  id: 64,
  name: 'stream',
  doc: 'One position of the stream, from the primary to each other replica.',
  fields: {
    epoch: u32,
    seq: count,
    /** Every replica has the positions up to here. */
    trim: count,
    entry: bytes(MAX_ENTRY_BYTES),
  },
});

export const streamAck = defineMessage({
  id: 65,
  name: 'streamAck',
  doc: 'A replica has applied everything up to these positions; one message for all partitions of a turn.',
  lane: 'control',
  fields: { acks: list(record({ partition: u16, epoch: u32, seq: count }), 20_000) },
});

export const streamStart = defineMessage({
  id: 66,
  name: 'streamStart',
  doc: 'The primary of an epoch tells a replica where the epoch began and asks where the replica stands.',
  fields: { epoch: u32, history: historyField, seq: count },
});

export const streamState = defineMessage({
  id: 67,
  name: 'streamState',
  doc: 'Where a replica stands. A divergent one holds positions that are void and has to be copied anew.',
  fields: { epoch: u32, seq: count, divergent: bool },
});

export const repairRequest = defineMessage({
  id: 68,
  name: 'repairRequest',
  doc: 'A replica lacks the positions from `seq` on and asks the primary to send them again.',
  lane: 'control',
  fields: { epoch: u32, seq: count },
});

export const staleStream = defineMessage({
  id: 69,
  name: 'staleStream',
  doc: 'Refusal of a deposed primary by a member that knows a newer view (in the header).',
  lane: 'control',
  fields: { epoch: u32 },
});

export const levelRequest = defineMessage({
  id: 70,
  name: 'levelRequest',
  doc: 'A new primary asks a surviving replica for what it has beyond its own position. Answered only by a member that has adopted the view of the header, so that a former primary has stopped by then.',
  fields: { takeover: u32, epoch: u32, seq: count, history: historyField },
});

export const levelReply = defineMessage({
  id: 71,
  name: 'levelReply',
  doc: 'Position of a surviving replica, and entries of it that the new primary lacks.',
  fields: {
    /** The request that this answers: the epoch that the asker is about to begin, and where it stood. */
    takeover: u32,
    askedEpoch: u32,
    askedSeq: count,
    /** From the primary of exactly the view before: what is left of the time that it would have had to wait itself. */
    confirmMs: optional(f64),
    epoch: u32,
    seq: count,
    history: historyField,
    entries: list(record({ epoch: u32, seq: count, entry: bytes(MAX_ENTRY_BYTES) }), 100_000),
  },
});

export const streamTrim = defineMessage({
  id: 75,
  name: 'streamTrim',
  doc: 'Every replica has the positions up to `seq`: told when the stream rests, so that backups need not keep its tail.',
  lane: 'control',
  fields: { epoch: u32, seq: count },
});

export const migrateStart = defineMessage({
  id: 72,
  name: 'migrateStart',
  doc: 'Begins the copy of a partition to a new replica; the stream runs beside it from the position after `seq` on.',
  fields: { migration: u32, epoch: u32, history: historyField, seq: count, generation: count },
});

export const migrateChunk = defineMessage({
  id: 73,
  name: 'migrateChunk',
  doc: 'A part of the contents as of position `seq`: records of one structure, or session windows (service 0).',
  fields: {
    migration: u32,
    index: u32,
    seq: count,
    service: u8,
    structure: text(240),
    hlcMs: count,
    hlcCounter: u16,
    records: bytes(MAX_ENTRY_BYTES),
  },
});

export const migrateAck = defineMessage({
  id: 74,
  name: 'migrateAck',
  doc: 'The start (index 0) or a chunk of a copy has been applied.',
  lane: 'control',
  fields: { migration: u32, index: u32 },
});
