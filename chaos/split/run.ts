/**
 * Runs one case with splits: start, workload under cuts and other faults, a look at a cut that lasts, heal, one lineage
 * again, final reads, and the verdict. The same for the swarm and for directed schedules. Invariant: the result
 * depends on the case and the faults put in on purpose, on nothing else.
 */
import { SeededRandom } from '../../src/base/random.js';
import type { View } from '../../src/cluster/view.js';
import type { MemberOptions } from '../../src/config.js';
import { ViewLedger } from '../checker/views.js';
import { EXPIRY_CODES } from '../expiry.js';
import { finalReads, readOnce } from '../final-reads.js';
import { codesOfKnobs, memberKnobs, structureKnobs } from '../knobs.js';
import { drawRings, type Ears, finishEars } from '../listen.js';
import { untilLevel } from '../load.js';
import { finalLocks, LOCK_CODES, lockHost } from '../locks.js';
import { Nemesis } from '../nemesis/nemesis.js';
import { finalQueries } from '../queries.js';
import { Reached } from '../reached.js';
import { RETURN_LIMIT_MS, startTogether } from '../run-context.js';
import { SimCluster, type SimMember } from '../sim/cluster.js';
import { Scheduler } from '../sim/virtual-clock.js';
import { finalStores, STORE_CODES, StoreRig } from '../stores.js';
import { BEHIND, BehindLog } from '../workload/behind.js';
import { queueOptions } from '../workload/deliveries.js';
import { ExpiryLog } from '../workload/expiring.js';
import { HOLDER_MS, LockLog } from '../workload/locks.js';
import { PROCESSED, PROCESSOR_CODES, registerProcessors } from '../workload/processors.js';
import { QueryLog, queriedMaps } from '../workload/queries.js';
import { type Finding, Recorder } from '../workload/recorder.js';
import { Workload } from '../workload/workload.js';
import type { SplitCase } from './case.js';
import { Connectivity } from './connectivity.js';
import type { SplitContext } from './context.js';
import { mayCrash } from './crash-rule.js';
import { watchReplicas } from './expiring.js';
import type { Figures } from './figures.js';
import { readAvailable, readPairs, type SplitFinal } from './final.js';
import { judgeSplit } from './judge.js';
import { LineageLedger } from './lineages.js';
import { earsOf, judgeEars } from './listening.js';
import { lookAtLastingCut, probesFor } from './look.js';
import { NO_REPORTS, readMergeReports } from './merge-reports.js';
import { carrier, drawNear, type NearPlan, nearAtRest } from './near.js';
import { NEAR_FAULTS, type NearFault, plantedBy, type SwarmFault } from './planted.js';
import { reachedOf } from './reached.js';
import type { SplitResult } from './result.js';
import { deadPartitions, leftoversOf, notOneLineage, takenFromRemoved } from './settled.js';
import { splitSteps } from './steps.js';

export interface SplitRunOptions {
  readonly planted?: SwarmFault | undefined;
  readonly plantedNear?: NearFault | undefined;
  readonly keepLines?: boolean;
}

/** How long the replicas get to become equal when nothing is written any more. */
const QUIET_MS = 600;
/** Partitions that nobody on a side holds must not be given up for lost while the cuts of a run last. */
const PARTITION_LOSS_MS = 600_000;
/** Refusals that only splits bring. */
const SPLIT_CODES = [
  'ERR_NO_LEASE',
  'ERR_IN_FORK',
  'ERR_OTHER_LINEAGE',
  'ERR_LINEAGE',
  'ERR_NOT_FOUNDED',
  'ERR_CONNECT',
];

/** A cluster with its watchers, in which members may be cut apart. */
export class SplitRun implements SplitContext {
  readonly plan: SplitCase;
  readonly cluster: SimCluster;
  /** Of the usual suite; here it stays empty. */
  readonly views = new ViewLedger(() => 'running');
  readonly lineages: LineageLedger;
  readonly recorder: Recorder;
  readonly nemesis: Nemesis;
  readonly workload: Workload;
  readonly findings: Finding[] = [];
  /** What was reached beside what the ledger of lineages tells. */
  readonly events: string[] = [];
  readonly figures: Figures = {};
  readonly behind = new BehindLog();
  readonly locks = new LockLog();
  readonly stores: StoreRig | null;
  readonly expiry = new ExpiryLog();
  readonly queries = new QueryLog();
  readonly ears: Ears | null;
  readonly #founded = new Set<string>();
  readonly #near: NearPlan | null;
  #workloadMs = 0;
  #lost = 0;
  #convergedAt = 0;

