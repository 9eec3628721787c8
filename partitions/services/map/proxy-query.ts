/**
 * Queries of one map from the caller's side: asks all partitions step by step, with bounded concurrency, and puts together what
 * they answer. Invariants: the caller holds no more than what it gives back, for a page of a query twice the page; a wrong
 * argument rejects before anything is sent. No snapshot: each step is of its own moment. Called by the proxy of the map.
 */

import { decodeKey } from '../../../src/wire/keys.js';
import type { ReplyOf } from '../../../src/wire/message.js';
import { ValueCodec } from '../../../src/wire/values.js';
import {
  type Accumulator,
  type Aggregator,
  accumulatorOf,
  checkedAggregator,
} from '../../query/aggregators.js';
import { checkedIndex, type IndexConfig } from '../../query/index-definition.js';
import { First } from '../../query/order.js';
import { type Anchor, PagingPredicate } from '../../query/paging.js';
import { ALWAYS_TRUE, checkedPredicate, type Predicate } from '../../query/predicate.js';
import { checkedProjection, type Projection } from '../../query/projections.js';
import { whereText } from '../../query/where-text.js';
import type { KeyedRequests } from '../proxy-requests.js';
import { QUERY_OPERATIONS as ops } from './query-ops.js';

const PAGE_BYTES = 256 * 1024;
/** Partitions that are asked at a time, at first and while answers are cheap. */
const CONCURRENCY = 16;
const MAX_CONCURRENCY = 128;
/** Entries that a partition looked at. */
const CHEAP = 32;
/** Members answer what they make themselves without a serializer of users. */
const plain = new ValueCodec();

/** What a query cost. */
export interface QueryExplanation {
  /** The predicate as text. */
  readonly where: string;
  /** Entries that matched. */
  readonly matched: number;
  /** Entries that the predicate was asked about, on all members together. */
  readonly visited: number;
  readonly partitions: number;
  /** By name of the index: in how many partitions it was used; `''` stands for going through all entries. */
  readonly used: Readonly<Record<string, number>>;
}

interface Told {
  readonly next: number;
  readonly visited: number;
  readonly matched: number;
  readonly index: string;
}

type What = 'keys' | 'values' | 'entries';
type Placed = Anchor & { readonly value: Uint8Array | null };

export class MapQueries<K, V> {
  /** With a deadline for the whole call. */
  readonly #requests: KeyedRequests<K, V>;

  constructor(requests: KeyedRequests<K, V>) {
    this.#requests = requests.whole();
  }

  keys(given: Predicate | PagingPredicate): Promise<K[]> {
    return this.#collect(given, 'keys', (key) => decodeKey(key as Uint8Array) as K);
  }

  values(given: Predicate | PagingPredicate): Promise<V[]> {
    return this.#collect(given, 'values', (_key, value) => this.#requests.decode(value as Uint8Array));
  }

