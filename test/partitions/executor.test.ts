/** Operations on a primary: once, in order, and answered no earlier than the backups allow. */
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { applyEntry } from '../../partitions/apply-entry.js';
import { ASKS_NOTHING, type Ask, writePrefix } from '../../partitions/call.js';
import { decodeEntry } from '../../partitions/entry-body.js';
import { Executor, type Refusal } from '../../partitions/executor.js';
import { DeltaLog } from '../../partitions/log.js';
import { PartitionReplica } from '../../partitions/replica.js';
import type { StructureOptions } from '../../partitions/service.js';
import { isUnknown, MAX_BUDGET_BYTES, SessionWindows } from '../../partitions/sessions.js';
import { Slab } from '../../partitions/store/slab.js';
import { Reader, Writer } from '../../src/base/bytes.js';
import { ProtocolError } from '../../src/base/errors.js';
import { HybridClock } from '../../src/base/hlc.js';
import { Header } from '../../src/wire/frame.js';
import { HandClock } from '../wire/link-bench.js';
import {
  ADD,
  Backups,
  CELL,
  type Cell,
  counts,
  FAIL,
  FILL,
  GET,
  OPEN_GATE,
  OPTIONS,
  Sink,
} from './executor-bench.js';

/** Of the cluster that callers believe to talk to. */
const LINEAGE = 0;
const TTL_MS = 60_000;
let options: StructureOptions;
let backups: Backups;
let executor: Executor;
let logs: string[];
let clock: HandClock;
let isInFork: boolean;

function newExecutor(): Executor {
  return new Executor([CELL], backups, {
    clock,
    isInFork: () => isInFork,
    logger: { log: (level, event) => void logs.push(`${level}: ${event}`) },
    hlc: new HybridClock(),
    memberHi: 1,
    memberLo: 2,
    sessionTtlMs: TTL_MS,
    gate: OPEN_GATE,
    optionsFor: () => options,
  });
}

beforeEach(() => {
  counts.applied = 0;
  logs = [];
  options = OPTIONS;
  clock = new HandClock();
  isInFork = false;
  backups = new Backups();
  executor = newExecutor();
});

interface Call {
  readonly sequence?: number;
  readonly client?: number;
  readonly below?: number;
  readonly ageMs?: number;
}

function run(def: typeof ADD | typeof GET | typeof FAIL | typeof FILL, body: object, call: Call = {}): Sink {
  const writer = new Writer();
  writePrefix(writer, 'x', call.below ?? 0, call.ageMs ?? 0);
  (def.request.write as (w: Writer, b: object) => void)(writer, body);
  const header = new Header();
  header.message = def.id;
  header.partition = 0;
  header.client = call.client ?? 7;
  header.sequence = call.sequence ?? 1;
  const sink = new Sink();
  executor.execute(header, new Reader(writer.toBytes()), sink);
  return sink;
}

const add = (by: number, call?: Call) => run(ADD, { by }, call);
const get = (call?: Call) => run(GET, {}, call);

function ask({ sequence = 1, client = 7, below = 0, ageMs = 0 }: Call = {}): Sink {
  const sink = new Sink();
  executor.resolve(
    { partition: 0, client, sequence },
    CELL.id,
    { structure: 'x', below, ageMs },
    { lineage: LINEAGE, view: 0 },
    sink,
  );
  return sink;
}

