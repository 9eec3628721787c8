/**
 * The nearest right name to a wrong one, for messages. Everything that refuses a name by its text uses it:
 * options, presets, environment variables, commands.
 */

/** Edits (insert, delete, replace, swap of neighbours) that turn one text into the other. */
export function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = a[i - 1] === b[j - 1] ? 0 : 1;
      let edits = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + change);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        edits = Math.min(edits, beforeLast[j - 2]! + 1);
      }
      row.push(edits);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length]!;
}

/** Long texts are not typing errors of a name; this also bounds the work on what somebody sends. */
const LONGEST_NAME = 100;

/**
 * The candidate that `name` most probably means, or undefined when none is near. Case and separators do not
 * count; otherwise about a third of the letters may differ. Ties go to the earlier candidate.
 */
export function nearest(name: string, candidates: Iterable<string>): string | undefined {
  const plain = plainName(name);
  if (plain === '' || plain.length > LONGEST_NAME) return undefined;
  let best: string | undefined;
  let bestEdits = Math.max(1, Math.floor(plain.length / 3)) + 1;
  for (const candidate of candidates) {
    const other = plainName(candidate);
    if (Math.abs(other.length - plain.length) >= bestEdits && !isStart(plain, other)) continue;
    // A name that was broken off, or has something added, is near whatever its length.
    const edits = isStart(plain, other)
      ? Math.min(1, editDistance(plain, other))
      : editDistance(plain, other);
    if (edits < bestEdits) {
      best = candidate;
      bestEdits = edits;
    }
  }
  return best;
}

function isStart(a: string, b: string): boolean {
  return Math.min(a.length, b.length) >= 4 && (a.startsWith(b) || b.startsWith(a));
}

function plainName(name: string): string {
  return name.toLowerCase().replaceAll(/[-_. /]/g, '');
}
