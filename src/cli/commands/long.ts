/** `elsegrid long <verb>`: reads and changes an atomic long of a running grid from the shell. */
import type { Command } from 'commander';
import type { GridAtomicLong } from '../../../partitions/services/atomiclong/proxy.js';
import { addConnectionFlags, type ConnectionFlags, withClient } from '../connection.js';
import type { CliContext } from '../context.js';
import { jsonText } from '../output.js';
import { bigintOf } from '../values.js';

interface Verb {
  readonly name: string;
  readonly arguments: readonly string[];
  readonly doc: string;
  readonly run: (long: GridAtomicLong, numbers: readonly bigint[]) => Promise<unknown>;
}

const VERBS: readonly Verb[] = [
  { name: 'get', arguments: [], doc: 'print the value', run: (long) => long.get() },
  { name: 'set', arguments: ['value'], doc: 'set the value', run: (long, [value]) => long.set(value!) },
  {
    name: 'add',
    arguments: ['delta'],
    doc: 'add a number, which may be negative, and print the new value',
    run: (long, [delta]) => long.addAndGet(delta!),
  },
  {
    name: 'incr',
    arguments: [],
    doc: 'add 1 and print the new value',
    run: (long) => long.incrementAndGet(),
  },
  {
    name: 'decr',
    arguments: [],
    doc: 'subtract 1 and print the new value',
    run: (long) => long.decrementAndGet(),
  },
  {
    name: 'cas',
    arguments: ['expected', 'value'],
    doc: 'set the value if it is the expected one; print whether it was',
    run: (long, [expected, value]) => long.compareAndSet(expected!, value!),
  },
];

export function registerLong(program: Command, context: CliContext): void {
  const group = program
    .command('long')
    .description('read and change an atomic long (a 64-bit counter)')
    .addHelpText('after', '\nExample: elsegrid long add visits 10');
  for (const verb of VERBS) {
    const usage = [verb.name, '<long>', ...verb.arguments.map((name) => `<${name}>`)].join(' ');
    addConnectionFlags(group.command(usage).description(verb.doc)).action(
      async (name: string, ...rest: unknown[]) => {
        const numbers = verb.arguments.map((argument, index) => bigintOf(argument, rest[index] as string));
        const flags = rest[verb.arguments.length] as ConnectionFlags;
        const result = await withClient(context, flags, (client) =>
          verb.run(client.getAtomicLong(name), numbers),
        );
        if (flags.json) context.out(jsonText(result));
        else context.out(result === undefined ? 'OK' : String(result));
      },
    );
  }
}
