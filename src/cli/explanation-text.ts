/** How `elsegrid explain` prints an explanation for people. Pure. */
import type { Explanation, Loss, Now, Promised, Reported } from '../policy/explanation.js';
import type { Lag } from '../policy/status.js';
import { bytesText, type Cell, table } from './output.js';

const SHOWN_RANGES = 8;

export function explanationText(explanation: Explanation): string {
  const { kind, structure, classText, promises, losses, now } = explanation;
  const kept = promises.filter(({ holds }) => holds);
  const broken = promises.filter(({ holds, applies }) => applies && !holds);
  const others = promises.filter(({ applies }) => !applies);
  return [
    `${kind} ${JSON.stringify(structure)}`,
    classText,
    `Promised:\n${promisedText(kept)}`,
    ...(broken.length === 0 ? [] : [`Not promised:\n${promisedText(broken)}`]),
    `Not for this structure:\n${others.map(({ id, because }) => `${id.padEnd(3)} ${because}`).join('\n')}`,
    otherCallsText(explanation),
    `May be lost:\n${losses.map(lossText).join('\n')}`,
    ...(now === null ? [] : [nowText(now)]),
  ].join('\n\n');
}

function promisedText(rows: readonly Promised[]): string {
  return rows
    .map(({ id, text, because, knob }) => {
      const option = knob === null || because.includes(knob) ? '' : ` (${knob})`;
      return `${id.padEnd(3)} ${text}\n    ${because}${option}`;
    })
    .join('\n');
}

function otherCallsText({ otherCalls: { consistency, classText, gains, givesUp } }: Explanation): string {
  const changes = [
    ...(gains.length === 0 ? [] : [`gains ${gains.join(' ')}`]),
    ...(givesUp.length === 0 ? [] : [`gives up ${givesUp.join(' ')}`]),
  ];
  const change = changes.length === 0 ? 'promises the same' : changes.join(', ');
  return `A call with { consistency: '${consistency}' } ${change}:\n    ${classText}`;
}

function lossText({ failure, effect, knob }: Loss): string {
  const option = knob === 'none' ? 'no option changes that' : `decided by ${knob}`;
  return `by ${failure}:\n    ${effect} (${option})`;
}

function nowText(now: Now): string {
  const { missing, reported, nearCache } = now;
  return table(
    ['in the cluster now', ''],
    [
      ['members', now.members],
      ['founded by order', now.ordered ? 'yes' : 'no'],
      ['a fork, without the majority', now.fork ? 'yes' : 'no'],
      ['members that may crash at once with a majority left', now.crashesAtOnce],
      ['sync backups that the members can hold', now.syncBackupsPossible],
      ['synced sync backups, fewest of any partition', now.syncBackupsNow],
      ['sync backups missing', countText(missing.sync, missing.syncPartitions)],
      ['async backups missing', countText(missing.async, missing.asyncPartitions)],
      ['partitions that refuse writes (minSynced)', countText(now.refusing.length, now.refusing)],
      ['partitions without a synced replica', countText(now.lost.length, now.lost)],
      ['partitions that are being taken over', countText(now.unsettled.length, now.unsettled)],
      ...(reported === null ? [] : reportedRows(reported)),
      ...(nearCache === null
        ? []
        : [
            [
              'near cache of this process',
              `${nearCache.entries} entries, ${nearCache.hits} hits, ${nearCache.hits === 0 ? '' : `all younger than ${nearCache.hitsBelowMs} ms, `}never older than ${nearCache.maxStalenessMs} ms`,
            ],
          ]),
    ],
  );
}

function reportedRows({ silent, sync, async, divergent, leftovers, leftoverBytes }: Reported): Cell[][] {
  return [
    ['sync backups behind their primary', lagText(sync)],
    ['async backups behind their primary', lagText(async)],
    ['partitions with a backup to be copied anew', countText(divergent.length, divergent)],
    ['replicas that wait to be merged', leftovers === 0 ? 0 : `${leftovers}, ${bytesText(leftoverBytes)}`],
    ...(silent.length === 0 ? [] : [['members that did not answer', silent.join(', ')]]),
  ];
}

function lagText({ backups, behind, unknown, positions, bytes, ageMs }: Lag): Cell {
  if (backups === 0) return '-';
  const silent = unknown === 0 ? '' : `; ${unknown} have not said where they are`;
  if (behind === 0) return `0 of ${backups}${silent}`;
  const age = ageMs === null ? 'of unknown age' : `at most ${ageMs} ms old`;
  return `${behind} of ${backups}: ${positions} changes, ${bytesText(bytes)}, ${age}${silent}`;
}

/** `3 (partitions 1-2, 7)` */
function countText(count: number, partitions: readonly number[]): Cell {
  if (partitions.length === 0) return count;
  return `${count} (${partitions.length === 1 ? 'partition' : 'partitions'} ${rangesText(partitions)})`;
}

/** Partitions in order, neighbours put together; the first few. */
export function rangesText(partitions: readonly number[]): string {
  const ranges: [first: number, last: number][] = [];
  for (const partition of partitions) {
    const range = ranges.at(-1);
    if (range !== undefined && range[1] === partition - 1) range[1] = partition;
    else ranges.push([partition, partition]);
  }
  const shown = ranges
    .slice(0, SHOWN_RANGES)
    .map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`));
  return `${shown.join(', ')}${ranges.length > SHOWN_RANGES ? ' and more' : ''}`;
}
