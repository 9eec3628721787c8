/**
 * What is there after the heal, read by a client that was not part of the workload: every key must answer again
 * within the limit, writes as well as reads. Its calls become part of the histories. Called by the runner.
 */
import { askingFor } from './knobs.js';
import { RETURN_LIMIT_MS, type RunContext } from './run-context.js';
import { BULK_KEYS } from './workload/bulk.js';
import type { Caller } from './workload/caller.js';
import { ACK_QUEUES, ACKS, DEAD_LETTERS } from './workload/deliveries.js';
import { keyOf } from './workload/recorder.js';

export interface FinalState {
  /** Keys of the map that was written once each, with their values; null when it could not be read. */
  readonly set: ReadonlyMap<string, unknown> | null;
  readonly counters: ReadonlyMap<string, bigint>;
  /** Items that are left, in order; only of those that could be read. */
  readonly queues: ReadonlyMap<string, readonly string[]>;
}

/** How long the replicas get to become equal when nothing is written any more. */
const QUIET_MS = 600;

export async function finalReads(run: RunContext, number: number): Promise<FinalState> {
  const { workload } = run;
  const reader: Caller = { ...workload.clientCaller({ routing: 'all' }), number };
  // Under EL a replica that is a little behind would do for an answer; what counts is what is there.
  const caller = run.plan.knobs === undefined ? reader : askingFor(reader, 'EC');
  const counters = new Map<string, bigint>();
  let queues: ReadonlyMap<string, readonly string[]> = new Map();
  let set: ReadonlyMap<string, unknown> | null = null;
  let isDone = false;
  const reading = async () => {
    await caller.ready;
    const [found, left] = await Promise.all([
      readSet(run, caller),
      readQueues(run, caller),
      readRegisters(run, caller),
      readCounters(run, caller, counters),
    ]);
    set = found;
    queues = left;
    isDone = true;
  };
  void reading();
  if (!(await run.cluster.until(() => isDone, 3 * RETURN_LIMIT_MS))) {
    run.find('service returns', 'the final reads did not end');
  }
  await run.cluster.scheduler.runFor(QUIET_MS);
  return { set, counters, queues };
}

async function readRegisters(run: RunContext, caller: Caller): Promise<void> {
  const register = caller.grid.getMap<string, string>('register').with({ timeoutMs: RETURN_LIMIT_MS });
  const bulk = caller.grid.getMap<string, string>('bulk').with({ timeoutMs: RETURN_LIMIT_MS });
  const touched = new Set(run.recorder.entries.map(({ k }) => k));
  const one = async (map: typeof register, k: string) => {
    const key = keyOf({ k, f: '' });
    const same = (out: unknown) => out;
    const read = await run.recorder.call(
      caller,
      { k, f: 'read' },
      false,
      RETURN_LIMIT_MS,
      () => map.get(key),
      same,
    );
    const put = () => map.put(key, `final ${key}`);
    const step = { k, f: 'put', v: `final ${key}` };
    const write = await run.recorder.call(caller, step, true, RETURN_LIMIT_MS, put, same);
    for (const { f, type, code } of [read, write])
      if (type !== 'ok') run.find('service returns', `${f} of ${k} after the heal: ${code ?? type}`);
  };
  const keys = [...touched].filter((k) => k.startsWith('register/'));
  await Promise.all([
    ...keys.map((k) => one(register, k)),
    ...BULK_KEYS.map((key) => one(bulk, `bulk/${key}`)),
  ]);
  const size = await bulk.size().catch(() => -1);
  if (size !== BULK_KEYS.length)
    run.find('size', `${BULK_KEYS.length} keys were put, and the size is ${size}`);
}

async function readCounters(run: RunContext, caller: Caller, counters: Map<string, bigint>): Promise<void> {
  const touched = new Set(run.recorder.entries.map(({ k }) => k).filter((k) => k.startsWith('counter/')));
  const one = async (k: string) => {
    const long = caller.grid.getAtomicLong(keyOf({ k, f: '' })).with({ timeoutMs: RETURN_LIMIT_MS });
    const step = { k, f: 'get' };
    const text = (value: bigint) => value.toString();
    const entry = await run.recorder.call(caller, step, false, RETURN_LIMIT_MS, () => long.get(), text);
    if (entry.type === 'ok') counters.set(k, BigInt(entry.out as string));
    else run.find('service returns', `get of ${k} after the heal: ${entry.code ?? entry.type}`);
  };
  await Promise.all([...touched].map(one));
}

