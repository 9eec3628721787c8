/**
 * What the primary of a structure has to do elsewhere in the grid, by calls of its own: it may be repeated, by this
 * primary and by those after it. Run by `src/member/errands.ts`.
 */
import type { Invoker } from './invoker.js';

export interface Errand {
  /** Of two with the same key in one structure only one is run at a time. */
  readonly key: string;
  /** It may begin when this position can not be lost any more. */
  readonly seq: number;
  run(invoker: Invoker): Promise<void>;
}
