/** Membership on its own: several of them pass each other encoded messages, time is a number, views have no table. */
import { beforeEach, describe, expect, it } from 'vitest';
import { Reader, Writer } from '../../src/base/bytes.js';
import { type Change, Membership } from '../../src/cluster/membership.js';
import * as messages from '../../src/cluster/messages.js';
import { lineageTag, type MemberId, type View } from '../../src/cluster/view.js';
import { Header } from '../../src/wire/frame.js';
import type { AnyMessage } from '../../src/wire/message.js';

const OPTIONS = { heartbeatMs: 500, suspicionMs: 2_500 };
const LINEAGE = '11111111-1111-4111-8111-111111111111';
const SILENT = { log: () => {} };

/** `id(3)` is a UUID; the order of numbers is the order of ids. */
function id(number: number): MemberId {
  return `${String(number).padStart(8, '0')}-0000-4000-8000-000000000000`;
}

interface Sent {
  readonly from: MemberId;
  readonly to: MemberId;
  readonly name: string;
  readonly message: number;
  readonly view: number;
  readonly bytes: Buffer;
}

class Bench {
  readonly members = new Map<MemberId, Membership>();
  readonly removed = new Map<MemberId, View>();
  /** Pairs `from>to` that carry nothing. */
  readonly cuts = new Set<string>();
  readonly paused = new Set<MemberId>();
  readonly log: Sent[] = [];
  readonly connected: string[] = [];
  #queue: Sent[] = [];
  nowMs = 0;

  add(number: number): Membership {
    const self = { id: id(number), address: `host:${number}` };
    const member: Membership = new Membership(
      self,
      OPTIONS,
      {
        send: (to, def, body) => this.#send(self.id, to, def, body),
        connect: (other) => this.connected.push(`${self.id}>${other}`),
        nextView: (view, change) => nextView(view, change),
        adopted: () => this.removed.delete(self.id),
        lineageChanged: () => {},
        removed: (view) => this.removed.set(self.id, view),
      },
      SILENT,
      () => 0.5,
    );
    this.members.set(self.id, member);
    return member;
  }

  /** Members 1..n in view 1. */
  view(n: number): View {
    const members = Array.from({ length: n }, (_, i) => member(i + 1));
    const view = { lineage: LINEAGE, ordered: false, parent: null, number: 1, members, slots: 0, table: [], target: [], structures: [] };
    for (let i = 1; i <= n; i++) this.add(i).learn(view);
    this.deliver();
    return view;
  }

  of(number: number): Membership {
    return this.members.get(id(number)) as Membership;
  }

  numbersIn(number: number): number[] {
    return (this.of(number).view?.members ?? []).map((info) => Number(info.id.slice(0, 8)));
  }

  #send(from: MemberId, to: MemberId, def: AnyMessage, body: unknown): void {
    const writer = new Writer();
    def.write(writer, body);
    const view = this.members.get(from)?.known?.number ?? 0;
    const sent = { from, to, name: def.name, message: def.id, view, bytes: writer.toBytes() };
    this.log.push(sent);
    this.#queue.push(sent);
  }

  deliver(): void {
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      if (this.cuts.has(`${next.from}>${next.to}`) || this.paused.has(next.to)) continue;
      const header = new Header();
      header.message = next.message;
      header.view = next.view;
      header.lineage = next.view === 0 ? 0 : lineageTag(LINEAGE);
      this.members.get(next.to)?.receive(next.from, header, new Reader(next.bytes), this.nowMs);
    }
  }

  /** Some heartbeat intervals; a dead or paused member does nothing in them. */
  beats(count: number): void {
    for (let i = 0; i < count; i++) {
      this.nowMs += OPTIONS.heartbeatMs;
      for (const [member, membership] of this.members)
        if (!this.paused.has(member)) membership.tick(this.nowMs);
      this.deliver();
    }
  }

  /** The member asks everybody for admission and greets them, as discovery does. */
  ask(number: number, address = `host:${number}`): void {
    const ids = [...this.members.keys()].filter((other) => other !== id(number));
    const body = { address, partitionCount: 1, structures: [], lastView: 0 };
    for (const other of ids) this.#send(id(number), other, messages.join, body);
    this.of(number).greet(ids);
    this.deliver();
  }

  isolate(number: number, direction: 'from' | 'to'): void {
    for (const other of this.members.keys())
      this.cuts.add(direction === 'from' ? `${id(number)}>${other}` : `${other}>${id(number)}`);
  }
}

