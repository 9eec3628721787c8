/**
 * One connection as the rest of elsegrid sees it: whole messages out through the lanes of an outbox, checked
 * messages in. Anything that is malformed ends the connection with a reason; it never ends the process. Members
 * and clients build links on accepted and on dialled connections alike.
 */
import { Reader, type Writer } from '../base/bytes.js';
import { GridError, ProtocolError } from '../base/errors.js';
import type { Clock, CloseReason, Connection, ConnectionHandler, Logger, Timer } from '../base/ports.js';
import { reasonOf } from '../base/reason.js';
import { type Address, beginMessage, endMessage, HEADER_BYTES, Header, NO_PARTITION } from './frame.js';
import type { MessageDef } from './message.js';
import { PIECE_BYTES, piece, pieceArrived } from './messages.js';
import { Outbox } from './outbox.js';
import { Pieces } from './pieces.js';

/** Largest message: a position of the stream that carries the largest value and the largest old value. */
export const MAX_MESSAGE_BYTES = 36 * 1024 * 1024;

/** Pieces that are not confirmed for this long hold up the others no longer. */
const CONFIRM_MS = 2000;
const NO_ADDRESS: Address = { partition: NO_PARTITION, view: 0, lineage: 0, client: 0, sequence: 0 };

/** RFC 6455 close codes that elsegrid uses. */
export const CLOSE_NORMAL = 1000;
export const CLOSE_GOING_AWAY = 1001;
export const CLOSE_PROTOCOL = 1002;
export const CLOSE_POLICY = 1008;
/** Of the application: the client has shut down, and its session ends with it. */
export const CLOSE_SESSION_END = 4000;

/** A batch of this size leaves at once: the other side works on it while the rest of the turn goes on here. */
const EAGER_BYTES = 16 * 1024;
/**
 * After so many frames of one message each, all answered by one, a message leaves at once: one call is under way at
 * a time, no batch comes together, and waiting for the end of the turn would only cost time.
 */
const LONELY_FRAMES = 8;

export interface LinkOwner {
  opened(link: Link): void;
  /** The header is reused: copy what is kept. The reader stands at the body and ends with it. */
  message(link: Link, header: Header, reader: Reader): void;
  closed(link: Link, reason: CloseReason): void;
}

export interface LinkOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly owner: LinkOwner;
  /** Bytes that may wait to be sent before the connection counts as too slow and is closed. */
  readonly maxQueuedBytes: number;
}

