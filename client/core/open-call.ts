/** A call that is not settled, as the table of calls keeps it: what it asks, and how far its present attempt has come. */
import type { AnswerPlace } from '../../partitions/call.js';
import type { Place } from '../../partitions/history.js';
import type { GridError } from '../../src/base/errors.js';
import type { OperationDef } from '../../src/wire/message.js';
import type { Route } from './routes.js';
import type { Wish } from './wish.js';

export interface OpenCall {
  readonly sequence: number;
  // biome-ignore lint/suspicious/noExplicitAny: calls of any operation meet in one table
  readonly operation: OperationDef<any, any>;
  readonly isWrite: boolean;
  readonly partition: number;
  readonly structure: string;
  readonly request: unknown;
  readonly decode: (reply: never, place: AnswerPlace | null) => unknown;
  /** What it asks for beside its request; null: nothing. */
  readonly wish: Wish | null;
  readonly resolve: (value: never) => void;
  readonly reject: (error: unknown) => void;
  readonly startedMs: number;
  readonly deadlineMs: number;
  /** It may wait at the primary, which takes a caller that does not ask again for gone. */
  readonly waits: boolean;
  lineage: number;
  /** Of its first attempt; later ones are held against no less. */
  held: Place | null;
  /** The present attempt went to a replica that need not be the primary. */
  isBehind: boolean;
  /** Where the present attempt went; null while the call waits for its next one. */
  route: Route | null;
  attempts: number;
  /** When the present attempt was made, or was last seen waiting to leave. */
  attemptMs: number;
  /** How long its silence is borne. */
  patienceMs: number;
  retryAtMs: number;
  /** An attempt is unaccounted for: without an answer of the grid its effect is unknown. */
  uncertain: boolean;
  refusal: GridError | null;
  unlisten: (() => void) | null;
}
