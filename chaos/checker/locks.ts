/**
 * Checks of locks: what callers were given and told, by the times at which something was certainly held: from the
 * acknowledged lock to the sent unlock, or to the earliest time at which its lease or its session may have ended. A line
 * for each kind of problem.
 */
import type { Entry } from '../workload/recorder.js';

const SHOWN = 3;

export interface Held {
  readonly k: string;
  /** Names the session. */
  readonly caller: { readonly host: string };
  readonly worker: string;
  readonly fence: bigint;
  readonly callMs: number;
  readonly ackMs: number;
  readonly leaseMs: number | null;
  /** The side that gave it: what is given on other sides is not held against it. */
  readonly side: string;
  readonly endMs: number | null;
  readonly unlock: Pick<Entry, 'code' | 'retMs'> | null;
  /** The side that refused the first unlock; null when it is not known. Left out: the one that gave it. */
  readonly refusedBySide?: string | null;
  /** Whether its session lives as long as nothing is heard of it for so long, and no shorter. */
  readonly isCertain: boolean;
}

/** An acknowledged write of somebody who had no lock. */
export interface Intruded {
  readonly k: string;
  readonly caller: { readonly host: string };
  readonly side: string;
  readonly callMs: number;
  readonly retMs: number;
}

export interface LocksInput {
  readonly holds: readonly Held[];
  readonly intrusions: readonly Intruded[];
  /** Silence after which a session counts as dead. */
  readonly holderMs: number;
  /** Of clocks, as a share. */
  readonly drift: number;
}

interface Span {
  readonly hold: Held;
  readonly fromMs: number;
  readonly toMs: number;
}

export function checkLocks({ holds, intrusions, holderMs, drift }: LocksInput): string[] {
  const spans = holds.filter(({ isCertain }) => isCertain).map((hold) => spanOf(hold, holderMs, drift));
  const problems: string[] = [];
  const tell = (what: string, found: readonly string[]) => {
    if (found.length > 0) problems.push(`${found.length} times ${what}: ${found.slice(0, SHOWN).join('; ')}`);
  };
  tell('a lock was held twice at one time', heldTwice(spans));
  tell('a fence went back, or came twice', fencesBack(holds));
  tell('a lock was written past', writtenPast(spans, intrusions));
  tell('a lock was lost while it was held', lostHeld(holds, holderMs, drift));
  return problems;
}

function spanOf(hold: Held, holderMs: number, drift: number): Span {
  const { ackMs, callMs, leaseMs, endMs } = hold;
  // A primary counts from when it granted it, which is not before the call; its clock may be fast.
  const leaseEndMs = leaseMs === null ? Number.POSITIVE_INFINITY : callMs + leaseMs * (1 - 2 * drift);
  const sessionEndMs = callMs + holderMs * (1 - 2 * drift);
  const toMs = Math.min(endMs ?? Number.POSITIVE_INFINITY, leaseEndMs, sessionEndMs);
  return { hold, fromMs: ackMs, toMs };
}

function isSame(a: { readonly k: string; readonly side: string }, b: typeof a): boolean {
  return a.k === b.k && a.side === b.side;
}

function heldTwice(spans: readonly Span[]): string[] {
  const found: string[] = [];
  const sorted = [...spans].sort((a, b) => a.fromMs - b.fromMs);
  sorted.forEach((one, i) => {
    for (let j = i + 1; j < sorted.length; j++) {
      const other = sorted[j] as Span;
      if (other.fromMs >= one.toMs) break;
      if (isSame(one.hold, other.hold) && other.toMs > other.fromMs)
        found.push(`${nameOf(one)} and ${nameOf(other)}`);
    }
  });
  return found;
}

/** Of what was acknowledged before another one was called, also where leases and sessions have ended. */
function fencesBack(holds: readonly Held[]): string[] {
  const found: string[] = [];
  for (const later of holds)
    for (const earlier of holds) {
      if (earlier === later || !isSame(earlier, later)) continue;
      const isBack = earlier.ackMs <= later.callMs && earlier.fence >= later.fence;
      const isTwice = earlier.fence === later.fence && earlier.callMs <= later.callMs;
      if (isBack || isTwice) found.push(`${later.fence} by ${later.worker} after ${earlier.fence}`);
    }
  return found;
}

function writtenPast(spans: readonly Span[], intrusions: readonly Intruded[]): string[] {
  return intrusions.flatMap((intrusion) => {
    const past = spans.find(
      ({ hold, fromMs, toMs }) =>
        isSame(hold, intrusion) &&
        hold.caller.host !== intrusion.caller.host &&
        fromMs <= intrusion.callMs &&
        intrusion.retMs <= toMs,
    );
    return past === undefined ? [] : [`${nameOf(past)}, written at ${intrusion.callMs.toFixed(1)}`];
  });
}

/** The first unlock was refused before lease or session can have ended. */
function lostHeld(holds: readonly Held[], holderMs: number, drift: number): string[] {
  return holds.flatMap((hold) => {
    const { unlock, isCertain, side, refusedBySide = side } = hold;
    // What a side gave is gone where it was merged in.
    if (refusedBySide !== side) return [];
    const isRefused = unlock?.code === 'ERR_LOCK_LOST' || unlock?.code === 'ERR_NOT_LOCK_OWNER';
    const span = spanOf({ ...hold, endMs: null }, holderMs, drift);
    return isCertain && isRefused && (unlock.retMs as number) < span.toMs ? [nameOf(span)] : [];
  });
}

function nameOf({ hold, fromMs, toMs }: Span): string {
  return `${hold.k} by ${hold.worker} from ${fromMs.toFixed(1)} to ${toMs.toFixed(1)} with ${hold.fence}`;
}
