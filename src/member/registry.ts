/**
 * What a module loaded with `--load` (option `modules`) gets as the argument of its default export: the place where
 * user code is registered before a member starts.
 */
import type { Member } from './member.js';

export type StartListener = (member: Member) => void | Promise<void>;

export class ModuleRegistry {
  readonly #listeners: StartListener[] = [];

  /** `listener` runs once the member is in the cluster; the start waits for it, and fails when it throws. */
  onStart(listener: StartListener): void {
    if (typeof listener !== 'function') throw new TypeError('onStart: expected a function');
    this.#listeners.push(listener);
  }

  async started(member: Member): Promise<void> {
    for (const listener of this.#listeners) await listener(member);
  }
}