  constructor(plan: SplitCase, options: SplitRunOptions = {}) {
    this.plan = plan;
    const near = drawNear(plan);
    const planted = plantedBy(options.planted);
    this.#near = near;
    const nearFaults = options.plantedNear === undefined ? {} : NEAR_FAULTS[options.plantedNear];
    const scheduler = new Scheduler();
    this.stores = plan.workloads.includes('map-store')
      ? new StoreRig(plan.seed, plan.durationMs, scheduler)
      : null;
    const carriesNews = near === null ? {} : { carriesNews: carrier(near, plan.seed, scheduler) };
    this.cluster = new SimCluster({
      seed: plan.seed,
      link: plan.link,
      drift: plan.drift,
      wallOffsetMs: planted.wallOffsetMs ?? plan.wallOffsetMs,
      keepLines: options.keepLines ?? false,
      scheduler,
      member: memberOptions(plan, near, this.stores),
      register: (registry, ...where) => {
        if (plan.workloads.includes('processors')) registerProcessors(registry);
        this.stores?.register(registry, ...where);
      },
      client: near === null ? {} : { nearCaches: near.options },
      memberFaults: {
        ...planted.members,
        ...(plan.workloads.includes('map-listen') ? drawRings(plan.seed) : {}),
        ...nearFaults,
        ...carriesNews,
      },
      clientFaults: { ...planted.clients, ...nearFaults },
    });
    this.lineages = new LineageLedger((id) => this.isAlive(id));
    const random = new SeededRandom(plan.seed, 'workload');
    const expected = [
      ...SPLIT_CODES,
      ...LOCK_CODES,
      ...PROCESSOR_CODES,
      ...EXPIRY_CODES,
      ...(this.stores === null ? [] : STORE_CODES),
      ...codesOfKnobs(plan),
    ];
    this.recorder = new Recorder(scheduler, plan.resolveShare, random.fork('resolve'), expected);
    this.nemesis = new Nemesis({
      cluster: this.cluster,
      plan,
      startMember: (host) => this.startMember(host),
      leave: () => {},
      mayCrash: (hosts) => this.#mayCrash(hosts),
    });
    const since = () => scheduler.now - this.#workloadMs;
    const steps = splitSteps(
      plan,
      this.recorder,
      this.behind,
      scheduler,
      since,
      near?.maxStalenessMs ?? null,
      { log: this.locks, host: lockHost(this.cluster, () => this.workload) },
      this.stores,
      this.expiry,
      this.queries,
    );
    this.workload = new Workload(this.cluster, plan, this.recorder, random, steps);
    this.ears = earsOf(plan, this.cluster, () => deadPartitions(this));
  }

