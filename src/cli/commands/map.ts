/** `elsegrid map <verb>`: reads and writes a map of a running grid from the shell. */
import type { Command } from 'commander';
import type { GridMap } from '../../../partitions/services/map/proxy.js';
import type { CliContext } from '../context.js';
import { done, lockVerbs, registerVerbs, type Verb, wholeVerbs } from './verbs.js';

type UserMap = GridMap<unknown, unknown>;

const VERBS: readonly Verb<UserMap>[] = [
  {
    name: 'get',
    arguments: ['<key>'],
    doc: 'print the value of a key, null when there is none',
    run: (map, [key]) => map.get(key),
  },
  {
    name: 'set',
    arguments: ['<key>', '<value>'],
    doc: 'set the value of a key',
    run: (map, [key, value]) => map.set(key, value),
    print: done,
  },
  {
    name: 'put',
    arguments: ['<key>', '<value>'],
    doc: 'set the value of a key and print the old one',
    run: (map, [key, value]) => map.put(key, value),
  },
  {
    name: 'putIfAbsent',
    arguments: ['<key>', '<value>'],
    doc: 'set the value of a key that has none; print the present one, or null',
    run: (map, [key, value]) => map.putIfAbsent(key, value),
  },
  {
    name: 'remove',
    arguments: ['<key>'],
    doc: 'remove a key and print its value',
    run: (map, [key]) => map.remove(key),
  },
  {
    name: 'contains',
    arguments: ['<key>'],
    doc: 'print whether the key has a value',
    run: (map, [key]) => map.containsKey(key),
  },
  ...lockVerbs<UserMap>(),
  ...wholeVerbs<UserMap>('entries'),
];

export function registerMap(program: Command, context: CliContext): void {
  registerVerbs(program, context, {
    command: 'map',
    doc: 'read and write a map',
    example: `elsegrid map set users alice '{"age": 42}'`,
    structureOf: (client, name) => client.getMap(name),
    verbs: VERBS,
  });
}
