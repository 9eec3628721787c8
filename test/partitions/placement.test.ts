/** Where requests belong. */
import { expect, it } from 'vitest';
import { murmur3, partitionOf } from '../../partitions/hash.js';
import { Placement } from '../../partitions/placement.js';
import type { Service } from '../../partitions/service.js';
import { SERVICES } from '../../partitions/services/index.js';
import { encodeKey, withAffinity } from '../../src/wire/keys.js';

const COUNT = 7;
const placement = new Placement(COUNT);
const rightOnes = (service: Service, structure: string, request: unknown) =>
  Array.from({ length: COUNT }, (_, partition) => partition).filter((partition) =>
    placement.isRight(service, structure, request, partition),
  );
const of = (key: unknown) => partitionOf(murmur3(encodeKey(key)), COUNT);
const serviceOf = (name: string) => SERVICES.find(({ service }) => service.name === name)?.service as Service;

it('a request with keys belongs into the partition of all of them, and one with none anywhere', () => {
  const [map, multimap] = [serviceOf('map'), serviceOf('multiMap')];
  const [a, b] = ['a', 'b'].map((key) => encodeKey(key)) as [Uint8Array, Uint8Array];
  expect(of('a')).not.toBe(of('b'));
  expect(rightOnes(map, 'm', { key: a })).toEqual([of('a')]);
  expect(rightOnes(map, 'm', { keys: [a, a] })).toEqual([of('a')]);
  expect(rightOnes(map, 'm', { keys: [a, b] })).toEqual([]);
  expect(rightOnes(map, 'm', { entries: [{ key: b }] })).toEqual([of('b')]);
  expect(rightOnes(multimap, 'm', { pairs: [{ key: b }, { key: a }] })).toEqual([]);
  expect(rightOnes(map, 'm', { cursor: 0 })).toHaveLength(COUNT);
  expect(rightOnes(map, 'm', { key: encodeKey(withAffinity('a', 'b')) })).toEqual([of('b')]);
});

it.each(['queue', 'atomicLong', 'topic'])('a %s is in the partition of its name', (name) => {
  expect(rightOnes(serviceOf(name), 'jobs', { key: encodeKey('a') })).toEqual([of('jobs')]);
  expect(rightOnes(serviceOf(name), 'jobs', {})).toEqual([of('jobs')]);
});
