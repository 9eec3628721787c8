/**
 * The contract between the grid and a data structure. A structure is one folder under `services/` with the same
 * five files; everything else - routing, replication, migration, promotion, exactly-once - works through this
 * contract and knows no structure by name. All of it is synchronous.
 *
 * Invariant that migration depends on: a delta carries the resulting state of what it touches, never a change
 * relative to what was there, so it can be applied to a replica whose copy of the rest is still arriving.
 */
import type { Reader, Writer } from '../src/base/bytes.js';
import type { AnyOperation } from '../src/wire/message.js';
import type { Slab } from './store/slab.js';

/** Order of two writes of one key, also across members: HLC time, then the member that decided. */
export interface Version {
  readonly ms: number;
  readonly counter: number;
  /** First 64 bits of the member's UUID. */
  readonly memberHi: number;
  readonly memberLo: number;
}

/** What an operation may know and do besides reading and changing its state. */
export interface OperationContext {
  /** Position that this operation gets if it records a delta. */
  readonly seq: number;
  /** Wall clock, for times that people see and for nothing else. */
  readonly wallMs: number;
  /** A new version, later than all that this member has seen. */
  version(): Version;
  /**
   * Where the operation writes its delta; asking for it makes the operation a change. A read never asks. Every
   * change of state must be in it.
   */
  delta(): Writer;
  /**
   * The reply shows what was written at this position: it is held back until that position can not be lost any
   * more by the crashes that the structure's backups cover.
   */
  dependsOn(seq: number): void;
}

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
  /** Entries that a user can see. */
  readonly entryCount: number;
  readonly sizeBytes: number;
  /** Deterministic text of the contents, for comparing replicas in tests and chaos runs. */
  dump(): readonly string[];
  /** Gives all memory back. */
  dispose(): void;
}

export interface StateEnvironment {
  readonly slab: Slab;
  readonly name: string;
}

export type Handler<S> = (state: S, request: never, context: OperationContext) => unknown;

/** The options that every structure has; a structure adds its own. */
export interface StructureOptions {
  readonly backups: { readonly sync: number; readonly async: number };
  readonly minSynced: number;
  readonly backupTimeoutMs: number;
  readonly onBackupTimeout: 'indeterminate' | 'success';
}

/** Tombstones that were decided up to this position and before this time are not needed any more. */
export interface PurgeHorizon {
  readonly seq: number;
  readonly ms: number;
}

export interface Service {
  /** 1..255, in the numbers of its operations and on the wire; never reused. */
  readonly id: number;
  /** For example `map`; the operations are `map.get` and so on. */
  readonly name: string;
  readonly operations: readonly AnyOperation[];
  createState(environment: StateEnvironment): ServiceState;
  /** By operation name without the service: `get`, `put`. Every operation has exactly one. */
  readonly handlers: Readonly<Record<string, Handler<never>>>;
  /**
   * Housekeeping in bounded steps, run by the primary as a change of its own: removes what lies behind the horizon,
   * from the cursor on, and records it as a delta. Returns the next cursor, or -1 at the end. Cursor 0 is the start.
   */
  purge?(state: never, cursor: number, horizon: PurgeHorizon, context: OperationContext): number;
}
