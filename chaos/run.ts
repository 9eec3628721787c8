/**
 * Runs one case in the simulator: start, workload under faults, heal, safety, final reads, and the verdict. The
 * same for the swarm and for directed schedules, which bring their own story instead of drawn faults. Invariant:
 * the result depends on the case and the faults put in on purpose, on nothing else.
 */
import type { Client } from '../client/api.js';
import type { ClientFaults } from '../client/client.js';
import { SeededRandom } from '../src/base/random.js';
import type { NodeFaults } from '../src/member/parts.js';
import type { PresetName } from '../src/policy/presets.js';
import type { Case, TogglePlan } from './case.js';
import { type Standing, ViewLedger } from './checker/views.js';
import { EXPIRY_CODES, EXPIRY_FAULTS, judgeExpiry, reachedByExpiry, watchRemovals } from './expiry.js';
import { finalReads, readOnce } from './final-reads.js';
import { judge, judgeProcessors, judgeReplicas } from './judge.js';
import { judgeToggles, type ToggleVerdict } from './judge-toggles.js';
import { codesOfKnobs, memberKnobs, structureKnobs } from './knobs.js';
import { drawRings, dueOf, Ears, finishEars, LISTEN_FAULTS, plantedInTelling } from './listen.js';
import { finalLoads, judgeLoads, LOAD_CODES, loadSteps, reachedByLoads, untilLevel } from './load.js';
import {
  finalLocks,
  judgeLocks,
  LOCK_CODES,
  LOCK_FAULTS,
  lockHost,
  lockSteps,
  reachedByLocks,
} from './locks.js';
import { type AppliedFault, type Fault, formatFault } from './nemesis/fault.js';
import { Nemesis } from './nemesis/nemesis.js';
import { ToggleTrouble } from './nemesis/toggle-trouble.js';
import { finalQueries, judgeQueries, padOf, QUERY_CODES, reachedByQueries } from './queries.js';
import { Reached, reachedByCalls, reachedByFaults, reachedInside } from './reached.js';
import { RETURN_LIMIT_MS, type RunContext, startTogether } from './run-context.js';
import { SimCluster, type SimMember } from './sim/cluster.js';
import { Scheduler } from './sim/virtual-clock.js';
import { finalStores, judgeStores, reachedByStores, STORE_CODES, STORE_FAULTS, StoreRig } from './stores.js';
import { TopicEars } from './topics.js';
import { DeliveryLog, deliverySteps, type Mortal, queueOptions } from './workload/deliveries.js';
import { ExpiryLog, expirySteps } from './workload/expiring.js';
import { LoadLog } from './workload/load.js';
import { HOLDER_MS, LockLog } from './workload/locks.js';
import { PROCESSED, PROCESSOR_CODES, processorSteps, registerProcessors } from './workload/processors.js';
import { QueryLog, queriedMaps, querySteps } from './workload/queries.js';
import { queueSteps } from './workload/queue.js';
import { type Finding, Recorder } from './workload/recorder.js';
import { TOGGLE_CODES, TOGGLED, TOGGLED_SET, Toggler, toggleSteps } from './workload/toggle.js';
import { topicSteps } from './workload/topic.js';
import { type StepsFor, Workload } from './workload/workload.js';

/** Faults put in on purpose, by name, to show that they are found. */
export const PLANTED_FAULTS = [
  'ackBeforeApply',
  'handoverUnconfirmed',
  'readyUnwaited',
  'readsDoNotWait',
  'freshRetryIds',
  'toggleAnswersEarly',
  'toggleUncommitted',
  'oldPromiseServed',
  'handOutsForgotten',
  'returnedLast',
  'letterDoubled',
  'ackIgnored',
  ...LISTEN_FAULTS,
  ...EXPIRY_FAULTS,
  ...LOCK_FAULTS,
  ...STORE_FAULTS,
] as const;
export type PlantedFault = (typeof PLANTED_FAULTS)[number];

