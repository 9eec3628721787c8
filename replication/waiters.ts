/**
 * Answers that wait for backups, in the order of their positions, one queue for each number of sync backups.
 * Synchronous; owned by the primary's side of one partition.
 */
import type { Waiter } from '../partitions/executor.js';
import { MAX_BACKUPS } from '../src/cluster/view.js';

export class Waiters {
  readonly #queues: Waiter[][] = Array.from({ length: MAX_BACKUPS + 1 }, () => []);
  readonly #heads: number[] = Array.from({ length: MAX_BACKUPS + 1 }, () => 0);
  size = 0;

  add(syncBackups: number, waiter: Waiter): void {
    const queue = this.#queues[syncBackups] as Waiter[];
    const last = queue[queue.length - 1];
    this.size++;
    if (last === undefined || last.seq <= waiter.seq || queue.length === this.#heads[syncBackups]) {
      queue.push(waiter);
      return;
    }
    // A read that shows an older write joins behind those that wait for the same position.
    let at = queue.length;
    const head = this.#heads[syncBackups] as number;
    while (at > head && (queue[at - 1] as Waiter).seq > waiter.seq) at--;
    queue.splice(at, 0, waiter);
  }

  isEmpty(syncBackups: number): boolean {
    return (this.#queues[syncBackups] as Waiter[]).length === this.#heads[syncBackups];
  }

  /** Lets everything go that waits for a position up to `seq`. */
  release(syncBackups: number, seq: number): void {
    const queue = this.#queues[syncBackups] as Waiter[];
    let head = this.#heads[syncBackups] as number;
    while (head < queue.length && (queue[head] as Waiter).seq <= seq) {
      const waiter = queue[head++] as Waiter;
      this.#heads[syncBackups] = head;
      this.size--;
      waiter.done();
    }
    this.#compact(syncBackups);
  }

  #compact(syncBackups: number): void {
    const head = this.#heads[syncBackups] as number;
    const queue = this.#queues[syncBackups] as Waiter[];
    if (head === 0 || head * 2 < queue.length) return;
    this.#queues[syncBackups] = queue.slice(head);
    this.#heads[syncBackups] = 0;
  }

  /** Takes out those whose time is over, but for those that `goesOn` lets wait longer. */
  expire(nowMs: number, goesOn: (syncBackups: number, waiter: Waiter) => boolean): Waiter[] {
    const expired: Waiter[] = [];
    if (this.size === 0) return expired;
    for (let k = 0; k < this.#queues.length; k++) {
      const waiting = (this.#queues[k] as Waiter[]).slice(this.#heads[k] as number);
      const isOver = (waiter: Waiter) => waiter.deadlineMs <= nowMs && !goesOn(k, waiter);
      const over = waiting.filter(isOver);
      if (over.length === 0) continue;
      expired.push(...over);
      const gone = new Set(over);
      this.#queues[k] = waiting.filter((waiter) => !gone.has(waiter));
      this.#heads[k] = 0;
    }
    this.size -= expired.length;
    return expired;
  }

  /** Takes out all. */
  drain(): Waiter[] {
    return this.expire(Number.POSITIVE_INFINITY, () => false);
  }
}