  entries(given: Predicate | PagingPredicate): Promise<[K, V][]> {
    return this.#collect(given, 'entries', (key, value) => [
      decodeKey(key as Uint8Array) as K,
      this.#requests.decode(value as Uint8Array),
    ]);
  }

  #collect<T>(
    given: Predicate | PagingPredicate,
    what: What,
    itemOf: (key: Uint8Array | null, value: Uint8Array | null) => T,
  ): Promise<T[]> {
    return given instanceof PagingPredicate
      ? this.#page(given, what, itemOf)
      : this.#all(checkedPredicate(given), what, itemOf);
  }

  async #all<T>(
    predicate: Predicate,
    what: What,
    itemOf: (key: Uint8Array | null, value: Uint8Array | null) => T,
  ): Promise<T[]> {
    const found: T[] = [];
    await this.#everywhere((partition, cursor) => {
      const request = { predicate, cursor, what, maxBytes: PAGE_BYTES };
      return this.#requests.sendTo(ops.query, partition, request, (reply) => {
        const { keys, values } = reply;
        for (let i = 0; i < Math.max(keys.length, values.length); i++)
          found.push(itemOf(keys[i] ?? null, values[i] ?? null));
        return reply;
      });
    });
    return found;
  }

  /** Pages between the nearest known one and the wanted one are gone through without values. */
  async #page<T>(
    paging: PagingPredicate,
    what: What,
    itemOf: (key: Uint8Array | null, value: Uint8Array | null) => T,
  ): Promise<T[]> {
    const wanted = paging.page;
    let { page, after } = paging.knownBefore(wanted);
    for (; ; page++) {
      const items = await this.#firstBehind(paging, after, page === wanted && what !== 'keys');
      const last = items.at(-1);
      if (last !== undefined) paging.ended(page, { sort: last.sort, key: last.key });
      if (page === wanted) return items.map(({ key, value }) => itemOf(key, value));
      if (items.length < paging.pageSize || last === undefined) return [];
      after = last;
    }
  }

  async #firstBehind(paging: PagingPredicate, after: Anchor | null, withValues: boolean): Promise<Placed[]> {
    const { predicate, pageSize: limit } = paging;
    const { attribute, order } = paging.orderBy;
    const first = new First<Placed>(limit, order);
    await this.#everywhere((partition, cursor) => {
      const before = first.worst;
      const request = { predicate, cursor, attribute, order, after, before, limit };
      const sent = { ...request, withValues: withValues ? ('yes' as const) : ('no' as const) };
      return this.#requests.sendTo(ops.queryPage, partition, sent, (reply) => {
        reply.places.forEach(({ sort, key }, i) => {
          const value = reply.values[i];
          // The reply is a view into a frame.
          first.put({ sort, key: Buffer.from(key), value: value === undefined ? null : Buffer.from(value) });
        });
        first.settle();
        return reply;
      });
    });
    return first.take();
  }

  /** Removes what matches and was there when its partition was asked first. */
  async removeAll(given: Predicate): Promise<void> {
    const predicate = checkedPredicate(given);
    await this.#requests.changing('all', () =>
      this.#requests.everywhere(async (partition) => {
        for (let cursor = 0, upTo = 0; cursor >= 0; ) {
          const reply = await this.#requests.sendTo(
            ops.removeWhere,
            partition,
            { predicate, cursor, upTo },
            (page) => page,
          );
          cursor = reply.next;
          upTo = reply.upTo;
        }
      }),
    );
  }

  async aggregate<R>(given: Aggregator<R>, where: Predicate = ALWAYS_TRUE): Promise<R> {
    const aggregator = checkedAggregator(given);
    const all: Accumulator = accumulatorOf(aggregator.kind);
    await this.#aggregate(aggregator, checkedPredicate(where), (_partition, { partial }) =>
      all.merge(plain.decode(partial)),
    );
    return all.result as R;
  }

  #aggregate(
    { kind, attribute }: Aggregator<unknown>,
    predicate: Predicate,
    take: (partition: number, reply: ReplyOf<typeof ops.aggregate>) => void,
  ): Promise<void> {
    return this.#everywhere((partition, cursor) => {
      const request = { predicate, cursor, aggregator: { kind, attribute } };
      return this.#requests.sendTo(ops.aggregate, partition, request, (reply) => {
        take(partition, reply);
        return reply;
      });
    });
  }

  async project<R>(given: Projection<R>, where: Predicate = ALWAYS_TRUE): Promise<R[]> {
    const { kind, attributes } = checkedProjection(given);
    const predicate = checkedPredicate(where);
    if (kind === 'identity') return this.entries(predicate) as Promise<R[]>;
    const rows: unknown[] = [];
    await this.#everywhere((partition, cursor) => {
      const request = { predicate, cursor, attributes, maxBytes: PAGE_BYTES };
      return this.#requests.sendTo(ops.project, partition, request, (reply) => {
        for (const row of reply.rows) {
          const values = plain.decode(row) as unknown[];
          rows.push(kind === 'singleAttribute' ? values[0] : values);
        }
        return reply;
      });
    });
    return rows as R[];
  }

  /** Adds an index in all partitions, then has it built there. */
  async addIndex(given: IndexConfig): Promise<void> {
    const index = checkedIndex(given);
    const requests = this.#requests;
    await requests.everywhere((partition) =>
      requests.sendTo(ops.setIndex, partition, { index }, () => undefined),
    );
    await requests.everywhere(async (partition) => {
      for (let isBuilt = false; !isBuilt; )
        isBuilt = await requests.sendTo(ops.warmIndex, partition, { index }, (reply) => reply.isBuilt);
    });
  }

  /** Of a map that is destroyed. */
  async dropIndexes(): Promise<void> {
    const requests = this.#requests;
    await requests.everywhere((partition) =>
      requests.sendTo(ops.setIndex, partition, { index: null }, () => undefined),
    );
  }

  /** Runs the query for what it costs; gives nothing of what it finds but how much that is. */
  async explain(given: Predicate): Promise<QueryExplanation> {
    const predicate = checkedPredicate(given);
    let matched = 0;
    let visited = 0;
    const indexOf = new Map<number, string>();
    await this.#aggregate({ kind: 'count', attribute: null }, predicate, (partition, reply) => {
      matched += reply.matched;
      visited += reply.visited;
      indexOf.set(partition, reply.index);
    });
    const used: Record<string, number> = Object.create(null);
    for (const index of indexOf.values()) used[index] = (used[index] ?? 0) + 1;
    return { where: whereText(predicate), matched, visited, partitions: indexOf.size, used: { ...used } };
  }

  /**
   * Asks each partition from its start to its end; `send` resolves with where to go on. More of them at a time while answers
   * cost members little, as with an index: one that goes over all entries keeps a member busy, and many of them would keep it
   * from everything else.
   */
  async #everywhere(send: (partition: number, cursor: number) => Promise<Told>): Promise<void> {
    const { partitionCount } = this.#requests.invoker;
    let [next, working, failed] = [0, 0, false];
    const all: Promise<void>[] = [];
    const work = async (): Promise<void> => {
      while (next < partitionCount && !failed) {
        const partition = next++;
        let visited = 0;
        for (let cursor = 0; cursor >= 0 && !failed; ) {
          const told = await send(partition, cursor);
          visited += told.visited;
          cursor = told.next;
        }
        if (visited <= CHEAP) hire();
        else if (working > CONCURRENCY) break;
      }
      working--;
    };
    const hire = (): void => {
      if (working >= MAX_CONCURRENCY || next >= partitionCount) return;
      working++;
      const hired = work();
      hired.catch(() => {
        failed = true;
      });
      all.push(hired);
    };
    while (working < CONCURRENCY && next < partitionCount) hire();
    for (let i = 0; i < all.length; i++) await all[i];
  }
}
