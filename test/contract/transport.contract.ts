/**
 * What every Transport promises, whatever carries the bytes. Run by the tests of the simulated network and of
 * the WebSocket transport with a factory; knows only the port. `settle` lets time pass until a condition holds.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PortInUseError } from '../../src/base/errors.js';
import type {
  Clock,
  CloseReason,
  Connection,
  ConnectionHandler,
  Listener,
  Transport,
} from '../../src/base/ports.js';

export interface TransportSubject {
  readonly transport: Transport;
  readonly clock: Clock;
  /** Dials instead of `transport`, where a process cannot dial itself. */
  readonly otherTransport?: Transport;
  /** Lets time pass until `condition` holds; rejects with `what` in the message when it never does. */
  settle(condition: () => boolean, what: string): Promise<void>;
  dispose(): Promise<void>;
}

const HOST = '127.0.0.1';
const KIB = 1024;

/** A handler that remembers all that it was told, and fails the test when told inside a call of ours. */
class Recorder implements ConnectionHandler {
  opens = 0;
  drains = 0;
  readonly frames: Uint8Array[] = [];
  readonly closes: CloseReason[] = [];
  readonly order: string[] = [];
  connection: Connection | undefined;
  calledInside = false;
  inside = false;
  echo = false;

  opened(): void {
    this.#note('opened');
    this.opens++;
  }
  frame(bytes: Uint8Array): void {
    this.#note('frame');
    this.frames.push(bytes);
    if (this.echo) this.connection?.send(new Uint8Array(bytes));
  }
  drained(): void {
    this.#note('drained');
    this.drains++;
  }
  closed(reason: CloseReason): void {
    this.#note('closed');
    this.closes.push(reason);
  }
  #note(what: string): void {
    this.order.push(what);
    if (this.inside) this.calledInside = true;
  }
}

interface Pair {
  readonly listener: Listener;
  readonly address: string;
  readonly near: Recorder & { connection: Connection };
  readonly far: Recorder & { connection: Connection };
}

/** Bytes that depend on `salt` and position, so that a mix-up of frames or a shift shows. */
function patterned(sizeBytes: number, salt: number): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  for (let i = 0; i < sizeBytes; i++) bytes[i] = (i * 31 + (i >> 8) + salt * 17) & 0xff;
  return bytes;
}

function same(a: Uint8Array | undefined, b: Uint8Array): boolean {
  return a !== undefined && Buffer.compare(a, b) === 0;
}

