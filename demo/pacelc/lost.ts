/**
 * Which acknowledged writes are gone: neither there in the end, nor replaced by a later write, nor listed as discarded.
 * Pure. Used by the demonstration and by the tests of splits. Each key is written by one writer alone, or by several
 * while they are cut off from each other; a writer has one write of a key under way at a time. Values are `writer:n`.
 */

export interface EndOfWrite {
  readonly key: string;
  readonly value: string;
  /** Rises with each write of a writer to a key. */
  readonly n: number;
  readonly outcome: 'acknowledged' | 'refused' | 'unknown';
}

export interface Lost<W> {
  readonly write: W;
  readonly writer: string;
  /** The write whose value is there instead; undefined for nothing, or for a value that nobody wrote. */
  readonly instead: W | undefined;
}

/**
 * Only the last acknowledged write of each writer to a key can be missed. A write of unknown outcome, of whoever, may
 * have taken effect late and in the usual way, so a value that one left excuses what was there before. `discarded`:
 * `key=value` of what merges have reported.
 */
export function lostWrites<W extends EndOfWrite>(
  writes: readonly W[],
  found: ReadonlyMap<string, string>,
  discarded: ReadonlySet<string>,
): Lost<W>[] {
  const lost: Lost<W>[] = [];
  for (const [key, ofKey] of groupBy(writes, (write) => write.key)) {
    const there = found.get(key);
    const instead = ofKey.find(({ value }) => value === there);
    if (instead?.outcome === 'unknown') continue;
    for (const [writer, own] of groupBy(ofKey, ({ value }) => value.slice(0, value.indexOf(':')))) {
      const last = own.findLast(({ outcome }) => outcome === 'acknowledged');
      if (last === undefined || instead === last) continue;
      const later = own.filter(({ n, outcome }) => n > last.n && outcome === 'unknown');
      if ([last, ...later].some(({ value }) => discarded.has(`${key}=${value}`))) continue;
      lost.push({ write: last, writer, instead });
    }
  }
  return lost;
}

export function groupBy<T>(items: readonly T[], groupOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const name = groupOf(item);
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [item]);
    else group.push(item);
  }
  return groups;
}
