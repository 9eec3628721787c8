/**
 * Checks of queues whose items have to be acknowledged, without a search: each item is put in once, so its hand-outs are
 * told apart by their counts. `checkDeliveries` holds what must be so whatever happens: nothing is done twice without being
 * reported, nothing is lost, what was acknowledged does not come back, and only who has an item acknowledges it.
 * `checkTurns` is for one queue in one order: an item comes back when it may and not before, to its old place.
 */
import type { HistoryOperation } from './history.js';

const SHOWN = 5;
const NEVER = Number.POSITIVE_INFINITY;
const NS = 1e6;
/** A call of unknown outcome takes effect so long after it was made at the most. */
const LATEST_MS = 15_000;

interface Times {
  readonly call: number;
  readonly ret: number;
  readonly isKnown: boolean;
}

interface HandOut extends Times {
  readonly by: number;
  readonly count: number;
  readonly ackMs: number;
}

interface Told extends Times {
  readonly count: number;
  readonly ms: number;
}

interface Story {
  readonly item: string;
  added: Times | null;
  readonly polls: Times[];
  readonly handOuts: HandOut[];
  readonly acks: Told[];
  /** Whoever acknowledged it did not have it. */
  readonly nacks: Told[];
  readonly extensions: Told[];
  isLeft: number;
  isDead: number;
}

/** What is there in the end. */
export interface Left {
  readonly items: readonly string[];
  readonly dead: readonly string[];
}

export interface Limits {
  readonly maxDeliveries: number;
  /** Items of merge reports; null: one whose value is not known. */
  readonly reported: readonly (string | null)[];
}

function storiesOf(history: readonly HistoryOperation[], left: Left): Map<string, Story> {
  const stories = new Map<string, Story>();
  const of = (item: string): Story => {
    const known = stories.get(item);
    if (known !== undefined) return known;
    const lists = { polls: [], handOuts: [], acks: [], nacks: [], extensions: [] };
    const story: Story = { item, added: null, ...lists, isLeft: 0, isDead: 0 };
    stories.set(item, story);
    return story;
  };
  for (const { c, f, v, call, ret, type, out } of history) {
    const times = { call, ret: ret ?? NEVER, isKnown: type === 'ok' };
    if (type === 'fail') continue;
    if (f === 'offer') {
      if (out !== false) for (const item of v as string[]) of(item).added = times;
    } else if (f === 'poll' && type === 'ok') for (const item of out as string[]) of(item).polls.push(times);
    else if (f === 'hand' && type === 'ok') {
      const [item, count] = out as [string?, number?];
      if (item !== undefined)
        of(item).handOuts.push({ ...times, by: c, count: count as number, ackMs: v as number });
    } else if (f === 'ack' || f === 'nack' || f === 'extend') {
      const [item, count, ms] = v as [string, number, number];
      if (type === 'ok' && out === false) continue;
      const list = f === 'ack' ? 'acks' : f === 'nack' ? 'nacks' : 'extensions';
      of(item)[list].push({ ...times, count, ms });
    }
  }
  for (const item of left.items) of(item).isLeft++;
  for (const item of left.dead) of(item).isDead++;
  return stories;
}

const known = <T extends Times>(all: readonly T[]): T[] => all.filter(({ isKnown }) => isKnown);

/** How often an item was done for certain, or is there still. */
function endsOf({ polls, acks, isLeft, isDead }: Story): number {
  return polls.length + known(acks).length + isLeft + isDead;
}

/** A line for each kind of problem. */
export function checkDeliveries(
  history: readonly HistoryOperation[],
  left: Left,
  { maxDeliveries, reported }: Limits,
): string[] {
  const stories = [...storiesOf(history, left).values()];
  const named = new Set(reported);
  let unnamed = reported.filter((item) => item === null).length;
  const isReported = (item: string) => named.has(item) || unnamed-- > 0;
  const isInSplit = reported.length > 0;
  const unknownPolls = history.filter(({ f, type }) => f === 'poll' && type === 'info').length;
  const lost = stories.filter(
    (story) =>
      story.added?.isKnown === true &&
      endsOf(story) === 0 &&
      story.acks.length === 0 &&
      !named.has(story.item),
  );
  const back = (story: Story) => {
    const doneMs = Math.min(...[...story.polls, ...known(story.acks)].map(({ ret }) => ret));
    return story.isLeft > 0 ? doneMs < NEVER : story.handOuts.some(({ call }) => call > doneMs);
  };
  return [
    ...told(
      'done more than once, or done and there still',
      stories.filter((story) => endsOf(story) > 1 && !isReported(story.item)),
    ),
    ...told('put in, and lost', lost.length > unknownPolls ? lost : []),
    ...told(
      'handed out or there, and never put in',
      stories.filter(({ added, item }) => added === null && !named.has(item)),
    ),
    ...told(
      'done, and handed out again or there',
      stories.filter((story) => back(story) && !named.has(story.item) && !isInSplit),
    ),
    ...told(
      'handed out more often than they may be',
      stories.filter(({ handOuts }) => handOuts.some(({ count }) => count > maxDeliveries)),
    ),
  ];
}

