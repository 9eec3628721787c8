/**
 * Membership in one lineage: who joins and leaves, and the proposals of next views. Synchronous and sans-io: calls
 * come in from `lineages.ts`, messages go out through the host. Whoever is the oldest of the largest fully connected
 * set, if that set is a quorum of the view, proposes. The same for the chain and for a fork.
 */
import { Chain, type ChainMessage } from './chain.js';
import { largestConnectedSet } from './failure-detector.js';
import type { Fences } from './lease.js';
import type { Roster } from './roster.js';
import {
  hasMember,
  isQuorum,
  lineageTag,
  type MemberId,
  type MemberInfo,
  type StructureRow,
  type View,
} from './view.js';

/** How long a dead member stays in the view for the process that has started at its address. */
const REPLACEMENT_HEARTBEATS = 4;
/** A member was heard lately when one of so many heartbeats arrived. */
const RECENT_HEARTBEATS = 2;
const MAX_JOINERS = 1000;

export interface MembershipOptions {
  readonly heartbeatMs: number;
  readonly suspicionMs: number;
}

/** The lineage that a joiner comes from: its members are taken in together. */
export interface JoinSource {
  readonly lineage: string;
  readonly members: readonly MemberId[];
}

export interface Joiner {
  readonly id: MemberId;
  readonly address: string;
  readonly structures: readonly StructureRow[];
  readonly source: JoinSource | null;
  heardMs: number;
  /** Since when it asks. */
  readonly sinceMs: number;
}

/** What changes with the next view, as membership sees it; the host adds the partition table. */
export interface Change {
  readonly members: readonly MemberInfo[];
  readonly joined: readonly Joiner[];
  readonly isDead: (id: MemberId) => boolean;
  /** Members come back to the lineage from forks: whoever leads a partition begins a new epoch. */
  readonly restart: boolean;
}

export interface MembershipHost {
  sendChain(to: MemberId, lineage: number, message: ChainMessage<View>): void;
  sendView(to: MemberId, view: View, fences: Fences | null): void;
  askForView(to: MemberId, lineage: number, have: number): void;
  /** A joiner has to be reachable before it is admitted. */
  connect(id: MemberId, address: string): void;
  /** The next view for this change, or null when nothing differs from the present one. */
  nextView(view: View, change: Change): View | null;
  fences(view: View, next: View): Fences;
  adopted(membership: Membership, view: View, before: View | null, fences: Fences | null): void;
}

export class Membership {
  readonly #self: MemberId;
  readonly #options: MembershipOptions;
  readonly #roster: Roster;
  readonly #host: MembershipHost;
  readonly #jitter: () => number;
  readonly #chain: Chain<View>;
  readonly #joiners = new Map<MemberId, Joiner>();
  #now = 0;
  #adoptedMs = Number.NEGATIVE_INFINITY;
  #proposedMs = Number.NEGATIVE_INFINITY;
  #retryAfterMs = 0;

