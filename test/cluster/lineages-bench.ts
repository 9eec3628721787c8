/**
 * A small in-memory network of `Lineages`: they pass each other encoded messages, time is a number that the test moves,
 * each member's clock is off by a fixed amount, and links are cut one way or both. Views have an empty table; what they
 * become is decided by the product's `nextView` and `forkView`. Used by the tests of membership, forks and merges.
 */

import { Reader, Writer } from '../../src/base/bytes.js';
import { SeededRandom } from '../../src/base/random.js';
import type { Fences } from '../../src/cluster/lease.js';
import { type LineageFaults, Lineages } from '../../src/cluster/lineages.js';
import * as messages from '../../src/cluster/messages.js';
import { compareLineages } from '../../src/cluster/rank.js';
import { NO_TOGGLES } from '../../src/cluster/toggle.js';
import { hasMember, lineageTag, type MemberId, type MemberInfo, type View } from '../../src/cluster/view.js';
import { forkView, nextView, type Orders, Reports } from '../../src/member/next-view.js';
import { Header } from '../../src/wire/frame.js';
import type { AnyMessage } from '../../src/wire/message.js';

export const OPTIONS = { heartbeatMs: 500, suspicionMs: 2_500, leaseMs: 2_000 };
/** How often a member looks whether it is stuck, as its replication tick does. */
const WATCH_MS = 100;
export const LINEAGE = '11111111-1111-4111-8111-111111111111';
const SILENT = { log: () => {} };

/** `id(3)` is a UUID; the order of numbers is the order of ids. */
export function id(number: number): MemberId {
  return `${String(number).padStart(8, '0')}-0000-4000-8000-000000000000`;
}

export function numberOf(member: MemberId): number {
  return Number(member.slice(0, 8));
}

export function member(number: number, address = `host:${number}`): MemberInfo {
  return { id: id(number), address, leaving: false };
}

export function viewOf(members: readonly number[], change: Partial<View> = {}): View {
  return {
    lineage: LINEAGE,
    number: 1,
    ordered: false,
    parent: null,
    replaced: [],
    members: members.map((number) => member(number)),
    slots: 0,
    table: [],
    target: [],
    structures: [],
    toggles: NO_TOGGLES,
    ...change,
  };
}

export interface Sent {
  readonly from: MemberId;
  readonly to: MemberId;
  readonly name: string;
  readonly message: number;
  readonly view: number;
  readonly lineage: number;
  readonly bytes: Buffer;
  readonly atMs: number;
}

export interface Adopted {
  readonly member: number;
  readonly view: View;
  readonly before: View | null;
  readonly fences: Fences | null;
  readonly atMs: number;
}

interface Process {
  readonly lineages: Lineages;
  readonly orders: { found: boolean; dead: Set<MemberId>; acceptedLoss: Set<number> };
  readonly address: string;
  readonly skewMs: number;
  /** What it asks to be taken in by while it is in no view. */
  candidate: View | null;
}

export class Bench {
  readonly processes = new Map<MemberId, Process>();
  readonly removed = new Map<MemberId, View>();
  /** Pairs `from>to` that carry nothing. */
  readonly cuts = new Set<string>();
  readonly paused = new Set<MemberId>();
  readonly log: Sent[] = [];
  readonly adopted: Adopted[] = [];
  readonly refused: { readonly member: number; readonly lineage: string }[] = [];
  readonly fenced: { readonly member: number; readonly view: number; readonly fences: Fences }[] = [];
  readonly connected: string[] = [];
  /** Members that have formed a fork, once for each. */
  readonly formed: number[] = [];
  readonly #random: SeededRandom;
  #queue: Sent[] = [];
  nowMs = 0;

  constructor(seed = 1) {
    this.#random = new SeededRandom(seed, 'lineages');
  }

