/** `elsegrid explain`: what the options of a structure really give, in a running grid or as a file configures it. */
import { resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { explainStructure } from '../../config/explain.js';
import { loadConfig } from '../../config/load.js';
import { nearest } from '../../config/nearest.js';
import { structureRows } from '../../config/rows.js';
import { STRUCTURES } from '../../config/structures.js';
import type { Explanation, Loss, Measured } from '../../policy/explanation.js';
import { addConnectionFlags, type ConnectionFlags, withClient } from '../connection.js';
import { type CliContext, CommandError } from '../context.js';
import { jsonText, table } from '../output.js';

interface ExplainFlags extends ConnectionFlags {
  readonly config?: string;
}

/** What a command is called whose service has another name. */
const COMMAND_WORDS: Readonly<Record<string, string>> = { atomicLong: 'long', multiMap: 'multimap' };

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
  addConnectionFlags(command).action(async (kind: string, name: string, flags: ExplainFlags) => {
    const service = serviceOf(kind, words);
    const explanation =
      flags.config === undefined
        ? await withClient(context, flags, (client) => client.explain(service, name))
        : explainFile(context, flags.config, service, name);
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

function explainFile(context: CliContext, file: string, service: string, name: string): Explanation {
  const { config } = loadConfig({ file: resolve(context.cwd, file), env: context.env });
  return explainStructure(service, name, structureRows(config));
}

function explanationText({ structure, kind, classText, promises, losses, measured }: Explanation): string {
  const kept = promises.filter(({ holds }) => holds);
  const broken = promises.filter(({ holds }) => !holds);
  const list = (rows: typeof promises) =>
    rows.map(({ id, text, because }) => `${id}  ${text}\n     ${because}`).join('\n');
  return [
    `${kind} ${JSON.stringify(structure)}`,
    classText,
    `Promised:\n${list(kept)}`,
    `Not promised:\n${list(broken)}`,
    `May be lost:\n${losses.map(lossText).join('\n')}`,
    ...(measured === null ? [] : [measuredText(measured)]),
  ].join('\n\n');
}

function lossText({ failure, effect, knob }: Loss): string {
  const option = knob === 'none' ? 'no option changes that' : `decided by ${knob}`;
  return `by ${failure}:\n     ${effect} (${option})`;
}

function measuredText(measured: Measured): string {
  return table(
    ['in the cluster now', ''],
    [
      ['members', measured.members],
      ['founded by order', measured.ordered ? 'yes' : 'no'],
      ['a fork, without the majority', measured.fork ? 'yes' : 'no'],
      ['members that may crash at once with a majority left', measured.crashesAtOnce],
      ['sync backups that the members can hold', measured.syncBackupsPossible],
      ['synced sync backups, fewest of any partition', measured.syncBackupsNow],
      ['partitions with fewer than wanted', measured.partitionsBelow],
      ['partitions that refuse writes (minSynced)', measured.partitionsRefusing],
      ['partitions without a synced replica', measured.partitionsLost],
    ],
  );
}
