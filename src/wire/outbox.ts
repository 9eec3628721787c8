/**
 * What waits to be sent on one connection. Three lanes: control messages go first; normal ones are batched, one
 * frame per turn; large ones travel in pieces behind both, so that a heartbeat never waits for 16 MiB. Frames are
 * handed over only while the transport's own buffer is short, and pieces only while few are on their way, so the
 * order of the lanes stays in our hands and not in the buffers of two kernels.
 */
import { Writer } from '../base/bytes.js';
import type { Connection } from '../base/ports.js';
import { type Address, beginMessage, endMessage, NO_PARTITION } from './frame.js';
import { PIECE_BYTES, piece } from './messages.js';

/** Above this many bytes in the transport, nothing more is handed over until it has drained. */
const HIGH_WATER_BYTES = 1024 * 1024;
/** Bytes of pieces that the other side has not confirmed yet. */
const PIECES_UNDER_WAY_BYTES = 2 * 1024 * 1024;
/** A batch is closed when it has grown to this size. */
const FRAME_TARGET_BYTES = 256 * 1024;

const NO_ADDRESS: Address = { partition: NO_PARTITION, view: 0, lineage: 0, client: 0, sequence: 0 };

interface LargeMessage {
  readonly transfer: number;
  readonly bytes: Uint8Array;
  offset: number;
}

interface SentPiece {
  readonly transfer: number;
  readonly offset: number;
  readonly sizeBytes: number;
}

export class Outbox {
  readonly control = new Writer(512);
  readonly normal = new Writer(16 * 1024);
  readonly #sealed: Buffer[] = [];
  #sealedBytes = 0;
  readonly #large: LargeMessage[] = [];
  #largeBytes = 0;
  #nextTransfer = 1;
  #underWay: SentPiece[] = [];
  #underWayBytes = 0;

  /** Bytes of pieces that were handed over and are not confirmed. */
  get underWayBytes(): number {
    return this.#underWayBytes;
  }

  /** Bytes that wait here, in all lanes. */
  get queuedBytes(): number {
    return this.control.length + this.normal.length + this.#sealedBytes + this.#largeBytes;
  }

  get isEmpty(): boolean {
    return this.queuedBytes === 0;
  }

  /** To be called after each message written to `normal`, with the offset where it began. */
  wrote(startOffset: number): void {
    const { normal } = this;
    const size = normal.length - startOffset;
    if (size > PIECE_BYTES) {
      // The buffer goes with the message: it is not copied again, and no link keeps one of that size.
      const bytes = normal.buffer.subarray(startOffset, normal.length);
      this.discard(normal, startOffset);
      this.#large.push({ transfer: this.#nextTransfer++ >>> 0, bytes, offset: 0 });
      this.#largeBytes += size;
    } else if (normal.length >= FRAME_TARGET_BYTES) {
      this.#seal();
    }
  }

  /** The same for `control`: a large view gives up its precedence, because only the other lane cuts messages. */
  wroteControl(startOffset: number): void {
    const { control, normal } = this;
    if (control.length - startOffset <= PIECE_BYTES) return;
    const at = normal.length;
    normal.raw(control.buffer.subarray(startOffset, control.length));
    control.length = startOffset;
    this.wrote(at);
  }

  /** Takes back a large message that was just written, and the buffer that it made grow. */
  discard(writer: Writer, startOffset: number): void {
    writer.length = startOffset;
    const kept = writer.toBytes();
    writer.buffer = Buffer.allocUnsafeSlow(16 * 1024);
    writer.length = 0;
    writer.raw(kept);
  }

  #seal(): void {
    const frame = this.normal.take();
    this.#sealed.push(frame);
    this.#sealedBytes += frame.length;
  }

  /** Hands over as much as the connection takes. */
  flush(connection: Connection): void {
    while (connection.bufferedBytes() < HIGH_WATER_BYTES) {
      if (this.control.length > 0) {
        connection.send(this.control.toBytes());
        this.control.reset();
      } else if (this.#sealed.length > 0) {
        const frame = this.#sealed.shift() as Buffer;
        this.#sealedBytes -= frame.length;
        connection.send(frame);
      } else if (this.normal.length > 0) {
        connection.send(this.normal.take());
      } else if (this.#large.length > 0 && this.#underWayBytes < PIECES_UNDER_WAY_BYTES) {
        this.#sendPiece(connection);
      } else {
        return;
      }
    }
  }

  #sendPiece(connection: Connection): void {
    const large = this.#large[0] as LargeMessage;
    const part = large.bytes.subarray(large.offset, large.offset + PIECE_BYTES);
    const writer = new Writer(part.length + 64);
    const at = beginMessage(writer, piece.id, NO_ADDRESS);
    piece.write(writer, {
      transfer: large.transfer,
      totalBytes: large.bytes.length,
      offset: large.offset,
      part,
    });
    endMessage(writer, at);
    this.#underWay.push({ transfer: large.transfer, offset: large.offset, sizeBytes: part.length });
    this.#underWayBytes += part.length;
    large.offset += part.length;
    this.#largeBytes -= part.length;
    if (large.offset === large.bytes.length) this.#large.shift();
    connection.send(writer.buffer.subarray(0, writer.length));
  }

  /** A piece arrived, and with it what was sent before it: that arrived too, or never will. */
  pieceArrived(transfer: number, offset: number): void {
    const at = this.#underWay.findIndex((sent) => sent.transfer === transfer && sent.offset === offset);
    for (const { sizeBytes } of this.#underWay.splice(0, at + 1)) this.#underWayBytes -= sizeBytes;
  }

  /** Nothing was confirmed for long: what was under way is lost, or its confirmations are. */
  forgetPieces(): void {
    this.#underWay = [];
    this.#underWayBytes = 0;
  }

  clear(): void {
    this.forgetPieces();
    this.control.reset();
    this.normal.reset();
    this.#sealed.length = 0;
    this.#sealedBytes = 0;
    this.#large.length = 0;
    this.#largeBytes = 0;
  }
}
