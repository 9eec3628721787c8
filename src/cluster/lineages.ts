/**
 * A member's place among lineages: the chain that it belongs to, and over it the fork that it is in while its side of
 * a split has no majority. Sends heartbeats, keeps the lease, forms forks, and finds the lineage to merge into when
 * sides meet again. Invariants: a fork never touches the member's votes in the chain; a view of the chain that names
 * this member ends its fork. Synchronous and sans-io; called by the member's composition.
 */
import type { Reader } from '../base/bytes.js';
import type { Logger } from '../base/ports.js';
import type { Header } from '../wire/frame.js';
import type { BodyOf } from '../wire/message.js';
import type { ChainMessage } from './chain.js';
import { receiveChainMessage, sendChainMessage } from './chain-wire.js';
import { forkMembers, isStuck } from './fork.js';
import { AckAges, type Fences, Lease } from './lease.js';
import { Meeting, type MeetingHost } from './meeting.js';
import { type Change, Membership, type MembershipOptions } from './membership.js';
import * as messages from './messages.js';
import type { Others } from './others.js';
import { compareLineages, rootOf } from './rank.js';
import { Roster } from './roster.js';
import { hasMember, type MemberId, type MemberInfo, type View } from './view.js';

export interface LineageOptions extends MembershipOptions {
  readonly leaseMs: number;
}

/** Faults that tests put in on purpose; never set outside of them. */
export interface LineageFaults {
  /** An acceptor goes on acknowledging heartbeats after it has accepted the next view. */
  readonly ackAfterAccept?: boolean;
  /** An acceptor reports when it last acknowledged a member, but not how long it has been in the view itself. */
  readonly ageWithoutEntry?: boolean;
}

export interface LineagesHost extends MeetingHost {
  uuid(): string;
  /** The next view for this change, or null when nothing differs from the present one. */
  nextView(view: View, change: Change): View | null;
  /** The first view of a fork: what is left of `origin` with these members. */
  forkView(origin: View, members: readonly MemberInfo[], lineage: string): View;
  /** The view that this member is in changed; `before` is the one that it was in, perhaps of another lineage. */
  adopted(view: View, before: View | null, fences: Fences | null): void;
  /** The proposer's word on leases came after the view itself. */
  fenced(view: View, fences: Fences): void;
  /** A view without this member was learned; it was removed or has left. */
  removed(view: View): void;
  /** A cluster told its view to this process, which is in none. */
  candidate(view: View): void;
  /** What the view that this member is in promises about changed presets holds here. */
  isKept(): boolean;
}

export class Lineages {
  readonly #self: MemberId;
  readonly #options: LineageOptions;
  readonly #host: LineagesHost;
  readonly #logger: Logger;
  readonly #jitter: () => number;
  readonly #faults: LineageFaults;
  readonly roster: Roster;
  readonly lease: Lease;
  readonly #meeting: Meeting;
  readonly #ages = new AckAges();
  #chain: Membership;
  #fork: Membership | null = null;
  /** The view that this member is in. */
  #active: View | null = null;
  /** The last view that it was in: what a fork is made of. */
  #origin: View | null = null;
  #stuckSinceMs: number | null = null;
  #joinableSinceMs: number | null = null;
  #now = 0;
  #tickMs = Number.POSITIVE_INFINITY;

  constructor(
    self: MemberId,
    options: LineageOptions,
    host: LineagesHost,
    logger: Logger,
    jitter: () => number,
    faults: LineageFaults = {},
  ) {
    this.#self = self;
    this.#options = options;
    this.#host = host;
    this.#logger = logger;
    this.#jitter = jitter;
    this.#faults = faults;
    this.roster = new Roster(self, options.suspicionMs);
    this.lease = new Lease(self, options.leaseMs);
    this.#meeting = new Meeting(this.roster, options.suspicionMs, host);
    this.#chain = this.#newMembership();
  }