  constructor(
    self: MemberId,
    options: MembershipOptions,
    roster: Roster,
    host: MembershipHost,
    /** Uniform in [0, 1): spreads the retries of rival proposers. */
    jitter: () => number,
  ) {
    this.#self = self;
    this.#options = options;
    this.#roster = roster;
    this.#host = host;
    this.#jitter = jitter;
    this.#chain = new Chain<View>(self, {
      send: (to, message) => this.#host.sendChain(to, this.tag, message),
      chosen: (view, fences) => this.#chosen(view, fences),
      fences: (next) => this.#host.fences(this.#chain.current as View, next),
      senderIsBehind: (from) => this.tell(from),
      selfIsBehind: (from) => this.#host.askForView(from, this.tag, this.known?.number ?? 0),
    });
  }

  /** The newest view known, also when this member is not in it. */
  get known(): View | null {
    return this.#chain.current;
  }

  get view(): View | null {
    const view = this.#chain.current;
    return view !== null && hasMember(view, this.#self) ? view : null;
  }

  get tag(): number {
    const view = this.#chain.current;
    return view === null ? 0 : lineageTag(view.lineage);
  }

  /** This member is getting a next view agreed on. */
  get isProposing(): boolean {
    return this.#chain.isProposing;
  }

  /** It has accepted a next view and so does not help anybody to a lease of the present one. */
  get hasOpenVote(): boolean {
    return this.#chain.hasOpenVote;
  }

  get joiners(): readonly Joiner[] {
    return [...this.#joiners.values()];
  }

  /** Takes a view of this lineage that was chosen, from whoever told it; true when it was new. */
  learn(view: View, fences: Fences | null, nowMs: number): boolean {
    this.#now = nowMs;
    const before = this.#chain.current;
    if (!this.#chain.adopt(view)) return false;
    this.#proposedMs = Number.NEGATIVE_INFINITY;
    this.#adoptedMs = nowMs;
    for (const member of view.members) {
      this.#roster.detector.expect(member.id, nowMs);
      this.#joiners.delete(member.id);
    }
    this.#host.adopted(this, view, before, fences);
    return true;
  }

  /** To be called at each heartbeat interval; `restart` when members come back from forks. */
  consider(nowMs: number, restart: boolean, alive = this.connectedSet(nowMs)): void {
    this.#now = nowMs;
    for (const joiner of this.#joiners.values())
      if (nowMs - joiner.heardMs > this.#options.suspicionMs) this.#joiners.delete(joiner.id);
    const { view } = this;
    if (view === null) return;
    if (alive[0] !== this.#self || !isQuorum(view.members, (id) => alive.includes(id))) return;
    if (alive.length < view.members.length && !this.#hearsNow(alive)) return;
    if (this.#chain.isProposing && nowMs - this.#proposedMs < this.#retryAfterMs) return;
    const change = this.#change(view, alive, restart);
    if (!this.#chain.hasOpenVote && this.#awaitsReplacement(view, change)) return;
    const next = this.#host.nextView(view, change);
    if (next === null && !this.#chain.hasOpenVote && !this.#chain.isProposing) return;
    this.#proposedMs = nowMs;
    this.#retryAfterMs = this.#options.heartbeatMs * (1.5 + 2 * this.#jitter());
    this.#chain.propose(next ?? { ...view, number: view.number + 1 });
  }

  /**
   * Whoever does not hear any more misses the others one after the other: half-way it must not propose a view of those
   * whose silence it has not noticed yet, because what it proposed has to be brought to its end.
   */
  #hearsNow(alive: readonly MemberId[]): boolean {
    const withinMs = RECENT_HEARTBEATS * this.#options.heartbeatMs;
    return alive.every((id) => this.#roster.detector.heardWithin(id, withinMs, this.#now));
  }

  /** The largest set of members of the view that are connected pair by pair, this one among them; oldest first. */
  connectedSet(nowMs: number): MemberId[] {
    const ids = (this.view?.members ?? []).map((member) => member.id);
    const beforeMs = nowMs - this.#options.suspicionMs;
    const mayBeAway = this.#adoptedMs > beforeMs;
    const isElsewhere = (id: MemberId) => !mayBeAway && this.#roster.isElsewhere(id, this.tag, beforeMs);
    return largestConnectedSet(
      ids.filter((id) => !this.#roster.isDead(id) && !isElsewhere(id)),
      this.#self,
      (a, b) => this.#roster.detector.connected(a, b, nowMs),
    );
  }

  /** A start at a dead member's address replaces it in the same view, if it is heard by all in a few heartbeats. */
  #awaitsReplacement(view: View, change: Change): boolean {
    return view.members.some(({ id, address }) => {
      const sinceMs = this.#roster.replacedMs.get(id) ?? Number.NEGATIVE_INFINITY;
      const isIn = change.joined.some((joiner) => joiner.address === address);
      return !isIn && this.#now - sinceMs < REPLACEMENT_HEARTBEATS * this.#options.heartbeatMs;
    });
  }

  #change(view: View, alive: readonly MemberId[], restart: boolean): Change {
    const joined = this.#admitted(view, alive);
    const kept = alive.filter((id) => !joined.some((joiner) => this.#addressOf(view, id) === joiner.address));
    const survivors = new Set(kept);
    const members = view.members
      .filter((member) => survivors.has(member.id))
      .map((member) => ({ ...member, leaving: member.leaving || this.#roster.isLeaving(member.id) }));
    const added = joined.map((joiner) => ({ id: joiner.id, address: joiner.address, leaving: false }));
    const isDead = (id: MemberId) => this.#roster.isDead(id);
    return { members: [...members, ...added], joined, isDead, restart };
  }

  /** Who comes in: one after the other, and those of one lineage together or not at all. */
  #admitted(view: View, alive: readonly MemberId[]): Joiner[] {
    const joined: Joiner[] = [];
    const waiting = this.joiners.toSorted((a, b) => (a.id < b.id ? -1 : 1));
    for (const joiner of waiting) {
      if (joined.some(({ id }) => id === joiner.id)) continue;
      const group = joiner.source === null ? [joiner] : this.#group(view, joiner.source, waiting);
      if (group !== null && this.#fits(view, alive, [...joined, ...group])) joined.push(...group);
    }
    return joined;
  }

  /** The members of a lineage that wants to merge, or null while not all of them have asked for long enough. */
  #group(view: View, source: JoinSource, waiting: readonly Joiner[]): Joiner[] | null {
    const group: Joiner[] = [];
    for (const id of source.members) {
      if (hasMember(view, id) || this.#roster.isDead(id)) continue;
      const joiner = waiting.find((other) => other.id === id && other.source?.lineage === source.lineage);
      if (joiner === undefined || this.#now - joiner.sinceMs < this.#options.suspicionMs) return null;
      group.push(joiner);
    }
    return group.length === 0 ? null : group;
  }

  /** Whether these newcomers can come in together: all of the new view hear each other. */
  #fits(view: View, alive: readonly MemberId[], joined: readonly Joiner[]): boolean {
    const addresses = new Set(joined.map(({ address }) => address));
    if (addresses.size < joined.length) return false;
    const staying = alive.filter((id) => !addresses.has(this.#addressOf(view, id) ?? ''));
    // Those heard now must be a majority of the new view: newcomers alone can never outvote them. A lineage that
    // merges may be as large: its members bring their own voice, and leave theirs.
    const strangers = joined.filter(({ source }) => source === null).length;
    if (2 * staying.length < staying.length + strangers) return false;
    return joined.every((joiner, i) => {
      const others = [...staying, ...joined.slice(0, i).map(({ id }) => id)];
      return others.every((id) => this.#roster.detector.confirmed(id, joiner.id, this.#now));
    });
  }

  #addressOf(view: View, id: MemberId): string | undefined {
    return view.members.find((member) => member.id === id)?.address;
  }

  #chosen(view: View, fences: Fences): void {
    const before = this.#chain.current;
    const to = new Set([...(before?.members ?? []), ...view.members].map((member) => member.id));
    this.learn(view, fences, this.#now);
    for (const id of to) if (id !== this.#self) this.#host.sendView(id, view, fences);
  }

  /** Tells the newest view of this lineage. */
  tell(to: MemberId): void {
    const { known } = this;
    if (known !== null) this.#host.sendView(to, known, null);
  }

  receiveChain(from: MemberId, message: ChainMessage<View>, nowMs: number): void {
    this.#now = nowMs;
    this.#chain.receive(from, message);
  }

  /** A process asks to be admitted. */
  onJoin(joiner: Omit<Joiner, 'heardMs' | 'sinceMs'>, nowMs: number): void {
    this.#now = nowMs;
    const { view } = this;
    if (view === null) return;
    const { id, address } = joiner;
    if (hasMember(view, id)) {
      // It was admitted and has not learned it yet.
      this.tell(id);
      return;
    }
    const known = this.#joiners.get(id);
    if (known === undefined && this.#joiners.size >= MAX_JOINERS) return;
    const isSame = known !== undefined && known.source?.lineage === joiner.source?.lineage;
    this.#joiners.set(id, { ...joiner, heardMs: nowMs, sinceMs: isSame ? known.sinceMs : nowMs });
    this.#roster.detector.expect(id, nowMs);
    this.#host.connect(id, address);
    for (const member of view.members)
      if (member.address === address && member.id !== id) this.#roster.replaced(member.id, nowMs);
  }
}
