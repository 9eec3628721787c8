/**
 * The chain of views: view n+1 is chosen by single-decree Paxos whose acceptors are the members of view n, so at
 * most one successor exists. The oldest member of view n owns ballot round 0, for one value, without a prepare
 * phase; everyone else, and every later try, prepares with a higher round. Nothing is on disk: a restarted process
 * is a new member, so a vote is never forgotten. Sans-io and synchronous; called by `membership.ts`, explored
 * exhaustively by the tests.
 */
import { type Fences, weakest } from './lease.js';
import { isQuorum, type MemberId, type MemberInfo } from './view.js';

/** What the chain needs to know of a view; tests choose smaller ones. */
export interface ChainValue {
  readonly number: number;
  readonly members: readonly MemberInfo[];
}

export interface Ballot {
  readonly round: number;
  /** Who owns it; decides between equal rounds. */
  readonly member: MemberId;
}

export type ChainMessage<V> =
  | { readonly kind: 'prepare'; readonly number: number; readonly ballot: Ballot }
  | {
      readonly kind: 'promise';
      readonly number: number;
      readonly ballot: Ballot;
      readonly accepted: Vote<V> | null;
    }
  | { readonly kind: 'accept'; readonly number: number; readonly ballot: Ballot; readonly value: V }
  /** With what the acceptor knows of the leases of members that the new view does not have. */
  | { readonly kind: 'accepted'; readonly number: number; readonly ballot: Ballot; readonly fences: Fences }
  /** The ballot was refused; answered with the higher one, without which a proposer could starve. */
  | { readonly kind: 'refused'; readonly number: number; readonly ballot: Ballot; readonly higher: Ballot };

export interface Vote<V> {
  readonly ballot: Ballot;
  readonly value: V;
}

export interface ChainHost<V> {
  send(to: MemberId, message: ChainMessage<V>): void;
  /** A value was chosen here; the host adopts it and spreads it. Others learn it from the host's message. */
  chosen(value: V, fences: Fences): void;
  /** What this member reports with its acceptance of a value. */
  fences(value: V): Fences;
  /** The sender of a message for an older view does not know this one. */
  senderIsBehind(from: MemberId): void;
  /** A message belongs to a newer view than the one known here. */
  selfIsBehind(from: MemberId): void;
}

interface Proposal<V> {
  readonly ballot: Ballot;
  value: V;
  phase: 'prepare' | 'accept';
  readonly promises: Map<MemberId, Vote<V> | null>;
  readonly accepts: Map<MemberId, Fences>;
}

export function compareBallots(a: Ballot, b: Ballot): number {
  if (a.round !== b.round) return a.round - b.round;
  return a.member < b.member ? -1 : a.member > b.member ? 1 : 0;
}

export class Chain<V extends ChainValue> {
  readonly #self: MemberId;
  readonly #host: ChainHost<V>;
  #current: V | null = null;
  /** Of the decision for view current + 1. */
  #promised: Ballot | null = null;
  #accepted: Vote<V> | null = null;
  #proposal: Proposal<V> | null = null;
  #highestRound = 0;
  #freeBallotUsed = false;

  constructor(self: MemberId, host: ChainHost<V>) {
    this.#self = self;
    this.#host = host;
  }

  get current(): V | null {
    return this.#current;
  }

  /** A value for the next view was accepted here and may be chosen: it has to be driven to its end. */
  get hasOpenVote(): boolean {
    return this.#accepted !== null;
  }

  /** The vote that was cast here for the next view, or null. */
  get vote(): Vote<V> | null {
    return this.#accepted;
  }

  get isProposing(): boolean {
    return this.#proposal !== null;
  }

  /** Takes over a view that was chosen; ignored unless it is newer. True when it was taken. */
  adopt(value: V): boolean {
    if (this.#current !== null && value.number <= this.#current.number) return false;
    this.#current = value;
    this.#promised = null;
    this.#accepted = null;
    this.#proposal = null;
    this.#highestRound = 0;
    this.#freeBallotUsed = false;
    return true;
  }

  /** Starts (or starts again, with a higher ballot) to get `value` chosen as the next view. */
  propose(value: V): void {
    const current = this.#current;
    if (current === null || value.number !== current.number + 1) return;
    if (this.#mayUseFreeBallot(current)) {
      this.#freeBallotUsed = true;
      this.#begin({ round: 0, member: this.#self }, value, 'accept');
      this.#sendAccepts();
      return;
    }
    this.#highestRound = Math.max(this.#highestRound, this.#promised?.round ?? 0) + 1;
    const ballot = { round: this.#highestRound, member: this.#self };
    this.#begin(ballot, value, 'prepare');
    this.#broadcast({ kind: 'prepare', number: value.number, ballot });
  }

  #mayUseFreeBallot(current: V): boolean {
    return (
      current.members[0]?.id === this.#self &&
      !this.#freeBallotUsed &&
      this.#promised === null &&
      this.#accepted === null
    );
  }

  #begin(ballot: Ballot, value: V, phase: 'prepare' | 'accept'): void {
    this.#proposal = { ballot, value, phase, promises: new Map(), accepts: new Map() };
  }

