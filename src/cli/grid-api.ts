/**
 * What the commands need of elsegrid's programming interface, and where they get it: the package's own door, read
 * only when a command talks to a grid, so that `--help` answers at once. Tests hand in another one.
 */
import type { DistributedObject } from '../../client/core/distributed-objects.js';
import type { Grid } from '../../client/core/grid.js';
import type { MergeEntry, MergeReport } from '../../client/core/merge-reports.js';
import type { ClientOptions } from '../config/client.js';
import type { ExplainWishes } from '../config/explain.js';
import type { RowPreset } from '../config/toggle.js';
import type {
  ConsistencyChange,
  ConsistencyTarget,
  SetConsistencyOptions,
} from '../config/toggle-request.js';
import type { MemberOptions } from '../config.js';
import type { AdminCommand, AdminReply } from '../policy/admin.js';
import type { Explanation } from '../policy/explanation.js';
import type { PresetName } from '../policy/presets.js';
import type { GridStatus } from '../policy/status.js';

/** An acknowledged write that a merge did not keep. */
export type ListedDiscard = Omit<MergeEntry, 'service'>;

/** What the commands read of a merge report. */
export interface ListedMerge extends Omit<MergeReport, 'startedMs' | 'keyHashes' | 'entries'> {
  entries(): AsyncIterable<ListedDiscard>;
}

export interface GridClient extends Grid {
  status(): Promise<GridStatus>;
  /** Rejects with a `SafetyError` that says what is missing. */
  waitUntilSafe(options: { readonly timeoutMs: number }): Promise<void>;
  /** `service` as in the view: `map`. */
  explain(service: string, name: string, wishes?: ExplainWishes): Promise<Explanation>;
  admin(command: AdminCommand, options?: { readonly timeoutMs?: number }): Promise<AdminReply>;
  /** The preset of the grid (`service` null), and that of each row. */
  consistency(): Promise<readonly RowPreset[]>;
  setConsistency(
    target: ConsistencyTarget,
    preset: PresetName,
    options?: SetConsistencyOptions,
  ): Promise<ConsistencyChange>;
  /** The structures that have data. */
  getDistributedObjects(): Promise<readonly DistributedObject[]>;
  /** The reports that nobody has acknowledged. */
  merges(): Promise<readonly ListedMerge[]>;
  shutdown(): Promise<void>;
}

export interface GridMember {
  /** Advertised `host:port`. */
  readonly address: string;
  /** Leaves gracefully: hands over all data first. */
  shutdown(): Promise<void>;
  /** Ends at once. */
  terminate(): Promise<void> | void;
}

export interface GridApi {
  startMember(options: MemberOptions): Promise<GridMember>;
  connect(options: ClientOptions): Promise<GridClient>;
}
