/**
 * Calls as they leave: each as a message of its own, or several reads of one kind as one message for all partitions of a member.
 * Invariant: a call that cannot be written leaves nothing on its route, which carries others. Called by `calls.ts`.
 */
import { writePrefix } from '../../partitions/call.js';
import { fanOut } from '../../partitions/fan-out-messages.js';
import { type Address, NO_PARTITION } from '../../src/wire/frame.js';
import { type OpenCall, SILENCE_MS } from './open-call.js';
import type { Route, Routes } from './routes.js';
import { askOf } from './wish.js';

/** Who calls. */
export interface Caller {
  readonly routes: Routes;
  readonly client: number;
  /** No answer is needed any more of calls below this one. */
  below(): number;
}

/** A large call may be unanswered for longer: this many bytes a millisecond at the least. */
const SLOWEST_BYTES_PER_MS = 4 * 1024;

/** Throws what encoding the request throws. */
export function sendCall(call: OpenCall, route: Route, caller: Caller, nowMs: number): void {
  const { operation, partition, sequence } = call;
  const at = route.writeOffset;
  const writer = route.begin(operation.id, addressOf(caller, partition, sequence));
  try {
    const ask = askOf(call.wish, partition, call.lockWaitMs);
    if (call.attempts === 1) call.held = ask.atLeast;
    writePrefix(writer, call.structure, caller.below(), Math.ceil(nowMs - call.startedMs), ask);
    operation.request.write(writer, call.request);
  } catch (error) {
    // Half a message would break the connection for all others, and no attempt could write it.
    writer.length = at;
    throw error;
  }
  bearSilence(call, writer.length - at);
  route.end(at);
}

/** The same for reads that were asked for together, of partitions that this route leads to; at most `MAX_FAN_OUT`. */
export function sendFanOut(calls: readonly OpenCall[], route: Route, caller: Caller, nowMs: number): void {
  const [first] = calls as [OpenCall];
  const { operation, structure } = first;
  const at = route.writeOffset;
  const writer = route.begin(fanOut.id, addressOf(caller, NO_PARTITION, first.sequence));
  try {
    const each = calls.map((call) => {
      const { partition, sequence } = call;
      const { atLeast } = askOf(call.wish, partition, 0);
      if (call.attempts === 1) call.held = atLeast;
      return { partition, sequence, atLeast };
    });
    fanOut.write(writer, { operation: operation.id, calls: each });
    const ask = { ...askOf(first.wish, first.partition, 0), atLeast: null };
    writePrefix(writer, structure, caller.below(), Math.ceil(nowMs - first.startedMs), ask);
    operation.request.write(writer, first.request);
  } catch (error) {
    writer.length = at;
    throw error;
  }
  for (const call of calls) bearSilence(call, writer.length - at);
  route.end(at);
}

function bearSilence(call: OpenCall, sizeBytes: number): void {
  const doublings = call.waits ? 0 : Math.min(call.attempts - 1, 4);
  call.patienceMs = SILENCE_MS * 2 ** doublings + sizeBytes / SLOWEST_BYTES_PER_MS;
}

function addressOf({ routes, client }: Caller, partition: number, sequence: number): Address {
  const { view, lineage } = routes;
  return { partition, view, lineage, client, sequence };
}
