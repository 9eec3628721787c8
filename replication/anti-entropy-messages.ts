/**
 * Messages of anti-entropy, between the primary of a partition and one of its synced backups. Numbers 96..103. The
 * partition is in the header. They travel on the lane of the stream, so a backup that gets one is, as a rule, at the
 * very position that the message names; else it says so, and the primary asks again later.
 */
import { bool, bytes, count, list, record, text, u8, u16, u32 } from '../src/wire/fields.js';
import { defineMessage } from '../src/wire/message.js';

export const MAX_STRUCTURES = 256;
export const MAX_NODES = 512;
export const MAX_EXTRA = 64;
export const MAX_LISTED = 4096;
export const MAX_HASHES = 512;
const MAX_RECORDS_BYTES = 40 * 1024 * 1024;

const name = text(240);
/** Key hash and digest of one record. */
const listed = record({ hash: u32, lo: u32, hi: u32 });
const place = { task: u32, epoch: u32, seq: count } as const;

export const digestRoots = defineMessage({
  id: 96,
  name: 'digestRoots',
  doc: 'Digests of whole structures in the order of their numbers and names: all of the primary behind `after`, up to the last of the list, or to the end when `isLast`. An open one is there and compared in parts.',
  fields: {
    ...place,
    afterService: u8,
    afterStructure: name,
    isLast: bool,
    structures: list(
      record({ service: u8, structure: name, isOpen: bool, lo: u32, hi: u32 }),
      MAX_STRUCTURES,
    ),
  },
});

export const digestNodes = defineMessage({
  id: 97,
  name: 'digestNodes',
  doc: 'Digests of nodes of one structure: of the records whose key hash begins with the `depth` bits of the prefix.',
  fields: {
    ...place,
    service: u8,
    structure: name,
    depth: u8,
    nodes: list(record({ prefix: u32, lo: u32, hi: u32 }), MAX_NODES),
  },
});

export const digestDiffer = defineMessage({
  id: 98,
  name: 'digestDiffer',
  doc: 'Answer to digestRoots and digestNodes, by index: what differs, and what could not be compared within the time that may be spent. Extra are structures that the primary did not name.',
  fields: {
    task: u32,
    isLevel: bool,
    differing: list(u16, MAX_NODES),
    skipped: list(u16, MAX_NODES),
    extra: list(record({ service: u8, structure: name }), MAX_EXTRA),
  },
});

export const digestList = defineMessage({
  id: 99,
  name: 'digestList',
  doc: 'All records of the primary with a key hash in [from, to], in the order of the hashes.',
  fields: { ...place, service: u8, structure: name, from: u32, to: u32, records: list(listed, MAX_LISTED) },
});

export const digestWants = defineMessage({
  id: 100,
  name: 'digestWants',
  doc: 'Answer to digestList: the key hashes up to `to` whose records differ.',
  fields: { task: u32, isLevel: bool, to: u32, hashes: list(u32, MAX_HASHES) },
});

export const digestMend = defineMessage({
  id: 101,
  name: 'digestMend',
  doc: 'All records with these key hashes as of the position, or the whole structure; what else is there with these hashes is dropped. Sent by the primary, or by a backup that was asked for good contents (digestFetch).',
  fields: {
    ...place,
    service: u8,
    structure: name,
    isWhole: bool,
    hlcMs: count,
    hlcCounter: u16,
    hashes: list(u32, MAX_HASHES),
    records: bytes(MAX_RECORDS_BYTES),
  },
});

export const digestMended = defineMessage({
  id: 102,
  name: 'digestMended',
  doc: 'Answer to digestMend, and to a digestFetch that can not be fulfilled: records that were repaired here.',
  fields: { task: u32, isLevel: bool, repaired: u32 },
});

export const digestFetch = defineMessage({
  id: 103,
  name: 'digestFetch',
  doc: 'The records of the primary below a node are not what their digest says. A backup whose contents fit that digest answers with digestMend for those that differ from the list.',
  fields: {
    ...place,
    service: u8,
    structure: name,
    depth: u8,
    prefix: u32,
    lo: u32,
    hi: u32,
    records: list(listed, MAX_LISTED),
  },
});
