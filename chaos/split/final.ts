/**
 * What is there after the merges of an available preset: every key that was touched is read, and nothing is written,
 * so that what the merges decided can be held against the merge reports. Called by the runner.
 */
import { readQueues } from '../final-reads.js';
import { askingFor } from '../knobs.js';
import { RETURN_LIMIT_MS } from '../run-context.js';
import type { Caller } from '../workload/caller.js';
import { CONTESTED } from '../workload/contested.js';
import { PAIRS } from '../workload/pairs.js';
import { keyOf } from '../workload/recorder.js';
import type { SplitContext } from './context.js';
import { type MergeReports, NO_REPORTS, readMergeReports } from './merge-reports.js';

export interface SplitFinal {
  readonly set: ReadonlyMap<string, unknown> | null;
  readonly counters: ReadonlyMap<string, bigint>;
  readonly queues: ReadonlyMap<string, readonly string[]>;
  /** By key, with the structure's name before it. */
  readonly contested: ReadonlyMap<string, unknown>;
  /** Of the multimap, by key with the structure's name before it; null when it was not used or could not be read. */
  readonly pairs: ReadonlyMap<string, readonly string[]> | null;
  /** Lists of the processors, by key with the map's name before it; null when there were none or they could not be read. */
  readonly processed: ReadonlyMap<string, unknown> | null;
  readonly reports: MergeReports;
}

const QUIET_MS = 600;

export async function readAvailable(run: SplitContext): Promise<SplitFinal> {
  const reader = run.workload.clientCaller({ routing: 'all' });
  const caller = run.plan.knobs === undefined ? reader : askingFor(reader, 'EC');
  const found: { -readonly [K in keyof SplitFinal]: SplitFinal[K] } = {
    set: null,
    counters: new Map(),
    queues: new Map(),
    contested: new Map(),
    pairs: null,
    processed: null,
    reports: NO_REPORTS,
  };
  let isDone = false;
  const read = async () => {
    await caller.ready;
    found.contested = await readKeys(run, caller);
    found.counters = await readCounters(run, caller);
    found.set = await readSet(run, caller);
    found.queues = await readQueues(run, caller);
    found.pairs = await readPairs(run, caller);
    found.reports = await readMergeReports(caller.grid);
    isDone = true;
  };
  void read().catch((error) => {
    isDone = true;
    run.find('service returns', `the final reads ended with ${String(error)}`);
  });
  if (!(await run.cluster.until(() => isDone, 3 * RETURN_LIMIT_MS)))
    run.find('service returns', 'the final reads did not end');
  await run.cluster.scheduler.runFor(QUIET_MS);
  return found;
}

function touched(run: SplitContext, prefix: string): string[] {
  return [...new Set(run.recorder.entries.map(({ k }) => k).filter((k) => k.startsWith(prefix)))];
}

async function readKeys(run: SplitContext, caller: Caller): Promise<Map<string, unknown>> {
  const map = caller.grid.getMap<string, string>(CONTESTED).with({ timeoutMs: RETURN_LIMIT_MS });
  const found = new Map<string, unknown>();
  const one = async (k: string) => {
    const value = await map.get(keyOf({ k, f: '' }));
    if (value !== null) found.set(k, value);
  };
  await Promise.all(touched(run, `${CONTESTED}/`).map(one));
  return found;
}

async function readCounters(run: SplitContext, caller: Caller): Promise<Map<string, bigint>> {
  const found = new Map<string, bigint>();
  const one = async (k: string) => {
    const long = caller.grid.getAtomicLong(keyOf({ k, f: '' })).with({ timeoutMs: RETURN_LIMIT_MS });
    found.set(k, await long.get());
  };
  await Promise.all(touched(run, 'counter/').map(one));
  return found;
}

/** Null when the multimap was not used. */
export async function readPairs(
  run: SplitContext,
  { grid }: Pick<Caller, 'grid'>,
): Promise<Map<string, readonly string[]> | null> {
  if (!run.plan.workloads.includes('multimap')) return null;
  const tags = grid.getMultiMap<string, string>(PAIRS).with({ timeoutMs: RETURN_LIMIT_MS });
  const keys = await tags.keySet();
  const found = new Map<string, readonly string[]>();
  await Promise.all(keys.map(async (key) => void found.set(`${PAIRS}/${key}`, await tags.get(key))));
  const [size, entries] = await Promise.all([tags.size(), tags.entrySet()]);
  const values = [...found.values()].reduce((sum, some) => sum + some.length, 0);
  if (size !== entries.length || size !== values)
    run.find(
      'size',
      `the multimap has ${entries.length} pairs and ${values} values, and its size is ${size}`,
    );
  return found;
}

async function readSet(run: SplitContext, caller: Caller): Promise<Map<string, unknown>> {
  const map = caller.grid.getMap<string, string>('set').with({ timeoutMs: RETURN_LIMIT_MS });
  const [entries, size] = await Promise.all([map.entrySet(), map.size()]);
  if (size !== entries.length)
    run.find('size', `the map has ${entries.length} entries, and its size is ${size}`);
  return new Map(entries.map(([key, value]) => [`set/${key}`, value]));
}
