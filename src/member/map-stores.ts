/**
 * The stores that users keep maps in, at one member: those that were registered by name, the one that each map uses, and
 * what this member writes behind and loads for the partitions that it leads. Invariant: a store is written to only by a
 * member that can prove that it belongs to the majority, unless the map's `writeInFork` says otherwise. Built by the
 * member's composition; the executor sees it as its `StorePort`.
 */
import type { Executor } from '../../partitions/executor.js';
import { type EpochName, isOfEpoch } from '../../partitions/history.js';
import { partitionOfName } from '../../partitions/placement.js';
import type { PartitionReplica } from '../../partitions/replica.js';
import type { CallId, Filling, Trouble } from '../../partitions/service.js';
import type { MapState } from '../../partitions/services/map/state.js';
import type { StoreOptions } from '../../partitions/services/map/store-options.js';
import { type EndedWrites, endedWrites, recover } from '../../partitions/services/map/stored.js';
import { type Item, type Source, WriteBehind } from '../../partitions/services/map/write-behind.js';
import type { Found, StoredEntry, StorePort, WhyNot, WriteProblem } from '../../partitions/store-port.js';
import type { Replication } from '../../replication/replication.js';
import { ConfigError, type GridError } from '../base/errors.js';
import type { Clock, Logger } from '../base/ports.js';
import { DRIFT_MARGIN } from '../cluster/lease.js';
import type { StructureRow } from '../cluster/view.js';
import { lackOf } from '../config/map-stores.js';
import { optionsFor, servedOptions } from '../config/rows.js';
import type { MapStore } from '../mapstore/map-store.js';
import { keyOrBytes } from '../wire/keys.js';
import type { ValueCodec } from '../wire/values.js';
import { FillJobs, type FillSender } from './fill-jobs.js';
import { type HeldMap, LastWrites } from './last-writes.js';
import { isProblem, type MapOfStore, OpenStores, type StoreOrFactory } from './open-stores.js';
import type { StoreFailure } from './store-failure.js';
import { StoreRunner } from './store-runner.js';

/** Number of the map among structures. */
const MAP_ID = 1;
/** What a former primary has told a store is over so long after its deadline. */
const SLACK_MS = 500;

/** Faults for tests that show the checkers' power; never set otherwise. */
export interface StoreFaults {
  /** What a former primary may still be writing is overtaken. */
  readonly storeOvertakes?: boolean;
  /** A fork writes to stores as the majority does. */
  readonly storeWritesInFork?: boolean;
  /** What was owed before a takeover is never written. */
  readonly storeForgets?: boolean;
  /** What a store gave is put although the key was written meanwhile. */
  readonly storeLoadsOverNewer?: boolean;
}

export interface MapStoresHost {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly codec: ValueCodec;
  readonly partitionCount: number;
  readonly executor: () => Executor;
  readonly replication: () => Replication;
  readonly rows: () => readonly StructureRow[];
  readonly isInFork: () => boolean;
  readonly holdsLease: () => boolean;
  /** Sends operations to wherever they belong. */
  readonly sender: () => FillSender;
  readonly failed: (failure: StoreFailure) => void;
  readonly faults: StoreFaults;
}

export class MapStores implements StorePort {
  readonly #host: MapStoresHost;
  readonly #open: OpenStores;
  /** Writes that are owed by this member as primary, by map, as far as the last tick has seen. */
  readonly #owed = new Map<string, number>();
  /** Maps with writes under way in the store that somebody may have to end, as far as the last tick has seen. */
  readonly #recovering = new Set<string>();
  readonly #jobs: FillJobs;
  /** What stores get before the member ends, when nobody else would tell them. */
  readonly last: LastWrites;
  #stopped = false;

