/** Reads of several partitions from the caller's side: one message to each member, each partition taken once. */
import { beforeEach, describe, expect, it } from 'vitest';
import { Calls } from '../../client/core/calls.js';
import type { Route, Routes } from '../../client/core/routes.js';
import { type CallPrefix, readPrefix } from '../../partitions/call.js';
import { fanOut, fanOutReply, fanOutRest } from '../../partitions/fan-out-messages.js';
import type { RequestOptions } from '../../partitions/invoker.js';
import { MAP_OPERATIONS } from '../../partitions/services/map/ops.js';
import { Reader, Writer } from '../../src/base/bytes.js';
import {
  ERROR_ROWS,
  type ErrorName,
  OperationFailedError,
  OverloadError,
  ProtocolError,
  TimeoutError,
} from '../../src/base/errors.js';
import { SeededRandom } from '../../src/base/random.js';
import { type Address, beginMessage, endMessage, Header } from '../../src/wire/frame.js';
import { failure, reply } from '../../src/wire/messages.js';
import { ValueCodec } from '../../src/wire/values.js';
import { HandClock } from '../wire/link-bench.js';

const SIZE = MAP_OPERATIONS.size;

interface Sent {
  readonly to: string;
  /** Partition and number of each call. */
  readonly calls: readonly (readonly [partition: number, sequence: number])[];
  readonly isFanOut: boolean;
  readonly prefix: CallPrefix;
}

let clock: HandClock;
let calls: Calls;
let sent: Sent[];
let leaders: (FakeRoute | null)[];
let fansOut: boolean;

class FakeRoute implements Route {
  readonly name: string;
  #writer = new Writer();
  queuedBytes = 0;
  receivedMs = Number.NEGATIVE_INFINITY;
  isOpen = true;
  isLocal = false;

