/** What the executor needs of its member. Called by the member's composition, which builds it. */
import type { Logger } from '../src/base/ports.js';
import type { Changed } from './append-entry.js';
import type { Caller } from './call.js';
import type { Gate } from './gate.js';
import type { MergeFaults } from './merge-journal/merger.js';
import type { MergeFunctions } from './merge-policies.js';
import type { ContextOptions } from './operation-context.js';
import type { Service, StructureOptions } from './service.js';
import type { Slab } from './store/slab.js';
import type { StorePort } from './store-port.js';
import type { UserFunctions } from './user-functions.js';

export interface ExecutorOptions extends ContextOptions {
  readonly gate: Gate;
  readonly logger: Logger;
  readonly sessionTtlMs: number;
  /** Requests that belong into another partition are refused; left out: not looked at. */
  readonly partitionCount?: number;
  /** Of the discarded entries that one partition keeps for the merge report; default 1 MiB. */
  readonly mergeReportBytes?: number;
  /** This side has no majority: it cannot speak for others, and `consistent` structures are not its to decide on. */
  readonly isInFork?: () => boolean;
  /** Those that users registered; default none. */
  readonly mergeFunctions?: MergeFunctions;
  /** The other ones; default none. */
  readonly functions?: UserFunctions;
  readonly mergeFaults?: MergeFaults;
  /** Default: nobody is told. */
  readonly changed?: Changed;
  /** This member has more of a structure than it may, after a write. Default: nobody is told. */
  readonly crowded?: (service: Service, structure: string, slab: Slab) => void;
  /** So many entries were over and were removed. */
  readonly expired?: (count: number) => void;
  /** Stricter for a `caller` that knows a newer view. */
  readonly optionsFor: (service: Service, structure: string, caller?: Caller) => StructureOptions;
  /** Only for tests: what reads leave to do is forgotten. */
  readonly usesUntold?: boolean;
  /** Stores outside of the grid; default none. */
  readonly stores?: StorePort;
  /** Only for tests: a read answers without waiting for the write it shows. */
  readonly readsDoNotWait?: boolean;
}
