/** `elsegrid map <verb>`: reads and writes a map of a running grid from the shell. */
import type { Command } from 'commander';
import type { GridMap } from '../../../partitions/services/map/proxy.js';
import { addConnectionFlags, type ConnectionFlags, withClient } from '../connection.js';
import type { CliContext } from '../context.js';
import { jsonText, table, valueText } from '../output.js';
import { argumentValue, VALUE_HELP } from '../values.js';

interface MapFlags extends ConnectionFlags {
  readonly text?: boolean;
  readonly limit?: string;
}

type UserMap = GridMap<unknown, unknown>;

interface Verb {
  readonly name: string;
  readonly arguments: readonly string[];
  readonly doc: string;
  readonly run: (map: UserMap, values: readonly unknown[]) => Promise<unknown>;
  /** How people see the result; the default is the value on one line. */
  readonly print?: (result: never) => string;
}

const done = () => 'OK';
const lines = (keys: readonly unknown[]) => keys.map(valueText).join('\n');
const entryTable = (entries: readonly (readonly [unknown, unknown])[]) =>
  table(
    ['key', 'value'],
    entries.map(([key, value]) => [valueText(key), valueText(value)]),
  );

const VERBS: readonly Verb[] = [
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
  { name: 'size', arguments: [], doc: 'print the number of entries', run: (map) => map.size() },
  {
    name: 'keys',
    arguments: [],
    doc: 'print all keys, a line each',
    run: (map) => map.keySet(),
    print: lines,
  },
  {
    name: 'entries',
    arguments: [],
    doc: 'print all entries',
    run: (map) => map.entrySet(),
    print: entryTable,
  },
  { name: 'clear', arguments: [], doc: 'remove all entries', run: (map) => map.clear(), print: done },
];

export function registerMap(program: Command, context: CliContext): void {
  const group = program
    .command('map')
    .description('read and write a map')
    .addHelpText('after', `\n${VALUE_HELP}\n\nExample: elsegrid map set users alice '{"age": 42}'`);
  for (const verb of VERBS) {
    const usage = [verb.name, '<map>', ...verb.arguments].join(' ');
    const command = group.command(usage).description(verb.doc);
    if (verb.arguments.length > 0) {
      command
        .option('--text', 'take key and value as text, not as JSON')
        .addHelpText('after', `\n${VALUE_HELP}`);
    }
    addConnectionFlags(command).action(async (name: string, ...rest: unknown[]) => {
      const texts = rest.slice(0, verb.arguments.length) as string[];
      const flags = rest[verb.arguments.length] as MapFlags;
      await run(context, verb, name, texts, flags);
    });
  }
}

async function run(
  context: CliContext,
  verb: Verb,
  name: string,
  texts: readonly string[],
  flags: MapFlags,
): Promise<void> {
  const values = texts.map((text) => argumentValue(text, flags.text));
  const result = await withClient(context, flags, (client) => verb.run(client.getMap(name), values));
  const print = verb.print ?? valueText;
  const text = flags.json ? jsonText(result) : print(result as never);
  if (text !== '') context.out(text);
}
