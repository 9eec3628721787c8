/**
 * Who listens in a run: clients, one of them through a single member, and the embedded API of a member; some of the clients are
 * cut off from everybody for a while. Called by what puts listeners beside a workload.
 */
import type { Grid } from '../client/core/grid.js';
import type { SeededRandom } from '../src/base/random.js';
import type { SimCluster } from './sim/cluster.js';

export interface ListeningRun {
  readonly cluster: SimCluster;
  readonly durationMs: number;
  /** Some clients are cut off here; else whoever draws the cuts places them. */
  readonly cutsOff: boolean;
}

type ListenAs = (host: string, grid: Grid, isAlive: () => boolean) => void;

const CUT_OFF = 0.6;

/** `reached` gets the states that came up; `isStopped`: nobody is cut off any more. */
export function placeListeners(
  run: ListeningRun,
  random: SeededRandom,
  reached: string[],
  isStopped: () => boolean,
  listenAs: ListenAs,
): void {
  const { cluster } = run;
  const routings = ['all', 'all', 'single'] as const;
  for (const routing of routings) {
    const client = cluster.client({ routing });
    const host = cluster.clientHosts.at(-1) as string;
    void client
      .connect()
      .catch(() => {})
      .then(() => listenAs(host, client, () => true));
    if (routing === 'single') reached.push('listener through one member');
    if (run.cutsOff && random.float() < CUT_OFF) cutOff(run, random, reached, isStopped, host);
  }
  const running = cluster.running();
  const entry = running[random.below(running.length)];
  if (entry === undefined) return;
  reached.push('listener of a member');
  listenAs(entry.host, entry.member, () => entry.state === 'running');
}

function cutOff(
  { cluster, durationMs }: ListeningRun,
  random: SeededRandom,
  reached: string[],
  isStopped: () => boolean,
  host: string,
): void {
  const { scheduler, network } = cluster;
  const fromMs = scheduler.now + durationMs * random.float();
  const forMs = 300 + random.float() * 3_000;
  const hosts = () => cluster.processes.map((process) => process.host);
  scheduler.schedule(fromMs, () => {
    if (isStopped()) return;
    reached.push('listener cut off for a while');
    for (const other of hosts()) {
      network.cut(host, other);
      network.cut(other, host);
    }
  });
  scheduler.schedule(fromMs + forMs, () => {
    for (const other of hosts()) {
      network.heal(host, other);
      network.heal(other, host);
    }
  });
}
