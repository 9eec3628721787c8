/**
 * One end of a simulated connection. Frames are copied when they are sent, so the ends share no memory; they
 * arrive in order unless the link's options say otherwise, and a cut swallows them while both ends stay open.
 * Opening, closing and resets are messages too: they need a link that is up, and closing comes after the frames.
 * Made by `SimNetwork`; everything that its owner is told passes through the owner's clock, which may hold it.
 */
import type { CloseReason, Connection, ConnectionHandler } from '../../src/base/ports.js';
import { hashBytes, type Journal } from './journal.js';
import type { Link } from './link.js';
import type { Scheduler, SimClock } from './virtual-clock.js';

/** What all ends of one network share. */
export interface Wire {
  readonly scheduler: Scheduler;
  readonly journal: Journal | undefined;
  /** `drained` is called when the buffer falls below this after it was above. */
  readonly highWaterMarkBytes: number;
  /** Loss spares the first frame of each end: a stream whose handshake is lost would never have opened. */
  readonly firstFramesArrive: boolean;
}

interface Unsent {
  readonly departAtMs: number;
  readonly arriveAtMs: number;
  readonly sizeBytes: number;
}

const LOST: CloseReason = { code: 1006, reason: 'connection lost' };

export class SimConnection implements Connection {
  readonly remoteAddress: string;
  readonly host: string;
  /** `own>remote`, for the journal. */
  readonly label: string;
  readonly #wire: Wire;
  readonly #clock: SimClock;
  readonly #out: Link;
  readonly #onEnd: (connection: SimConnection) => void;
  #handler: ConnectionHandler | null;
  #peer: SimConnection | null = null;
  #state: 'connecting' | 'open' | 'closed' = 'connecting';
  /** The close or reset never reached the peer; its next frame is answered with a reset, as TCP does. */
  #farewellLost = false;
  #diedAtMs = Number.POSITIVE_INFINITY;
  #lastInOrderMs = 0;
  #lastArrivalMs = 0;
  #departedArrivalMs = 0;
  #unsent: Unsent[] = [];
  #unsentBytes = 0;
  #aboveMark = false;
  #sentFirst = false;

  constructor(
    wire: Wire,
    end: { host: string; clock: SimClock; out: Link; localAddress: string; remoteAddress: string },
    handler: ConnectionHandler | null,
    onEnd: (connection: SimConnection) => void,
  ) {
    this.#wire = wire;
    this.host = end.host;
    this.#clock = end.clock;
    this.#out = end.out;
    this.remoteAddress = end.remoteAddress;
    this.label = `${end.localAddress}>${end.remoteAddress}`;
    this.#handler = handler;
    this.#onEnd = onEnd;
  }

  get isOpen(): boolean {
    return this.#state === 'open';
  }

  get isClosed(): boolean {
    return this.#state === 'closed';
  }

