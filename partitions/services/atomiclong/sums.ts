/**
 * What an atomic long consists of, so that two sides of a split can be put together without losing an addition: for
 * each actor (a primary for as long as it leads) the sum of its additions and their number, and a base: the last value
 * that was set, with the sums that it saw. The value is that of the base plus all additions that it had not seen, modulo
 * 2^64. Of two copies of an actor's sum the one with more additions holds the other. Pure functions and bytes; called
 * by state and merge of the atomic long.
 *
 * Folding. A sum that cannot grow any more, here or elsewhere, is added to the base, so that a counter of many
 * takeovers does not grow without end. A sum can grow only where its actor leads; a side that parted within
 * `forkRetentionMs` has the actors that the owner had then. So a sum may be folded when another actor of this side has
 * begun to add after its last change, and did so before the retention: whoever parted since has that successor, and
 * sends the older sum no more, because it did not change there (`changes` leaves out what is as old as the parting). A
 * sum that came by a merge was final there; it is folded when the merge itself is older than the retention.
 * A fork that lived for longer than the retention, and through more than `KEPT_SUMS` takeovers, can lose additions so.
 */
import type { Reader, Writer } from '../../../src/base/bytes.js';
import { ProtocolError } from '../../../src/base/errors.js';
import { i64 } from '../../../src/wire/fields.js';
import { compareVersions } from '../../merge-policies.js';
import type { Actor, PurgeHorizon, Version } from '../../service.js';
import { ACTOR_BYTES, isSameActor, nameOfActor, readActor, writeActor } from '../actors.js';

/** Sums that are always kept; of more, those that may be are folded. */
export const KEPT_SUMS = 64;
/** With more the oldest are folded although a fork may still be alive that has to do with them. */
const MAX_SUMS = 1_024;
/** Additions that are taken out again; more are taken out of the sum itself. */
const MAX_VOIDED = 16_384;
const MAX_TIME_MS = 2 ** 48;

/** Additions of an actor up to a point. */
export interface Tally {
  readonly actor: Actor;
  /** Signed, modulo 2^64. */
  readonly sum: bigint;
  readonly additions: number;
}

export interface Sum extends Tally {
  /** Position and time of the last change of the sum here. */
  readonly seq: number;
  readonly lastMs: number;
  /** When it began here. */
  readonly sinceMs: number;
  /** It came, in whole or in part, by a merge. */
  readonly isMerged: boolean;
}

/** An addition that is part of a sum and does not count, because the call was applied elsewhere, or is void. */
export interface Voided {
  readonly actor: Actor;
  /** The how manieth addition of the actor it was, from 1. */
  readonly ordinal: number;
  readonly amount: bigint;
}

export interface Base {
  readonly value: bigint;
  /** The mark of a removal. */
  readonly tombstone: boolean;
  readonly version: Version;
  /** Cluster that the version comes from, 0 for this one. */
  readonly origin: number;
  /** Position at which it was set here; 0 for one that folding made of nothing. */
  readonly seq: number;
  readonly seen: readonly Tally[];
}

export interface Sums {
  readonly base: Base | null;
  readonly sums: readonly Sum[];
  readonly voided: readonly Voided[];
  /** Position of the last change. */
  readonly seq: number;
}

const NEVER: Version = { ms: 0, counter: 0, memberHi: 0, memberLo: 0 };

export function wrap(value: bigint): bigint {
  return BigInt.asIntN(64, value);
}

export function tallyOf<T extends { readonly actor: Actor }>(
  list: readonly T[],
  actor: Actor,
): T | undefined {
  // The actor of today comes last.
  for (let i = list.length - 1; i >= 0; i--) {
    if (isSameActor((list[i] as T).actor, actor)) return list[i];
  }
  return undefined;
}

/** What the additions of one actor that the base had not seen add up to. */
function unseen(sum: Tally, { base, voided }: Pick<Sums, 'base' | 'voided'>): bigint {
  const seen = base === null ? undefined : tallyOf(base.seen, sum.actor);
  const from = seen?.additions ?? 0;
  if (sum.additions <= from) return 0n;
  let added = sum.sum - (seen?.sum ?? 0n);
  for (const { actor, ordinal, amount } of voided) {
    if (ordinal > from && ordinal <= sum.additions && isSameActor(actor, sum.actor)) added -= amount;
  }
  return added;
}

