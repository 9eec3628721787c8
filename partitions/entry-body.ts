/**
 * One position of a partition's stream as bytes: the delta, and with it the call and its reply. Encoded once by the
 * primary, then sent to every replica, kept in the logs and replayed as it is.
 */
import { Reader, Writer } from '../src/base/bytes.js';
import { ProtocolError } from '../src/base/errors.js';
import { MAX_STRUCTURE_NAME_BYTES } from './limits.js';

export interface EntryBody {
  /** 0 for an entry that changes no structure (a call that was declared void). */
  readonly serviceId: number;
  readonly structure: string;
  /** Sync backups that the answer waits for. */
  readonly syncBackups: number;
  readonly isVoid: boolean;
  /** The structure was `consistent` when the call was applied. */
  readonly isConsistent: boolean;
  /** 0 when the change was made by no call (housekeeping). */
  readonly client: number;
  readonly sequence: number;
  /** The client needs no reply any more of its calls below this sequence. */
  readonly below: number;
  /** Latest version time that the primary has given or seen: a later primary must not give an earlier one. */
  readonly hlcMs: number;
  readonly hlcCounter: number;
  readonly delta: Uint8Array;
  readonly reply: Uint8Array;
}

/** Service number of an entry whose delta is a list of deltas of several structures, which take effect together. */
export const COMPOSITE = 240;

/** A part of a composite entry. */
export interface EntryPart {
  /** 0 for calls that a merge announces to the session windows. */
  readonly serviceId: number;
  readonly structure: string;
  readonly delta: Uint8Array;
}

const MAX_BYTES = 64 * 1024 * 1024;
const MAX_PARTS = 64;
const FLAG = { void: 1, consistent: 2 } as const;
const scratch = new Writer(1024);

export function encodeEntry(entry: EntryBody): Buffer {
  scratch.reset();
  scratch.u8(entry.serviceId);
  scratch.u8(entry.syncBackups);
  scratch.u8((entry.isVoid ? FLAG.void : 0) | (entry.isConsistent ? FLAG.consistent : 0));
  scratch.f64(entry.client);
  scratch.f64(entry.sequence);
  scratch.f64(entry.below);
  scratch.f64(entry.hlcMs);
  scratch.u16(entry.hlcCounter);
  scratch.string(entry.structure);
  scratch.bytes(entry.delta);
  scratch.bytes(entry.reply);
  const bytes = scratch.toBytes();
  if (scratch.buffer.length > 1024 * 1024) scratch.buffer = Buffer.allocUnsafeSlow(1024);
  return bytes;
}

export function decodeEntry(bytes: Uint8Array): EntryBody {
  const reader = new Reader(bytes);
  const serviceId = reader.u8();
  const syncBackups = reader.u8();
  const flags = reader.u8();
  const client = reader.f64();
  const sequence = reader.f64();
  const below = reader.f64();
  const hlcMs = reader.f64();
  const hlcCounter = reader.u16();
  const structure = reader.name(MAX_STRUCTURE_NAME_BYTES);
  const delta = reader.blob(MAX_BYTES);
  const reply = reader.blob(MAX_BYTES);
  reader.finish();
  return {
    serviceId,
    structure,
    syncBackups,
    isVoid: (flags & FLAG.void) !== 0,
    isConsistent: (flags & FLAG.consistent) !== 0,
    client,
    sequence,
    below,
    hlcMs,
    hlcCounter,
    delta,
    reply,
  };
}

export function encodeParts(parts: readonly EntryPart[]): Buffer {
  const out = new Writer(1024);
  out.u8(parts.length);
  for (const { serviceId, structure, delta } of parts) {
    out.u8(serviceId);
    out.string(structure);
    out.bytes(delta);
  }
  return out.toBytes();
}

export function decodeParts(bytes: Uint8Array): EntryPart[] {
  const reader = new Reader(bytes);
  const parts: EntryPart[] = [];
  const count = reader.u8();
  if (count > MAX_PARTS) throw new ProtocolError(`an entry of ${count} parts`);
  for (let i = 0; i < count; i++) {
    const serviceId = reader.u8();
    const structure = reader.name(MAX_STRUCTURE_NAME_BYTES);
    parts.push({ serviceId, structure, delta: reader.blob(MAX_BYTES) });
  }
  reader.finish();
  return parts;
}
