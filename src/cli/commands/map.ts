/** `elsegrid map <verb>`: reads and writes a map of a running grid from the shell. */
import type { Command } from 'commander';
import type { Predicate } from '../../../partitions/query/predicate.js';
import { Predicates } from '../../../partitions/query/predicates.js';
import type { GridMap } from '../../../partitions/services/map/proxy.js';
import type { QueryExplanation } from '../../../partitions/services/map/proxy-query.js';
import { QuerySyntaxError } from '../../base/errors.js';
import { type CliContext, CommandError } from '../context.js';
import { table } from '../output.js';
import { done, entryTable, lockVerbs, registerVerbs, type Verb, wholeVerbs } from './verbs.js';

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
  {
    name: 'query',
    arguments: ['<where>'],
    doc: 'print the entries that match, for example "age > 30 AND name LIKE \'J%\'"',
    isText: true,
    run: (map, [where]) => map.entrySetWithPredicate(whereOf(where as string)),
    print: entryTable,
  },
  {
    name: 'explainQuery',
    arguments: ['<where>'],
    doc: 'run a query and print how many entries it looked at, and with which indexes',
    isText: true,
    run: (map, [where]) => map.explainQuery(whereOf(where as string)),
    print: explanationTable,
  },
  ...wholeVerbs<UserMap>('entries'),
];

/** Shows people the place in the text that could not be read. */
function whereOf(text: string): Predicate {
  try {
    return Predicates.sql(text);
  } catch (error) {
    if (!(error instanceof QuerySyntaxError)) throw error;
    throw new CommandError(`${error.message}\n  ${text}\n  ${' '.repeat(error.position)}^`, 2);
  }
}

function explanationTable({ matched, visited, partitions, used }: QueryExplanation): string {
  const indexes = Object.entries(used).map(
    ([name, count]) => `${name || 'all entries'} (${count} partitions)`,
  );
  return table(
    ['matched', 'visited', 'partitions', 'by'],
    [[matched, visited, partitions, indexes.join(', ')]],
  );
}

export function registerMap(program: Command, context: CliContext): void {
  registerVerbs(program, context, {
    command: 'map',
    doc: 'read and write a map',
    example: `elsegrid map set users alice '{"age": 42}'`,
    structureOf: (client, name) => client.getMap(name),
    verbs: VERBS,
  });
}
