/**
 * The contract between the grid and a data structure. A structure is one folder under `services/` with the same
 * five files; everything else - routing, replication, migration, promotion, exactly-once - works through this
 * contract and knows no structure by name. All of it is synchronous.
 *
 * Invariant that migration depends on: a delta carries the resulting state of what it touches, never a change
 * relative to what was there, so it can be applied to a replica whose copy of the rest is still arriving.
 */
import type { Reader, Writer } from '../src/base/bytes.js';
import type { Random } from '../src/base/ports.js';
import type { AnyOperation } from '../src/wire/message.js';
import type { Errand } from './errands.js';
import type { ChangeSink } from './events/event.js';
import type { MergeFunctions } from './merge-policies.js';
import type { StoreOptions } from './services/map/store-options.js';
import type { RecordStore } from './store/record-store.js';
import type { Slab } from './store/slab.js';
import type { UserFunctions } from './user-functions.js';

/** Order of two writes of one key, also across members: HLC time, then the member that decided. */
export interface Version {
  readonly ms: number;
  readonly counter: number;
  /** First 64 bits of the member's UUID. */
  readonly memberHi: number;
  readonly memberLo: number;
}

/**
 * One primary for as long as it leads: member and takeover. All that one actor ever applies to a partition is one
 * line of history, so that of two copies of what it did, one is the beginning of the other.
 */
export interface Actor {
  /** First 64 bits of the member's UUID. */
  readonly memberHi: number;
  readonly memberLo: number;
  /** Tag of the lineage and number of the view in which it took over; both u32. */
  readonly lineage: number;
  readonly epoch: number;
}

/** Of a call, wherever it is tried: the same for all its attempts, and for no other call. */
export interface CallId {
  readonly client: number;
  readonly sequence: number;
}

/** Faults that tests put in on purpose, to see them found; never set outside of them. */
export interface StructureFaults {
  /** A new primary of a queue lets all that is handed out come back at once. */
  readonly handOutsForgotten?: boolean;
  /** An item that comes back to a queue is at the tail. */
  readonly returnedLast?: boolean;
  /** A dead letter is put into its queue each time that its primary is asked. */
  readonly letterDoubled?: boolean;
  /** An acknowledgement is answered, and changes nothing. */
  readonly ackIgnored?: boolean;
  /** A lock is given although somebody has it. */
  readonly lockGrantedTwice?: boolean;
  /** Fences of locks go back with each takeover. */
  readonly fenceRestarts?: boolean;
}