describe('a write', () => {
  it('is answered when its backups have it, and not before', () => {
    backups.committedSeq = 0;
    const { answers } = add(5);
    expect(answers).toEqual([]);
    backups.acknowledge(1);
    expect(answers).toEqual([{ kind: 'reply', value: 5 }]);
  });

  it('is answered at once without sync backups', () => {
    options = { ...options, backups: { sync: 0, async: 1 } };
    backups.committedSeq = 0;
    expect(add(5).answers).toEqual([{ kind: 'reply', value: 5 }]);
  });

  it('carries its call id, its reply and its change to the backups in one entry', () => {
    add(5, { sequence: 3, below: 2 });
    const entry = decodeEntry(backups.stream[0]?.body as Uint8Array);
    expect(entry).toMatchObject({
      serviceId: CELL.id,
      structure: 'x',
      client: 7,
      sequence: 3,
      below: 2,
      isVoid: false,
    });
    expect([new Reader(entry.delta).f64(), new Reader(entry.reply).f64()]).toEqual([5, 5]);
  });

  it('that is repeated is answered from the window and applied once', () => {
    add(5);
    add(2, { sequence: 2 });
    expect(add(5).answers).toEqual([{ kind: 'reply', value: 5 }]);
    expect(counts.applied).toBe(2);
    expect(executor.replayed).toBe(1);
    expect(backups.here.seq).toBe(2);
  });

  it('that is repeated waits for the backups like the first one', () => {
    backups.committedSeq = 0;
    add(5);
    const { answers } = add(5);
    expect(answers).toEqual([]);
    backups.acknowledge(1);
    expect(answers).toEqual([{ kind: 'reply', value: 5 }]);
  });

  it('that is repeated at another member, which had it as a backup, is answered there', () => {
    add(5);
    const entry = decodeEntry(backups.stream[0]?.body as Uint8Array);
    backups = new Backups();
    executor = newExecutor();
    applyEntry(backups.here, 1, entry, () => CELL, new HybridClock(), 0);
    expect(add(5).answers).toEqual([{ kind: 'reply', value: 5 }]);
    expect(counts.applied).toBe(1);
  });

  it('that changed nothing changes nothing when a second copy comes later either', () => {
    expect(add(0).answers).toEqual([{ kind: 'reply', value: 0 }]);
    add(9, { sequence: 2 });
    expect(add(0).answers).toEqual([{ kind: 'reply', value: 0 }]);
    expect(get().answers).toEqual([{ kind: 'reply', value: 9 }]);
  });

  it('of two clients with the same sequence are two calls', () => {
    add(1, { client: 1 });
    add(2, { client: 2 });
    expect(get().answers).toEqual([{ kind: 'reply', value: 3 }]);
  });

  it('below the watermark of its client is indeterminate, and not applied', () => {
    add(1, { sequence: 5, below: 5 });
    expect(add(1, { sequence: 4 }).answers[0]).toMatchObject({ error: 'Indeterminate', maybeApplied: true });
    expect(counts.applied).toBe(1);
  });

  it('older than the life of a session is indeterminate when it is not known here', () => {
    expect(add(1, { ageMs: TTL_MS + 1 }).answers[0]).toMatchObject({
      error: 'Indeterminate',
      maybeApplied: true,
    });
    expect(add(1, { sequence: 2, ageMs: TTL_MS }).answers).toEqual([{ kind: 'reply', value: 1 }]);
    expect(add(1, { sequence: 2, ageMs: TTL_MS + 1 }).answers).toEqual([{ kind: 'reply', value: 1 }]);
    expect(counts.applied).toBe(1);
  });

  it('with fewer synced backups than minSynced is refused, definitely, before it is applied', () => {
    options = { ...options, minSynced: 1 };
    backups.synced = 0;
    expect(add(1).answers[0]).toMatchObject({ error: 'NotEnoughBackups', maybeApplied: false });
    expect([counts.applied, backups.here.seq]).toEqual([0, 0]);
    backups.synced = 1;
    expect(add(1).answers).toEqual([{ kind: 'reply', value: 1 }]);
  });

  it('that was applied is answered when it is repeated, although there are too few backups by now', () => {
    options = { ...options, minSynced: 1 };
    add(1);
    backups.synced = 0;
    expect(add(1).answers).toEqual([{ kind: 'reply', value: 1 }]);
  });

  it('into a full window is refused; what is in the window is still answered', () => {
    const session = backups.here.sessions.open(7, 0);
    for (let sequence = 1; sequence <= 16_384; sequence++) {
      const reply = Buffer.alloc(8);
      session.add(sequence, { reply, seq: 0, syncBackups: 0, isVoid: false, isConsistent: false });
    }
    expect(add(1, { sequence: 20_000 }).answers[0]).toMatchObject({ error: 'Overload', maybeApplied: false });
    expect(add(1, { sequence: 5 }).answers).toEqual([{ kind: 'reply', value: 0 }]);
    expect(counts.applied).toBe(0);
    expect(add(1, { sequence: 20_000, below: 100 }).answers).toEqual([{ kind: 'reply', value: 1 }]);
  });

  it('whose reply the member has no room for is refused; one without a reply, or a repeated one, is not', () => {
    add(1, { sequence: 1 });
    backups.replies.sizeBytes += MAX_BUDGET_BYTES;
    expect(add(1, { sequence: 2 }).answers[0]).toMatchObject({ error: 'Overload', maybeApplied: false });
    expect(add(1, { sequence: 1 }).answers).toEqual([{ kind: 'reply', value: 1 }]);
    expect(run(FAIL, { how: 1 }, { sequence: 3 }).answers[0]).toMatchObject({ error: 'OperationFailed' });
    backups.replies.sizeBytes -= MAX_BUDGET_BYTES;
    expect(add(1, { sequence: 2 }).answers).toEqual([{ kind: 'reply', value: 2 }]);
  });

  it('of more bytes than a position of the stream may carry is refused before anything happens', () => {
    const answer = run(FILL, { data: Buffer.alloc(17.5 * 1024 * 1024) }).answers[0];
    expect(answer).toMatchObject({ error: 'ValueTooLarge', maybeApplied: false });
    expect([backups.stream.length, backups.here.structures().length]).toEqual([0, 0]);
    expect(run(FILL, { data: Buffer.alloc(17 * 1024 * 1024) }).answers).toEqual([
      { kind: 'reply', value: 0 },
    ]);
    expect(backups.stream).toHaveLength(1);
  });

  it('that changes nothing, or throws, leaves no trace of a structure that is not there', () => {
    backups.committedSeq = 9;
    expect(add(0, { sequence: 1 }).answers).toEqual([{ kind: 'reply', value: 0 }]);
    run(FAIL, { how: 0 }, { sequence: 2 });
    expect(backups.here.structures()).toEqual([]);
    add(5, { sequence: 3 });
    expect(backups.here.structures().map(({ name }) => name)).toEqual(['x']);
    expect(get().answers).toEqual([{ kind: 'reply', value: 5 }]);
  });

  it('waits as long as the options say, and knows what its time means', () => {
    backups.committedSeq = 0;
    options = { ...options, backupTimeoutMs: 1_234, onBackupTimeout: 'success' };
    add(1);
    options = { ...options, onBackupTimeout: 'indeterminate' };
    add(1, { sequence: 2 });
    expect(backups.waiting.map(({ waiter }) => [waiter.deadlineMs, waiter.succeedOnTimeout])).toEqual([
      [1_234, true],
      [1_234, false],
    ]);
  });
});