function member(number: number) {
  return { id: id(number), address: `host:${number}`, leaving: false };
}

function nextView(view: View, change: Change): View | null {
  if (JSON.stringify(change.members) === JSON.stringify(view.members)) return null;
  return { ...view, number: view.number + 1, members: change.members };
}

let bench: Bench;
beforeEach(() => {
  bench = new Bench();
});

describe('membership', () => {
  it('in a quiet cluster proposes nothing', () => {
    bench.view(3);
    bench.beats(20);
    expect(bench.of(1).view?.number).toBe(1);
    expect(bench.log.every(({ name }) => name === 'heartbeat')).toBe(true);
  });

  it('removes a silent member, in one round of votes without a prepare phase', () => {
    bench.view(3);
    bench.beats(3);
    bench.paused.add(id(3));
    bench.beats(7);
    expect(bench.numbersIn(1)).toEqual([1, 2]);
    expect(bench.numbersIn(2)).toEqual([1, 2]);
    expect(bench.log.some(({ name }) => name === 'prepare')).toBe(false);
  });

  it('prepares when the oldest is the one that is silent', () => {
    bench.view(3);
    bench.beats(3);
    bench.paused.add(id(1));
    bench.beats(8);
    expect(bench.numbersIn(2)).toEqual([2, 3]);
    expect(bench.log.some(({ name, from }) => name === 'prepare' && from === id(2))).toBe(true);
  });

  it('lets only the oldest of those that hear each other propose', () => {
    bench.view(5);
    bench.beats(3);
    bench.paused.add(id(5));
    bench.beats(8);
    const proposers = new Set(bench.log.filter(({ name }) => name === 'accept').map(({ from }) => from));
    expect([...proposers]).toEqual([id(1)]);
  });

  it('proposes nothing on a side without a quorum, and says so', () => {
    bench.view(5);
    bench.beats(3);
    for (const number of [3, 4, 5]) bench.paused.add(id(number));
    bench.beats(20);
    expect(bench.of(1).view?.number).toBe(1);
    expect(bench.of(1).hasQuorum(bench.nowMs)).toBe(false);
    expect(bench.log.some(({ name }) => name === 'accept' || name === 'prepare')).toBe(false);
  });

  it('removes a member that can speak but not hear, and one that can hear but not speak', () => {
    for (const direction of ['to', 'from'] as const) {
      bench = new Bench();
      bench.view(3);
      bench.beats(3);
      bench.isolate(2, direction);
      // A deaf member says so once its own suspicion time is over; then it counts as gone after another one.
      bench.beats(direction === 'to' ? 12 : 7);
      expect(bench.numbersIn(1), direction).toEqual([1, 3]);
    }
  });

  it('removes the oldest when it is deaf: the next oldest proposes', () => {
    bench.view(3);
    bench.beats(3);
    bench.isolate(1, 'to');
    bench.beats(12);
    expect(bench.numbersIn(2)).toEqual([2, 3]);
    expect(bench.of(1).hasQuorum(bench.nowMs)).toBe(false);
  });

  it('tells a removed member, which then is in no view but knows the newest', () => {
    bench.view(3);
    bench.beats(3);
    bench.paused.add(id(2));
    bench.beats(8);
    bench.paused.delete(id(2));
    bench.beats(2);
    expect(bench.of(2).view).toBeNull();
    expect(bench.of(2).known?.number).toBe(2);
    expect(bench.removed.get(id(2))?.number).toBe(2);
  });

  it('drives an open vote of a dead proposer to its end', () => {
    const view = bench.view(3);
    bench.beats(3);
    // The oldest got a vote from member 3 for a view that nobody else heard of, and died.
    const value = { ...view, number: 2, members: [member(1), member(3)] };
    const writer = new Writer();
    messages.accept.write(writer, { number: 2, ballot: { round: 0, member: id(1) }, value });
    const header = new Header();
    header.message = messages.accept.id;
    bench.of(3).receive(id(1), header, new Reader(writer.toBytes()), bench.nowMs);
    bench.paused.add(id(1));
    bench.beats(14);
    // What may have been chosen is chosen first; only then do 2 or 3 go on.
    expect(bench.numbersIn(3).length).toBeGreaterThan(0);
    expect(bench.of(3).known?.number).toBeGreaterThan(1);
    expect(bench.numbersIn(3)).not.toContain(2);
  });
});

