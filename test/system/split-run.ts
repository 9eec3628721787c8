/**
 * Five members as processes come apart into two and three for a while, with a client that writes on each side, and
 * come together again. The same run for proxies and for network namespaces; it gathers what happened, and the
 * functions below say what must hold of it.
 */
import type { ChildProcess } from 'node:child_process';
import { type MergeReports, readMergeReports } from '../../chaos/split/merge-reports.js';
import type { Place } from '../../demo/link-proxies.js';
import type { News, Order } from '../../demo/member-process.js';
import { whyNotWhole } from '../../demo/pacelc/stage.js';
import { type Client, connect, type GridStatus, type MemberOptions } from '../../src/index.js';
import type { Transpiled } from '../real/support/transpiled.js';
import { transpileWriter, type World } from './split-world.js';
import { nowMs, type WriteRecord, type WriterNews, type WriterOrder } from './split-writer.js';

export const AVAILABLE = 'available';
export const CONSISTENT = 'consistent';

const MINORITY = ['m2', 'm4'];
const MAJORITY = ['m1', 'm3', 'm5'];
const MEMBERS = ['m1', 'm2', 'm3', 'm4', 'm5'];
/** Before the split, and after the heal: writing goes on all the time. */
const CALM_MS = 3_000;
/** Shared keys are left alone so long before the heal, so that each side's last write of them is known. */
const QUIET_MS = 2_500;
const HEAL_LIMIT_MS = 60_000;

export interface SplitOptions {
  readonly splitMs: number;
  /** Of both maps. With 1 the minority has partitions whose writes wait for nobody else; with 2 the majority has all. */
  readonly syncBackups: 1 | 2;
}

export interface SplitOutcome {
  readonly records: readonly WriteRecord[];
  /** When the sides began to come apart, and when they could reach each other again. */
  readonly splitMs: number;
  readonly healMs: number;
  /** From the heal until every member was in one lineage, with nothing left to merge, and the grid safe. */
  readonly wholeAfterMs: number;
  readonly status: GridStatus;
  /** By `map/key`: what is there in the end. */
  readonly found: ReadonlyMap<string, string>;
  readonly reports: MergeReports;
}

export async function runSplit(
  world: World,
  sources: Transpiled,
  observing: () => void,
  { splitMs: lengthMs, syncBackups }: SplitOptions,
): Promise<SplitOutcome> {
  const processes = new Processes(world, sources);
  await using _ended = processes;
  const addresses = await processes.startMembers(syncBackups);
  observing();
  await using observer = await connect({ members: addresses, connectTimeoutMs: 20_000, logLevel: 'error' });
  await observer.waitUntilSafe({ timeoutMs: 60_000 });
  const left = await processes.startWriter('left', addresses);
  const right = await processes.startWriter('right', addresses);
  await sleep(CALM_MS);

  const splitMs = nowMs();
  await world.split([...MINORITY, 'right'], [...MAJORITY, 'left']);
  for (const writer of [left, right]) writer.share(true);
  await sleep(lengthMs - QUIET_MS);
  for (const writer of [left, right]) writer.share(false);
  await sleep(QUIET_MS);
  await world.heal();
  const healMs = nowMs();
  const status = await untilWhole(observer, healMs + HEAL_LIMIT_MS);
  const wholeAfterMs = nowMs() - healMs;
  await sleep(CALM_MS);
  await Promise.all([left.stop(), right.stop()]);

  const records = [...left.records, ...right.records];
  const found = await readAll(observer, records);
  const reports = await readMergeReports(observer);
  return { records, splitMs, healMs, wholeAfterMs, status, found, reports };
}

class Writer {
  readonly records: WriteRecord[] = [];
  readonly #process: ChildProcess;
  readonly #stopped: Promise<void>;