  #newMembership(): Membership {
    return new Membership(
      this.#self,
      this.#options,
      this.roster,
      {
        sendChain: (to, lineage, message: ChainMessage<View>) =>
          sendChainMessage(this.#host, to, lineage, message),
        sendView: (to, view, fences) => this.#host.send(to, messages.viewMessage, { view, fences }),
        askForView: (to, lineage, have) => this.#host.send(to, messages.viewRequest, { lineage, have }),
        connect: (id, address) => this.#host.connect(id, address),
        nextView: (view, change) => this.#host.nextView(view, change),
        fences: (view, next) => this.#fences(view, next),
        adopted: (membership, view, before, fences) => this.#adopted(membership, view, before, fences),
      },
      this.#jitter,
    );
  }

  // --- what is known

  /** Lineages that this member is not in but hears of. */
  get others(): Others {
    return this.#meeting.others;
  }

  /** The view that this member is in, of the chain or of a fork, or null. */
  get view(): View | null {
    return this.#active;
  }

  /** The newest view of the lineage that this member is in or was in last, also when it is not in it. */
  get known(): View | null {
    return this.#active ?? this.#chain.known;
  }

  /** The newest view of the chain, also while this member is in a fork. */
  get chainView(): View | null {
    return this.#chain.known;
  }

  get isInFork(): boolean {
    return this.#fork !== null;
  }

  get isProposing(): boolean {
    return this.#chain.isProposing || this.#fork?.isProposing === true;
  }

  /** Whether this member hears, and is heard by, a quorum of the view that it is in. */
  hasQuorum(nowMs: number): boolean {
    return this.#active !== null && this.roster.hasQuorum(this.#active, nowMs);
  }

  /** Every other member of the view is leaving too, or gone: nobody is left to hand anything over to. */
  get everyoneLeaves(): boolean {
    const others = this.#active?.members.filter((member) => member.id !== this.#self) ?? [];
    return others.every(({ id }) => this.roster.leaving.has(id) || this.roster.isDead(id));
  }

  get isLeavingItself(): boolean {
    return this.roster.isLeavingItself;
  }

  /** This member wants to leave; the others hear it with the next heartbeat. */
  leave(): void {
    this.roster.isLeavingItself = true;
    this.#beat();
  }

  /** The address of a member answered as another process. */
  replaced(id: MemberId): void {
    this.roster.replaced(id, this.#now);
  }

  get #current(): Membership {
    return this.#fork ?? this.#chain;
  }

  // --- views

