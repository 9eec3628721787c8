/**
 * A short WebSocket frame as one piece of memory, ready for the socket below. Invariant: the bytes are those that ws
 * would send for the same payload. Called by connections for frames that need no fragmenting and no compression.
 */

/** Longer frames go through ws: copying them would cost more than a second piece. */
export const JOINED_BYTES = 16 * 1024;

const FINAL_BINARY = 0x82;
const MASKED = 0x80;
const MASK_BYTES = 4;
/** Payloads up to this have their length in the second byte; up to 64 KiB it follows in two bytes. */
const SHORT_PAYLOAD_BYTES = 125;
const TWO_BYTE_LENGTH = 126;

/** A whole binary frame of at most 64 KiB - 1. A masked one, as clients must send, has a mask of zeros. */
export function joinedFrame(payload: Uint8Array, masked: boolean): Buffer {
  const size = payload.byteLength;
  const isShort = size <= SHORT_PAYLOAD_BYTES;
  const headerBytes = (isShort ? 2 : 4) + (masked ? MASK_BYTES : 0);
  const frame = Buffer.allocUnsafe(headerBytes + size);
  frame[0] = FINAL_BINARY;
  frame[1] = (isShort ? size : TWO_BYTE_LENGTH) | (masked ? MASKED : 0);
  if (!isShort) {
    frame[2] = size >>> 8;
    frame[3] = size;
  }
  if (masked) frame.fill(0, headerBytes - MASK_BYTES, headerBytes);
  frame.set(payload, headerBytes);
  return frame;
}