export interface RunOptions {
  readonly planted?: PlantedFault;
  /**
   * In place of the usual calls: `getOrLoad`, calls of queues, messages of topics, locks of keys, functions of users, or
   * queries; `listen`: the usual calls, with listeners. Default `usual`.
   */
  readonly workload?:
    | 'usual'
    | 'load'
    | 'queue'
    | 'queue-acks'
    | 'processors'
    | 'listen'
    | 'map-expiry'
    | 'locks'
    | 'map-store'
    | 'topic'
    | 'queries';
  /** Keeps the journal as lines, for comparing two runs. */
  readonly keepLines?: boolean;
}

export interface RunResult {
  readonly seed: number;
  readonly plan: Case;
  readonly findings: readonly Finding[];
  readonly reached: Reached;
  readonly faults: readonly AppliedFault[];
  readonly digest: string;
  readonly operations: number;
  readonly virtualMs: number;
  /** Why linearizability and loss were not judged, or null. */
  readonly notJudged: string | null;
  readonly lines: readonly string[];
  readonly logs: readonly string[];
}

const SHOWN_FINDINGS = 8;

/** A cluster with its watchers: what directed schedules and drawn cases are run on. */
export class Run implements RunContext {
  readonly plan: Case;
  readonly cluster: SimCluster;
  readonly views: ViewLedger;
  readonly recorder: Recorder;
  readonly nemesis: Nemesis;
  readonly workload: Workload;
  readonly findings: Finding[] = [];
  readonly toggler: Toggler | null;
  readonly #founded = new Set<string>();
  readonly #deliveries = new DeliveryLog();
  readonly #leftByForce: string[] = [];
  /** What loaders did; null with the usual calls. */
  readonly loads: LoadLog | null;
  /** What was locked; null with the usual calls. */
  readonly locks: LockLog | null;
  readonly #isProcessing: boolean;
  /** What was asked for; null with other calls. */
  readonly #expiry: ExpiryLog | null;
  /** What queries share; null with other calls. */
  readonly queries: QueryLog | null;
  /** The store that maps are kept in; null with the usual calls. */
  readonly stores: StoreRig | null;
  /** Null without listeners. */
  readonly ears: Ears | TopicEars | null;

