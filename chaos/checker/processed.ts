/**
 * Entry processors that append the name of their call to a list: what the key does when it is used by one client at a time,
 * and how often each call took effect in the end. Called by the runner and by tests.
 */
import type { HistoryOperation } from './history.js';
import { type Call, canonical, ILLEGAL, type Model, UNKNOWN } from './models.js';

const NOTHING = '[]';

/** `append` (the answer is the list with `v` at its end; not checked when there is none) and `read` (the list, or null). */
export const appendModel: Model<string, Call, unknown> = {
  initial: NOTHING,
  key: (state) => state,
  isRead: ({ f }) => f === 'read',
  step(state, { f, v }, output) {
    if (f === 'read') return output === UNKNOWN || canonical(output ?? []) === state ? state : ILLEGAL;
    if (f !== 'append') throw new Error(`the append model does not know the operation ${JSON.stringify(f)}`);
    const next = state === NOTHING ? `[${canonical(v)}]` : `${state.slice(0, -1)},${canonical(v)}]`;
    return output === UNKNOWN || output === undefined || canonical(output) === next ? next : ILLEGAL;
  },
};

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
