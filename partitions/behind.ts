/**
 * The E side of a call: whether it waits and goes to the primary, or is served with low latency; and what a member that is
 * not the primary may answer. Invariants: a write of a `consistent` structure is never loosened; an answer that may be
 * behind is of a position that the caller's session allows, and no older than the call allows. Called by the executor.
 */
import type { AnswerPlace, Ask } from './call.js';
import type { Gate } from './gate.js';
import { type Place, placeAt, seenBy } from './history.js';
import type { PartitionReplica } from './replica.js';
import type { Refusal, Replicator } from './replicator.js';
import { isConsistent, isLatency, type StructureOptions } from './service.js';

/** Whether the call is served with low latency rather than consistently. */
export function isLoose({ consistency }: Ask, options: StructureOptions, isWrite: boolean): boolean {
  if (isWrite && isConsistent(options)) return false;
  return consistency === null ? isLatency(options) : consistency === 'EL';
}

/**
 * Place of an answer of the primary that depends on a position. It never lies before what the session has seen, which this
 * primary has: a key that did not change for long must not let the session go back.
 */
export function placeOf(
  replica: PartitionReplica,
  seq: number,
  atLeast: Place | null = null,
  goodForMs = Number.POSITIVE_INFINITY,
): AnswerPlace {
  const position = atLeast !== null && seq <= atLeast.seq ? atLeast : placeAt(replica.history, seq);
  return { source: 'primary', ageMs: 0, position, ...sideOf(replica), goodForMs };
}

function sideOf({ history }: PartitionReplica): Pick<AnswerPlace, 'lineage' | 'view'> {
  const { lineage = 0, epoch: view = 0 } = history.at(-1) ?? {};
  return { lineage, view };
}

/** Why this primary cannot answer a session that has seen a place, or null. */
export function notSeen(replica: PartitionReplica, place: Place): Refusal | null {
  const seen = seenBy(replica, place);
  if (seen === 'here') return null;
  if (seen === 'behind')
    return { error: 'NotServing', message: 'the session has seen more than this primary has' };
  const why =
    seen === 'elsewhere'
      ? 'what the session has seen is of a lineage that is unknown here: its token is of another grid, or of one that was started anew or merged into this one since'
      : 'what the session has seen died with a primary, or its lineage was merged into another one';
  return { error: 'SessionLost', message: `${why}; begin a new session` };
}

/** What a member may answer a read from that may be behind, and of which place that is; or why it may not. */
export function behind(
  replicator: Replicator,
  gate: Gate,
  options: StructureOptions,
  { maxStalenessMs, atLeast }: Ask,
  partition: number,
  refused: { readonly lineage: number; readonly refusal: Refusal },
): { readonly replica: PartitionReplica; readonly place: Omit<AnswerPlace, 'goodForMs'> } | Refusal {
  const replica = replicator.readable(partition, isConsistent(options));
  if (replica === null) return refused.refusal;
  const closed = gate.admitBehind(options, refused.lineage);
  if (closed !== null) return closed;
  const ageMs = replicator.ageMs(replica, isConsistent(options), maxStalenessMs);
  if (maxStalenessMs !== null && !(ageMs <= maxStalenessMs)) {
    const age = ageMs === Number.POSITIVE_INFINITY ? 'of unknown age' : `up to ${Math.ceil(ageMs)} ms old`;
    return { error: 'TooStale', message: `this replica is ${age}; the call allows ${maxStalenessMs} ms` };
  }
  const seq = isConsistent(options) ? replica.everywhereSeq : replica.seq;
  if (atLeast !== null && seenBy({ seq, history: replica.history }, atLeast) !== 'here')
    return { error: 'TooStale', message: 'this replica does not have what the session has seen' };
  const position = placeAt(replica.history, seq);
  return { replica, place: { source: 'backup', ageMs, position, ...sideOf(replica) } };
}

/** Why what a replica found, that may be behind, is not to be told. */
export function notKnown(
  replica: PartitionReplica,
  options: StructureOptions,
  found: { readonly isUndecided: boolean; readonly dependency: number },
): string | null {
  if (found.isUndecided) return 'only the primary knows whether an entry was not used for too long';
  const isLate = isConsistent(options) && found.dependency > replica.everywhereSeq;
  return isLate ? 'the last change is not known to be on all replicas yet' : null;
}