async function readSet(run: RunContext, caller: Caller): Promise<ReadonlyMap<string, unknown> | null> {
  const map = caller.grid.getMap<string, string>('set').with({ timeoutMs: RETURN_LIMIT_MS });
  try {
    const [entries, size] = await Promise.all([map.entrySet(), map.size()]);
    if (size !== entries.length)
      run.find('size', `the map has ${entries.length} entries, and its size is ${size}`);
    return new Map(entries.map(([key, value]) => [`set/${key}`, value]));
  } catch (error) {
    run.find('service returns', `the map could not be read after the heal: ${String(error)}`);
    return null;
  }
}

/** The contents of a map whose keys were written once each, or null when they could not be read. */
export async function readOnce(run: RunContext, name: string): Promise<ReadonlyMap<string, unknown> | null> {
  const caller = run.workload.clientCaller({ routing: 'all' });
  let found: ReadonlyMap<string, unknown> | null = null;
  let isDone = false;
  const reading = async () => {
    await caller.ready;
    const map = caller.grid.getMap<string, string>(name);
    const entries = await map.with({ timeoutMs: RETURN_LIMIT_MS, consistency: 'EC' }).entrySet();
    found = new Map(entries.map(([key, value]) => [`${name}/${key}`, value]));
  };
  void reading()
    .catch((error) =>
      run.find('service returns', `${name} could not be read after the heal: ${String(error)}`),
    )
    .finally(() => {
      isDone = true;
    });
  await run.cluster.until(() => isDone, 2 * RETURN_LIMIT_MS);
  return found;
}

/** How long what is handed out may stay away after the heal. */
const ALL_BACK_MS = 60_000;

/** What is left in each queue that was touched. */
export async function readQueues(
  run: Pick<RunContext, 'recorder' | 'find'>,
  caller: Caller,
): Promise<ReadonlyMap<string, readonly string[]>> {
  const touched = new Set(run.recorder.entries.map(({ k }) => k).filter((k) => k.startsWith('queue/')));
  const found = new Map<string, readonly string[]>();
  const one = async (k: string) => {
    const queue = caller.grid.getQueue<string>(keyOf({ k, f: '' })).with({ timeoutMs: RETURN_LIMIT_MS });
    try {
      found.set(k, await queue.toArray());
      const size = await queue.size();
      if (size !== found.get(k)?.length)
        run.find('size', `${k} has ${found.get(k)?.length} items, and its size is ${size}`);
    } catch (error) {
      run.find('service returns', `${k} could not be read after the heal: ${String(error)}`);
    }
  };
  await Promise.all([...touched].map(one));
  if (!run.recorder.entries.some(({ k }) => k.startsWith(`${ACKS}/`))) return found;
  for (const name of ACK_QUEUES) await untilAllBack(run, caller, name);
  for (const name of [...ACK_QUEUES, DEAD_LETTERS]) await one(`${ACKS}/${name}`);
  return found;
}

/** Waits until nothing of the queue is handed out, or on its way to the dead-letter queue. */
async function untilAllBack(run: Pick<RunContext, 'find'>, caller: Caller, name: string): Promise<void> {
  const queue = caller.grid.getQueue<string>(name).with({ timeoutMs: RETURN_LIMIT_MS });
  // Its waiting passes virtual time: nothing is ever put there.
  const nothing = caller.grid.getQueue<string>('nothing').with({ timeoutMs: RETURN_LIMIT_MS });
  try {
    for (let waitedMs = 0; (await queue.inFlight()) > 0; waitedMs += 1_000) {
      if (waitedMs > ALL_BACK_MS) {
        run.find(
          'deliveries come back',
          `${await queue.inFlight()} items of ${name} are handed out for ever`,
        );
        return;
      }
      await nothing.poll(1_000);
    }
  } catch (error) {
    run.find('service returns', `${name} could not be read after the heal: ${String(error)}`);
  }
}
