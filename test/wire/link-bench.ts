/** A link on a connection that the test looks into: frames as they are handed over, and time by hand. */

import { Reader, Writer } from '../../src/base/bytes.js';
import type { Clock, CloseReason, Connection, Timer } from '../../src/base/ports.js';
import { type Address, beginMessage, endMessage, Header, NO_PARTITION } from '../../src/wire/frame.js';
import { Link, MAX_MESSAGE_BYTES } from '../../src/wire/link.js';
import type { AnyMessage } from '../../src/wire/message.js';

export const NOWHERE: Address = { partition: NO_PARTITION, view: 0, lineage: 0, client: 0, sequence: 0 };

export class HandClock implements Clock {
  nowMs = 0;
  #deferred: (() => void)[] = [];
  #timers: { atMs: number; fn: () => void }[] = [];

  now(): number {
    return this.nowMs;
  }
  wallNow(): number {
    return this.nowMs;
  }
  defer(fn: () => void): void {
    this.#deferred.push(fn);
  }
  setTimer(delayMs: number, fn: () => void): Timer {
    const timer = { atMs: this.nowMs + delayMs, fn };
    this.#timers.push(timer);
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((other) => other !== timer);
      },
    };
  }
  endTurn(): void {
    for (let fn = this.#deferred.shift(); fn !== undefined; fn = this.#deferred.shift()) fn();
  }
  advance(ms: number): void {
    this.nowMs += ms;
    const due = this.#timers.filter(({ atMs }) => atMs <= this.nowMs);
    this.#timers = this.#timers.filter(({ atMs }) => atMs > this.nowMs);
    for (const { fn } of due) fn();
    this.endTurn();
  }
}

export class FakeConnection implements Connection {
  readonly remoteAddress = 'far:1';
  isOpen = true;
  readonly frames: Uint8Array[] = [];
  closedWith: CloseReason | null = null;
  /** What a slow peer leaves in the transport. */
  buffered = 0;
  holdsBack = false;

  send(frame: Uint8Array): void {
    this.frames.push(frame);
    if (this.holdsBack) this.buffered += frame.length;
  }
  bufferedBytes(): number {
    return this.buffered;
  }
  close(code: number, reason: string): void {
    this.isOpen = false;
    this.closedWith = { code, reason };
  }
}

export interface Received {
  readonly message: number;
  readonly sequence: number;
  readonly body: Buffer;
}

/** One end: `got` holds what its owner was told. */
export class End {
  readonly clock: HandClock;
  readonly connection = new FakeConnection();
  readonly got: Received[] = [];
  readonly logs: { level: string; event: string; fields: unknown }[] = [];
  readonly link: Link;
  opened = 0;
  closed = 0;
  onMessage: (received: Received) => void = () => {};

  constructor(clock = new HandClock(), maxQueuedBytes = 256 * 1024 * 1024) {
    this.clock = clock;
    this.link = new Link({
      clock,
      logger: { log: (level, event, fields) => void this.logs.push({ level, event, fields }) },
      maxQueuedBytes,
      owner: {
        opened: () => void this.opened++,
        message: (_link, header, reader) => {
          const received = {
            message: header.message,
            sequence: header.sequence,
            body: Buffer.from(reader.bytes.subarray(reader.offset, reader.end)),
          };
          this.got.push(received);
          this.onMessage(received);
        },
        closed: () => void this.closed++,
      },
    }).attach(this.connection);
  }

  /** As after the handshake. */
  trusted(): this {
    this.link.maxMessageBytes = MAX_MESSAGE_BYTES;
    return this;
  }
}

/** One message as bytes. */
export function encoded(def: AnyMessage, body: unknown, address: Address = NOWHERE): Buffer {
  const writer = new Writer();
  const at = beginMessage(writer, def.id, address);
  def.write(writer, body);
  endMessage(writer, at);
  return writer.toBytes();
}

/** The numbers of the messages in a frame. */
export function messagesIn(frame: Uint8Array): number[] {
  const reader = new Reader(frame);
  const found: number[] = [];
  for (let at = 0; at < frame.length; ) {
    reader.offset = at;
    const header = new Header();
    header.read(reader);
    found.push(header.message);
    at += header.length;
  }
  return found;
}

/** Passes what each has handed over to the other until both are silent. */
export function exchange(a: End, b: End): void {
  for (let busy = true; busy; ) {
    busy = false;
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      from.clock.endTurn();
      for (
        let frame = from.connection.frames.shift();
        frame !== undefined;
        frame = from.connection.frames.shift()
      ) {
        busy = true;
        to.link.frame(frame);
      }
    }
  }
}
