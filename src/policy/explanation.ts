/**
 * The shapes of what `explain` takes and says; the rows of promises and losses are functions over `Facts`.
 */
import type { MemberId, View } from '../cluster/view.js';
import type { CallConsistency, GivenClass } from './class.js';
import type { PresetName } from './presets.js';
import type { Lag, MemberReport } from './status.js';

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
  /** Of a map that is kept in a store. */
  readonly store?: { readonly mode: 'read-through' | 'write-through' | 'write-behind' } | undefined;
}

/** The definition behind the name. */
export interface ExplainedProtection {
  readonly minimumClusterSize: number;
  readonly protectOn: 'READ' | 'WRITE' | 'READ_WRITE';
}

/** How things are in the cluster, as far as the one who explains knows. */
export interface ExplainedState {
  readonly view: View;
  /** What members say about themselves; left out when nobody was asked, and a member that is not in it did not answer. */
  readonly reports?: ReadonlyMap<MemberId, MemberReport>;
  /** The structure's near cache in the process that explains; left out or null when it has none. */
  readonly nearCache?: NearCacheNow | null;
}

export interface ExplainInput {
  /** Name of the structure. */
  readonly structure: string;
  /** Its kind: `map`. */
  readonly kind: string;
  readonly options: ExplainedOptions;
  /** Null when the structure names none. */
  readonly protection?: ExplainedProtection | null;
  /** What the calls ask for with `with({ consistency })`; null for calls that ask for nothing. */
  readonly call?: CallConsistency | null;
  /** Left out, only the options are explained. */
  readonly state?: ExplainedState | undefined;
}

export interface Verdict {
  readonly holds: boolean;
  /** False: the structure, the preset or this version has no such thing; then `holds` is false too. */
  readonly applies: boolean;
  readonly because: string;
  /** What makes a promise that applies not hold: an option, `number of members` or `founding`; else null. */
  readonly knob: string | null;
}

export interface Promised extends Verdict {
  /** `G1` to `G12`, the numbers of the guarantees in the documentation. */
  readonly id: string;
  readonly text: string;
}

export interface Loss {
  readonly failure: string;
  readonly effect: string;
  /** The option that is responsible, or `none`. */
  readonly knob: string;
}

/** What members say about themselves, put together. */
export interface Reported {
  /** Addresses of members of the view that did not answer; what only they know is missing below. */
  readonly silent: readonly string[];
  /** Of the backups that a write of this structure waits for, or would. */
  readonly sync: Lag;
  readonly async: Lag;
  /** Partitions in which a backup has something else than its primary, or too little, and is about to be copied anew. */
  readonly divergent: readonly number[];
  /** Replicas of an earlier lineage that wait to be merged, of all structures. */
  readonly leftovers: number;
  readonly leftoverBytes: number;
}

/** The near cache of the process that explains. */
export interface NearCacheNow {
  readonly entries: number;
  readonly hits: number;
  /** Of all hits so far, the oldest was younger than this; 0 without a hit. It is told by powers of two. */
  readonly hitsBelowMs: number;
  /** No hit is ever older. */
  readonly maxStalenessMs: number;
}

/** How things are in the cluster now. */
export interface Now {
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
  /** Backups of this structure that are wanted and not synced, and their partitions, in order. */
  readonly missing: {
    readonly sync: number;
    readonly async: number;
    readonly syncPartitions: readonly number[];
    readonly asyncPartitions: readonly number[];
  };
  /** Partitions in which writes are refused because of `minSynced`. */
  readonly refusing: readonly number[];
  /** Partitions of which no member holds a synced replica. */
  readonly lost: readonly number[];
  /** Partitions whose primary has not yet reported that it serves and that its backups are level. */
  readonly unsettled: readonly number[];
  /** Null when no member was asked. */
  readonly reported: Reported | null;
  readonly nearCache: NearCacheNow | null;
}

/** What a call gains and gives up by asking for something else than the preset says. */
export interface CallChange {
  /** As in `with({ consistency })`. */
  readonly consistency: CallConsistency;
  readonly classText: string;
  /** Promises that hold for such a call and else not; their numbers. */
  readonly gains: readonly string[];
  readonly givesUp: readonly string[];
}

export interface Explanation {
  readonly structure: string;
  readonly kind: string;
  /** As configured. */
  readonly preset: PresetName;
  /** What the calls ask for that are explained; null: nothing. */
  readonly call: CallConsistency | null;
  /** The class that the options really give. */
  readonly given: GivenClass;
  /** One sentence: what happens when partitioned, and else. */
  readonly classText: string;
  readonly promises: readonly Promised[];
  readonly losses: readonly Loss[];
  /** The other way that a call may choose. */
  readonly otherCalls: CallChange;
  /** Null without a cluster: only the options were explained. */
  readonly now: Now | null;
}

export interface Facts {
  /** Kind of the structure: `map`. */
  readonly kind: string;
  readonly options: ExplainedOptions;
  readonly call: CallConsistency | null;
  readonly given: GivenClass;
  readonly protection: ExplainedProtection | null;
  readonly nearCache: NearCacheNow | null;
  readonly now: Now | null;
  /** Crashes that the sync backups cover: B of the guarantees, as configured or as the cluster is now. */
  readonly covered: number;
  /** `covered` is lower than configured, because of the state of the cluster. */
  readonly reduced: boolean;
}