  add(number: number, { address = `host:${number}`, faults = {} as LineageFaults } = {}): Lineages {
    const self = id(number);
    const orders = { found: false, dead: new Set<MemberId>(), acceptedLoss: new Set<number>() };
    const lineages: Lineages = new Lineages(
      self,
      OPTIONS,
      {
        send: (to, def, body) => this.send(self, to, def, body),
        connect: (other) => this.connected.push(`${self}>${other}`),
        connected: () => [...this.processes.keys()].filter((other) => other !== self),
        uuid: () => this.#random.uuid(),
        joinRequest: () => ({ address, structures: [], partitionCount: 1 }),
        nextView: (view, change) => nextView(this.#input(view, change, orders, lineages)),
        forkView: (origin, members, lineage) => {
          this.formed.push(number);
          return forkView(origin, members, lineage);
        },
        adopted: (view, before, fences) => {
          this.removed.delete(self);
          this.adopted.push({ member: number, view, before, fences, atMs: this.nowMs });
        },
        fenced: (view, fences) => this.fenced.push({ member: number, view: view.number, fences }),
        removed: (view) => {
          this.removed.set(self, view);
          process.candidate = view;
        },
        candidate: (view) => {
          process.candidate = view;
        },
        refused: (other) => this.refused.push({ member: number, lineage: other.lineage }),
        isKept: () => false,
      },
      SILENT,
      () => 0.5,
      faults,
    );
    const process: Process = { lineages, orders, address, skewMs: 1_000_003 * number, candidate: null };
    this.processes.set(self, process);
    return lineages;
  }

  #input(view: View, change: Parameters<typeof nextView>[0]['change'], orders: Orders, lineages: Lineages) {
    const chain = lineages.chainView;
    return { view, change, reports: new Reports(), lossTimeoutPassed: () => false, orders, chain };
  }

  /** Members 1..n in view 1 of one lineage. */
  view(n: number): View {
    return this.cluster(Array.from({ length: n }, (_, i) => i + 1));
  }

  /** Members with these numbers in view 1 of a lineage. */
  cluster(numbers: readonly number[], change: Partial<View> = {}): View {
    const view = viewOf(numbers, change);
    for (const number of numbers) this.add(number);
    for (const number of numbers) this.of(number).learn(view);
    this.deliver();
    return view;
  }

  process(number: number): Process {
    return this.processes.get(id(number)) as Process;
  }

  of(number: number): Lineages {
    return this.process(number).lineages;
  }

  /** A member's own clock. */
  clock(number: number): number {
    return this.nowMs + this.process(number).skewMs;
  }

  /** Members of the view that a member is in, oldest first. */
  numbersIn(number: number): number[] {
    return (this.of(number).view?.members ?? []).map((info) => numberOf(info.id));
  }

  lineageOf(number: number): string | null {
    return this.of(number).view?.lineage ?? null;
  }

  /** Whether all of them are in one view, with nobody else. */
  isOne(numbers: readonly number[]): boolean {
    const views = new Set(numbers.map((n) => `${this.lineageOf(n)}/${this.of(n).view?.number}`));
    return (
      views.size === 1 &&
      this.numbersIn(numbers[0] as number)
        .sort()
        .join() === [...numbers].sort().join()
    );
  }

  send(from: MemberId, to: MemberId, def: AnyMessage, body: unknown): void {
    const writer = new Writer();
    def.write(writer, body);
    const known = this.processes.get(from)?.lineages.known ?? null;
    const [view, lineage] = known === null ? [0, 0] : [known.number, lineageTag(known.lineage)];
    const [name, message, atMs] = [def.name, def.id, this.nowMs];
    const sent = { from, to, name, message, view, lineage, bytes: writer.toBytes(), atMs };
    this.log.push(sent);
    this.#queue.push(sent);
  }

