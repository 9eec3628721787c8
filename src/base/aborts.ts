/**
 * Abort signals of calls. One listener for each signal, however many calls share it: Node warns of a leak from the
 * eleventh on. Used by `calls.ts`, loads and iterators of events.
 */
export class Aborts {
  readonly #bySignal = new WeakMap<AbortSignal, Set<() => void>>();

  /** Calls `fn` once when the signal is aborted; returns what ends that. */
  listen(signal: AbortSignal, fn: () => void): () => void {
    const waiting = this.#bySignal.get(signal) ?? this.#firstOf(signal);
    waiting.add(fn);
    return () => {
      waiting.delete(fn);
    };
  }

  #firstOf(signal: AbortSignal): Set<() => void> {
    const waiting = new Set<() => void>();
    this.#bySignal.set(signal, waiting);
    const aborted = () => {
      for (const fn of [...waiting]) fn();
    };
    signal.addEventListener('abort', aborted, { once: true });
    return waiting;
  }
}
