/** Seeds of the suites that once found something, with what it was. */
import { describe, expect, it } from 'vitest';
import { explainResult } from '../../chaos/run.js';
import type { SplitPreset } from '../../chaos/split/case.js';
import { explainSplit, runSplitSeed, splitReplay } from '../../chaos/split/swarm.js';
import { type CrashWorkload, replayCommand, runSeed } from '../../chaos/swarm.js';

const KEPT: readonly (readonly [CrashWorkload, number, string])[] = [
  ['locks', 500629, 'a flow gave its unlock up while backups were missing for longer than it tried'],
  ['queue-acks', 520740, 'a consumer that ended was not known to have an item, because its answer was lost'],
  ['queue-acks', 520132, 'a member left before it knew that it was in the view'],
  ['queue-acks', 520550, 'a member that heard nobody was told to leave'],
  ['map-listen', 530184, 'a clear() that had failed went on in other partitions'],
  [
    'map-listen',
    530976,
    'listeners of one process began new rounds of questions for ever, each in the way of the others',
  ],
  ['topic', 16, 'a listener that was behind was told of a place that only the primary had'],
  ['topic', 60, 'the same'],
  ['map-store', 580256, 'a write that others had seen in the store, and written over, was made once more'],
  ['map-expiry', 540504, 'a fork was asked by a client of the majority'],
];

const CUT_OFF = 'a primary without its lease moved a letter, which went through after the heal';

const KEPT_OF_SPLITS: readonly (readonly [SplitPreset, 'queue-acks', number, string])[] = [
  ['PC/EC', 'queue-acks', 86011, CUT_OFF],
  ['PC/EC', 'queue-acks', 86029, CUT_OFF],
  ['PC/EC', 'queue-acks', 86081, CUT_OFF],
  ['PC/EC', 'queue-acks', 86138, CUT_OFF],
  ['PC/EC', 'queue-acks', 86174, CUT_OFF],
  [
    'PA/EC',
    'queue-acks',
    85274,
    'a call that a fork had by a merge was forgotten there, and counted again in the chain',
  ],
  ['PA/EC', 'queue-acks', 85951, 'the report of an item that two further sides had did not say which one'],
];

describe('a seed that is kept', () => {
  it.each(KEPT)(
    'finds nothing: %s %i, where %s',
    async (workload, seed) => {
      const result = await runSeed(seed, {}, 1, workload);
      const told = explainResult(result, replayCommand(seed, undefined, workload));
      expect(result.findings, told).toEqual([]);
    },
    60_000,
  );

  it.each(KEPT_OF_SPLITS)(
    'finds nothing with splits: %s %s %i, where %s',
    async (preset, workload, seed) => {
      const wishes = { preset, workloads: [workload] };
      const result = await runSplitSeed(seed, wishes);
      expect(result.findings, explainSplit(result, splitReplay(seed, wishes))).toEqual([]);
    },
    60_000,
  );
});
