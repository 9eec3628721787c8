/**
 * The chain alone under a storm from one seed: three to five members that propose views as they please, over a
 * network that delays, reorders, doubles and loses messages and is cut; members pause and come back with their
 * memory, die and come back as new members. At most one value may be chosen per number, and after the storm a view
 * must be chosen again if a quorum of the last one lives.
 */

import { SeededRandom } from '../../src/base/random.js';
import type { Chain, ChainHost, ChainMessage } from '../../src/cluster/chain.js';
import { isQuorum } from '../../src/cluster/view.js';
import { type ChainClass, noFences, Value } from './chain-explorer.js';

type Message =
  | ChainMessage<Value>
  | { readonly kind: 'view'; readonly value: Value }
  | { readonly kind: 'ask' };

interface Process {
  readonly id: string;
  readonly chain: Chain<Value>;
  isDead: boolean;
  pausedUntil: number;
}

const STORM_STEPS = 400;
const QUIET_STEPS = 400;
const MAX_LATENCY = 12;

export interface Storm {
  readonly views: number;
  readonly died: number;
  readonly couldGoOn: boolean;
}

export class ChainSimulation {
  readonly #random: SeededRandom;
  readonly #ChainClass: ChainClass;
  readonly #processes = new Map<string, Process>();
  readonly #due = new Map<number, (() => void)[]>();
  readonly #cuts = new Set<string>();
  readonly #chosen = new Map<number, string>();
  #now = 0;
  #isQuiet = false;
  #values = 0;
  #newest: Value;

  constructor(seed: number, chainClass: ChainClass) {
    this.#random = new SeededRandom(seed, 'chain');
    this.#ChainClass = chainClass;
    const ids = Array.from({ length: 3 + this.#random.below(3) }, (_, i) => `m${i}`);
    this.#newest = new Value(1, 'first', ids);
    for (const id of ids) this.#start(id).chain.adopt(this.#newest);
  }

  /** Throws when two values were chosen for one number, or when nothing is chosen in the quiet though it could be. */
  run(): Storm {
    for (let i = 0; i < STORM_STEPS; i++) this.#step(() => this.#trouble());
    this.#isQuiet = true;
    this.#cuts.clear();
    for (const process of this.#processes.values()) process.pausedUntil = 0;
    const before = this.#newest.number;
    const lives = (id: string) => this.#processes.get(id)?.isDead === false;
    const couldGoOn = isQuorum(this.#newest.members, lives);
    for (let i = 0; i < QUIET_STEPS; i++) this.#step(() => {});
    if (couldGoOn && this.#newest.number === before)
      throw new Error(`nothing was chosen after view ${before}`);
    const died = [...this.#processes.values()].filter((process) => process.isDead).length;
    return { views: this.#newest.number, died, couldGoOn };
  }

  #step(trouble: () => void): void {
    this.#now++;
    trouble();
    for (const process of this.#processes.values()) this.#maybePropose(process);
    const due = this.#due.get(this.#now) ?? [];
    this.#due.delete(this.#now);
    for (const act of due) act();
  }

  #start(id: string): Process {
    const host: ChainHost<Value> = {
      send: (to, message) => this.#send(id, to, message),
      chosen: (value) => this.#onChosen(process, value),
      fences: noFences,
      senderIsBehind: (from) => this.#send(id, from, { kind: 'view', value: process.chain.current as Value }),
      selfIsBehind: (from) => this.#send(id, from, { kind: 'ask' }),
    };
    const chain: Chain<Value> = new this.#ChainClass(id, host);
    const process: Process = { id, chain, isDead: false, pausedUntil: 0 };
    this.#processes.set(id, process);
    return process;
  }

  #onChosen(process: Process, value: Value): void {
    const known = this.#chosen.get(value.number) ?? value.name;
    if (known !== value.name)
      throw new Error(`${known} and ${value.name} were chosen for view ${value.number}`);
    this.#chosen.set(value.number, value.name);
    if (value.number > this.#newest.number) this.#newest = value;
    const before = process.chain.current?.members ?? [];
    process.chain.adopt(value);
    for (const id of new Set([...before, ...value.members].map((member) => member.id)))
      if (id !== process.id) this.#send(process.id, id, { kind: 'view', value });
  }

  #send(from: string, to: string, message: Message): void {
    const copies = this.#isQuiet ? 1 : [0, 1, 1, 1, 1, 1, 1, 2][this.#random.below(8)];
    for (let i = 0; i < (copies ?? 1); i++) {
      const at = this.#now + 1 + this.#random.below(this.#isQuiet ? 2 : MAX_LATENCY);
      const act = () => this.#arrive(from, to, message);
      this.#due.set(at, [...(this.#due.get(at) ?? []), act]);
    }
  }

  #arrive(from: string, to: string, message: Message): void {
    const process = this.#processes.get(to);
    if (process === undefined || process.isDead || this.#cuts.has(`${from}>${to}`)) return;
    if (process.pausedUntil > this.#now) {
      this.#due.set(process.pausedUntil, [
        ...(this.#due.get(process.pausedUntil) ?? []),
        () => this.#arrive(from, to, message),
      ]);
      return;
    }
    const { chain } = process;
    if (message.kind === 'view') chain.adopt(message.value);
    else if (message.kind !== 'ask') chain.receive(from, message);
    else if (chain.current !== null) this.#send(to, from, { kind: 'view', value: chain.current });
  }

  /** The oldest that lives proposes now and then, and in the storm anybody does; each time another value. */
  #maybePropose(process: Process): void {
    const { chain, id } = process;
    const { current } = chain;
    if (process.isDead || process.pausedUntil > this.#now || current === null) return;
    if (!current.members.some((member) => member.id === id)) return;
    const oldest = current.members.find((member) => this.#processes.get(member.id)?.isDead === false);
    const period = oldest?.id === id ? 15 : 60;
    if (this.#isQuiet ? period === 60 || this.#random.below(15) > 0 : this.#random.below(period) > 0) return;
    const alive = current.members.filter((member) => this.#processes.get(member.id)?.isDead === false);
    const ids = (this.#random.below(3) === 0 ? alive : current.members).map((member) => member.id);
    const joiner = [...this.#processes.values()].find(
      (other) => !other.isDead && other.chain.current === null,
    );
    const joined = joiner === undefined || ids.length >= 5 ? ids : [...ids, joiner.id];
    chain.propose(new Value(current.number + 1, `${id}#${this.#values++}`, joined));
  }

  #trouble(): void {
    const all = [...this.#processes.values()].filter((process) => !process.isDead);
    const one = () => all[this.#random.below(all.length)] as Process;
    const dice = this.#random.below(1000);
    if (dice < 40) this.#cuts.add(`${one().id}>${one().id}`);
    else if (dice < 60) this.#cuts.clear();
    else if (dice < 80) one().pausedUntil = this.#now + this.#random.below(80);
    else if (dice < 84 && all.length > 3) {
      one().isDead = true;
      this.#start(`m${this.#processes.size}`);
    }
  }
}
