/**
 * A small typed event emitter for the public API. A listener that throws is logged and stops nobody else; an event
 * without a listener is no error.
 */
import type { Logger } from './ports.js';

export class Events<T extends object> {
  readonly #listeners = new Map<keyof T, Set<(event: never) => void>>();
  readonly #logger: Logger;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** Returns a function that removes the listener. */
  on<K extends keyof T>(name: K, listener: (event: T[K]) => void): () => void {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners);
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  emit<K extends keyof T>(name: K, event: T[K]): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) {
      try {
        (listener as (event: T[K]) => void)(event);
      } catch (error) {
        this.#logger.log('error', 'an event listener threw', { event: String(name), error: String(error) });
      }
    }
  }
}

/** Throws a `TypeError` for an event that there is not, which would never come, and for a listener that is no function. */
export function checkListening(event: unknown, events: readonly string[], listener: unknown): void {
  if (typeof event !== 'string' || !events.includes(event))
    throw new TypeError(`event: ${JSON.stringify(event)} is none of ${events.join(', ')}`);
  if (typeof listener !== 'function')
    throw new TypeError(`listener: expected a function, got ${listener === null ? 'null' : typeof listener}`);
}
