/**
 * One direction between two hosts of the simulated network: latency, loss, bandwidth, cuts and holds. All
 * connections of the pair share it. Invariants: every frame takes the same number of draws from the link's own
 * stream, whatever the options are, so a changed option or another link never shifts the draws of this one; and
 * loss never drops more than `maxConsecutiveLoss` frames in a row.
 */
import { SeededRandom } from '../../src/base/random.js';

export interface LinkOptions {
  /** Latency is `minLatencyMs` plus an exponential draw, `meanLatencyMs` on average in all. */
  readonly minLatencyMs: number;
  readonly meanLatencyMs: number;
  /** Added to the latency of each frame. */
  readonly extraDelayMs: number;
  /** Probability that a single frame is dropped. */
  readonly loss: number;
  /** Loss never drops more frames in a row than this, so that loss alone makes nobody look dead. */
  readonly maxConsecutiveLoss: number;
  /** Probability that a frame arrives a second time, later. */
  readonly duplicate: number;
  /** Probability that a frame comes late and is overtaken by those after it. */
  readonly reorder: number;
  /** Bandwidth; what exceeds it waits in the sender's buffer. */
  readonly bytesPerMs: number;
}

/** A quick local network: 0.5 ms on average, 1 Gbit/s, no faults. */
export const DEFAULT_LINK: LinkOptions = {
  minLatencyMs: 0.2,
  meanLatencyMs: 0.5,
  extraDelayMs: 0,
  loss: 0,
  maxConsecutiveLoss: 2,
  duplicate: 0,
  reorder: 0,
  bytesPerMs: 125_000,
};

/** What the draws decided for one frame. */
export interface Fate {
  readonly lost: boolean;
  readonly latencyMs: number;
  /** Above 0: the frame leaves its place in the order and comes this much later. */
  readonly lateMs: number;
  /** Above 0: a second copy comes this much after the first. */
  readonly duplicateMs: number;
}

export class Link {
  readonly from: string;
  readonly to: string;
  options: LinkOptions;
  #cut = false;
  #held: (() => void)[] | null = null;
  #consecutiveLoss = 0;
  #freeAtMs = 0;
  readonly #random: SeededRandom;

  constructor(seed: number, from: string, to: string, options: LinkOptions) {
    this.from = from;
    this.to = to;
    this.options = options;
    // Seeded by the names, not forked in order of first use, so a new link leaves all others as they were.
    this.#random = new SeededRandom(seed, `link ${from}>${to}`);
  }

  get isCut(): boolean {
    return this.#cut;
  }

  get isHeld(): boolean {
    return this.#held !== null;
  }

  cut(): void {
    this.#cut = true;
  }

  heal(): void {
    this.#cut = false;
  }

  hold(): void {
    this.#held ??= [];
  }

  /** Ends a hold and gives back what waited, in order of arrival. */
  release(): readonly (() => void)[] {
    const held = this.#held ?? [];
    this.#held = null;
    return held;
  }

  /** Reserves the wire for a frame; the result is the virtual time at which its last byte has left. */
  occupy(nowMs: number, sizeBytes: number): number {
    this.#freeAtMs = Math.max(this.#freeAtMs, nowMs) + sizeBytes / this.options.bytesPerMs;
    return this.#freeAtMs;
  }

  /** The sending process died: what it had not sent does not occupy the wire any longer. */
  vacate(nowMs: number): void {
    this.#freeAtMs = Math.min(this.#freeAtMs, nowMs);
  }

  /** One latency, for a message that set-up or tear-down of a connection sends. */
  drawLatencyMs(): number {
    return this.#latencyMs(this.#random.float());
  }

  /** Decides about one frame, always with four draws. */
  drawFate(): Fate {
    const { loss, duplicate, reorder, maxConsecutiveLoss, meanLatencyMs } = this.options;
    const latencyMs = this.#latencyMs(this.#random.float());
    const lossDraw = this.#random.float();
    const reorderDraw = this.#random.float();
    const duplicateDraw = this.#random.float();
    const lost = lossDraw < loss && this.#consecutiveLoss < maxConsecutiveLoss;
    this.#consecutiveLoss = lost ? this.#consecutiveLoss + 1 : 0;
    // Below its bound a draw is uniform again when divided by it, so it can also say by how much.
    const lateMs = reorderDraw < reorder ? meanLatencyMs * (0.5 + 4 * (reorderDraw / reorder)) : 0;
    const duplicateMs =
      duplicateDraw < duplicate ? meanLatencyMs * (0.1 + 8 * (duplicateDraw / duplicate)) : 0;
    return { lost, latencyMs, lateMs, duplicateMs };
  }

  /** Something arrives at the far end: `deliver` runs now, or on release of a hold. False: the link is cut. */
  pass(deliver: () => void): boolean {
    if (this.#cut) return false;
    if (this.#held === null) deliver();
    else this.#held.push(deliver);
    return true;
  }

  #latencyMs(uniform: number): number {
    const { minLatencyMs, meanLatencyMs, extraDelayMs } = this.options;
    return minLatencyMs + extraDelayMs - Math.log(1 - uniform) * Math.max(0, meanLatencyMs - minLatencyMs);
  }
}
