/**
 * Queries of one map from the caller's side: asks all partitions step by step and puts together what they answer. Invariants:
 * the caller holds no more than what it gives back, for a page of a query twice the page; a wrong argument rejects before
 * anything is sent. No snapshot: each step is of its own moment. Called by the proxy of the map.
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
import { readPages } from '../proxy-everywhere.js';
import type { KeyedRequests } from '../proxy-requests.js';
import { QUERY_OPERATIONS as ops } from './query-ops.js';

const PAGE_BYTES = 256 * 1024;
/** Partitions that are asked at first for a page of an order: what they answer spares others the entries behind it. */
const ASKED_FIRST = 32;
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
    await readPages(
      this.#requests,
      ops.query,
      (cursor) => ({ predicate, cursor, what, maxBytes: PAGE_BYTES }),
      ({ keys, values }) => {
        for (let i = 0; i < Math.max(keys.length, values.length); i++)
          found.push(itemOf(keys[i] ?? null, values[i] ?? null));
        return false;
      },
    );
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
    const request = {
      predicate,
      attribute,
      order,
      after,
      limit,
      withValues: withValues ? 'yes' : 'no',
    } as const;
    await readPages(
      this.#requests,
      ops.queryPage,
      (cursor) => ({ ...request, cursor, before: first.worst }),
      ({ places, values }) => {
        places.forEach(({ sort, key }, i) => {
          const value = values[i];
          // The reply is a view into a frame.
          first.put({ sort, key: Buffer.from(key), value: value === undefined ? null : Buffer.from(value) });
        });
        first.settle();
        return false;
      },
      ASKED_FIRST,
    );
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
    await this.#aggregate(aggregator, checkedPredicate(where), ({ partials }) => {
      for (const partial of partials) all.merge(plain.decode(partial));
    });
    return all.result as R;
  }

  #aggregate(
    { kind, attribute }: Aggregator<unknown>,
    predicate: Predicate,
    take: (reply: ReplyOf<typeof ops.aggregate>, partitions: readonly number[]) => void,
  ): Promise<void> {
    return readPages(
      this.#requests,
      ops.aggregate,
      (cursor) => ({ predicate, cursor, aggregator: { kind, attribute } }),
      (reply, partitions) => {
        take(reply, partitions);
        return false;
      },
    );
  }

  async project<R>(given: Projection<R>, where: Predicate = ALWAYS_TRUE): Promise<R[]> {
    const { kind, attributes } = checkedProjection(given);
    const predicate = checkedPredicate(where);
    if (kind === 'identity') return this.entries(predicate) as Promise<R[]>;
    const rows: unknown[] = [];
    await readPages(
      this.#requests,
      ops.project,
      (cursor) => ({ predicate, cursor, attributes, maxBytes: PAGE_BYTES }),
      (reply) => {
        for (const row of reply.rows) {
          const values = plain.decode(row) as unknown[];
          rows.push(kind === 'singleAttribute' ? values[0] : values);
        }
        return false;
      },
    );
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
    await this.#aggregate({ kind: 'count', attribute: null }, predicate, (reply, partitions) => {
      matched += reply.matched;
      visited += reply.visited;
      for (const partition of partitions) indexOf.set(partition, reply.index);
    });
    const used: Record<string, number> = Object.create(null);
    for (const index of indexOf.values()) used[index] = (used[index] ?? 0) + 1;
    return { where: whereText(predicate), matched, visited, partitions: indexOf.size, used: { ...used } };
  }
}
