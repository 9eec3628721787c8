/**
 * The messages of one member to one process that listens, in one round: numbered without a gap, and only so many at a time
 * that are not known to have arrived. Invariant: who does not say that it has heard gets nothing more, and nothing is kept
 * for it. Owned by the teller.
 */
import type { MemberId } from '../src/cluster/view.js';
import type { BodyOf, MessageDef } from '../src/wire/message.js';
import * as messages from './messages.js';

/** On the way to one process. */
const MAX_UNHEARD = 64;
const MAX_UNHEARD_BYTES = 1024 * 1024;
/** While so much waits to be sent on the link, whatever it is of. */
const MAX_QUEUED_BYTES = 1024 * 1024;
/** Of one message; the last event of it may be larger. */
const MESSAGE_BYTES = 64 * 1024;
const MESSAGE_EVENTS = 1_000;

/** The way back to whoever listens. */
export interface ListenerLink {
  readonly queuedBytes: number;
  send<T>(def: MessageDef<T>, body: T): void;
}

/** Faults that tests put in on purpose; never set outside of them. */
export interface TellFaults {
  /** Every so many events one is not told. */
  readonly dropEventEvery?: number;
  /** Every so many messages the first two events change places. */
  readonly reorderEvery?: number;
  /** Where events are missing nothing is said. */
  readonly forgetsGap?: boolean;
  /** Positions are told before the backups have them. */
  readonly tellsUncommitted?: boolean;
}

type Part = BodyOf<typeof messages.events>['parts'][number];

export class Telling {
  readonly round: number;
  readonly #member: MemberId;
  readonly #link: ListenerLink;
  readonly #faults: TellFaults;
  /** Bytes of the messages that are not known to have arrived, the oldest first. */
  readonly #unheard: number[] = [];
  #unheardBytes = 0;
  #events = 0;
  /** Number of the next message. */
  next = 0;

  constructor(member: MemberId, link: ListenerLink, round: number, faults: TellFaults) {
    this.#member = member;
    this.#link = link;
    this.round = round;
    this.#faults = faults;
  }

  static isFull(events: number, bytes: number): boolean {
    return events >= MESSAGE_EVENTS || bytes >= MESSAGE_BYTES;
  }

  get hasRoom(): boolean {
    return (
      this.#unheard.length < MAX_UNHEARD &&
      this.#unheardBytes < MAX_UNHEARD_BYTES &&
      this.#link.queuedBytes <= MAX_QUEUED_BYTES
    );
  }

  tell(listener: number, parts: readonly Part[], bytes: number): void {
    this.#unheard.push(bytes);
    this.#unheardBytes += bytes;
    const number = this.next++;
    const { round } = this;
    const told = parts.map((part) => this.#spoiled(part));
    this.#link.send(messages.events, { member: this.#member, round, number, listener, parts: told });
  }

  /** As tests want it. */
  #spoiled(part: Part): Part {
    const { dropEventEvery, reorderEvery } = this.#faults;
    if (dropEventEvery === undefined && reorderEvery === undefined) return part;
    const kept = part.events.filter(
      () => ++this.#events % (dropEventEvery ?? Number.POSITIVE_INFINITY) !== 0,
    );
    const [first, second, ...others] = kept;
    const swaps = reorderEvery !== undefined && this.next % reorderEvery === 0;
    if (!swaps || first === undefined || second === undefined) return { ...part, events: kept };
    return { ...part, events: [second, first, ...others] };
  }

  /** All below this number have arrived; whether there is room that there was not before. */
  heard(below: number): boolean {
    const hadRoom = this.hasRoom;
    while (this.#unheard.length > 0 && this.next - this.#unheard.length < below)
      this.#unheardBytes -= this.#unheard.shift() as number;
    return !hadRoom && this.hasRoom;
  }
}
