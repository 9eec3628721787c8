/** Whether a structure is served here and now, as the executor asks it. Implemented by `src/member/admission.ts`. */
import type { Refusal } from './replicator.js';
import type { StructureOptions } from './service.js';

/** Whether a structure may be served here and now, by its P policy and its split-brain protection. */
export interface Gate {
  /** Why a call is not admitted, or null. `lineage` is the one that the caller believes to talk to. */
  admit(partition: number, options: StructureOptions, isWrite: boolean, lineage: number): Refusal | null;
  /** The same for a read that may be behind, at whoever holds something of the partition. */
  admitBehind(options: StructureOptions, lineage: number): Refusal | null;
  /** Why an answer must not go out although the call was admitted, or null. */
  mayAnswer(partition: number, options: StructureOptions): Refusal | null;
}
