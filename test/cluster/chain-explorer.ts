/**
 * An explicit-state model checker for the chain. A state is what every member's `Chain` holds and the set of the
 * messages that were ever sent; a step delivers any one of them, or lets a member propose. A message stays in the set
 * when it is delivered and never has to be, so all orders, all losses, all duplicates and all crashes are among the
 * runs: a lost message is one that is never delivered, a crashed member one to which nothing is delivered any more.
 * A chosen view spreads in many ways (the proposer's message, answers, heartbeats): a member may learn it any time.
 * Messages that can have no effect any more are left out of a state: no run is lost by that. What members do is the
 * real class; a mutant of it can be explored in its place, to see the fault found.
 */
import type { Chain, ChainHost, ChainMessage, ChainValue } from '../../src/cluster/chain.js';
import type { Fences } from '../../src/cluster/lease.js';
import { isQuorum, type MemberInfo } from '../../src/cluster/view.js';

/** Leases are explored on their own, in `lease-explorer.ts`. */
export function noFences(): Fences {
  return { enteredMs: 0, removed: [] };
}

export type ChainClass = new (self: string, host: ChainHost<Value>) => Chain<Value>;

/** A view as the exploration needs it; one name stands for one value. */
export class Value implements ChainValue {
  readonly number: number;
  readonly name: string;
  readonly members: readonly MemberInfo[];

  constructor(number: number, name: string, ids: readonly string[]) {
    this.number = number;
    this.name = name;
    this.members = ids.map((id) => ({ id, address: id, leaving: false }));
  }

  toJSON(): string {
    return this.name;
  }
}

export interface Plan {
  readonly members: readonly string[];
  /** Proposals that a member may start, each with a value of its own: at any time, while it is in its view. */
  readonly proposals: Readonly<Record<string, number>>;
  /** Members of the view that a member proposes; all of them unless said otherwise. */
  readonly membersOf?: (proposer: string) => readonly string[];
  /** Views after the first that may be chosen; proposals beyond are not made. */
  readonly depth: number;
  /** A run that grows beyond this is an error of the plan, not a result. */
  readonly maxStates: number;
}

/** Beside the chain's messages: a chosen view that spreads, and the question for it. */
type Message =
  | ChainMessage<Value>
  | { readonly kind: 'view'; readonly value: Value }
  | { readonly kind: 'ask' };

interface Packet {
  readonly from: string;
  readonly to: string;
  readonly message: Message;
}

/** A member in one of its states; the chain in it is never touched again. */
interface Member {
  readonly chain: Chain<Value>;
  readonly state: number;
}

interface Outcome {
  readonly member: Member;
  readonly sent: readonly number[];
  readonly decided: readonly Value[];
}

interface State {
  readonly members: readonly Member[];
  /** Numbers of the packets that were ever sent, sorted. */
  readonly sent: readonly number[];
  /** By `number/ballot/value`: the acceptors that ever voted for it, as bits. */
  readonly votes: ReadonlyMap<string, number>;
  readonly chosen: ReadonlyMap<number, string>;
  readonly proposed: readonly number[];
}

export interface Result {
  readonly states: number;
  /** Combinations of members' states from which progress was tried, and tries. */
  readonly restarts: number;
  readonly tries: number;
  /** Values that were chosen in some run. */
  readonly outcomes: ReadonlySet<string>;
  /** The first violation that was found, or null. */
  readonly violation: string | null;
}

/** With these many proposals a member must get something chosen: the refusal of one tells what the next has to be. */
const TRIES = 2;

class Violation extends Error {}

function union(a: readonly number[], b: readonly number[]): readonly number[] {
  const added = b.filter((number) => !a.includes(number));
  return added.length === 0 ? a : [...a, ...added].sort((x, y) => x - y);
}

function numberOf(chain: Chain<Value>): number {
  return chain.current?.number ?? 0;
}

