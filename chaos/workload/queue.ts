/**
 * Queues into which each worker puts items of its own, each once, and out of which everybody takes, with calls that wait
 * and calls that do not. One worker calls one operation after the other.
 */
import type { SeededRandom } from '../../src/base/random.js';
import type { WorkerContext } from './caller.js';
import type { Recorder } from './recorder.js';
import type { StepsFor } from './workload.js';

export const QUEUES = 2;
/** Calls find a queue full now and then. */
export const MAX_SIZE = 10;
const MOST_DRAINED = 3;
const LONGEST_WAIT_MS = 800;

export class QueueWorker {
  readonly #context: WorkerContext;
  readonly #recorder: Recorder;
  readonly #random: SeededRandom;
  #next = 0;

  constructor(context: WorkerContext, recorder: Recorder, random: SeededRandom) {
    this.#context = context;
    this.#recorder = recorder;
    this.#random = random;
  }

  async step(): Promise<void> {
    const draw = this.#random.float();
    const { caller } = this.#context;
    const timeoutMs = this.#context.timeoutMs();
    const name = `q${this.#random.below(QUEUES)}`;
    const queue = caller.grid.getQueue<string>(name).with({ timeoutMs });
    const waitMs = this.#random.float() < 0.5 ? 0 : this.#random.below(LONGEST_WAIT_MS);
    const call = async <T>(
      f: string,
      v: unknown,
      isWrite: boolean,
      invoke: () => Promise<T>,
      outOf: (value: T) => unknown,
    ) => {
      const step = { k: `queue/${name}`, f, v };
      await this.#recorder.call(caller, step, isWrite, timeoutMs + waitMs, invoke, outOf);
    };
    if (draw < 0.3) {
      const item = this.#item();
      // What asking about it brings is null for one that found no room.
      return call(
        'offer',
        [item],
        true,
        () => queue.offer(item, waitMs),
        (out) => out === true,
      );
    }
    if (draw < 0.4) {
      const items = Array.from({ length: 2 + this.#random.below(3) }, () => this.#item());
      return call(
        'addAll',
        items,
        true,
        () => queue.addAll(items),
        (out) => out,
      );
    }
    if (draw < 0.75)
      return call(
        'poll',
        1,
        true,
        () => queue.poll(waitMs),
        (out) => (out === null ? [] : [out]),
      );
    if (draw < 0.85) {
      const drain = async (): Promise<string[] | { items: string[] }> => {
        const into: string[] = [];
        await queue.drainTo(into, MOST_DRAINED);
        return into;
      };
      return call('drain', MOST_DRAINED, true, drain, (out) => (Array.isArray(out) ? out : out.items));
    }
    return call(
      'peek',
      0,
      false,
      () => queue.peek(),
      (out) => (out === null ? [] : [out]),
    );
  }

  #item(): string {
    return `${this.#context.worker}:${this.#next++}`;
  }
}

/** Steps of workers that call nothing but queues. */
export function queueSteps(recorder: Recorder): StepsFor {
  return (context, random) => {
    const worker = new QueueWorker(context, recorder, random.fork('queue'));
    return () => worker.step();
  };
}
