/** `elsegrid explain`: what the options of a structure really give, in a running grid or as a file configures it. */
import { resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { type ExplainWishes, explainStructure } from '../../config/explain.js';
import { loadConfig } from '../../config/load.js';
import { structureRows } from '../../config/rows.js';
import type { CallConsistency } from '../../policy/class.js';
import type { Explanation } from '../../policy/explanation.js';
import { addConnectionFlags, type ConnectionFlags, withClient } from '../connection.js';
import type { CliContext } from '../context.js';
import { explanationText } from '../explanation-text.js';
import { jsonText } from '../output.js';
import { STRUCTURE_WORDS, serviceOf } from '../structure-words.js';

interface ExplainFlags extends ConnectionFlags {
  readonly config?: string;
  readonly consistency?: CallConsistency;
}

export function registerExplain(program: Command, context: CliContext): void {
  const command = program
    .command('explain')
    .argument('<kind>', STRUCTURE_WORDS.join(' or '))
    .argument('<name>', 'name of the structure')
    .description('explain what the options of a structure promise, and which failures can lose what')
    .addOption(
      new Option('--config <file>', 'explain what this configuration says, without a running grid').conflicts(
        ['members'],
      ),
    );
  command.addOption(
    new Option(
      '--consistency <policy>',
      "for calls with { consistency: 'EC' } or 'EL', instead of calls that ask for nothing",
    ).choices(['EC', 'EL']),
  );
  addConnectionFlags(command).action(async (kind: string, name: string, flags: ExplainFlags) => {
    const service = serviceOf(kind);
    const wishes: ExplainWishes = flags.consistency === undefined ? {} : { consistency: flags.consistency };
    const explanation =
      flags.config === undefined
        ? await withClient(context, flags, (client) => client.explain(service, name, wishes))
        : explainFile(context, flags.config, service, name, wishes);
    context.out(flags.json ? jsonText(explanation) : explanationText(explanation));
  });
}

function explainFile(
  context: CliContext,
  file: string,
  service: string,
  name: string,
  wishes: ExplainWishes,
): Explanation {
  const { config } = loadConfig({ file: resolve(context.cwd, file), env: context.env });
  return explainStructure(service, name, structureRows(config), undefined, wishes);
}
