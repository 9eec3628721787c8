/**
 * Words for what is wrong with options: each problem names the dotted path, the reason and the nearest right
 * name or value. All problems of one input become one `ConfigError`, a line each.
 */
import type { z } from 'zod';
import { ConfigError } from '../base/errors.js';
import { nearest } from './nearest.js';
import { leaves, nodeAt, type OptionNode, optionTree, pathText } from './tree.js';

export interface Problem {
  readonly path: readonly PropertyKey[];
  readonly reason: string;
}

/** Says where the value at a path came from, for example `grid.yaml, line 3`; undefined when it is obvious. */
export type Locate = (path: readonly PropertyKey[]) => string | undefined;

/** The parsed, frozen options, or one `ConfigError` with every problem. */
export function parseOptions<S extends z.ZodType>(schema: S, input: unknown, locate?: Locate): z.output<S> {
  const forbidden = forbiddenKeys(input, []);
  if (forbidden.length > 0) throw problemsError(forbidden, locate);
  const result = schema.safeParse(input);
  if (result.success) return deepFreeze(result.data);
  const tree = optionTree(schema);
  throw problemsError(
    result.error.issues.flatMap((issue) => wordIssue(issue, input, tree)),
    locate,
  );
}

/** One error that lists all problems; its `path` is that of the first. */
export function problemsError(problems: readonly Problem[], locate?: Locate): ConfigError {
  const lines = problems.map(({ path, reason }) => {
    const where = locate?.(path);
    const text = where === undefined ? reason : `${reason} (from ${where})`;
    return { path: pathText(path), text };
  });
  const [first, ...others] = lines;
  const rest = others.map(({ path, text }) => `\n${path === '' ? '' : `${path}: `}${text}`);
  return new ConfigError(first?.path ?? '', `${first?.text ?? 'wrong options'}${rest.join('')}`);
}

type Issue = z.core.$ZodIssue;

function wordIssue(
  issue: Issue,
  input: unknown,
  tree: OptionNode,
  base: readonly PropertyKey[] = [],
): Problem[] {
  const path = [...base, ...issue.path];
  const given = valueAt(input, path);
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => ({ path: [...path, key], reason: unknownOption(key, path, tree) }));
    case 'invalid_union':
      return wordUnion(issue, given, input, tree, path);
    case 'invalid_key':
      return issue.issues.map((inner) => ({ path, reason: `a wrong name: ${inner.message}` }));
    case 'invalid_type':
      return [
        { path, reason: wrongType(nodeAt(tree, path)?.type === 'integer' ? 'int' : issue.expected, given) },
      ];
    case 'invalid_value':
      return [{ path, reason: wrongChoice(issue.values, given) }];
    case 'too_small':
    case 'too_big':
      return [{ path, reason: outOfBounds(issue, given, nodeAt(tree, path)) }];
    default:
      return [{ path, reason: issue.message }];
  }
}

/** Of several accepted forms, the one that the user meant is that of the same type. */
function wordUnion(
  issue: Issue & { code: 'invalid_union' },
  given: unknown,
  input: unknown,
  tree: OptionNode,
  path: readonly PropertyKey[],
): Problem[] {
  const meant = issue.errors.find((errors) =>
    errors.every((error) => {
      if (error.path.length > 0) return true;
      if (error.code === 'invalid_value') return typeof given === 'string';
      return error.code !== 'invalid_type';
    }),
  );
  if (meant !== undefined) return meant.flatMap((error) => wordIssue(error, input, tree, path));
  const node = nodeAt(tree, path);
  const forms = node === undefined || node.choices.length === 0 ? '' : `${choiceText(node.choices)} or `;
  return [{ path, reason: `expected ${forms}a group of options, got ${shown(given)}` }];
}