  #broadcast(message: ChainMessage<V>): void {
    for (const member of this.#current?.members ?? []) {
      if (member.id !== this.#self) this.#host.send(member.id, message);
    }
    this.receive(this.#self, message);
  }

  #sendAccepts(): void {
    const proposal = this.#proposal;
    if (proposal === null || this.#current === null) return;
    const { ballot, value } = proposal;
    this.#broadcast({ kind: 'accept', number: this.#current.number + 1, ballot, value });
  }

  receive(from: MemberId, message: ChainMessage<V>): void {
    const current = this.#current;
    if (current === null || message.number > current.number + 1) {
      this.#host.selfIsBehind(from);
      return;
    }
    if (message.number <= current.number) {
      if (message.kind === 'prepare' || message.kind === 'accept') this.#host.senderIsBehind(from);
      return;
    }
    switch (message.kind) {
      case 'prepare':
        this.#onPrepare(from, message);
        return;
      case 'accept':
        this.#onAccept(from, message);
        return;
      case 'promise':
        this.#onPromise(from, message);
        return;
      case 'accepted':
        this.#onAccepted(from, message);
        return;
      case 'refused':
        this.#onRefused(message);
        return;
    }
  }

  #answer(to: MemberId, message: ChainMessage<V>): void {
    if (to === this.#self) this.receive(to, message);
    else this.#host.send(to, message);
  }

  #onPrepare(from: MemberId, { number, ballot }: { number: number; ballot: Ballot }): void {
    // A promise for an equal ballot is repeated: the first answer may have been lost.
    if (this.#promised !== null && compareBallots(this.#promised, ballot) > 0) {
      this.#answer(from, { kind: 'refused', number, ballot, higher: this.#promised });
      return;
    }
    this.#promised = ballot;
    this.#answer(from, { kind: 'promise', number, ballot, accepted: this.#accepted });
  }

  #onAccept(from: MemberId, { number, ballot, value }: { number: number; ballot: Ballot; value: V }): void {
    if (this.#promised !== null && compareBallots(this.#promised, ballot) > 0) {
      this.#answer(from, { kind: 'refused', number, ballot, higher: this.#promised });
      return;
    }
    this.#promised = ballot;
    this.#accepted = { ballot, value };
    this.#answer(from, { kind: 'accepted', number, ballot, fences: this.#host.fences(value) });
  }

  #onPromise(from: MemberId, message: { ballot: Ballot; accepted: Vote<V> | null }): void {
    const proposal = this.#proposal;
    if (
      proposal === null ||
      proposal.phase !== 'prepare' ||
      compareBallots(proposal.ballot, message.ballot) !== 0
    )
      return;
    proposal.promises.set(from, message.accepted);
    if (!isQuorum(this.#current?.members ?? [], (id) => proposal.promises.has(id))) return;
    proposal.phase = 'accept';
    let highest: Vote<V> | null = null;
    for (const vote of proposal.promises.values()) {
      if (vote !== null && (highest === null || compareBallots(vote.ballot, highest.ballot) > 0))
        highest = vote;
    }
    // A value that may have been chosen already must be proposed again instead of ours.
    if (highest !== null) proposal.value = highest.value;
    this.#sendAccepts();
  }

  #onAccepted(from: MemberId, message: { ballot: Ballot; fences: Fences }): void {
    const proposal = this.#proposal;
    if (
      proposal === null ||
      proposal.phase !== 'accept' ||
      compareBallots(proposal.ballot, message.ballot) !== 0
    )
      return;
    if (!proposal.accepts.has(from)) proposal.accepts.set(from, message.fences);
    if (!isQuorum(this.#current?.members ?? [], (id) => proposal.accepts.has(id))) return;
    this.#proposal = null;
    this.#host.chosen(proposal.value, weakest([...proposal.accepts.values()]));
  }

  #onRefused({ ballot, higher }: { ballot: Ballot; higher: Ballot }): void {
    this.#highestRound = Math.max(this.#highestRound, higher.round);
    const proposal = this.#proposal;
    if (proposal !== null && compareBallots(proposal.ballot, ballot) === 0) this.#proposal = null;
  }

  /** An independent copy in the same state: for the exhaustive exploration, which tries every next step. */
  copy(host: ChainHost<V>): Chain<V> {
    const twin = new Chain<V>(this.#self, host);
    const open = this.#proposal;
    twin.#current = this.#current;
    twin.#promised = this.#promised;
    twin.#accepted = this.#accepted;
    twin.#proposal =
      open === null ? null : { ...open, promises: new Map(open.promises), accepts: new Map(open.accepts) };
    twin.#highestRound = this.#highestRound;
    twin.#freeBallotUsed = this.#freeBallotUsed;
    return twin;
  }

  /** Everything that decides what this member does next, as one text: for the exhaustive exploration. */
  fingerprint(): string {
    const vote = (v: Vote<V> | null) =>
      v === null ? '-' : `${v.ballot.round}${v.ballot.member}=${JSON.stringify(v.value)}`;
    const p = this.#proposal;
    const open =
      p === null
        ? '-'
        : `${p.ballot.round}${p.phase}${JSON.stringify(p.value)}[${[...p.promises]
            .map(([id, v]) => id + vote(v))
            .sort()
            .join()}][${JSON.stringify([...p.accepts].sort())}]`;
    const promised = this.#promised === null ? '-' : `${this.#promised.round}${this.#promised.member}`;
    return `${JSON.stringify(this.#current)}|${promised}|${vote(this.#accepted)}|${open}|${this.#highestRound}|${this.#freeBallotUsed}`;
  }
}
