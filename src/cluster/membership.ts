/**
 * Membership: heartbeats, who is heard, who joins and leaves, and the proposals of next views. Synchronous and
 * sans-io: `tick(now)` and `receive(...)` come in, messages go out through the host. Whoever is the oldest of the
 * largest fully connected set, if that set is a quorum of the view, proposes. Called by the member's composition.
 */
import type { Reader } from '../base/bytes.js';
import type { Logger } from '../base/ports.js';
import type { Header } from '../wire/frame.js';
import type { AnyMessage, BodyOf, MessageDef } from '../wire/message.js';
import { Chain, type ChainMessage } from './chain.js';
import { FailureDetector, largestConnectedSet } from './failure-detector.js';
import * as messages from './messages.js';
import {
  hasMember,
  isQuorum,
  lineageTag,
  type MemberId,
  type MemberInfo,
  type StructureRow,
  type View,
} from './view.js';

const CHAIN_MESSAGES = {
  prepare: messages.prepare,
  promise: messages.promise,
  accept: messages.accept,
  accepted: messages.accepted,
  refused: messages.refused,
} as const;

/** How long a dead member stays in the view for the process that has started at its address. */
const REPLACEMENT_HEARTBEATS = 4;

export interface MembershipOptions {
  readonly heartbeatMs: number;
  readonly suspicionMs: number;
}

export interface Joiner {
  readonly id: MemberId;
  readonly address: string;
  readonly structures: readonly StructureRow[];
  heardMs: number;
}

/** What changes with the next view, as membership sees it; the host adds the partition table. */
export interface Change {
  readonly members: readonly MemberInfo[];
  readonly joined: readonly Joiner[];
  readonly isDead: (id: MemberId) => boolean;
}

export interface MembershipHost {
  send<T>(to: MemberId, def: MessageDef<T>, body: T): void;
  /** A joiner has to be reachable before it is admitted. */
  connect(id: MemberId, address: string): void;
  /** The next view for this change, or null when nothing differs from the present one. */
  nextView(view: View, change: Change): View | null;
  adopted(view: View, before: View | null): void;
  /** A cluster of another lineage has taken this process in, which was in none. */
  lineageChanged(view: View): void;
  /** A view without this member was learned; it was removed or has left. */
  removed(view: View): void;
}

export class Membership {
  #self: { readonly id: MemberId; readonly address: string };
  readonly #options: MembershipOptions;
  readonly #host: MembershipHost;
  readonly #logger: Logger;
  readonly #jitter: () => number;
  readonly detector: FailureDetector;
  #chain: Chain<View>;
  readonly #joiners = new Map<MemberId, Joiner>();
  readonly #leaving = new Set<MemberId>();
  readonly #dead = new Set<MemberId>();
  /** Those that said goodbye: they do not come back. */
  readonly #left = new Set<MemberId>();
  /** When the address of a dead member was found to answer as another process. */
  readonly #replacedMs = new Map<MemberId, number>();
  #now = 0;
  #tickMs = Number.POSITIVE_INFINITY;
  #proposedMs = Number.NEGATIVE_INFINITY;
  #retryAfterMs = 0;
  #isLeaving = false;

  constructor(
    self: { readonly id: MemberId; readonly address: string },
    options: MembershipOptions,
    host: MembershipHost,
    logger: Logger,
    /** Uniform in [0, 1): spreads the retries of rival proposers. */
    jitter: () => number,
  ) {
    this.#self = self;
    this.#options = options;
    this.#host = host;
    this.#logger = logger;
    this.#jitter = jitter;
    this.detector = new FailureDetector(self.id, options.suspicionMs);
    this.#chain = this.#newChain();
  }