function unknownOption(key: string, path: readonly PropertyKey[], tree: OptionNode): string {
  const known = [...(nodeAt(tree, path)?.fields.keys() ?? [])];
  const near = nearest(key, known);
  if (near !== undefined) return `unknown option; did you mean ${pathText([...path, near])}?`;
  const elsewhere = leaves(tree).find((leaf) => leaf.path.at(-1) === key);
  if (elsewhere !== undefined) return `unknown option here; did you mean ${pathText(elsewhere.path)}?`;
  return `unknown option; known here: ${known.join(', ')}`;
}

const NAMES: Readonly<Record<string, string>> = {
  int: 'an integer',
  number: 'a number',
  string: 'a text',
  boolean: 'true or false',
  array: 'a list',
  object: 'a group of options',
  record: 'a group of options by name',
};

function wrongType(expected: string, given: unknown): string {
  const name = NAMES[expected] ?? expected;
  if (given === undefined) return `is missing; expected ${name}`;
  const advice =
    (expected === 'number' || expected === 'int') && typeof given === 'string' && given.trim() !== ''
      ? Number.isNaN(Number(given))
        ? ''
        : '; leave out the quotes'
      : expected === 'array' && typeof given === 'string'
        ? `; write [${JSON.stringify(given)}]`
        : '';
  return `expected ${name}, got ${shown(given)}${advice}`;
}

function wrongChoice(values: readonly unknown[], given: unknown): string {
  if (typeof given === 'string') {
    const near = nearest(given, values.map(String));
    if (near !== undefined) return `unknown value ${shown(given)}; did you mean ${JSON.stringify(near)}?`;
  }
  const start = given === undefined ? 'is missing; ' : '';
  return `${start}expected ${choiceText(values)}${given === undefined ? '' : `, got ${shown(given)}`}`;
}

function outOfBounds(issue: Issue, given: unknown, node: OptionNode | undefined): string {
  const { origin, minimum, maximum } = issue as { origin: string; minimum?: number; maximum?: number };
  const least = node?.min ?? minimum;
  const most = node?.max ?? maximum;
  const range =
    least !== undefined && most !== undefined
      ? `${least} to ${most}`
      : least !== undefined
        ? `at least ${least}`
        : `at most ${most}`;
  if (origin === 'string') return `expected a text of ${range} characters, got ${shown(given)}`;
  if (origin === 'array') return `expected ${range} of them, got ${(given as unknown[]).length}`;
  const nearestValue = minimum !== undefined ? minimum : maximum;
  return `${shown(given)} is not in the range ${range}; the nearest is ${nearestValue}`;
}

function choiceText(values: readonly unknown[]): string {
  const texts = values.map((value) => JSON.stringify(value));
  return texts.length < 2 ? texts.join('') : `${texts.slice(0, -1).join(', ')} or ${texts.at(-1)}`;
}

/** A value as people wrote it, shortened. */
export function shown(value: unknown): string {
  if (value === null) return 'nothing (null)';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a group';
  if (typeof value === 'function') return 'a function';
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value);
  return text.length <= 60 ? text : `${text.slice(0, 57)}...`;
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  let value = input;
  for (const key of path) value = Object(value)[key] as unknown;
  return value;
}

/** Names that would reach the prototype of an object instead of being kept. */
function forbiddenKeys(value: unknown, path: readonly PropertyKey[]): Problem[] {
  if (typeof value !== 'object' || value === null || path.length > 8) return [];
  if (!Array.isArray(value) && !isPlain(value)) return [];
  return Object.keys(value).flatMap((key) =>
    key === '__proto__'
      ? [{ path: [...path, key], reason: 'this name cannot be used' }]
      : forbiddenKeys((value as Record<string, unknown>)[key], [...path, key]),
  );
}

function deepFreeze<T>(value: T): T {
  const plain = Array.isArray(value) || (typeof value === 'object' && value !== null && isPlain(value));
  if (!plain || Object.isFrozen(value)) return value;
  for (const inner of Object.values(value as object)) deepFreeze(inner);
  return Object.freeze(value);
}

/** Only our own objects are frozen, never a serializer or another instance that a user handed in. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
