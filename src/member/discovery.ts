/**
 * From start to membership: asks the join addresses for a cluster, asks its members to be admitted, or founds one
 * when nobody is there. Of several processes that look for a cluster at the same time, the one with the lowest
 * address founds it. Sans-io; driven by the member's heartbeat tick.
 */
import { hostOf } from '../../partitions/plan.js';
import { compareLineages } from '../cluster/rank.js';
import type { MemberId, View } from '../cluster/view.js';

/** As a multiple of the patience: longer than a dial that nobody answers and the next one take together. */
const CALLS_COUNT_FOR = 25;

export interface DiscoveryHost {
  /** Why an address is not connected, or null while it is not known yet. */
  problem(address: string): string | null;
  idAt(address: string): MemberId | null;
  /** Somebody listens at this address, whether or not it has said yet who it is. */
  isConnected(address: string): boolean;
  seek(id: MemberId): void;
  askToJoin(view: View): void;
  greet(ids: readonly MemberId[]): void;
  found(): void;
}

interface Seeker {
  readonly address: string;
  seenMs: number;
  readonly mayFound: boolean;
}

export class Discovery {
  readonly #self: { readonly id: MemberId; readonly address: string };
  readonly #join: readonly string[];
  readonly #host: DiscoveryHost;
  readonly #patienceMs: number;
  readonly #seekers = new Map<MemberId, Seeker>();
  /** Addresses of processes that called here: they may know a cluster that the join addresses do not. */
  readonly #callers = new Map<string, number>();
  #startedMs: number | null = null;
  #candidate: View | null = null;
  #candidateMs = 0;

  /** `patienceMs`: how long to look before founding, and how long an answer counts. */
  constructor(
    self: { readonly id: MemberId; readonly address: string },
    join: readonly string[],
    patienceMs: number,
    host: DiscoveryHost,
  ) {
    this.#self = self;
    this.#join = join.filter((address) => address !== self.address);
    this.#patienceMs = patienceMs;
    this.#host = host;
  }

  /** For people: a line for each join address that is not connected. */
  problems(): string[] {
    return this.#join.map((at) => `${at}: ${this.#host.problem(at) ?? 'no answer yet'}`);
  }

  /** Addresses that a process which looks for a cluster wants to be connected to. */
  addresses(): string[] {
    return [...this.#join, ...(this.#candidate?.members.map((member) => member.address) ?? [])];
  }

  /** A cluster answered with its view, which does not have this process yet. */
  cluster(view: View, nowMs: number): void {
    const known = this.#candidate;
    if (known !== null && known.lineage === view.lineage && view.number < known.number) return;
    // Of several lineages the one that will stay is asked, while it is heard of.
    const isFresh = nowMs - this.#candidateMs < 2 * this.#patienceMs;
    if (known !== null && known.lineage !== view.lineage && isFresh && compareLineages(known, view) < 0)
      return;
    this.#candidate = view;
    this.#candidateMs = nowMs;
  }

  /** A process connected to this one, perhaps a member of a cluster that names it. */
  caller(address: string, nowMs: number): void {
    if (address !== this.#self.address && this.#callers.size < 1000) this.#callers.set(address, nowMs);
  }

  /** Another process looks for a cluster too; one that was in a cluster before never founds one. */
  seeker(id: MemberId, address: string, nowMs: number, mayFound: boolean): void {
    if (id === this.#self.id || this.#seekers.size > 1000) return;
    this.#seekers.set(id, { address, seenMs: nowMs, mayFound });
  }

  tick(nowMs: number): void {
    this.#startedMs ??= nowMs;
    for (const address of new Set([...this.#join, ...this.#callers.keys()])) {
      const id = this.#host.idAt(address);
      if (id !== null && id !== this.#self.id) this.#host.seek(id);
    }
    if (this.#candidate !== null && nowMs - this.#candidateMs > 4 * this.#patienceMs) this.#candidate = null;
    if (this.#candidate !== null) {
      const ids = this.#candidate.members.map((member) => member.id).filter((id) => id !== this.#self.id);
      this.#host.greet(ids);
      this.#host.askToJoin(this.#candidate);
    } else if (this.#mayFound(nowMs)) {
      this.#host.found();
    }
  }

  #mayFound(nowMs: number): boolean {
    const waitedMs = nowMs - (this.#startedMs as number);
    if (this.#join.length > 0 && waitedMs < this.#patienceMs) return false;
    for (const [id, seeker] of this.#seekers) {
      if (nowMs - seeker.seenMs > this.#patienceMs) this.#seekers.delete(id);
      else if (seeker.mayFound && compareAddresses(seeker.address, this.#self.address) < 0) return false;
    }
    if (this.#isCalled(nowMs)) return false;
    return this.#join.every((address) => this.#isSettled(address, waitedMs));
  }

  /** Somebody called who does not look for a cluster himself, so there is one, whatever the way back is like. */
  #isCalled(nowMs: number): boolean {
    const seeking = new Set([...this.#seekers.values()].map(({ address }) => address));
    for (const [address, calledMs] of this.#callers) {
      if (!seeking.has(address) && nowMs - calledMs < CALLS_COUNT_FOR * this.#patienceMs) return true;
    }
    return false;
  }

  /** It is known that no cluster is at this address: nobody, this process itself, or a process that seeks as well. */
  #isSettled(address: string, waitedMs: number): boolean {
    const id = this.#host.idAt(address);
    if (id !== null) return id === this.#self.id || this.#seekers.has(id);
    // A member that stands still for a while has taken the connection; founding beside it would split the cluster.
    if (this.#host.isConnected(address)) return false;
    return this.#host.problem(address) !== null || waitedMs > 4 * this.#patienceMs;
  }
}

/** Numeric by port, so that 127.0.0.1:999 comes before 127.0.0.1:5701. */
function compareAddresses(a: string, b: string): number {
  const [hostA, hostB] = [hostOf(a), hostOf(b)];
  if (hostA !== hostB) return hostA < hostB ? -1 : 1;
  return Number(a.slice(hostA.length + 1)) - Number(b.slice(hostB.length + 1));
}
