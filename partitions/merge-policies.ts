/**
 * Merge policies: what becomes of an entry that both sides of a split have changed. The built-in ones are rows of one
 * table, which the option, the docs and the merge of the map read; beside them are the functions that users register
 * by name. Invariant: a policy sees only the two entries, so that each member decides the same.
 */
import type { ValueCodec } from '../src/wire/values.js';
import type { EntryView } from './services/map/entry-view.js';
import { expirationOf, type RecordMeta, type RecordVersion } from './store/record-layout.js';

export type Side = 'source' | 'owner';

/** What a policy may look at. */
export type Contender = Pick<
  RecordMeta,
  'tombstone' | 'hits' | 'accessedMs' | 'updatedMs' | 'expiresMs' | 'ttlMs' | 'maxIdleMs' | 'staleMs'
> &
  RecordVersion;

export interface MergePolicy {
  readonly name: string;
  /** One sentence for people. */
  readonly doc: string;
  /** Whether anything is taken from the source at all. */
  readonly takes: boolean;
  /** Whose entry stays when both sides changed it; one of the two at least is no removal. */
  decide(owner: Contender, source: Contender): Side;
}

function latest(owner: Contender, source: Contender): Side {
  return compareVersions(source, owner) > 0 ? 'source' : 'owner';
}

/** The entry of which there is more; a removal has nothing to measure, and a tie tells nothing: the later one then. */
function most(measure: (contender: Contender) => number): MergePolicy['decide'] {
  return (owner, source) => {
    if (owner.tombstone || source.tombstone) return latest(owner, source);
    const more = measure(source) - measure(owner);
    return more === 0 || Number.isNaN(more) ? latest(owner, source) : more > 0 ? 'source' : 'owner';
  };
}

export const MERGE_POLICIES = [
  {
    name: 'LatestUpdate',
    doc: 'The later change stays, be it a value or a removal.',
    takes: true,
    decide: latest,
  },
  {
    name: 'PassThrough',
    doc: 'The change of the side that is merged in stays, be it a value or a removal.',
    takes: true,
    decide: () => 'source',
  },
  {
    name: 'PutIfAbsent',
    doc: 'The value of the side that goes on stays if there is one; else that of the side that is merged in.',
    takes: true,
    decide: (owner) => (owner.tombstone ? 'source' : 'owner'),
  },
  {
    name: 'HigherHits',
    doc: 'The value that was read more often stays.',
    takes: true,
    decide: most(({ hits }) => hits),
  },
  {
    name: 'LatestAccess',
    doc: 'The value that was read last stays.',
    takes: true,
    decide: most(({ accessedMs }) => accessedMs),
  },
  {
    name: 'ExpirationTime',
    doc: 'The value that expires later stays, by its time to live or its max idle time; never is the latest.',
    takes: true,
    decide: most((contender) => expirationOf(contender) || Number.MAX_VALUE),
  },
  {
    name: 'Discard',
    doc: 'Nothing of the side that is merged in is taken, also where only that side changed an entry.',
    takes: false,
    decide: () => 'owner',
  },
] as const satisfies readonly MergePolicy[];

export const MERGE_POLICY_NAMES: readonly string[] = MERGE_POLICIES.map(({ name }) => name);
export const DEFAULT_MERGE_POLICY = 'LatestUpdate';
/** Characters of a policy's name. */
export const MAX_POLICY_NAME = 256;

/** The built-in policy of that name. */
export function mergePolicyOf(name: string): MergePolicy | undefined {
  return MERGE_POLICIES.find((policy) => policy.name === name);
}

/** Negative, zero or positive: `a` is older than, the same as or later than `b`. */
export function compareVersions(a: RecordVersion, b: RecordVersion): number {
  return a.ms - b.ms || a.counter - b.counter || a.memberHi - b.memberHi || a.memberLo - b.memberLo;
}

/** What a merge function gets. */
export interface MergeConflict {
  /** Of the structure. */
  readonly name: string;
  readonly key: unknown;
  /** The entry of the side that goes on; null when that side removed it. */
  readonly existing: EntryView<unknown, unknown> | null;
  /** The entry of the side that is merged in; null when that side removed it. Not both are null. */
  readonly merging: EntryView<unknown, unknown> | null;
}

/**
 * Gives the value that an entry has from now on; null or undefined removes it. It is called only for entries that
 * both sides changed, on the member that holds the entry, at once and without waiting: it cannot be async. What it
 * gives must depend on its argument alone.
 */
export type MergeFunction = (conflict: MergeConflict) => unknown;

/** The merge functions of a member, by name. */
export class MergeFunctions {
  /** Values are decoded and encoded with it. */
  readonly codec: ValueCodec;
  readonly #functions = new Map<string, MergeFunction>();

  constructor(codec: ValueCodec) {
    this.codec = codec;
  }

  /** Throws a `TypeError` for a name that is taken or too long, and for what is no synchronous function. */
  register(name: string, decide: MergeFunction): void {
    if (typeof name !== 'string' || name === '' || name.length > MAX_POLICY_NAME)
      throw new TypeError(`mergeFunction: expected a name of 1 to ${MAX_POLICY_NAME} characters`);
    if (typeof decide !== 'function' || decide.constructor.name !== 'Function')
      throw new TypeError(`mergeFunction ${name}: expected a function that is not async and no generator`);
    if (mergePolicyOf(name) !== undefined || this.#functions.has(name))
      throw new TypeError(`mergeFunction ${name}: there is a merge policy of this name already`);
    this.#functions.set(name, decide);
  }

  find(name: string): MergeFunction | undefined {
    return this.#functions.get(name);
  }

  get names(): readonly string[] {
    return [...this.#functions.keys()];
  }
}
