/**
 * An explicit-state model checker for the lease and the takeover of one partition. A state is what three members know:
 * their real `Chain`, since when they are in their view, when they last acknowledged its primary, which of their own
 * heartbeats are acknowledged, what is left of a takeover's wait; and every message of the chain that was sent and can
 * still have an effect. A step delivers a message, lets an acceptor acknowledge a heartbeat, lets a member propose or
 * learn a view that was chosen, or passes one tick of time for all clocks. Nothing has to happen, so lost and late
 * messages, crashes and pauses of any length are among the runs. Times are kept as ages and forgotten once nothing
 * can depend on them any more, so the states are finite and the runs as long as they like. Proposals need no reason:
 * right and wrong suspicions, at any time, are among them.
 * Beats go out at each tick and with each adopted view, which gives the longest lease that the rules allow.
 */
import { Chain, type ChainHost, type ChainMessage } from '../../src/cluster/chain.js';
import type { Fences } from '../../src/cluster/lease.js';
import {
  type Holder,
  IDS,
  indexOf,
  Judge,
  type LeasePlan,
  LeaseValue,
  NOBODY,
  NONE,
  NOW_MS,
  OLD_TICKS,
  older,
  type Proposal,
  RULES,
  type Rules,
  tableOf,
} from './lease-model.js';

type Message =
  | { readonly kind: 'chain'; readonly message: ChainMessage<LeaseValue> }
  /** A chosen view to its primary, from the proposer. */
  | { readonly kind: 'view'; readonly value: LeaseValue; readonly fences: Fences };

interface Packet {
  readonly from: number;
  readonly to: number;
  readonly message: Message;
}

interface State {
  readonly holders: readonly Holder[];
  readonly packets: readonly number[];
  /** Proposals that were made, as a mask. */
  readonly made: number;
}

interface ChainStep {
  readonly chain: number;
  /** Numbers of packets. */
  readonly sent: readonly number[];
  readonly decided: Decision | null;
}

interface Decision {
  readonly value: LeaseValue;
  readonly fences: Fences;
}

export interface LeaseResult {
  readonly states: number;
  /** Members that served in some state, each with the number of its view. */
  readonly served: ReadonlySet<string>;
  /** Ways in which a new primary came to serve. */
  readonly takeovers: ReadonlySet<string>;
  /** The steps to the first state in which two serve, or null. */
  readonly violation: readonly string[] | null;
}

export class LeaseExplorer {
  readonly #plan: LeasePlan;
  readonly #rules: Rules;
  readonly #judge: Judge;
  readonly #chains: Chain<LeaseValue>[] = [];
  readonly #chainNumbers = new Map<string, number>();
  readonly #chainSteps = new Map<string, ChainStep>();
  readonly #packets: Packet[] = [];
  readonly #packetNumbers = new Map<string, number>();
  readonly #spent = new Map<string, boolean>();
  /** Every state that was seen: from where, and by which step. */
  readonly #seen = new Map<string, readonly [before: string, step: string]>();
  readonly #served = new Set<string>();
  readonly #takeovers = new Set<string>();
  readonly #values: readonly LeaseValue[];
  #open: [key: string, state: State][] = [];
  #at = '';
  #violation: string | null = null;

