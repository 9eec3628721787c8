/** Which view a client routes by, of all that the members it is connected to have told it. */

import { beforeEach, describe, expect, it } from 'vitest';
import { LineageChoice } from '../../client/core/lineage-choice.js';
import { NO_TOGGLES } from '../../src/cluster/toggle.js';
import type { View } from '../../src/cluster/view.js';

function view(lineage: string, number: number, size = 3, change: Partial<View> = {}): View {
  const members = Array.from({ length: size }, (_, i) => {
    return { id: `${lineage}${i}`, address: `${lineage}:${i}`, leaving: false };
  });
  return {
    lineage,
    number,
    ordered: false,
    parent: null,
    replaced: [],
    members,
    slots: 0,
    table: [],
    target: [],
    structures: [],
    toggles: NO_TOGGLES,
    ...change,
  };
}

const FORK = { parent: { lineage: 'chain', number: 3 } };
const CHAIN = view('chain', 5, 1);
const LARGE = view('large', 9, 4, FORK);
const SMALL = view('small', 4, 2, FORK);
const TWIN = view('a-twin', 4, 2, FORK);

const APART = view('apart', 2, 5);
const ORDERED = view('ordered', 2, 1, { ordered: true });
const RECOVERED = view('recovered', 12, 2, { replaced: ['chain'] });

let choice: LineageChoice<string>;
beforeEach(() => {
  choice = new LineageChoice();
});

describe('the choice of a lineage', () => {
  it('is none while nobody has told a view, and the present one while nobody is connected', () => {
    expect(choice.choose(null)).toBeNull();
    expect(choice.choose(SMALL)).toBe(SMALL);
    choice.told('m1', LARGE);
    choice.lost('m1');
    expect(choice.choose(SMALL)).toBe(SMALL);
  });

  it.each([
    ['the majority before larger forks', [LARGE, CHAIN, SMALL], null, CHAIN],
    ['the majority also for a client that follows a fork', [SMALL, CHAIN], SMALL, CHAIN],
    ['the fork that it follows before a larger one', [LARGE, SMALL], SMALL, SMALL],
    ['the larger fork when it follows none', [SMALL, LARGE], null, LARGE],
    ['the lower id of forks of one size', [SMALL, TWIN], null, TWIN],
    ['a fork when the majority is not there any more', [SMALL], CHAIN, SMALL],
    ['its own cluster, also a fork of it, before one that was founded apart', [APART, SMALL], LARGE, SMALL],
    ['one that was founded apart when nothing else is there', [APART], SMALL, APART],
    ['what was founded by order before what it follows', [ORDERED, SMALL, APART], APART, ORDERED],
    ['the fork that a person has made the chain', [RECOVERED, APART], SMALL, RECOVERED],
  ] as const)('%s', (_name, told, present, expected) => {
    for (const order of [told, told.toReversed()]) {
      choice = new LineageChoice();
      for (const one of order) choice.told(one.lineage, one);
      expect(choice.choose(present)).toBe(expected);
    }
  });

  it('takes the newest view of a lineage, whoever told it, and never goes back', () => {
    const newer = view('chain', 8);
    choice.told('m1', newer);
    choice.told('m2', CHAIN);
    expect(choice.choose(CHAIN)).toBe(newer);
    choice.lost('m1');
    expect(choice.choose(newer)).toBe(newer);
  });

  it('counts only the last view of each member: one that has gone over tells nothing of where it was', () => {
    choice.told('m1', SMALL);
    choice.told('m1', LARGE);
    expect(choice.choose(SMALL)).toBe(LARGE);
  });
});

describe('the addresses of a client', () => {
  it('are those of its view, and in a fork all of former members as well', () => {
    choice.told('m1', CHAIN);
    choice.told('m2', SMALL);
    expect(choice.addresses(null)).toEqual([]);
    expect(choice.addresses(CHAIN)).toEqual(['chain:0']);
    expect(choice.addresses(SMALL).sort()).toEqual(['chain:0', 'small:0', 'small:1']);
  });

  it('of former members are bounded', () => {
    for (let i = 0; i < 600; i++) choice.told('m1', view(`f${i}`, i, 3, FORK));
    expect(choice.addresses(SMALL).length).toBeLessThanOrEqual(1_002);
  });
});
