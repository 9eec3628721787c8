/** `elsegrid cluster merges`: what the merges after splits kept and did not keep, until somebody acknowledges it. */
import { type Command, Option } from 'commander';
import { addConnectionFlags, type ConnectionFlags, withClient } from '../connection.js';
import { type CliContext, CommandError } from '../context.js';
import type { GridClient, ListedDiscard, ListedMerge } from '../grid-api.js';
import { jsonText, table, valueText } from '../output.js';

interface MergesFlags extends ConnectionFlags {
  readonly ack?: string;
  readonly entries?: string;
}

export function registerMerges(group: Command, context: CliContext): void {
  const command = group
    .command('merges')
    .description('list the merge reports that nobody has acknowledged')
    .addOption(
      new Option('--entries <id>', 'print every acknowledged write that this merge did not keep').conflicts(
        'ack',
      ),
    )
    .option('--ack <id>', 'acknowledge a report: it and its entries are dropped');
  addConnectionFlags(command).action((flags: MergesFlags) =>
    withClient(context, flags, async (client) => {
      if (flags.entries !== undefined) await printEntries(context, flags, await merge(client, flags.entries));
      else if (flags.ack !== undefined) await acknowledge(context, flags, await merge(client, flags.ack));
      else printMerges(context, flags, await client.merges());
    }),
  );
}

/** By id, or the beginning of one. */
async function merge(client: GridClient, id: string): Promise<ListedMerge> {
  const merges = await client.merges();
  const exact = merges.filter((report) => report.id === id);
  const found = exact.length > 0 ? exact : merges.filter((report) => report.id.startsWith(id));
  if (found.length === 1) return found[0]!;
  throw new CommandError(
    found.length > 1
      ? `more than one merge report begins with ${id}`
      : `there is no merge report ${id}; elsegrid cluster merges lists those that are not acknowledged`,
  );
}

function printMerges(context: CliContext, { json }: MergesFlags, merges: readonly ListedMerge[]): void {
  if (json) {
    const rows = merges.map(({ id, fromLineage, toLineage, structures, truncated, firstKeys }) => {
      return { id, fromLineage, toLineage, structures, truncated, firstKeys };
    });
    context.out(jsonText(rows));
  } else if (merges.length === 0) context.out('no merge report waits to be acknowledged');
  else context.out(merges.map(mergeText).join('\n\n'));
}

function mergeText({ id, fromLineage, toLineage, structures, truncated, firstKeys }: ListedMerge): string {
  const rows = structures.map(({ service, name, merged, discarded, resurrected, failed }) => {
    return [`${service} ${name}`, merged, discarded, resurrected, failed];
  });
  const headings = ['structure', 'merged', 'discarded', 'resurrected', 'failed'];
  const keys = firstKeys.length === 0 ? [] : [`first keys: ${firstKeys.map(valueText).join(', ')}`];
  return [
    `merge ${id}`,
    `  lineage ${fromLineage} into ${toLineage}`,
    table(headings, rows),
    ...keys,
    ...(truncated ? ['truncated: more was discarded than a report holds (mergeReportMaxBytes)'] : []),
  ].join('\n');
}

async function printEntries(context: CliContext, { json }: MergesFlags, report: ListedMerge): Promise<void> {
  const all: ListedDiscard[] = [];
  // Line by line, because a report may be long; only one JSON document has to be put together first.
  for await (const entry of report.entries()) {
    if (json) all.push(entry);
    else context.out(entryText(entry));
  }
  if (json) context.out(jsonText(all));
}

function entryText({ structure, key, kept, discarded, side, reason }: ListedDiscard): string {
  const values = `kept ${valueText(kept)}, discarded ${valueText(discarded)}`;
  return `${structure} ${valueText(key)}: ${values} of the ${side} (${reason})`;
}

async function acknowledge(context: CliContext, { json }: MergesFlags, report: ListedMerge): Promise<void> {
  await report.ack();
  context.out(json ? jsonText({ acknowledged: report.id }) : `acknowledged merge ${report.id}`);
}
