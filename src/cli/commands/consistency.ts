/** `elsegrid consistency`: which presets there are in a running grid, and changing them while it runs. */
import type { Command } from 'commander';
import { nearest } from '../../config/nearest.js';
import type { RowPreset } from '../../config/toggle.js';
import type { ConsistencyTarget } from '../../config/toggle-request.js';
import { PRESET_NAMES, type PresetName, presetOf } from '../../policy/presets.js';
import { addConnectionFlags, type ConnectionFlags, withClient } from '../connection.js';
import { type CliContext, CommandError } from '../context.js';
import { jsonText, table } from '../output.js';
import { STRUCTURE_WORDS, serviceOf, wordOf } from '../structure-words.js';
import { secondsOf } from '../values.js';

type SetFlags = ConnectionFlags & { readonly all?: boolean } & Readonly<Record<string, unknown>>;

export function registerConsistency(program: Command, context: CliContext): void {
  const group = program
    .command('consistency')
    .description('show the presets of the grid and its structures, or change them while it runs');
  addConnectionFlags(group.command('show', { isDefault: true }))
    .description('the preset of the grid, and of each name and pattern that has options (the default)')
    .action(async (flags: ConnectionFlags) => {
      const presets = await withClient(context, flags, (client) => client.consistency());
      context.out(flags.json ? jsonText(presets) : presetsText(presets));
    });
  const set = group
    .command('set')
    .argument('<preset>', PRESET_NAMES.join(', '))
    .description('change a preset; returns when the new promise holds everywhere')
    .option('--all', 'the grid and everything in it');
  for (const word of STRUCTURE_WORDS)
    set.option(`--${word} <name>`, `the ${word} of this name, or a configured pattern`);
  addConnectionFlags(set).action(async (preset: string, flags: SetFlags) => {
    const target = targetOf(flags);
    const name = presetNamed(preset);
    const timeout = flags.timeout === undefined ? {} : { timeoutMs: secondsOf('--timeout', flags.timeout) };
    const change = await withClient(context, flags, (client) => client.setConsistency(target, name, timeout));
    context.out(flags.json ? jsonText(change) : `${change.text} (view ${change.view})`);
  });
}

function presetNamed(preset: string): PresetName {
  const found = presetOf(preset.toUpperCase());
  if (found !== undefined) return found.name as PresetName;
  const near = nearest(preset.toUpperCase(), PRESET_NAMES);
  const advice = near === undefined ? `expected one of ${PRESET_NAMES.join(', ')}` : `did you mean ${near}?`;
  throw new CommandError(`unknown preset ${JSON.stringify(preset)}; ${advice}`, 2);
}

function targetOf(flags: SetFlags): ConsistencyTarget {
  const named = STRUCTURE_WORDS.flatMap((word) => {
    const name = flags[word];
    return typeof name === 'string' ? [{ [serviceOf(word)]: name }] : [];
  });
  const targets: ConsistencyTarget[] = [...(flags.all === true ? ['all' as const] : []), ...named];
  const [target] = targets;
  if (target === undefined || targets.length > 1) {
    const words = STRUCTURE_WORDS.map((word) => `--${word} <name>`).join(', ');
    throw new CommandError(`say what gets the preset, with one of ${words} or --all`, 2);
  }
  return target;
}

function presetsText(presets: readonly RowPreset[]): string {
  const rows = presets.map(({ service, pattern, preset }) =>
    service === null ? ['grid', null, preset] : [wordOf(service), pattern, preset],
  );
  return table(['kind', 'name', 'preset'], rows);
}
