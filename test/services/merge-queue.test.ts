/** Merging sides of a split of a queue: against a model of sets, in any order, and what is reported. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Actor, MergeContext } from '../../partitions/service.js';
import { QUEUE_OPERATIONS as ops } from '../../partitions/services/queue/ops.js';
import { QUEUE } from '../../partitions/services/queue/proxy.js';
import { ProtocolError } from '../../src/base/errors.js';
import { decodeKey } from '../../src/wire/keys.js';
import type { ReplyOf } from '../../src/wire/message.js';
import { ValueCodec } from '../../src/wire/values.js';
import { type Merged, Primary, Replica } from './partition-harness.js';

const codec = new ValueCodec();
const NONE: ReadonlyMap<number, Uint8Array> = new Map();
const actor = (member: number, epoch = 1): Actor => ({
  memberHi: member,
  memberLo: 0,
  lineage: member,
  epoch,
});
const start = () => new Primary(QUEUE.service, 'jobs');
const offer = (side: Primary, ...texts: string[]) =>
  side.run(ops.addAll, { items: texts.map((text) => codec.encode(text)) });
const plain = (bytes: Uint8Array | null) => (bytes === null ? null : codec.decode(bytes));

function poll(side: Primary): unknown {
  const { item } = side.run(ops.poll, { waitMs: 0 }).reply as { item: Uint8Array | null };
  return plain(item);
}

function listOf(side: Primary): unknown[] {
  const { items } = side.run(ops.list, { after: null }).reply as { items: Uint8Array[] };
  return items.map(plain);
}

/** Merges what a side changed since `at`, twice, and checks that a backup of the owner goes along. */
function merge(
  owner: Primary,
  source: Primary,
  at: number,
  skipped = NONE,
  options: Partial<MergeContext> = {},
  pageBytes = 1_000_000,
): Merged {
  const told: Merged = { merged: 0, discarded: [], resurrected: [], failed: [] };
  for (const page of source.changes({ sharedSeq: at, skipped }, pageBytes)) {
    const { merged, discarded } = owner.merge(page, { sharedSeq: at, ...options });
    told.merged += merged;
    told.discarded.push(...discarded);
    const { seq } = owner;
    owner.merge(page, { sharedSeq: at, ...options });
    expect(owner.seq, 'a page that comes again changes nothing').toBe(seq);
  }
  const backup = new Replica(QUEUE.service, 'jobs');
  for (const entry of owner.log) backup.apply(entry);
  expect(backup.state.dump()).toEqual(owner.state.dump());
  expect(backup.state.sizeBytes).toBe(owner.state.sizeBytes);
  return told;
}

interface Step {
  readonly side: number;
  readonly kind: 'add' | 'addTwo' | 'poll' | 'drain' | 'clear' | 'takeover' | 'purge';
  /** The owner applies the call as well, because its client sent it there again. */
  readonly isRepeated: boolean;
}

/** By unique items: which were added, and which of them were given out or dropped, each by which call. */
class Model {
  readonly added: string[];
  readonly removed = new Set<string>();
  readonly taken = new Set<string>();

  constructor(from?: Model) {
    this.added = [...(from?.added ?? [])];
    for (const text of from?.removed ?? []) this.removed.add(text);
  }

  get items(): string[] {
    return this.added.filter((text) => !this.removed.has(text));
  }

  remove(texts: readonly string[], isTaken: boolean): void {
    for (const text of texts) {
      this.removed.add(text);
      if (isTaken) this.taken.add(text);
    }
  }
}

interface Side {
  readonly primary: Primary;
  readonly model: Model;
  readonly member: number;
  /** Calls that the owner has applied as well: position here, what they added and what they removed. */
  readonly skipped: Map<number, { readonly added: readonly string[]; readonly removed: readonly string[] }>;
}

const step: fc.Arbitrary<Step> = fc.record({
  side: fc.nat({ max: 2 }),
  kind: fc.constantFrom('add', 'add', 'add', 'addTwo', 'poll', 'poll', 'drain', 'clear', 'takeover', 'purge'),
  isRepeated: fc.boolean(),
});

/** Unique, and in the order of additions. */
let next = 0;
const fresh = () => `${1_000_000 + next++}`;

