/**
 * Holds what listeners of topics were told against what was published: nobody is told a message twice, or one that was
 * certainly not published; messages come in one order, the same for all listeners, in which those of one publisher are in
 * the order of its calls; and between two gaps no acknowledged message is missing. Called by the judge of topics. Each message
 * is published once, and names its publisher and number.
 */
import type { GapReason } from '../../partitions/events/listening.js';
import { isAfter, type ToldGap } from './listeners.js';

export interface ToldMessage {
  readonly what: 'message';
  readonly item: string;
  readonly partition: number;
  readonly lineage: string;
  readonly view: number;
  readonly sequence: number;
  readonly index: number;
}

/** One listener of one topic. */
export interface TopicEar {
  /** For people. */
  readonly name: string;
  readonly topic: string;
  /** In the order in which it was told. */
  readonly told: readonly (ToldMessage | ToldGap)[];
  /** From then on all is told, ns; null for one that was never added. */
  readonly since: number | null;
  /** Message that it must have been told, when it goes on to the end; null: it does not. */
  readonly last: string | null;
}

export interface Published {
  readonly topic: string;
  readonly item: string;
  readonly publisher: string;
  /** Messages of a publisher are published in the order of their numbers. */
  readonly number: number;
  /** Virtual ns. */
  readonly call: number;
  readonly ret: number | null;
  readonly type: 'ok' | 'fail' | 'info';
  /** It was acknowledged as such, and not found to be done when somebody asked. */
  readonly isAcknowledged: boolean;
}

export interface TopicRules {
  /** Reasons of gaps that must not come up in this run. */
  readonly unexpected: readonly GapReason[];
  /** False when more members crashed than the promise covers, and the like: only the order of positions is held. */
  readonly isJudged: boolean;
}

export interface TopicsVerdict {
  readonly problems: string[];
  /** Messages that were told, and that had to be there between two others. */
  readonly held: number;
}

const SHOWN = 5;

export function checkTopics(
  ears: readonly TopicEar[],
  published: readonly Published[],
  rules: TopicRules,
): TopicsVerdict {
  const byItem = new Map(published.map((one) => [one.item, one]));
  const problems: string[] = [];
  let held = 0;
  for (const ear of ears) {
    const own = published.filter(({ topic }) => topic === ear.topic);
    const check = new OneEar(ear, own, byItem, rules);
    problems.push(...check.run());
    held += check.held;
  }
  if (rules.isJudged) problems.push(...inOneOrder(ears));
  return { problems, held };
}

/** The same message is at the same position for everybody. */
function inOneOrder(ears: readonly TopicEar[]): string[] {
  const places = new Map<string, string>();
  const wrong = new Set<string>();
  for (const { told } of ears)
    for (const one of told) {
      if (one.what === 'gap') continue;
      const place = placeOf(one);
      const known = places.get(one.item) ?? place;
      places.set(one.item, known);
      if (known !== place) wrong.add(`${one.item} was told at ${known} and at ${place}`);
    }
  return [...wrong].slice(0, SHOWN);
}

class OneEar {
  readonly #ear: TopicEar;
  readonly #own: readonly Published[];
  readonly #byItem: ReadonlyMap<string, Published>;
  readonly #rules: TopicRules;
  readonly #problems: string[] = [];
  held = 0;

  constructor(
    ear: TopicEar,
    own: readonly Published[],
    byItem: ReadonlyMap<string, Published>,
    rules: TopicRules,
  ) {
    this.#ear = ear;
    this.#own = own;
    this.#byItem = byItem;
    this.#rules = rules;
  }

  #problem(text: string): void {
    this.#problems.push(`${this.#ear.name}: ${text}`);
  }

  run(): readonly string[] {
    const { told, since, last } = this.#ear;
    const { isJudged, unexpected } = this.#rules;
    const seen = new Set<string>();
    let stretch: ToldMessage[] = [];
    let from = since;
    for (const one of told) {
      if (one.what === 'gap') {
        if (unexpected.includes(one.reason)) this.#problem(`a gap for the reason ${one.reason}`);
        this.#stretch(stretch, from);
        stretch = [];
        from = null;
        continue;
      }
      const before = stretch.at(-1);
      if (before !== undefined && !isAfter(one, before))
        this.#problem(`${one.item} (${placeOf(one)}) came behind ${before.item} (${placeOf(before)})`);
      stretch.push(one);
      const isTwice = seen.has(one.item);
      seen.add(one.item);
      if (!isJudged) continue;
      if (isTwice) this.#problem(`${one.item} came twice`);
      const source = this.#byItem.get(one.item);
      if (source === undefined || source.topic !== this.#ear.topic)
        this.#problem(`${one.item} was not published here`);
      else if (source.type === 'fail') this.#problem(`${one.item} was told, and certainly not published`);
    }
    this.#stretch(stretch, from);
    if (last !== null && !seen.has(last)) this.#problem(`it was not told the last message, ${last}`);
    return this.#problems;
  }

  /** What was told between two gaps; `from`: all that was published since then has to be in it. */
  #stretch(told: readonly ToldMessage[], from: number | null): void {
    if (!this.#rules.isJudged) return;
    const sources = told.flatMap(({ item }) => this.#byItem.get(item) ?? []);
    this.#inOrder(sources);
    const items = new Set(told.map(({ item }) => item));
    const returned = sources.map(({ ret }) => ret ?? Number.POSITIVE_INFINITY);
    const after = Math.min(from ?? Number.POSITIVE_INFINITY, ...returned);
    const before = Math.max(Number.NEGATIVE_INFINITY, ...sources.map(({ call }) => call));
    const ranges = new Map<string, { least: number; most: number }>();
    for (const { publisher, number } of sources) {
      const range = ranges.get(publisher);
      if (range === undefined) ranges.set(publisher, { least: number, most: number });
      else Object.assign(range, { least: Math.min(range.least, number), most: Math.max(range.most, number) });
    }
    const missing: string[] = [];
    for (const one of this.#own) {
      if (!one.isAcknowledged) continue;
      const range = ranges.get(one.publisher);
      const isBetween = range !== undefined && one.number > range.least && one.number < range.most;
      if (!isBetween && !(one.call > after && (one.ret as number) < before)) continue;
      if (items.has(one.item)) this.held++;
      else missing.push(one.item);
    }
    if (missing.length > 0) {
      const some = missing.slice(0, SHOWN).join(', ');
      this.#problem(`${missing.length} messages are missing without a gap: ${some}`);
    }
  }

  /** Of one publisher; one that was not acknowledged may come late. */
  #inOrder(sources: readonly Published[]): void {
    const latest = new Map<string, Published>();
    for (const one of sources) {
      if (!one.isAcknowledged) continue;
      const before = latest.get(one.publisher);
      if (before !== undefined && before.number > one.number)
        this.#problem(`${one.item} came behind ${before.item}, which was published later`);
      latest.set(one.publisher, one);
    }
  }
}

function placeOf({ partition, lineage, view, sequence, index }: ToldMessage): string {
  return `${partition} ${lineage} ${view}: ${sequence}.${index}`;
}