  constructor(plan: Case, options: RunOptions = {}) {
    this.plan = plan;
    const loads = options.workload === 'load' ? new LoadLog() : null;
    this.loads = loads;
    const locks = options.workload === 'locks' ? new LockLog() : null;
    this.locks = locks;
    this.#isProcessing = options.workload === 'processors';
    this.#expiry = options.workload === 'map-expiry' ? new ExpiryLog() : null;
    const queries = options.workload === 'queries' ? new QueryLog() : null;
    this.queries = queries;
    const virtual = new Scheduler();
    const stores =
      options.workload === 'map-store' ? new StoreRig(plan.seed, plan.durationMs, virtual) : null;
    this.stores = stores;
    this.cluster = new SimCluster({
      seed: plan.seed,
      scheduler: virtual,
      link: plan.link,
      drift: plan.drift,
      wallOffsetMs: options.planted === 'clocksApart' ? 3_000 : 0,
      keepLines: options.keepLines ?? false,
      member: memberOptions(plan, stores, queries !== null),
      register: (registry, ...where) => {
        registerProcessors(registry);
        stores?.register(registry, ...where);
      },
      memberFaults: {
        ...plantedInMembers(options.planted),
        ...(options.workload === 'listen' || options.workload === 'topic' ? drawRings(plan.seed) : {}),
      },
      clientFaults: plantedInClients(options.planted),
    });
    this.views = new ViewLedger((id) => this.#standing(id));
    const random = new SeededRandom(plan.seed, 'workload');
    const { scheduler } = this.cluster;
    const codes = [
      ...codesOfKnobs(plan),
      // A side that takes the others for dead goes on as a fork.
      ...(plan.profile === 'promised' ? [] : ['ERR_OTHER_LINEAGE']),
      ...(plan.toggles === undefined ? [] : TOGGLE_CODES),
      ...(loads === null ? [] : LOAD_CODES),
      ...(locks === null ? [] : LOCK_CODES),
      ...(stores === null ? [] : STORE_CODES),
      ...(this.#isProcessing ? PROCESSOR_CODES : []),
      ...(this.#expiry === null ? [] : EXPIRY_CODES),
      ...(queries === null ? [] : QUERY_CODES),
    ];
    this.recorder = new Recorder(scheduler, plan.resolveShare, random.fork('resolve'), codes);
    this.nemesis = new Nemesis({
      cluster: this.cluster,
      plan,
      startMember: (host) => this.startMember(host),
      leave: (host) => this.leave(host),
    });
    const toggleOf = plan.toggles === undefined ? undefined : toggleSteps(plan.keys, this.recorder);
    const deliveriesOf = () => deliverySteps(scheduler, this.recorder, this.#deliveries, this.#mortal);
    const queueOf = options.workload === 'queue-acks' ? deliveriesOf() : undefined;
    const topicOf = options.workload === 'topic' ? topicSteps(this.recorder) : (queueOf ?? toggleOf);
    const usualOf = options.workload === 'queue' ? queueSteps(this.recorder) : topicOf;
    const expiring = this.#expiry === null ? usualOf : expirySteps(this.recorder, this.#expiry);
    const host = lockHost(this.cluster, () => this.workload);
    const lockOf = locks === null ? expiring : lockSteps(this.recorder, locks, host);
    const processing = this.#isProcessing ? processorSteps(this.recorder) : lockOf;
    const loading = loads === null ? processing : loadSteps(this.cluster, this.recorder, loads);
    const querying = queries === null ? loading : querySteps(this.recorder, queries, padOf(plan.seed));
    const steps: StepsFor | undefined =
      stores === null ? querying : (context, its) => stores.step(context, this.recorder, its);
    this.workload = new Workload(this.cluster, plan, this.recorder, random, steps);
    this.toggler = plan.toggles === undefined ? null : this.#newToggler(plan.toggles);
    const { cluster } = this;
    const dead = () => new Set<number>();
    const how = { maps: ['register', 'bulk'], dead, cutsOff: true, oneKey: 'k0' };
    const ears = () => new Ears({ ...plan, cluster, ...how });
    const topicEars = () =>
      options.workload === 'topic' ? new TopicEars({ ...plan, cluster, cutsOff: true }) : null;
    this.ears = options.workload === 'listen' ? ears() : topicEars();
  }

  get deaths(): ReadonlyMap<number, number> {
    return this.#deliveries.deaths;
  }

  /** A client of its own, that ends with what it has got. */
  readonly #mortal: Mortal = () => {
    const caller = this.workload.clientCaller({ routing: 'all' });
    return { caller, end: () => (caller.grid as Client).shutdown() };
  };

  #newToggler(toggles: TogglePlan): Toggler {
    const { plan, nemesis, workload } = this;
    const { scheduler } = this.cluster;
    const host = {
      plan,
      get now() {
        return scheduler.now;
      },
      embedded: () => workload.embedded(),
      apply: (faults: readonly Fault[]) => nemesis.schedule(faults),
    };
    const trouble = new ToggleTrouble(host, new SeededRandom(plan.seed, 'toggle trouble'));
    return new Toggler(scheduler, new SeededRandom(plan.seed, 'toggler'), toggles, trouble);
  }

  #standing(id: string): Standing {
    const process = this.cluster.processes.find(({ member }) => member.id === id);
    if (process === undefined) return 'crashed';
    return process.state === 'running' && process.isLeaving ? 'leaving' : process.state;
  }

  find(guarantee: string, text: string): void {
    this.findings.push({ guarantee, text });
  }

  startMember(host: string): SimMember {
    const isFirst = this.#founded.size < this.plan.members && !this.#founded.has(host);
    this.#founded.add(host);
    const entry = this.cluster.start(host, isFirst && isFoundedByOrder(this.plan) ? { founds: true } : {});
    const { events } = entry.member.node;
    this.stores?.watch(entry);
    events.on('view', (view) => this.views.adopted(host, view));
    events.on('removed', (view) => this.views.adopted(host, view));
    return entry;
  }

  leave(host: string): void {
    void this.cluster.leave(host).then((problem) => {
      if (problem !== null) this.#leftByForce.push(`${host} left by force: ${problem.message}`);
    });
  }

  #leaving(): string[] {
    return this.cluster.running().flatMap(({ host, isLeaving }) => (isLeaving ? [host] : []));
  }