  constructor(host: MapStoresHost) {
    this.#host = host;
    this.#jobs = new FillJobs(host);
    this.#open = new OpenStores({
      clock: host.clock,
      logger: host.logger,
      isNeeded: (map) => this.#isNeeded(map),
      build: (name, options, store) => this.#build(name, options, store),
    });
    this.last = new LastWrites({
      clock: host.clock,
      logger: host.logger,
      held: () => this.#held(),
      isLed: (partition) => host.replication().refusal(partition, true) === null,
      open: (map) => this.#map(map),
      isBarred: (options) => host.isInFork() && !options.writeInFork,
    });
  }

  /** Throws a `TypeError` for a name that is taken, and for what is no store. */
  register(name: string, store: StoreOrFactory): void {
    this.#open.register(name, store);
  }

  get registered(): ReadonlyMap<string, StoreOrFactory> {
    return this.#open.registered;
  }

  /**
   * Why this member cannot be in a cluster with these rows: stores that are not registered here, or that lack a method;
   * or null.
   */
  lacking(rows: readonly StructureRow[]): GridError | null {
    const { stores } = usesOf(rows);
    const names = [...this.registered.keys()];
    const missing = stores.filter(({ name }) => !names.includes(name));
    if (missing.length === 0) return lackingMethod(stores, this.registered);
    const known = names.length === 0 ? 'none is' : `registered here: ${names.join(', ')}`;
    const which = [...new Set(missing.map(({ name }) => JSON.stringify(name)))].join(', ');
    return new ConfigError(
      '',
      `maps of the cluster need stores that are not registered here: ${which}; ${known}`,
    );
  }

  /** Some map has a store. */
  get areUsed(): boolean {
    return usesStores(this.#host.rows());
  }

  /** The store of a map, or why there is none. */
  #map(name: string): MapOfStore | WhyNot {
    const { store: options } = optionsFor('map', name, this.#host.rows());
    return options === undefined ? NO_STORE : this.#open.get(name, options);
  }

  #build(name: string, options: StoreOptions, store: MapStore): MapOfStore {
    const { clock, logger, codec } = this.#host;
    const { concurrency, timeoutMs, batchSize } = options;
    const runner = new StoreRunner({
      map: name,
      name: options.name,
      store,
      clock,
      logger,
      codec,
      concurrency,
      timeoutMs,
      batchSize,
    });
    const behind = new WriteBehind(
      {
        now: () => clock.now(),
        sources: () => this.#sources(name, options),
        tell: (items, done) => runner.write(items, done),
        stored: (items) => this.#guarded(name, () => this.#stored(name, items)),
        setAside: (item, attempts, message) =>
          this.#guarded(name, () => this.#setAside(name, item, attempts, message)),
      },
      // A map that is written through owes only what merges and lost primaries leave.
      options.mode === 'write-behind' ? options : { ...options, delayMs: 0 },
    );
    return { name, options, store, runner, behind };
  }

  // --- for the executor

  get loadsOverNewer(): boolean {
    return this.#host.faults.storeLoadsOverNewer === true;
  }

  load(structure: string, keys: readonly Uint8Array[], done: (found: readonly Found[]) => void): void {
    const map = this.#map(structure);
    if (!isProblem(map)) map.runner.load(keys, done);
    else this.#host.clock.defer(() => done(keys.map(() => ({ error: map.message }))));
  }

  write(
    structure: string,
    entries: readonly StoredEntry[],
    done: (problem: WriteProblem | null) => void,
  ): void {
    const map = this.#map(structure);
    if (!isProblem(map)) map.runner.write(entries, done);
    else this.#host.clock.defer(() => done({ refused: true, message: map.message }));
  }

  whyNone(structure: string): WhyNot | null {
    const map = this.#map(structure);
    return isProblem(map) ? map : null;
  }

  whyNot(structure: string): WhyNot | null {
    const map = this.#map(structure);
    return isProblem(map) ? map : this.#mayNotWrite(map.options);
  }

  #mayNotWrite({ writeInFork }: StoreOptions): WhyNot | null {
    const { isInFork, holdsLease, faults } = this.#host;
    if (writeInFork || faults.storeWritesInFork === true) return null;
    if (isInFork()) return { error: 'StoreFailed', message: IN_FORK };
    return holdsLease() ? null : { error: 'NoLease', message: NO_LEASE };
  }

  whyNoRoom(structure: string, writes: number): WhyNot | null {
    const map = this.#map(structure);
    if (isProblem(map)) return map;
    if (this.last.isOn) return ENDING;
    const { maxPending } = map.options;
    const owed = this.#owed.get(structure) ?? 0;
    if (writes > maxPending) return { error: 'StoreFailed', message: tooMany(writes, maxPending) };
    if (writes > 0 && owed + writes > maxPending) return NO_ROOM;
    // Whoever asks writes: it counts until the next tick looks.
    this.#owed.set(structure, owed + writes);
    return null;
  }

  isInFlight(structure: string, partition: number, key: Uint8Array): boolean {
    return this.#open.peek(structure)?.behind.isInFlight(partition, key) === true;
  }

  flush(structure: string, partition: number, upToSeq: number, isFirst: boolean): void {
    this.#open.peek(structure)?.behind.flush(partition, upToSeq, isFirst);
  }

  hurry(structure: string, partition: number): void {
    this.#open.peek(structure)?.behind.hurry(partition);
  }

  fill(structure: string, job: string, replaces: boolean): Filling | WhyNot {
    const map = this.#map(structure);
    return isProblem(map) ? map : this.#jobs.ask(map, job, replaces);
  }

  troubles(structure: string, partition: number): readonly Trouble[] {
    const all = this.#open.peek(structure)?.behind.troubles ?? [];
    return all.filter((trouble) => trouble.partition === partition);
  }

  // --- what this member does by itself

  /** Writes what is due, and ends what former primaries left. */
  tick(): void {
    if (this.#stopped || !usesStores(this.#host.rows())) return;
    this.#owed.clear();
    this.#recovering.clear();
    for (const [name, replica, state] of this.#led()) {
      const { intents, pending } = state.owed;
      if (intents.activeCount > 0) {
        this.#recovering.add(name);
        this.#recover(name, replica);
      }
      if (pending.count > 0) this.#owed.set(name, (this.#owed.get(name) ?? 0) + pending.count);
    }
    for (const name of this.#owed.keys()) this.#map(name);
    this.last.tick();
    for (const map of this.#open.all) if (this.#owes(map)) map.behind.tick();
    this.#jobs.tick();
    this.#open.tick();
    this.#fillEagerly();
  }

  #isNeeded(map: MapOfStore): boolean {
    const { name, runner } = map;
    return this.#owes(map) || this.#recovering.has(name) || !runner.isIdle || this.#jobs.isAtWork(name);
  }

  #owes({ name, behind }: MapOfStore): boolean {
    return this.#owed.has(name) || !behind.isIdle;
  }

  /** The maps with a store in the partitions that this member leads. */
  *#led(): Generator<[string, PartitionReplica, MapState]> {
    const replication = this.#host.replication();
    for (let partition = 0; partition < this.#host.partitionCount; partition++) {
      if (replication.refusal(partition, true) !== null) continue;
      const replica = replication.replica(partition);
      for (const [name, state] of replica.statesOf(MAP_ID) ?? []) {
        if (optionsFor('map', name, this.#host.rows()).store !== undefined)
          yield [name, replica, state as MapState];
      }
    }
  }

  /** The maps with a store in all that this member holds, also as a backup. */
  *#held(): Generator<HeldMap> {
    if (!usesStores(this.#host.rows())) return;
    for (const replica of this.#host.replication().holdings.all()) {
      if (!replica.complete) continue;
      for (const [name, state] of replica.statesOf(MAP_ID) ?? []) {
        const { store: options } = optionsFor('map', name, this.#host.rows());
        const { pending } = (state as MapState).owed;
        if (options === undefined || pending.count === 0) continue;
        const [oldest] = pending.all();
        const isHeld = oldest !== undefined && oldest.sinceSeq <= heldSeq(replica);
        const heldUntilMs = isHeld ? this.#heldUntilMs(replica, heldMs(options)) : 0;
        yield { name, options, replica, pending, heldUntilMs };
      }
    }
  }

  *#sources(name: string, options: StoreOptions): Generator<Source> {
    if (this.#mayNotWrite(options) !== null) return;
    const { executor, rows, partitionCount } = this.#host;
    const replication = this.#host.replication();
    const { outside } = executor();
    const { sync } = servedOptions('map', name, rows()).backups;
    const timeoutMs = heldMs(options);
    for (let partition = 0; partition < partitionCount; partition++) {
      if (replication.refusal(partition, true) !== null) continue;
      const replica = replication.replica(partition);
      const state = replica.find(MAP_ID, name) as MapState | undefined;
      if (state === undefined || state.owed.pending.count === 0) continue;
      const place = { replica, serviceId: MAP_ID, structure: name };
      yield {
        partition: replica.id,
        epoch: replica.history.at(-1) as EpochName,
        pending: state.owed.pending,
        seq: replica.seq,
        committedSeq: sync === 0 ? replica.seq : replication.committed(replica.id, sync),
        heldSeq: heldSeq(replica),
        heldUntilMs: this.#heldUntilMs(replica, timeoutMs),
        isBusy: (key) => state.owed.isBusy(key) || outside.isTold(place, key),
      };
    }
  }

  /** How long what a former primary may still be writing is left alone. */
  #heldUntilMs({ ledSinceMs }: PartitionReplica, timeoutMs: number): number {
    const { storeForgets, storeOvertakes } = this.#host.faults;
    if (storeForgets === true) return Number.POSITIVE_INFINITY;
    return storeOvertakes === true ? 0 : ledSinceMs + timeoutMs;
  }

  /** The partition, while this member leads the epoch in which the items were owed. */
  #place(item: Item): PartitionReplica | null {
    const replication = this.#host.replication();
    if (replication.refusal(item.partition, true) !== null) return null;
    const replica = replication.replica(item.partition);
    return isOfEpoch(replica, item.epoch) ? replica : null;
  }

  /** One write that cannot be recorded must not keep others from it. */
  #guarded(map: string, record: () => void): void {
    try {
      record();
    } catch (error) {
      this.#host.logger.log('error', 'what became of a write could not be recorded', { map, error });
    }
  }

  #stored(name: string, items: readonly Item[]): void {
    const [first] = items;
    const replica = first === undefined ? null : this.#place(first);
    if (replica === null) return;
    const { positions, outside } = this.#host.executor();
    positions.amend(replica, MAP_ID, name, (state, context) =>
      (state as MapState).owed.stored(items, context),
    );
    for (const { key } of items) outside.freed({ replica, serviceId: MAP_ID, structure: name }, key);
  }

  #setAside(name: string, item: Item, attempts: number, message: string): void {
    const replica = this.#place(item);
    if (replica === null) return;
    const { positions, outside } = this.#host.executor();
    positions.amend(replica, MAP_ID, name, (state, context) => {
      const { owed } = state as MapState;
      const known = owed.pending.find(item.key);
      const write = known?.writes.find(({ seq }) => seq === item.seq);
      if (known === undefined || write === undefined) return;
      const failure = { attempts, message, atMs: Math.floor(context.wallMs) };
      // A value that was overwritten since is given up; stored later it would take the new one back.
      if (known.writes.length > 1) owed.stored([item], context);
      else owed.put([{ ...known, failure }], [], context);
    });
    outside.freed({ replica, serviceId: MAP_ID, structure: name }, item.key);
    const failure = { map: name, key: keyOrBytes(item.key), attempts, message };
    this.#host.logger.log('error', 'a write was set aside because the store refuses it', failure);
    this.#host.failed(failure);
  }

  /** What a former primary was telling the store is over by now, and the store gets what the grid has. */
  #recover(name: string, replica: PartitionReplica): void {
    const { store: options } = optionsFor('map', name, this.#host.rows());
    if (options === undefined || this.#mayNotWrite(options) !== null) return;
    const executor = this.#host.executor();
    const { positions, outside } = executor;
    const place = { replica, serviceId: MAP_ID, structure: name };
    let ended: EndedWrites = { keys: [], unknown: [], inherited: [] };
    positions.amend(replica, MAP_ID, name, (state, context) => {
      const isInProgress = (key: Uint8Array) => outside.isTold(place, key);
      const isWaiting = (call: CallId) => outside.isWaiting(call);
      ended = endedWrites(state as MapState, isInProgress, isWaiting, context);
    });
    const { keys, unknown, inherited } = ended;
    // Before the marks go: a crash between the two leaves marks that end once more.
    for (const call of unknown) executor.giveUp(replica, MAP_ID, name, call);
    positions.amend(replica, MAP_ID, name, (state, context) => recover(state as MapState, keys, context));
    for (const key of keys) outside.freed(place, key);
    for (const call of inherited) outside.goOn(call);
  }

  #fillEagerly(): void {
    const { executor, replication, partitionCount, rows } = this.#host;
    for (const name of eagerMaps(rows())) {
      const partition = partitionOfName(name, partitionCount);
      if (replication().refusal(partition, true) !== null) continue;
      const replica = replication().replica(partition);
      const state = replica.find(MAP_ID, name) as MapState | undefined;
      if (state?.owed.isFilled === true) continue;
      const map = this.#map(name);
      if (isProblem(map)) continue;
      this.#jobs.eagerly(map, () => {
        if (replication().refusal(partition, true) !== null) return;
        executor().positions.amend(replica, MAP_ID, name, (into, context) =>
          (into as MapState).owed.filled(context),
        );
      });
    }
  }

  /** Ends the stores that were made here. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#jobs.stop();
    await this.#open.stop();
  }
}

const IN_FORK = 'this side of a split has no majority, and does not write to the store (option writeInFork)';
const NO_LEASE = 'the member cannot prove at this moment that it belongs to the majority';
const NO_STORE: WhyNot = { error: 'StoreFailed', message: 'the map has no store' };
const NO_ROOM: WhyNot = {
  error: 'StoreOverload',
  message: 'it lacks as many writes as maxPending allows',
};
const ENDING: WhyNot = {
  error: 'StoreOverload',
  message: 'the member shuts down, and takes no write that the store would get later',
};

/** What was owed by then may be on its way from a former primary. */
function heldSeq({ history }: PartitionReplica): number {
  return history.at(-1)?.start ?? 0;
}

