/**
 * The options as a tree of plain data, read from a zod schema through its JSON Schema: names, types, bounds,
 * defaults and meaning. Messages, environment names, the reference page and `config diff` are made from it, so
 * that an option is written down once.
 */
import { z } from 'zod';

export type OptionType =
  | 'group'
  | 'rows'
  | 'list'
  | 'text'
  | 'integer'
  | 'number'
  | 'boolean'
  | 'choice'
  | 'any';

export interface OptionNode {
  readonly type: OptionType;
  readonly doc: string;
  /** As in the schema; undefined when there is none, or it is computed. */
  readonly default: unknown;
  readonly required: boolean;
  /** Of a group: its options. A group that may also be given as one word has `choices` too. */
  readonly fields: ReadonlyMap<string, OptionNode>;
  /** Of rows: what each row has. */
  readonly row: OptionNode | undefined;
  readonly choices: readonly unknown[];
  readonly min: number | undefined;
  readonly max: number | undefined;
}

type Json = Readonly<Record<string, unknown>>;

const TREES = new WeakMap<z.ZodType, OptionNode>();

/** The tree of a schema; made once. */
export function optionTree(schema: z.ZodType): OptionNode {
  let tree = TREES.get(schema);
  if (tree === undefined) {
    tree = nodeOf(optionJson(schema) as Json, true);
    TREES.set(schema, tree);
  }
  return tree;
}

/** JSON Schema of what a user may write; what JSON cannot describe (functions) is left open. */
export function optionJson(schema: z.ZodType): z.core.JSONSchema.BaseSchema {
  return z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
}

function nodeOf(json: Json, required: boolean): OptionNode {
  const variants = (json.anyOf ?? json.oneOf) as readonly Json[] | undefined;
  const group = variants?.find((variant) => variant.type === 'object');
  const shape = group ?? json;
  const choices = variants?.flatMap((variant) => (variant.enum as unknown[] | undefined) ?? []) ?? json.enum;
  const needed = new Set((shape.required as string[] | undefined) ?? []);
  const properties = Object.entries((shape.properties as Record<string, Json> | undefined) ?? {});
  const row = shape.additionalProperties;
  return {
    type: typeOf(shape),
    doc: typeof json.description === 'string' ? json.description : '',
    default: json.default,
    required: required && json.default === undefined,
    fields: new Map(properties.map(([name, field]) => [name, nodeOf(field, needed.has(name))])),
    row: typeof row === 'object' && row !== null ? nodeOf(row as Json, false) : undefined,
    choices: (choices as readonly unknown[] | undefined) ?? [],
    min: bound(shape.minimum ?? shape.minItems ?? shape.minLength),
    max: bound(shape.maximum ?? shape.maxItems ?? shape.maxLength),
  };
}

function typeOf(json: Json): OptionType {
  if (Array.isArray(json.enum)) return 'choice';
  switch (json.type) {
    case 'object':
      return typeof json.additionalProperties === 'object' ? 'rows' : 'group';
    case 'array':
      return 'list';
    case 'string':
      return 'text';
    case 'integer':
    case 'number':
    case 'boolean':
      return json.type;
    default:
      return 'any';
  }
}

/** The bounds that every integer has are not worth a word. */
function bound(value: unknown): number | undefined {
  return typeof value === 'number' && Math.abs(value) < Number.MAX_SAFE_INTEGER ? value : undefined;
}

/** The node at a path of keys; rows and lists take any key. Undefined where the options end. */
export function nodeAt(tree: OptionNode, path: readonly PropertyKey[]): OptionNode | undefined {
  let node: OptionNode | undefined = tree;
  for (const key of path) node = node?.fields.get(String(key)) ?? node?.row;
  return node;
}

export interface OptionPath {
  readonly path: readonly string[];
  readonly node: OptionNode;
}

/** Every single option below a node, groups and rows resolved; a row's own name is `*`. */
export function leaves(node: OptionNode, path: readonly string[] = []): OptionPath[] {
  if (node.type === 'rows' && node.row !== undefined) return leaves(node.row, [...path, '*']);
  if (node.type !== 'group') return [{ path, node }];
  return [...node.fields].flatMap(([name, field]) => leaves(field, [...path, name]));
}

const PLAIN_KEY = /^[\w*-]+$/;

/** Keys as people write them: `maps.users.backups.sync`, `join[0]`, `maps["a b"].ttlMs`. */
export function pathText(path: readonly PropertyKey[]): string {
  let text = '';
  for (const key of path) {
    if (typeof key === 'number') text += `[${key}]`;
    else if (PLAIN_KEY.test(String(key))) text += text === '' ? String(key) : `.${String(key)}`;
    else text += `[${JSON.stringify(String(key))}]`;
  }
  return text;
}
