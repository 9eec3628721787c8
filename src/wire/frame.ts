/**
 * Header of a message. A frame is a batch of messages, each behind this header; a frame holds whole messages
 * only. `Header` objects are reused by the reader of frames: whoever keeps one copies it.
 */
import type { Reader, Writer } from '../base/bytes.js';
import { ProtocolError } from '../base/errors.js';

export const HEADER_BYTES = 32;
export const NO_PARTITION = 0xffff;

/** The names of the header's fields in wire order, for the protocol page. */
export const HEADER_FIELDS = [
  ['length', 'u32', 'bytes of the whole message, header included'],
  ['message', 'u16', 'number of the message'],
  ['partition', 'u16', 'partition, 65535 when the message belongs to none'],
  ['view', 'u32', 'number of the view that the sender is in, 0 when in none'],
  ['lineage', 'u32', 'first 32 bits of the lineage id of that view, 0 when in none'],
  [
    'client',
    'f64',
    'call id: number of the client session, a random count of 53 bits, 0 when the message is no call',
  ],
  ['sequence', 'f64', 'call id: sequence number of the call, 0 when the message is no call'],
] as const;

export class Header {
  length = 0;
  message = 0;
  partition = NO_PARTITION;
  view = 0;
  lineage = 0;
  client = 0;
  sequence = 0;

  read(reader: Reader): void {
    this.length = reader.u32();
    this.message = reader.u16();
    this.partition = reader.u16();
    this.view = reader.u32();
    this.lineage = reader.u32();
    this.client = reader.f64();
    this.sequence = reader.f64();
    if (this.length < HEADER_BYTES)
      throw new ProtocolError(`a message of ${this.length} bytes is shorter than its header`);
    if (!isCount(this.sequence) || !isCount(this.client))
      throw new ProtocolError('a call id that is no count');
  }
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

/** What the sender sets; the rest of the header follows from the message. */
export interface Address {
  readonly partition: number;
  readonly view: number;
  readonly lineage: number;
  readonly client: number;
  readonly sequence: number;
}

/** Writes a header with length 0 and returns where it starts; `endMessage` puts the length in. */
export function beginMessage(writer: Writer, message: number, address: Address): number {
  const at = writer.length;
  writer.ensure(HEADER_BYTES);
  writer.u32(0);
  writer.u16(message);
  writer.u16(address.partition);
  writer.u32(address.view);
  writer.u32(address.lineage);
  writer.f64(address.client);
  writer.f64(address.sequence);
  return at;
}

export function endMessage(writer: Writer, at: number): void {
  writer.patchU32(at, writer.length - at);
}
