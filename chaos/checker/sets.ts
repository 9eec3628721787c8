/**
 * Checks that need no search: acknowledged writes that are missing at the end, and the bounds of a counter. Called
 * by the runner with the history of a run and what was read after the heal.
 */
import type { HistoryOperation } from './history.js';

const SHOWN = 5;

/**
 * Keys that were written once each, against the final contents: acknowledged ones must be there with their value,
 * refused ones must not, unknown ones may. Returns a line for each kind of problem.
 */
export function checkWrittenOnce(
  history: readonly HistoryOperation[],
  found: ReadonlyMap<string, unknown>,
): string[] {
  const lost: string[] = [];
  const wrong: string[] = [];
  const undone: string[] = [];
  const known = new Set<string>();
  for (const { k, v, type } of history) {
    known.add(k);
    const value = found.get(k);
    if (type === 'ok' && value === undefined) lost.push(k);
    else if (type === 'fail' && value !== undefined) undone.push(k);
    else if (value !== undefined && value !== v) wrong.push(k);
  }
  const strange = [...found.keys()].filter((key) => !known.has(key));
  return [
    line('acknowledged writes are lost', lost),
    line('writes were reported as not done and are there', undone),
    line('keys have a value that nobody wrote', wrong),
    line('keys are there that nobody wrote', strange),
  ].filter((text) => text !== '');
}

function line(what: string, keys: readonly string[]): string {
  if (keys.length === 0) return '';
  const more = keys.length > SHOWN ? ` and ${keys.length - SHOWN} more` : '';
  return `${keys.length} ${what}: ${keys.slice(0, SHOWN).join(', ')}${more}`;
}

/** The sum of a counter that only grows: all acknowledged additions, and of the unknown ones any. */
export function checkCounterBounds(history: readonly HistoryOperation[], final: bigint): string[] {
  let least = 0n;
  let most = 0n;
  for (const { f, v, from, to, type, out } of history) {
    const added = additionOf(f, v, from, to);
    if (added === 0n || type === 'fail') continue;
    const swapFailed = f === 'compareAndSet' && type === 'ok' && out !== true;
    if (swapFailed) continue;
    most += added;
    if (type === 'ok') least += added;
  }
  if (final < least) return [`the counter is ${final}, but acknowledged additions make ${least}`];
  if (final > most) return [`the counter is ${final}, but all additions together make ${most}`];
  return [];
}

function additionOf(f: string, v: unknown, from: unknown, to: unknown): bigint {
  if (f === 'incrementAndGet') return 1n;
  if (f === 'addAndGet' || f === 'getAndAdd') return BigInt(v as number);
  if (f === 'compareAndSet') return BigInt(to as string) - BigInt(from as string);
  return 0n;
}
