/** How a handler says that its call has to wait for a store outside of the grid. Caught by the executor. */
import type { LoadTarget } from './service.js';

/**
 * Thrown by a handler before it has changed anything: its call waits, for the values of keys or until other calls are done
 * with them, and then the operation is run again.
 */
export class NeedsStore extends Error {
  readonly why: 'load' | 'busy';
  readonly keys: readonly Uint8Array[];
  readonly target: LoadTarget;
  /** By key: what the grid knows better than the store; undefined where the store has to be asked. */
  readonly known: readonly (Uint8Array | null | undefined)[];

  constructor(
    why: 'load' | 'busy',
    keys: readonly Uint8Array[],
    target: LoadTarget,
    known: readonly (Uint8Array | null | undefined)[] = [],
  ) {
    super(`the operation waits: ${why}`);
    this.why = why;
    this.keys = keys;
    this.target = target;
    this.known = known;
  }
}
