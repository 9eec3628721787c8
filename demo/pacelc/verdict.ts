/**
 * Which promises a run broke, a sentence each; and why a run proves nothing. Pure. What is not promised is no matter
 * here: a side of a split may miss the writes of the other side under PA, and an EL read may be stale within its bound.
 */
import type { Figures, PresetFigures } from './figures.js';
import { isAvailable, PRESETS, type PresetName } from './plan.js';

export function brokenPromises(figures: Figures): string[] {
  return PRESETS.flatMap((preset) => {
    const of = figures.presets[preset];
    const found = [
      ...always(of),
      ...(isAvailable(preset) ? available(preset, of, figures) : consistent(preset, of)),
    ];
    return found.map((text) => `${preset}: ${text}`);
  });
}

function always({ lost, invented, beyondBound, hitsTooOld }: PresetFigures): string[] {
  const problems: string[] = [];
  if (lost.length > 0) problems.push(`${lost.length} acknowledged writes are lost: ${shortened(lost)}`);
  if (invented.length > 0) problems.push(`values that nobody wrote are there: ${shortened(invented)}`);
  if (beyondBound > 0) problems.push(`${beyondBound} reads were older than their answers said`);
  if (hitsTooOld > 0) problems.push(`${hitsTooOld} hits of the near cache were older than it allows`);
  return problems;
}

function consistent(preset: PresetName, of: PresetFigures): string[] {
  const problems: string[] = [];
  const { answeredAfterLease: late, split } = of;
  if (late > 0)
    problems.push(`primaries of the minority answered ${late} calls later than a lease after the cut`);
  const stale = staleIn(of);
  if (preset === 'PC/EC' && stale > 0) problems.push(`${stale} stale reads, and none is promised`);
  if (split.majority.writes.acknowledged === 0)
    problems.push('the majority acknowledged nothing while it was apart');
  return problems;
}

function available(preset: PresetName, of: PresetFigures, { isDisturbed, isTruncated }: Figures): string[] {
  const problems: string[] = [];
  for (const [side, { writes }] of Object.entries(of.split))
    if (writes.acknowledged === 0) problems.push(`the ${side} acknowledged nothing while it was apart`);
  const stale = of.together.reads.stale.count;
  if (preset === 'PA/EC' && stale > 0 && !isDisturbed)
    problems.push(`${stale} stale reads while nobody was cut off`);
  if (isTruncated)
    problems.push('a merge report had no room for everything, so it cannot be held against the losses');
  return problems;
}

function staleIn({ together, split, healing, whole }: PresetFigures): number {
  return [together, split.majority, split.minority, healing, whole].reduce(
    (sum, { reads }) => sum + reads.stale.count + reads.behindOther.count,
    0,
  );
}

function shortened(items: readonly string[]): string {
  return items.length > 3 ? `${items.slice(0, 3).join(', ')} and ${items.length - 3} more` : items.join(', ');
}
