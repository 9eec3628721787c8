/**
 * Options from environment variables: ELSEGRID_ and the path in capitals, for every option that is one value or
 * a list. A variable that is close to a name but is none is refused, so that no spelling error goes unnoticed.
 */
import { nearest } from './nearest.js';
import { leaves, type OptionNode } from './tree.js';

const PREFIX = 'ELSEGRID_';

/** Variables that are ours but no options of a member. */
const OTHER_NAMES = /^ELSEGRID_(?:MEMBERS|CONFIG|TEST_.*)$/;

/**
 * What Kubernetes and Docker put into the environment for a service that is called elsegrid; nobody meant them
 * as options.
 */
const SERVICE_LINK =
  /^ELSEGRID_(?:.*_)?(?:SERVICE_HOST|SERVICE_PORT(?:_.*)?|PORT_[0-9]+_(?:TCP|UDP)(?:_.*)?)$/;
const LINK_VALUE = /^(?:tcp|udp):\/\//;

export interface GivenValue {
  readonly path: readonly string[];
  readonly value: unknown;
  /** Name of the variable or flag. */
  readonly by: string;
}

export interface EnvironmentValues {
  readonly values: readonly GivenValue[];
  /** Wrong names, a line each. */
  readonly unknown: readonly string[];
}

/** `limits.logBytes` is ELSEGRID_LIMITS_LOG_BYTES. */
export function environmentName(path: readonly string[]): string {
  return PREFIX + path.map((key) => key.replaceAll(/([a-z0-9])([A-Z])/g, '$1_$2').toUpperCase()).join('_');
}

/** The variables of a schema by name, with the path that each one sets. */
export function environmentPaths(tree: OptionNode): Map<string, readonly string[]> {
  const paths = leaves(tree)
    .map(({ path }) => path)
    .filter((path) => !path.includes('*'));
  const words = [...tree.fields].filter(([, node]) => node.type === 'group' && node.choices.length > 0);
  return new Map(
    [...words.map(([name]) => [name] as const), ...paths].map((path) => [environmentName(path), path]),
  );
}

export function readEnvironment(
  tree: OptionNode,
  env: Readonly<Record<string, string | undefined>>,
): EnvironmentValues {
  const paths = environmentPaths(tree);
  const values: GivenValue[] = [];
  const unknown: string[] = [];
  for (const [name, path] of paths) {
    const text = env[name];
    if (text === undefined || LINK_VALUE.test(text)) continue;
    values.push({ path, value: valueFromText(tree, path, text), by: name });
  }
  for (const name of Object.keys(env).sort()) {
    if (!name.startsWith(PREFIX) || paths.has(name)) continue;
    if (OTHER_NAMES.test(name) || SERVICE_LINK.test(name)) continue;
    const near = nearest(
      name.slice(PREFIX.length),
      [...paths.keys()].map((known) => known.slice(PREFIX.length)),
    );
    const advice = near === undefined ? 'unset it' : `did you mean ${PREFIX}${near}?`;
    unknown.push(`unknown environment variable ${name}; ${advice}`);
  }
  return { values, unknown };
}

/**
 * What a text of the environment or a flag means for the option at the path: numbers, true and false, lists
 * with commas. A text that does not fit stays as it is, and the check of the option words the problem.
 */
export function valueFromText(tree: OptionNode, path: readonly string[], text: string): unknown {
  let node: OptionNode | undefined = tree;
  for (const key of path) node = node?.fields.get(key) ?? node?.row;
  switch (node?.type) {
    case 'integer':
    case 'number':
      return /^\s*[+-]?[0-9][0-9_]*(?:\.[0-9]+)?\s*$/.test(text) ? Number(text.replaceAll('_', '')) : text;
    case 'boolean': {
      const word = text.trim().toLowerCase();
      return word === 'true' || word === '1' ? true : word === 'false' || word === '0' ? false : text;
    }
    case 'list':
      return text
        .split(',')
        .map((part) => part.trim())
        .filter((part) => part !== '');
    default:
      return text;
  }
}
