/**
 * What stands below the table: the errors with which calls were refused, and what each letter bought, in the figures of
 * the run. Pure.
 */
import type { Calls, Figures, Spread } from './figures.js';
import { LEASE_MS, MEMBERS_OF, NEAR_STALENESS_MS, PRESETS } from './plan.js';
import { duration, millis } from './table.js';

/** So many fit into a line. */
const NAMES = 3;

/** How calls of the smaller side ended that were not answered, a line for each preset. */
export function refusals({ presets }: Figures): string[] {
  const lines = PRESETS.map((preset) => {
    const errors = Object.entries(errorsOf(presets[preset].split.minority)).sort(([, a], [, b]) => b - a);
    const more = errors.slice(NAMES).reduce((sum, [, times]) => sum + times, 0);
    const named = errors.slice(0, NAMES).map(([name, times]) => `${times} ${name}`);
    return `  ${preset}  ${[...named, ...(more > 0 ? [`${more} others`] : [])].join(', ') || 'none'}`;
  });
  return [`Writes and reads that the side of ${MEMBERS_OF.minority.length} did not get answered:`, ...lines];
}

function errorsOf({ writes, reads }: Calls): Record<string, number> {
  const sums: Record<string, number> = { ...writes.errors };
  for (const [name, times] of Object.entries(reads.errors)) sums[name] = (sums[name] ?? 0) + times;
  return sums;
}

/** At most ten lines of at most 100 columns. */
export function explanation({ presets, lengthsMs }: Figures, distanceMs: number): string[] {
  const [ec, el] = [presets['PA/EC'].together, presets['PA/EL'].together];
  const lastMs = presets['PC/EC'].minorityAcknowledgedForMs;
  const last = lastMs === null ? 'before the cut' : `${duration(lastMs)} after the cut`;
  const reported = presets['PA/EC'].discarded.length + presets['PA/EL'].discarded.length;
  const undone = [presets['PC/EC'], presets['PC/EL']].reduce(
    (sum, { discarded, lost }) => sum + discarded.length + lost.length,
    0,
  );
  const cut = presets['PC/EL'].split.minority.reads.behindOther;
  const told = cut.count > 0 && cut.boundMs === null ? ', of unknown age' : '';
  return [
    'What each letter bought',
    `  PA  Both sides went on for ${duration(lengthsMs.split)}. Of what both wrote the merge kept one value, and reported ${reported}`,
    '      acknowledged writes that it did not keep. Only what a side has no replica of it refuses.',
    `  PC  The last write of the small side was acknowledged ${last} (a lease is ${duration(LEASE_MS)}).`,
    `      It refuses until the heal. Acknowledged writes that are discarded or lost: ${undone}.`,
    `  EC  Writes wait for a backup, reads ask the primary: p50 ${p50(ec.writes.latencyMs)} and ${p50(ec.reads.latencyMs)} under PA/EC.`,
    `  EL  Writes do not wait, reads come from near by: p50 ${p50(el.writes.latencyMs)} and ${p50(el.reads.latencyMs)} under PA/EL, where`,
    `      a near cache gives nothing older than ${NEAR_STALENESS_MS} ms. Each read tells a bound of its age: under PA of`,
    `      its own side's writes, under PC of all. PC/EL is still read on the small side${told}.`,
    `  The sides are ${distanceMs} ms apart. Ages are true ones, measured from outside by one clock.`,
  ];
}

function p50(spread: Spread | null): string {
  return spread === null ? '–' : `${millis(spread.p50)} ms`;
}
