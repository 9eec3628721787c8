/**
 * Holds reads that may be behind against what EL promises: what a replica serves is a prefix of its primary's history, no
 * answer is older than it says or than the call allows, a session never goes back, and one is lost only with what it has
 * seen. Pure; called by the judge of runs with splits.
 */
import { type EpochStart, type Place, seenBy } from '../../partitions/history.js';
import type { BehindCall } from '../workload/behind.js';

export interface BehindInput {
  readonly calls: readonly BehindCall[];
  /** By partition: how far the contents go at the end, and where they come from. */
  readonly final: ReadonlyMap<number, { readonly seq: number; readonly history: readonly EpochStart[] }>;
  /** Clocks run so much faster or slower: 0.02 is 2 %. */
  readonly drift: number;
  /** Primaries have vouched for positions under a lease: an age is one of the whole grid, not of a side. */
  readonly isLeased: boolean;
  /** Nobody was cut off: there is one history, and a session is lost only with a part of it. */
  readonly isWhole: boolean;
}

/** Of an age, beside drift: it is rounded on its way. */
const SLACK_MS = 2;
const SHOWN = 5;

export function checkBehind(input: BehindInput): string[] {
  const writes = new Map<string, BehindCall[]>();
  for (const call of input.calls) {
    if (call.kind !== 'write' || call.place === null) continue;
    const ofKey = writes.get(call.key);
    if (ofKey === undefined) writes.set(call.key, [call]);
    else ofKey.push(call);
  }
  const problems = [
    ...input.calls.flatMap((call) =>
      call.kind === 'read' ? checkRead(call, writes.get(call.key) ?? [], input) : [],
    ),
    ...checkSessions(input),
  ];
  const more = problems.length - SHOWN;
  return more > 0 ? [...problems.slice(0, SHOWN), `and ${more} more`] : problems;
}

function textOf({ session, host, key, kind, value, callMs, place, source, ageMs }: BehindCall): string {
  const at = place === null ? 'nowhere' : `${place.lineage.toString(16)}/${place.epoch}#${place.seq}`;
  return `${kind} of ${key} (${value}) in ${session} at ${host}, called at ${callMs.toFixed(0)}, ${source ?? ''} ${at}, age ${ageMs.toFixed(1)}`;
}

/** Whether a write is part of the history that a place is of, as far as that is certain. */
function isBefore(write: Place, place: Place, partition: number, input: BehindInput): boolean {
  if (write.seq > place.seq) return false;
  return isSameEpoch(write, place) || (isKept(write, partition, input) && isKept(place, partition, input));
}

function isSameEpoch(a: Place, b: Place): boolean {
  return a.lineage === b.lineage && a.epoch === b.epoch;
}

function checkRead(read: BehindCall, writes: readonly BehindCall[], input: BehindInput): string[] {
  const { place, retMs, callMs, ageMs, maxStalenessMs } = read;
  if (place === null || retMs === null) return [];
  const problems: string[] = [];
  if (maxStalenessMs !== null && ageMs > maxStalenessMs)
    problems.push(`${textOf(read)}: older than the ${maxStalenessMs} ms that it allowed`);
  const own = writes.find(({ value }) => value === read.value);
  for (const write of writes) {
    const at = write.place as Place;
    if (write === own || write.retMs === null) continue;
    const hides = isBefore(at, place, read.partition, input) && isOlder(read, own, at, input);
    if (hides) problems.push(`${textOf(read)}: not a prefix, it lacks the ${textOf(write)}`);
    const freshMs = callMs - ageMs * (1 + 2 * input.drift) - SLACK_MS;
    const isSameSide = input.isLeased
      ? read.side.slice(0, 8) === write.side.slice(0, 8)
      : read.side === write.side;
    if (write.retMs < freshMs && isSameSide && at.seq > place.seq && isKept(at, read.partition, input))
      problems.push(
        `${textOf(read)}: older than it says, it lacks the ${textOf(write)}, answered at ${write.retMs.toFixed(0)}`,
      );
  }
  return problems;
}

/**
 * What was read is certainly older than a change of the key: absent, or of an earlier position of one history. Nobody knows
 * the position of a write of unknown outcome, and what came by a merge has another one here.
 */
function isOlder(read: BehindCall, own: BehindCall | undefined, at: Place, input: BehindInput): boolean {
  if (read.value === null) return true;
  const place = own?.place ?? null;
  return place !== null && place.seq < at.seq && isBefore(place, at, read.partition, input);
}

function isKept(at: Place, partition: number, { final }: BehindInput): boolean {
  const contents = final.get(partition);
  return contents !== undefined && seenBy(contents, at) === 'here';
}

/** Positions of a session never go back in one history; when it was lost, so was something that it had seen. */
function checkSessions({ calls, final, isLeased, isWhole }: BehindInput): string[] {
  const problems: string[] = [];
  const latest = new Map<string, BehindCall>();
  for (const call of calls) {
    const name = `${call.session} ${call.partition}`;
    const before = latest.get(name);
    if (call.code === 'ERR_SESSION_LOST') {
      const contents = final.get(call.partition);
      const seen = before?.seen ?? null;
      const isOneHistory = isLeased || isWhole;
      if (isOneHistory && contents !== undefined && (seen === null || seenBy(contents, seen) === 'here'))
        problems.push(`${textOf(call)}: lost, although all that it had seen is there`);
      continue;
    }
    if (call.place === null) continue;
    const back = before?.seen ?? null;
    if (back !== null && call.callMs >= (before?.retMs ?? 0)) {
      // A primary answers with the position that its answer depends on, which may be an earlier one.
      if (
        isSameEpoch(back, call.place) &&
        call.source !== 'primary' &&
        call.kind === 'read' &&
        call.place.seq < back.seq
      )
        problems.push(`${textOf(call)}: went back behind the ${textOf(before as BehindCall)}`);
    }
    const contents = final.get(call.partition);
    const isRenewed =
      contents !== undefined &&
      back !== null &&
      call.callMs >= (before?.retMs ?? 0) &&
      !isSameEpoch(back, call.place) &&
      seenBy(contents, back) === 'lost' &&
      seenBy(contents, call.place) === 'here';
    if (isRenewed)
      problems.push(
        `${textOf(call)}: went on without a word although the ${textOf(before as BehindCall)} was lost`,
      );
    const { seen } = call;
    if (seen !== null && (back === null || back.seq < seen.seq || back.epoch !== seen.epoch))
      latest.set(name, call);
  }
  return problems;
}
