/**
 * Members that hold one partition, each with the real executor and the real leftovers, and between them only what a
 * merge needs: a queue of encoded messages, a stream to backups, time by hand. Who is primary is what the test says.
 */

import { applyEntry } from '../../partitions/apply-entry.js';
import { type CallRef, type ReplySink, writePrefix } from '../../partitions/call.js';
import { decodeEntry } from '../../partitions/entry-body.js';
import { Executor, type Refusal, type Replicator, type Waiter } from '../../partitions/executor.js';
import { DeltaLog } from '../../partitions/log.js';
import { JOURNAL_NAME, JOURNAL_OPERATIONS } from '../../partitions/merge-journal/ops.js';
import { PartitionReplica } from '../../partitions/replica.js';
import type { StructureOptions } from '../../partitions/service.js';
import { ATOMIC_LONG_OPERATIONS } from '../../partitions/services/atomiclong/ops.js';
import { SERVICES } from '../../partitions/services/index.js';
import { MAP_OPERATIONS } from '../../partitions/services/map/ops.js';
import { MAP } from '../../partitions/services/map/proxy.js';
import { SessionWindows } from '../../partitions/sessions.js';
import { Slab } from '../../partitions/store/slab.js';
import { newCounters, type ReplicationHost } from '../../replication/host.js';
import { Leftovers } from '../../replication/leftovers.js';
import { Reader, Writer } from '../../src/base/bytes.js';
import type { ErrorName } from '../../src/base/errors.js';
import { HybridClock } from '../../src/base/hlc.js';
import { NO_TOGGLES } from '../../src/cluster/toggle.js';
import { lineageTag, type View } from '../../src/cluster/view.js';
import { Header } from '../../src/wire/frame.js';
import { encodeKey } from '../../src/wire/keys.js';
import type { AnyOperation, OperationDef } from '../../src/wire/message.js';
import { ValueCodec } from '../../src/wire/values.js';
import { OPTIONS as PLAIN_OPTIONS } from '../partitions/executor-bench.js';
import { HandClock } from '../wire/link-bench.js';

export const CHAIN = '00000001-0000-4000-8000-000000000000';
export const FORK = '00000002-0000-4000-8000-000000000000';
export const codec = new ValueCodec();

export const OPTIONS: StructureOptions = { ...MAP.options.parse({}), ...PLAIN_OPTIONS };

export type Answer =
  | { readonly kind: 'reply'; readonly body: Buffer }
  | { readonly kind: 'fail'; readonly error: ErrorName; readonly maybeApplied: boolean }
  | { readonly kind: 'resolved'; readonly outcome: string };

class Sink implements ReplySink {
  readonly isFull = false;
  readonly isOpen = true;
  readonly answers: Answer[] = [];
  reply(_call: CallRef, body: Uint8Array): void {
    this.answers.push({ kind: 'reply', body: Buffer.from(body) });
  }
  fail(_call: CallRef, error: ErrorName, maybeApplied: boolean): void {
    this.answers.push({ kind: 'fail', error, maybeApplied });
  }
  resolved(_call: CallRef, outcome: string): void {
    this.answers.push({ kind: 'resolved', outcome });
  }
  joined(): void {}
  rest(): void {}
}

interface Message {
  readonly from: string;
  readonly to: string;
  readonly header: Header;
  readonly bytes: Buffer;
}

export class World {
  readonly clock = new HandClock();
  readonly sides = new Map<string, Side>();
  readonly logs: string[] = [];
  options = (_name: string): StructureOptions => OPTIONS;
  reportBytes = 1024 * 1024;
  /** Messages that are lost. */
  loses: (message: Message) => boolean = () => false;
  #queue: Message[] = [];
  delivered = 0;

  side(id: string): Side {
    const side = new Side(id, this);
    this.sides.set(id, side);
    return side;
  }

  post(message: Message): void {
    this.#queue.push(message);
  }

  crash(side: Side): void {
    this.sides.delete(side.id);
  }

