/**
 * The moment that random schedules rarely meet: a query of all partitions while one of many that a member leads has changes
 * that wait for their backup; then the member dies, and the changes with it. Whatever the query asks, it must not be answered
 * before they are safe. Run by tests, for each kind of query.
 */
import { partitionOfKey } from '../../partitions/placement.js';
import { encodeKey } from '../../src/wire/keys.js';
import type { RunOptions, RunResult } from '../run.js';
import type { Caller } from '../workload/caller.js';
import { type Asking, ask, KINDS, type Kind, Pages, type QueryLog, queriedMap } from '../workload/queries.js';
import type { Entry } from '../workload/recorder.js';
import { hostAt, type Stage, setTheStage } from './stage.js';

const PARTITIONS = 12;
const KEYS = 60;
/** Longer than a call is tried, shorter than a silence that is noticed. */
const CUT_MS = 300;
const SHORT_MS = 150;
const LONG_MS = 8_000;

/** All kinds of queries by name. */
export const ASKED: readonly string[] = [...KINDS.map(({ f }) => f), 'page'];

export async function queryBesideWaitingChanges(
  f: string,
  name: string,
  options: RunOptions,
): Promise<RunResult> {
  const plan = { members: 3, partitionCount: PARTITIONS, resolveShare: 1 };
  const stage = await setTheStage(plan, { ...options, workload: 'queries' });
  const log = stage.run.queries as QueryLog;
  const [writer, reader] = [await stage.client(), await stage.client()];
  const keys = Array.from({ length: KEYS }, (_, i) => `k${i}`);
  for (const key of keys) log.keys.get(name)?.add(key);
  await stage.settled(...keys.map((key) => write(stage, writer, name, key, LONG_MS)));
  const [primary, backup] = [hostAt(stage, 0, 0), hostAt(stage, 0, 1)];
  const [first, second] = keys.filter((key) => partitionOfKey(encodeKey(key), PARTITIONS) === 0);
  if (first === undefined || second === undefined) throw new Error('no two keys lie in one partition');
  stage.fault('cut', `pair:${primary}:${backup}`, CUT_MS);
  await stage.wait(1);
  const changes = [
    write(stage, writer, name, first, SHORT_MS),
    remove(stage, writer, name, second, SHORT_MS),
  ];
  await stage.wait(5);
  await stage.settled(queryOf(stage, reader, name, f, SHORT_MS));
  stage.fault('crash', `host:${primary}`);
  await stage.settled(...changes);
  await stage.settled(queryOf(stage, reader, name, f, LONG_MS));
  return stage.finish();
}

function write(stage: Stage, caller: Caller, name: string, key: string, timeoutMs: number): Promise<Entry> {
  const { recorder, queries } = stage.run;
  const v = { n: (queries as QueryLog).next(), group: 'g1' };
  const map = queriedMap(caller, name, { timeoutMs });
  const step = { k: `${name}/${key}`, f: 'write', v };
  return recorder.call(caller, step, true, timeoutMs, () => map.set(key, v));
}

function remove(stage: Stage, caller: Caller, name: string, key: string, timeoutMs: number): Promise<Entry> {
  const map = queriedMap(caller, name, { timeoutMs });
  const step = { k: `${name}/${key}`, f: 'remove' };
  return stage.run.recorder.call(caller, step, true, timeoutMs, () => map.delete(key));
}

function queryOf(stage: Stage, caller: Caller, name: string, f: string, timeoutMs: number): Promise<Entry> {
  const { recorder, queries } = stage.run;
  const how: Asking = { caller, recorder, log: queries as QueryLog, timeoutMs };
  if (f === 'page') return new Pages(name, {}, KEYS).next(how);
  const which = KINDS.find((kind) => kind.f === f) as Kind;
  // With a condition, so that an index is used where there is one.
  return ask(how, name, which, { group: 'g1' });
}
