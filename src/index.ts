/**
 * The door of the package: `startMember` runs a member in this process, `connect` a client. No logic here.
 */

import { checkMapStores } from './config/map-stores.js';
import { checkMergePolicies } from './config/merge-policy.js';
import { loadModules } from './config/modules.js';
import { type MemberOptions, memberConfig } from './config.js';
import { Member } from './member/member.js';
import { ModuleRegistry, type Register } from './member/registry.js';
import { KeyFiles } from './platform/key-files.js';
import { createPinoLogger } from './platform/pino-logger.js';
import { SystemClock } from './platform/system-clock.js';
import { SystemRandom } from './platform/system-random.js';
import { WsTransport } from './platform/ws-transport.js';

/**
 * Starts a member and resolves when it is in a cluster: in the one that answers at a `join` address, or in one that
 * it founds. Rejects with a `ConfigError`, a `PortInUseError`, or a `HandshakeRefusedError` when the cluster does
 * not take it. `register` is called like the default export of a module, after all of them.
 */
export async function startMember(
  options: MemberOptions = {},
  register: Register = () => {},
): Promise<Member> {
  const config = memberConfig(options);
  const logger = createPinoLogger({ level: config.logLevel });
  const transport = new WsTransport({ logger, maxConnections: config.limits.maxConnections });
  const member = new Member(config, {
    clock: new SystemClock(),
    random: new SystemRandom(),
    transport,
    logger,
  });
  const { merger, functions } = member.node.executor;
  const registry = new ModuleRegistry(merger.functions, functions, member.node.stores);
  await member.start(async () => {
    await loadModules(config.modules, registry);
    await register(registry);
    checkMergePolicies(config, registry.mergePolicyNames);
    checkMapStores(config, registry.mapStores);
  });
  member.preload(new KeyFiles());
  try {
    await registry.started(member);
  } catch (error) {
    await member.shutdown();
    throw error;
  }
  return member;
}

export { Client } from '../client/api.js';
export type { ClientEvents, ClientState } from '../client/client.js';
export type { DistributedObject } from '../client/core/distributed-objects.js';
export type { Grid } from '../client/core/grid.js';
export type { MergeCounts, MergeEntry, MergeReport } from '../client/core/merge-reports.js';
export { connect } from '../client/index.js';
export type { EventKind } from '../partitions/events/event.js';
export type { GapReason } from '../partitions/events/listening.js';
export type { CallOptions } from '../partitions/invoker.js';
export type { MergeConflict, MergeFunction } from '../partitions/merge-policies.js';
export type { NearCacheStatistics } from '../partitions/near.js';
export { type Aggregator, Aggregators } from '../partitions/query/aggregators.js';
export type { IndexConfig, IndexType } from '../partitions/query/index-definition.js';
export { type OrderBy, PagingPredicate } from '../partitions/query/paging.js';
export type { Predicate } from '../partitions/query/predicate.js';
export { Predicates } from '../partitions/query/predicates.js';
export { type Projection, Projections } from '../partitions/query/projections.js';
export type { Scalar } from '../partitions/query/scalars.js';
export { GridAtomicLong } from '../partitions/services/atomiclong/proxy.js';
export type { EntryVersion, EntryView } from '../partitions/services/map/entry-view.js';
export { GridMap } from '../partitions/services/map/proxy.js';
export type { LoadContext, Loader } from '../partitions/services/map/proxy-flight.js';
export type { LoadOptions } from '../partitions/services/map/proxy-load.js';
export type { ProcessorWish } from '../partitions/services/map/proxy-process.js';
export type { QueryExplanation } from '../partitions/services/map/proxy-query.js';
export type { StoreStatus } from '../partitions/services/map/proxy-store.js';
export { GridMultiMap } from '../partitions/services/multimap/proxy.js';
export type {
  EntryEvents,
  EventsOptions,
  MapEventsOptions,
  MultiMapEvents,
  MultiMapStreamEvent,
  StreamEvent,
} from '../partitions/services/proxy-events.js';
export type {
  EntryEvent,
  EntryListener,
  EventPosition,
  GapEvent,
  MapEvent,
  MultiMapListener,
} from '../partitions/services/proxy-listeners.js';
export { GridQueue } from '../partitions/services/queue/proxy.js';
export type { ItemEvent, ItemListener } from '../partitions/services/queue/proxy-items.js';
export { GridTopic } from '../partitions/services/topic/proxy.js';
export type {
  Message,
  MessageListener,
  MessagesOptions,
  TopicEvent,
  TopicMessages,
} from '../partitions/services/topic/proxy-messages.js';
export type { EntryProcessor, LongFunction, ProcessorEntry } from '../partitions/user-functions.js';
export * from './base/errors.js';
export type { ClientOptions } from './config/client.js';
export type { RowPreset } from './config/toggle.js';
export type {
  ConsistencyChange,
  ConsistencyTarget,
  SetConsistencyOptions,
} from './config/toggle-request.js';
export type { MemberOptions } from './config.js';
export {
  type LoadedEntries,
  type MapStore,
  type StoreCall,
  StoreRefusedError,
} from './mapstore/map-store.js';
export { Member, type MemberEvents } from './member/member.js';
export type { StoreOrFactory } from './member/open-stores.js';
export { ModuleRegistry, type Register } from './member/registry.js';
export type { StoreFailure } from './member/store-failure.js';
export type { AdminCommand, AdminReply } from './policy/admin.js';
export type { PresetName } from './policy/presets.js';
export type { GridStatus } from './policy/status.js';
export { AffinityKey, withAffinity } from './wire/keys.js';
export type { Serializer } from './wire/values.js';