  constructor(name: string) {
    this.name = name;
  }
  get writeOffset(): number {
    return this.#writer.length;
  }
  begin(message: number, address: Address): Writer {
    beginMessage(this.#writer, message, address);
    return this.#writer;
  }
  end(at: number): void {
    endMessage(this.#writer, at);
    const reader = new Reader(this.#writer.toBytes());
    this.#writer = new Writer();
    const header = new Header();
    header.read(reader);
    const isFanOut = header.message === fanOut.id;
    const body = isFanOut ? fanOut.read(reader) : null;
    const single = [[header.partition, header.sequence] as const];
    const each = body?.calls.map(({ partition, sequence }) => [partition, sequence] as const) ?? single;
    const isWrite = header.message === MAP_OPERATIONS.clear.id;
    if (!isWrite) expect(body?.operation ?? header.message).toBe(SIZE.id);
    sent.push({ to: this.name, calls: each, isFanOut, prefix: readPrefix(reader) });
    if (isWrite) return;
    SIZE.request.read(reader);
    reader.finish();
  }
}

const [a, b] = [new FakeRoute('a'), new FakeRoute('b')];

beforeEach(() => {
  clock = new HandClock();
  sent = [];
  fansOut = true;
  for (const route of [a, b]) Object.assign(route, { isOpen: true, isLocal: false, queuedBytes: 0 });
  leaders = [a, b, a, b, a];
  const routes: Routes = {
    get partitionCount() {
      return leaders.length;
    },
    get fansOut() {
      return fansOut;
    },
    view: 1,
    lineage: 1,
    toPrimary: (partition) => leaders[partition] ?? null,
    toReplica: (partition) => leaders[partition] ?? null,
    isLatency: () => false,
    whyNoRoute: () => new TimeoutError('nobody is there'),
    refresh() {},
  };
  const random = new SeededRandom(1);
  calls = new Calls({
    clock,
    random,
    routes,
    codec: new ValueCodec(),
    timeoutMs: 10_000,
    maxInFlightCalls: 2,
  });
});

/** A call to all partitions: what was taken of whom, and how it ended. */
function ask(options: RequestOptions = {}, enough: (entries: number) => boolean = () => false) {
  const taken: (readonly [entries: number, partitions: readonly number[]])[] = [];
  const end: { value?: 'done' | unknown } = {};
  const partitions = leaders.map((_, partition) => partition);
  const asked = calls.invokeEach(SIZE, partitions, 'x', {}, options, ({ entries }, of) => {
    taken.push([entries, of]);
    return enough(entries);
  });
  const settled = asked.then(
    () => void Object.assign(end, { value: 'done' }),
    (error: unknown) => void Object.assign(end, { value: error }),
  );
  return { taken, end, settled };
}

function receive(message: number, sequence: number, write: (writer: Writer) => void): void {
  const writer = new Writer();
  write(writer);
  const header = Object.assign(new Header(), { message, sequence, client: calls.client });
  expect(calls.receive(header, new Reader(writer.toBytes()))).toBe(true);
}

function answer(sequence: number, entries: number): void {
  receive(reply.id, sequence, (writer) => SIZE.reply.write(writer, { entries }));
}

function answerJoined(sequences: readonly number[], entries: number): void {
  receive(fanOutReply.id, 0, (writer) => {
    fanOutReply.write(writer, { sequences });
    SIZE.reply.write(writer, { entries });
  });
}

function refuse(sequence: number, error: ErrorName): void {
  receive(failure.id, sequence, (writer) =>
    failure.write(writer, { error: ERROR_ROWS[error].wire, maybeApplied: false, message: 'no' }),
  );
}

function leave(sequences: readonly number[]): void {
  receive(fanOutRest.id, 0, (writer) => fanOutRest.write(writer, { sequences }));
}

function sequencesTo(name: string, since = 0): number[] {
  return sent.slice(since).flatMap(({ to, calls: each }) => (to === name ? each.map(([, one]) => one) : []));
}

describe('a read of several partitions', () => {
  it('goes to each member as one message, and ends when all have answered', async () => {
    const { taken, end, settled } = ask();
    expect(sent.map(({ to, isFanOut, calls: each }) => [to, isFanOut, each.map(([one]) => one)])).toEqual([
      ['a', true, [0, 2, 4]],
      ['b', true, [1, 3]],
    ]);
    answerJoined(sequencesTo('a'), 30);
    const [first, second] = sequencesTo('b') as [number, number];
    answer(first, 1);
    await Promise.resolve();
    expect(end.value).toBeUndefined();
    answer(second, 2);
    await settled;
    expect(taken).toEqual([
      [30, [0, 2, 4]],
      [1, [1]],
      [2, [3]],
    ]);
    expect(end.value).toBe('done');
  });

  it('of no partition is done', async () => {
    leaders = [];
    const { settled, end } = ask();
    await settled;
    expect([end.value, sent]).toEqual(['done', []]);
  });

  it('asks again for the rest, in one message, in the next turn and without counting it as a retry', async () => {
    const { taken, settled } = ask();
    const [first, ...rest] = sequencesTo('a') as [number, number, number];
    answerJoined([first], 1);
    leave(rest);
    expect(sent).toHaveLength(2);
    clock.endTurn();
    expect(sent.slice(2)).toMatchObject([
      { to: 'a', isFanOut: true, calls: [[2], [4]].map((one) => expect.arrayContaining(one)) },
    ]);
    expect(sequencesTo('a', 2)).toEqual(rest);
    expect(calls.retries).toBe(0);
    answerJoined(rest, 2);
    answerJoined(sequencesTo('b'), 3);
    await settled;
    expect(taken.map(([entries]) => entries)).toEqual([1, 2, 3]);
  });

  it('does not send a rest call by call when the sweep comes before the next turn', () => {
    ask();
    leave(sequencesTo('b'));
    const before = sent.length;
    // Timers, and only then what was deferred.
    clock.advance(25);
    expect(sent.slice(before).map(({ isFanOut, calls: each }) => [isFanOut, each.length])).toEqual([
      [true, 2],
    ]);
  });

  it('asks for the rest of two reads apart', () => {
    ask();
    const first = sequencesTo('a');
    ask();
    const second = sequencesTo('a').filter((sequence) => !first.includes(sequence));
    const before = sent.length;
    leave([...first, ...second]);
    clock.endTurn();
    expect(sent.slice(before).map(({ calls: each }) => each.map(([, sequence]) => sequence))).toEqual([
      first,
      second,
    ]);
  });

  it('does not ask twice for a rest that is told twice', () => {
    ask();
    const before = sent.length;
    leave(sequencesTo('a'));
    leave(sequencesTo('a'));
    clock.endTurn();
    expect(sent.slice(before).map(({ calls: each }) => each.length)).toEqual([3]);
    expect(calls.retries).toBe(0);
  });

  it('ends the connection with who names a call twice', () => {
    const { taken } = ask();
    const [one] = sequencesTo('a') as [number];
    expect(() => answerJoined([one, one, one, one, one], 1)).toThrow(ProtocolError);
    expect(() => leave([one, one])).toThrow(ProtocolError);
    expect(taken).toEqual([]);
  });

  it('asks a partition again that was refused, and takes the others as they are', async () => {
    const { taken, settled } = ask();
    const [moved, stayed] = sequencesTo('b') as [number, number];
    refuse(moved, 'WrongTarget');
    answerJoined([stayed], 2);
    answerJoined(sequencesTo('a'), 30);
    leaders[1] = a;
    clock.advance(1_000);
    expect(sent.slice(2)).toMatchObject([{ to: 'a', isFanOut: true, calls: [[1, moved]] }]);
    answer(moved, 1);
    await settled;
    expect(taken.map(([entries]) => entries)).toEqual([2, 30, 1]);
  });

  it('takes nobody twice: an answer with one that was answered meanwhile is not taken, and the others are asked again', async () => {
    const { taken, settled } = ask();
    const [first, ...others] = sequencesTo('a') as [number, number, number];
    answer(first, 1);
    answerJoined([first, ...others], 100);
    expect(taken).toEqual([[1, [0]]]);
    clock.advance(100);
    expect(sequencesTo('a', 2)).toEqual(others);
    for (const one of others) answer(one, 2);
    // What was sent twice by the network.
    answerJoined([first, ...others], 100);
    answerJoined(sequencesTo('b'), 3);
    answerJoined(sequencesTo('b'), 3);
    await settled;
    expect(taken.map(([entries]) => entries)).toEqual([1, 2, 2, 3]);
  });

  it('does not take what two reads were told together', async () => {
    const [one, other] = [ask(), ask()];
    const all = sequencesTo('a');
    answerJoined(all, 100);
    expect([one.taken, other.taken]).toEqual([[], []]);
    clock.advance(100);
    for (const sequence of new Set([...all, ...sequencesTo('b')])) answer(sequence, 1);
    await Promise.all([one.settled, other.settled]);
    expect([one.taken.length, other.taken.length]).toEqual([5, 5]);
  });

  it('is asked anew where the connection ended', async () => {
    const { taken, settled } = ask();
    b.isOpen = false;
    leaders = leaders.map(() => a);
    calls.routeClosed(b);
    calls.routesChanged();
    clock.endTurn();
    expect(sent.slice(2).map(({ to, calls: each }) => [to, each.length])).toEqual([['a', 2]]);
    expect(sequencesTo('a', 2)).toEqual(sequencesTo('b'));
    for (const sequence of sequencesTo('a')) answer(sequence, 1);
    await settled;
    expect(taken).toHaveLength(5);
  });

  it('is asked anew where nothing was heard', async () => {
    const { settled } = ask();
    answerJoined(sequencesTo('a'), 1);
    for (let i = 0; i < 90; i++) clock.advance(25);
    expect(sent.slice(2).map(({ to, calls: each }) => [to, each.length])).toEqual([['b', 2]]);
    for (const sequence of new Set(sequencesTo('b'))) answer(sequence, 1);
    await settled;
  });

  it('fails as soon as one partition fails, and takes nothing after that', async () => {
    const { taken, end, settled } = ask();
    const [one, other] = sequencesTo('b') as [number, number];
    refuse(one, 'OperationFailed');
    await settled;
    expect(end.value).toBeInstanceOf(OperationFailedError);
    answer(other, 1);
    answerJoined(sequencesTo('a'), 2);
    expect(taken).toEqual([]);
  });

  it('fails with what taking an answer throws', async () => {
    const { end, settled } = ask({}, () => {
      throw new RangeError('cannot be taken');
    });
    answerJoined(sequencesTo('a'), 1);
    await settled;
    expect(end.value).toBeInstanceOf(RangeError);
  });

  it('ends when enough is known', async () => {
    const { taken, end, settled } = ask({}, (entries) => entries > 0);
    answerJoined(sequencesTo('a'), 0);
    const [one, other] = sequencesTo('b') as [number, number];
    answer(one, 5);
    await settled;
    answer(other, 5);
    expect([end.value, taken.length]).toEqual(['done', 2]);
  });

  it('ends at its deadline when one partition has no leader', async () => {
    leaders[3] = null;
    const { end, settled } = ask({ timeoutMs: 500 });
    answerJoined(sequencesTo('a'), 1);
    answerJoined(sequencesTo('b'), 1);
    for (let i = 0; i < 25; i++) clock.advance(25);
    await settled;
    expect(end.value).toBeInstanceOf(TimeoutError);
    expect((end.value as Error).message).toContain('nobody is there');
  });

  it('is aborted like any other read', async () => {
    const abort = new AbortController();
    const { taken, end, settled } = ask({ signal: abort.signal });
    abort.abort(new Error('enough'));
    await settled;
    expect(end.value).toEqual(new Error('enough'));
    answerJoined(sequencesTo('a'), 1);
    expect(taken).toEqual([]);
  });

  it('counts as a call in flight', async () => {
    const reads = [ask(), ask()];
    const { end, settled } = ask();
    await settled;
    expect(end.value).toBeInstanceOf(OverloadError);
    for (const sequence of sent.flatMap(({ calls: each }) => each.map(([, one]) => one))) answer(sequence, 1);
    await Promise.all(reads.map((read) => read.settled));
    expect(ask().end.value).toBeUndefined();
  });

  it('asks the member itself in the turn after the others were sent what concerns them', () => {
    Object.assign(a, { isLocal: true });
    ask();
    expect(sent.map(({ to }) => to)).toEqual(['b']);
    clock.endTurn();
    expect(sent.map(({ to }) => to)).toEqual(['b', 'a']);
  });

  it('does not ask the member itself any more for what is over by then', async () => {
    Object.assign(a, { isLocal: true });
    const { settled } = ask({}, (entries) => entries > 0);
    answerJoined(sequencesTo('b'), 1);
    await settled;
    clock.endTurn();
    expect(sent.map(({ to }) => to)).toEqual(['b']);
  });

  it('says whether members forward calls, so that whoever asks sends few at a time', () => {
    expect(calls.fansOut).toBe(true);
    fansOut = false;
    expect(calls.fansOut).toBe(false);
  });

  it('that cannot be encoded fails, and leaves the connection as it was', async () => {
    const broken = {
      ...SIZE,
      request: {
        ...SIZE.request,
        write() {
          throw new TypeError('no bytes for it');
        },
      },
    };
    await expect(calls.invokeEach(broken, [0, 1, 2], 'x', {}, {}, () => false)).rejects.toThrow(TypeError);
    expect([a.writeOffset, b.writeOffset, sent.length]).toEqual([0, 0, 0]);
  });

  it('does not keep the grid from forgetting what it has answered, as an open write does', async () => {
    const before = ask();
    const write = calls.invoke(MAP_OPERATIONS.clear, 0, 'x', { cursor: 0, upTo: 0 }, {}, () => {});
    const [{ calls: written }] = sent.slice(-1) as [Sent];
    const [[, sequence]] = written as [readonly [number, number]];
    expect(Math.max(...sequencesTo('a').filter((one) => one !== sequence))).toBeLessThan(sequence);
    for (const one of sent.slice(0, 2).flatMap(({ calls: each }) => each.map(([, number]) => number)))
      answer(one, 1);
    await before.settled;
    const after = ask();
    expect(calls.watermark).toBe(sequence);
    expect(
      Math.min(...sent.slice(3).flatMap(({ calls: each }) => each.map(([, one]) => one))),
    ).toBeGreaterThan(sequence);
    receive(reply.id, sequence, (writer) =>
      MAP_OPERATIONS.clear.reply.write(writer, { next: -1, upTo: 0, removed: 0 }),
    );
    await write;
    expect(calls.watermark).toBeGreaterThan(sequence);
    for (const one of sent.slice(3).flatMap(({ calls: each }) => each.map(([, number]) => number)))
      answer(one, 1);
    await after.settled;
  });
});
