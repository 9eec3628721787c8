/**
 * What the commands of data structures with keys have in common: a command for each verb, whose arguments are a name,
 * and then keys and values. Called by the commands map and multimap.
 */
import type { Command } from 'commander';
import { addConnectionFlags, type ConnectionFlags, withClient } from '../connection.js';
import type { CliContext } from '../context.js';
import type { GridClient } from '../grid-api.js';
import { jsonText, table, valueText } from '../output.js';
import { argumentValue, VALUE_HELP } from '../values.js';

interface Flags extends ConnectionFlags {
  readonly text?: boolean;
}

export interface Verb<S> {
  readonly name: string;
  /** As they stand in the usage: `<key>`, `<value>`. */
  readonly arguments: readonly string[];
  readonly doc: string;
  /** Its arguments are text, whatever they look like. */
  readonly isText?: true;
  readonly run: (structure: S, values: readonly unknown[]) => Promise<unknown>;
  /** How people see the result; the default is the value on one line. */
  readonly print?: (result: never) => string;
}

export interface VerbGroup<S> {
  /** `map`, in usage and as the name of the command. */
  readonly command: string;
  readonly doc: string;
  readonly example: string;
  readonly structureOf: (client: GridClient, name: string) => S;
  readonly verbs: readonly Verb<S>[];
}

export const done = () => 'OK';
export const lines = (values: readonly unknown[]) => values.map(valueText).join('\n');
export const entryTable = (entries: readonly (readonly [unknown, unknown])[]) =>
  table(
    ['key', 'value'],
    entries.map(([key, value]) => [valueText(key), valueText(value)]),
  );

interface Keyed {
  size(): Promise<number>;
  keySet(): Promise<unknown[]>;
  entrySet(): Promise<[unknown, unknown][]>;
  clear(): Promise<void>;
}

/** The verbs for the structure as a whole; `items` is what it consists of: entries, pairs. */
export function wholeVerbs<S extends Keyed>(items: string): Verb<S>[] {
  return [
    { name: 'size', arguments: [], doc: `print the number of ${items}`, run: (whole) => whole.size() },
    {
      name: 'keys',
      arguments: [],
      doc: 'print all keys, a line each',
      run: (whole) => whole.keySet(),
      print: lines,
    },
    {
      name: 'entries',
      arguments: [],
      doc: `print all ${items}`,
      run: (whole) => whole.entrySet(),
      print: entryTable,
    },
    { name: 'clear', arguments: [], doc: `remove all ${items}`, run: (whole) => whole.clear(), print: done },
  ];
}

interface Locked {
  isLocked(key: unknown): Promise<boolean>;
  forceUnlock(key: unknown): Promise<void>;
}

/** What makes sense of locks in a shell: one that it took would end with the process of the command. */
export function lockVerbs<S extends Locked>(): Verb<S>[] {
  return [
    {
      name: 'locked',
      arguments: ['<key>'],
      doc: 'print whether somebody has locked the key',
      run: (keyed, [key]) => keyed.isLocked(key),
    },
    {
      name: 'force-unlock',
      arguments: ['<key>'],
      doc: 'unlock a key, whoever has locked it',
      run: (keyed, [key]) => keyed.forceUnlock(key),
      print: done,
    },
  ];
}

export function registerVerbs<S>(program: Command, context: CliContext, group: VerbGroup<S>): void {
  const command = program
    .command(group.command)
    .description(group.doc)
    .addHelpText('after', `\n${VALUE_HELP}\n\nExample: ${group.example}`);
  for (const verb of group.verbs) {
    const usage = [verb.name, `<${group.command}>`, ...verb.arguments].join(' ');
    const own = command.command(usage).description(verb.doc);
    if (verb.arguments.length > 0 && verb.isText !== true) {
      own.option('--text', 'take key and value as text, not as JSON').addHelpText('after', `\n${VALUE_HELP}`);
    }
    addConnectionFlags(own).action(async (name: string, ...rest: unknown[]) => {
      const texts = rest.slice(0, verb.arguments.length) as string[];
      const flags = rest[verb.arguments.length] as Flags;
      const values = texts.map((text) => argumentValue(text, verb.isText ?? flags.text));
      const result = await withClient(context, flags, (client) =>
        verb.run(group.structureOf(client, name), values),
      );
      const print = verb.print ?? valueText;
      const text = flags.json ? jsonText(result) : print(result as never);
      if (text !== '') context.out(text);
    });
  }
}