export function valueOfSums(state: Sums): bigint {
  return wrap(state.sums.reduce((value, sum) => value + unseen(sum, state), state.base?.value ?? 0n));
}

/** Nothing counts but the mark of a removal, or there is nothing at all. */
export function isRemoved({ base, sums }: Sums): boolean {
  if (base === null) return sums.length === 0;
  if (!base.tombstone) return false;
  return sums.every(({ actor, additions }) => additions <= (tallyOf(base.seen, actor)?.additions ?? 0));
}

/** What a base that is set now has seen. */
export function tallies({ sums }: Sums): Tally[] {
  return sums.map(({ actor, sum, additions }) => ({ actor, sum, additions }));
}

/** With one more addition, by `actor`. */
export function withAddition(state: Sums, actor: Actor, amount: bigint, seq: number, nowMs: number): Sums {
  const old = tallyOf(state.sums, actor);
  const sum: Sum = {
    actor,
    sum: wrap((old?.sum ?? 0n) + amount),
    additions: (old?.additions ?? 0) + 1,
    seq,
    lastMs: nowMs,
    sinceMs: old?.sinceMs ?? nowMs,
    isMerged: old?.isMerged ?? false,
  };
  return bounded({ ...state, sums: [...state.sums.filter((each) => each !== old), sum], seq });
}

/** The state with what may be folded by now folded; the same object when there is nothing. */
export function folded(state: Sums, horizon: PurgeHorizon, seq: number): Sums {
  let result = absorbed(state, horizon);
  const old = [...state.sums].sort((a, b) => a.seq - b.seq);
  for (const sum of old) {
    if (result.sums.length <= KEPT_SUMS) break;
    if (isFinal(sum, state.sums, horizon)) result = fold(result, sum);
  }
  return result === state ? state : { ...result, seq };
}

function isFinal(sum: Sum, all: readonly Sum[], { ms }: PurgeHorizon): boolean {
  if (sum.lastMs >= ms) return false;
  if (sum.isMerged) return true;
  return all.some(
    (other) => !other.isMerged && other.sinceMs >= sum.lastMs && other.sinceMs < ms && other !== sum,
  );
}

/** Voided additions of sums that did not change within the retention are taken out of the sums themselves. */
function absorbed(state: Sums, { ms }: PurgeHorizon): Sums {
  const old = state.voided.filter(({ actor }) => (tallyOf(state.sums, actor)?.lastMs ?? 0) < ms);
  return old.length === 0 ? state : old.reduce(absorb, state);
}

function absorb(state: Sums, voided: Voided): Sums {
  const seen = state.base === null ? undefined : tallyOf(state.base.seen, voided.actor);
  const counts = voided.ordinal > (seen?.additions ?? 0);
  const sums = state.sums.map((sum) =>
    counts && isSameActor(sum.actor, voided.actor) ? { ...sum, sum: wrap(sum.sum - voided.amount) } : sum,
  );
  return { ...state, sums, voided: state.voided.filter((each) => each !== voided) };
}

function fold(state: Sums, sum: Sum): Sums {
  const { actor } = sum;
  const base = state.base ?? { value: 0n, tombstone: false, version: NEVER, origin: 0, seq: 0, seen: [] };
  const added = unseen(sum, state);
  const isLive = !base.tombstone || sum.additions > (tallyOf(base.seen, actor)?.additions ?? 0);
  return {
    ...state,
    base: {
      ...base,
      value: wrap(base.value + added),
      tombstone: !isLive,
      seen: base.seen.filter((each) => !isSameActor(each.actor, actor)),
    },
    sums: state.sums.filter((each) => each !== sum),
    voided: state.voided.filter((each) => !isSameActor(each.actor, actor)),
  };
}

/** What goes beyond the bounds is folded, whatever its age. */
export function bounded(state: Sums): Sums {
  let result = state;
  while (result.sums.length > MAX_SUMS) {
    result = fold(
      result,
      result.sums.reduce((oldest, sum) => (sum.seq < oldest.seq ? sum : oldest)),
    );
  }
  while (result.voided.length > MAX_VOIDED) result = absorb(result, result.voided[0] as Voided);
  return result;
}