  send(frame: Uint8Array): void {
    if (this.#state !== 'open') return;
    const { scheduler, journal } = this.#wire;
    const bytes = new Uint8Array(frame);
    const size = bytes.length;
    const hash = journal === undefined ? 0 : hashBytes(bytes);
    const departAtMs = this.#out.occupy(scheduler.now, size);
    const fate = this.#out.drawFate();
    const inOrderMs = Math.max(departAtMs + fate.latencyMs, this.#lastInOrderMs);
    const arriveAtMs = inOrderMs + fate.lateMs;
    this.#buffer({ departAtMs, arriveAtMs, sizeBytes: size });
    const lost = fate.lost && (this.#sentFirst || !this.#wire.firstFramesArrive);
    this.#sentFirst = true;
    const swallowed = this.#out.isCut ? 'cut' : lost ? 'lost' : undefined;
    journal?.record(scheduler.now, this.host, swallowed ?? 'send', this.label, size, hash);
    if (swallowed !== undefined) return;
    if (fate.lateMs === 0) this.#lastInOrderMs = inOrderMs;
    this.#carry(departAtMs, arriveAtMs, bytes, hash);
    if (fate.duplicateMs > 0) {
      this.#carry(departAtMs, arriveAtMs + fate.duplicateMs, new Uint8Array(bytes), hash);
    }
  }

  bufferedBytes(): number {
    this.#forgetDeparted();
    return this.#unsentBytes;
  }

  close(code: number, reason: string): void {
    if (this.#state === 'closed') return;
    const neverOpened = this.#state === 'connecting';
    this.#tellClosed(neverOpened ? { code: 0, reason } : { code, reason });
    this.#sayFarewell(neverOpened ? LOST : { code, reason });
  }

  /** Remembers the other end as soon as both exist, so that giving up on a dial reaches it. */
  meet(peer: SimConnection): void {
    this.#peer = peer;
  }

  /** Accepting side: opens, tells the dialler so, and belongs to `handler` from now on. */
  attach(handler: ConnectionHandler): void {
    this.#handler = handler;
    if (this.#state === 'closed') return;
    this.#state = 'open';
    this.#control((peer) => peer.#established());
    handler.opened();
  }

  /** Ends this side with `reason` in an event of its own, without telling the other side anything more. */
  fail(reason: CloseReason): void {
    if (this.#state !== 'closed') this.#tellClosed(reason);
  }

  /** The process at this end died: the peer gets a reset if the path is up; nothing unsent leaves any more. */
  die(): void {
    if (this.#state === 'closed') return;
    const { now } = this.#wire.scheduler;
    this.#forgetDeparted();
    this.#diedAtMs = now;
    this.#lastArrivalMs = this.#departedArrivalMs;
    this.#end();
    this.#sayFarewell(LOST);
  }

  #established(): void {
    this.#clock.deliver('opened', this.label, () => {
      if (this.#state !== 'connecting') return;
      this.#state = 'open';
      this.#handler?.opened();
    });
  }

  #carry(departAtMs: number, arriveAtMs: number, bytes: Uint8Array, hash: number): void {
    this.#lastArrivalMs = Math.max(this.#lastArrivalMs, arriveAtMs);
    this.#wire.scheduler.schedule(arriveAtMs, () => {
      if (this.#diedAtMs < departAtMs) return;
      const peer = this.#peer;
      if (peer !== null && !this.#out.pass(() => peer.#receive(bytes, hash))) {
        this.#recordCut(bytes.length, hash);
      }
    });
  }

  #receive(bytes: Uint8Array, hash: number): void {
    if (this.#state === 'closed') {
      if (this.#farewellLost) this.#sayFarewell(LOST);
      return;
    }
    this.#clock.deliver('', '', () => {
      if (this.#state !== 'open') return;
      this.#wire.journal?.record(
        this.#wire.scheduler.now,
        this.host,
        'frame',
        this.label,
        bytes.length,
        hash,
      );
      this.#handler?.frame(bytes);
    });
  }

  #sayFarewell(reason: CloseReason): void {
    this.#farewellLost = false;
    this.#control(
      (peer) => peer.#hangUp(reason),
      () => {
        this.#farewellLost = true;
      },
    );
  }

  /** The other side closed, or its process is gone. */
  #hangUp(reason: CloseReason): void {
    if (this.#state === 'closed') return;
    const told = this.#state === 'connecting' ? { code: 0, reason: reason.reason } : reason;
    this.#clock.deliver('closed', this.label, () => {
      if (this.#state === 'closed') return;
      this.#end();
      this.#handler?.closed(told);
    });
  }

  /** A message of the connection itself: in order after all frames, never lost or doubled, but cut. */
  #control(deliver: (peer: SimConnection) => void, onCut?: () => void): void {
    const { scheduler } = this.#wire;
    const arriveAtMs = Math.max(scheduler.now + this.#out.drawLatencyMs(), this.#lastArrivalMs);
    this.#lastInOrderMs = Math.max(this.#lastInOrderMs, arriveAtMs);
    this.#lastArrivalMs = arriveAtMs;
    const swallowed = (): void => {
      this.#recordCut(0, 0);
      onCut?.();
    };
    if (this.#out.isCut) {
      swallowed();
      return;
    }
    scheduler.schedule(arriveAtMs, () => {
      const peer = this.#peer;
      if (peer !== null && !this.#out.pass(() => deliver(peer))) swallowed();
    });
  }

  #tellClosed(reason: CloseReason): void {
    this.#end();
    this.#wire.scheduler.schedule(this.#wire.scheduler.now, () => {
      this.#clock.deliver('closed', this.label, () => this.#handler?.closed(reason));
    });
  }

  #end(): void {
    this.#state = 'closed';
    this.#onEnd(this);
  }

  #recordCut(size: number, hash: number): void {
    this.#wire.journal?.record(this.#wire.scheduler.now, this.host, 'cut', this.label, size, hash);
  }

  #buffer(unsent: Unsent): void {
    this.#forgetDeparted();
    this.#unsent.push(unsent);
    this.#unsentBytes += unsent.sizeBytes;
    if (this.#aboveMark || this.#unsentBytes <= this.#wire.highWaterMarkBytes) return;
    this.#aboveMark = true;
    this.#awaitDrain();
  }

  #awaitDrain(): void {
    let left = this.#unsentBytes;
    const last = this.#unsent.find((unsent) => {
      left -= unsent.sizeBytes;
      return left < this.#wire.highWaterMarkBytes;
    });
    const atMs = last?.departAtMs ?? this.#wire.scheduler.now;
    this.#wire.scheduler.schedule(atMs, () => {
      if (this.#state !== 'open') return;
      if (this.bufferedBytes() >= this.#wire.highWaterMarkBytes) {
        this.#awaitDrain();
        return;
      }
      this.#aboveMark = false;
      this.#clock.deliver('drained', this.label, () => {
        if (this.#state === 'open') this.#handler?.drained();
      });
    });
  }

  #forgetDeparted(): void {
    const { now } = this.#wire.scheduler;
    let gone = 0;
    for (
      let next = this.#unsent[0];
      next !== undefined && next.departAtMs <= now;
      next = this.#unsent[gone]
    ) {
      this.#unsentBytes -= next.sizeBytes;
      this.#departedArrivalMs = Math.max(this.#departedArrivalMs, next.arriveAtMs);
      gone++;
    }
    if (gone > 0) this.#unsent.splice(0, gone);
    if (this.#unsent.length === 0) this.#unsentBytes = 0;
  }
}