export class Explorer {
  readonly #ChainClass: ChainClass;
  readonly #plan: Plan;
  readonly #packets: Packet[] = [];
  readonly #numbers = new Map<string, number>();
  readonly #seen = new Set<string>();
  readonly #spent = new Map<string, boolean>();
  readonly #members = new Map<string, Member>();
  readonly #outcomeByStep = new Map<string, Outcome>();
  readonly #restarted = new Set<string>();
  readonly #outcomes = new Set<string>();
  #tries = 0;
  #restarting = false;
  /** Where a chain that is being stepped puts what it does. */
  #sent: Packet[] = [];
  #decided: Value[] = [];

  constructor(plan: Plan, chainClass: ChainClass) {
    this.#plan = plan;
    this.#ChainClass = chainClass;
  }

  explore(): Result {
    let violation: string | null = null;
    try {
      this.#search(this.#start());
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      violation = error.message;
    }
    const [states, restarts] = [this.#seen.size, this.#restarted.size];
    return { states, restarts, tries: this.#tries, outcomes: this.#outcomes, violation };
  }

  #search(start: State): void {
    const open = [start];
    for (let state = open.pop(); state !== undefined; state = open.pop()) {
      const key = this.#keyOf(state);
      if (this.#seen.has(key)) continue;
      this.#seen.add(key);
      if (this.#seen.size > this.#plan.maxStates) throw new Error('more states than the plan allows');
      this.#restarting = true;
      this.#checkProgress(state);
      this.#restarting = false;
      for (const next of this.#successors(state)) open.push(next);
    }
  }

  #keyOf(state: State): string {
    const prints = state.members.map((member) => member.state).join();
    const votes = [...state.votes].map(([vote, mask]) => `${vote}${mask}`).sort();
    return `${prints};${state.sent.join()};${votes.join()};${state.proposed.join()}`;
  }

  #start(): State {
    const { members } = this.#plan;
    const first = new Value(1, 'v1', members);
    return {
      members: members.map((id): Member => {
        const chain: Chain<Value> = new this.#ChainClass(
          id,
          this.#hostOf(id, () => chain),
        );
        chain.adopt(first);
        return this.#memberOf(id, chain);
      }),
      sent: [],
      votes: new Map(),
      chosen: new Map(),
      proposed: members.map(() => 0),
    };
  }

  // --- steps

  #successors(state: State): State[] {
    const next = state.sent.map((number) => this.#deliver(state, number, state.sent));
    state.members.forEach((member, i) => {
      const proposed = this.#propose(state, i);
      if (proposed !== null) next.push(proposed);
      for (const { chain } of state.members) {
        if (chain === member.chain) continue;
        const value = chain.current as Value;
        next.push(this.#step(state, i, state.sent, `learn ${value.name}`, (learner) => learner.adopt(value)));
      }
    });
    return next;
  }

  #propose(state: State, index: number): State | null {
    const id = this.#plan.members[index] as string;
    const count = state.proposed[index] as number;
    const { current } = (state.members[index] as Member).chain;
    if (count >= (this.#plan.proposals[id] ?? 0) || current === null) return null;
    if (current.number > this.#plan.depth || !current.members.some((member) => member.id === id)) return null;
    const value = this.#valueOf(current, id, count + 1);
    const next = this.#step(state, index, state.sent, `propose ${value.name}`, (chain) =>
      chain.propose(value),
    );
    return { ...next, proposed: state.proposed.with(index, count + 1) };
  }

  #valueOf(current: Value, proposer: string, count: number): Value {
    const members = this.#plan.membersOf?.(proposer) ?? this.#plan.members;
    return new Value(current.number + 1, `v${current.number + 1}${proposer}${count}`, members);
  }

  #deliver(state: State, number: number, sent: readonly number[]): State {
    const { from, to, message } = this.#packets[number] as Packet;
    const index = this.#plan.members.indexOf(to);
    return this.#step(state, index, sent, `${number}`, (chain) => this.#receive(chain, from, to, message));
  }

  #receive(chain: Chain<Value>, from: string, to: string, message: Message): void {
    if (message.kind === 'view') chain.adopt(message.value);
    else if (message.kind !== 'ask') chain.receive(from, message);
    else if (chain.current !== null) this.#send(to, from, { kind: 'view', value: chain.current });
  }

