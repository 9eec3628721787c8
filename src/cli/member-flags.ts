/**
 * The flags that set options of a member, for `start` and `config diff`. Their names are those of the options or
 * short forms of them; `--set` reaches every option.
 */
import { dirname, resolve } from 'node:path';
import type { Command } from 'commander';
import { type FlagValue, type LoadedConfig, loadConfig } from '../config/load.js';
import type { MemberOptions } from '../config.js';
import { type CliContext, CommandError } from './context.js';

export interface MemberFlags {
  readonly config?: string;
  readonly port?: string;
  readonly host?: string;
  readonly advertise?: string;
  readonly join?: string[];
  readonly cluster?: string;
  readonly consistency?: string;
  readonly founds?: boolean;
  readonly timings?: string;
  readonly load?: string[];
  readonly logLevel?: string;
  readonly set?: string[];
}

const gather = (value: string, before: string[] = []) => [...before, value];

export function addMemberFlags(command: Command): Command {
  return command
    .option('--config <file>', 'YAML or JSON file with options (or ELSEGRID_CONFIG)')
    .option('-p, --port <port>', 'port to listen at; 0 takes a free one (default: 5701 or the next free one)')
    .option('--host <address>', 'address of the interface to listen at (default: 127.0.0.1)')
    .option('--advertise <address>', 'host:port at which others reach this member')
    .option(
      '-j, --join <addresses>',
      'members of the cluster to join, host:port with commas; may be repeated',
      gather,
    )
    .option('-c, --cluster <name>', 'cluster name (default: dev)')
    .option(
      '--consistency <preset>',
      'preset of all structures: PA/EC, PA/EL, PC/EC or PC/EL (default: PA/EC)',
    )
    .option(
      '--founds',
      'found the cluster by order when there is none, so that PC structures are served; once per cluster',
    )
    .option('--timings <preset>', 'how fast silence is noticed: lan or local (default: lan)')
    .option('--load <file>', 'module to load before the member starts; may be repeated', gather)
    .option('--log-level <level>', 'debug, info, warn, error or silent')
    .option(
      '--set <option=value>',
      'any option by its path, for example limits.logBytes=1000000; may be repeated',
      gather,
    );
}

/** Flags over environment over file over defaults; paths of modules are made absolute. */
export function loadMemberFlags(
  flags: MemberFlags,
  context: CliContext,
  more: readonly FlagValue[] = [],
): LoadedConfig {
  const file = flags.config ?? context.env.ELSEGRID_CONFIG;
  const given: [string, string, unknown][] = [
    ['--port', 'port', flags.port],
    ['--host', 'host', flags.host],
    ['--advertise', 'advertisedAddress', flags.advertise],
    ['--join', 'join', flags.join?.join(',')],
    ['--cluster', 'clusterName', flags.cluster],
    ['--consistency', 'consistency', flags.consistency],
    ['--founds', 'founds', flags.founds],
    ['--timings', 'timings', flags.timings],
    ['--load', 'modules', flags.load],
    ['--log-level', 'logLevel', flags.logLevel],
  ];
  const values: FlagValue[] = given
    .filter(([, , value]) => value !== undefined)
    .map(([flag, path, value]) => ({ flag, path, value }));
  return loadConfig({
    file: file === undefined ? undefined : resolve(context.cwd, file),
    env: context.env,
    flags: [...more, ...values, ...(flags.set ?? []).map(settingOf)],
  });
}

function settingOf(text: string): FlagValue {
  const equals = text.indexOf('=');
  if (equals <= 0) {
    throw new CommandError(`--set: expected option=value, got ${JSON.stringify(text)}`, 2);
  }
  return { flag: '--set', path: text.slice(0, equals).trim(), value: text.slice(equals + 1) };
}

/** The options to start a member with: modules of a file are found beside it, others from where the command runs. */
export function memberOptions(loaded: LoadedConfig, flags: MemberFlags, context: CliContext): MemberOptions {
  const file = flags.config ?? context.env.ELSEGRID_CONFIG;
  const fromFile = loaded.sourceOf('modules').kind === 'file' && file !== undefined;
  const base = fromFile ? dirname(resolve(context.cwd, file)) : context.cwd;
  const modules = loaded.config.modules.map((path) => resolve(base, path));
  return { ...loaded.config, modules } as MemberOptions;
}