export class Link implements ConnectionHandler {
  readonly #options: LinkOptions;
  readonly #outbox = new Outbox();
  readonly #header = new Header();
  readonly #pieces = new Pieces(MAX_MESSAGE_BYTES);
  #connection: Connection | null = null;
  #flushQueued = false;
  /** Frames in a row that held one message and were followed by one message from here. */
  #lonely = 0;
  /** Something was sent since the last frame. */
  #isTurnBegun = false;
  #closed = false;
  #confirmTimer: Timer | null = null;
  #confirmedMs = 0;
  /** Largest message that is accepted now; small until the handshake is done. */
  maxMessageBytes = 4096;
  /** Clock time of the last frame that arrived. */
  lastHeardMs: number;
  /** Clock time of the last part of a large message that arrived: what else was asked for may wait behind it. */
  receivedMs = Number.NEGATIVE_INFINITY;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.lastHeardMs = options.clock.now();
  }

  /** Must be called once, right after the connection was dialled or accepted. */
  attach(connection: Connection): this {
    this.#connection = connection;
    return this;
  }

  get remoteAddress(): string {
    return this.#connection?.remoteAddress ?? 'unknown';
  }

  get isLocal(): boolean {
    return false;
  }

  get isOpen(): boolean {
    return !this.#closed && this.#connection?.isOpen === true;
  }

  /** Bytes that wait here and in the transport, and those of large messages until the other side has them. */
  get queuedBytes(): number {
    const { queuedBytes, underWayBytes } = this.#outbox;
    return queuedBytes + Math.max(underWayBytes, this.#connection?.bufferedBytes() ?? 0);
  }

  /** A quarter of what closes the connection waits: time to refuse what would add to it. */
  get isCongested(): boolean {
    return this.#outbox.queuedBytes > this.#options.maxQueuedBytes / 4;
  }

  send<T>(def: MessageDef<T>, address: Address, body: T): void {
    if (this.#closed) return;
    const writer = this.#laneOf(def.lane);
    const at = beginMessage(writer, def.id, address);
    try {
      def.write(writer, body);
    } catch (error) {
      // Half a message in the lane would break the connection for everyone behind it.
      writer.length = at;
      throw error;
    }
    this.#sent(writer, at);
  }

  /** For bodies that are written by hand: begin, write, end. Always in the normal lane. */
  begin(message: number, address: Address): Writer {
    beginMessage(this.#outbox.normal, message, address);
    return this.#outbox.normal;
  }

  end(startOffset: number): void {
    if (this.#closed) this.#outbox.normal.length = startOffset;
    else this.#sent(this.#outbox.normal, startOffset);
  }

  get writeOffset(): number {
    return this.#outbox.normal.length;
  }

  /** A whole message, header included, that was encoded elsewhere. */
  forward(message: Uint8Array): void {
    if (this.#closed) return;
    const at = this.#outbox.normal.length;
    this.#outbox.normal.raw(message);
    this.#sent(this.#outbox.normal, at);
  }

  #laneOf(lane: 'control' | 'normal'): Writer {
    return lane === 'control' ? this.#outbox.control : this.#outbox.normal;
  }

  #sent(writer: Writer, at: number): void {
    endMessage(writer, at);
    if (writer.length - at > MAX_MESSAGE_BYTES) {
      this.#discard(writer, at);
      return;
    }
    if (writer === this.#outbox.normal) this.#outbox.wrote(at);
    else this.#outbox.wroteControl(at);
    if (this.#outbox.queuedBytes > this.#options.maxQueuedBytes) {
      this.close(CLOSE_POLICY, `too slow: ${this.#outbox.queuedBytes} bytes wait to be sent`);
      return;
    }
    if (!this.#isTurnBegun) this.#isTurnBegun = true;
    else this.#lonely = 0;
    if (this.#lonely >= LONELY_FRAMES || this.#outbox.normal.length >= EAGER_BYTES) {
      this.#flush();
      if (this.#outbox.isEmpty) return;
    }
    if (this.#flushQueued) return;
    this.#flushQueued = true;
    this.#options.clock.defer(() => {
      this.#flushQueued = false;
      this.#flush();
    });
  }

  /** The other side would drop the connection, and with it what others have to say. */
  #discard(writer: Writer, at: number): void {
    const sizeBytes = writer.length - at;
    this.#outbox.discard(writer, at);
    this.#options.logger.log('error', 'a message was not sent: it is above the limit', {
      remote: this.remoteAddress,
      sizeBytes,
      limitBytes: MAX_MESSAGE_BYTES,
    });
  }

  #flush(): void {
    if (!this.isOpen) return;
    this.#outbox.flush(this.#connection as Connection);
    if (this.#outbox.underWayBytes > 0 && this.#confirmTimer === null) this.#awaitConfirmation();
  }

  #awaitConfirmation(): void {
    this.#confirmTimer = this.#options.clock.setTimer(CONFIRM_MS, () => {
      this.#confirmTimer = null;
      if (this.#options.clock.now() - this.#confirmedMs >= CONFIRM_MS) this.#outbox.forgetPieces();
      this.#flush();
    });
  }

  close(code: number, reason: string): void {
    if (this.#closed) return;
    this.#flush();
    this.#end();
    this.#connection?.close(code, reason);
  }

  opened(): void {
    if (this.#closed) return;
    this.#options.owner.opened(this);
    this.#flush();
  }

  drained(): void {
    this.#flush();
  }

  #end(): void {
    this.#closed = true;
    this.#confirmTimer?.cancel();
    this.#outbox.clear();
  }

  closed(reason: CloseReason): void {
    this.#end();
    this.#options.owner.closed(this, reason);
  }

  frame(bytes: Uint8Array): void {
    if (this.#closed) return;
    this.lastHeardMs = this.#options.clock.now();
    const reader = new Reader(bytes);
    const total = bytes.length;
    try {
      while (reader.offset < total) {
        if (this.#closed) return;
        reader.end = total;
        this.#message(reader, total);
      }
    } catch (error) {
      this.#broken(error);
    }
  }

  #message(reader: Reader, total: number): void {
    const start = reader.offset;
    if (total - start < HEADER_BYTES) throw new ProtocolError('a frame that ends inside a header');
    const header = this.#header;
    header.read(reader);
    const end = start + header.length;
    if (end > total)
      throw new ProtocolError(`a message of ${header.length} bytes in a frame with ${total - start} left`);
    const limit = Math.min(this.maxMessageBytes, PIECE_BYTES + HEADER_BYTES + 64);
    if (header.length > limit)
      throw new ProtocolError(`a message of ${header.length} bytes is above the limit of ${limit}`);
    reader.end = end;
    this.#lonely = start === 0 && end === total ? this.#lonely + 1 : 0;
    this.#isTurnBegun = false;
    if (header.message === piece.id) this.#piece(reader);
    else if (header.message === pieceArrived.id) this.#arrived(reader);
    else this.#options.owner.message(this, header, reader);
    reader.offset = end;
  }

  #arrived(reader: Reader): void {
    const { transfer, offset } = pieceArrived.read(reader);
    this.#confirmedMs = this.#options.clock.now();
    this.#outbox.pieceArrived(transfer, offset);
    this.#flush();
  }

  #piece(reader: Reader): void {
    if (this.maxMessageBytes < MAX_MESSAGE_BYTES)
      throw new ProtocolError('a large message before the handshake');
    const part = piece.read(reader);
    this.receivedMs = this.lastHeardMs;
    this.send(pieceArrived, NO_ADDRESS, { transfer: part.transfer, offset: part.offset });
    const whole = this.#pieces.add(part);
    if (whole === null) return;
    const inner = new Reader(whole);
    this.#header.read(inner);
    if (this.#header.length !== whole.length || this.#header.message === piece.id) {
      throw new ProtocolError('a large message whose header does not fit it');
    }
    this.#options.owner.message(this, this.#header, inner);
  }

  #broken(error: unknown): void {
    const reason = reasonOf(error);
    const level = error instanceof GridError ? 'warn' : 'error';
    this.#options.logger.log(level, 'connection dropped: the other side sent something malformed', {
      remote: this.remoteAddress,
      reason,
      ...(level === 'error' && error instanceof Error ? { stack: error.stack } : {}),
    });
    this.close(CLOSE_PROTOCOL, reason.slice(0, 100));
  }
}