/** Deterministic text of everything that counts. */
export function textOf(state: Sums): string {
  const { base, sums, voided } = state;
  const tallyText = ({ actor, sum, additions }: Tally) => `${nameOfActor(actor)}:${sum}/${additions}`;
  const list = (items: readonly string[]) => `[${[...items].sort().join(' ')}]`;
  const { ms, counter, memberHi, memberLo } = base?.version ?? NEVER;
  const order = `${ms}.${counter}.${memberHi.toString(16)}.${memberLo.toString(16)}`;
  const baseText = base === null ? 'none' : `${base.value}@${order} seen ${list(base.seen.map(tallyText))}`;
  const voidText = voided.map(({ actor, ordinal, amount }) => `${nameOfActor(actor)}#${ordinal}:${amount}`);
  const content = isRemoved(state) ? 'tombstone' : valueOfSums(state);
  return `value base ${baseText} sums ${list(sums.map(tallyText))} void ${list(voidText)} ${content}`;
}

/** Whether one comes before, with or after the other. */
export function compareBases(a: Base, b: Base): number {
  return compareVersions(a.version, b.version);
}

export function writeBase(out: Writer, base: Base | null): void {
  out.u8(base === null ? 0 : base.tombstone ? 2 : 1);
  if (base === null) return;
  i64.write(out, base.value);
  out.f64(base.version.ms);
  out.u16(base.version.counter);
  out.u32(base.version.memberHi);
  out.u32(base.version.memberLo);
  out.u16(base.origin);
  out.f64(base.seq);
  out.u32(base.seen.length);
  for (const tally of base.seen) writeTally(out, tally);
}

export function readBase(input: Reader): Base | null {
  const kind = input.u8();
  if (kind === 0) return null;
  // Fields are read in the order in which they stand here.
  return {
    tombstone: kind === 2,
    value: i64.read(input),
    version: { ms: time(input), counter: input.u16(), memberHi: input.u32(), memberLo: input.u32() },
    origin: input.u16(),
    seq: whole(input),
    seen: readList(input, MAX_SUMS, readTally),
  };
}

function writeTally(out: Writer, { actor, sum, additions }: Tally): void {
  writeActor(out, actor);
  i64.write(out, sum);
  out.f64(additions);
}

function readTally(input: Reader): Tally {
  return { actor: readActor(input), sum: i64.read(input), additions: whole(input) };
}

/** What `writeVoided` writes: an actor, a number and an amount. */
export const VOIDED_BYTES = ACTOR_BYTES + 8 + 8;

export function writeVoided(out: Writer, { actor, ordinal, amount }: Voided): void {
  writeActor(out, actor);
  out.f64(ordinal);
  i64.write(out, amount);
}

export function readVoided(input: Reader): Voided {
  return { actor: readActor(input), ordinal: whole(input), amount: i64.read(input) };
}

/** Without its position: a delta has it from the stream, a copy writes it in front. */
export function writeSums(out: Writer, { base, sums, voided }: Sums): void {
  writeBase(out, base);
  out.u32(sums.length);
  for (const sum of sums) {
    writeTally(out, sum);
    out.f64(sum.seq);
    out.f64(sum.lastMs);
    out.f64(sum.sinceMs);
    out.u8(sum.isMerged ? 1 : 0);
  }
  writeVoidedList(out, voided);
}

export function readSums(input: Reader, seq: number): Sums {
  // Fields are read in the order in which they stand here.
  const base = readBase(input);
  const sums = readList(input, MAX_SUMS, (each) => ({
    ...readTally(each),
    seq: whole(each),
    lastMs: time(each),
    sinceMs: time(each),
    isMerged: each.u8() === 1,
  }));
  return { base, sums, voided: readVoidedList(input), seq };
}

export function writeVoidedList(out: Writer, voided: readonly Voided[]): void {
  out.u32(voided.length);
  for (const each of voided) writeVoided(out, each);
}

export function readVoidedList(input: Reader): Voided[] {
  return readList(input, MAX_VOIDED, readVoided);
}

function readList<T>(input: Reader, max: number, read: (input: Reader) => T): T[] {
  const size = input.u32();
  if (size > max) throw new ProtocolError(`an atomic long with a list of ${size}`);
  return Array.from({ length: size }, () => read(input));
}

function whole(input: Reader): number {
  const value = input.f64();
  if (!Number.isSafeInteger(value) || value < 0)
    throw new ProtocolError(`an atomic long with the number ${value}`);
  return value;
}

function time(input: Reader): number {
  const ms = input.f64();
  if (!(ms >= 0 && ms < MAX_TIME_MS)) throw new ProtocolError(`an atomic long with the time ${ms}`);
  return ms;
}
