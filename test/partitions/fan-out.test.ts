/** One read in several partitions of a member: answered as if each call had come alone, and joined where that is the same. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  type AnswerPlace,
  ASKS_NOTHING,
  type Ask,
  type CallRef,
  writePrefix,
} from '../../partitions/call.js';
import { Executor, type Refusal } from '../../partitions/executor.js';
import { fanOut, MAX_FAN_OUT } from '../../partitions/fan-out-messages.js';
import type { Place } from '../../partitions/history.js';
import { DeltaLog } from '../../partitions/log.js';
import { PartitionReplica } from '../../partitions/replica.js';
import type { OperationContext, Service } from '../../partitions/service.js';
import { joinedPages } from '../../partitions/services/joining.js';
import { SessionWindows } from '../../partitions/sessions.js';
import { Slab } from '../../partitions/store/slab.js';
import { Reader, Writer } from '../../src/base/bytes.js';
import { type ErrorName, ProtocolError } from '../../src/base/errors.js';
import { HybridClock } from '../../src/base/hlc.js';
import { bytes, count, f64, list, text } from '../../src/wire/fields.js';
import { Header, NO_PARTITION } from '../../src/wire/frame.js';
import { operationsOf } from '../../src/wire/message.js';
import { HandClock } from '../wire/link-bench.js';
import { Backups, Cell, OPEN_GATE, OPTIONS } from './executor-bench.js';

const operation = operationsOf('shelf', 201);
const PUT = operation({
  index: 1,
  name: 'put',
  kind: 'write',
  doc: '',
  request: { value: count },
  reply: {},
});
const GET = operation({ index: 2, name: 'get', kind: 'read', doc: '', request: {}, reply: { value: count } });
const LIST = operation({
  index: 3,
  name: 'list',
  kind: 'read',
  fansOut: joinedPages(['items'], ['seen'], ['how']),
  doc: '',
  request: { itemBytes: count },
  reply: { next: f64, items: list(bytes(1024 * 1024), 4096), seen: count, how: text(20) },
});

/** What a handler does beside its answer, by partition. */
let onList: (partition: number, context: OperationContext) => void;
let nextOf: (partition: number) => number;
let howOf: (partition: number) => string;

/** What answers are views of. */
const shelves = new Map<number, Buffer>();

function shelfOf(partition: number, itemBytes: number): Buffer {
  const shelf = Buffer.alloc(itemBytes, partition);
  shelves.set(partition, shelf);
  return shelf;
}

/** What a read leaves to do. */
const SHELF_UPKEEP = { run: () => 0 };

/** The state of a partition is one number: its items are so many bytes that say which partition it is. */
const SHELF: Service = {
  id: 201,
  name: 'shelf',
  operations: [PUT, GET, LIST],
  createState: () => new Cell(),
  merge() {},
  upkeep: () => SHELF_UPKEEP.run(),
  handlers: {
    put(cell: Cell, { value }: { value: number }, context: OperationContext) {
      cell.value = value;
      cell.changedAt = context.seq;
      context.delta().f64(value);
      return {};
    },
    get: (cell: Cell) => ({ value: cell.value }),
    list(cell: Cell, { itemBytes }: { itemBytes: number }, context: OperationContext) {
      const partition = cell.value;
      context.dependsOn(cell.changedAt);
      onList(partition, context);
      return {
        next: nextOf(partition),
        items: [shelfOf(partition, itemBytes)],
        seen: 10 + partition,
        how: howOf(partition),
      };
    },
  } as Service['handlers'],
};

interface Joined {
  readonly sequences: readonly number[];
  readonly partitions: number[];
  readonly seen: number;
}

interface Answers {
  /** With the partitions that their items come from. */
  readonly joined: Joined[];
  readonly alone: { readonly sequence: number; readonly next: number; readonly place?: AnswerPlace }[];
  readonly failed: { readonly sequence: number; readonly error: ErrorName }[];
  readonly rest: number[];
}

/** As `Backups`, with a replica for each partition. */
class ManyBackups extends Backups {
  readonly #replicas = new Map<number, PartitionReplica>();
  readonly refusals = new Map<number, Refusal>();
  readonly uncommitted = new Set<number>();

  override refusal(partition = 0): Refusal | null {
    return this.refusals.get(partition) ?? null;
  }
  override replica(partition = 0): PartitionReplica {
    let replica = this.#replicas.get(partition);
    if (replica === undefined) {
      const windows = new SessionWindows({ sizeBytes: 0 });
      replica = new PartitionReplica(partition, new Slab(), windows, new DeltaLog({ sizeBytes: 0 }));
      this.#replicas.set(partition, replica);
    }
    return replica;
  }
  override committed(partition: number): number {
    return this.uncommitted.has(partition) ? 0 : Number.POSITIVE_INFINITY;
  }
}

