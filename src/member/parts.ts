/** Builds the parts of a member that need many arguments. Called by the composition root. */
import { Calls } from '../../client/core/calls.js';
import type { Routes } from '../../client/core/routes.js';
import type { Changed } from '../../partitions/append-entry.js';
import { catalogService } from '../../partitions/catalog/service.js';
import { Executor } from '../../partitions/executor.js';
import type { ExecutorOptions } from '../../partitions/executor-options.js';
import type { MergeFaults } from '../../partitions/merge-journal/merger.js';
import { mergeJournalService } from '../../partitions/merge-journal/service.js';
import { MergeFunctions } from '../../partitions/merge-policies.js';
import type { NearValues } from '../../partitions/near.js';
import type { StructureFaults } from '../../partitions/service.js';
import { SERVICES } from '../../partitions/services/index.js';
import { MAP_OPERATIONS } from '../../partitions/services/map/ops.js';
import type { StorePort } from '../../partitions/store-port.js';
import { UserFunctions } from '../../partitions/user-functions.js';
import type { ReplicationFaults } from '../../replication/host.js';
import type { Replication } from '../../replication/replication.js';
import type { Events } from '../base/events.js';
import type { HybridClock } from '../base/hlc.js';
import type { Ports } from '../base/ports.js';
import type { LineageFaults, Lineages } from '../cluster/lineages.js';
import type { MemberId, StructureRow, View } from '../cluster/view.js';
import { nearCacheFor } from '../config/near-caches.js';
import { optionsFor, servedOptions } from '../config/rows.js';
import type { MemberConfig } from '../config.js';
import type { Peers } from '../wire/peers.js';
import { ValueCodec } from '../wire/values.js';
import type { Admission, AdmissionFaults } from './admission.js';
import { Discovery } from './discovery.js';
import type { NodeEvents } from './events.js';
import { MapStores, type StoreFaults } from './map-stores.js';
import { journalOptions } from './merges.js';
import { NearSide, type NearSideFaults, type NearSideHost } from './near-side.js';
import type { Seeking } from './seeking.js';
import { LEAST_PATIENCE_MS } from './timers.js';
import type { ToggleFaults } from './toggles.js';

/** Calls of the embedded API, as those of a client with its defaults. */
const TIMEOUT_MS = 10_000;
const MAX_IN_FLIGHT_CALLS = 65_536;
/** Of one batch of a map that is filled from its store, which may be slow. */
const LOAD_TIMEOUT_MS = 60_000;

/** Faults for tests that show the checkers' power; never set otherwise. */
export interface NodeFaults
  extends ReplicationFaults,
    MergeFaults,
    StructureFaults,
    AdmissionFaults,
    LineageFaults,
    NearSideFaults,
    StoreFaults,
    ToggleFaults {
  /** A partition is given up while its holders are only cut off. */
  readonly goneWhileCut?: boolean;
  /** Versions are wall-clock times. */
  readonly wallClockVersions?: boolean;
  readonly readsDoNotWait?: boolean;
  /** Reads leave nothing to do about what they met. */
  readonly usesUntold?: boolean;
  /** Primaries do nothing for their entries by themselves. */
  readonly neverSwept?: boolean;
}

export interface ExecutorParts {
  readonly id: MemberId;
  readonly config: MemberConfig;
  readonly ports: Ports;
  readonly hlc: HybridClock;
  readonly replication: Replication;
  /** The view's configuration, or this member's own before it is in a view. */
  readonly rows: () => readonly StructureRow[];
  readonly gate: Admission;
  readonly isInFork: () => boolean;
  readonly changed: Changed;
  readonly stores: StorePort;
  readonly crowded: NonNullable<ExecutorOptions['crowded']>;
  readonly faults: NodeFaults;
}

export function buildExecutor({
  id,
  config,
  ports,
  hlc,
  replication,
  rows,
  gate,
  isInFork,
  changed,
  stores,
  crowded,
  faults,
}: ExecutorParts): Executor {
  const services = SERVICES.map((module) => module.service);
  // One for all that this member decodes, so that a serializer which is registered serves all of it.
  const codec = new ValueCodec();
  const { clock, logger } = ports;
  return new Executor(services, replication, {
    clock,
    logger,
    gate,
    hlc,
    mergeFunctions: new MergeFunctions(codec),
    functions: new UserFunctions({ codec, clock, logger }),
    memberHi: Number.parseInt(id.slice(0, 8), 16),
    memberLo: Number.parseInt(id.slice(9, 13) + id.slice(14, 18), 16),
    sessionTtlMs: config.sessionTtlMs,
    optionsFor: (service, name, caller) => {
      const isOurs = service === mergeJournalService || service === catalogService;
      const options = isOurs ? journalOptions(rows()) : servedOptions(service.name, name, rows());
      return caller === undefined ? options : gate.asKnown(options, caller);
    },
    mergeFaults: faults,
    structureFaults: faults,
    isInFork,
    changed,
    stores,
    crowded,
    expired: (count) => {
      replication.counters.expirations += count;
    },
    partitionCount: config.partitionCount,
    mergeReportBytes: Math.floor(config.mergeReportMaxBytes / config.partitionCount),
    ...(faults.usesUntold === undefined ? {} : { usesUntold: faults.usesUntold }),
    ...(faults.readsDoNotWait === undefined ? {} : { readsDoNotWait: faults.readsDoNotWait }),
  });
}