function run({ primary, model, member }: Side, { kind }: Step) {
  const nothing: string[] = [];
  if (kind === 'takeover') primary.actor = actor(member, primary.actor.epoch + 1);
  // Nothing of within the retention is forgotten.
  else if (kind === 'purge') primary.purgeAll({ seq: primary.seq, ms: 0 });
  else if (kind === 'add' || kind === 'addTwo') {
    const texts = kind === 'add' ? [fresh()] : [fresh(), fresh()];
    offer(primary, ...texts);
    model.added.push(...texts);
    return { added: texts, removed: nothing };
  } else {
    const wanted =
      kind === 'poll' ? model.items.slice(0, 1) : kind === 'drain' ? model.items.slice(0, 2) : model.items;
    if (kind === 'poll') primary.run(ops.poll, { waitMs: 0 });
    else if (kind === 'drain') primary.run(ops.drain, { max: 2 });
    else primary.run(ops.clear, {});
    model.remove(wanted, kind !== 'clear');
    return wanted.length === 0 ? null : { added: nothing, removed: wanted };
  }
  return null;
}

/** Three sides of one past that did these steps; later steps have later versions, on whatever side. */
function sidesAfter(before: readonly Step[], steps: readonly Step[], repeats: boolean) {
  next = 0;
  const past: Side = { primary: start(), model: new Model(), member: 9, skipped: new Map() };
  for (const each of before) run(past, each);
  const sides = [1, 2, 3].map(
    (member): Side => ({
      primary: past.primary.fork(actor(member)),
      model: new Model(past.model),
      member,
      skipped: new Map(),
    }),
  );
  const owner = sides[0] as Side;
  const catchUp = (side: Side) => {
    for (const { primary } of sides)
      side.primary.versions = Math.max(side.primary.versions, primary.versions);
  };
  for (const each of steps) {
    const side = sides[each.side] as Side;
    catchUp(side);
    const change = run(side, each);
    if (change !== null && repeats && each.isRepeated && side !== owner) {
      catchUp(owner);
      const { seq } = side.primary;
      if (run(owner, each) !== null) side.skipped.set(seq, change);
    }
    expect(listOf(side.primary)).toEqual(side.model.items);
  }
  return { sides, at: past.primary.seq };
}

function skippedOf({ primary, skipped }: Side): Map<number, Uint8Array> {
  return new Map([...skipped.keys()].map((seq) => [seq, primary.log[seq - 1]?.delta as Buffer]));
}

/** What the design says: what any side added less what any removed, but for calls that count on the owner only. */
function wantedOf(sides: readonly Side[]): string[] {
  const added = new Set<string>();
  const removed = new Set<string>();
  for (const { model, skipped } of sides) {
    const without = [...skipped.values()];
    const [notAdded, notRemoved] = [
      without.flatMap((one) => one.added),
      without.flatMap((one) => one.removed),
    ];
    for (const text of model.added) if (!notAdded.includes(text)) added.add(text);
    for (const text of model.removed) if (!notRemoved.includes(text)) removed.add(text);
  }
  return [...added].filter((text) => !removed.has(text)).sort();
}