/** What an operation may know and do besides reading and changing its state. */
export interface OperationContext {
  /** Position that this operation gets if it records a delta. */
  readonly seq: number;
  /** Wall clock, for times that people see and for nothing else. */
  readonly wallMs: number;
  /** Monotonic clock of this member, milliseconds: for what ends by time. */
  readonly nowMs: number;
  /** A new version, later than all that this member has seen. */
  version(): Version;
  /** A version that came from elsewhere than the stream: `version()` gives only later ones from now on. */
  observe(version: Version): void;
  /** Who applies the operation. */
  readonly actor: Actor;
  /** Left out unless a test has set them. */
  readonly faults?: StructureFaults | undefined;
  /** The call that the operation answers; null for housekeeping and merges. */
  readonly call: CallId | null;
  /** Of the structure, as the primary's view has them. Only the handler looks at them: backups see its decision. */
  readonly options: StructureOptions;
  /**
   * Where the operation writes its delta; asking for it makes the operation a change. A read never asks. Every
   * change of state must be in it.
   */
  delta(): Writer;
  /**
   * Before the operation has changed anything: true when its call can wait until somebody changes the structure, for
   * `waitMs` since it was made; then it is run again, and what the handler gives now is void. False when the time is over.
   */
  wait(waitMs: number): boolean;
  /** Session that made the call; 0 for a change that no call makes. */
  readonly client: number;
  /** The owner that the call names for locks; '' for none. */
  readonly lockOwner: string;
  /**
   * The same as `wait` for a call that waits for one thing of the structure, which `holder` has: it waits in line with
   * those for the same `thing`, until somebody wakes them. One that comes `as` the holder may pass those before it; '' for
   * one that may not. `waitMs` null: as long as the call itself says that it may wait.
   */
  waitFor(thing: string, holder: string, as: string, waitMs: number | null): boolean;
  /** Calls that wait for the thing are run again once this operation is done. */
  wake(thing: string): void;
  /** Something of the structure ends by itself in so long, ms: the keeper of locks looks at it then. */
  endsIn(ms: number): void;
  /**
   * The reply shows what was written at this position: it is held back until that position can not be lost any
   * more by the crashes that the structure's backups cover.
   */
  dependsOn(seq: number): void;
  /** What the reply shows ends by itself in so long, ms: nobody keeps it near for longer. */
  goodFor(ms: number): void;
  /** The replica is behind its primary, as far as anybody knows: it changes nothing, and nothing counts as a use. */
  readonly isBehind: boolean;
  /** Since when this member leads the partition, on its wall clock. */
  readonly leadsSinceMs: number;
  /** The call may have been applied by an earlier primary, on another side that may be the one that stays. */
  readonly mayBeElsewhere: boolean;
  /** A replica that is behind cannot tell what the answer is: the primary is asked instead. */
  undecided(): void;
  /**
   * A read leaves something to do about this key, see `Service.upkeep`; its answer waits until that can not be lost. The
   * bytes may be a view that is valid until the read ends.
   */
  upkeep(key: Uint8Array): void;
  /** This member has more of the structure than it may: see `Service.crowd`. */
  crowded(): void;
  /** A key of this hash has another value from this position on: whoever keeps its value near is told. */
  touched(hash: number): void;
  /** All that the partition has, in a fixed order. */
  structures(): readonly {
    readonly serviceId: number;
    readonly name: string;
    readonly state: Pick<ServiceState, 'entryCount'>;
  }[];
  /** What users registered at this member, for operations that run functions by name. */
  readonly functions: UserFunctions;
  /** The store outside of the grid, for a call on a structure that has one; else null. */
  readonly store: StoreAccess | null;
}

/**
 * What an operation of a structure with a store outside of the grid sees of it: the store is asked between two runs of the
 * operation, or told before its change is made, never during it.
 */
export interface StoreAccess {
  readonly isWrite: boolean;
  /** The store was asked for this call, and has no value of the key. */
  isAbsent(key: Uint8Array): boolean;
  /** The store is being told of the key. */
  isInFlight(key: Uint8Array): boolean;
  /**
   * Throws when the store must not be owed so many writes more: a `StoreOverloadError` while it lacks others, a
   * `StoreFailedError` when there is none or when these are more than it may lack at all.
   */
  checkRoom(writes: number): void;
  /**
   * What the partition owes up to a position is written without delay; `isFirst`: and what the store refused at once.
   * Throws when there is no store.
   */
  flush(upToSeq: number, isFirst: boolean): void;
  /** What the store refused of the partition is tried again at once. */
  hurry(): void;
  /** Loads all that the store has, by a name of who asks; asked again it says how far that is. Throws when it can not. */
  fill(job: string, replaces: boolean): Filling;
  /** Writes that the store refuses, and that are tried again. */
  troubles(): readonly Trouble[];
  /** Instead of the change: it is made when the store has it. Throws a `StoreFailedError` where nothing may be told to it. */
  plan(plan: StorePlan): void;
}

export interface Trouble {
  readonly key: Uint8Array;
  readonly attempts: number;
  readonly message: string;
}

export interface Filling {
  readonly state: 'running' | 'done' | 'failed';
  readonly loaded: number;
  readonly message: string;
}

