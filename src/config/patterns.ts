/**
 * Which row of a configuration counts for a name: the most specific one. `*` stands for any text, also none.
 * Members use it through `optionsFor`; it does no work that grows faster than the name times the pattern.
 */

export function matches(pattern: string, name: string): boolean {
  const parts = pattern.split('*');
  const first = parts[0]!;
  if (parts.length === 1) return pattern === name;
  const last = parts.at(-1)!;
  if (name.length < first.length + last.length) return false;
  if (!name.startsWith(first) || !name.endsWith(last)) return false;
  const end = name.length - last.length;
  let from = first.length;
  for (const part of parts.slice(1, -1)) {
    const at = name.indexOf(part, from);
    if (at === -1 || at + part.length > end) return false;
    from = at + part.length;
  }
  return true;
}

/** Higher is more specific; the exact name is above every pattern. */
function specificity(pattern: string): number {
  return pattern.includes('*') ? pattern.replaceAll('*', '').length : Number.POSITIVE_INFINITY;
}

/** The row for the name: exact, else most literal characters, else the first of them. */
export function mostSpecific<R extends { readonly pattern: string }>(
  rows: readonly R[],
  name: string,
): R | undefined {
  let best: R | undefined;
  for (const row of rows) {
    if (!matches(row.pattern, name)) continue;
    if (best === undefined || specificity(row.pattern) > specificity(best.pattern)) best = row;
  }
  return best;
}
