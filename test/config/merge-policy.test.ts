/** Names of merge policies in a member's options, and the registry in which users add their own. */
import { describe, expect, it } from 'vitest';
import { MERGE_POLICY_NAMES, MergeFunctions } from '../../partitions/merge-policies.js';
import { checkMergePolicies } from '../../src/config/merge-policy.js';
import { memberConfig } from '../../src/config.js';
import type { MapStores } from '../../src/member/map-stores.js';
import { ModuleRegistry } from '../../src/member/registry.js';
import { ValueCodec } from '../../src/wire/values.js';
import { someFunctions } from '../services/functions.js';
import { configErrorOf } from './problem-of.js';

describe('the merge policy of a map', () => {
  it.each([...MERGE_POLICY_NAMES, 'mine'])('may be %s', (mergePolicy) => {
    const config = memberConfig({ maps: { users: { mergePolicy } } });
    expect(config.maps.users?.mergePolicy).toBe(mergePolicy);
    expect(() => checkMergePolicies(config, [...MERGE_POLICY_NAMES, 'mine'])).not.toThrow();
  });

  it('is LatestUpdate unless said otherwise', () => {
    expect(memberConfig({ maps: { users: {} } }).maps.users?.mergePolicy).toBe('LatestUpdate');
  });

  it('that nobody knows is refused with the nearest right name, each in one line', () => {
    const config = memberConfig({
      maps: {
        a: { mergePolicy: 'latest-update' },
        'b*': { mergePolicy: 'unoin' },
        c: { mergePolicy: 'zzz' },
      },
    });
    const problem = configErrorOf(() => checkMergePolicies(config, [...MERGE_POLICY_NAMES, 'union'])).message;
    expect(problem).toMatch(/maps\.a\.mergePolicy: .*"latest-update"; did you mean "LatestUpdate"\?/);
    expect(problem).toMatch(/maps.*b\*.*mergePolicy.*: .*did you mean "union"\?/);
    expect(problem).toMatch(/maps\.c\.mergePolicy: .*"zzz"; known here: LatestUpdate, .*Discard, union/);
  });
});

describe('the merge policy of a multimap', () => {
  it('is one, and its type one of two', () => {
    const row = memberConfig({ multimaps: { tags: { valueCollectionType: 'LIST' } } }).multimaps.tags;
    expect([row?.mergePolicy, row?.valueCollectionType]).toEqual(['LatestUpdate', 'LIST']);
    expect(memberConfig({ multimaps: { tags: {} } }).multimaps.tags?.valueCollectionType).toBe('SET');
    expect(() => memberConfig({ multimaps: { tags: { mergePolicy: 'Discard' as 'LatestUpdate' } } })).toThrow(
      /multimaps\.tags\.mergePolicy/,
    );
    expect(() => memberConfig({ multimaps: { tags: { valueCollectionType: 'Set' as 'SET' } } })).toThrow(
      /multimaps\.tags\.valueCollectionType.*SET/,
    );
  });
});

describe('the merge policy of an atomic long', () => {
  it('is there, and cannot be chosen', () => {
    expect(memberConfig({ atomicLongs: { hits: {} } }).atomicLongs.hits?.mergePolicy).toBe('LatestUpdate');
    expect(() =>
      memberConfig({ atomicLongs: { hits: { mergePolicy: 'Discard' as 'LatestUpdate' } } }),
    ).toThrow(/atomicLongs\.hits\.mergePolicy/);
  });
});

describe('the registry of a module', () => {
  it('adds merge functions, and refuses what is none', () => {
    const functions = new MergeFunctions(new ValueCodec());
    const registry = new ModuleRegistry(functions, someFunctions(), {} as MapStores);
    const decide = () => 1;
    registry.mergeFunction('mine', decide);
    expect(registry.mergePolicyNames).toEqual([...MERGE_POLICY_NAMES, 'mine']);
    expect(functions.find('mine')).toBe(decide);
    expect(() => registry.mergeFunction('mine', decide)).toThrow(TypeError);
    expect(() => registry.mergeFunction('x', async () => 1)).toThrow(TypeError);
  });

  it('adds entry processors, functions and a serializer, and refuses what is none', () => {
    const functions = someFunctions();
    const registry = new ModuleRegistry(new MergeFunctions(new ValueCodec()), functions, {} as MapStores);
    const process = () => 1;
    registry.entryProcessor('mine', process);
    registry.function('mine', (value) => value);
    expect(functions.processors.get('mine')).toBe(process);
    const odd: unknown[] = [async () => 1, function* () {}, 'text', undefined, class {}.prototype];
    for (const given of odd) {
      expect(() => registry.entryProcessor('x', given as never)).toThrow(TypeError);
      expect(() => registry.function('x', given as never)).toThrow(TypeError);
    }
    for (const name of ['', 'x'.repeat(257), 5, 'mine']) {
      expect(() => registry.entryProcessor(name as never, process)).toThrow(TypeError);
      expect(() => registry.function(name as never, (value) => value)).toThrow(TypeError);
    }
    for (const given of [null, {}, { encode: 1 }])
      expect(() => registry.serializer(given as never)).toThrow(TypeError);
    const serializer = { encode: () => Buffer.from('x'), decode: () => 5 };
    registry.serializer(serializer);
    expect(functions.codec.decode(functions.codec.encode({}))).toBe(5);
    expect(() => registry.serializer(serializer)).toThrow('there is one already');
  });
});
