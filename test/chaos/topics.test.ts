/** The checker of topics: what it finds in lists made by hand, and in runs with faults put in on purpose. */
import { describe, expect, it } from 'vitest';
import type { ToldGap } from '../../chaos/checker/listeners.js';
import { checkTopics, type Published, type ToldMessage, type TopicEar } from '../../chaos/checker/topics.js';
import { explainResult } from '../../chaos/run.js';
import { replayCommand, runSeed } from '../../chaos/swarm.js';

/** `w:n` was published at `10 n` and acknowledged 5 later. */
function published(item: string, more: Partial<Published> = {}): Published {
  const [publisher, number] = item.split(':') as [string, string];
  const times = { call: 10 * Number(number), ret: 10 * Number(number) + 5 };
  const rest = { type: 'ok', isAcknowledged: true, ...more } as const;
  return { topic: 't', item, publisher, number: Number(number), ...times, ...rest };
}

const all = ['a:1', 'b:2', 'a:3', 'b:4', 'a:5'].map((item) => published(item));

function message(item: string, sequence: number, more: Partial<ToldMessage> = {}): ToldMessage {
  return { what: 'message', item, partition: 1, lineage: 'l', view: 2, sequence, index: 0, ...more };
}

/** Each at the position of its number. */
const told = (...items: string[]) => items.map((item) => message(item, Number(item.split(':')[1])));
const gap = (reason: ToldGap['reason'] = 'overflow'): ToldGap => ({ what: 'gap', partition: 1, reason });

function problems(
  list: readonly (ToldMessage | ToldGap)[],
  { ear = {}, messages = all, ...rules }: ReturnType<typeof given> = given({}),
): string[] {
  const one = { name: 'it', topic: 't', told: list, since: null, last: null, ...ear };
  return checkTopics([one], messages, { unexpected: [], isJudged: true, ...rules }).problems;
}

function given(of: {
  readonly ear?: Partial<TopicEar>;
  readonly messages?: readonly Published[];
  readonly unexpected?: readonly ToldGap['reason'][];
  readonly isJudged?: boolean;
}) {
  return of;
}

describe('the checker of topics', () => {
  it('finds nothing in messages that are all there, in order', () => {
    const ear = { since: 0, last: 'a:5' };
    expect(problems(told('a:1', 'b:2', 'a:3', 'b:4', 'a:5'), given({ ear }))).toEqual([]);
    expect(problems(told('a:3', 'b:4'))).toEqual([]);
    const one = { name: 'it', topic: 't', told: told('a:1', 'b:2', 'a:3'), since: 0, last: null };
    expect(checkTopics([one], all, { unexpected: [], isJudged: true }).held).toBe(2);
  });

  it('finds one that is missing: of a publisher, of another one, from the beginning, in the end', () => {
    expect(problems(told('a:1', 'b:2', 'b:4', 'a:5')).join()).toMatch(/1 messages are missing.*a:3/);
    const alone = [published('a:1'), published('b:2'), published('a:3')];
    expect(problems(told('a:1', 'a:3'), given({ messages: alone })).join()).toMatch(/missing.*b:2/);
    expect(problems(told('a:3'), given({ ear: { since: 0 } })).join()).toMatch(/missing.*a:1, b:2/);
    expect(problems(told('a:1'), given({ ear: { last: 'a:5' } })).join()).toMatch(/last message/);
  });

  it('takes a gap for what is missing at its place, and no other one', () => {
    expect(problems([...told('a:1'), gap(), ...told('b:4', 'a:5')])).toEqual([]);
    expect(problems([...told('a:1', 'a:3'), gap(), ...told('b:4', 'a:5')])).toHaveLength(1);
    expect(problems([gap('lost')], given({ unexpected: ['lost'] }))).toHaveLength(1);
  });

  it('demands nothing of what was not acknowledged, nor of what was under way with others', () => {
    const messages = [
      published('a:1'),
      published('b:2', { type: 'info', isAcknowledged: false }),
      published('a:3'),
    ];
    expect(problems(told('a:1', 'a:3'), given({ messages }))).toEqual([]);
    expect(
      problems(
        told('a:1', 'a:3', 'b:2').map((one, i) => ({ ...one, sequence: i })),
        given({ messages }),
      ),
    ).toEqual([]);
    const beside = [published('a:1'), published('b:2', { call: 0, ret: 40 }), published('a:3')];
    expect(problems(told('a:1', 'a:3'), given({ messages: beside }))).toEqual([]);
  });

  it('finds the wrong order, of positions and of a publisher', () => {
    expect(problems([message('a:1', 5), message('b:2', 4)]).join()).toMatch(/came behind/);
    expect(problems([message('a:1', 5), message('b:2', 6, { lineage: 'm' })]).join()).toMatch(/came behind/);
    expect(problems([message('a:3', 5), message('a:1', 6)]).join()).toMatch(/published later/);
  });

  it('finds one that came twice, also across a gap, and one that was not published', () => {
    expect(problems([...told('a:1'), gap(), message('a:1', 9)]).join()).toMatch(/came twice/);
    expect(problems(told('x:1')).join()).toMatch(/not published/);
    const refused = [published('a:1', { type: 'fail', isAcknowledged: false })];
    expect(problems(told('a:1'), given({ messages: refused })).join()).toMatch(/certainly not/);
    const elsewhere = [published('a:1', { topic: 'u' })];
    expect(problems(told('a:1'), given({ messages: elsewhere })).join()).toMatch(/not published here/);
  });

  it('finds listeners that were told of different orders', () => {
    const ear = (list: readonly ToldMessage[]) => ({
      name: 'it',
      topic: 't',
      told: list,
      since: null,
      last: null,
    });
    const ears = [ear([message('a:1', 1), message('b:2', 2)]), ear([message('b:2', 1), message('a:1', 2)])];
    expect(checkTopics(ears, all, { unexpected: [], isJudged: true }).problems).toHaveLength(2);
  });

  it('holds the order of positions alone where more died than is promised', () => {
    const list = [message('a:1', 1), message('a:1', 2), message('a:5', 3)];
    expect(problems(list, given({ isJudged: false }))).toEqual([]);
    expect(problems(told('a:3', 'a:1'), given({ isJudged: false }))).toHaveLength(1);
  });

  const SEEDS = [1, 2, 3];

  it.each(['dropsEvents', 'reordersEvents', 'forgetsGaps', 'freshRetryIds'] as const)(
    'finds the fault %s in runs',
    async (planted) => {
      const found: string[] = [];
      for (const seed of SEEDS) {
        const { findings } = await runSeed(seed, { planted }, 0.7, 'topic');
        found.push(
          ...findings.filter(({ guarantee }) => guarantee.startsWith('topics')).map(({ text }) => text),
        );
        if (found.length > 0) break;
      }
      expect(found.length).toBeGreaterThan(0);
    },
    60_000,
  );

  it.each([1, 2])(
    'finds nothing in seed %i',
    async (seed) => {
      const result = await runSeed(seed, {}, 1, 'topic');
      const story = explainResult(result, replayCommand(seed, undefined, 'topic'));
      expect(result.findings.length === 0 ? '' : story).toBe('');
      expect(result.reached.counts.get('message that had to be told')).toBeGreaterThan(100);
    },
    60_000,
  );
});
