/**
 * What proxies ask for to be told of changes: the process's own side of listeners. Implemented by
 * `listeners/subscriber.ts`; proxies know only this.
 */
import type { GridError } from '../../src/base/errors.js';
import type { Predicate } from '../query/predicate.js';
import type { ChangeEvent, EventPlace } from './event.js';

/**
 * Why changes of a partition may have been missed. `overflow`: the listener, or who carries its events, was too slow, or
 * was away for too long. `moved`: the partition came to a member that had not kept its events. `lost`: positions that had
 * been told of died with a primary. `lineage`: the listener goes on in another lineage, on a side of a split or back from
 * it; of topics also: the messages of another side of a split were told there. `unreadable`: an event whose key or value this
 * process cannot decode, for example because another one wrote it with a serializer.
 */
export const GAP_REASONS = ['overflow', 'moved', 'lost', 'lineage', 'unreadable'] as const;
export type GapReason = (typeof GAP_REASONS)[number];

/** An event as a member told it; bytes are views, valid during the call only. */
export interface ToldEvent extends ChangeEvent {
  readonly partition: number;
  readonly lineage: number;
  readonly epoch: number;
  /** Id of the member that told it. */
  readonly member: string;
}

export interface ListenRequest {
  readonly serviceId: number;
  readonly structure: string;
  /** Bit i for event kind i. */
  readonly kinds: number;
  readonly withValue: boolean;
  /** Only events of this key. */
  readonly key: Uint8Array | null;
  /** Only of entries that match, by what they become and were: see `listeners/filter.ts`. */
  readonly predicate: Predicate | null;
  /** Only those of one partition, of so many; null: of all. */
  readonly partitionOf: ((partitionCount: number) => number) | null;
  /** By partition, where to go on; null: with what changes from now on. */
  readonly from: ReadonlyMap<number, EventPlace> | null;
  readonly timeoutMs: number | undefined;
  /** What these throw is logged, also what a promise fails with that they give. */
  event(event: ToldEvent): unknown;
  gap(partition: number, reason: GapReason): unknown;
  /** All of a partition up to here has been told. */
  reached(partition: number, place: EventPlace): void;
  /** Once: what changes from now on is told, or an error says why not. */
  settled(error: GridError | null): void;
  /** This process is told of nothing any more: its client or member was shut down. */
  ended?(): void;
}

export interface Listening {
  /** The id of the listener. */
  listen(request: ListenRequest): string;
  /** False when there is no such listener. */
  remove(id: string): boolean;
}