  /** Starts the first members; false (and a finding) when they did not become a safe cluster. */
  start(): Promise<boolean> {
    return startTogether(this);
  }

  /** Ends all faults, lets the calls end, waits for safety, reads everything, and judges. */
  async finish(): Promise<RunResult> {
    const { cluster, nemesis, workload, recorder, plan } = this;
    nemesis.heal();
    cluster.network.calm();
    // Also what the links lose by themselves: by chance alone a call may be lost each time that it is sent.
    cluster.network.setAllLinks({ loss: 0 });
    for (const { clock } of cluster.running()) clock.resume();
    this.stores?.calm();
    const healedMs = cluster.scheduler.now;
    workload.stop();
    this.toggler?.stop();
    // Whoever holds a lock goes on until it is unlocked.
    if (this.locks !== null) this.#refill();
    const isIdle = () => workload.isIdle() && this.#leaving().length === 0 && this.toggler?.isDone !== false;
    await cluster.until(isIdle, workload.longestCallMs + 4000 + RETURN_LIMIT_MS);
    for (const host of this.#leaving()) this.find('leaving ends', `${host} never left`);
    this.#refill();
    const isSafe = await cluster.until(() => cluster.isSafe(), RETURN_LIMIT_MS, 50);
    if (!isSafe)
      this.find('service returns', `not safe ${cluster.scheduler.now - healedMs} ms after the heal`);
    if (this.loads !== null) await finalLoads(this, this.loads);
    if (this.locks !== null) await finalLocks(this, this.locks);
    if (this.stores !== null) await finalStores(this, this.stores);
    if (this.queries !== null) await finalQueries(this, this.queries);
    const final = await finalReads(this, workload.nextNumber());
    const toggled = this.toggler === null ? null : await readOnce(this, TOGGLED_SET);
    const processed = this.#isProcessing ? await readOnce(this, PROCESSED) : null;
    if (this.loads !== null || this.locks !== null || this.stores !== null) await untilLevel(this);
    if (this.ears !== null) await finishEars(this, this.ears);
    if (this.#expiry !== null)
      for (const text of await watchRemovals(this, () => judgeReplicas(this).length === 0))
        this.find('entries that ended are removed within a second', text);
    recorder.close();
    if (this.views.leftWithData > 0 && plan.profile === 'promised')
      this.find('leaving hands over', `${this.views.leftWithData} members left with replicas`);
    if (this.views.forks.size > 0 && plan.profile === 'promised')
      this.find('one lineage', 'a fork was formed although nobody was cut off');
    const notJudged = this.#notJudged();
    // Whoever is taken for dead, rightly or not, has nobody to hand over to.
    if (plan.profile === 'promised' || notJudged === null)
      for (const text of this.#leftByForce) this.find('leaving ends', text);
    const verdict = this.#judgeToggles(toggled, notJudged);
    const ofLoads = this.loads === null || notJudged !== null ? [] : judgeLoads(this, this.loads);
    const ofLocks =
      this.locks === null || notJudged !== null ? [] : judgeLocks(this, this.locks, false, true);
    const ofStores = this.stores === null ? [] : judgeStores(this, this.stores, notJudged === null);
    const found = [...this.findings, ...recorder.findings, ...(this.toggler?.findings ?? [])];
    const ofProcessors = notJudged !== null ? [] : judgeProcessors(this, processed);
    const judged = [
      ...judge(this, final, notJudged),
      ...(verdict?.findings ?? []),
      ...ofLoads,
      ...ofLocks,
      ...ofStores,
      ...ofProcessors,
    ];
    if (this.#expiry !== null && notJudged === null) judged.push(...judgeExpiry(this, this.#expiry));
    if (this.queries !== null && notJudged === null) judged.push(...judgeQueries(this, this.queries));
    const findings = [...found, ...judged];
    const reached = new Reached();
    const due = dueOf(recorder.entries);
    // What a crash beyond the promise takes along, or a fork, is a gap all the same.
    const unexpected = notJudged === null ? (['lost', 'lineage'] as const) : [];
    if (this.ears instanceof TopicEars)
      findings.push(...this.ears.judge(recorder, unexpected, notJudged === null, reached));
    else
      findings.push(...(this.ears?.judge(unexpected, reached, notJudged === null ? due : undefined) ?? []));
    return this.#result(findings, notJudged, verdict, reached);
  }

  /** Writes are refused, and rightly so, while there are too few members for minSynced. */
  #refill(): void {
    while (this.cluster.running().length < this.plan.minSynced + 1) this.nemesis.addMember();
  }

  /** Linearizability and loss are promised up to a point; what goes beyond it is told, not judged. */
  #notJudged(): string | null {
    if (this.nemesis.exceeded) return 'more members crashed than there are sync backups';
    if (this.views.wrongRemovals > 0) return 'a member that was alive was removed';
    if (this.views.forks.size > 0) return 'a side without a majority went on as a fork';
    if (this.views.leftWithData > 0) return 'a member left without handing over everything';
    return null;
  }

  #judgeToggles(set: ReadonlyMap<string, unknown> | null, notJudged: string | null): ToggleVerdict | null {
    const { toggler, plan } = this;
    if (toggler === null) return null;
    // What is PC all the time is promised also where members were removed that were alive.
    const isAlwaysConsistent = plan.toggles?.loose.every((preset) => preset.startsWith('PC')) === true;
    if (notJudged !== null && (!isAlwaysConsistent || this.nemesis.exceeded)) return null;
    return judgeToggles(this, toggler.windows, set);
  }

  #result(
    findings: readonly Finding[],
    notJudged: string | null,
    verdict: ToggleVerdict | null,
    reached: Reached,
  ): RunResult {
    const { cluster, nemesis, recorder, workload, plan, views } = this;
    reachedByFaults(reached, nemesis);
    reachedByCalls(reached, recorder.entries, nemesis);
    reachedInside(reached, cluster, workload.retries());
    if (this.loads !== null) reachedByLoads(reached, this, this.loads);
    if (this.#expiry !== null) reachedByExpiry(reached, this, this.#expiry);
    if (this.queries !== null) reachedByQueries(reached, this, this.queries);
    if (this.locks !== null) reachedByLocks(reached, recorder, this.locks);
    if (this.stores !== null) reachedByStores(reached, this.stores);
    reached.add('view', views.highest);
    reached.add('consumer that ended with an item', this.#deliveries.holders);
    reached.add('new proposer after a crash', views.takeovers);
    reached.add('member wrongly suspected', views.wrongRemovals);
    reached.add(`run of profile ${plan.profile}`);
    if (notJudged !== null) reached.add(`${plan.profile} run not judged`);
    for (const [how, count] of this.toggler?.ended ?? []) reached.add(how, count);
    reached.add('window of a strict preset', verdict === null ? 0 : (this.toggler?.windows.length ?? 0));
    reached.add('call judged in a window', verdict?.inside ?? 0);
    reached.add('key that had to be kept', verdict?.kept ?? 0);
    return {
      seed: plan.seed,
      plan,
      findings,
      reached,
      faults: nemesis.log,
      digest: cluster.journal.digest(),
      operations: recorder.entries.length,
      virtualMs: cluster.scheduler.now,
      notJudged,
      lines: cluster.journal.lines,
      logs: cluster.logs,
    };
  }
}

/** Runs a drawn case from start to verdict. */
export async function runCase(plan: Case, options: RunOptions = {}): Promise<RunResult> {
  const run = new Run(plan, options);
  if (await run.start()) {
    await run.workload.start();
    run.stores?.begin();
    run.ears?.start();
    if (run.toggler !== null) {
      const { grid, ready } = run.workload.clientCaller({ routing: 'all' });
      void run.toggler.run(grid, ready);
    }
    run.nemesis.schedule(plan.faults);
    await run.cluster.until(() => {
      run.nemesis.noteSafety();
      return false;
    }, plan.durationMs);
  }
  const result = await run.finish();
  await run.cluster.shutdown();
  return result;
}

function isFoundedByOrder({ toggles, knobs }: Case): boolean {
  const presets = [...(toggles?.loose ?? []), ...(toggles?.strict ?? []), knobs?.consistency];
  return presets.some((preset) => preset?.startsWith('PC') === true);
}

function memberOptions(plan: Case, stores: StoreRig | null, hasQueries: boolean) {
  const { syncBackups: sync, minSynced, backupTimeoutMs, asyncBackups, partitionCount, timings } = plan;
  const knobs = structureKnobs(plan);
  const options = (async: number) => ({ backups: { sync, async }, minSynced, backupTimeoutMs, ...knobs });
  return {
    ...memberKnobs(plan),
    partitionCount,
    timings,
    leaveTimeoutMs: 20_000,
    partitionLossTimeoutMs: 3000,
    lockHolderTimeoutMs: HOLDER_MS,
    maps: {
      default: options(asyncBackups.maps),
      ...stores?.maps(options(asyncBackups.maps)),
      ...(hasQueries ? queriedMaps(options(asyncBackups.maps)) : {}),
      ...(plan.toggles === undefined
        ? {}
        : { [TOGGLED]: { ...options(asyncBackups.maps), consistency: plan.toggles.loose[0] as PresetName } }),
    },
    atomicLongs: { default: options(asyncBackups.atomicLongs) },
    queues: queueOptions(options(0)),
    topics: { default: options(0) },
    multimaps: { default: options(asyncBackups.maps) },
  };
}

function plantedInMembers(planted: PlantedFault | undefined): NodeFaults {
  const ofListeners = LISTEN_FAULTS.find((name) => name === planted);
  if (ofListeners !== undefined) return plantedInTelling(ofListeners);
  if (planted === undefined || planted === 'freshRetryIds' || planted === 'clocksApart') return {};
  // The next step of upkeep would tell of them all the same.
  if (planted === 'usesUntold') return { usesUntold: true, neverSwept: true };
  // One guard more would hide it from all callers that know the new view.
  if (planted === 'toggleAnswersEarly') return { toggleAnswersEarly: true, oldPromiseServed: true };
  return { [planted]: true };
}

function plantedInClients(planted: PlantedFault | undefined): ClientFaults {
  return planted === 'freshRetryIds' ? { freshRetryIds: true } : {};
}

/** The whole story of a run that failed, for people. */
export function explainResult(result: RunResult, command: string): string {
  const { plan, findings, faults, reached, notJudged } = result;
  const { seed, members, partitionCount, syncBackups, asyncBackups, timings, profile } = plan;
  const cluster = `${members} members, ${partitionCount} partitions, timings ${timings}, profile ${profile}`;
  const backups = `${syncBackups} sync backups, async ${asyncBackups.maps} (maps) and ${asyncBackups.atomicLongs} (longs)`;
  return [
    `seed ${seed}: ${findings.length} findings after ${result.virtualMs.toFixed(0)} ms of virtual time`,
    `  ${cluster}; ${backups}; drift ${plan.drift}; links ${JSON.stringify(plan.link)}`,
    ...(notJudged === null ? [] : [`  linearizability and loss not judged: ${notJudged}`]),
    ...findings
      .slice(0, SHOWN_FINDINGS)
      .map(({ guarantee, text }) => `- ${guarantee}: ${text.slice(0, 4000)}`),
    ...(findings.length > SHOWN_FINDINGS ? [`- and ${findings.length - SHOWN_FINDINGS} more`] : []),
    'faults:',
    ...faults.map((fault) => `  ${formatFault(fault)}`),
    'reached:',
    reached.format(),
    `replay: ${command}`,
  ].join('\n');
}
