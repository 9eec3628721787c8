/** `elsegrid list`: the structures that a grid has data of, and its topics. */
import type { Command } from 'commander';
import { addConnectionFlags, type ConnectionFlags, withClient } from '../connection.js';
import type { CliContext } from '../context.js';
import { jsonText, table } from '../output.js';
import { wordOf } from '../structure-words.js';

export function registerList(program: Command, context: CliContext): void {
  addConnectionFlags(program.command('list'))
    .description('list the maps, queues, multimaps and atomic longs that have data, and the topics')
    .action(async (flags: ConnectionFlags) => {
      const found = await withClient(context, flags, (client) => client.getDistributedObjects());
      const rows = found.map(({ service, name }) => [wordOf(service), name]);
      if (flags.json) context.out(jsonText(found));
      else context.out(rows.length === 0 ? 'nothing is there' : table(['kind', 'name'], rows));
    });
}
