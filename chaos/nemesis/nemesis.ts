/**
 * Applies a schedule of faults to a simulated cluster and takes them back at their end. It keeps the promise's
 * side of the bargain: no more crashes than sync backups before the cluster is safe again, and a quorum of the
 * view always remains. Called by the runner. Invariant: everything depends on virtual time and the schedule alone.
 */
import type { Case } from '../case.js';
import type { SimCluster } from '../sim/cluster.js';
import type { AppliedFault, Fault } from './fault.js';
import { type Layer, LinkLayers } from './links.js';
import { holdersSurvive, hostsOf, linksOf, newestView, quorumSurvives } from './targets.js';

/** How often a crash that has to wait asks again. */
const ASK_AGAIN_MS = 40;
/** Members that run at a time. */
const MOST_MEMBERS = 7;

export interface NemesisHost {
  readonly cluster: SimCluster;
  readonly plan: Case;
  /** Starts a process at a host and watches it. */
  startMember(host: string): void;
  leave(host: string): void;
  /** Where given: whether these may crash now, in the place of the usual budget. */
  mayCrash?(hosts: readonly string[]): boolean;
}

/** Links that were cut, with the time. */
export interface Cut {
  readonly pairs: readonly (readonly [from: string, to: string])[];
  readonly fromMs: number;
  /** Null while it lasts. */
  toMs: number | null;
}

export class Nemesis {
  readonly log: AppliedFault[] = [];
  readonly cuts: Cut[] = [];
  readonly #host: NemesisHost;
  readonly #layers: LinkLayers;
  readonly #undo = new Set<() => void>();
  #nextHost: number;
  #over = false;
  /** Crashes that the data of the last safe moment survives. */
  #budget: number;
  /** Crashes since the cluster was safe the last time. */
  lostSinceSafe = 0;
  /** More crashed than the promise covers. */
  exceeded = false;
  crashes = 0;

  constructor(host: NemesisHost) {
    this.#host = host;
    this.#layers = new LinkLayers(host.cluster.network, host.plan.link);
    this.#nextHost = host.plan.members + 1;
    this.#budget = Math.min(host.plan.syncBackups, host.plan.members - 1);
  }

  schedule(faults: readonly Fault[]): void {
    const { scheduler } = this.#host.cluster;
    const startMs = scheduler.now;
    for (const fault of faults) {
      scheduler.schedule(startMs + fault.atMs, () => {
        if (!this.#over) this.#apply(fault, scheduler.now + fault.durationMs);
      });
    }
  }

  /** Ends all faults that last, and everything that was still to come. */
  heal(): void {
    this.#over = true;
    this.undo();
  }

  /** Ends the faults that last; others may follow. */
  undo(): void {
    for (const undo of [...this.#undo]) undo();
  }

  #apply(fault: Fault, untilMs: number): void {
    switch (fault.kind) {
      case 'crash':
        this.#crash(fault, untilMs);
        return;
      case 'restart':
        this.#restart(fault);
        return;
      case 'join':
        this.#join(fault);
        return;
      case 'leave':
        this.#leave(fault);
        return;
      case 'pause':
        this.#pause(fault, untilMs);
        return;
      case 'wall':
        this.#stepWall(fault);
        return;
      default:
        this.#onLinks(fault, { kind: fault.kind, amount: fault.amount ?? 0 }, untilMs);
    }
  }

  #note(fault: Fault, met: readonly string[]): AppliedFault {
    const { now } = this.#host.cluster.scheduler;
    const applied: AppliedFault = { fault, met, fromMs: now, toMs: now };
    this.log.push(applied);
    return applied;
  }

  #skip(fault: Fault, skipped: string): void {
    this.log.push({ fault, met: [], fromMs: null, toMs: null, skipped });
  }

  /** To be called now and then: a safe cluster may lose members again, as many as have backups now. */
  noteSafety(): void {
    const { cluster, plan } = this.#host;
    if (!cluster.isSafe()) return;
    this.lostSinceSafe = 0;
    this.#budget = Math.min(plan.syncBackups, cluster.running().length - 1);
  }

