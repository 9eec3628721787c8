/**
 * One hand-out of an item: to whom, under which fence, how often, and where the item is; and how that travels. What is read
 * comes from the network, so each number is checked. Called by `hand-outs.ts` and by whoever writes it.
 */
import type { Reader, Writer } from '../../../src/base/bytes.js';
import { ProtocolError } from '../../../src/base/errors.js';
import { MAX_ITEMS } from './ops.js';
import { type Named, readName, readWhole, writeName } from './records.js';

/** Where an item is. `back`: in the queue again. `late`: it comes back after a while. `dead`: it leaves the queue. */
export const WHERE = { back: 0, out: 1, late: 2, dead: 3 } as const;
export type Where = (typeof WHERE)[keyof typeof WHERE];

/** Names a hand-out: the position at which it was made, in the history of one primary. */
export interface Fence {
  readonly lineage: number;
  readonly epoch: number;
  readonly seq: number;
}

export interface HandOut extends Named {
  readonly where: Where;
  /** Session of who got it last. */
  readonly client: number;
  readonly fence: Fence;
  /** It is away for so long since the position of its last change. */
  readonly timeoutMs: number;
  /** How often it was handed out. */
  readonly deliveries: number;
}

export function isSameFence(a: Fence, b: Fence): boolean {
  return a.seq === b.seq && a.epoch === b.epoch && a.lineage === b.lineage;
}

export function writeHandOut(out: Writer, handOut: HandOut): void {
  const { where, client, fence, timeoutMs, deliveries } = handOut;
  writeName(out, handOut);
  out.u8(where);
  out.f64(client);
  out.u32(fence.lineage);
  out.u32(fence.epoch);
  out.f64(fence.seq);
  out.u32(timeoutMs);
  out.u32(deliveries);
}

export function readHandOut(input: Reader): HandOut {
  const name = readName(input);
  const where = input.u8();
  if (where > WHERE.dead) throw new ProtocolError(`a queue with an item at ${where}`);
  // Fields are read in the order in which they stand here.
  return {
    ...name,
    where: where as Where,
    client: readWhole(input),
    fence: { lineage: input.u32(), epoch: input.u32(), seq: readWhole(input) },
    timeoutMs: input.u32(),
    deliveries: input.u32(),
  };
}

/** Behind the kind of a delta. */
export function writeHandOuts(out: Writer, all: readonly HandOut[]): void {
  out.u32(all.length);
  for (const handOut of all) writeHandOut(out, handOut);
}

export function readHandOuts(input: Reader): HandOut[] {
  const size = input.u32();
  if (size > MAX_ITEMS) throw new ProtocolError(`a queue that handed out ${size} items at once`);
  return Array.from({ length: size }, () => readHandOut(input));
}
