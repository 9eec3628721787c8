/**
 * A member's side of listeners: which processes listen to what, with which predicates, and when each is forgotten. Invariant:
 * nothing is kept for a slow listener but its places, events come out of the rings that all listeners share. What each is told
 * is decided in `passes.ts` and `progress.ts`. Owned by the member's composition.
 */
import { EventBudget } from '../partitions/events/ring.js';
import { isSameEpoch } from '../partitions/history.js';
import type { Timer } from '../src/base/ports.js';
import type { BodyOf } from '../src/wire/message.js';
import { AskedPredicates } from './asked.js';
import { EntryFilter } from './filter.js';
import { Interests } from './interests.js';
import * as messages from './messages.js';
import { Passes, type TellerHost } from './passes.js';
import type { Listener, Recipient } from './progress.js';
import { type ListenerLink, Telling } from './telling.js';

/** Who is not heard of for so long listens no more; and for so long events are kept when nobody listens any more. */
const LEASE_MS = 15_000;
const TICK_MS = 250;
/**
 * Places are told without events, so that a replica which is new, and leads soon, can go on from them: often after a view,
 * then less often.
 */
const PLACES_MS: readonly (readonly [afterViewMs: number, everyMs: number])[] = [
  [1_000, 50],
  [5_000, 250],
  [Number.POSITIVE_INFINITY, 10_000],
];
/** Of all processes that listen at one member. */
const MAX_LISTENERS_IN_ALL = 65_536;

/** One process that listens. */
interface Subscriber extends Recipient {
  readonly key: string;
  telling: Telling;
  untilMs: number;
  /** Since when its round goes on. */
  roundMs: number;
  readonly listeners: Map<number, Listener>;
}

export class Teller {
  readonly #host: TellerHost;
  readonly budget: EventBudget;
  readonly #interests: Interests<Listener>;
  readonly #subscribers = new Map<string, Subscriber>();
  readonly #asked = new AskedPredicates();
  readonly #passes: Passes;
  #tick: Timer | null = null;
  #placesMs = 0;
  #viewMs = Number.NEGATIVE_INFINITY;
  #listeners = 0;