describe('a read', () => {
  it('of what is not on the backups yet waits with the write before it', () => {
    backups.committedSeq = 0;
    add(5);
    const { answers } = get();
    expect(answers).toEqual([]);
    backups.acknowledge(1);
    expect(answers).toEqual([{ kind: 'reply', value: 5 }]);
  });

  it('of what is on the backups does not wait for later positions', () => {
    add(5);
    backups.committedSeq = 1;
    run(ADD, { by: 0 }, { sequence: 2 });
    expect(backups.here.seq).toBe(2);
    expect(get().answers).toEqual([{ kind: 'reply', value: 5 }]);
  });

  it('leaves no trace of a structure that is not there, and no session', () => {
    expect(get({ client: 55 }).answers).toEqual([{ kind: 'reply', value: 0 }]);
    expect(backups.here.structures()).toEqual([]);
    expect(backups.here.sessions.size).toBe(0);
    expect(backups.stream).toEqual([]);
  });
});

describe('a call', () => {
  it('that is not served here is refused with the reason, and not applied', () => {
    backups.refused = { error: 'NoMajority', message: 'alone' };
    for (const { answers } of [add(1), get(), ask()])
      expect(answers).toEqual([{ kind: 'fail', error: 'NoMajority', maybeApplied: false, message: 'alone' }]);
    expect(counts.applied).toBe(0);
  });

  it('whose handler throws a GridError gets that error, and changes nothing', () => {
    expect(run(FAIL, { how: 0 }).answers).toEqual([
      { kind: 'fail', error: 'Overload', maybeApplied: false, message: 'too much of it' },
    ]);
    expect([backups.here.seq, backups.stream.length, logs.length]).toEqual([0, 0, 0]);
    expect(add(1).answers).toEqual([{ kind: 'reply', value: 1 }]);
  });

  it('whose handler makes a mistake is refused and logged, and the next one is served', () => {
    expect(run(FAIL, { how: 1 }).answers[0]).toMatchObject({ error: 'OperationFailed', maybeApplied: false });
    expect(logs).toEqual(['error: an operation threw']);
    expect(add(3).answers).toEqual([{ kind: 'reply', value: 3 }]);
    expect(new Reader(decodeEntry(backups.stream[0]?.body as Uint8Array).delta).f64()).toBe(3);
  });

  it('that ends with a fault outside of its handler is failed and logged, and not known to be undone', () => {
    const refusal = vi.spyOn(backups, 'refusal').mockImplementation(() => {
      throw new TypeError('a fault');
    });
    const fault = { kind: 'fail', error: 'OperationFailed', message: 'a fault' };
    expect(add(1).answers).toEqual([{ ...fault, maybeApplied: true }]);
    expect(get().answers).toEqual([{ ...fault, maybeApplied: false }]);
    expect(logs).toEqual(['error: a call ended with a fault', 'error: a call ended with a fault']);
    refusal.mockRestore();
    expect(add(3).answers).toEqual([{ kind: 'reply', value: 3 }]);
  });

  it('with bytes behind its request is a protocol error', () => {
    const writer = new Writer();
    writePrefix(writer, 'x', 0, 0);
    ADD.request.write(writer, { by: 1 });
    writer.u8(0);
    const header = new Header();
    header.message = ADD.id;
    expect(() => executor.execute(header, new Reader(writer.toBytes()), new Sink())).toThrow(ProtocolError);
    expect(counts.applied).toBe(0);
  });
});

