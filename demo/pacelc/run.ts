/**
 * One run: the sides work together, come apart and together again, while both go on with the same calls to the maps of
 * all presets. Gathers what happened; what it means is for the arithmetic.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client, GridStatus } from '../../src/index.js';
import { Load, type Sink } from './load.js';
import {
  HEAL_LIMIT_MS,
  type Lengths,
  MEMBERS,
  mapOf,
  type Phase,
  PRESETS,
  type PresetName,
  QUIET_MS,
  SIDES,
} from './plan.js';
import type { Merged, Outcome, ReadRecord, Times, WriteRecord } from './records.js';
import { type Stage, whyNotWhole } from './stage.js';

/** Calls that are not counted: connections, caches and the compiler come to rest. */
const WARM_UP_MS = 2_000;
const POLL_MS = 100;
const BATCH_TIMEOUT_MS = 20_000;

/** Told what happens while it happens. */
export interface Audience {
  /** Process ids of the members. */
  started(pids: readonly number[]): void;
  /** `preparing` is what comes before the first phase. */
  phase(phase: Phase | 'preparing', atMs: number, lengthMs: number | null): void;
  wrote(record: WriteRecord): void;
}

export async function runSplit(
  stage: Stage,
  lengths: Lengths,
  audience: Audience,
  signal: AbortSignal,
): Promise<Outcome> {
  const wait = (ms: number) => sleep(ms, undefined, { signal });
  const begin = (phase: Phase, lengthMs: number | null) => {
    const nowMs = performance.now();
    audience.phase(phase, nowMs, lengthMs);
    return nowMs;
  };
  audience.phase('preparing', performance.now(), null);
  await stage.start();
  audience.started(stage.pids);
  const observer = await stage.connect(null);
  const recorder = new Recorder(audience);
  const loads: Load[] = [];
  for (const side of SIDES) loads.push(new Load(await stage.connect(side), side, recorder));
  for (const load of loads) await load.fill();
  for (const load of loads) load.start();
  await wait(WARM_UP_MS);

  const togetherMs = begin('together', lengths.togetherMs);
  const before = (await observer.status()).view;
  await wait(lengths.togetherMs);
  const isDisturbed = (await observer.status()).view !== before;

  const splitMs = begin('split', lengths.splitMs);
  stage.split();
  for (const load of loads) load.write('own and shared');
  await wait(lengths.splitMs - QUIET_MS);
  for (const load of loads) load.write('steady');
  await wait(QUIET_MS);

  const healMs = begin('healing', null);
  stage.heal();
  await untilWhole(observer, wait);
  const wholeMs = begin('whole', lengths.wholeMs);
  for (const load of loads) load.write('own');
  await wait(lengths.wholeMs);
  await Promise.all(loads.map((load) => load.stop()));
  const endMs = performance.now();
  const times: Times = { togetherMs, splitMs, healMs, wholeMs, endMs };
  const { writes, reads } = recorder;
  return {
    times,
    writes,
    reads,
    isDisturbed,
    found: await findAll(observer, writes),
    ...(await merges(observer)),
  };
}

class Recorder implements Sink {
  readonly writes: WriteRecord[] = [];
  readonly reads: ReadRecord[] = [];
  readonly #audience: Audience;

  constructor(audience: Audience) {
    this.#audience = audience;
  }

  wrote(record: WriteRecord): void {
    this.writes.push(record);
    this.#audience.wrote(record);
  }

  read(record: ReadRecord): void {
    this.reads.push(record);
  }
}

async function untilWhole(observer: Client, wait: (ms: number) => Promise<void>): Promise<GridStatus> {
  const deadlineMs = performance.now() + HEAL_LIMIT_MS;
  for (let last = 'no status yet'; ; ) {
    try {
      const status = await observer.status();
      const missing = whyNotWhole(status, MEMBERS.length);
      if (missing === null) return status;
      last = missing;
    } catch (error) {
      last = String(error);
    }
    if (performance.now() > deadlineMs)
      throw new Error(`${HEAL_LIMIT_MS / 1000} s after the heal the sides are not merged: ${last}`);
    await wait(POLL_MS);
  }
}

async function findAll(
  observer: Client,
  writes: readonly WriteRecord[],
): Promise<Map<PresetName, Map<string, string>>> {
  const found = new Map<PresetName, Map<string, string>>();
  for (const preset of PRESETS) {
    const keys = new Set(writes.filter((write) => write.preset === preset).map(({ key }) => key));
    const map = observer.getMap<string, string>(mapOf(preset));
    // From the primaries, under every preset.
    const all = map.with({ consistency: 'EC', timeoutMs: BATCH_TIMEOUT_MS });
    found.set(preset, new Map(await all.getAll(keys)));
  }
  return found;
}

async function merges(observer: Client): Promise<{ merged: Map<PresetName, Merged>; isTruncated: boolean }> {
  const reports = await observer.merges();
  const merged = new Map<PresetName, Merged>();
  const discarded: { readonly structure: string; readonly entry: string }[] = [];
  for (const report of reports)
    for await (const { structure, key, discarded: value } of report.entries())
      discarded.push({ structure, entry: `${String(key)}=${String(value)}` });
  for (const preset of PRESETS) {
    const name = mapOf(preset);
    const counts = reports.flatMap(({ structures }) => structures.filter((one) => one.name === name));
    merged.set(preset, {
      taken: counts.reduce((sum, one) => sum + one.merged, 0),
      discarded: discarded.filter(({ structure }) => structure === name).map(({ entry }) => entry),
    });
  }
  return { merged, isTruncated: reports.some(({ truncated }) => truncated) };
}
