/**
 * What the grid reports about merges, gathered from a client or a member and put into the words of the checks. The one
 * place that knows the form of the report.
 */

/** The parts of the public report that are read here. */
interface PublicReport {
  readonly id: string;
  readonly truncated?: boolean;
  entries(): AsyncIterable<{
    readonly structure: string;
    readonly key: unknown;
    readonly kept: unknown;
    readonly discarded: unknown;
    readonly side: string;
    readonly reason: string;
  }>;
}

interface WithMerges {
  merges(): Promise<readonly PublicReport[]>;
}

export interface Discarded {
  readonly structure: string;
  readonly key: string;
  /** Text; null for an absent entry. */
  readonly kept: string | null;
  readonly discarded: string | null;
  readonly side: string;
}

export interface MergeReports {
  readonly merges: number;
  readonly discarded: readonly Discarded[];
  /** Some reports had no room for all: what is missing there proves nothing. */
  readonly isTruncated: boolean;
}

export const NO_REPORTS: MergeReports = { merges: 0, discarded: [], isTruncated: false };

/** All reports that nobody acknowledged; nothing when this build does not report merges. */
export async function readMergeReports(grid: object): Promise<MergeReports> {
  if (typeof (grid as Partial<WithMerges>).merges !== 'function') return NO_REPORTS;
  const reports = await (grid as WithMerges).merges();
  const discarded: Discarded[] = [];
  for (const report of reports) {
    for await (const entry of report.entries()) {
      discarded.push({
        structure: nameOf(entry.structure),
        key: String(entry.key),
        kept: textOrNull(entry.kept),
        discarded: textOrNull(entry.discarded),
        side: entry.side,
      });
    }
  }
  return {
    merges: reports.length,
    discarded,
    isTruncated: reports.some((report) => report.truncated === true),
  };
}

/** `map/users` and `users` are the same here: names of structures are unique in a run. */
function nameOf(structure: string): string {
  return structure.slice(structure.lastIndexOf('/') + 1);
}

function textOrNull(value: unknown): string | null {
  return value === null || value === undefined ? null : String(value);
}