  #crash(fault: Fault, untilMs: number): void {
    const { cluster, plan } = this.#host;
    this.noteSafety();
    const hosts = hostsOf(cluster, fault.scope);
    const members = newestView(cluster)?.members.length ?? 0;
    const allowed = Math.min(this.#budget, members - 1);
    const isCovered = this.lostSinceSafe + hosts.length <= allowed && holdersSurvive(cluster, hosts);
    const fits = plan.profile === 'beyond' || isCovered;
    const may = this.#host.mayCrash?.(hosts) ?? (fits && quorumSurvives(cluster, hosts));
    if (hosts.length > 0 && may) {
      this.#note(fault, hosts);
      for (const host of hosts) cluster.crash(host);
      this.lostSinceSafe += hosts.length;
      this.crashes += hosts.length;
      if (this.lostSinceSafe > allowed) this.exceeded = true;
      return;
    }
    const { scheduler } = cluster;
    if (scheduler.now + ASK_AGAIN_MS > untilMs) this.#skip(fault, 'the promise does not cover it now');
    else {
      scheduler.schedule(scheduler.now + ASK_AGAIN_MS, () => {
        if (!this.#over) this.#crash(fault, untilMs);
      });
    }
  }

  #restart(fault: Fault): void {
    const { cluster } = this.#host;
    const ended = [...cluster.members.values()].filter(({ state }) => state !== 'running');
    const [kind, text = '0'] = fault.scope.split(':');
    const host =
      kind === 'host'
        ? ended.find((entry) => entry.host === text)?.host
        : ended[Number(text) % Math.max(1, ended.length)]?.host;
    if (host === undefined || cluster.running().length >= MOST_MEMBERS) {
      this.#skip(fault, 'nobody is to be started again');
      return;
    }
    this.#host.startMember(host);
    this.#note(fault, [host]);
  }

  #join(fault: Fault): void {
    if (this.#host.cluster.running().length >= MOST_MEMBERS) {
      this.#skip(fault, 'there are enough members');
      return;
    }
    this.#note(fault, [this.addMember()]);
  }

  /** Starts a member at a new address, which it returns. */
  addMember(): string {
    const host = `m${this.#nextHost++}`;
    this.#host.startMember(host);
    return host;
  }

  #leave(fault: Fault): void {
    const { cluster } = this.#host;
    const [host] = hostsOf(cluster, fault.scope);
    const staying = cluster.running().filter((entry) => !entry.isLeaving && entry.host !== host);
    const known = host !== undefined && cluster.members.get(host)?.isLeaving === false;
    if (!known || staying.length < 2 || !quorumSurvives(cluster, [host])) {
      this.#skip(fault, 'too few members would stay');
      return;
    }
    this.#note(fault, [host]);
    this.#host.leave(host);
  }

  #pause(fault: Fault, untilMs: number): void {
    const { cluster } = this.#host;
    const hosts = hostsOf(cluster, fault.scope);
    const clocks = hosts
      .map((host) => cluster.members.get(host)?.clock)
      .filter((clock) => clock !== undefined);
    for (const clock of clocks) clock.pause();
    this.#lasting(this.#note(fault, hosts), untilMs, () => {
      for (const clock of clocks) clock.resume();
    });
  }

  #stepWall(fault: Fault): void {
    const { cluster } = this.#host;
    const hosts = hostsOf(cluster, fault.scope);
    this.#note(fault, hosts);
    for (const host of hosts) cluster.members.get(host)?.clock.stepWall(fault.amount ?? 0);
  }

  #onLinks(fault: Fault, layer: Layer, untilMs: number): void {
    const { cluster } = this.#host;
    const pairs = linksOf(cluster, fault.scope);
    this.#layers.put(pairs, layer);
    const met = pairs.length > 4 ? [fault.scope] : pairs.map(([from, to]) => `${from}>${to}`);
    const cut: Cut = { pairs, fromMs: cluster.scheduler.now, toMs: null };
    if (layer.kind === 'cut') this.cuts.push(cut);
    this.#lasting(this.#note(fault, met), untilMs, () => {
      cut.toMs = cluster.scheduler.now;
      this.#layers.take(pairs, layer);
    });
  }

  #lasting(applied: AppliedFault, untilMs: number, end: () => void): void {
    const { scheduler } = this.#host.cluster;
    applied.toMs = null;
    const undo = () => {
      if (!this.#undo.delete(undo)) return;
      applied.toMs = scheduler.now;
      end();
    };
    this.#undo.add(undo);
    scheduler.schedule(untilMs, undo);
  }
}
