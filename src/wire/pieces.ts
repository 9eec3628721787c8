/**
 * Puts the pieces of large messages together. Pieces may come twice, out of order or not at all; a transfer that
 * stays incomplete is dropped when newer ones need its place. Memory is bounded: a few transfers, each within the
 * limit of a message.
 */
import { ProtocolError } from '../base/errors.js';
import type { BodyOf } from './message.js';
import { PIECE_BYTES, type piece } from './messages.js';

/** Transfers that may be incomplete at a time on one connection; the sender sends one after the other. */
const MAX_OPEN = 4;

interface Transfer {
  readonly bytes: Buffer;
  readonly seen: Set<number>;
  missingBytes: number;
}

export class Pieces {
  readonly #open = new Map<number, Transfer>();
  readonly #maxMessageBytes: number;

  constructor(maxMessageBytes: number) {
    this.#maxMessageBytes = maxMessageBytes;
  }

  /** The whole message when this was its last missing piece, else null. */
  add(part: BodyOf<typeof piece>): Buffer | null {
    const { totalBytes, offset } = part;
    if (totalBytes > this.#maxMessageBytes) {
      throw new ProtocolError(
        `a message of ${totalBytes} bytes is above the limit of ${this.#maxMessageBytes}`,
      );
    }
    const expected = Math.min(PIECE_BYTES, totalBytes - offset);
    if (totalBytes <= PIECE_BYTES || offset % PIECE_BYTES !== 0 || part.part.length !== expected) {
      throw new ProtocolError('a piece that does not fit its message');
    }
    const transfer = this.#transfer(part.transfer, totalBytes);
    if (transfer === null || transfer.seen.has(offset)) return null;
    transfer.seen.add(offset);
    transfer.bytes.set(part.part, offset);
    transfer.missingBytes -= part.part.length;
    if (transfer.missingBytes > 0) return null;
    this.#open.delete(part.transfer);
    return transfer.bytes;
  }

  #transfer(id: number, totalBytes: number): Transfer | null {
    const known = this.#open.get(id);
    if (known !== undefined) {
      if (known.bytes.length !== totalBytes)
        throw new ProtocolError('pieces of one message disagree about its size');
      return known;
    }
    if (this.#open.size >= MAX_OPEN) this.#open.delete(this.#open.keys().next().value as number);
    const transfer = {
      bytes: Buffer.allocUnsafeSlow(totalBytes),
      seen: new Set<number>(),
      missingBytes: totalBytes,
    };
    this.#open.set(id, transfer);
    return transfer;
  }
}
