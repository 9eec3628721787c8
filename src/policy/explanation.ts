/**
 * The shapes of what `explain` takes and says; the rows of promises and losses are functions over `Facts`.
 */
import type { View } from '../cluster/view.js';
import type { Preset, PresetName } from './presets.js';

/** The options that decide what is promised. */
export interface ExplainedOptions {
  readonly consistency: PresetName;
  readonly backups: { readonly sync: number; readonly async: number };
  readonly minSynced: number;
  readonly backupTimeoutMs: number;
  readonly onBackupTimeout: 'indeterminate' | 'success';
  readonly mergePolicy: string;
  /** Name of the structure's split-brain protection, '' for none. */
  readonly splitBrainProtection: string;
}

/** The definition behind the name. */
export interface ExplainedProtection {
  readonly minimumClusterSize: number;
  readonly protectOn: 'READ' | 'WRITE' | 'READ_WRITE';
}

export interface ExplainInput {
  /** Name of the structure. */
  readonly structure: string;
  /** Its kind: `map`. */
  readonly kind: string;
  readonly options: ExplainedOptions;
  /** Null when the structure names none. */
  readonly protection?: ExplainedProtection | null;
  /** The view of the cluster; left out, only the options are explained. */
  readonly view?: View | undefined;
}

export interface Promised {
  /** `G1` to `G12`, the numbers of the guarantees in the documentation. */
  readonly id: string;
  readonly text: string;
  readonly holds: boolean;
  readonly because: string;
}

export interface Loss {
  readonly failure: string;
  readonly effect: string;
  /** The option that is responsible, or `none`. */
  readonly knob: string;
}

/** How things are in the cluster now. */
export interface Measured {
  /** The cluster was founded by order: consistent (PC) structures are served. */
  readonly ordered: boolean;
  /** This is a side of a split without the majority. */
  readonly fork: boolean;
  readonly members: number;
  /** Members, whichever they are, that may crash at once such that the others are a majority. */
  readonly crashesAtOnce: number;
  /** Sync backups that the members can hold: at most `backups.sync`. */
  readonly syncBackupsPossible: number;
  /** Synced sync backups of the partition that has fewest. */
  readonly syncBackupsNow: number;
  /** Partitions with fewer synced sync backups than `backups.sync`. */
  readonly partitionsBelow: number;
  readonly partitionsLost: number;
  /** Writes are refused in that many partitions because of `minSynced`. */
  readonly partitionsRefusing: number;
}

export interface Explanation {
  readonly structure: string;
  readonly kind: string;
  readonly preset: PresetName;
  /** One sentence: what happens when partitioned, and else. */
  readonly classText: string;
  readonly promises: readonly Promised[];
  readonly losses: readonly Loss[];
  /** Null without a view. */
  readonly measured: Measured | null;
}

export interface Facts {
  /** Kind of the structure: `map`. */
  readonly kind: string;
  readonly options: ExplainedOptions;
  readonly preset: Preset;
  readonly protection: ExplainedProtection | null;
  readonly measured: Measured | null;
  /** Crashes that the sync backups cover: B of the guarantees, as configured or as the cluster is now. */
  readonly covered: number;
  /** `covered` is lower than configured, because of the state of the cluster. */
  readonly reduced: boolean;
}