  constructor(plan: LeasePlan, rules: Rules = RULES) {
    this.#plan = plan;
    this.#rules = rules;
    this.#judge = new Judge(rules, plan.rates);
    this.#values = plan.proposals.map(({ by, after, members, primary }, i) => {
      const name = `v${after + 1}${by}${i}:${members}/${primary}`;
      const before = plan.proposals.find((other) => other.after === after - 1)?.primary ?? 'a';
      // No plan has a primary stay for longer than from the first view to the second.
      const epoch = primary === before ? after : after + 1;
      return new LeaseValue(after + 1, name, members, primary, epoch);
    });
  }

  explore(): LeaseResult {
    this.#visit(this.#start(), 'start');
    for (let i = 0; i < this.#open.length && this.#violation === null; i++) {
      const [key, state] = this.#open[i] as [string, State];
      this.#at = key;
      this.#expand(state);
      // What was expanded is not needed any more; the list is cut now and then to give its memory back.
      if (i === 50_000) {
        this.#open = this.#open.slice(i + 1);
        i = -1;
      }
    }
    return {
      states: this.#seen.size,
      served: this.#served,
      takeovers: this.#takeovers,
      violation: this.#violation === null ? null : this.#pathTo(this.#violation),
    };
  }

  #pathTo(key: string): string[] {
    const steps: string[] = [];
    for (let at = key; at !== ''; ) {
      const [before, step] = this.#seen.get(at) as [string, string];
      steps.unshift(step);
      at = before;
    }
    return steps;
  }

  #start(): State {
    const first = new LeaseValue(1, 'v1:abc/a', 'abc', 'a', 1);
    const holders = IDS.map((id, index): Holder => {
      const chain = new Chain<LeaseValue>(id, SILENT);
      chain.adopt(first);
      const holder = {
        chain: this.#numberOf(index, chain),
        entered: OLD_TICKS,
        acked: OLD_TICKS,
        acks: NONE,
        flying: 0,
        waitMs: id === 'a' ? 0 : Number.POSITIVE_INFINITY,
        ended: null,
        former: null,
      };
      return this.#beat(index, holder);
    });
    return { holders, packets: [], made: 0 };
  }

  #visit(state: State, step: string): void {
    const key = keyOf(state);
    if (this.#seen.has(key)) return;
    this.#seen.set(key, [this.#at, step]);
    if (this.#seen.size > this.#plan.maxStates) throw new Error('more states than the plan allows');
    const serving = state.holders.filter((holder, index) => this.#serves(index, holder));
    if (serving.length > 1) this.#violation ??= key;
    this.#open.push([key, state]);
  }

  #expand(state: State): void {
    for (const number of state.packets) this.#deliver(state, number);
    state.holders.forEach((_holder, index) => {
      this.#acknowledge(state, index);
      this.#confirm(state, index);
      for (const other of state.holders) this.#learn(state, index, this.#viewOf(other), null);
    });
    this.#plan.proposals.forEach((proposal, i) => {
      this.#propose(state, proposal, i);
    });
    this.#tick(state);
  }

  // --- time

  #tick(state: State): void {
    const holders = state.holders.map((holder, index): Holder => {
      const aged = {
        ...holder,
        entered: older(holder.entered),
        acked: older(holder.acked),
        acks: holder.acks.map(older),
        flying: (holder.flying << 1) & ((1 << OLD_TICKS) - 1),
        waitMs: this.#judge.later(index, holder.waitMs),
        ended: holder.ended && { ...holder.ended, restMs: this.#judge.later(index, holder.ended.restMs) },
      };
      return this.#beat(index, aged);
    });
    this.#visit({ ...state, holders }, 'tick');
  }

  // --- heartbeats and leases

  /** Only the lease of a view's primary can matter, because a lease ends with its view. */
  #beat(index: number, holder: Holder): Holder {
    if (this.#viewOf(holder).primary !== IDS[index]) return holder;
    const counts = this.#chainOf(holder).vote === null || !this.#rules.noSelfCountAfterAcceptance;
    return counts ? { ...holder, acks: holder.acks.with(index, 0) } : holder;
  }

  #acknowledge(state: State, index: number): void {
    const holder = state.holders[index] as Holder;
    const view = this.#viewOf(holder);
    const to = indexOf(view.primary);
    const primary = state.holders[to];
    if (to === index || primary === undefined || this.#viewOf(primary).number !== view.number) return;
    const have = primary.acks[index] as number;
    const set = (acks: readonly number[], changed: Partial<Holder>, step: string) => {
      const holders = state.holders.with(to, { ...primary, acks }).with(index, { ...holder, ...changed });
      this.#visit({ ...state, holders }, `${IDS[index]} ${step} ${view.primary}`);
    };
    if (this.#chainOf(holder).vote === null || !this.#rules.noAckAfterAcceptance) {
      const latest = this.#plan.lateAcks ? Math.min(primary.entered, have - 1) : Math.min(0, have - 1);
      for (let age = 0; age <= latest; age++) {
        if (!this.#plan.lateAcks) set(primary.acks.with(index, 0), { acked: 0 }, 'acknowledges');
        else if ((holder.flying & (1 << age)) === 0)
          set(primary.acks, { acked: 0, flying: holder.flying | (1 << age) }, `acknowledges beat -${age} of`);
      }
    }
    for (let age = 0; age < OLD_TICKS; age++) {
      if ((holder.flying & (1 << age)) === 0) continue;
      const counted = this.#rules.leaseFromSending ? Math.min(age, have) : 0;
      set(
        primary.acks.with(index, counted),
        { flying: holder.flying & ~(1 << age) },
        `is heard (-${age}) by`,
      );
    }
  }

  #serves(index: number, holder: Holder): boolean {
    const { primary, number } = this.#viewOf(holder);
    if (
      primary !== IDS[index] ||
      holder.waitMs > 0 ||
      !this.#judge.holdsLease(index, holder, this.#viewOf(holder))
    )
      return false;
    this.#served.add(`${primary}${number}`);
    return true;
  }

  // --- views

  #learn(state: State, index: number, value: LeaseValue, fences: Fences | null): void {
    const holder = state.holders[index] as Holder;
    if (value.number <= this.#viewOf(holder).number) return;
    const { chain } = this.#chainStep(holder, index, `learn ${value.name}`, (twin) => {
      twin.adopt(value);
    });
    const adopted = this.#adopt(state, index, chain, value, fences);
    this.#visit(adopted, `${IDS[index]} learns ${value.name}${fences === null ? '' : ' of its proposer'}`);
  }

  /** How lease and takeover work together: who waits for how long, and who can confirm what. */
  #adopt(state: State, index: number, chain: number, value: LeaseValue, fences: Fences | null): State {
    const holder = state.holders[index] as Holder;
    const before = this.#viewOf(holder);
    const isNext = before.number + 1 === value.number;
    const wasPrimary = before.primary === IDS[index];
    const succession = this.#judge.successionOf(index, holder);
    const after = isNext || !this.#rules.waitAfterSkippedView ? tableOf(before) : null;
    if (value.primary === IDS[index]) {
      const stays = wasPrimary && before.epoch === value.epoch;
      if (!stays) succession.begin(0, after, fences, NOW_MS);
    } else if (wasPrimary && (isNext || !this.#rules.confirmationOfExactlyTheViewBefore))
      succession.end(0, value.number);
    else if (!isNext) succession.forget(0);
    const restMs = succession.confirmation(0, value.number, NOW_MS);
    const fresh: Holder = {
      chain,
      entered: 0,
      acked: OLD_TICKS,
      acks: NONE,
      flying: 0,
      waitMs: this.#judge.waitIn(succession),
      ended: restMs === null ? null : { view: value.number, restMs: Math.round(restMs) },
      former: isNext ? before.primary : null,
    };
    if (fresh.waitMs === 0 && before.primary !== IDS[index]) this.#noteAges(before.primary);
    return this.#prune({ ...state, holders: state.holders.with(index, this.#beat(index, fresh)) });
  }

  #noteAges(former: string): void {
    this.#takeovers.add(former === NOBODY ? 'at once, after nobody' : 'at once, by ages');
  }

  /** The proposer's word on leases comes after the view. */
  #fence(state: State, index: number, value: LeaseValue, fences: Fences): void {
    const holder = state.holders[index] as Holder;
    const { former } = holder;
    if (former === null || value.epoch !== value.number || holder.waitMs === 0) return;
    const succession = this.#judge.successionOf(index, holder);
    succession.fenced(0, tableOf({ primary: former, epoch: 0 }), fences, NOW_MS);
    const waitMs = this.#judge.waitIn(succession);
    if (waitMs === 0) this.#noteAges(former);
    const next = { ...state, holders: state.holders.with(index, { ...holder, waitMs }) };
    this.#visit(this.#prune(next), `${IDS[index]} hears the proposer's word on ${value.name}`);
  }

  /** A new primary asks a former one. An answer that is late says at least as much as one that is given now. */
  #confirm(state: State, to: number): void {
    const holder = state.holders[to] as Holder;
    const { primary, epoch } = this.#viewOf(holder);
    if (primary !== IDS[to] || holder.waitMs === 0) return;
    state.holders.forEach((other, from) => {
      if (other.ended === null || from === to) return;
      const restMs = this.#judge.successionOf(from, other).confirmation(0, epoch, NOW_MS);
      if (restMs === null) return;
      const succession = this.#judge.successionOf(to, holder);
      succession.confirmed(0, restMs, NOW_MS);
      const waitMs = this.#judge.waitIn(succession);
      this.#takeovers.add(`confirmed, ${restMs > 0 ? 'with a rest of a wait' : 'at once'}`);
      const next = { ...state, holders: state.holders.with(to, { ...holder, waitMs }) };
      this.#visit(this.#prune(next), `${IDS[to]} is confirmed by ${IDS[from]} (rest ${restMs} ms)`);
    });
  }

  // --- the chain

  #propose(state: State, { by, after }: Proposal, i: number): void {
    const index = indexOf(by);
    const view = this.#viewOf(state.holders[index] as Holder);
    if ((state.made & (1 << i)) !== 0 || view.number !== after) return;
    if (!view.members.some((member) => member.id === by)) return;
    const value = this.#values[i] as LeaseValue;
    const made = { ...state, made: state.made | (1 << i) };
    this.#stepChain(made, index, `propose ${value.name}`, `${by} proposes ${value.name}`, (chain) =>
      chain.propose(value),
    );
  }

  #deliver(state: State, number: number): void {
    const { from, to, message } = this.#packets[number] as Packet;
    if (message.kind === 'view') {
      const { value, fences } = message;
      if (this.#viewOf(state.holders[to] as Holder).number === value.number)
        this.#fence(state, to, value, fences);
      else this.#learn(state, to, value, fences);
      return;
    }
    const label = `${IDS[to]} gets ${message.message.kind} of ${IDS[from]}`;
    this.#stepChain(state, to, `${number}`, label, (chain) => {
      chain.receive(IDS[from] as string, message.message);
    });
  }

  /** Lets a member's chain do something, and everything that follows from it. */
  #stepChain(
    state: State,
    index: number,
    name: string,
    label: string,
    act: (chain: Chain<LeaseValue>) => void,
  ): void {
    const holder = state.holders[index] as Holder;
    const step = this.#chainStep(holder, index, name, act);
    let next = state;
    for (const number of step.sent) next = withPacket(next, number);
    if (step.decided === null) {
      const holders = next.holders.with(index, { ...holder, chain: step.chain });
      this.#visit(this.#prune({ ...next, holders }), label);
      return;
    }
    const { value, fences } = step.decided;
    const to = indexOf(value.primary);
    if (to >= 0 && to !== index)
      next = withPacket(
        next,
        this.#packetNumber({ from: index, to, message: { kind: 'view', value, fences } }),
      );
    next = this.#adopt(next, index, step.chain, value, fences);
    this.#visit(next, `${label}, which decides ${value.name} (${JSON.stringify(fences)})`);
  }

  /** A member in one state does the same each time, so it is done once. */
  #chainStep(
    holder: Holder,
    index: number,
    name: string,
    act: (chain: Chain<LeaseValue>) => void,
  ): ChainStep {
    const key = `${holder.chain}:${holder.entered}${holder.acked}${holder.acks[index]}/${name}`;
    let step = this.#chainSteps.get(key);
    if (step === undefined) {
      const sent: number[] = [];
      let decided: Decision | null = null;
      const chain: Chain<LeaseValue> = this.#chainOf(holder).copy({
        send: (to, message) =>
          sent.push(
            this.#packetNumber({ from: index, to: indexOf(to), message: { kind: 'chain', message } }),
          ),
        chosen: (value, fences) => {
          decided = { value, fences };
          chain.adopt(value);
        },
        fences: (value) => this.#judge.fences(index, holder, this.#viewOf(holder), value),
        senderIsBehind() {},
        selfIsBehind() {},
      });
      act(chain);
      step = { chain: this.#numberOf(index, chain), sent, decided };
      this.#chainSteps.set(key, step);
    }
    return step;
  }

  #numberOf(index: number, chain: Chain<LeaseValue>): number {
    const print = `${index} ${chain.fingerprint()}`;
    let number = this.#chainNumbers.get(print);
    if (number === undefined) {
      number = this.#chains.push(chain) - 1;
      this.#chainNumbers.set(print, number);
    }
    return number;
  }

  #chainOf(holder: Holder): Chain<LeaseValue> {
    return this.#chains[holder.chain] as Chain<LeaseValue>;
  }

  #viewOf(holder: Holder): LeaseValue {
    return this.#chainOf(holder).current as LeaseValue;
  }

  // --- messages on the way

  #packetNumber(packet: Packet): number {
    const key = `${packet.from}${packet.to}${JSON.stringify(packet.message)}`;
    let number = this.#packetNumbers.get(key);
    if (number === undefined) {
      number = this.#packets.push(packet) - 1;
      this.#packetNumbers.set(key, number);
    }
    return number;
  }

  /** Without messages that can have no effect any more. */
  #prune(state: State): State {
    const packets = state.packets.filter((number) => !this.#isSpent(state, number));
    return packets.length === state.packets.length ? state : { ...state, packets };
  }

  #isSpent(state: State, number: number): boolean {
    const { to, from, message } = this.#packets[number] as Packet;
    const holder = state.holders[to] as Holder;
    const view = this.#viewOf(holder);
    if (message.kind === 'view') {
      const isUseful = holder.waitMs > 0 && holder.waitMs < Number.POSITIVE_INFINITY;
      return view.number > message.value.number || (view.number === message.value.number && !isUseful);
    }
    const inner = message.message;
    if (inner.number <= view.number) return true;
    if (inner.number > view.number + 1) return false;
    const key = `${holder.chain}/${number}`;
    let spent = this.#spent.get(key);
    if (spent === undefined) {
      const twin = this.#chainOf(holder).copy({ ...SILENT, fences: () => ({ enteredMs: -1, removed: [] }) });
      twin.receive(IDS[from] as string, inner);
      spent = twin.fingerprint() === this.#chainOf(holder).fingerprint();
      this.#spent.set(key, spent);
    }
    return spent;
  }
}

const SILENT: ChainHost<LeaseValue> = {
  send() {},
  chosen() {},
  fences: () => ({ enteredMs: 0, removed: [] }),
  senderIsBehind() {},
  selfIsBehind() {},
};

function withPacket(state: State, number: number): State {
  if (state.packets.includes(number)) return state;
  return { ...state, packets: [...state.packets, number].sort((a, b) => a - b) };
}

function keyOf({ holders, packets, made }: State): string {
  const parts = holders.map(
    ({ chain, entered, acked, acks, flying, waitMs, ended, former }) =>
      `${chain}:${entered}${acked}${acks.join('')}${flying}.${waitMs}.${ended?.view}.${ended?.restMs}${former}`,
  );
  return `${parts.join('|')};${packets.join()};${made}`;
}