function heldMs({ timeoutMs }: StoreOptions): number {
  return timeoutMs * DRIFT_MARGIN + SLACK_MS;
}

function tooMany(writes: number, maxPending: number): string {
  return `the call brings ${writes} writes of one partition at once, and maxPending is ${maxPending}`;
}

function lackingMethod(
  stores: readonly StoreOptions[],
  registered: ReadonlyMap<string, StoreOrFactory>,
): GridError | null {
  for (const options of stores) {
    const store = registered.get(options.name);
    const lack = typeof store === 'function' ? null : lackOf(store, options);
    if (lack === null) continue;
    const name = JSON.stringify(options.name);
    return new ConfigError('', `maps of the cluster need the store ${name}; here it has ${lack}`);
  }
  return null;
}

interface Uses {
  readonly stores: readonly StoreOptions[];
  /** Names of maps that are loaded at the start. */
  readonly eager: readonly string[];
}

const USES = new WeakMap<readonly StructureRow[], Uses>();

function usesOf(rows: readonly StructureRow[]): Uses {
  let uses = USES.get(rows);
  if (uses === undefined) {
    const found = rows
      .filter(({ service }) => service === 'map')
      .flatMap(({ pattern, options }) => {
        const { store } = JSON.parse(options) as { readonly store?: StoreOptions };
        return store === undefined ? [] : [{ pattern, store }];
      });
    uses = {
      stores: found.map(({ store }) => store),
      eager: found.filter(({ store }) => store.initialLoad === 'eager').map(({ pattern }) => pattern),
    };
    USES.set(rows, uses);
  }
  return uses;
}

function usesStores(rows: readonly StructureRow[]): boolean {
  return usesOf(rows).stores.length > 0;
}

function eagerMaps(rows: readonly StructureRow[]): readonly string[] {
  return usesOf(rows).eager;
}
