import { describe, expect, it } from 'vitest';
import { Reader } from '../../src/base/bytes.js';
import type { Clock } from '../../src/base/ports.js';
import { HEADER_BYTES, Header } from '../../src/wire/frame.js';
import { Link } from '../../src/wire/link.js';
import { pong } from '../../src/wire/messages.js';

const ADDRESS = { partition: 0xffff, view: 0, lineage: 0, client: 0, sequence: 0 };

/** A link on a connection that keeps what was sent, and a clock whose turn ends on demand. */
class Bench {
  readonly frames: Buffer[] = [];
  readonly link: Link;
  #deferred: (() => void)[] = [];

  constructor() {
    const clock: Clock = {
      now: () => 0,
      wallNow: () => 0,
      setTimer: () => ({ cancel() {} }),
      defer: (fn) => this.#deferred.push(fn),
    };
    this.link = new Link({
      clock,
      logger: { log() {} },
      maxQueuedBytes: Number.MAX_SAFE_INTEGER,
      owner: { opened() {}, message() {}, closed() {} },
    }).attach({
      remoteAddress: 'x:1',
      isOpen: true,
      send: (frame) => this.frames.push(Buffer.from(frame)),
      bufferedBytes: () => 0,
      close() {},
    });
    this.link.maxMessageBytes = 1 << 20;
  }

  send(bodyBytes = 8): void {
    const at = this.link.writeOffset;
    this.link.begin(0x7001, ADDRESS).raw(Buffer.alloc(bodyBytes));
    this.link.end(at);
  }

  endTurn(): void {
    const due = this.#deferred;
    this.#deferred = [];
    for (const fn of due) fn();
  }

  /** A frame of so many messages arrives. */
  receive(messages: number): void {
    const other = new Bench();
    for (let i = 0; i < messages; i++) other.link.send({ ...pong, lane: 'normal' }, ADDRESS, {});
    other.endTurn();
    this.link.frame(other.frames[0] as Buffer);
  }

  get messagesPerFrame(): number[] {
    return this.frames.map((frame) => {
      const reader = new Reader(frame);
      const header = new Header();
      let messages = 0;
      for (; reader.offset < frame.length; messages++) {
        header.read(reader);
        reader.offset += header.length - HEADER_BYTES;
      }
      return messages;
    });
  }
}

describe('what a link sends', () => {
  it('leaves in one frame at the end of the turn', () => {
    const bench = new Bench();
    for (let i = 0; i < 20; i++) bench.send();
    expect(bench.frames).toHaveLength(0);
    bench.endTurn();
    expect(bench.messagesPerFrame).toEqual([20]);
  });

  it('leaves within the turn once a batch has grown large, in order and whole', () => {
    const bench = new Bench();
    for (let i = 0; i < 100; i++) bench.send(1000);
    const early = bench.frames.length;
    expect(early).toBeGreaterThan(2);
    bench.endTurn();
    expect(bench.messagesPerFrame.reduce((sum, n) => sum + n)).toBe(100);
    expect(bench.frames.length).toBeLessThanOrEqual(early + 1);
  });

  it('leaves at once where single messages go back and forth, and only there', () => {
    const bench = new Bench();
    bench.receive(1);
    bench.send();
    expect(bench.frames).toHaveLength(0);
    bench.endTurn();
    for (let i = 0; i < 20; i++) {
      bench.receive(1);
      bench.send();
      if (i < 10) bench.endTurn();
      else expect(bench.frames).toHaveLength(i + 2);
    }
  });

  it('is batched again as soon as a second message follows in the same turn', () => {
    const bench = new Bench();
    for (let i = 0; i < 20; i++) {
      bench.receive(1);
      bench.send();
      bench.endTurn();
    }
    bench.frames.length = 0;
    bench.receive(1);
    for (let i = 0; i < 30; i++) bench.send();
    bench.endTurn();
    expect(bench.messagesPerFrame).toEqual([1, 29]);
    bench.receive(30);
    for (let i = 0; i < 30; i++) bench.send();
    bench.endTurn();
    expect(bench.messagesPerFrame).toEqual([1, 29, 30]);
  });
});