/** A change that is made when the store has it. */
export interface StorePlan {
  /** Copies. */
  readonly entries: readonly { readonly key: Uint8Array; readonly value: Uint8Array | null }[];
  /** Marks the keys, so that nothing else is written to them meanwhile, whoever leads then. */
  begin(state: ServiceState, context: OperationContext): void;
  /** The store has it. */
  apply(state: ServiceState, context: OperationContext): void;
  /** A former primary began it, so that the store may have it even if it refuses it now. */
  readonly isRepeated: boolean;
  /** The store may have it, and what it had before is not known: nobody can tell what became of the call. */
  isUnknown(state: ServiceState, context: OperationContext): boolean;
  /** The store certainly does not have it. */
  cancel(state: ServiceState, context: OperationContext): void;
  /** The store may have it: it is to get what the grid has. */
  undo(state: ServiceState, context: OperationContext): void;
}

/** What a structure does with values that the store brings. */
export interface LoadTarget {
  /** Nothing was written to the key since a position, so that what was loaded then may be put. */
  isCurrent(state: ServiceState | undefined, key: Uint8Array, sinceSeq: number): boolean;
  /** Puts values of keys that have none in memory, as the one change of an operation. */
  put(
    state: ServiceState,
    entries: readonly { readonly key: Uint8Array; readonly value: Uint8Array }[],
    context: OperationContext,
  ): void;
}

/** A state that can be compared record by record. One without is compared as a whole, and repaired by a copy. */
export interface Digested {
  readonly store: RecordStore;
  /** Writes all records with this key hash, for `mend`. */
  writeHash(hash: number, out: Writer): void;
  /**
   * Makes the records of these hashes what they were on another replica at position `seq`; `isExact` when this replica
   * is at it, else it is beyond, and what changed since is left alone. Returns the number of records repaired.
   */
  mend(hashes: readonly number[], records: Reader, seq: number, isExact: boolean): number;
}

/** What ends without being asked to, by time or with a client: the primary's keeper looks at it, and makes it a change. */
export interface SelfEnding {
  /** While it is 0 there is nothing to look at. */
  readonly heldCount: number;
  /** How long until the next end by time, ms; Infinity for none. */
  nextEndMs(nowMs: number): number;
  /** The keys of what is over, each with a number that says why; a bounded number of them. */
  over(nowMs: number, isGone: IsGone): ReadonlyMap<Uint8Array, number>;
  end(keys: ReadonlyMap<Uint8Array, number>, context: OperationContext): void;
}

/** Whether a client session that held something at `sinceMs` is dead, on the member's monotonic clock. */
export type IsGone = (client: number, sinceMs: number) => boolean;

/** One structure's data in one partition. */
export interface ServiceState {
  /** Applies a delta that the primary recorded at position `seq`. */
  apply(delta: Reader, seq: number): void;
  /**
   * Writes about `maxBytes` of state, from the cursor on, as records that can be put in any order; returns the next
   * cursor, or -1 at the end. Cursor 0 is the start. At least one record is written when there is one.
   */
  copy(cursor: number, maxBytes: number, out: Writer): number;
  /** Puts copied records; one that is older than what is here (by position) is left out. */
  paste(records: Reader): void;
  /**
   * For a merge into another lineage: writes what this replica changed beyond the point where the two parted, from
   * the cursor on, about `maxBytes`, as records for `Service.merge`; returns the next cursor, or -1 at the end.
   */
  changes(cursor: number, since: MergeSince, maxBytes: number, out: Writer): number;
  /** For a state whose records lie in a record store: how replicas of it are compared and repaired. */
  readonly digested?: Digested;
  /** Wall-clock time at which `Service.expire` has something to do; Infinity: not before the next change. */
  readonly dueMs?: number;
  /**
   * Where it tells each change that an operation, a delta or a merge makes, in their order, and nothing else; null while
   * nobody listens. Left out by a state that nobody can listen to.
   */
  events?: ChangeSink | null;
  /**
   * For another one that can be large: 64 bits in two words that are equal on replicas with equal contents. Left out:
   * they are made of all that `dump` gives.
   */
  wholeDigest?(): { readonly lo: number; readonly hi: number };
  /** Locks of its keys, for a structure that has them. */
  readonly locks?: SelfEnding;
  /** When `Service.tend` has something to do, on this member's monotonic clock; Infinity or left out: not by itself. */
  readonly tendMs?: number;
  /** Entries that a user can see. */
  readonly entryCount: number;
  readonly sizeBytes: number;
  /** Of what this replica has made for itself, as indexes; other replicas have more or less of it. Left out: none. */
  readonly derivedBytes?: number;
  /** Deterministic text of the contents, for comparing replicas in tests and chaos runs. */
  dump(): readonly string[];
  /** Gives all memory back. */
  dispose(): void;
}

