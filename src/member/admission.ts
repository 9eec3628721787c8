/**
 * Whether a structure is served here and now: its P policy (a `consistent` one only under a lease of the majority, in a
 * lineage that was founded by order), and its split-brain protection. Asked for each call, at its admission and again
 * when its answer goes out. Called by the executor.
 */
import type { Caller } from '../../partitions/call.js';
import type { Gate } from '../../partitions/gate.js';
import type { Refusal } from '../../partitions/replicator.js';
import { isConsistent, type StructureOptions } from '../../partitions/service.js';
import type { Replication } from '../../replication/replication.js';
import type { Clock } from '../base/ports.js';
import type { Lineages } from '../cluster/lineages.js';
import type { StructureRow } from '../cluster/view.js';
import { protectionFor } from '../config/protection.js';
import { strictOptions } from '../config/rows.js';
import { Waking } from './waking.js';

/** Faults that tests put in on purpose; never set outside of them. */
export interface AdmissionFaults {
  /** A `consistent` structure is read without a look at the lease. */
  readonly leaseUnchecked?: boolean;
  /** A fork serves `consistent` structures. */
  readonly forkServesConsistent?: boolean;
  /** A member serves under the presets that it knows, although the caller knows a newer view. */
  readonly oldPromiseServed?: boolean;
}

const OTHER_LINEAGE: Refusal = {
  error: 'OtherLineage',
  message: 'this member is in another lineage than the one that the call was sent to',
};
const IN_FORK: Refusal = {
  error: 'InFork',
  message: 'this side of a split has no majority, and the structure is consistent (PC)',
};
const NOT_FOUNDED: Refusal = {
  error: 'NotFounded',
  message:
    'the structure is consistent (PC) and this cluster was not founded by an order; run `elsegrid cluster found` once',
};
const NO_LEASE: Refusal = {
  error: 'NoLease',
  message:
    'this member cannot prove now that it belongs to the majority, and the structure is consistent (PC)',
};
const TAKING_OVER: Refusal = {
  error: 'NoLease',
  message: 'the lease of the former primary may not have ended yet',
};

export interface AdmissionParts {
  readonly lineages: () => Lineages;
  readonly replication: () => Replication;
  readonly clock: Clock;
  readonly rows: () => readonly StructureRow[];
  /** Tag of the lineage that this member is in. */
  readonly lineage: () => number;
  readonly isFoundOrdered: () => boolean;
  readonly faults: AdmissionFaults;
}

export class Admission implements Gate {
  readonly #parts: AdmissionParts;
  readonly waking: Waking;
  leaseRefusals = 0;
  forkRefusals = 0;

  constructor(parts: AdmissionParts) {
    this.#parts = parts;
    this.waking = new Waking({
      now: () => parts.clock.now(),
      view: () => parts.lineages().view,
      heardWithin: (id, withinMs) =>
        parts.lineages().roster.detector.heardWithin(id, withinMs, parts.clock.now()),
    });
  }

  /**
   * Of a call whose caller knows a newer view, which may have another preset: the strictest that it can have by then. The same
   * for any call while this member cannot know what it has slept through.
   */
  asKnown(options: StructureOptions, { lineage, view }: Caller): StructureOptions {
    const known = this.#parts.lineages().known;
    if (known === null || lineage !== this.#parts.lineage()) return options;
    if (view <= known.number && !this.waking.isWaking()) return options;
    if (this.#parts.faults.oldPromiseServed === true) return options;
    // Only a chain that was founded by order can have become consistent meanwhile.
    return strictOptions(options, this.#parts.rows(), known.ordered && known.parent === null);
  }

  admit(partition: number, options: StructureOptions, isWrite: boolean, lineage: number): Refusal | null {
    if (lineage !== 0 && lineage !== this.#parts.lineage()) return OTHER_LINEAGE;
    if (isConsistent(options)) {
      const refusal = this.#consistent(partition);
      if (refusal !== null) return refusal;
    }
    return options.splitBrainProtection === '' ? null : this.#protection(options, isWrite);
  }

  admitBehind(options: StructureOptions, lineage: number): Refusal | null {
    if (lineage !== 0 && lineage !== this.#parts.lineage()) return OTHER_LINEAGE;
    return options.splitBrainProtection === '' ? null : this.#protection(options, false);
  }

  mayAnswer(partition: number, options: StructureOptions): Refusal | null {
    return isConsistent(options) ? this.#consistent(partition) : null;
  }

  #consistent(partition: number): Refusal | null {
    const { faults, clock } = this.#parts;
    const lineages = this.#parts.lineages();
    const { view } = lineages;
    // The order is given, and takes effect with the next view.
    if (view !== null && !view.ordered) return this.#parts.isFoundOrdered() ? NO_LEASE : NOT_FOUNDED;
    if (view === null || view.parent !== null) {
      if (faults.forkServesConsistent === true) return null;
      this.forkRefusals++;
      return IN_FORK;
    }
    if (faults.leaseUnchecked === true) return null;
    const nowMs = clock.now();
    if (!lineages.lease.holds(nowMs)) {
      this.leaseRefusals++;
      return NO_LEASE;
    }
    return nowMs < this.#parts.replication().consistentFromMs(partition) ? TAKING_OVER : null;
  }

  /** Decided on who is heard now, so that it bites before members are removed. */
  #protection(options: StructureOptions, isWrite: boolean): Refusal | null {
    const protection = protectionFor(options, this.#parts.rows());
    if (protection === null) return null;
    const { protectOn, minimumClusterSize } = protection;
    if (protectOn !== 'READ_WRITE' && (protectOn === 'WRITE') !== isWrite) return null;
    const lineages = this.#parts.lineages();
    const { view } = lineages;
    const heard = view === null ? 0 : lineages.roster.heardOf(view, this.#parts.clock.now());
    if (heard >= minimumClusterSize) return null;
    return {
      error: 'SplitBrainProtection',
      message: `split-brain protection '${options.splitBrainProtection}' asks for ${minimumClusterSize} members, and ${heard} are heard now`,
    };
  }
}