  #newChain(): Chain<View> {
    return new Chain<View>(this.#self.id, {
      send: (to, message) => this.#sendChain(to, message),
      chosen: (view) => this.#chosen(view),
      senderIsBehind: (from) => this.#sendView(from),
      selfIsBehind: (from) => this.#host.send(from, messages.viewRequest, { have: this.view?.number ?? 0 }),
    });
  }

  /** The address is known once the member listens. */
  setAddress(address: string): void {
    this.#self = { id: this.#self.id, address };
  }

  /** The newest view known, also when this member is not in it. */
  get known(): View | null {
    return this.#chain.current;
  }

  get view(): View | null {
    const view = this.#chain.current;
    return view !== null && hasMember(view, this.#self.id) ? view : null;
  }

  /** This member is getting a next view agreed on. */
  get isProposing(): boolean {
    return this.#chain.isProposing;
  }

  /** Whether this member hears, and is heard by, a quorum of its view. */
  hasQuorum(nowMs: number): boolean {
    const { view } = this;
    return view !== null && isQuorum(view.members, (id) => this.detector.isMutual(id, nowMs));
  }

  /** Every other member of the view is leaving too, or gone: nobody is left to hand anything over to. */
  get everyoneLeaves(): boolean {
    const others = this.view?.members.filter((member) => member.id !== this.#self.id) ?? [];
    return others.every(({ id }) => this.#leaving.has(id) || this.#dead.has(id));
  }

  get isLeavingItself(): boolean {
    return this.#isLeaving;
  }

  /** This member wants to leave; the others hear it with the next heartbeat. */
  leave(): void {
    this.#isLeaving = true;
    this.#beat();
  }

  isLeaving(id: MemberId): boolean {
    return this.#leaving.has(id);
  }

  /** Takes a view that was chosen, from whoever told it. */
  learn(view: View): void {
    const before = this.#chain.current;
    if (before !== null && before.lineage !== view.lineage) {
      this.#otherLineage(before, view);
      return;
    }
    if (before === null && !hasMember(view, this.#self.id)) return;
    if (!this.#chain.adopt(view)) return;
    this.#proposedMs = Number.NEGATIVE_INFINITY;
    if (!hasMember(view, this.#self.id)) {
      this.#host.removed(view);
      return;
    }
    for (const member of view.members) {
      this.detector.expect(member.id, this.#now);
      this.#joiners.delete(member.id);
    }
    for (const member of before?.members ?? []) if (!hasMember(view, member.id)) this.#forget(member.id);
    this.#host.adopted(view, before);
    // Adopting a view sends a heartbeat at once, so that everyone learns of it within one round.
    this.#beat();
  }

  /** A member stays with its lineage; a process that is in none any more may be taken in by another. */
  #otherLineage(before: View, view: View): void {
    if (hasMember(before, this.#self.id) || !hasMember(view, this.#self.id)) {
      const [own, other] = [before.lineage, view.lineage];
      this.#logger.log('warn', 'a view of another lineage was ignored', { own, other });
      return;
    }
    this.#chain = this.#newChain();
    this.#host.lineageChanged(view);
    this.learn(view);
  }

  #forget(id: MemberId): void {
    this.detector.forget(id);
    this.#leaving.delete(id);
    this.#replacedMs.delete(id);
  }

  /** The address of a member answered as another process, which may want to take its place. */
  replaced(id: MemberId): void {
    if (id === this.#self.id || this.#dead.has(id)) return;
    this.#replacedMs.set(id, this.#now);
    this.markDead(id);
  }

  /** The process has ended: it said goodbye, or its address answered as another process. */
  markDead(id: MemberId): void {
    if (id === this.#self.id || this.#dead.has(id)) return;
    if (this.#dead.size > 10_000) this.#dead.clear();
    if (this.#left.size > 10_000) this.#left.clear();
    this.#dead.add(id);
    this.detector.dead(id);
  }

  /** To be called at each heartbeat interval. */
  tick(nowMs: number): void {
    this.#now = nowMs;
    for (const joiner of this.#joiners.values()) {
      if (nowMs - joiner.heardMs > this.#options.suspicionMs) this.#joiners.delete(joiner.id);
    }
    this.#beat();
    // Whoever stood still has heartbeats waiting to be read, and judges nobody before it has read them.
    const stoodStill = nowMs - this.#tickMs > 2 * this.#options.heartbeatMs;
    this.#tickMs = nowMs;
    if (!stoodStill) this.#consider();
  }

  #beat(): void {
    const body = { sentMs: this.#now, leaving: this.#isLeaving, hears: this.detector.heard(this.#now) };
    for (const id of this.#recipients()) this.#host.send(id, messages.heartbeat, body);
  }

  #recipients(): MemberId[] {
    const ids = (this.#chain.current?.members ?? []).map((member) => member.id);
    for (const id of this.#joiners.keys()) if (!ids.includes(id)) ids.push(id);
    return ids.filter((id) => id !== this.#self.id);
  }

  /** A heartbeat to members of a cluster that this process is not in yet. */
  greet(ids: readonly MemberId[]): void {
    const body = { sentMs: this.#now, leaving: false, hears: this.detector.heard(this.#now) };
    for (const id of ids) this.#host.send(id, messages.heartbeat, body);
  }

  #consider(): void {
    const { view } = this;
    if (view === null) return;
    const now = this.#now;
    const ids = view.members.map((member) => member.id);
    const alive = largestConnectedSet(
      ids.filter((id) => !this.#dead.has(id)),
      this.#self.id,
      (a, b) => this.detector.connected(a, b, now),
    );
    if (alive[0] !== this.#self.id || !isQuorum(view.members, (id) => alive.includes(id))) return;
    if (this.#chain.isProposing && now - this.#proposedMs < this.#retryAfterMs) return;
    const change = this.#change(view, alive);
    if (!this.#chain.hasOpenVote && this.#awaitsReplacement(view, change)) return;
    const next = this.#host.nextView(view, change);
    if (next === null && !this.#chain.hasOpenVote && !this.#chain.isProposing) return;
    this.#proposedMs = now;
    this.#retryAfterMs = this.#options.heartbeatMs * (1.5 + 2 * this.#jitter());
    this.#chain.propose(next ?? { ...view, number: view.number + 1 });
  }

  /** A start at a dead member's address replaces it in the same view, if it is heard by all in a few heartbeats. */
  #awaitsReplacement(view: View, change: Change): boolean {
    return view.members.some(({ id, address }) => {
      const sinceMs = this.#replacedMs.get(id) ?? Number.NEGATIVE_INFINITY;
      const isIn = change.joined.some((joiner) => joiner.address === address);
      return !isIn && this.#now - sinceMs < REPLACEMENT_HEARTBEATS * this.#options.heartbeatMs;
    });
  }

  #change(view: View, alive: readonly MemberId[]): Change {
    const joined: Joiner[] = [];
    const kept = () =>
      alive.filter((id) => !joined.some((joiner) => this.#addressOf(view, id) === joiner.address));
    for (const joiner of [...this.#joiners.values()].sort((a, b) => (a.id < b.id ? -1 : 1))) {
      const replaced = alive.find((id) => id !== joiner.id && this.#addressOf(view, id) === joiner.address);
      const others = kept().filter((id) => id !== replaced);
      if (joined.some((other) => other.address === joiner.address)) continue;
      if (!others.every((id) => this.#hearEachOther(id, joiner.id))) continue;
      if (!joined.every((other) => this.#hearEachOther(other.id, joiner.id))) continue;
      // Those heard now must be a majority of the new view: newcomers alone can never outvote them.
      if (2 * others.length < others.length + joined.length + 1) continue;
      joined.push(joiner);
    }
    const survivors = new Set(kept());
    const members = view.members
      .filter((member) => survivors.has(member.id))
      .map((member) => ({ ...member, leaving: member.leaving || this.#isLeavingNow(member.id) }));
    const added = joined.map((joiner) => ({ id: joiner.id, address: joiner.address, leaving: false }));
    return { members: [...members, ...added], joined, isDead: (id) => this.#dead.has(id) };
  }

  #isLeavingNow(id: MemberId): boolean {
    return id === this.#self.id ? this.#isLeaving : this.#leaving.has(id);
  }

  #addressOf(view: View, id: MemberId): string | undefined {
    return view.members.find((member) => member.id === id)?.address;
  }

  /** For admission the lists of both must name the other; what a newcomer never said counts as no. */
  #hearEachOther(a: MemberId, b: MemberId): boolean {
    return this.detector.confirmed(a, b, this.#now);
  }

  #chosen(view: View): void {
    const before = this.#chain.current;
    const to = new Set([...(before?.members ?? []), ...view.members].map((member) => member.id));
    this.learn(view);
    for (const id of to) if (id !== this.#self.id) this.#sendView(id, view);
  }

  #sendView(to: MemberId, view: View | null = this.#chain.current): void {
    if (view !== null) this.#host.send(to, messages.viewMessage, { view });
  }

  #sendChain(to: MemberId, message: ChainMessage<View>): void {
    const def: AnyMessage = CHAIN_MESSAGES[message.kind];
    this.#host.send(to, def, message);
  }

  /** Handles the messages of this layer; false when it is not one of them. */
  receive(from: MemberId, header: Header, reader: Reader, nowMs: number): boolean {
    this.#now = nowMs;
    switch (header.message) {
      case messages.heartbeat.id:
        this.#onHeartbeat(from, header, messages.heartbeat.read(reader));
        return true;
      case messages.join.id:
        this.#onJoin(from, messages.join.read(reader));
        return true;
      case messages.viewMessage.id:
        this.learn(messages.viewMessage.read(reader).view);
        return true;
      case messages.viewRequest.id:
        if ((this.#chain.current?.number ?? 0) > messages.viewRequest.read(reader).have) this.#sendView(from);
        return true;
      case messages.goodbye.id:
        this.#left.add(from);
        this.markDead(from);
        return true;
      case messages.prepare.id:
        this.#chain.receive(from, { kind: 'prepare', ...messages.prepare.read(reader) });
        return true;
      case messages.promise.id:
        this.#chain.receive(from, { kind: 'promise', ...messages.promise.read(reader) });
        return true;
      case messages.accept.id:
        this.#chain.receive(from, { kind: 'accept', ...messages.accept.read(reader) });
        return true;
      case messages.accepted.id:
        this.#chain.receive(from, { kind: 'accepted', ...messages.accepted.read(reader) });
        return true;
      case messages.refused.id:
        this.#chain.receive(from, { kind: 'refused', ...messages.refused.read(reader) });
        return true;
      default:
        return false;
    }
  }

  #onHeartbeat(from: MemberId, header: Header, body: BodyOf<typeof messages.heartbeat>): void {
    this.detector.heartbeat(from, body.hears, this.#now);
    // Its address answered as another process, and yet it lives: it has more than one address, or moved.
    if (this.#dead.has(from) && !this.#left.has(from)) {
      this.#dead.delete(from);
      this.#replacedMs.delete(from);
    }
    if (body.leaving) this.#leaving.add(from);
    const current = this.#chain.current;
    if (current === null || header.view === 0) return;
    if (header.lineage !== lineageTag(current.lineage)) return;
    if (header.view > current.number) this.#host.send(from, messages.viewRequest, { have: current.number });
    else if (header.view < current.number) this.#sendView(from);
  }

  #onJoin(from: MemberId, body: BodyOf<typeof messages.join>): void {
    const { view } = this;
    if (view === null) return;
    if (hasMember(view, from)) {
      // It was admitted and has not learned it yet.
      this.#sendView(from);
      return;
    }
    if (this.#joiners.size >= 1000 && !this.#joiners.has(from)) return;
    this.#joiners.set(from, {
      id: from,
      address: body.address,
      structures: body.structures,
      heardMs: this.#now,
    });
    this.detector.expect(from, this.#now);
    this.#host.connect(from, body.address);
    for (const member of view.members)
      if (member.address === body.address && member.id !== from) this.replaced(member.id);
  }
}