  /** Delivers at most so many messages. */
  deliver(most = Number.POSITIVE_INFINITY): number {
    let count = 0;
    this.clock.endTurn();
    while (count < most) {
      const message = this.#queue.shift();
      if (message === undefined) break;
      count++;
      if (this.loses(message)) continue;
      this.delivered++;
      this.sides.get(message.to)?.receive(message);
      this.clock.endTurn();
    }
    return count;
  }

  /** Runs everybody for a while. */
  run(ms: number): void {
    for (let left = ms; left > 0; left -= 50) {
      this.clock.advance(50);
      for (const side of this.sides.values()) side.tick();
      this.deliver();
    }
  }
}

export class Side implements Replicator {
  readonly id: string;
  readonly world: World;
  readonly counters = newCounters();
  readonly executor: Executor;
  readonly leftovers: Leftovers;
  readonly slab = new Slab();
  readonly hlc = new HybridClock();
  here: PartitionReplica;
  view: View | null = null;
  /** Members that follow this one's stream. */
  followers: Side[] = [];
  /** Followers hold back what they get. */
  holdsBack = false;
  #pending: { readonly side: Side; readonly seq: number; readonly body: Uint8Array }[] = [];
  #waiting: Waiter[] = [];

  constructor(id: string, world: World) {
    this.id = id;
    this.world = world;
    this.here = this.newReplica();
    this.executor = new Executor(
      SERVICES.map(({ service }) => service),
      this,
      {
        gate: { admit: () => null, admitBehind: () => null, mayAnswer: () => null },
        clock: world.clock,
        logger: {
          log: (level, event, fields) => void world.logs.push(`${level}: ${event} ${JSON.stringify(fields)}`),
        },
        hlc: this.hlc,
        memberHi: Number.parseInt(id.slice(1), 10),
        memberLo: 1,
        sessionTtlMs: 300_000,
        mergeReportBytes: world.reportBytes,
        optionsFor: (_service, name) => world.options(name),
      },
    );
    const side = this;
    const host: ReplicationHost = {
      self: id,
      clock: world.clock,
      logger: {
        log: (level, event, fields) => void world.logs.push(`${level}: ${event} ${JSON.stringify(fields)}`),
      },
      hlc: this.hlc,
      faults: {},
      get view() {
        return side.view;
      },
      send: (to, def, partition, body) => {
        const out = new Writer();
        def.write(out, body);
        const header = new Header();
        header.message = def.id;
        header.partition = partition;
        header.lineage = side.view === null ? 0 : lineageTag(side.view.lineage);
        world.post({ from: id, to, header, bytes: out.toBytes() });
      },
      queuedBytes: () => 0,
      holdsLease: () => false,
      confirmedMs: () => 0,
      isGone: () => false,
      reportSoon: () => {},
      executor: () => this.executor,
    } as ReplicationHost;
    this.leftovers = new Leftovers(host, this.counters);
  }

  newReplica(): PartitionReplica {
    return new PartitionReplica(0, this.slab, new SessionWindows(), new DeltaLog({ sizeBytes: 0 }));
  }

  receive({ from, header, bytes }: Message): void {
    if (!this.leftovers.receive(from, header, new Reader(bytes))) throw new Error('not of a merge');
  }

  tick(): void {
    this.leftovers.tick(this.world.clock.now(), this.view);
  }

  // --- what the executor needs

  get isPrimary(): boolean {
    return this.view?.table[0]?.replicas[0]?.member === this.id;
  }
  refusal(): Refusal | null {
    return this.isPrimary ? null : { error: 'WrongTarget', message: 'not the primary' };
  }
  replica(): PartitionReplica {
    return this.here;
  }
  readable(): null {
    return null;
  }
  ageMs(): number {
    return Number.POSITIVE_INFINITY;
  }
  awaitsBackup(): boolean {
    return false;
  }
  syncedBackups(): number {
    return this.followers.length;
  }
  isReplicated(): boolean {
    return this.followers.length > 0;
  }
  append(replica: PartitionReplica, body: Uint8Array): void {
    replica.log.append({ epoch: replica.epoch, seq: replica.seq, body });
    for (const side of this.followers) this.#pending.push({ side, seq: replica.seq, body });
    if (!this.holdsBack) this.flush();
  }
  /** Followers apply what they were held back. */
  flush(): void {
    for (const { side, seq, body } of this.#pending.splice(0)) {
      const services = (id: number) => side.executor.service(id);
      applyEntry(side.here, seq, decodeEntry(body), services, side.hlc, 0);
      side.here.log.append({ epoch: side.here.epoch, seq, body });
    }
    const done = this.#waiting.filter(({ seq }) => seq <= this.committed());
    this.#waiting = this.#waiting.filter(({ seq }) => seq > this.committed());
    for (const waiter of done) waiter.done();
  }
  committed(): number {
    return Math.min(this.here.seq, ...this.followers.map(({ here }) => here.seq));
  }
  wait(_partition: number, _syncBackups: number, waiter: Waiter): void {
    this.#waiting.push(waiter);
  }

