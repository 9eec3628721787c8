/**
 * Topics into which each worker publishes messages of its own, each once: one at a time, several at once through one object,
 * and several in one step. A message is `<worker>:<number>`.
 */
import type { SeededRandom } from '../../src/base/random.js';
import type { WorkerContext } from './caller.js';
import type { Recorder } from './recorder.js';
import type { StepsFor } from './workload.js';

export const TOPIC_NAMES: readonly string[] = ['news', 'prices'];
/** Topics of histories are `topic/<name>`. */
export const PUBLISHED = 'topic';
const MOST_AT_ONCE = 4;
const MOST_TOGETHER = 3;

export class TopicWorker {
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
    const { caller } = this.#context;
    const timeoutMs = this.#context.timeoutMs();
    const name = TOPIC_NAMES[this.#random.below(TOPIC_NAMES.length)] as string;
    const topic = caller.grid.getTopic<string>(name).with({ timeoutMs });
    const calls = Array.from({ length: 1 + this.#random.below(MOST_AT_ONCE) }, () => {
      const isAlone = this.#random.float() < 0.7;
      const v = Array.from({ length: isAlone ? 1 : 1 + this.#random.below(MOST_TOGETHER) }, () =>
        this.#item(),
      );
      const step = { k: `${PUBLISHED}/${name}`, f: isAlone ? 'publish' : 'publishAll', v };
      const invoke = () => (isAlone ? topic.publish(v[0] as string) : topic.publishAll(v));
      return this.#recorder.call(caller, step, true, timeoutMs, invoke);
    });
    await Promise.all(calls);
  }

  #item(): string {
    return `${this.#context.worker}:${this.#next++}`;
  }
}

/** Steps of workers that do nothing but publish. */
export function topicSteps(recorder: Recorder): StepsFor {
  return (context, random) => {
    const worker = new TopicWorker(context, recorder, random.fork('topic'));
    return () => worker.step();
  };
}