  /** Lets one member do something, and checks what was chosen by it. `name` says what, among all things. */
  #step(
    state: State,
    index: number,
    sent: readonly number[],
    name: string,
    act: (chain: Chain<Value>) => void,
  ): State {
    const outcome = this.#outcomeOf(state.members[index] as Member, index, name, act);
    const members = state.members.with(index, outcome.member);
    const { votes, chosen } = this.#record(state, index, outcome);
    if (this.#restarting) return { ...state, members, votes, chosen, sent: union(sent, outcome.sent) };
    const launched = union(
      sent,
      outcome.sent.filter((number) => !this.#isSpreading(number)),
    );
    const isLive = (number: number) => {
      const to = this.#plan.members.indexOf((this.#packets[number] as Packet).to);
      if (to !== index && sent.includes(number)) return true;
      return !this.#isSpent(members[to] as Member, number);
    };
    return { ...state, members, votes, chosen, sent: launched.filter(isLive) };
  }

  /** A member in one state does the same each time, so it is done once. */
  #outcomeOf(member: Member, index: number, name: string, act: (chain: Chain<Value>) => void): Outcome {
    const key = `${member.state}/${name}`;
    let outcome = this.#outcomeByStep.get(key);
    if (outcome === undefined) {
      const id = this.#plan.members[index] as string;
      const chain: Chain<Value> = member.chain.copy(this.#hostOf(id, () => chain));
      this.#sent = [];
      this.#decided = [];
      act(chain);
      const sent = [...new Set(this.#sent.map((packet) => this.#numberOf(packet)))].sort((a, b) => a - b);
      outcome = { member: this.#memberOf(id, chain), sent, decided: this.#decided };
      this.#outcomeByStep.set(key, outcome);
    }
    return outcome;
  }

  #memberOf(id: string, chain: Chain<Value>): Member {
    const print = `${id} ${chain.fingerprint()}`;
    let member = this.#members.get(print);
    if (member === undefined) {
      member = { chain, state: this.#members.size };
      this.#members.set(print, member);
    }
    return member;
  }

  /**
   * An answer that changes nothing now never will, because no ballot is begun twice; a request for a view that the
   * receiver has left behind is only answered with that view.
   */
  #isSpent(to: Member, number: number): boolean {
    const { from, message } = this.#packets[number] as Packet;
    if (message.kind === 'view' || message.kind === 'ask') return false;
    if (message.number <= numberOf(to.chain)) return true;
    if (message.kind === 'prepare' || message.kind === 'accept') return false;
    const key = `${to.state}/${number}`;
    let spent = this.#spent.get(key);
    if (spent === undefined) {
      const twin = to.chain.copy({
        send() {},
        chosen() {},
        fences: noFences,
        senderIsBehind() {},
        selfIsBehind() {},
      });
      twin.receive(from, message);
      spent = twin.fingerprint() === to.chain.fingerprint();
      this.#spent.set(key, spent);
    }
    return spent;
  }

  #isSpreading(number: number): boolean {
    const { kind } = (this.#packets[number] as Packet).message;
    return kind === 'view' || kind === 'ask';
  }

  #numberOf(packet: Packet): number {
    const key = `${packet.from}${packet.to}${JSON.stringify(packet.message)}`;
    let number = this.#numbers.get(key);
    if (number === undefined) {
      number = this.#packets.push(packet) - 1;
      this.#numbers.set(key, number);
    }
    return number;
  }

  #hostOf(id: string, chain: () => Chain<Value>): ChainHost<Value> {
    return {
      send: (to, message) => this.#send(id, to, message),
      chosen: (value) => {
        this.#decided.push(value);
        const before = chain().current?.members ?? [];
        chain().adopt(value);
        const to = new Set([...before, ...value.members].map((member) => member.id));
        for (const other of to) if (other !== id) this.#send(id, other, { kind: 'view', value });
      },
      fences: noFences,
      senderIsBehind: (from) => this.#send(id, from, { kind: 'view', value: chain().current as Value }),
      selfIsBehind: (from) => this.#send(id, from, { kind: 'ask' }),
    };
  }

  #send(from: string, to: string, message: Message): void {
    this.#sent.push({ from, to, message });
  }

  // --- safety

  /** A value is chosen when a quorum has voted for it under one ballot, whether or not anybody knows. */
  #record(state: State, index: number, { member, decided }: Outcome): Pick<State, 'votes' | 'chosen'> {
    let { votes, chosen } = state;
    const { vote, current } = member.chain;
    for (const value of decided) chosen = this.#choose(chosen, value);
    if (vote === null || current === null) return { votes, chosen };
    const key = `${vote.value.number}/${vote.ballot.round}${vote.ballot.member}/${vote.value.name}`;
    const mask = (votes.get(key) ?? 0) | (1 << index);
    if (mask !== votes.get(key)) votes = new Map(votes).set(key, mask);
    const has = (id: string) => (mask & (1 << this.#plan.members.indexOf(id))) !== 0;
    if (isQuorum(current.members, has)) chosen = this.#choose(chosen, vote.value);
    return { votes, chosen };
  }

  #choose(chosen: ReadonlyMap<number, string>, value: Value): ReadonlyMap<number, string> {
    const known = chosen.get(value.number);
    if (known === value.name) return chosen;
    if (known !== undefined)
      throw new Violation(`both ${known} and ${value.name} were chosen for view ${value.number}`);
    if (!this.#restarting) this.#outcomes.add(value.name);
    return new Map(chosen).set(value.number, value.name);
  }

  // --- progress

  /**
   * Whatever is on the way is lost, and any members that leave a quorum are dead: one that lives must get a view
   * chosen with a few tries. (Runs in which messages arrive before are states of their own.)
   */
  #checkProgress(state: State): void {
    const key = state.members.map((member) => member.state).join();
    if (this.#restarted.has(key)) return;
    this.#restarted.add(key);
    const { members } = this.#plan;
    for (let alive = 1; alive < 1 << members.length; alive++) {
      const lives = (id: string) => (alive & (1 << members.indexOf(id))) !== 0;
      members.forEach((id, index) => {
        const { current } = (state.members[index] as Member).chain;
        if (current === null || !lives(id) || !isQuorum(current.members, lives)) return;
        if (current.members.some((member) => member.id === id)) this.#mustProgress(state, index, lives);
      });
    }
  }

  #mustProgress(from: State, index: number, lives: (id: string) => boolean): void {
    this.#tries++;
    const id = this.#plan.members[index] as string;
    const reached = (state: State) => numberOf((state.members[index] as Member).chain);
    let state: State = { ...from, sent: [] };
    for (let count = 1; count <= TRIES; count++) {
      const { current } = (state.members[index] as Member).chain;
      const value = this.#valueOf(current as Value, id, 90 + count);
      state = this.#step(state, index, [], `propose ${value.name}`, (chain) => chain.propose(value));
      state = this.#settle(state, lives);
      if (reached(state) > reached(from)) return;
    }
    const dead = this.#plan.members.filter((member) => !lives(member));
    throw new Violation(`${id} gets nothing chosen without ${dead.join() || 'anybody dead'}`);
  }

  /** Delivers everything that was sent to the living, once and in order. */
  #settle(start: State, lives: (id: string) => boolean): State {
    let state = start;
    for (let steps = 0; state.sent.length > 0; steps++) {
      if (steps > 1000) throw new Violation('the members never fall silent');
      const [number, ...rest] = state.sent as [number, ...number[]];
      const { to, from } = this.#packets[number] as Packet;
      state = lives(to) && lives(from) ? this.#deliver(state, number, rest) : { ...state, sent: rest };
    }
    return state;
  }
}
