/** `elsegrid multimap <verb>`: reads and writes a multimap of a running grid from the shell. */
import type { Command } from 'commander';
import type { GridMultiMap } from '../../../partitions/services/multimap/proxy.js';
import type { CliContext } from '../context.js';
import { lines, lockVerbs, registerVerbs, type Verb, wholeVerbs } from './verbs.js';

type UserMultiMap = GridMultiMap<unknown, unknown>;

const VERBS: readonly Verb<UserMultiMap>[] = [
  {
    name: 'get',
    arguments: ['<key>'],
    doc: 'print the values of a key, a line each',
    run: (map, [key]) => map.get(key),
    print: lines,
  },
  {
    name: 'put',
    arguments: ['<key>', '<value>'],
    doc: 'put a value beside those of a key; print false when it is a SET that has it',
    run: (map, [key, value]) => map.put(key, value),
  },
  {
    name: 'remove',
    arguments: ['<key>', '<value>'],
    doc: 'remove a value of a key, and print whether there was one',
    run: (map, [key, value]) => map.remove(key, value),
  },
  {
    name: 'removeAll',
    arguments: ['<key>'],
    doc: 'remove all values of a key and print them, a line each',
    run: (map, [key]) => map.removeAll(key),
    print: lines,
  },
  {
    name: 'contains',
    arguments: ['<key>', '<value>'],
    doc: 'print whether the key has this value',
    run: (map, [key, value]) => map.containsEntry(key, value),
  },
  {
    name: 'count',
    arguments: ['<key>'],
    doc: 'print the number of values of a key',
    run: (map, [key]) => map.valueCount(key),
  },
  ...lockVerbs<UserMultiMap>(),
  ...wholeVerbs<UserMultiMap>('pairs'),
];

export function registerMultiMap(program: Command, context: CliContext): void {
  registerVerbs(program, context, {
    command: 'multimap',
    doc: 'read and write a multimap (several values for a key)',
    example: 'elsegrid multimap put tags article-1 news',
    structureOf: (client, name) => client.getMultiMap(name),
    verbs: VERBS,
  });
}