  deliver(): void {
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      if (this.cuts.has(`${next.from}>${next.to}`) || this.paused.has(next.to)) continue;
      this.arrive(next);
    }
  }

  /** Hands a message over, whatever is cut. */
  arrive(sent: Sent): void {
    const process = this.processes.get(sent.to);
    const header = Object.assign(new Header(), {
      message: sent.message,
      view: sent.view,
      lineage: sent.lineage,
    });
    process?.lineages.receive(sent.from, header, new Reader(sent.bytes), this.nowMs + process.skewMs);
  }

  /** Time goes on; a dead or paused member does nothing in it. */
  run(ms: number): void {
    for (const endMs = this.nowMs + ms; this.nowMs < endMs; ) {
      this.nowMs += WATCH_MS;
      const beats = this.nowMs % OPTIONS.heartbeatMs === 0;
      for (const [self, process] of this.processes) {
        if (this.paused.has(self)) continue;
        const { lineages, skewMs } = process;
        if (beats) this.#discover(self, process);
        if (beats) lineages.tick(this.nowMs + skewMs);
        else lineages.watch(this.nowMs + skewMs);
      }
      this.deliver();
    }
  }

  /** Some heartbeat intervals. */
  beats(count: number): void {
    this.run(count * OPTIONS.heartbeatMs);
  }

  /** Until something holds, asked after each heartbeat interval; the time it took, or null when it never does. */
  runUntil(holds: () => boolean, limitMs: number): number | null {
    const startMs = this.nowMs;
    while (!holds()) {
      if (this.nowMs - startMs >= limitMs) return null;
      this.beats(1);
    }
    return this.nowMs - startMs;
  }

  /** A process in no view asks the cluster that it knows of, the best that it can reach, as discovery does. */
  #discover(self: MemberId, process: Process): void {
    const { lineages } = process;
    if (lineages.view !== null || process.candidate === null || lineages.isLeavingItself) return;
    const views = [...this.processes].flatMap(([other, { lineages: its }]) =>
      its.view !== null && !this.paused.has(other) && this.#isConnected(self, other) ? [its.view] : [],
    );
    const candidate = views.sort(compareLineages)[0] ?? process.candidate;
    process.candidate = candidate;
    lineages.learn(candidate);
    lineages.greet(candidate.members.map((info) => info.id).filter((other) => other !== self));
    lineages.askToJoin(candidate);
  }

  #isConnected(a: MemberId, b: MemberId): boolean {
    return !this.cuts.has(`${a}>${b}`) && !this.cuts.has(`${b}>${a}`);
  }

  /** Discovery of a new process has found a member, which tells its view; also used for clusters that meet. */
  meet(number: number, found: number): void {
    const view = this.of(found).view as View;
    this.send(id(found), id(number), messages.viewMessage, { view, fences: null });
    this.deliver();
  }

  pause(...numbers: readonly number[]): void {
    for (const number of numbers) this.paused.add(id(number));
  }

  /** Nothing passes between these groups. */
  split(...groups: readonly (readonly number[])[]): void {
    groups.forEach((group, i) => {
      for (const other of groups.slice(i + 1).flat())
        for (const number of group) {
          this.cuts.add(`${id(number)}>${id(other)}`);
          this.cuts.add(`${id(other)}>${id(number)}`);
        }
    });
  }

  heal(): void {
    this.cuts.clear();
  }

  isolate(number: number, direction: 'from' | 'to'): void {
    for (const other of this.processes.keys())
      this.cuts.add(direction === 'from' ? `${id(number)}>${other}` : `${other}>${id(number)}`);
  }

  /** Messages of one kind, from one member or all. */
  sentBy(name: string, from?: number): Sent[] {
    return this.log.filter((sent) => sent.name === name && (from === undefined || sent.from === id(from)));
  }

  holdsLease(number: number): boolean {
    return this.of(number).lease.holds(this.clock(number));
  }

  isIn(number: number, view: View | null | undefined): boolean {
    return view !== null && view !== undefined && hasMember(view, id(number));
  }
}