export interface StateEnvironment {
  readonly slab: Slab;
  readonly partition: number;
  readonly name: string;
}

export type Handler<S> = (state: S, request: never, context: OperationContext) => unknown;

/** The options that every structure has; a structure adds its own. */
export interface StructureOptions {
  readonly backups: { readonly sync: number; readonly async: number };
  readonly minSynced: number;
  readonly backupTimeoutMs: number;
  readonly onBackupTimeout: 'indeterminate' | 'success';
  /** Preset, for example `PC/EC`: its first half says whether a side of a split without the majority serves. */
  readonly consistency: string;
  /** One of the built-in merge policies, or the name of a registered function. */
  readonly mergePolicy: string;
  /** Name of the split-brain protection that guards the structure, '' for none. */
  readonly splitBrainProtection: string;
  /** The store outside of the grid that the structure is kept in; left out: none. */
  readonly store?: StoreOptions | undefined;
}

/** A `consistent` structure is served by the majority only, under a lease. */
export function isConsistent(options: StructureOptions): boolean {
  return options.consistency.charCodeAt(1) === 0x43;
}

/** Calls of the structure wait for nothing, and read from any replica, unless they ask for more. */
export function isLatency(options: StructureOptions): boolean {
  return options.consistency.charCodeAt(4) === 0x4c;
}

/** Where the two sides of a merge parted, as the source sees it. */
export interface MergeSince {
  /** Records of positions up to here are part of the owner's history. */
  readonly sharedSeq: number;
  /**
   * Positions of the source whose calls the owner has applied itself, or has declared void, with the deltas that they
   * had here: what they did must not take effect there again. Those of other structures are left out; an empty delta is
   * that of a call of which no more is known, and which may be of another structure.
   */
  readonly skipped: ReadonlyMap<number, Uint8Array>;
}

/** A value that a merge did not keep. Bytes as they are stored; null for an entry that is not there. */
export interface DiscardedEntry {
  readonly key: Uint8Array;
  readonly kept: Uint8Array | null;
  readonly discarded: Uint8Array | null;
  /** Whose write was not kept: that of the lineage which was merged in, or that of the one that goes on. */
  readonly side: 'source' | 'owner';
  /** For people: the policy, or why its function could not decide. */
  readonly reason: string;
}

/** What a structure knows of the merge of its records, and tells it. Runs on the owner's primary. */
export interface MergeContext {
  /** Records of the owner of positions up to here were the same on both sides when they parted. */
  readonly sharedSeq: number;
  /** Name of the structure's merge policy today. */
  readonly policy: string;
  /** The merge functions that users registered at this member. */
  readonly functions: MergeFunctions;
  /** As for an operation: `seq`, `version()`, and `delta()` for the change that the merge makes. */
  readonly operation: OperationContext;
  /** Heads of deltas (`Service.additionOf`) of the owner's own calls, which count whatever the source says of them. */
  readonly standing: readonly Uint8Array[];
  /** What calls did (`additionOf`, `traceOf`) that the source has from an earlier merge, and that must not count here. */
  readonly repeated: readonly Uint8Array[];
  /** An entry of the source was taken over, or decided on, without anything being lost. */
  merged(count: number): void;
  /** An acknowledged write that is not kept. */
  discarded(entry: DiscardedEntry): void;
  /** A removal of the owner that the source, which had parted before its mark was dropped, brings back. */
  resurrected(key: Uint8Array): void;
  /** A merge function threw, or returned what cannot be stored: the owner's entry stays. */
  failed(key: Uint8Array, reason: string): void;
}