let backups: ManyBackups;
let clock: HandClock;
let executor: Executor;
let answers: Answers;
let isFull: boolean;

const sink = {
  get isFull() {
    return isFull;
  },
  isOpen: true,
  reply({ sequence }: CallRef, body: Uint8Array, place?: AnswerPlace) {
    // Of the writes before.
    if (body.length === 0) return;
    const { next } = LIST.reply.read(new Reader(body));
    answers.alone.push({ sequence, next, ...(place === undefined ? {} : { place }) });
  },
  fail({ sequence }: CallRef, error: ErrorName) {
    answers.failed.push({ sequence, error });
  },
  resolved() {},
  joined(client: number, sequences: readonly number[], body: Uint8Array) {
    expect(client).toBe(7);
    const reader = new Reader(body);
    const { items, seen } = LIST.reply.read(reader);
    reader.finish();
    answers.joined.push({ sequences, partitions: items.map((item) => item[0] as number), seen });
  },
  rest(client: number, sequences: readonly number[]) {
    expect(client).toBe(7);
    answers.rest.push(...sequences);
  },
};

function send(message: number, partition: number, write: (writer: Writer) => void): void {
  const writer = new Writer();
  write(writer);
  const header = Object.assign(new Header(), { message, partition, client: 7, sequence: 1 });
  const reader = new Reader(writer.toBytes());
  if (message === fanOut.id) executor.fanOut(header, reader, sink);
  else executor.execute(header, reader, sink);
}

/** Asks partitions 1 to `size`, whose calls have the numbers 101 and so on. */
function ask(
  size: number,
  { itemBytes = 1, asks = ASKS_NOTHING, atLeast = new Map<number, Place>(), operationId = LIST.id } = {},
): Answers {
  answers = { joined: [], alone: [], failed: [], rest: [] };
  const calls = Array.from({ length: size }, (_, i) => ({
    partition: i + 1,
    sequence: 101 + i,
    atLeast: atLeast.get(i + 1) ?? null,
  }));
  send(fanOut.id, NO_PARTITION, (writer) => {
    fanOut.write(writer, { operation: operationId, calls });
    writePrefix(writer, 'x', 0, 0, asks);
    LIST.request.write(writer, { itemBytes });
  });
  return answers;
}

beforeEach(() => {
  backups = new ManyBackups();
  clock = new HandClock();
  onList = () => {};
  nextOf = () => -1;
  howOf = () => 'scan';
  isFull = false;
  executor = new Executor([SHELF], backups, {
    clock,
    logger: { log: () => {} },
    hlc: new HybridClock(),
    memberHi: 1,
    memberLo: 2,
    sessionTtlMs: 60_000,
    gate: OPEN_GATE,
    optionsFor: () => OPTIONS,
  });
  answers = { joined: [], alone: [], failed: [], rest: [] };
  for (let partition = 1; partition <= 9; partition++)
    send(PUT.id, partition, (writer) => {
      writePrefix(writer, 'x', 0, 0);
      PUT.request.write(writer, { value: partition });
    });
});

afterEach(() => vi.restoreAllMocks());

