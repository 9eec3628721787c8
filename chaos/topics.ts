/**
 * Listeners of topics beside a workload that publishes, and their verdict. Called by the runner.
 */
import type { Client } from '../client/api.js';
import type { Grid } from '../client/core/grid.js';
import type { GapReason } from '../partitions/events/listening.js';
import { SeededRandom } from '../src/base/random.js';
import type { ToldGap } from './checker/listeners.js';
import { checkTopics, type Published, type ToldMessage } from './checker/topics.js';
import { type ListeningRun, placeListeners } from './listening-hosts.js';
import type { Reached } from './reached.js';
import type { Entry, Finding, Recorder } from './workload/recorder.js';
import { keyOf } from './workload/recorder.js';
import { PUBLISHED, TOPIC_NAMES } from './workload/topic.js';

/** What the seeds of the suite have to reach together, besides. */
export const TOPIC_STATES: readonly string[] = [
  'ok topic/publish',
  'ok topic/publishAll',
  'listener added',
  'listener of a member',
  'listener through one member',
  'listener cut off for a while',
  'message told',
  'message that had to be told',
  'gap for the reason overflow',
];

const ADD_TIMEOUT_MS = 4_000;
const ASKS_AGAIN_MS = 100;
const REST_LIMIT_MS = 20_000;
const WRITE_TIMEOUT_MS = 15_000;
const NS_PER_MS = 1e6;
/** Publisher of the messages that end a run. */
const LAST = 'last';

interface Ear {
  readonly name: string;
  readonly topic: string;
  readonly isAlive: () => boolean;
  readonly told: (ToldMessage | ToldGap)[];
  sinceMs: number | null;
}

export interface TopicEarsHost extends ListeningRun {
  readonly seed: number;
}

export class TopicEars {
  readonly #host: TopicEarsHost;
  readonly #random: SeededRandom;
  readonly #ears: Ear[] = [];
  readonly #reached: string[] = [];
  readonly #problems: string[] = [];
  readonly #last: Published[] = [];
  #stopped = false;

  constructor(host: TopicEarsHost) {
    this.#host = host;
    this.#random = new SeededRandom(host.seed, 'topic ears');
  }

  /** Adds the listeners, each on its own. */
  start(): void {
    const listenAs = this.#listenAs.bind(this);
    placeListeners(this.#host, this.#random, this.#reached, () => this.#stopped, listenAs);
  }

  #listenAs(host: string, grid: Grid, isAlive: () => boolean): void {
    for (const topic of TOPIC_NAMES) {
      const ear: Ear = { name: `${host} ${topic}`, topic, isAlive, told: [], sinceMs: null };
      this.#ears.push(ear);
      void this.#add(ear, grid);
    }
  }

  async #add(ear: Ear, grid: Grid): Promise<void> {
    const { scheduler } = this.#host.cluster;
    const topic = grid.getTopic<string>(ear.topic).with({ timeoutMs: ADD_TIMEOUT_MS });
    while (ear.sinceMs === null && ear.isAlive()) {
      // A further attempt is a further listener: what the one before was told does not go on.
      ear.told.length = 0;
      let isOn = true;
      const added = topic.addMessageListener({
        message: ({ messageObject: item, position }) => {
          if (isOn) ear.told.push({ what: 'message', item, ...position });
          else this.#problems.push(`${ear.name}: told of ${item} although it was not added`);
        },
        gap: ({ partition, reason }) => void ear.told.push({ what: 'gap', partition, reason }),
      });
      await added.then(
        () => {
          ear.sinceMs = scheduler.now;
          this.#reached.push('listener added');
        },
        (error: { readonly code?: string }) => {
          isOn = false;
          if (error.code !== 'ERR_TIMEOUT') this.#problems.push(`${ear.name}: not added: ${String(error)}`);
        },
      );
      if (ear.sinceMs === null)
        await new Promise<void>((on) => scheduler.schedule(scheduler.now + ASKS_AGAIN_MS, on));
    }
  }

  /** Publishes once more into each topic, and waits until whoever listens still has heard of it. */
  async finish(grid: Client): Promise<void> {
    const { cluster } = this.#host;
    this.#stopped = true;
    const living = () => this.#ears.filter(({ isAlive }) => isAlive());
    await cluster.until(() => living().every(({ sinceMs }) => sinceMs !== null), REST_LIMIT_MS);
    for (const { name, sinceMs } of living())
      if (sinceMs === null) this.#problems.push(`${name}: could not be added`);
    let left = TOPIC_NAMES.length;
    const now = () => Math.round(cluster.scheduler.now * NS_PER_MS);
    for (const topic of TOPIC_NAMES) {
      const item = `${LAST}:${topic}`;
      const call = now();
      const done = () => {
        const what = { topic, item, publisher: LAST, number: 0, call, ret: now() };
        this.#last.push({ ...what, type: 'ok', isAcknowledged: true });
      };
      const options = { timeoutMs: WRITE_TIMEOUT_MS, consistency: 'EC' } as const;
      void grid
        .getTopic<string>(topic)
        .with(options)
        .publish(item)
        .then(done, (error) => void this.#problems.push(`nothing could be published in the end: ${error}`))
        .finally(() => {
          left--;
        });
    }
    await cluster.until(() => left === 0, 2 * REST_LIMIT_MS);
    const hasHeard = ({ told, topic }: Ear) =>
      told.some((one) => one.what === 'message' && one.item === `${LAST}:${topic}`);
    await cluster.until(() => living().every(hasHeard), REST_LIMIT_MS);
  }

  /** `unexpected`: reasons of gaps that must not come up. */
  judge(
    recorder: Recorder,
    unexpected: readonly GapReason[],
    isJudged: boolean,
    reached: Reached,
  ): Finding[] {
    const published = [...recorder.entries.flatMap(publishedIn), ...this.#last];
    const ears = this.#ears.map(({ name, topic, told, sinceMs, isAlive }) => {
      const isThere = isAlive() && sinceMs !== null;
      const last = isThere ? (this.#last.find((one) => one.topic === topic)?.item ?? null) : null;
      return { name, topic, told, since: sinceMs === null ? null : sinceMs * NS_PER_MS, last };
    });
    const { problems, held } = checkTopics(ears, published, { unexpected, isJudged });
    for (const state of this.#reached) reached.add(state);
    reached.add('message that had to be told', held);
    for (const { told } of this.#ears)
      for (const one of told)
        reached.add(one.what === 'message' ? 'message told' : `gap for the reason ${one.reason}`);
    return [...this.#problems, ...problems].map((text) => ({
      guarantee: 'topics: in order, once, no gap untold',
      text,
    }));
  }
}

function publishedIn(entry: Entry): Published[] {
  if (!entry.k.startsWith(`${PUBLISHED}/`)) return [];
  const { type, callMs, retMs, resolution } = entry;
  const rest = {
    topic: keyOf(entry),
    call: callMs * NS_PER_MS,
    ret: retMs === null ? null : retMs * NS_PER_MS,
    type: type === 'open' ? ('info' as const) : type,
    isAcknowledged: type === 'ok' && resolution === undefined,
  };
  return (entry.v as string[]).map((item) => {
    const [publisher, number] = item.split(':') as [string, string];
    return { ...rest, item, publisher, number: Number(number) };
  });
}
