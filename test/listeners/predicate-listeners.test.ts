/** Entry listeners with predicates: the set of entries that match, by rule and in whole clusters. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AskedPredicates } from '../../listeners/asked.js';
import { EntryFilter } from '../../listeners/filter.js';
import { EVENT_KINDS, type EventKind } from '../../partitions/events/event.js';
import { Predicates } from '../../partitions/query/predicates.js';
import type { EntryEvent, EntryListener } from '../../partitions/services/proxy-listeners.js';
import { encodeKey } from '../../src/wire/keys.js';
import { ValueCodec } from '../../src/wire/values.js';
import { clusterOf, connected, done, runUntilView } from '../cluster/scenario.js';

const codec = new ValueCodec();
const bytes = (value: unknown) => (value === null ? null : codec.encode(value));
const ALL = 2 ** EVENT_KINDS.length - 1;
const isOfAge = Predicates.greaterEqual('age', 18);

function filtered(kind: EventKind, value: unknown, old: unknown, kinds = ALL): string | null {
  const filter = new EntryFilter({ kinds, key: null, asked: new AskedPredicates().take(isOfAge) });
  const key = encodeKey('k');
  const told = filter.of({ seq: 1, index: 0, entries: 1, kind, key, value: bytes(value), old: bytes(old) });
  if (told === null) return null;
  return `${told.kind} ${told.value === null ? '-' : 'new'} ${told.old === null ? '-' : 'old'}`;
}

describe('a filter of events', () => {
  const [young, adult, older] = [{ age: 17 }, { age: 18 }, { age: 60 }];

  it.each([
    ['added', adult, null, 'added new -'],
    ['added', young, null, null],
    ['updated', adult, young, 'added new -'],
    ['updated', older, adult, 'updated new old'],
    ['updated', young, adult, 'removed - old'],
    ['updated', young, young, null],
    ['removed', null, adult, 'removed - old'],
    ['removed', null, young, null],
    ['expired', null, adult, 'expired - old'],
    ['evicted', null, adult, 'evicted - old'],
    ['merged', adult, young, 'merged new -'],
    ['merged', young, adult, 'removed - old'],
    ['mapCleared', null, null, 'mapCleared - -'],
  ] as const)('tells of %s %j %j: %s', (kind, value, old, told) => {
    expect(filtered(kind, value, old)).toBe(told);
  });

  it('looks at the kind that is told, not at that of the change', () => {
    const bit = (kind: EventKind) => 1 << EVENT_KINDS.indexOf(kind);
    expect(filtered('updated', adult, young, bit('updated'))).toBe(null);
    expect(filtered('updated', adult, young, bit('added'))).toBe('added new -');
    expect(filtered('updated', young, adult, bit('removed'))).toBe('removed - old');
  });

  it('takes what it cannot read for a match', () => {
    const filter = new EntryFilter({ kinds: ALL, key: null, asked: new AskedPredicates().take(isOfAge) });
    const event = { seq: 1, index: 0, entries: 1, kind: 'added', key: encodeKey('k'), old: null } as const;
    expect(filter.of({ ...event, value: Uint8Array.of(0xee) })?.kind).toBe('added');
  });

  it('keeps the set of entries that match, whatever happens to entries', () => {
    const age = fc.option(fc.integer({ min: 16, max: 20 }));
    const property = fc.property(fc.array(age), (ages) => {
      let [before, isIn]: [number | null, boolean] = [null, false];
      for (const now of ages) {
        if (before === null && now === null) continue;
        const kind = before === null ? 'added' : now === null ? 'removed' : 'updated';
        const value = (years: number | null) => (years === null ? null : { age: years });
        const told = filtered(kind, value(now), value(before))?.split(' ')[0];
        if (told === 'added') expect(isIn).toBe(false);
        else if (told !== undefined) expect(isIn).toBe(true);
        if (told !== undefined) isIn = told !== 'removed';
        before = now;
        expect(isIn).toBe(now !== null && now >= 18);
      }
    });
    fc.assert(property);
  });
});

interface Person {
  readonly age: number;
}

class Heard {
  readonly texts: string[] = [];
  readonly gaps: string[] = [];

  get listener(): EntryListener<string, Person> {
    const note = (kind: string) => (event: EntryEvent<string, Person>) => {
      this.texts.push(`${kind} ${event.key} ${event.value?.age} ${event.oldValue?.age}`);
    };
    return {
      added: note('added'),
      updated: note('updated'),
      removed: note('removed'),
      gap: ({ reason }) => void this.gaps.push(reason),
    };
  }
}

describe('an entry listener with a predicate', () => {
  const member = { partitionCount: 5, timings: 'local' } as const;

  it('is told of the entries that match, with and without values, also behind a crash', async () => {
    const cluster = await clusterOf(3, { seed: 1, member });
    const [writer, reader] = [await connected(cluster), await connected(cluster)];
    const listened = reader.getMap<string, Person>('m');
    const [heard, bare, ofKey] = [new Heard(), new Heard(), new Heard()];
    await done(cluster, listened.addEntryListenerWithPredicate(heard.listener, isOfAge, null, true));
    await done(cluster, listened.addEntryListenerWithPredicate(bare.listener, isOfAge));
    await done(cluster, listened.addEntryListenerWithPredicate(ofKey.listener, isOfAge, 'bob', true));
    const map = writer.getMap<string, Person>('m');
    for (const age of [17, 18, 19, 16]) await done(cluster, map.set('ada', { age }));
    await done(cluster, map.set('bob', { age: 40 }));
    cluster.crash('m2');
    await done(cluster, map.set('ada', { age: 30 }));
    await done(cluster, map.delete('bob'));
    await runUntilView(cluster, ['m1', 'm3'], 10_000);
    await cluster.scheduler.runFor(2_000);
    const of = (texts: readonly string[], key: string) => texts.filter((text) => text.split(' ')[1] === key);
    expect(of(heard.texts, 'ada')).toEqual([
      'added ada 18 undefined',
      'updated ada 19 18',
      'removed ada undefined 19',
      'added ada 30 undefined',
    ]);
    expect(of(heard.texts, 'bob')).toEqual(['added bob 40 undefined', 'removed bob undefined 40']);
    const kinds = (texts: readonly string[]) => texts.map((text) => text.split(' ')[0]);
    expect(kinds(of(bare.texts, 'ada'))).toEqual(['added', 'updated', 'removed', 'added']);
    expect(bare.texts.every((text) => text.endsWith('undefined undefined'))).toBe(true);
    expect(ofKey.texts).toEqual(of(heard.texts, 'bob'));
    expect([heard.gaps, bare.gaps, ofKey.gaps]).toEqual([[], [], []]);
  });

  it('is refused with a TypeError for what is no predicate', async () => {
    const cluster = await clusterOf(1, { seed: 2, member });
    const map = (await connected(cluster)).getMap('m');
    const add = (...given: unknown[]) =>
      map.addEntryListenerWithPredicate(...(given as Parameters<typeof map.addEntryListenerWithPredicate>));
    await expect(add({ gap() {} }, undefined)).rejects.toThrow(TypeError);
    await expect(add({ gap() {} }, { kind: 'compare', path: 'age' })).rejects.toThrow(TypeError);
    await expect(add(null, isOfAge)).rejects.toThrow(/listener: expected an object of functions/);
    await expect(add({ gap() {} }, isOfAge, null, 1)).rejects.toThrow(
      /includeValue: expected a boolean, got number/,
    );
  });
});
