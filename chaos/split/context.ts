/** What checks, final reads and the tally of states see of a run with splits. Implemented by `run.ts`. */
import type { Ears } from '../listen.js';
import type { RunContext } from '../run-context.js';
import type { StoreRig } from '../stores.js';
import type { BehindLog } from '../workload/behind.js';
import type { ExpiryLog } from '../workload/expiring.js';
import type { LockLog } from '../workload/locks.js';
import type { QueryLog } from '../workload/queries.js';
import type { SplitCase } from './case.js';
import type { Connectivity } from './connectivity.js';
import type { Figures } from './figures.js';
import type { LineageLedger } from './lineages.js';

export interface SplitContext extends RunContext {
  readonly plan: SplitCase;
  readonly lineages: LineageLedger;
  /** What was reached beside what the ledger of lineages tells. */
  readonly events: readonly string[];
  readonly figures: Figures;
  /** Calls with EL. */
  readonly behind: BehindLog;
  /** What was locked. */
  readonly locks: LockLog;
  /** The store that maps are kept in; null without that workload. */
  readonly stores: StoreRig | null;
  /** What was asked of entries that end. */
  readonly expiry: ExpiryLog;
  /** What queries share. */
  readonly queries: QueryLog;
  /** Null without listeners. */
  readonly ears: Ears | null;
  /** Whether the process with this id runs. */
  isAlive(id: string): boolean;
  /** All cuts so far. */
  connectivity(): Connectivity;
}