describe('a question about a call', () => {
  it('that was applied gets its reply, once that is safe', () => {
    backups.committedSeq = 0;
    add(5);
    const { answers } = ask();
    expect(answers).toEqual([]);
    backups.acknowledge(1);
    expect(answers).toEqual([{ kind: 'resolved', outcome: 'done', value: 5 }]);
  });

  it('that was not applied makes it void, on the backups too: it never will be', () => {
    backups.committedSeq = 0;
    const { answers } = ask();
    expect(answers).toEqual([]);
    backups.acknowledge(1);
    expect(answers).toEqual([{ kind: 'resolved', outcome: 'not done', value: null }]);
    expect(decodeEntry(backups.stream[0]?.body as Uint8Array)).toMatchObject({
      isVoid: true,
      client: 7,
      sequence: 1,
    });
    expect(add(5).answers[0]).toMatchObject({ error: 'OperationFailed', maybeApplied: false });
    expect(counts.applied).toBe(0);
    expect(ask().answers).toEqual([{ kind: 'resolved', outcome: 'not done', value: null }]);
  });

  it('that was given up is of unknown outcome, on the backups too, and is never applied', () => {
    backups.committedSeq = 1;
    const call = { client: 7, sequence: 1 };
    executor.giveUp(backups.here, CELL.id, 'x', call);
    executor.giveUp(backups.here, CELL.id, 'x', call);
    expect(backups.here.seq).toBe(1);
    const copy = decodeEntry(backups.stream[0]?.body as Uint8Array);
    expect(copy).toMatchObject({ serviceId: 0, isVoid: true, ...call });
    expect(isUnknown(copy)).toBe(true);
    expect(add(5).answers[0]).toMatchObject({ error: 'Indeterminate', maybeApplied: true });
    expect(counts.applied).toBe(0);
    expect(ask().answers).toEqual([{ kind: 'resolved', outcome: 'unknown', value: null }]);
  });

  it('that was applied, or needs no answer any more, is not given up', () => {
    add(5, { sequence: 3, below: 2 });
    for (const sequence of [1, 3]) executor.giveUp(backups.here, CELL.id, 'x', { client: 7, sequence });
    expect(backups.here.seq).toBe(1);
    expect(add(5, { sequence: 3, below: 2 }).answers).toEqual([{ kind: 'reply', value: 5 }]);
  });

  it('that an earlier primary may have applied is unknown in a fork, and makes it void there', () => {
    backups.here.ledSinceMs = clock.now();
    clock.nowMs += 100;
    expect(ask({ sequence: 1, ageMs: 200 }).answers[0]).toMatchObject({ outcome: 'not done' });
    isInFork = true;
    for (const sequence of [1, 2])
      expect(ask({ sequence, ageMs: 200 }).answers[0]).toMatchObject({ outcome: 'unknown' });
    expect(ask({ sequence: 3, ageMs: 50 }).answers[0]).toMatchObject({ outcome: 'not done' });
    expect(add(5, { sequence: 2 }).answers[0]).toMatchObject({ error: 'OperationFailed' });
    expect(counts.applied).toBe(0);
  });

  it('that an earlier primary may have applied is put off while a backup is missing that would know of the void', () => {
    backups.here.ledSinceMs = clock.now();
    clock.nowMs += 100;
    backups.synced = 0;
    expect(ask({ ageMs: 200 }).answers[0]).toMatchObject({ error: 'NotServing', maybeApplied: false });
    // One that began later was tried here only.
    expect(ask({ sequence: 2, ageMs: 50 }).answers[0]).toMatchObject({ outcome: 'not done' });
    backups.synced = 1;
    expect(ask({ ageMs: 200 }).answers[0]).toMatchObject({ outcome: 'not done' });
    backups.synced = 0;
    backups.awaits = false;
    expect(ask({ sequence: 3, ageMs: 200 }).answers[0]).toMatchObject({ outcome: 'not done' });
    options = { ...options, consistency: 'PC/EC' };
    backups.awaits = true;
    expect(ask({ sequence: 4, ageMs: 200 }).answers[0]).toMatchObject({ outcome: 'not done' });
  });

  it('that is forgotten or too old is unknown, and stays as it is', () => {
    add(1, { sequence: 9, below: 9 });
    expect(ask({ sequence: 4 }).answers).toEqual([{ kind: 'resolved', outcome: 'unknown', value: null }]);
    expect(ask({ sequence: 10, ageMs: TTL_MS + 1 }).answers).toEqual([
      { kind: 'resolved', outcome: 'unknown', value: null },
    ]);
    expect(backups.here.seq).toBe(1);
  });

  it('of a structure that does not exist is refused', () => {
    const sink = new Sink();
    executor.resolve(
      { partition: 0, client: 1, sequence: 1 },
      99,
      { structure: 'x', below: 0, ageMs: 0 },
      { lineage: LINEAGE, view: 0 },
      sink,
    );
    expect(sink.answers[0]).toMatchObject({ error: 'Protocol' });
  });
});

