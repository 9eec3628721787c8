/** `elsegrid config`: what is set and where it comes from, and the schema of the configuration file. */
import type { Command } from 'commander';
import { configSchemaText } from '../../config/describe.js';
import type { OptionValue } from '../../config/load.js';
import { jsonFlag } from '../connection.js';
import type { CliContext } from '../context.js';
import { addMemberFlags, loadMemberFlags, type MemberFlags } from '../member-flags.js';
import { jsonText, table, valueText } from '../output.js';

export function registerConfig(program: Command, context: CliContext): void {
  const group = program.command('config').description('check a configuration, or print its schema');
  addMemberFlags(group.command('diff'))
    .description('check the options and list every value that is set or is not the default, with its source')
    .addOption(jsonFlag())
    .action((flags: MemberFlags & { json?: boolean }) => {
      const rows = loadMemberFlags(flags, context).diff();
      context.out(flags.json ? jsonText(rows) : diffText(rows));
    });
  group
    .command('schema')
    .description('print the JSON Schema of the configuration file')
    .action(() => context.out(configSchemaText().trimEnd()));
}

function diffText(rows: readonly OptionValue[]): string {
  if (rows.length === 0) return 'every option has its default';
  return table(
    ['option', 'value', 'default', 'source'],
    rows.map(({ path, value, default: standard, source }) => [
      path,
      shown(value),
      shown(standard),
      source.kind === 'default' ? 'follows from another option' : source.where,
    ]),
  );
}

function shown(value: unknown): string | null {
  return value === undefined ? null : valueText(value);
}