describe('a read of several partitions', () => {
  it('is answered once for all of them', () => {
    const { joined, alone, failed, rest } = ask(4);
    expect(joined).toEqual([{ sequences: [101, 102, 103, 104], partitions: [1, 2, 3, 4], seen: 50 }]);
    expect([alone, failed, rest]).toEqual([[], [], []]);
  });

  it('is refused for a partition that the member does not lead, and only for that', () => {
    backups.refusals.set(2, { error: 'WrongTarget', message: 'another member leads it' });
    const { joined, failed } = ask(3);
    expect(failed).toEqual([{ sequence: 102, error: 'WrongTarget' }]);
    expect(joined).toEqual([{ sequences: [101, 103], partitions: [1, 3], seen: 24 }]);
  });

  it('waits for the backups of a partition whose last change they do not have, and only there', () => {
    backups.uncommitted.add(1);
    const { joined, alone } = ask(3);
    expect(joined.map(({ sequences }) => sequences)).toEqual([[102, 103]]);
    expect(alone).toEqual([]);
    for (const { waiter } of backups.waiting) waiter.done();
    expect(alone).toEqual([{ sequence: 101, next: -1 }]);
  });

  it('is answered apart for a page that has others behind it', () => {
    nextOf = (partition) => (partition === 2 ? 77 : -1);
    const { joined, alone } = ask(4);
    expect(alone).toEqual([{ sequence: 102, next: 77 }]);
    expect(joined.map(({ sequences }) => sequences)).toEqual([[101], [103, 104]]);
  });

  it('joins only answers that say the same of what is not added up', () => {
    howOf = (partition) => (partition <= 2 ? 'index' : 'scan');
    expect(ask(4).joined.map(({ sequences }) => sequences)).toEqual([
      [101, 102],
      [103, 104],
    ]);
  });

  it('tells the place of each answer to a caller that asks for it', () => {
    const asks: Ask = { ...ASKS_NOTHING, withPlace: true };
    const { joined, alone } = ask(3, { asks });
    expect(joined).toEqual([]);
    expect(alone.map(({ place }) => place?.position.seq)).toEqual([1, 1, 1]);
  });

  it('is held against what the caller has seen of each partition', () => {
    const lost = { lineage: 9, epoch: 9, seq: 1 };
    const { joined, failed } = ask(3, { atLeast: new Map([[3, lost]]) });
    expect(failed).toEqual([{ sequence: 103, error: 'SessionLost' }]);
    expect(joined.map(({ sequences }) => sequences)).toEqual([[101, 102]]);
  });

  it('ends after a bounded time, and says what is to be asked again', () => {
    onList = () => clock.advance(3);
    expect(ask(5)).toMatchObject({ joined: [{ sequences: [101, 102] }], rest: [103, 104, 105] });
    onList = () => clock.advance(1_000);
    expect(ask(3)).toMatchObject({ joined: [{ sequences: [101] }], rest: [102, 103] });
  });

  it('ends after a bounded size of the answers, which are joined up to a size', () => {
    const { joined, rest } = ask(9, { itemBytes: 100_000 });
    expect(joined.map(({ sequences }) => sequences.length)).toEqual([3, 3, 3]);
    expect(rest).toEqual([]);
    const large = ask(9, { itemBytes: 300_000 });
    expect(large.joined.map(({ sequences }) => sequences)).toEqual([[101], [102], [103], [104]]);
    expect(large.rest).toEqual([105, 106, 107, 108, 109]);
  });

  it('ends by the size of answers that go apart, too', () => {
    nextOf = () => 5;
    const { alone, rest } = ask(9, { itemBytes: 300_000 });
    expect([alone.length, rest.length]).toEqual([4, 5]);
  });

  it('ends with a refusal of each call once too many answers wait to be sent', () => {
    onList = (partition) => {
      isFull = partition === 2;
    };
    const { joined, failed } = ask(4);
    expect(joined.map(({ sequences }) => sequences)).toEqual([[101, 102]]);
    expect(failed).toEqual([
      { sequence: 103, error: 'Overload' },
      { sequence: 104, error: 'Overload' },
    ]);
  });

  it('ends for one partition alone when its handler throws', () => {
    onList = (partition) => {
      if (partition === 2) throw new TypeError('a mistake');
    };
    const { joined, failed } = ask(3);
    expect(failed).toEqual([{ sequence: 102, error: 'OperationFailed' }]);
    expect(joined.map(({ sequences }) => sequences)).toEqual([[101, 103]]);
  });

  it('shows what was there when it was run, whatever a read leaves to do changes then', () => {
    SHELF_UPKEEP.run = () => shelves.get(1)?.fill(99).length ?? 0;
    onList = (partition, context) => {
      if (partition === 2) context.upkeep(Buffer.from('key'));
    };
    const { joined, alone } = ask(3);
    expect(shelves.get(1)?.[0]).toBe(99);
    expect(joined.map(({ partitions }) => partitions)).toEqual([[1], [3]]);
    expect(alone.map(({ sequence }) => sequence)).toEqual([102]);
  });

  it('shows what was there when it was run, whatever is done by whoever is told another answer', () => {
    nextOf = (partition) => (partition === 2 ? 77 : -1);
    const reply = sink.reply;
    vi.spyOn(sink, 'reply').mockImplementation((...told) => {
      shelves.get(1)?.fill(99);
      reply(...told);
    });
    expect(ask(3).joined.map(({ partitions }) => partitions)).toEqual([[1], [3]]);
  });

  it.each([
    ['a write', PUT.id],
    ['a read that does not fan out', GET.id],
    ['an operation that there is none of', 1],
  ])('is refused as malformed for %s, before anything is run', (_what, operationId) => {
    expect(() => ask(2, { operationId })).toThrow(ProtocolError);
    expect(answers).toEqual({ joined: [], alone: [], failed: [], rest: [] });
  });

  it('is refused as malformed for more partitions than one message may name', () => {
    expect(() => ask(MAX_FAN_OUT + 1)).toThrow(ProtocolError);
  });
});