/** `routes` gets a way to the calls themselves, for answers that come in the same turn. */
export function buildCalls(
  ports: Ports,
  codec: ValueCodec,
  nearCache: (map: string) => NearValues | null,
  routes: (calls: () => Calls) => Routes,
): Calls {
  const { clock, random } = ports;
  const limits = { timeoutMs: TIMEOUT_MS, maxInFlightCalls: MAX_IN_FLIGHT_CALLS };
  const calls: Calls = new Calls({ clock, random, codec, nearCache, ...limits, routes: routes(() => calls) });
  return calls;
}

/** The parts of the member that its stores look at; some are built later. */
export interface StoreParts {
  readonly config: MemberConfig;
  readonly ports: Ports;
  readonly executor: Executor;
  readonly replication: Replication;
  readonly calls: Calls;
  readonly membership: Lineages;
  readonly events: Events<NodeEvents>;
}

export function buildStores(
  member: StoreParts,
  rows: () => readonly StructureRow[],
  faults: NodeFaults,
): MapStores {
  const { clock, logger } = member.ports;
  const loadKeys = (map: string, partition: number, keys: readonly Uint8Array[], evicts: boolean) => {
    const options = { isStrict: true, timeoutMs: LOAD_TIMEOUT_MS };
    const request = { keys: [...keys], evicts };
    return member.calls.invoke(
      MAP_OPERATIONS.loadKeys,
      partition,
      map,
      request,
      options,
      ({ loaded }) => loaded,
    );
  };
  return new MapStores({
    clock,
    logger,
    get codec() {
      return member.executor.functions.codec;
    },
    partitionCount: member.config.partitionCount,
    executor: () => member.executor,
    replication: () => member.replication,
    rows,
    isInFork: () => member.membership.isInFork,
    holdsLease: () => member.membership.lease.holds(clock.now()),
    sender: () => ({ loadKeys }),
    failed: (failure) => member.events.emit('storeFailed', failure),
    faults,
  });
}

export interface NearParts extends Pick<NearSideHost, 'self' | 'where' | 'linkTo' | 'faults'> {
  /** The member so far. */
  readonly of: {
    readonly config: MemberConfig;
    readonly ports: Ports;
    readonly calls: Calls;
    readonly replication: Replication;
    readonly executor: Executor;
    readonly admission: Admission;
  };
  readonly view: () => View | null;
  readonly rows: () => readonly StructureRow[];
}

export function buildNear({ of, view, rows, ...host }: NearParts): NearSide {
  const { config, ports, calls, replication, executor, admission } = of;
  const listening = {
    ...host,
    ports,
    replication,
    executor,
    admission,
    optionsOf: (service: string, structure: string) => servedOptions(service, structure, rows()),
    client: calls.client,
    timeoutMs: TIMEOUT_MS,
  };
  const near = {
    ...host,
    clock: ports.clock,
    logger: ports.logger,
    view,
    vouch: (partition: number) => replication.vouch(partition),
    nearOptions: (map: string) => nearCacheFor(map, config.nearCaches),
    mapOptions: (map: string) => optionsFor('map', map, rows()),
    decode: (bytes: Uint8Array) => calls.codec.decode(bytes),
    seen: calls.seen,
  };
  const side = new NearSide(near, listening);
  calls.listening = side.listening.subscriber;
  return side;
}

export interface DiscoveryParts {
  readonly id: MemberId;
  readonly address: string;
  readonly config: MemberConfig;
  readonly peers: Peers;
  readonly seeking: Seeking;
  readonly membership: Lineages;
  readonly found: () => void;
}

export function buildDiscovery(parts: DiscoveryParts): Discovery {
  const { id, address, config, peers, seeking, membership, found } = parts;
  const patienceMs = Math.max(2 * config.timings.heartbeatMs, LEAST_PATIENCE_MS);
  return new Discovery({ id, address }, config.join, patienceMs, {
    problem: (at) => peers.problem(at),
    idAt: (at) => peers.idAt(at),
    isConnected: (at) => peers.isConnected(at),
    seek: (seeker) => seeking.ask(seeker),
    askToJoin: (view) => membership.askToJoin(view),
    greet: (ids) => membership.greet(ids),
    found,
  });
}
