/** How to read the table: with which errors calls were refused, and what each letter bought, in the figures of this run. Pure. */
import type { Figures } from './figures.js';
import { LEASE_MS, MEMBERS_OF, NEAR_STALENESS_MS, PRESETS } from './plan.js';
import { duration, millis } from './table.js';

const SHOWN = 3;

/** What writes and reads of the smaller side were refused with, a line for each preset. */
export function refusals({ presets }: Figures): string[] {
  return PRESETS.map((preset) => {
    const { writes, reads } = presets[preset].split.minority;
    const text = (errors: Readonly<Record<string, number>>) =>
      Object.entries(errors)
        .slice(0, SHOWN)
        .map(([name, count]) => `${count} ${name.replace(/Error$/, '')}`)
        .join(', ') || 'none';
    return `  ${preset}  refused to the side of 2: writes ${text(writes.errors)}; reads ${text(reads.errors)}`;
  });
}

export function explanation({ presets, lengthsMs }: Figures, distanceMs: number): string[] {
  const ec = presets['PA/EC'].together;
  const el = presets['PA/EL'].together;
  const p50 = (spread: { readonly p50: number } | null) =>
    spread === null ? '–' : `${millis(spread.p50)} ms`;
  const lease = presets['PC/EC'].minorityAcknowledgedForMs;
  return [
    `  PA  both sides of ${MEMBERS_OF.majority.length} and ${MEMBERS_OF.minority.length} go on; after ${duration(lengthsMs.split)} apart the merge keeps one value of each key,`,
    '      and reports every acknowledged one that it did not keep. What a side has no replica of it refuses.',
    `  PC  the minority's last write was acknowledged ${lease === null ? 'before the cut' : `${duration(lease)} after the cut`} (lease ${duration(LEASE_MS)}); no two sides ever disagree.`,
    `  EC  a write waits for its backup: p50 ${p50(ec.writes.latencyMs)} against ${p50(el.writes.latencyMs)} under PA/EL; a read asks the primary: ${p50(ec.reads.latencyMs)} against ${p50(el.reads.latencyMs)}.`,
    `  EL  reads come from a near cache (PA/EL, at most ${NEAR_STALENESS_MS} ms old) or the nearest replica (PC/EL), each with a bound`,
    '      of its age. True ages are measured from outside; a bound speaks of the history that answered, so under',
    '      PA not of what the other side writes, and under PC of everything.',
    `  The sides are ${distanceMs} ms apart, one way. "unknown": no answer came, and the error says that it may have been done.`,
  ];
}