/** `deaths`: when the process of a caller ended, ms. `isTimed`: whether all callers are heard as long as they live. */
export function checkTurns(
  history: readonly HistoryOperation[],
  left: Left,
  maxDeliveries: number,
  deaths: ReadonlyMap<number, number>,
  isTimed: (caller: number) => boolean,
): string[] {
  const stories = [...storiesOf(history, left).values()];
  const unknown = history.filter(({ f, type }) => (f === 'poll' || f === 'hand') && type === 'info');
  return [
    ...told('handed out twice under one number', stories.filter(hasTwoOfOneNumber)),
    ...told('acknowledged by somebody who did not have them any more', stories.filter(isStolen)),
    ...told(
      'handed out again before they came back',
      stories.filter((story) => isEarly(story, deaths, isTimed)),
    ),
    ...told('passed over', passedOver(history, stories, unknown, maxDeliveries)),
    ...told(
      'in the dead-letter queue before their last try',
      stories.filter(
        ({ isDead, handOuts }) =>
          isDead > 0 && unknown.length === 0 && !handOuts.some(({ count }) => count === maxDeliveries),
      ),
    ),
  ];
}

function hasTwoOfOneNumber({ handOuts }: Story): boolean {
  return new Set(handOuts.map(({ count }) => count)).size < handOuts.length;
}

function isStolen({ handOuts, acks }: Story): boolean {
  return known(acks).some(({ count, call }) =>
    handOuts.some((other) => other.count > count && other.ret < call),
  );
}

function isEarly(
  { handOuts, nacks, extensions }: Story,
  deaths: ReadonlyMap<number, number>,
  isTimed: (caller: number) => boolean,
): boolean {
  return handOuts.some((first) => {
    if (!isTimed(first.by) || nacks.some(({ count }) => count === first.count)) return false;
    const deathMs = deaths.get(first.by);
    let backAt = first.call + first.ackMs * NS;
    for (const { count, call, ms, isKnown } of extensions) {
      if (count !== first.count) continue;
      backAt = isKnown ? call + ms * NS : Math.min(backAt, call + ms * NS);
    }
    if (deathMs !== undefined) backAt = Math.min(backAt, deathMs * NS);
    return handOuts.some(({ count, ret }) => count > first.count && ret < backAt);
  });
}

/** Items that could be taken all the time while a call got nothing, or one that was put in later. */
function passedOver(
  history: readonly HistoryOperation[],
  stories: readonly Story[],
  unknown: readonly HistoryOperation[],
  maxDeliveries: number,
): Story[] {
  const found = new Set<Story>();
  const byItem = new Map(stories.map((story) => [story.item, story]));
  for (const look of history) {
    const { f, type, k, call, out } = look;
    if ((f !== 'poll' && f !== 'hand') || type !== 'ok') continue;
    const [got] = out as [string?];
    const gotAdded = got === undefined ? NEVER : byItem.get(got)?.added?.call;
    if (gotAdded === undefined) continue;
    const ret = look.ret as number;
    for (const story of stories) {
      const { added } = story;
      if (added?.isKnown !== true || story.item === got || added.ret >= Math.min(gotAdded, call)) continue;
      if (
        !history.some((each) => each.k === k && each.f === 'offer' && (each.v as string[])[0] === story.item)
      )
        continue;
      const since = presentSince(story, call, ret, maxDeliveries);
      const mayBeGone = unknown.some(
        (each) => each.k === k && each.call < ret && each.call > (since ?? 0) - LATEST_MS * NS,
      );
      if (since !== null && !mayBeGone) found.add(story);
    }
  }
  return [...found];
}

/** From when on the item is in the queue for certain until `ret`; null when it may not be there at `call` already. */
function presentSince(
  { added, polls, handOuts, acks, nacks }: Story,
  call: number,
  ret: number,
  maxDeliveries: number,
): number | null {
  if (polls.some((poll) => poll.call < ret) || acks.some((ack) => ack.call < ret)) return null;
  const before = handOuts.filter((handOut) => handOut.call < ret);
  if (before.length === 0) return (added as Times).ret;
  const last = before.reduce((a, b) => (b.count > a.count ? b : a));
  const nack = known(nacks).find(({ count, ms }) => count === last.count && ms === 0);
  const isBack = nack !== undefined && nack.ret < call && last.count < maxDeliveries;
  return isBack ? nack.ret : null;
}

function told(what: string, stories: readonly Story[]): string[] {
  if (stories.length === 0) return [];
  const shown = stories.slice(0, SHOWN).map(({ item }) => item);
  return [`${stories.length} items were ${what}: ${shown.join(', ')}`];
}