  /** The preset that structures have. */
  get #served(): string {
    return this.plan.knobs?.consistency ?? this.plan.preset;
  }

  isAlive(id: string): boolean {
    return this.cluster.processes.some(({ member, state }) => member.id === id && state === 'running');
  }

  #mayCrash(hosts: readonly string[]): boolean {
    const ending = new Set(hosts.map((host) => this.cluster.members.get(host)?.member.id ?? ''));
    const { lineages, cluster } = this;
    if (notOneLineage(cluster, new Set()) === null) this.#convergedAt = lineages.adoptions.length;
    // What was merged before everything was one again holds nothing of its own any more.
    const recent = new Set(lineages.adoptions.slice(this.#convergedAt).map(({ view }) => view.lineage));
    const views = lineages.newest().filter((v) => v.lineage === lineages.chain || recent.has(v.lineage));
    const isAlive = (id: string) => this.isAlive(id);
    const known = lineages.newestOfChainAmong((id) => isAlive(id) && !ending.has(id));
    const holders = (view: View, partition: number) => lineages.holders(view, partition);
    const may = mayCrash({
      views,
      chain: [lineages.newestOfChain(), known],
      holders,
      knowsThatItHolds: (...which) => lineages.knowsThatItHolds(...which),
      isAlive,
      ending,
    });
    const merging = cluster.running().filter((entry) => leftoversOf(entry) > 0);
    if (may && merging.length > 0) {
      const isHolder = merging.some(({ host }) => hosts.includes(host));
      this.events.push(isHolder ? 'crash of a holder in a merge' : 'crash of another member in a merge');
    }
    return may;
  }

  /** Whether a new primary has leases to wait for, a moment after the view that made it one. */
  #noteTakeovers({ host, member, clock }: SimMember, view: View, before: View | null): void {
    const { scheduler } = this.cluster;
    const taken = takenFromRemoved(member.id, view, before);
    if (this.#served.startsWith('PA') || view.parent !== null || taken.length === 0) return;
    scheduler.schedule(scheduler.now + 1, () => {
      if (this.cluster.members.get(host)?.member !== member) return;
      for (const partition of taken) {
        const waits = member.node.replication.leasesEndMs(partition) > clock.now() + 1;
        const state = waits ? 'that waited for a lease' : 'that did not need to wait';
        this.events.push(`takeover ${state}`);
      }
    });
  }

  find(guarantee: string, text: string): void {
    this.findings.push({ guarantee, text });
  }

  /** Only the first start of a cluster founds by order; who starts again later must never found a second one. */
  startMember(host: string): SimMember {
    const isFirst = this.#founded.size < this.plan.members && !this.#founded.has(host);
    this.#founded.add(host);
    const founds = isFirst && this.#served.startsWith('PC');
    const entry = this.cluster.start(host, { founds });
    const { events } = entry.member.node;
    this.stores?.watch(entry);
    const { scheduler } = this.cluster;
    let before: View | null = null;
    events.on('view', (view) => {
      this.lineages.adopted(scheduler.now, host, entry.member.id, view);
      this.#noteTakeovers(entry, view, before);
      before = view;
    });
    events.on('partitionLost', () => {
      this.#lost++;
    });
    return entry;
  }

  start(): Promise<boolean> {
    return startTogether(this);
  }

  /** The drawn workload with its faults. */
  async work(): Promise<void> {
    const { plan, cluster } = this;
    this.#workloadMs = cluster.scheduler.now;
    await this.workload.start();
    this.stores?.begin();
    this.ears?.start();
    this.nemesis.schedule(plan.faults);
    const lasting = plan.rounds.find(({ toMs }) => toMs === null);
    const probes = lasting === undefined ? null : probesFor(this);
    const endMs = this.#workloadMs + plan.durationMs;
    if (lasting !== undefined && probes !== null) {
      await cluster.scheduler.run(this.#workloadMs + lasting.fromMs);
      // The cut is an event of this very time; whatever else happens in the same moment comes after it.
      await cluster.scheduler.runFor(1);
      await lookAtLastingCut(this, probes, endMs);
    }
    await cluster.scheduler.run(endMs);
  }

  /** Ends all faults, lets the calls end, waits for one lineage, reads everything, and judges. */
  async finish(): Promise<SplitResult> {
    const { cluster, nemesis, workload, recorder, plan } = this;
    nemesis.heal();
    cluster.network.calm();
    cluster.network.setAllLinks({ loss: 0 });
    for (const { clock } of cluster.running()) clock.resume();
    this.stores?.calm();
    const healedMs = cluster.scheduler.now;
    await cluster.scheduler.runFor(plan.suspicionMs / 2);
    workload.stop();
    const dead = deadPartitions(this);
    await cluster.until(
      () => notOneLineage(cluster, dead) === null,
      RETURN_LIMIT_MS - plan.suspicionMs / 2,
      50,
    );
    const why = notOneLineage(cluster, dead);
    if (why !== null) this.find('G6 one lineage after the heal', `${RETURN_LIMIT_MS} ms after it ${why}`);
    this.figures.convergedMs = cluster.scheduler.now - healedMs;
    if (!(await cluster.until(() => workload.isIdle(), workload.longestCallMs + 4000 + RETURN_LIMIT_MS)))
      this.find('no hanging call', 'the workers did not come to their end');
    if (this.#near !== null) {
      const find = (guarantee: string, text: string) => this.find(guarantee, text);
      this.figures.nearHitsAtRest = await nearAtRest({ cluster, plan, find, dead }, this.#near);
    }
    if (plan.workloads.includes('locks')) await finalLocks(this, this.locks);
    if (this.stores !== null) await finalStores(this, this.stores);
    if (plan.workloads.includes('map-expiry')) await watchReplicas(this);
    // A query of all partitions needs them all.
    if (plan.workloads.includes('queries') && dead.size === 0) await finalQueries(this, this.queries);
    const final = await this.#final();
    let processed: SplitFinal['processed'] = null;
    if (plan.workloads.includes('locks') || this.stores !== null) await untilLevel(this);
    if (plan.workloads.includes('processors')) processed = await readOnce(this, PROCESSED);
    if (this.ears !== null) await finishEars(this, this.ears);
    recorder.close();
    const connectivity = this.connectivity();
    const judged = judgeSplit(this, { ...final, processed }, connectivity);
    const reached = new Reached();
    const ofEars = judgeEars(this, connectivity, reached);
    const all = [...this.findings, ...recorder.findings, ...judged.findings, ...ofEars];
    const findings = all.filter((finding) => !isOfDead(finding, dead));
    return this.#result(findings, { ...this.figures, ...judged.figures }, dead, reached);
  }

  connectivity(): Connectivity {
    const { cluster, nemesis } = this;
    const hosts = [...cluster.members.keys(), ...cluster.clientHosts];
    return new Connectivity(nemesis.cuts, hosts, cluster.scheduler.now);
  }

  async #final(): Promise<SplitFinal> {
    const { plan, workload } = this;
    if (plan.preset === 'PA/EC') return readAvailable(this);
    const { set, counters, queues } = await finalReads(this, workload.nextNumber());
    let reports = NO_REPORTS;
    let pairs: SplitFinal['pairs'] = null;
    let isDone = false;
    const grid = this.cluster.running()[0]?.member;
    if (grid === undefined)
      return { set, counters, queues, contested: new Map(), pairs, processed: null, reports };
    const read = async () => {
      reports = await readMergeReports(grid);
      pairs = await readPairs(this, { grid });
    };
    void read()
      .catch((error) => this.find('final reads', String(error)))
      .finally(() => {
        isDone = true;
      });
    await this.cluster.until(() => isDone, RETURN_LIMIT_MS);
    await this.cluster.scheduler.runFor(QUIET_MS);
    return { set, counters, queues, contested: new Map(), pairs, processed: null, reports };
  }

  #result(
    findings: readonly Finding[],
    figures: Figures,
    dead: ReadonlySet<number>,
    besides: Reached,
  ): SplitResult {
    const { cluster, nemesis, recorder, plan } = this;
    const reached = reachedOf(this, figures);
    reached.addAll(besides);
    reached.add('partition whose holders all crashed', dead.size);
    reached.add('partition that started empty', this.#lost);
    return {
      seed: plan.seed,
      plan,
      findings,
      figures,
      reached,
      faults: nemesis.log,
      digest: cluster.journal.digest(),
      operations: recorder.entries.length + this.behind.calls.length,
      virtualMs: cluster.scheduler.now,
      lines: cluster.journal.lines,
      logs: cluster.logs,
      history: () => recorder.history(''),
    };
  }
}

/** Runs a drawn case from start to verdict. */
export async function runSplitCase(plan: SplitCase, options: SplitRunOptions = {}): Promise<SplitResult> {
  const run = new SplitRun(plan, options);
  if (await run.start()) await run.work();
  const result = await run.finish();
  await run.cluster.shutdown();
  return result;
}

/** What follows from a partition that nobody can bring back is no fault of the protocol. */
function isOfDead({ guarantee, text }: Finding, dead: ReadonlySet<number>): boolean {
  if (dead.size === 0) return false;
  if (guarantee === 'service returns' || guarantee === 'size') return true;
  return [...dead].some((partition) => text.startsWith(`partition ${partition} has no primary`));
}

function memberOptions(
  plan: SplitCase,
  near: NearPlan | null,
  stores: StoreRig | null,
): Partial<MemberOptions> {
  const { syncBackups: sync, minSynced, backupTimeoutMs, asyncBackups, partitionCount, preset } = plan;
  const { heartbeatMs, suspicionMs, leaseMs } = plan;
  const knobs = structureKnobs(plan);
  const options = (async: number) => ({ backups: { sync, async }, minSynced, backupTimeoutMs, ...knobs });
  const ofMaps = { ...options(asyncBackups.maps), mergePolicy: plan.mergePolicy };
  const served = plan.knobs?.consistency ?? preset;
  return {
    partitionCount,
    timings: heartbeatMs === undefined ? plan.timings : { heartbeatMs, suspicionMs, leaseMs },
    consistency: preset,
    ...memberKnobs(plan),
    leaveTimeoutMs: 20_000,
    lockHolderTimeoutMs: HOLDER_MS,
    partitionLossTimeoutMs: plan.partitionLossTimeoutMs ?? PARTITION_LOSS_MS,
    maps: {
      default: ofMaps,
      ...stores?.maps(ofMaps),
      ...(plan.workloads.includes('queries') ? queriedMaps(ofMaps) : {}),
      ...(plan.workloads.includes('map-behind') || near !== null
        ? {
            [BEHIND]: {
              ...options(asyncBackups.maps),
              consistency: served.startsWith('PC') ? 'PC/EL' : 'PA/EL',
            },
          }
        : {}),
    },
    atomicLongs: { default: options(asyncBackups.atomicLongs) },
    queues: queueOptions(options(0)),
    topics: { default: options(0) },
    multimaps: { default: options(asyncBackups.maps) },
    ...(near === null ? {} : { nearCaches: near.options }),
  };
}
