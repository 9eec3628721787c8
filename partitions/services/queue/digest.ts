/**
 * The digest of a queue, by which replicas are compared: sums over its items and hand-outs, kept as they come and go, and
 * one over the ranges of what is gone. So comparing costs nothing however long the queue is. Called by the state of a queue.
 */
import type { Actor } from '../../service.js';
import type { HandOut } from './hand-out.js';
import type { Item } from './items.js';
import type { Ranges } from './ranges.js';

const SEEDS = [0x2545f491, 0x9747b28c] as const;
const WORD = 2 ** 32;

/** 64 bits in two words. */
export interface Digest {
  readonly lo: number;
  readonly hi: number;
}

export class QueueDigest {
  #lo = 0;
  #hi = 0;

  add(item: Item): void {
    this.#lo = (this.#lo + hashOfItem(SEEDS[0], item)) | 0;
    this.#hi = (this.#hi + hashOfItem(SEEDS[1], item)) | 0;
  }

  remove(item: Item): void {
    this.#lo = (this.#lo - hashOfItem(SEEDS[0], item)) | 0;
    this.#hi = (this.#hi - hashOfItem(SEEDS[1], item)) | 0;
  }

  clear(): void {
    this.#lo = 0;
    this.#hi = 0;
  }

  with(handOuts: Digest, adders: Iterable<{ readonly actor: Actor; readonly gone: Ranges }>): Digest {
    let [lo, hi] = [this.#lo + handOuts.lo, this.#hi + handOuts.hi];
    for (const { actor, gone } of adders) {
      gone.each((from, end) => {
        lo = (lo + hashOfNumbers(hashOfActor(SEEDS[0], actor), from, end)) | 0;
        hi = (hi + hashOfNumbers(hashOfActor(SEEDS[1], actor), from, end)) | 0;
      });
    }
    return { lo: lo >>> 0, hi: hi >>> 0 };
  }
}

export function hashOfHandOut(handOut: HandOut): Digest {
  return { lo: hashOfOne(SEEDS[0], handOut), hi: hashOfOne(SEEDS[1], handOut) };
}

function hashOfOne(
  seed: number,
  { actor, ordinal, where, client, fence, timeoutMs, deliveries }: HandOut,
): number {
  const named = hashOfNumbers(hashOfActor(seed, actor), ordinal, client);
  const fenced = hashOfNumbers(mix(mix(named, fence.lineage), fence.epoch), fence.seq, timeoutMs);
  return mix(mix(fenced, where), deliveries);
}

function hashOfItem(seed: number, { actor, ordinal, ms, counter, hash }: Item): number {
  return mix(mix(hashOfNumbers(hashOfActor(seed, actor), ordinal, ms), counter), hash);
}

function hashOfActor(seed: number, { memberHi, memberLo, lineage, epoch }: Actor): number {
  return mix(mix(mix(mix(seed, memberHi), memberLo), lineage), epoch);
}

/** Of whole numbers below 2^53. */
function hashOfNumbers(seed: number, a: number, b: number): number {
  return mix(mix(mix(mix(seed, a % WORD), Math.floor(a / WORD)), b % WORD), Math.floor(b / WORD));
}

function mix(hash: number, word: number): number {
  const mixed = Math.imul(hash ^ word, 0x85ebca6b);
  return Math.imul(mixed ^ (mixed >>> 15), 0xc2b2ae35) ^ (mixed >>> 13);
}
