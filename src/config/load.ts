/**
 * Puts the options of a member together: flags win over environment variables, these over the file, this over
 * the defaults. Remembers where each value came from, for messages and for `config diff`. Called by the CLI.
 */
import { ConfigError } from '../base/errors.js';
import { type MemberConfig, memberConfig, memberSchema, parseMember } from '../config.js';
import { type GivenValue, readEnvironment, valueFromText } from './environment.js';
import { readConfigFile } from './file.js';
import { isGroup } from './group.js';
import { parseOptions, problemsError } from './problems.js';
import { STRUCTURES } from './structures.js';
import { nodeAt, type OptionNode, optionTree, pathText } from './tree.js';

export type SourceKind = 'flag' | 'environment' | 'file' | 'default';

export interface Source {
  readonly kind: SourceKind;
  /** `--port`, `ELSEGRID_PORT` or `grid.yaml:3:1`; empty for a default. */
  readonly where: string;
}

export interface LoadOptions {
  /** Path of a YAML or JSON file. */
  readonly file?: string | undefined;
  /** Usually `process.env`; variables that do not begin with ELSEGRID_ are ignored. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  readonly flags?: readonly FlagValue[] | undefined;
}

export interface FlagValue {
  /** `--port` */
  readonly flag: string;
  /** Dotted path of the option: `limits.logBytes`. */
  readonly path: string;
  /** A text is understood as in the environment. */
  readonly value: unknown;
}

export interface OptionValue {
  readonly path: string;
  readonly value: unknown;
  readonly default: unknown;
  readonly source: Source;
}

export interface LoadedConfig {
  readonly config: MemberConfig;
  /** Where the value at a dotted path came from. */
  sourceOf(path: string): Source;
  /** Every option that was given, and every one whose value is not the default. */
  diff(): OptionValue[];
}

const DEFAULT: Source = { kind: 'default', where: '' };

/** Throws one `ConfigError` that lists every problem, each with its source. */
export function loadConfig(options: LoadOptions = {}): LoadedConfig {
  const tree = optionTree(memberSchema);
  const file = options.file === undefined ? undefined : readConfigFile(options.file);
  const merged: Record<string, unknown> = file?.options ?? {};
  const sources = new Map<string, Source>();
  for (const path of leafPaths(merged, [])) {
    sources.set(pathText(path), { kind: 'file', where: file?.place(path) ?? '' });
  }

  const environment = readEnvironment(tree, options.env ?? {});
  if (environment.unknown.length > 0) throw new ConfigError('', environment.unknown.join('\n'));
  for (const given of environment.values) setOption(merged, sources, given, 'environment');
  for (const flag of options.flags ?? []) setOption(merged, sources, flagValue(tree, flag), 'flag');

  const locate = (path: readonly PropertyKey[]) => {
    const source = nearestSource(sources, path);
    return source === undefined || source.kind === 'file' ? file?.place(path) : source.where;
  };
  const config = parseMember(merged, locate);
  const sourceOf = (path: string) => nearestSource(sources, path.split('.')) ?? DEFAULT;
  return { config, sourceOf, diff: () => diff(config, tree, sources) };
}

function flagValue(tree: OptionNode, { flag, path, value }: FlagValue): GivenValue {
  const keys = path.split('.');
  return {
    path: keys,
    value: typeof value === 'string' ? valueFromText(tree, keys, value) : value,
    by: flag,
  };
}

function setOption(
  options: Record<string, unknown>,
  sources: Map<string, Source>,
  { path, value, by }: GivenValue,
  kind: SourceKind,
): void {
  let group = options;
  for (const [depth, key] of path.slice(0, -1).entries()) {
    group = groupAt(group, key, path.slice(0, depth + 1), by);
  }
  group[path.at(-1)!] = value;
  const text = pathText(path);
  for (const known of [...sources.keys()]) {
    if (known.startsWith(`${text}.`) || known.startsWith(`${text}[`)) sources.delete(known);
  }
  sources.set(text, { kind, where: by });
}

/** The group inside a group, made when it is not there; one that was given as a single word is spelled out. */
function groupAt(
  group: Record<string, unknown>,
  key: string,
  path: readonly string[],
  by: string,
): Record<string, unknown> {
  const present = Object.hasOwn(group, key) ? group[key] : undefined;
  if (isGroup(present)) return present as Record<string, unknown>;
  const node = nodeAt(optionTree(memberSchema), path);
  if (key === '__proto__' || (node !== undefined && node.type !== 'group' && node.type !== 'rows')) {
    throw problemsError([{ path, reason: `is a single value, not a group of options (from ${by})` }]);
  }
  const made = typeof present === 'string' && node?.fields.has('preset') ? { preset: present } : {};
  group[key] = made;
  return made;
}

/** Paths of everything in the file that is a value, not a group. */
function leafPaths(value: unknown, path: readonly string[]): (readonly string[])[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [path];
  return Object.entries(value).flatMap(([key, inner]) => leafPaths(inner, [...path, key]));
}

/** The source of the value itself, or of the whole that it is part of. */
function nearestSource(
  sources: ReadonlyMap<string, Source>,
  path: readonly PropertyKey[],
): Source | undefined {
  for (let length = path.length; length > 0; length--) {
    const source = sources.get(pathText(path.slice(0, length)));
    if (source !== undefined) return source;
  }
  return undefined;
}

function diff(config: MemberConfig, tree: OptionNode, sources: ReadonlyMap<string, Source>): OptionValue[] {
  const defaults = memberConfig({});
  const rows: OptionValue[] = [];
  const visit = (value: unknown, standard: unknown, path: readonly string[]): void => {
    const node = nodeAt(tree, path);
    if (isGroup(value) && (node?.type === 'group' || node?.type === 'rows')) {
      const keys = new Set([...Object.keys(value), ...(isGroup(standard) ? Object.keys(standard) : [])]);
      for (const key of keys) {
        const inner =
          node.type === 'rows' ? rowDefaults(path[0]!) : isGroup(standard) ? standard[key] : undefined;
        visit(value[key], inner, [...path, key]);
      }
      return;
    }
    const source = nearestSource(sources, path) ?? DEFAULT;
    if (source.kind === 'default' && JSON.stringify(value) === JSON.stringify(standard)) return;
    rows.push({ path: pathText(path), value, default: standard, source });
  };
  visit(config, defaults, []);
  return rows;
}

function rowDefaults(configKey: string): unknown {
  const kind = STRUCTURES.find((candidate) => candidate.configKey === configKey);
  return kind === undefined ? undefined : parseOptions(kind.options, {});
}