  /** Takes a view that was chosen, from whoever told it. */
  learn(view: View, fences: Fences | null = null): void {
    const known = this.#chain.known;
    if (known !== null && known.lineage === view.lineage) {
      this.#learnIn(this.#chain, view, fences);
    } else if (this.#fork?.known?.lineage === view.lineage) {
      this.#learnIn(this.#fork, view, fences);
    } else if (!hasMember(view, this.#self)) {
      this.others.note(view, this.#now);
      if (this.#active === null) this.#host.candidate(view);
    } else if (known === null && this.#fork === null) this.#enter(view, fences);
    else if (this.#wants(view)) this.#moveTo(view, fences);
    else if (this.#acceptsFork(view)) this.#follow(view);
  }

  #learnIn(membership: Membership, view: View, fences: Fences | null): void {
    if (membership.learn(view, fences, this.#now)) return;
    if (fences !== null && membership.known?.number === view.number) this.#host.fenced(view, fences);
  }

  /** The first view of this process. */
  #enter(view: View, fences: Fences | null): void {
    if (view.parent === null) this.#chain.learn(view, fences, this.#now);
    else this.#follow(view);
  }

  /** This member asked to be taken in, and still wants to: it may have found a better place meanwhile. */
  #wants(view: View): boolean {
    const own = this.#active;
    return this.others.wasAsked(view.lineage) && (own === null || compareLineages(view, own) < 0);
  }

  /** The lineage that this member asked has taken it in. */
  #moveTo(view: View, fences: Fences | null): void {
    this.#logger.log('warn', 'merging into another lineage', { lineage: view.lineage, number: view.number });
    if (view.parent === null || rootOf(view) !== this.#chain.known?.lineage) {
      // The former chain can not go on with this member: it has become one of another.
      this.#chain = this.#newMembership();
      this.#fork = null;
      this.lease.adopted([]);
    }
    this.#enter(view, fences);
  }

  /** The oldest of this side has formed a fork, and this member is as alone as that one. */
  #acceptsFork(view: View): boolean {
    const origin = this.#origin;
    if (origin === null || view.parent === null || this.#stuckSinceMs === null) return false;
    const isOurs = view.parent.lineage === rootOf(origin) && view.number === origin.number + 1;
    return isOurs && this.#now - this.#stuckSinceMs >= this.#options.suspicionMs / 2;
  }

  #follow(view: View): void {
    this.#fork = this.#newMembership();
    this.#fork.learn(view, null, this.#now);
  }

  #adopted(membership: Membership, view: View, before: View | null, fences: Fences | null): void {
    this.others.forget(view.lineage);
    if (membership === this.#fork && view.parent === null) {
      // A person has declared the rest of the chain dead: the fork is the chain from now on.
      this.#chain = membership;
      this.#fork = null;
    }
    const isIn = hasMember(view, this.#self);
    if (membership === this.#chain) {
      this.#ages.entered(this.#now);
      this.lease.adopted(isIn ? view.members : []);
      // The chain goes on without this member, which stays in its fork until it is taken in again.
      if (!isIn && this.#fork !== null) return;
      this.#fork = null;
    } else if (!isIn) this.#fork = null;
    for (const { id } of before?.members ?? []) if (!hasMember(view, id)) this.roster.forget(id);
    const previous = this.#active;
    this.#active = isIn ? view : null;
    this.#stuckSinceMs = null;
    this.#joinableSinceMs = null;
    if (isIn) {
      this.#origin = view;
      this.#host.adopted(view, previous, fences);
    } else if (previous !== null) this.#host.removed(view);
    else this.#host.candidate(view);
    // Adopting a view sends a heartbeat at once, so that everyone learns of it within one round.
    this.#beat();
  }

  #fences(view: View, next: View): Fences {
    if (this.#faults.ageWithoutEntry !== true)
      return this.#ages.fences(view.members, next.members, this.#now);
    const ages = this.#ages.fences(view.members, next.members, this.#now);
    const removed = ages.removed.map(({ member }) => ({
      member,
      ageMs: this.#ages.sinceAck(member, this.#now),
    }));
    return { enteredMs: Number.MAX_SAFE_INTEGER, removed };
  }

  // --- time

  /** To be called at each heartbeat interval. */
  tick(nowMs: number): void {
    this.#now = nowMs;
    this.#beat();
    const own = this.#active;
    if (own !== null && !this.roster.isLeavingItself) this.#meeting.tick(own, this.#chain.known, nowMs);
    // Whoever stood still has heartbeats waiting to be read, and judges nobody before it has read them.
    const stoodStill = nowMs - this.#tickMs > 2 * this.#options.heartbeatMs;
    this.#tickMs = nowMs;
    if (stoodStill) {
      this.#stuckSinceMs = null;
      return;
    }
    this.#considerChain();
    if (this.#fork !== null) this.#fork.consider(nowMs, false);
    this.watch(nowMs);
  }

  /** In a fork, the chain goes on only when a majority of it has been together for a suspicion time. */
  #considerChain(): void {
    const { view } = this.#chain;
    if (view === null) return;
    const now = this.#now;
    const isAway = (id: MemberId) => {
      const at = this.roster.whereabouts(id);
      return at !== undefined && at.lineage !== this.#chain.tag && at.chain === this.#chain.tag;
    };
    const alive = this.#chain.connectedSet(now);
    const restart = this.#fork !== null || alive.some(isAway);
    const isTogether = !isStuck(this.#chain, this.roster, now, alive);
    if (!isTogether) this.#joinableSinceMs = null;
    else this.#joinableSinceMs ??= now;
    if (
      restart &&
      (this.#joinableSinceMs === null || now - this.#joinableSinceMs < this.#options.suspicionMs)
    )
      return;
    this.#chain.consider(now, restart, alive);
  }

  /** To be called often: notices that this side is without a majority, and after a while forms a fork. */
  watch(nowMs: number): void {
    this.#now = nowMs;
    const origin = this.#origin;
    if (origin === null || this.roster.isLeavingItself) return;
    if (this.#active !== null && !isStuck(this.#current, this.roster, nowMs)) {
      this.#stuckSinceMs = null;
      return;
    }
    this.#stuckSinceMs ??= nowMs;
    const candidates = forkMembers(origin, this.roster, nowMs);
    const order = candidates.findIndex(({ id }) => id === this.#self);
    // The oldest goes first; the next one only when it does not.
    const patience = this.#active === null && this.others.isHeard(nowMs) ? 4 : 1;
    const waitMs = patience * this.#options.suspicionMs + order * 3 * this.#options.heartbeatMs;
    if (nowMs - this.#stuckSinceMs >= waitMs) this.#formFork(origin, candidates);
  }

  #formFork(origin: View, members: readonly MemberInfo[]): void {
    const view = this.#host.forkView(origin, members, this.#host.uuid());
    this.#logger.log('warn', 'this side of a split has no majority and goes on as a fork', {
      fork: view.lineage,
      chain: view.parent?.lineage,
      members: members.map(({ address }) => address),
    });
    this.#follow(view);
    for (const { id } of members)
      if (id !== this.#self) this.#host.send(id, messages.viewMessage, { view, fences: null });
  }

  /** Asks the members of a view to be admitted. */
  askToJoin(view: View): void {
    this.#meeting.askToJoin(view, null);
  }

  // --- heartbeats

  /** Something that heartbeats tell has changed: the others hear it now. */
  announce(nowMs: number): void {
    this.#now = nowMs;
    this.#beat();
  }

  /** Members of the view that this one is in that have not adopted it, or do not keep yet what it promises about presets. */
  whoKeepsNot(): MemberInfo[] {
    const view = this.#active;
    if (view === null) return [];
    return view.members.filter(({ id }) => {
      if (id === this.#self) return !this.#host.isKept();
      const at = this.roster.whereabouts(id);
      return at?.kept !== true || at.view !== view.number || at.lineage !== this.#current.tag;
    });
  }

  #beat(): void {
    const isInChain = this.#fork === null && this.#active !== null;
    const counts = !this.#chain.hasOpenVote || this.#faults.ackAfterAccept === true;
    if (isInChain) {
      this.lease.sent(this.#now, counts);
      if (counts) this.#ages.acknowledged(this.#self, this.#now);
    }
    const known = this.#chain.known;
    const chain =
      this.#fork === null || known === null ? null : { lineage: this.#chain.tag, number: known.number };
    this.#send(this.#recipients(), chain);
  }

  #send(ids: Iterable<MemberId>, chain: { lineage: number; number: number } | null): void {
    const hears = this.roster.detector.heard(this.#now);
    const lastIn = this.#active === null ? (this.#origin?.number ?? null) : null;
    const kept = this.#active !== null && this.#host.isKept();
    const body = { sentMs: this.#now, leaving: this.roster.isLeavingItself, hears, chain, lastIn, kept };
    for (const id of ids) this.#host.send(id, messages.heartbeat, body);
  }

  #recipients(): Set<MemberId> {
    const ids = new Set<MemberId>();
    for (const view of [this.#chain.known, this.#fork?.known, ...this.others.views()])
      for (const { id } of view?.members ?? []) ids.add(id);
    for (const { id } of [...this.#chain.joiners, ...(this.#fork?.joiners ?? [])]) ids.add(id);
    ids.delete(this.#self);
    return ids;
  }

  /** A heartbeat to members of a cluster that this process is not in yet. */
  greet(ids: readonly MemberId[]): void {
    this.#send(ids, null);
  }

  // --- messages

  /** Handles the messages of this layer; false when it is not one of them. */
  receive(from: MemberId, header: Header, reader: Reader, nowMs: number): boolean {
    this.#now = nowMs;
    switch (header.message) {
      case messages.heartbeat.id:
        this.#onHeartbeat(from, header, messages.heartbeat.read(reader));
        return true;
      case messages.heartbeatAck.id: {
        const { lineage, number, sentMs } = messages.heartbeatAck.read(reader);
        const isOurs = lineage === this.#chain.tag && number === this.#chain.known?.number;
        if (isOurs && this.#fork === null) this.lease.acknowledged(from, sentMs);
        return true;
      }
      case messages.join.id:
        this.#onJoin(from, messages.join.read(reader));
        return true;
      case messages.viewMessage.id: {
        const { view, fences } = messages.viewMessage.read(reader);
        this.learn(view, fences);
        return true;
      }
      case messages.viewRequest.id:
        this.#onViewRequest(from, messages.viewRequest.read(reader));
        return true;
      case messages.goodbye.id:
        this.roster.saidGoodbye(from);
        return true;
      default: {
        const chainMessage = receiveChainMessage(header.message, reader);
        if (chainMessage === null) return false;
        this.#of(chainMessage.lineage)?.receiveChain(from, chainMessage.message, nowMs);
        return true;
      }
    }
  }

  #of(tag: number): Membership | null {
    if (tag === this.#chain.tag && tag !== 0) return this.#chain;
    return this.#fork !== null && tag === this.#fork.tag ? this.#fork : null;
  }

  #onHeartbeat(from: MemberId, header: Header, body: BodyOf<typeof messages.heartbeat>): void {
    const { lineage, view: number } = header;
    const { kept, lastIn, chain } = body;
    const at = {
      lineage,
      view: lastIn ?? number,
      chain: chain?.lineage ?? lineage,
      kept: kept && lastIn === null,
    };
    this.roster.heartbeat(from, at, body.leaving, body.hears, this.#now);
    if (number === 0) return;
    this.#acknowledge(from, lineage, number, body.sentMs);
    this.#compare(from, lineage, number);
    if (body.chain !== null) this.#compare(from, body.chain.lineage, body.chain.number);
  }

  #acknowledge(from: MemberId, lineage: number, number: number, sentMs: number): void {
    const { view } = this.#chain;
    if (view === null || this.#fork !== null || lineage !== this.#chain.tag || number !== view.number) return;
    if (!hasMember(view, from) || (this.#chain.hasOpenVote && this.#faults.ackAfterAccept !== true)) return;
    this.#ages.acknowledged(from, this.#now);
    this.#host.send(from, messages.heartbeatAck, { lineage, number, sentMs });
  }

  /** Somebody is at this view: whoever is behind gets the newer one. */
  #compare(from: MemberId, lineage: number, number: number): void {
    const membership = this.#of(lineage);
    if (membership === null) {
      const have = this.others.numberOf(lineage);
      if (number > have) this.#host.send(from, messages.viewRequest, { lineage, have });
      // It is in this fork by its view and does not know it yet.
      if (this.#fork !== null && hasMember(this.#fork.known as View, from)) this.#fork.tell(from);
      return;
    }
    const have = membership.known?.number ?? 0;
    if (number > have) this.#host.send(from, messages.viewRequest, { lineage, have });
    else if (number < have) membership.tell(from);
  }

  #onViewRequest(from: MemberId, { lineage, have }: BodyOf<typeof messages.viewRequest>): void {
    const membership = lineage === 0 ? this.#current : this.#of(lineage);
    if ((membership?.known?.number ?? 0) > have) membership?.tell(from);
  }

  #onJoin(from: MemberId, body: BodyOf<typeof messages.join>): void {
    const { address, structures, source, lineage } = body;
    // A lineage that is about to be merged into another one takes nobody in.
    if (this.#active === null || lineage !== this.#current.tag) return;
    this.#current.onJoin({ id: from, address, structures, source }, this.#now);
  }
}