describe('a merge of a queue', () => {
  const past = fc.array(step, { maxLength: 8 });
  const steps = fc.array(step, { maxLength: 30, size: 'max' });
  const page = fc.constantFrom(0, 200, 1_000_000);

  it('gives what the design says, the same in whatever order and over whatever way the sides come', () => {
    const property = fc.property(past, steps, page, (before, list, pageBytes) => {
      const { sides, at } = sidesAfter(before, list, false);
      const wanted = wantedOf(sides);
      for (const [a, b, c] of [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [2, 0, 1],
      ] as const) {
        const [first, second, third] = [a, b, c].map((i) => {
          const { primary, member } = sides[i] as Side;
          return primary.fork(actor(member, 99));
        }) as [Primary, Primary, Primary];
        merge(first, second, at, NONE, {}, pageBytes);
        // To the third comes what the first has taken in already.
        const [last, from] = a === 1 ? [third, first] : [first, third];
        merge(last, from, at, NONE, {}, pageBytes);
        expect(listOf(last)).toEqual(wanted);
      }
    });
    fc.assert(property, { numRuns: 150 });
  });

  it('counts a call once that both sides have applied, and puts back what it took there', () => {
    const property = fc.property(past, steps, (before, list) => {
      const { sides, at } = sidesAfter(before, list, true);
      const [owner, ...others] = sides as [Side, Side, Side];
      for (const side of others) merge(owner.primary, side.primary, at, skippedOf(side));
      expect(listOf(owner.primary)).toEqual(wantedOf(sides));
    });
    fc.assert(property, { numRuns: 150 });
  });

  it('reports each item that both sides gave out, with what it was, and no other', () => {
    const property = fc.property(past, steps, (before, list) => {
      const { sides, at } = sidesAfter(before, list, false);
      const [owner, source] = sides as [Side, Side, Side];
      const { discarded } = merge(owner.primary, source.primary, at);
      const both = [...source.model.taken].filter((text) => owner.model.taken.has(text));
      expect(discarded.map((entry) => plain(entry.discarded)).sort()).toEqual(both.sort());
      for (const { key, kept, side, reason } of discarded)
        expect([decodeKey(key), kept, side, reason]).toEqual([
          'jobs',
          null,
          'source',
          'the item was taken on both sides',
        ]);
    });
    fc.assert(property, { numRuns: 150 });
  });

  it('reports an item that two further sides gave out, whoever had it, and one giving out of it only once', () => {
    const before = start();
    offer(before, 'a', 'b');
    const [owner, fork] = [before.fork(actor(1)), before.fork(actor(2))] as [Primary, Primary];
    offer(fork, 'c', 'd');
    // What the fork gave out before it fell apart, both of its parts tell of.
    expect(poll(fork)).toBe('a');
    const parts = [fork.fork(actor(3)), fork.fork(actor(4))] as [Primary, Primary];
    for (const part of parts) expect([poll(part), poll(part)]).toEqual(['b', 'c']);
    expect(merge(owner, parts[0], 1).discarded).toEqual([]);
    const { discarded } = merge(owner, parts[1], 1);
    expect(discarded.map((entry) => plain(entry.discarded)).sort()).toEqual(['b', 'c']);
    expect(listOf(owner)).toEqual(['d']);
    // The owner has learnt what was given out, and tells of it when it is merged itself.
    const other = before.fork(actor(5));
    expect(poll(other)).toBe('a');
    const told = merge(other, owner, 1).discarded.map((entry) => plain(entry.discarded));
    expect(told).toEqual(['a']);
    const third = before.fork(actor(6));
    merge(third, parts[0], 1);
    // What it never had it can name all the same.
    expect(
      merge(third, parts[1], 1)
        .discarded.map((entry) => plain(entry.discarded))
        .sort(),
    ).toEqual(['b', 'c']);
    const last = before.fork(actor(7));
    merge(last, parts[1], 1);
    expect(
      merge(last, third, 1)
        .discarded.map((entry) => plain(entry.discarded))
        .sort(),
    ).toEqual(['b', 'c']);
  });

  it('names an item that it never had, and that two further sides gave out and handed out, whoever comes first', () => {
    const request = { client: 1, max: 2, ackTimeoutMs: 1_000, waitMs: 0 };
    const handOut = (side: Primary) =>
      (side.run(ops.handOut, request).reply as ReplyOf<typeof ops.handOut>).deliveries;
    for (const isTakenFirst of [true, false]) {
      const before = start();
      const [owner, fork] = [before.fork(actor(1)), before.fork(actor(2))] as [Primary, Primary];
      offer(fork, 'dead', 'out');
      const [taking, other] = [fork.fork(actor(3)), fork.fork(actor(4))] as [Primary, Primary];
      expect([poll(taking), poll(taking)]).toEqual(['dead', 'out']);
      other.options = QUEUE.options.parse({ maxDeliveries: 1, deadLetterQueue: 'letters' });
      other.run(ops.giveBack, { ...(handOut(other)[0] as { name: object; fence: object }), delayMs: 0 });
      const sides = isTakenFirst ? [taking, other] : [other, taking];
      const told = sides.flatMap((side) => merge(owner, side, 0).discarded);
      expect(told.map(({ discarded }) => plain(discarded)).sort()).toEqual(['dead', 'out']);
      expect(listOf(owner)).toEqual([]);
    }
  });

  it('goes on where a backup of the source with fewer positions had begun', () => {
    const property = fc.property(past, steps, steps, (before, list, more) => {
      const { sides, at } = sidesAfter(before, [...list, ...more], true);
      const [owner, source] = sides as [Side, Side, Side];
      const cut = at + ((source.primary.seq - at) >> 1);
      const behind = start();
      for (const entry of source.primary.log.slice(0, cut)) behind.apply(entry);
      const skipped = skippedOf(source);
      const shorter = new Map([...skipped].filter(([seq]) => seq <= cut));
      for (const each of behind.changes({ sharedSeq: at, skipped: shorter }))
        owner.primary.merge(each, { sharedSeq: at });
      merge(owner.primary, source.primary, at, skipped);
      expect(listOf(owner.primary)).toEqual(wantedOf([owner, source]));
    });
    fc.assert(property, { numRuns: 100 });
  });

  it('reports an item that the source gave out when the call that added it counts on the owner', () => {
    const [owner, source] = [start().fork(actor(1)), start().fork(actor(2))];
    const { seq } = offer(source, 'a');
    offer(owner, 'a');
    expect(poll(source)).toBe('a');
    const skipped = new Map([[seq, source.log[0]?.delta as Buffer]]);
    const { discarded } = merge(owner, source, 0, skipped);
    expect(discarded.map((entry) => plain(entry.discarded))).toEqual(['a']);
    expect(listOf(owner)).toEqual(['a']);
  });

  it('leaves out a call that came to the source by a merge, when the owner has applied it itself', () => {
    const before = start();
    offer(before, 'a', 'b');
    const [owner, middle, source] = [1, 2, 3].map((member) => before.fork(actor(member))) as Primary[];
    const calls = [offer(middle as Primary, 'c'), (middle as Primary).run(ops.poll, { waitMs: 0 })];
    const traces = calls.map(({ seq }) =>
      QUEUE.service.traceOf?.((middle as Primary).log[seq - 1]?.delta as Buffer),
    ) as Uint8Array[];
    merge(source as Primary, middle as Primary, 1);
    expect(listOf(source as Primary)).toEqual(['b', 'c']);
    offer(owner as Primary, 'c');
    merge(owner as Primary, source as Primary, 1, NONE, { repeated: traces });
    expect(listOf(owner as Primary)).toEqual(['a', 'b', 'c']);
  });

  it('exceeds maxSize rather than losing an item', () => {
    const before = start();
    before.options = QUEUE.options.parse({ maxSize: 2 });
    offer(before, 'a');
    const [owner, source] = [before.fork(actor(1)), before.fork(actor(2))];
    offer(owner, 'b');
    offer(source, 'c');
    merge(owner, source, 1);
    expect(listOf(owner)).toHaveLength(3);
    expect(offer(owner, 'd').reply).toEqual({ accepted: false });
  });

  it('takes nothing under Discard, and reports each item that it leaves or that is given out again', () => {
    const before = start();
    offer(before, 'a', 'b');
    const [owner, source] = [before.fork(actor(1)), before.fork(actor(2))];
    expect(poll(source)).toBe('a');
    offer(source, 'c');
    const { discarded } = merge(owner, source, 1, NONE, { policy: 'Discard' });
    expect(discarded.map(({ kept, discarded: lost }) => [plain(kept), plain(lost)])).toEqual([
      ['a', null],
      [null, 'c'],
    ]);
    expect(listOf(owner)).toEqual(['a', 'b']);
  });

  it('refuses a page that lies about its size', () => {
    const [owner, source] = [start(), start().fork(actor(2))];
    offer(source, 'a');
    poll(source);
    const [found] = source.changes({ sharedSeq: 0, skipped: NONE });
    (found as Buffer).writeUInt32LE(0xffff_ffff, (found as Buffer).length - 20);
    expect(() => owner.merge(found as Buffer, { sharedSeq: 0 })).toThrow(ProtocolError);
    expect(owner.state.dump()).toEqual([]);
  });
});