describe('admission', () => {
  it('takes in a joiner once all hear it and it hears all', () => {
    bench.view(2);
    bench.beats(2);
    bench.add(3);
    for (let i = 0; i < 4; i++) {
      bench.ask(3);
      bench.beats(1);
    }
    expect(bench.numbersIn(1)).toEqual([1, 2, 3]);
    expect(bench.numbersIn(3)).toEqual([1, 2, 3]);
    expect(bench.connected).toContain(`${id(1)}>${id(3)}`);
  });

  it('does not take in a joiner that one member does not hear', () => {
    bench.view(3);
    bench.beats(2);
    bench.add(4);
    bench.cuts.add(`${id(4)}>${id(2)}`);
    for (let i = 0; i < 10; i++) {
      bench.ask(4);
      bench.beats(1);
    }
    expect(bench.numbersIn(1)).toEqual([1, 2, 3]);
    bench.cuts.clear();
    for (let i = 0; i < 4; i++) {
      bench.ask(4);
      bench.beats(1);
    }
    expect(bench.numbersIn(1)).toEqual([1, 2, 3, 4]);
  });

  it('never takes in more newcomers than can be outvoted, so many come in several views', () => {
    bench.view(1);
    for (let number = 2; number <= 8; number++) bench.add(number);
    const sizes: number[] = [];
    for (let i = 0; i < 14; i++) {
      for (let number = 2; number <= 8; number++) if (bench.numbersIn(number).length === 0) bench.ask(number);
      bench.beats(1);
      sizes.push(bench.numbersIn(1).length);
    }
    expect(sizes.at(-1)).toBe(8);
    sizes.forEach((size, i) => {
      expect(size).toBeLessThanOrEqual(2 * (sizes[i - 1] ?? 1));
    });
  });

  it('replaces a member by a start at its address in one view', () => {
    bench.view(3);
    bench.beats(3);
    bench.paused.add(id(2));
    bench.add(9);
    const seen: number[][] = [];
    for (let i = 0; i < 8; i++) {
      bench.ask(9, 'host:2');
      bench.beats(1);
      seen.push(bench.numbersIn(1));
    }
    expect(seen.at(-1)).toEqual([1, 3, 9]);
    expect(seen.every((numbers) => numbers.length === 3)).toBe(true);
  });

  it('waits for a replacement that never comes only a few heartbeats', () => {
    bench.view(3);
    bench.beats(3);
    bench.paused.add(id(2));
    bench.of(1).replaced(id(2));
    bench.of(3).replaced(id(2));
    bench.beats(3);
    expect(bench.numbersIn(1)).toEqual([1, 2, 3]);
    bench.beats(2);
    expect(bench.numbersIn(1)).toEqual([1, 3]);
  });

  it('removes a member that said goodbye at the next heartbeat', () => {
    bench.view(3);
    bench.beats(3);
    bench.paused.add(id(3));
    for (const number of [1, 2]) bench.of(number).markDead(id(3));
    bench.beats(1);
    expect(bench.numbersIn(1)).toEqual([1, 2]);
  });

  it('marks members that want to leave in the next view', () => {
    bench.view(3);
    bench.beats(3);
    bench.of(3).leave();
    bench.deliver();
    bench.beats(1);
    expect(bench.of(1).view?.members.map(({ leaving }) => leaving)).toEqual([false, false, true]);
    expect(bench.of(2).isLeaving(id(3))).toBe(true);
    expect(bench.of(3).everyoneLeaves).toBe(false);
    bench.of(1).leave();
    bench.of(2).leave();
    bench.deliver();
    expect(bench.of(3).everyoneLeaves).toBe(true);
  });

  it('ignores a view of another lineage', () => {
    const view = bench.view(2);
    const other = { ...view, lineage: '22222222-2222-4222-8222-222222222222', number: 99 };
    bench.of(1).learn(other);
    expect(bench.of(1).view?.number).toBe(1);
  });
});
