/**
 * Entry processors that append the name of their call to a list: what the key does when it is used by one client at a time,
 * and how often each call took effect in the end. Called by the runner and by tests.
 */
import type { HistoryOperation } from './history.js';
import { canonical } from './models.js';

const SHOWN = 3;

interface Placed {
  readonly text: string;
  /** How long the list is after it. */
  readonly length: number;
  readonly isRead: boolean;
  readonly call: number;
  readonly ret: number;
}

/**
 * Each key in one order: the list that is left names it, so nothing has to be searched. What a call answered is a
 * beginning of that list, and a call that ended before another one began comes before it.
 */
export function checkInOrder(
  history: readonly HistoryOperation[],
  final: ReadonlyMap<string, unknown>,
): string[] {
  const problems: string[] = [];
  for (const [k, operations] of byKey(history)) {
    const list = (final.get(k) ?? []) as readonly unknown[];
    const beginnings = list.map((_, i) => canonical(list.slice(0, i + 1)));
    const placed: Placed[] = [];
    for (const { f, v, out, call, ret, type } of operations) {
      if (type === 'fail' || (type === 'info' && f === 'read')) continue;
      const isRead = f === 'read';
      const given = isRead ? (out ?? []) : out;
      const text = `${isRead ? 'a reading' : String(v)} at ${call}`;
      const length = given === undefined ? list.indexOf(v) + 1 : (given as readonly unknown[]).length;
      const isBeginning = length === 0 || given === undefined || canonical(given) === beginnings[length - 1];
      if (!isBeginning) problems.push(`${k}: ${text} was told what is no beginning of the list in the end`);
      else if (!isRead && type === 'ok' && list[length - 1] !== v)
        problems.push(`${k}: ${text} was told a list that does not end with it`);
      // What has not taken effect has no place.
      else if (isRead || length > 0) placed.push({ text, length, isRead, call, ret: ret ?? Infinity });
    }
    problems.push(...backwards(placed).map((text) => `${k}: ${text}`));
  }
  return problems;
}

function byKey(history: readonly HistoryOperation[]): ReadonlyMap<string, HistoryOperation[]> {
  const keys = new Map<string, HistoryOperation[]>();
  for (const operation of history) keys.set(operation.k, [...(keys.get(operation.k) ?? []), operation]);
  return keys;
}

function backwards(placed: readonly Placed[]): string[] {
  const found: string[] = [];
  for (const later of placed)
    for (const earlier of placed) {
      if (earlier.ret >= later.call) continue;
      const isBack = later.isRead ? earlier.length > later.length : earlier.length >= later.length;
      if (isBack) found.push(`${earlier.text} ended before ${later.text} began, and comes behind it`);
    }
  return found.slice(0, SHOWN);
}

/** `final`: the lists that are left, by key; one that is missing was empty. An acknowledged call is there once, any other at most once. */
export function checkProcessed(
  history: readonly HistoryOperation[],
  final: ReadonlyMap<string, unknown>,
): string[] {
  const problems: string[] = [];
  const appends = history.filter(({ f }) => f === 'append');
  const known = new Set(appends.map(({ k, v }) => `${k} ${String(v)}`));
  const counts = new Map<string, number>();
  for (const [k, list] of final)
    for (const name of list as readonly unknown[]) {
      const id = `${k} ${String(name)}`;
      counts.set(id, (counts.get(id) ?? 0) + 1);
      if (!known.has(id)) problems.push(`${k}: ${String(name)} was appended by no call`);
    }
  for (const { k, v, type } of appends) {
    const count = counts.get(`${k} ${String(v)}`) ?? 0;
    if (count > 1) problems.push(`${k}: the processor of ${String(v)} took effect ${count} times`);
    if (type === 'ok' && count === 0) problems.push(`${k}: the acknowledged ${String(v)} is not there`);
    if (type === 'fail' && count > 0) problems.push(`${k}: ${String(v)} is there and had been refused`);
  }
  return problems;
}
