/**
 * One WebSocket behind the `Connection` port; `WsTransport` makes them, for both directions.
 * Invariants: the handler hears `closed` exactly once and nothing after it, no frame after a local `close`,
 * and nothing from inside `send`. Whatever the network does ends in `closed`, never in an exception.
 */
import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import type { CloseReason, Connection, ConnectionHandler } from '../base/ports.js';
import { describeFailure, isFrameTooLarge } from './network-errors.js';
import { JOINED_BYTES, joinedFrame } from './ws-frame.js';

/** `drained` is due when what is buffered had exceeded this and has fallen below it again. */
export const DRAIN_MARK_BYTES = 256 * 1_024;

const ABNORMAL = 1_006;
const NORMAL = 1_000;
const UNSUPPORTED_DATA = 1_003;
const TOO_LARGE = 1_009;
/** A close frame holds 123 bytes of reason. */
const MAX_REASON_BYTES = 123;

export class WsConnection implements Connection {
  readonly remoteAddress: string;
  readonly #socket: WebSocket;
  /** What is below the WebSocket, once it is open. */
  #stream: Duplex | undefined;
  readonly #isDialled: boolean;
  readonly #handler: ConnectionHandler;
  #opened = false;
  #ended = false;
  /** What this side gave as the reason; it outranks what the other side, or its silence, makes of it. */
  #localClose: CloseReason | undefined;
  #failure: string | undefined;
  #waitsForDrain = false;

  /**
   * `stream` is what an accepted WebSocket was made on; that of a dialled one is undefined until it is open.
   * `makeHandler` gets the connection before anything can happen on it.
   */
  constructor(
    socket: WebSocket,
    stream: Duplex | undefined,
    remoteAddress: string,
    makeHandler: (connection: WsConnection) => ConnectionHandler,
  ) {
    this.#socket = socket;
    this.#stream = stream;
    this.#isDialled = stream === undefined;
    this.remoteAddress = remoteAddress;
    socket.on('upgrade', (response) => {
      this.#stream = response.socket;
    });
    socket.on('open', () => this.opened());
    socket.on('message', (data, isBinary) => this.#message(data as Buffer, isBinary));
    socket.on('error', (error) => this.#failed(error));
    socket.on('close', (code, reason) => this.#closed(code, reason));
    this.#handler = makeHandler(this);
  }

  get isOpen(): boolean {
    return this.#opened && this.#localClose === undefined && this.#socket.readyState === this.#socket.OPEN;
  }

  send(frame: Uint8Array): void {
    if (!this.isOpen) return;
    if (!this.#waitsForDrain && this.#socket.bufferedAmount + frame.byteLength <= DRAIN_MARK_BYTES) {
      this.#write(frame);
      return;
    }
    this.#waitsForDrain = true;
    this.#socket.send(frame, { binary: true }, () => this.#written());
  }

  /** ws hands header and payload to the system as two pieces, which for a short frame costs more than the copy. */
  #write(frame: Uint8Array): void {
    if (this.#stream !== undefined && frame.byteLength <= JOINED_BYTES)
      this.#stream.write(joinedFrame(frame, this.#isDialled));
    else this.#socket.send(frame, { binary: true });
  }

  bufferedBytes(): number {
    return this.#ended ? 0 : this.#socket.bufferedAmount;
  }

  close(code: number, reason: string): void {
    if (this.#ended || this.#localClose !== undefined) return;
    this.#localClose = { code: isSendable(code) ? code : NORMAL, reason: shorten(reason) };
    this.#socket.close(this.#localClose.code, this.#localClose.reason);
  }

  /** Gives up a connection that is not open yet; `closed` tells the reason. */
  abandon(reason: string): void {
    this.#failure ??= reason;
    this.#socket.terminate();
  }

  /** For a socket that was open when it was handed over, and for the 'open' event of a dialled one. */
  opened(): void {
    this.#opened = true;
    this.#handler.opened();
  }

  #message(data: Buffer, isBinary: boolean): void {
    // Frames still arrive between our close frame and the answer to it.
    if (!this.isOpen) return;
    if (isBinary) this.#handler.frame(data);
    else this.close(UNSUPPORTED_DATA, 'text frames are not part of the protocol');
  }

  #written(): void {
    if (!this.#waitsForDrain || this.#socket.bufferedAmount >= DRAIN_MARK_BYTES) return;
    this.#waitsForDrain = false;
    if (this.isOpen) this.#handler.drained();
  }

  #failed(error: Error): void {
    if (isFrameTooLarge(error)) {
      this.#localClose ??= { code: TOO_LARGE, reason: 'the other side sent a frame above the size limit' };
    }
    this.#failure ??= describeFailure(error);
  }

  #closed(code: number, reason: Buffer): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#handler.closed(this.#reasonFor(code, reason.toString('utf8')));
  }

  #reasonFor(code: number, reason: string): CloseReason {
    if (!this.#opened)
      return { code: 0, reason: this.#localClose?.reason ?? this.#failure ?? 'never opened' };
    if (this.#localClose !== undefined) return this.#localClose;
    if (code === ABNORMAL) return { code, reason: this.#failure ?? 'connection lost' };
    return { code, reason };
  }
}

/** ws throws on codes that RFC 6455 reserves. */
function isSendable(code: number): boolean {
  if (code >= 3_000 && code <= 4_999) return true;
  return code >= 1_000 && code <= 1_014 && code !== 1_004 && code !== 1_005 && code !== ABNORMAL;
}

function shorten(reason: string): string {
  const bytes = Buffer.from(reason, 'utf8');
  if (bytes.byteLength <= MAX_REASON_BYTES) return reason;
  // A character that was cut in two decodes to replacement characters at the end.
  return bytes.toString('utf8', 0, MAX_REASON_BYTES - 3).replace(/\uFFFD+$/, '');
}
