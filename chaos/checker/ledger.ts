/**
 * The loss ledger of keys that both sides of a split wrote: each acknowledged write is there at the end, or was
 * overwritten on its own side, or stands in a merge report. Every write has a value of its own. Called by the judge of
 * available structures.
 */
import type { HistoryOperation } from './history.js';

export interface LedgerInput {
  readonly history: readonly HistoryOperation[];
  /** By key; absent keys are missing. */
  readonly found: ReadonlyMap<string, unknown>;
  /** Values that the merge reports say were not kept, by key. */
  readonly reported: ReadonlyMap<string, ReadonlySet<string>>;
  /** Whether the second may have been applied where the first was, after it. */
  readonly mayFollow: (first: HistoryOperation, second: HistoryOperation) => boolean;
}

export interface Ledger {
  readonly acknowledged: number;
  readonly present: number;
  readonly reported: number;
  readonly superseded: number;
  /** Neither here nor there: silent loss. */
  readonly lost: readonly HistoryOperation[];
  /** Broken in another way, for people. */
  readonly problems: readonly string[];
}

export function loseNothingSilently({ history, found, reported, mayFollow }: LedgerInput): Ledger {
  const byKey = new Map<string, HistoryOperation[]>();
  for (const operation of history) byKey.set(operation.k, [...(byKey.get(operation.k) ?? []), operation]);
  const counts = { acknowledged: 0, present: 0, reported: 0, superseded: 0 };
  const lost: HistoryOperation[] = [];
  const problems: string[] = [];
  for (const [k, operations] of byKey) {
    const value = found.get(k);
    const changes = operations.filter(mayHaveChanged);
    for (const operation of changes) {
      const written = writtenBy(operation);
      if (operation.type !== 'ok' || written === null) continue;
      counts.acknowledged++;
      if (value === written) counts.present++;
      else if (reported.get(k)?.has(written) === true) counts.reported++;
      else if (changes.some((other) => other !== operation && mayFollow(operation, other)))
        counts.superseded++;
      else lost.push(operation);
    }
    problems.push(...strangers(k, value, operations, reported.get(k) ?? new Set()));
  }
  return { ...counts, lost, problems };
}

/** Values that are there, or in a report, although nobody can have written them. */
function strangers(
  k: string,
  value: unknown,
  operations: readonly HistoryOperation[],
  reported: ReadonlySet<string>,
): string[] {
  const written = new Map(operations.map((operation) => [writtenBy(operation), operation]));
  const problems: string[] = [];
  if (value !== undefined && value !== null) {
    const writer = written.get(value as string);
    if (writer === undefined) problems.push(`${k} has the value ${String(value)}, which nobody wrote`);
    else if (writer.type === 'fail')
      problems.push(`${k} has the value ${String(value)}, whose write was reported as not done`);
  }
  for (const text of reported)
    if (!written.has(text)) problems.push(`a report for ${k} names the value ${text}, which nobody wrote`);
  return problems;
}

/** What the operation leaves when it takes effect: a value, or null for nothing. */
function writtenBy({ f, v, to }: HistoryOperation): string | null {
  if (f === 'remove' || f === 'removeIfSame') return null;
  return (f === 'cas' ? to : v) as string;
}

/** Not a read, not refused, and not a conditional write that says that it changed nothing. */
function mayHaveChanged({ f, type, out }: HistoryOperation): boolean {
  if (f === 'read' || f === 'contains' || type === 'fail') return false;
  if (type === 'info') return true;
  if (f === 'cas' || f === 'removeIfSame') return out !== false;
  if (f === 'putIfAbsent') return out === null;
  return f === 'replace' ? out !== null : true;
}