  // --- what tests do

  /** Is primary from now on, in an epoch of its own, with these followers, which have what it has. */
  lead(lineage: string, epoch: number, followers: readonly Side[] = []): void {
    this.here.enter(lineageTag(lineage), epoch, this.here.seq);
    this.followers = [...followers];
    for (const side of followers) {
      side.here.epoch = epoch;
      side.here.history = [...this.here.history];
    }
    this.#waiting = [];
    this.#pending = [];
  }

  /** What is here goes out of use; the member begins with nothing. */
  leave(): PartitionReplica {
    const old = this.here;
    this.here = this.newReplica();
    this.followers = [];
    this.leftovers.add(old);
    return old;
  }

  call<Q, P>(
    operation: OperationDef<Q, P>,
    name: string,
    request: Q,
    id: { readonly client?: number; readonly sequence: number; readonly below?: number },
  ): Answer[] {
    const out = new Writer();
    writePrefix(out, name, id.below ?? 0, 0);
    operation.request.write(out, request);
    const header = new Header();
    header.message = (operation as AnyOperation).id;
    header.partition = 0;
    header.client = id.client ?? 7;
    header.sequence = id.sequence;
    const sink = new Sink();
    this.executor.execute(header, new Reader(out.toBytes()), sink);
    return sink.answers;
  }

  resolve(
    service: number,
    name: string,
    id: { readonly client?: number; readonly sequence: number },
  ): Answer[] {
    const sink = new Sink();
    const call = { partition: 0, client: id.client ?? 7, sequence: id.sequence };
    this.executor.resolve(
      call,
      service,
      { structure: name, below: 0, ageMs: 0 },
      { lineage: 0, view: 0 },
      sink,
    );
    return sink.answers;
  }

  #next = 1;
  set(name: string, key: string, value: unknown, client = 1000 + this.#number()): Answer[] {
    this.world.clock.nowMs += 1;
    const request = { key: encodeKey(key), value: codec.encode(value) };
    return this.call(MAP_OPERATIONS.set, name, request, { client, sequence: this.#next++ });
  }

  get(name: string, key: string): unknown {
    const [answer] = this.call(MAP_OPERATIONS.get, name, { key: encodeKey(key) }, { sequence: 0 });
    if (answer?.kind !== 'reply') throw new Error(`no reply: ${JSON.stringify(answer)}`);
    const { value } = MAP_OPERATIONS.get.reply.read(new Reader(answer.body));
    return value === null ? null : codec.decode(value);
  }

  add(
    name: string,
    delta: bigint,
    id: { readonly client: number; readonly sequence: number; readonly below?: number },
  ) {
    return this.call(ATOMIC_LONG_OPERATIONS.getAndAdd, name, { delta }, id);
  }

  long(name: string): bigint {
    const [answer] = this.call(ATOMIC_LONG_OPERATIONS.get, name, {}, { sequence: 0 });
    if (answer?.kind !== 'reply') throw new Error(`no reply: ${JSON.stringify(answer)}`);
    return ATOMIC_LONG_OPERATIONS.get.reply.read(new Reader(answer.body)).value;
  }

  reports() {
    return this.#ask(JOURNAL_OPERATIONS.summary, {}).reports;
  }

  page(id: string, after = '', maxBytes = 1024 * 1024) {
    return this.#ask(JOURNAL_OPERATIONS.page, { id, after, maxBytes });
  }

  #ask<Q, P>(operation: OperationDef<Q, P>, request: Q): P {
    const [answer] = this.call(operation, JOURNAL_NAME, request, { sequence: 0 });
    if (answer?.kind !== 'reply') throw new Error(`no reply: ${JSON.stringify(answer)}`);
    return operation.reply.read(new Reader(answer.body));
  }

  #number(): number {
    return Number.parseInt(this.id.slice(1), 10);
  }