  constructor(host: TellerHost) {
    this.#host = host;
    this.#passes = new Passes(host, this.#asked);
    this.budget = new EventBudget(host.limits);
    const replicas = () => host.replicas();
    this.#interests = new Interests(replicas, this.budget, (interest, partition) => {
      this.#passes.changed(interest, partition);
    });
  }

  /** Listeners at this member. */
  get size(): number {
    return this.#listeners;
  }

  // --- who listens

  listen(key: string, link: ListenerLink, body: BodyOf<typeof messages.listen>): void {
    const known = this.#subscribers.get(key)?.telling.round ?? body.round;
    // A late copy of what was asked in an earlier round.
    if ((body.round - known) >>> 0 > 0x7fff_ffff) return;
    const subscriber = this.#subscriber(key, link, body.round);
    let listener = subscriber.listeners.get(body.listener);
    if (listener === undefined) {
      const isFull =
        this.#listeners >= MAX_LISTENERS_IN_ALL ||
        subscriber.listeners.size >= messages.MAX_LISTENERS ||
        !this.#host.knows(body.service);
      if (!isFull) listener = this.#begin(subscriber, body);
    }
    const { self: member } = this.#host;
    const { round, listener: number } = body;
    link.send(messages.listening, { member, round, listener: number, refused: listener === undefined });
    if (listener === undefined) return;
    listener.round = round;
    for (const wanted of body.partitions) {
      const { partition } = wanted;
      const epoch = this.#passes.led(partition)?.history.at(-1);
      // The answer to an earlier question is on its way.
      if (isSameEpoch(listener.cursors.get(partition)?.epoch, epoch)) continue;
      // Who has not adopted the view of the other yet, soon will.
      if (!isSameEpoch(wanted.epoch, epoch)) continue;
      listener.wanted.set(partition, wanted);
      this.#passes.changed(listener.interest, partition);
    }
  }

  #subscriber(key: string, link: ListenerLink, round: number): Subscriber {
    const nowMs = this.#host.clock.now();
    const untilMs = nowMs + LEASE_MS;
    let subscriber = this.#subscribers.get(key);
    if (subscriber === undefined) {
      subscriber = {
        key,
        telling: this.#telling(link, round),
        untilMs,
        roundMs: nowMs,
        waiting: new Map(),
        listeners: new Map(),
      };
      this.#subscribers.set(key, subscriber);
      this.#tick ??= this.#host.clock.setTimer(TICK_MS, () => this.#onTick());
    }
    subscriber.untilMs = untilMs;
    if (subscriber.telling.round !== round) {
      subscriber.telling = this.#telling(link, round);
      subscriber.roundMs = nowMs;
      for (const listener of subscriber.listeners.values()) {
        listener.cursors.clear();
        listener.wanted.clear();
      }
    }
    return subscriber;
  }

  #telling(link: ListenerLink, round: number): Telling {
    return new Telling(this.#host.self, link, round, this.#host.faults);
  }

  /** Undefined when there is no room for its predicate, or for the events of its structure. */
  #begin(subscriber: Subscriber, body: BodyOf<typeof messages.listen>): Listener | undefined {
    const { listener: number, service, structure, withValue, predicate } = body;
    const asked = predicate === null ? null : this.#asked.take(predicate);
    if (predicate !== null && asked === null) return undefined;
    const interest = this.#interests.of(service, structure);
    if (interest === null) {
      if (asked !== null) this.#asked.release(asked);
      return undefined;
    }
    const listener: Listener = {
      number,
      round: body.round,
      subscriber,
      interest,
      withValue,
      filter: new EntryFilter({ ...body, asked }),
      asked,
      cursors: new Map(),
      wanted: new Map(),
    };
    interest.listeners.add(listener);
    subscriber.listeners.set(number, listener);
    this.#listeners++;
    return listener;
  }

  unlisten(key: string, number: number): void {
    const subscriber = this.#subscribers.get(key);
    const listener = subscriber?.listeners.get(number);
    if (subscriber === undefined || listener === undefined) return;
    this.#end(subscriber, listener);
    if (subscriber.listeners.size === 0) this.#subscribers.delete(key);
  }

  #end(subscriber: Subscriber, listener: Listener): void {
    subscriber.listeners.delete(listener.number);
    this.#listeners--;
    if (listener.asked !== null) this.#asked.release(listener.asked);
    this.#interests.remove(listener.interest, listener, this.#host.clock.now());
  }

  heard(key: string, link: ListenerLink, { round, below, asks }: BodyOf<typeof messages.heard>): void {
    const subscriber = this.#subscribers.get(key);
    const known = subscriber !== undefined && subscriber.telling.round === round;
    if (known) {
      subscriber.untilMs = this.#host.clock.now() + LEASE_MS;
      if (subscriber.telling.heard(below)) this.#goOn(subscriber);
    }
    if (!asks) return;
    const sent = known ? subscriber.telling.next : 0;
    link.send(messages.told, { member: this.#host.self, round, below: sent, known });
  }

  /** There is room again. */
  #goOn({ waiting }: Subscriber): void {
    for (const [interest, partitions] of waiting)
      for (const partition of partitions) this.#passes.changed(interest, partition, 0);
    waiting.clear();
  }

  /** Another view was adopted: who leads what may have changed, and which replicas are here. */
  adopted(): void {
    this.#interests.refresh();
    this.#viewMs = this.#host.clock.now();
    if (this.#tick === null) return;
    this.#tick.cancel();
    this.#tick = this.#host.clock.setTimer(0, () => this.#onTick());
  }

  #onTick(): void {
    const nowMs = this.#host.clock.now();
    for (const [key, subscriber] of this.#subscribers) this.#forget(key, subscriber, nowMs);
    this.#interests.sweep(nowMs - LEASE_MS);
    const everyMs = this.#placesEveryMs(nowMs);
    if (nowMs - this.#placesMs >= everyMs) {
      this.#placesMs = nowMs;
      this.#passes.places(this.#all());
    }
    this.#tick =
      this.#subscribers.size === 0 && this.#interests.isEmpty
        ? null
        : this.#host.clock.setTimer(Math.min(TICK_MS, everyMs), () => this.#onTick());
  }

  /** Who is not heard of, and listeners that the process has not asked for in its round: that they were removed was lost. */
  #forget(key: string, subscriber: Subscriber, nowMs: number): void {
    const { telling, untilMs, roundMs, listeners } = subscriber;
    const isGone = nowMs >= untilMs;
    if (!isGone && nowMs < roundMs + LEASE_MS) return;
    for (const listener of listeners.values())
      if (isGone || listener.round !== telling.round) this.#end(subscriber, listener);
    if (isGone) this.#subscribers.delete(key);
  }

  *#all(): Generator<Listener> {
    for (const { listeners } of this.#subscribers.values()) yield* listeners.values();
  }

  #placesEveryMs(nowMs: number): number {
    const sinceMs = nowMs - this.#viewMs;
    const [, everyMs] = PLACES_MS.find(
      ([afterViewMs]) => sinceMs <= afterViewMs,
    ) as (typeof PLACES_MS)[number];
    return everyMs;
  }

  stop(): void {
    this.#passes.stop();
    this.#tick?.cancel();
  }
}
