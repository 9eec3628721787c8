/**
 * Calls that another history has applied, on their way into the session windows of the one that takes it in: so that
 * a retry is answered there, and not applied again. They are announced before the data of the merge; until that is
 * there a retry is told to wait (`isAwaited`). Called by the source and the owner of a merge, and on backups.
 */
import type { Reader, Writer } from '../../src/base/bytes.js';
import { ProtocolError } from '../../src/base/errors.js';
import { type EpochStart, epochOf, type Place, readPlace, writePlace } from '../history.js';
import { EMPTY_BYTES } from '../limits.js';
import { type Addition, readAddition, writeAddition } from '../released-calls.js';
import type { SessionWindows, WindowEntry } from '../sessions.js';

const MAX_REPLY_BYTES = 17 * 1024 * 1024;
const FLAG = { void: 1, answered: 2, released: 4, adds: 8 } as const;

export interface MergedCall {
  readonly client: number;
  readonly sequence: number;
  readonly origin: Place;
  readonly syncBackups: number;
  readonly isVoid: boolean;
  /** The source may have answered it. */
  readonly answered: boolean;
  /** Its client has released it at the source: nobody will ask for the reply, and only what it added is remembered. */
  readonly released: boolean;
  /** What it added where it was applied; null when it added nothing, or nobody knows any more. */
  readonly addition: Addition | null;
  /** A view into what it was read from. */
  readonly reply: Uint8Array;
}

export function writeMergedCall(out: Writer, call: MergedCall): void {
  out.f64(call.client);
  out.f64(call.sequence);
  writePlace(out, call.origin);
  out.u8(call.syncBackups);
  out.u8(flagsOf(call));
  if (call.addition !== null) writeAddition(out, call.addition);
  out.bytes(call.reply);
}

function flagsOf({ isVoid, answered, released, addition }: MergedCall): number {
  const told = (isVoid ? FLAG.void : 0) | (answered ? FLAG.answered : 0) | (released ? FLAG.released : 0);
  return told | (addition === null ? 0 : FLAG.adds);
}

export function readMergedCall(reader: Reader): MergedCall {
  const client = whole(reader);
  const sequence = whole(reader);
  const origin = readPlace(reader);
  const syncBackups = reader.u8();
  const flags = reader.u8();
  const addition = (flags & FLAG.adds) === 0 ? null : readAddition(reader);
  return {
    client,
    sequence,
    origin,
    syncBackups,
    isVoid: (flags & FLAG.void) !== 0,
    answered: (flags & FLAG.answered) !== 0,
    released: (flags & FLAG.released) !== 0,
    addition,
    reply: reader.blob(MAX_REPLY_BYTES),
  };
}

function whole(reader: Reader): number {
  const value = reader.f64();
  if (!Number.isSafeInteger(value) || value < 1) throw new ProtocolError(`not a part of a call id: ${value}`);
  return value;
}

/** Puts calls that were read by `readMergedCall` before into the windows, as of position `seq`. */
export function addMergedCalls(windows: SessionWindows, reader: Reader, seq: number, nowMs: number): void {
  while (reader.remaining > 0) {
    const { client, sequence, origin, syncBackups, isVoid, released, addition, reply } =
      readMergedCall(reader);
    if (released) {
      if (addition !== null) windows.elsewhere.add({ client, sequence, seq, syncBackups, origin, addition });
      continue;
    }
    if (windows.isFullFor(client)) continue;
    const session = windows.open(client, nowMs);
    // Without a place it is not remembered: its retry comes from another lineage, and ends as indeterminate anyway.
    if (session.isFull) continue;
    const kept = reply.length === 0 ? EMPTY_BYTES : Buffer.from(reply);
    session.add(sequence, { reply: kept, seq, syncBackups, isVoid, isConsistent: false, origin, addition });
  }
}

export function isSameOrigin(a: Place | undefined, b: Place): boolean {
  return a !== undefined && a.lineage === b.lineage && a.epoch === b.epoch && a.seq === b.seq;
}

/** Where in a history the call of a window was applied. */
export function originOf(entry: WindowEntry, history: readonly EpochStart[]): Place {
  if (entry.origin !== undefined) return entry.origin;
  const found = epochOf(history, entry.seq);
  return { lineage: found?.lineage ?? 0, epoch: found?.epoch ?? 0, seq: entry.seq };
}