export function transportContract(name: string, make: () => Promise<TransportSubject>): void {
  describe(`transport contract: ${name}`, () => {
    let subject: TransportSubject;
    let listeners: Listener[];

    beforeEach(async () => {
      subject = await make();
      listeners = [];
    });

    afterEach(async () => {
      await Promise.all(listeners.map((listener) => listener.close()));
      await subject.dispose();
    });

    async function listen(accept: (connection: Connection) => ConnectionHandler | null, port = 0) {
      const listener = await subject.transport.listen({ host: HOST, port, accept });
      listeners.push(listener);
      return listener;
    }

    function dial(address: string): Recorder & { connection: Connection } {
      const recorder = new Recorder();
      recorder.inside = true;
      recorder.connection = (subject.otherTransport ?? subject.transport).dial(address, recorder);
      recorder.inside = false;
      return recorder as Recorder & { connection: Connection };
    }

    async function connect(): Promise<Pair> {
      const far = new Recorder();
      const listener = await listen((connection) => {
        far.connection = connection;
        return far;
      });
      const address = `${HOST}:${listener.port}`;
      const near = dial(address);
      await subject.settle(() => near.opens > 0 && far.opens > 0, 'both ends are opened');
      return { listener, address, near, far: far as Recorder & { connection: Connection } };
    }

    /** Lets enough happen after `recorder`'s connection that a late second call would have shown. */
    async function passTime(): Promise<void> {
      let over = false;
      subject.clock.setTimer(50, () => {
        over = true;
      });
      await subject.settle(() => over, '50 ms pass');
    }

    it('opens both ends once on a free port that it picked', async () => {
      const { listener, address, near, far } = await connect();
      expect(listener.port).toBeGreaterThan(0);
      await passTime();
      expect([near.opens, far.opens]).toEqual([1, 1]);
      expect([near.connection.isOpen, far.connection.isOpen]).toEqual([true, true]);
      expect(near.connection.remoteAddress).toBe(address);
      expect(far.connection.remoteAddress).toMatch(/:\d+$/);
      expect(near.closes).toEqual([]);
    });

    it('is not open before it says so', async () => {
      const listener = await listen(() => new Recorder());
      const near = dial(`${HOST}:${listener.port}`);
      expect(near.connection.isOpen).toBe(false);
      expect(near.calledInside).toBe(false);
      await subject.settle(() => near.opens > 0, 'the dial succeeds');
      expect(near.connection.isOpen).toBe(true);
    });

    it('carries frames of 0 bytes to 1 MiB whole and in order, both ways', async () => {
      const { near, far } = await connect();
      const sizes = [0, 1, 64 * KIB, 3, 1024 * KIB, 0, 255, 64 * KIB + 1];
      const sent = sizes.map((size, salt) => patterned(size, salt));
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        for (const frame of sent) from.connection.send(new Uint8Array(frame));
        await subject.settle(() => to.frames.length >= sent.length, 'all frames arrive');
        expect(to.frames.map((frame) => frame.length)).toEqual(sizes);
        expect(sent.every((frame, i) => same(to.frames[i], frame))).toBe(true);
      }
    });

    it('keeps the order of a thousand small frames while answers cross them', async () => {
      const { near, far } = await connect();
      far.echo = true;
      for (let i = 0; i < 1000; i++) near.connection.send(patterned(1 + (i % 40), i));
      await subject.settle(() => near.frames.length === 1000, 'all frames come back');
      expect(near.frames.every((frame, i) => same(frame, patterned(1 + (i % 40), i)))).toBe(true);
    });

    it('sends the part of a larger buffer that it is given', async () => {
      const { near, far } = await connect();
      const pool = patterned(1000, 5);
      near.connection.send(pool.subarray(100, 164));
      await subject.settle(() => far.frames.length === 1, 'the frame arrives');
      expect(same(far.frames[0], patterned(1000, 5).subarray(100, 164))).toBe(true);
    });

    it('gives the receiver bytes that nobody else writes to', async () => {
      const { near, far } = await connect();
      const frame = patterned(4 * KIB, 1);
      near.connection.send(frame);
      await subject.settle(() => far.frames.length === 1, 'the frame arrives');
      frame.fill(0xee);
      for (let i = 0; i < 200; i++) near.connection.send(patterned(4 * KIB, i));
      await subject.settle(() => far.frames.length === 201, 'later frames arrive');
      expect(same(far.frames[0], patterned(4 * KIB, 1))).toBe(true);
      far.frames[0]!.fill(0);
      expect(same(far.frames[1], patterned(4 * KIB, 0))).toBe(true);
    });

    it('calls no handler from inside send or close', async () => {
      const { near, far } = await connect();
      far.echo = true;
      near.inside = true;
      far.inside = true;
      near.connection.send(patterned(10, 0));
      near.inside = false;
      far.inside = false;
      await subject.settle(() => near.frames.length === 1, 'the answer arrives');
      near.inside = true;
      near.connection.close(1000, 'done');
      near.inside = false;
      await subject.settle(() => near.closes.length === 1, 'the close is told');
      expect([near.calledInside, far.calledInside]).toEqual([false, false]);
    });

    it('tells the other end code and reason, after the frames sent before, and each end once', async () => {
      const { near, far } = await connect();
      for (let i = 0; i < 20; i++) near.connection.send(patterned(32 * KIB, i));
      near.connection.close(4001, 'moved away');
      expect(near.connection.isOpen).toBe(false);
      await subject.settle(() => near.closes.length > 0 && far.closes.length > 0, 'both ends are closed');
      await passTime();
      expect(far.closes).toEqual([{ code: 4001, reason: 'moved away' }]);
      expect(near.closes.map((reason) => reason.code)).toEqual([4001]);
      expect(far.frames).toHaveLength(20);
      expect(far.order.at(-1)).toBe('closed');
      expect(far.connection.isOpen).toBe(false);
    });

    it('lets the accepting end close too', async () => {
      const { near, far } = await connect();
      far.connection.close(1000, 'bye');
      await subject.settle(() => near.closes.length > 0 && far.closes.length > 0, 'both ends are closed');
      expect(near.closes).toEqual([{ code: 1000, reason: 'bye' }]);
    });

    it('closes each end once when both close at the same time, or one twice', async () => {
      const { near, far } = await connect();
      near.connection.close(1000, 'near');
      far.connection.close(1000, 'far');
      near.connection.close(1000, 'again');
      await subject.settle(() => near.closes.length > 0 && far.closes.length > 0, 'both ends are closed');
      await passTime();
      expect([near.closes.length, far.closes.length]).toEqual([1, 1]);
    });

    it('ignores frames that are sent after the close', async () => {
      const { near, far } = await connect();
      near.connection.close(1000, 'done');
      near.connection.send(patterned(10, 0));
      await subject.settle(() => near.closes.length > 0 && far.closes.length > 0, 'both ends are closed');
      near.connection.send(patterned(10, 0));
      far.connection.send(patterned(10, 0));
      await passTime();
      expect([near.frames.length, far.frames.length]).toEqual([0, 0]);
    });

    it('reports a refused dial as closed with code 0, once, and never as opened', async () => {
      const listener = await listen(() => new Recorder());
      await listener.close();
      const near = dial(`${HOST}:${listener.port}`);
      await subject.settle(() => near.closes.length > 0, 'the dial fails');
      await passTime();
      expect(near.order).toEqual(['closed']);
      expect(near.closes[0]!.code).toBe(0);
      expect(near.closes[0]!.reason).not.toBe('');
      expect(near.connection.isOpen).toBe(false);
      near.connection.send(patterned(1, 0));
    });

    it('lets a dial be given up before it opened', async () => {
      const far = new Recorder();
      const listener = await listen(() => far);
      const near = dial(`${HOST}:${listener.port}`);
      near.connection.close(1000, 'changed my mind');
      await subject.settle(() => near.closes.length > 0, 'the dial is closed');
      await passTime();
      expect(near.order).toEqual(['closed']);
      expect(near.closes[0]!.code).toBe(0);
      await subject.settle(() => far.opens === far.closes.length, 'an end that was accepted is closed');
    });

    it('refuses a port that is taken with a PortInUseError, and gives it out again later', async () => {
      const { listener, near } = await connect();
      await expect(listen(() => null, listener.port)).rejects.toBeInstanceOf(PortInUseError);
      await listener.close();
      await subject.settle(() => near.closes.length > 0, 'the old connection is closed');
      const again = await listen(() => new Recorder(), listener.port);
      expect(again.port).toBe(listener.port);
      const second = dial(`${HOST}:${again.port}`);
      await subject.settle(() => second.opens > 0, 'the new listener accepts');
    });

    it('refuses the connection for which accept returns null', async () => {
      let asked = 0;
      const listener = await listen(() => {
        asked++;
        return null;
      });
      const near = dial(`${HOST}:${listener.port}`);
      await subject.settle(() => near.closes.length > 0, 'the dial is closed');
      await passTime();
      expect(asked).toBe(1);
      expect(near.closes).toHaveLength(1);
      expect(near.frames).toHaveLength(0);
      expect(near.connection.isOpen).toBe(false);
    });

    it('closes the accepted connections with the listener', async () => {
      const { listener, near, far } = await connect();
      await listener.close();
      await subject.settle(() => near.closes.length > 0 && far.closes.length > 0, 'both ends are closed');
      expect([near.closes.length, far.closes.length]).toEqual([1, 1]);
      await listener.close();
    });

    it('keeps two connections to one listener apart', async () => {
      const accepted: Recorder[] = [];
      const listener = await listen((connection) => {
        const recorder = new Recorder();
        recorder.connection = connection;
        recorder.echo = true;
        accepted.push(recorder);
        return recorder;
      });
      const a = dial(`${HOST}:${listener.port}`);
      const b = dial(`${HOST}:${listener.port}`);
      await subject.settle(() => a.opens > 0 && b.opens > 0 && accepted.length === 2, 'both are open');
      a.connection.send(patterned(8, 1));
      b.connection.send(patterned(8, 2));
      await subject.settle(() => a.frames.length > 0 && b.frames.length > 0, 'both are answered');
      expect([same(a.frames[0], patterned(8, 1)), same(b.frames[0], patterned(8, 2))]).toEqual([true, true]);
      a.connection.close(1000, 'done');
      await subject.settle(() => a.closes.length > 0, 'one is closed');
      b.connection.send(patterned(8, 3));
      await subject.settle(() => b.frames.length > 1, 'the other one still answers');
      expect(b.closes).toEqual([]);
    });

    it('counts what is buffered and says when it has drained', async () => {
      const { near, far } = await connect();
      expect(near.connection.bufferedBytes()).toBe(0);
      const count = 512;
      for (let i = 0; i < count; i++) near.connection.send(patterned(64 * KIB, i));
      const backlog = near.connection.bufferedBytes();
      expect(backlog).toBeGreaterThan(1024 * KIB);
      expect(backlog).toBeLessThanOrEqual(count * (64 * KIB + 64));
      expect(near.drains).toBe(0);
      await subject.settle(() => near.drains > 0, 'the sender is told to go on');
      expect(near.connection.bufferedBytes()).toBeLessThan(backlog);
      await subject.settle(() => far.frames.length === count, 'all frames arrive');
      expect(far.frames.every((frame) => frame.length === 64 * KIB)).toBe(true);
      expect(near.connection.bufferedBytes()).toBe(0);
    });
  });
}