  constructor(child: ChildProcess) {
    this.#process = child;
    this.#stopped = new Promise((resolve, reject) => {
      child.on('message', (news: WriterNews) => {
        if (news.type === 'records') this.records.push(...news.records);
        if (news.type === 'stopped') resolve();
      });
      child.once('exit', (code, signal) => reject(new Error(`a writer ended early: ${signal ?? code}`)));
    });
    // Whoever waits for the end hears of it; until then it must not end the test's process.
    this.#stopped.catch(() => {});
  }

  share(on: boolean): void {
    this.#process.send({ type: 'share', map: AVAILABLE, on } satisfies WriterOrder);
  }

  stop(): Promise<void> {
    this.#process.send({ type: 'stop' } satisfies WriterOrder);
    return this.#stopped;
  }
}

/** Starts members and writers, and ends them all. */
class Processes implements AsyncDisposable {
  readonly #world: World;
  readonly #member: URL;
  readonly #writer: URL;
  readonly #children: ChildProcess[] = [];

  constructor(world: World, sources: Transpiled) {
    this.#world = world;
    this.#member = new URL('demo/member-process.js', sources.url);
    this.#writer = transpileWriter(sources);
  }

  async startMembers(sync: number): Promise<string[]> {
    const places: Place[] = [];
    for (const name of MEMBERS) places.push(await this.#world.place(name));
    const addresses = places.map(({ advertisedAddress }) => advertisedAddress);
    const start = async (i: number) => {
      const place = places[i] as Place;
      await this.#startMember(MEMBERS[i] as string, {
        ...place,
        join: addresses,
        founds: i === 0,
        timings: 'lan',
        logLevel: 'error',
        maps: {
          [AVAILABLE]: { consistency: 'PA/EC', backups: { sync } },
          [CONSISTENT]: { consistency: 'PC/EC', backups: { sync } },
        },
      });
    };
    // The first one founds the cluster, so that the others find it.
    await start(0);
    await Promise.all([1, 2, 3, 4].map(start));
    return addresses;
  }

  async #startMember(name: string, options: MemberOptions): Promise<void> {
    const child = await this.#spawn(name, this.#member);
    const started = new Promise<void>((resolve, reject) => {
      child.once('exit', (code, signal) => reject(new Error(`${name} ended early: ${signal ?? code}`)));
      child.once('message', (news: News) => {
        if (news.type === 'started') resolve();
        else
          reject(
            new Error(news.type === 'failed' ? `${name}: ${news.message}` : `${name} said ${news.type}`),
          );
      });
    });
    child.send({ type: 'start', options } satisfies Order);
    await started;
  }

  async startWriter(name: string, members: string[]): Promise<Writer> {
    const child = await this.#spawn(name, this.#writer);
    const writer = new Writer(child);
    const connected = new Promise<void>((resolve, reject) => {
      child.once('message', () => resolve());
      child.once('exit', () => reject(new Error(`${name} could not connect`)));
    });
    const maps = [AVAILABLE, CONSISTENT];
    child.send({ type: 'start', name, members, maps } satisfies WriterOrder);
    await connected;
    return writer;
  }

  async #spawn(name: string, script: URL): Promise<ChildProcess> {
    const child = await this.#world.spawn(name, script);
    this.#children.push(child);
    return child;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(
      this.#children.map(async (child) => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        const ended = new Promise((resolve) => child.once('exit', resolve));
        child.kill('SIGKILL');
        await ended;
      }),
    );
  }
}

/** Waits until all members are one lineage again, none has anything to merge, and all replicas are synced. */
async function untilWhole(observer: Client, deadlineMs: number): Promise<GridStatus> {
  let last = 'no status yet';
  while (nowMs() < deadlineMs) {
    try {
      const status = await observer.status();
      const missing = whyNotWhole(status, MEMBERS.length);
      if (missing === null) return status;
      last = missing;
    } catch (error) {
      last = String(error);
    }
    await sleep(100);
  }
  throw new Error(`${HEAL_LIMIT_MS} ms after the heal: ${last}`);
}

async function readAll(observer: Client, records: readonly WriteRecord[]): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const map of [AVAILABLE, CONSISTENT]) {
    const keys = [...new Set(records.filter((record) => record.map === map).map(({ key }) => key))];
    for (const [key, value] of await observer.getMap<string, string>(map).getAll(keys))
      found.set(`${map}/${key}`, value);
  }
  return found;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
