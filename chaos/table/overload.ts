/**
 * More than a member may keep, against G12: small limits, backups that are slow or silent, and more writes than they take.
 * Logs never grow beyond their limit by more than what is on its way, every refusal is typed and may be tried again, nobody
 * who is healthy is removed, and everything is served again afterwards. Called by `suites.ts`.
 */
import type { Grid } from '../../client/core/grid.js';
import { GridError } from '../../src/base/errors.js';
import { SeededRandom } from '../../src/base/random.js';
import { gridAsking, memberKnobs, structureKnobs } from '../knobs.js';
import { SimCluster } from '../sim/cluster.js';
import type { Finding } from '../workload/recorder.js';
import { caseOf, type Row } from './rows.js';
import type { SuiteRun } from './suite-run.js';

const MEMBERS = 4;
const PARTITIONS = 5;
const LOG_BYTES = 1024 * 1024;
const VALUE_BYTES = 128 * 1024;
const WORKERS = 24;
const KEYS = 12;
const LOAD_MS = 1500;
const START_MS = 30_000;
/** Below half of the suspicion time of the timings below. */
const HELD_MS = 400;
const RETURN_MS = 10_000;
/** What a call may end with that met a bound: to be tried again, or said to be unknown. */
const TYPED: readonly string[] = [
  'ERR_OVERLOAD',
  'ERR_TIMEOUT',
  'ERR_INDETERMINATE',
  'ERR_NOT_SERVING',
  'ERR_NO_LEASE',
];
/** A backup keeps what its primaries keep; each of them stops taking writes behind the one that passed the limit. */
const MOST_BYTES = MEMBERS * (LOG_BYTES + 2 * VALUE_BYTES);

export async function overload(row: Row, seed: number): Promise<SuiteRun> {
  const run = new OverloadRun(row, seed);
  await run.work();
  return run;
}

class OverloadRun implements SuiteRun {
  readonly findings: Finding[] = [];
  operations = 0;
  readonly #cluster: SimCluster;
  readonly #random: SeededRandom;
  readonly #row: Row;
  #open = 0;

  constructor(row: Row, seed: number) {
    const { syncBackups: sync, asyncBackups, minSynced } = caseOf(row);
    const plan = { knobs: row.knobs, syncBackups: sync };
    const structure = { backups: { sync, async: asyncBackups.maps }, minSynced, ...structureKnobs(plan) };
    this.#row = row;
    this.#random = new SeededRandom(seed, 'overload');
    this.#cluster = new SimCluster({
      seed,
      link: { meanLatencyMs: 1 + this.#random.float() * 3 },
      member: {
        ...memberKnobs(plan),
        partitionCount: PARTITIONS,
        timings: 'local',
        limits: { logBytes: LOG_BYTES },
        maps: { default: structure },
      },
    });
  }

  async work(): Promise<void> {
    const cluster = this.#cluster;
    const founds = this.#row.knobs.consistency.startsWith('PC');
    for (let i = 1; i <= MEMBERS; i++) cluster.start(`m${i}`, founds ? { founds } : {});
    const isUp = () => cluster.running().length === MEMBERS && cluster.isSafe();
    if (!(await cluster.until(isUp, START_MS))) {
      this.#find('start', 'the members were no safe cluster');
      return;
    }
    const { map, connected } = this.#map();
    await cluster.until(connected, START_MS);
    let isOver = false;
    for (let worker = 0; worker < WORKERS; worker++) void this.#load(map, () => isOver);
    await this.#holdLinks(LOAD_MS);
    isOver = true;
    if (!(await cluster.until(() => this.#open === 0, RETURN_MS))) this.#find('bounded', 'calls do not end');
    await this.#returns(map);
    await cluster.shutdown();
  }

  #find(what: string, text: string): void {
    if (this.findings.length < 5) this.findings.push({ guarantee: `G12 ${what}`, text });
  }

  #map() {
    const client = this.#cluster.client({ timeoutMs: 1000 });
    let isConnected = false;
    void client.connect().then(() => {
      isConnected = true;
    });
    const { call } = this.#row.knobs;
    const grid = call === null ? client : gridAsking(client, call);
    return { map: grid.getMap<string, string>('loaded'), connected: () => isConnected };
  }

  async #load(map: LoadedMap, isOver: () => boolean): Promise<void> {
    this.#open++;
    while (!isOver()) {
      this.operations++;
      const key = `k${this.#random.below(KEYS)}`;
      await map.set(key, 'x'.repeat(VALUE_BYTES)).catch((error: unknown) => this.#refusedWith(error));
    }
    this.#open--;
  }

  #refusedWith(error: unknown): void {
    const code = error instanceof GridError ? error.code : String(error);
    if (!TYPED.includes(code)) this.#find('typed', `a call met a bound and ended with ${code}`);
  }

  /** What members send each other arrives late, by turns. */
  async #holdLinks(forMs: number): Promise<void> {
    const { network, scheduler } = this.#cluster;
    const endMs = scheduler.now + forMs;
    const hosts = this.#cluster.running().map(({ host }) => host);
    while (scheduler.now < endMs) {
      const victim = hosts[this.#random.below(hosts.length)] as string;
      const others = hosts.filter((host) => host !== victim);
      for (const other of others) {
        network.hold(victim, other);
        network.hold(other, victim);
      }
      await this.#watch(HELD_MS);
      for (const other of others) {
        network.release(victim, other);
        network.release(other, victim);
      }
      await this.#watch(HELD_MS);
    }
  }

  async #watch(forMs: number): Promise<void> {
    const { scheduler } = this.#cluster;
    for (const endMs = scheduler.now + forMs; scheduler.now < endMs; ) {
      await scheduler.runFor(10);
      for (const { host, member } of this.#cluster.running()) {
        const { sizeBytes } = member.node.replication.holdings.logBudget;
        if (sizeBytes > MOST_BYTES) this.#find('bounded', `the logs of ${host} have ${sizeBytes} bytes`);
      }
    }
  }

  async #returns(map: LoadedMap): Promise<void> {
    const cluster = this.#cluster;
    const members = cluster.running()[0]?.member.node.view?.members.length;
    if (members !== MEMBERS) this.#find('healthy members stay', `${members} of ${MEMBERS} are left`);
    let open = KEYS;
    const failed: string[] = [];
    for (let i = 0; i < KEYS; i++) {
      const done = (error?: unknown) => {
        open--;
        if (error !== undefined) failed.push(String(error));
      };
      void map
        .with({ timeoutMs: RETURN_MS })
        .set(`k${i}`, 'after')
        .then(() => done(), done);
    }
    await cluster.until(() => open === 0, RETURN_MS + 3000);
    if (open > 0 || failed.length > 0) this.#find('service returns', failed[0] ?? 'writes do not end');
  }
}

type LoadedMap = ReturnType<Grid['getMap']>;