/** Tombstones that were decided up to this position and before this time are not needed any more. */
export interface PurgeHorizon {
  readonly seq: number;
  readonly ms: number;
}

/** What this member leads of one structure, and what has to go when that is too much. */
export interface Crowding {
  /** These are all states that the member leads, from now on. */
  lead(states: readonly never[], options: StructureOptions): void;
  readonly isOver: boolean;
  /** The entry to do without next; null when there is none but what was just written. */
  next(random: Random, wallMs: number): { readonly partition: number; readonly key: Uint8Array } | null;
  /** What was written last may go as well. */
  settle(): void;
}

/** What a structure may know when it changes as time passes. */
export interface Tending {
  /** Whether a session is dead that got something at `sinceMs`, on this member's monotonic clock. */
  isGone(client: number, sinceMs: number): boolean;
}

export interface Service {
  /** 1..255, in the numbers of its operations and on the wire; never reused. */
  readonly id: number;
  /** For example `map`; the operations are `map.get` and so on. */
  readonly name: string;
  readonly operations: readonly AnyOperation[];
  /** What decides on the partition of a request: its keys, or the name of its structure. Left out: nothing. */
  readonly placedBy?: 'keys' | 'name';
  createState(environment: StateEnvironment): ServiceState;
  /** By operation name without the service: `get`, `put`. Every operation has exactly one. */
  readonly handlers: Readonly<Record<string, Handler<never>>>;
  /**
   * Merges records that `changes` of another side wrote into the state of the owner; all that changes is one delta.
   * It stops when the delta has become large: as long as the reader has something left, call it again, as a further
   * position. Records that were merged before change nothing.
   */
  merge(state: never, records: Reader, merge: MergeContext): void;
  /**
   * Of the delta of a call that added to something: a copy of as much of its head as `changes` needs to leave the call
   * out, at most 256 bytes; null for any other. It is kept for as long as a client may have tried the call elsewhere.
   */
  additionOf?(delta: Uint8Array): Uint8Array | null;
  /**
   * Of the delta of any call, as log or tail have it: by what `merge` recognises on a third side what the call did, at
   * most 256 bytes; null when it did too much to be told. Left out: as `additionOf`.
   */
  traceOf?(delta: Uint8Array): Uint8Array | null;
  /**
   * Of the delta of a call and its reply: what its caller is told instead where the call comes by a merge that leaves out
   * what it did; null when the reply is right there too. Left out: it always is.
   */
  replyElsewhere?(delta: Uint8Array, reply: Uint8Array): Uint8Array | null;
  /**
   * Housekeeping in bounded steps, run by the primary as a change of its own: removes what lies behind the horizon,
   * from the cursor on, and records it as a delta. Returns the next cursor, or -1 at the end. Cursor 0 is the start.
   */
  purge?(state: never, cursor: number, horizon: PurgeHorizon, context: OperationContext): number;
  /** A bounded step of removing what is over, run by the primary as a change of its own; gives how much it removed. */
  expire?(state: never, context: OperationContext): number;
  /** What reads left to do about these keys (`OperationContext.upkeep`), as a change of its own; gives the same. */
  upkeep?(state: never, keys: readonly Uint8Array[], context: OperationContext): number;
  /** What this member has of a structure with a bound; undefined for one without. */
  crowd?(slab: Slab, name: string, options: StructureOptions): Crowding | undefined;
  /** Takes entries out of memory, as a change of its own. */
  evict?(state: never, keys: readonly Uint8Array[], context: OperationContext): void;
  /** What the primary does by itself when the time of a state has come (`tendMs`), as a change of its own. */
  tend?(state: never, tending: Tending, context: OperationContext): void;
  /** A store outside of the grid was told of the call, and what became of that is not known yet. */
  isUnsettled?(state: never, call: CallId): boolean;
  /** What the primary of a state has to do elsewhere; asked for again and again, until it is done. */
  errands?(state: never, options: StructureOptions): readonly Errand[];
}
