/** `elsegrid explain`: what the options of a structure really give, in a running grid or as a file configures it. */
import { resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { type ExplainWishes, explainStructure } from '../../config/explain.js';
import { loadConfig } from '../../config/load.js';
import { nearest } from '../../config/nearest.js';
import { structureRows } from '../../config/rows.js';
import { STRUCTURES } from '../../config/structures.js';
import type { CallConsistency } from '../../policy/class.js';
import type { Explanation } from '../../policy/explanation.js';
import { addConnectionFlags, type ConnectionFlags, withClient } from '../connection.js';
import { type CliContext, CommandError } from '../context.js';
import { explanationText } from '../explanation-text.js';
import { jsonText } from '../output.js';

interface ExplainFlags extends ConnectionFlags {
  readonly config?: string;
  readonly consistency?: CallConsistency;
}

/** What a command is called whose service has another name. */
const COMMAND_WORDS: Readonly<Record<string, string>> = { atomicLong: 'long' };

export function registerExplain(program: Command, context: CliContext): void {
  const words = STRUCTURES.map(({ service }) => COMMAND_WORDS[service] ?? service);
  const command = program
    .command('explain')
    .argument('<kind>', words.join(' or '))
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
    const service = serviceOf(kind, words);
    const wishes: ExplainWishes = flags.consistency === undefined ? {} : { consistency: flags.consistency };
    const explanation =
      flags.config === undefined
        ? await withClient(context, flags, (client) => client.explain(service, name, wishes))
        : explainFile(context, flags.config, service, name, wishes);
    context.out(flags.json ? jsonText(explanation) : explanationText(explanation));
  });
}

function serviceOf(kind: string, words: readonly string[]): string {
  const found = STRUCTURES.find(({ service }) => service === kind || COMMAND_WORDS[service] === kind);
  if (found !== undefined) return found.service;
  const near = nearest(kind, words);
  const advice = near === undefined ? `expected ${words.join(' or ')}` : `did you mean ${near}?`;
  throw new CommandError(`unknown kind of structure ${JSON.stringify(kind)}; ${advice}`, 2);
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
