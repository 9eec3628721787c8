/** `elsegrid queue <verb>`: puts items into a queue of a running grid, takes them and looks at them, from the shell. */
import type { Command } from 'commander';
import type { GridQueue } from '../../../partitions/services/queue/proxy.js';
import { addConnectionFlags, type ConnectionFlags, withClient } from '../connection.js';
import type { CliContext } from '../context.js';
import { jsonText, valueText } from '../output.js';
import { argumentValue, durationOf, VALUE_HELP } from '../values.js';

interface QueueFlags extends ConnectionFlags {
  readonly text?: boolean;
  readonly wait?: string;
}

interface Verb {
  readonly name: string;
  readonly takesItem: boolean;
  readonly waits: boolean;
  readonly doc: string;
  readonly run: (queue: GridQueue<unknown>, item: unknown, waitMs: number) => Promise<unknown>;
  /** How people see the result; the default is the value on one line. */
  readonly print?: (result: never) => string;
}

const PLAIN = { takesItem: false, waits: false } as const;
const ON_ITEM = { takesItem: true, waits: false } as const;
const lines = (items: readonly unknown[]) => items.map(valueText).join('\n');

async function drained(queue: GridQueue<unknown>): Promise<unknown[]> {
  const items: unknown[] = [];
  await queue.drainTo(items);
  return items;
}

const VERBS: readonly Verb[] = [
  {
    name: 'offer',
    takesItem: true,
    waits: true,
    doc: 'put an item at the tail; print whether there was room',
    run: (queue, item, waitMs) => queue.offer(item, waitMs),
  },
  {
    name: 'poll',
    takesItem: false,
    waits: true,
    doc: 'take the item at the head and print it, null when there is none',
    run: (queue, _item, waitMs) => queue.poll(waitMs),
  },
  {
    ...PLAIN,
    name: 'peek',
    doc: 'print the item at the head, null when there is none',
    run: (queue) => queue.peek(),
  },
  { ...PLAIN, name: 'drain', doc: 'take all items and print them, a line each', run: drained, print: lines },
  {
    ...PLAIN,
    name: 'list',
    doc: 'print all items, a line each',
    run: (queue) => queue.toArray(),
    print: lines,
  },
  { ...PLAIN, name: 'size', doc: 'print the number of items', run: (queue) => queue.size() },
  {
    ...PLAIN,
    name: 'in-flight',
    doc: 'print how many items are handed out and not acknowledged',
    run: (queue) => queue.inFlight(),
  },
  {
    ...ON_ITEM,
    name: 'contains',
    doc: 'print whether the item is there',
    run: (queue, item) => queue.contains(item),
  },
  {
    ...ON_ITEM,
    name: 'remove',
    doc: 'remove the first such item; print whether there was one',
    run: (queue, item) => queue.remove(item),
  },
  { ...PLAIN, name: 'clear', doc: 'remove all items', run: (queue) => queue.clear(), print: () => 'OK' },
];

export function registerQueue(program: Command, context: CliContext): void {
  const group = program
    .command('queue')
    .description('put items into a queue, take them and look at them')
    .addHelpText('after', `\n${VALUE_HELP}\n\nExample: elsegrid queue poll jobs --wait 30s`);
  for (const verb of VERBS) {
    const usage = [verb.name, '<queue>', ...(verb.takesItem ? ['<item>'] : [])].join(' ');
    const command = group.command(usage).description(verb.doc);
    if (verb.takesItem)
      command.option('--text', 'take the item as text, not as JSON').addHelpText('after', `\n${VALUE_HELP}`);
    if (verb.waits) command.option('--wait <time>', 'wait so long for an item, or for room: 500ms, 60s, 2m');
    addConnectionFlags(command).action(async (name: string, ...rest: unknown[]) => {
      const flags = rest[verb.takesItem ? 1 : 0] as QueueFlags;
      await run(context, verb, name, verb.takesItem ? (rest[0] as string) : '', flags);
    });
  }
}

async function run(
  context: CliContext,
  verb: Verb,
  name: string,
  text: string,
  flags: QueueFlags,
): Promise<void> {
  const item = verb.takesItem ? argumentValue(text, flags.text) : null;
  const waitMs = flags.wait === undefined ? 0 : durationOf('--wait', flags.wait);
  const result = await withClient(context, flags, (client) => verb.run(client.getQueue(name), item, waitMs));
  const print = verb.print ?? valueText;
  const out = flags.json ? jsonText(result) : print(result as never);
  if (out !== '') context.out(out);
}
