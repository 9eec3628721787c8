/**
 * The load of a case: its clients, and workers that call one operation after the other until they are told to stop.
 * Called by the runner.
 */
import type { Client } from '../../client/api.js';
import type { SeededRandom } from '../../src/base/random.js';
import type { Case, ClientPlan } from '../case.js';
import { askingFor } from '../knobs.js';
import type { SimCluster } from '../sim/cluster.js';
import { BulkWorker } from './bulk.js';
import type { Caller, WorkerContext } from './caller.js';
import { CounterWorker } from './counter.js';
import type { Recorder } from './recorder.js';
import { RegisterWorker } from './register.js';
import { SetWorker } from './set.js';

/** Deadline of calls unless they have their own, and of questions about calls of unknown outcome. */
const CLIENT_TIMEOUT_MS = 5000;
const LONG_CALL_MS = 5000;
/** One call in four gives up early, so that there are outcomes that nobody knows. */
const SHORT_CALLS = 0.25;

interface Worker {
  readonly caller: Caller;
  isDone: boolean;
}

/** One further call of a worker. */
export type Step = () => Promise<void>;
/** Makes the steps of a worker; in the place of the usual ones. */
export type StepsFor = (context: WorkerContext, random: SeededRandom, used: Map<string, number>) => Step;

export class Workload {
  readonly #cluster: SimCluster;
  readonly #plan: Case;
  readonly #random: SeededRandom;
  readonly #stepsFor: StepsFor;
  readonly #workers: Worker[] = [];
  readonly #used = new Map<string, number>();
  readonly #clients: Client[] = [];
  #nextNumber = 1;
  #stopped = false;

  constructor(
    cluster: SimCluster,
    plan: Case,
    recorder: Recorder,
    random: SeededRandom,
    stepsFor: StepsFor = usualSteps(plan, recorder),
  ) {
    this.#cluster = cluster;
    this.#plan = plan;
    this.#random = random;
    this.#stepsFor = stepsFor;
  }

  /** A call, and asking about it afterwards, three batches of a bulk call one after the other. */
  readonly longestCallMs = LONG_CALL_MS + 3 * CLIENT_TIMEOUT_MS;

  nextNumber(): number {
    return this.#nextNumber++;
  }

  /** Connects the clients and starts all workers. */
  async start(): Promise<void> {
    for (const plan of this.#plan.clients) {
      const caller = plan.kind === 'member' ? this.memberCaller() : this.clientCaller(plan);
      for (let i = 0; i < plan.workers; i++) this.#startWorker(caller);
    }
  }

  /** A client; its connecting goes on in the background, calls wait for it. */
  clientCaller(options: { readonly routing: ClientPlan['routing']; readonly members?: string[] }): Caller {
    const { routing, members } = options;
    const timeoutMs = CLIENT_TIMEOUT_MS;
    const client = this.#cluster.client({
      routing,
      timeoutMs,
      ...(members === undefined ? {} : { members }),
    });
    this.#clients.push(client);
    const kind = routing === 'single' ? 'one-member routing' : '';
    const ready = client.connect().catch(() => {});
    const host = this.#cluster.clientHosts.at(-1) as string;
    const number = this.nextNumber();
    const caller = { number, kind, grid: client, host, ready, isAlive: () => true, stalledMs: () => 0 };
    return askingFor(caller, this.#plan.knobs?.call ?? null);
  }

  /** The embedded API of a member that runs now: of any, or at the host. */
  memberCaller(at?: string): Caller {
    const all = this.#cluster.running();
    const running = at === undefined ? all : all.filter(({ host }) => host === at);
    const entry = running[this.#random.below(running.length)] as (typeof running)[number];
    const caller = {
      number: this.nextNumber(),
      kind: 'a member',
      grid: entry.member,
      host: entry.host,
      ready: Promise.resolve(),
      isAlive: () => entry.state === 'running',
      stalledMs: () => 3 * this.#plan.suspicionMs,
    };
    return askingFor(caller, this.#plan.knobs?.call ?? null);
  }

  #startWorker(caller: Caller): void {
    const worker: Worker = { caller, isDone: false };
    const name = `w${this.#workers.length}`;
    this.#workers.push(worker);
    const random = this.#random.fork(name);
    const timeoutMs = () => (random.float() < SHORT_CALLS ? 200 + random.below(1200) : LONG_CALL_MS);
    void this.#loop(worker, { caller, worker: name, timeoutMs }, random);
  }

  async #loop(worker: Worker, context: WorkerContext, random: SeededRandom): Promise<void> {
    const { thinkMs } = this.#plan;
    const step = this.#stepsFor(context, random, this.#used);
    await worker.caller.ready;
    while (!this.#stopped && worker.caller.isAlive()) {
      await this.#sleep(-Math.log(1 - random.float()) * thinkMs);
      if (this.#stopped || !worker.caller.isAlive()) break;
      await step();
    }
    worker.isDone = true;
  }

  #sleep(ms: number): Promise<void> {
    const { scheduler } = this.#cluster;
    return new Promise((resolve) => {
      scheduler.schedule(scheduler.now + ms, resolve);
    });
  }

  /** No worker begins a further call. */
  stop(): void {
    this.#stopped = true;
  }

  /** Whether all workers whose process lives have come to their end. */
  isIdle(): boolean {
    return this.#workers.every(({ isDone, caller }) => isDone || !caller.isAlive());
  }

  /** Hosts of the members whose own API is called. */
  embedded(): string[] {
    const callers = this.#workers.map(({ caller }) => caller);
    return callers.filter(({ kind, isAlive }) => kind === 'a member' && isAlive()).map(({ host }) => host);
  }

  /** Calls that clients sent again. */
  retries(): number {
    return this.#clients.reduce((sum, client) => sum + client.retries, 0);
  }
}

function usualSteps({ keys, counters }: Case, recorder: Recorder): StepsFor {
  return (context, random, used) => {
    const register = new RegisterWorker(context, recorder, random.fork('register'), keys, used);
    const counter = new CounterWorker(context, recorder, random.fork('counter'), counters, used);
    const set = new SetWorker(context, recorder, random.fork('set'));
    const bulk = new BulkWorker(context, recorder, random.fork('bulk'));
    return () => {
      const draw = random.float();
      if (draw < 0.62) return register.step();
      if (draw < 0.82) return counter.step();
      return draw < 0.95 ? set.step() : bulk.step();
    };
  };
}