describe('an executor', () => {
  it('is not built with an operation that nobody handles', () => {
    const broken = { ...CELL, handlers: {} };
    const rest = {
      clock: new HandClock(),
      hlc: new HybridClock(),
      memberHi: 0,
      memberLo: 0,
      sessionTtlMs: 1,
      gate: OPEN_GATE,
    };
    const make = () =>
      new Executor([broken], backups, { ...rest, logger: { log: () => {} }, optionsFor: () => options });
    expect(make).toThrow(/cell.add has no handler/);
  });
});

describe('a call with EL', () => {
  const EL: Ask = { ...ASKS_NOTHING, consistency: 'EL', withPlace: true };

  function asking(def: typeof ADD | typeof GET, body: object, ask: Ask, sequence = 1): Sink {
    const writer = new Writer();
    writePrefix(writer, 'x', 0, 0, ask);
    (def.request.write as (w: Writer, b: object) => void)(writer, body);
    const header = new Header();
    header.message = def.id;
    header.partition = 0;
    header.client = 7;
    header.sequence = sequence;
    const sink = new Sink();
    executor.execute(header, new Reader(writer.toBytes()), sink);
    return sink;
  }

  function heldWith(value: number, seq: number): PartitionReplica {
    const held = new PartitionReplica(0, new Slab(), new SessionWindows(), new DeltaLog({ sizeBytes: 0 }));
    held.enter(LINEAGE, 4, 0);
    const cell = held.state(CELL, 'x') as Cell;
    cell.value = value;
    held.seq = seq;
    return held;
  }

  const PLACE = { lineage: LINEAGE, epoch: 4, seq: 20 };
  const refused: Refusal = { error: 'WrongTarget', message: 'not here' };

  it('waits for no backup, and tells the position of a write', () => {
    backups.here.enter(LINEAGE, 4, 0);
    backups.committedSeq = 0;
    const { answers, places } = asking(ADD, { by: 5 }, EL);
    expect(answers).toEqual([{ kind: 'reply', value: 5 }]);
    expect(places).toMatchObject([
      { source: 'primary', ageMs: 0, position: { lineage: LINEAGE, epoch: 4, seq: 1 }, view: 4 },
    ]);
    expect(asking(GET, {}, { ...EL, withPlace: false }, 2)).toMatchObject({
      answers: [{ value: 5 }],
      places: [],
    });
    // A read that asks for more waits until what it saw is safe.
    const strict = asking(GET, {}, { ...EL, consistency: 'EC' }, 3);
    expect(strict.answers).toEqual([]);
    backups.acknowledge(1);
    expect(strict.answers).toEqual([{ kind: 'reply', value: 5 }]);
  });

  it('of a PC structure waits for its backups all the same when it writes', () => {
    options = { ...options, consistency: 'PC/EL' };
    backups.committedSeq = 0;
    const { answers } = asking(ADD, { by: 5 }, EL);
    const read = asking(GET, {}, EL, 2);
    expect([answers, read.answers]).toEqual([[], []]);
    backups.acknowledge(1);
    expect([...answers, ...read.answers]).toEqual([
      { kind: 'reply', value: 5 },
      { kind: 'reply', value: 5 },
    ]);
  });

  it('of a PC structure reads nothing at a backup that could yet be taken back', () => {
    options = { ...options, consistency: 'PC/EL' };
    backups.refused = refused;
    const held = heldWith(8, 30);
    backups.held = held;
    (held.state(CELL, 'x') as Cell).changedAt = 29;
    for (const seq of [29, 30]) held.log.append({ epoch: 4, seq, body: Buffer.alloc(1) });
    expect(asking(GET, {}, EL).answers[0]).toMatchObject({ error: 'TooStale' });
    held.log.trim(29);
    const { answers, places } = asking(GET, {}, EL);
    expect(answers).toEqual([{ kind: 'reply', value: 8 }]);
    expect(places[0]?.position).toEqual({ lineage: LINEAGE, epoch: 4, seq: 29 });
    const further = { ...EL, atLeast: { ...PLACE, seq: 30 } };
    expect(asking(GET, {}, further).answers[0]).toMatchObject({ error: 'TooStale' });
  });

  it('is what the preset of the structure says when the call says nothing', () => {
    options = { ...options, consistency: 'PA/EL' };
    backups.committedSeq = 0;
    expect(add(5).answers).toEqual([{ kind: 'reply', value: 5 }]);
    expect(asking(ADD, { by: 1 }, { ...EL, consistency: 'EC' }, 2).answers).toEqual([]);
  });

  it('is answered by a backup when it reads, with its age and position', () => {
    backups.refused = refused;
    backups.held = heldWith(8, 30);
    backups.ageNowMs = 40;
    const position = { lineage: LINEAGE, epoch: 4, seq: 30 };
    expect(asking(GET, {}, EL)).toMatchObject({
      answers: [{ kind: 'reply', value: 8 }],
      places: [{ source: 'backup', ageMs: 40, position }],
    });
    expect(asking(GET, {}, { ...EL, consistency: 'EC' }).answers[0]).toMatchObject({ error: 'WrongTarget' });
    expect(asking(ADD, { by: 1 }, EL).answers[0]).toMatchObject({ error: 'WrongTarget' });
    backups.held = null;
    expect(asking(GET, {}, EL).answers[0]).toMatchObject({ error: 'WrongTarget' });
  });

  it.each([
    [40, 40, true],
    [40, 39.5, false],
    [Number.POSITIVE_INFINITY, 1e9, false],
  ] as const)(
    'of a backup that may be %s ms old answers when %s ms are allowed: %s',
    (age, allowed, answers) => {
      backups.refused = refused;
      backups.held = heldWith(8, 30);
      backups.ageNowMs = age;
      const [answer] = asking(GET, {}, { ...EL, maxStalenessMs: allowed }).answers;
      expect(answer).toMatchObject(answers ? { value: 8 } : { error: 'TooStale', maybeApplied: false });
    },
  );

  it('goes on from what its session has seen: a backup that is behind refuses, a primary that lost it says so', () => {
    backups.refused = refused;
    backups.held = heldWith(8, 30);
    const at = (seq: number, epoch = 4) =>
      asking(GET, {}, { ...EL, atLeast: { ...PLACE, epoch, seq } }).answers[0];
    expect(at(30)).toMatchObject({ value: 8 });
    expect(at(31)).toMatchObject({ error: 'TooStale' });
    expect(at(31, 5)).toMatchObject({ error: 'TooStale' });
    backups.refused = null;
    backups.here.enter(LINEAGE, 4, 0);
    backups.here.seq = 12;
    backups.here.enter(LINEAGE, 6, 12);
    expect(at(12)).toMatchObject({ kind: 'reply' });
    // What has not changed for long does not let the session go back.
    const atLeast = { ...PLACE, seq: 12 };
    expect(asking(GET, {}, { ...EL, atLeast }).places[0]?.position).toEqual(atLeast);
    expect(at(13)).toMatchObject({ error: 'SessionLost' });
    expect(at(13, 7)).toMatchObject({ error: 'NotServing' });
  });
});
