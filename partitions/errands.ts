/**
 * What the primary of a structure has to do elsewhere in the grid, by calls of its own: they may be repeated, by this
 * primary and by those after it. Made by services, run by `src/member/errands.ts`.
 */
import type { AnyOperation } from '../src/wire/message.js';

/** One call, to the partition of the structure's name. */
export interface ErrandCall {
  readonly operation: AnyOperation;
  readonly structure: string;
  readonly request: unknown;
  /** Whether the next call may be made after this answer; else the errand begins anew later. */
  goesOn(reply: never): boolean;
}

export interface Errand {
  /** Of two with the same key in one structure only one is run at a time. */
  readonly key: string;
  /** It may begin when this position can not be lost any more. */
  readonly seq: number;
  /** One after the other. */
  readonly calls: readonly ErrandCall[];
}