  contents(): string {
    return JSON.stringify(
      this.here.structures().map(({ serviceId, name, state }) => [serviceId, name, state.dump()]),
    );
  }
}

/** A view in which the first of these is the primary of the only partition, and the others its backups. */
export function viewOf(
  lineage: string,
  number: number,
  epoch: number,
  members: readonly Side[],
  others: readonly Side[] = [],
): View {
  const info = (side: Side) => ({ id: side.id, address: `${side.id}:1`, leaving: false });
  const entry = {
    replicas: members.map(({ id }) => ({ member: id, synced: true })),
    epoch,
    settled: true,
    moving: false,
    generation: 0,
    lastSynced: [],
    proven: [],
  };
  const all = [...members, ...others].map(info);
  return {
    lineage,
    number,
    ordered: false,
    parent: null,
    replaced: [],
    members: all,
    slots: 1,
    table: [entry],
    target: [],
    structures: [],
    toggles: NO_TOGGLES,
  };
}

/** Two sides of a split, each with a primary and a backup. */
export class Parting {
  readonly world = new World();
  /** The owner and its backup, in the chain; the source and its backup, which form a fork. */
  readonly owner: Side;
  readonly spare: Side;
  readonly source: Side;
  readonly second: Side;

  /** `reportBytes`: how large a merge report of a partition may become. */
  constructor(reportBytes?: number) {
    if (reportBytes !== undefined) this.world.reportBytes = reportBytes;
    this.owner = this.world.side('m1');
    this.spare = this.world.side('m2');
    this.source = this.world.side('m3');
    this.second = this.world.side('m4');
  }

  /** All four are of the chain, and the source leads them. */
  together(): void {
    const { world, owner, spare, source, second } = this;
    world.run(100);
    source.lead(CHAIN, 1, [second, owner, spare]);
    for (const side of [source, second, owner, spare])
      side.view = viewOf(CHAIN, 1, 1, [source, second, owner, spare]);
  }

  /** The chain goes on without the source. */
  takeOver(): void {
    const { owner, spare } = this;
    owner.lead(CHAIN, 2, [spare]);
    for (const side of [owner, spare]) side.view = viewOf(CHAIN, 2, 2, [owner, spare]);
  }

  /** From here on each side goes its own way. */
  part(): void {
    const { source, second } = this;
    this.takeOver();
    source.lead(FORK, 2, [second]);
    for (const side of [source, second]) side.view = viewOf(FORK, 2, 2, [source, second]);
  }

  /** All four share what was written before; then the two sides part. */
  split(): void {
    this.together();
    for (let i = 0; i < 20; i++) this.source.set('x', `before${i}`, i);
    this.source.set('x', 'both', 'old');
    this.source.set('x', 'gone', 'old');
    this.part();
  }

  /** All are members of the chain's next view; those of the fork hold what they had as leftovers. */
  heal(): void {
    const { owner, spare, source, second } = this;
    source.leave();
    second.leave();
    const view = viewOf(CHAIN, 3, 2, [owner, spare], [source, second]);
    for (const side of [owner, spare, source, second]) side.view = view;
  }

  /** How many leftovers each member of the fork has. */
  left(): number[] {
    return [this.source, this.second].map(({ leftovers }) => leftovers.size);
  }

  /** Until nobody has anything to merge, or the time is over. */
  finish(ms = 6_000): void {
    const { world } = this;
    const waiting = () =>
      [...world.sides.values()].some(({ leftovers, view }) => view !== null && leftovers.size > 0);
    for (let leftMs = ms; leftMs > 0 && waiting(); leftMs -= 50) world.run(50);
  }
}