describe('what a queue remembers of removed items', () => {
  it('is bounded, and is a part of a copy', () => {
    const primary = start();
    const text = 'x'.repeat(1_000);
    for (let i = 0; i < 6_000; i++) {
      offer(primary, `${i}${text}`);
      poll(primary);
    }
    expect(primary.state.sizeBytes).toBeLessThan(1024 * 1024);
    offer(primary, 'last');
    const copy = start();
    copy.paste(primary.copy(0, 1_000_000).chunk);
    copy.paste(primary.copy(2 ** 20, 1_000_000).chunk);
    const own = copy.fork(actor(4));
    own.paste(primary.copy(0, 1_000_000).chunk);
    own.paste(primary.copy(2 ** 20, 1_000_000).chunk);
    expect(own.state.dump()).toEqual(primary.state.dump());
    expect(own.state.sizeBytes).toBe(primary.state.sizeBytes);
  });

  it('keeps what was there when sides parted before what came later', () => {
    const before = start();
    offer(before, ...Array.from({ length: 50 }, (_, i) => `shared ${i}`));
    const [owner, source] = [before.fork(actor(1)), before.fork(actor(2))];
    for (const side of [owner, source]) {
      for (let i = 0; i < 50; i++) poll(side);
      for (let i = 0; i < 4_000; i++) {
        offer(side, `own ${i}`);
        poll(side);
      }
    }
    expect(merge(owner, source, 1).discarded).toHaveLength(50);
  });
});
