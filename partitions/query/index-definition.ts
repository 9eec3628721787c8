/**
 * What an index of a map is: its type and the paths that it is over, as users and configuration give it and as replicas keep
 * it. Two with the same type and paths are the same index, whatever their names. Called by options, handlers and the proxy.
 */
import { checkKnown } from '../../src/base/option-names.js';
import { list, oneOf, record, text } from '../../src/wire/fields.js';
import { MAX_PATH } from './limits.js';
import { checkedField } from './path-field.js';
import { pathOf } from './paths.js';

/** SORTED serves equality and ranges, HASH equality alone with less memory. */
export const INDEX_TYPES = ['SORTED', 'HASH'] as const;
export type IndexType = (typeof INDEX_TYPES)[number];

/** As users give it. */
export interface IndexConfig {
  /** Default: made of type and attributes. */
  readonly name?: string | undefined;
  /** Default SORTED. */
  readonly type?: IndexType | undefined;
  /** Paths as in `Predicates`; `this` and `__key` too. Several make one index that is used from its first attribute on. */
  readonly attributes: readonly string[];
}

export interface IndexDefinition {
  readonly name: string;
  readonly type: IndexType;
  /** Paths in their one form. */
  readonly attributes: readonly string[];
}

/** Of one map. */
export const MAX_INDEXES = 16;
/** Of one index. */
export const MAX_INDEX_ATTRIBUTES = 4;
export const MAX_INDEX_NAME = 128;

export const indexField = checkedField<IndexDefinition>(
  record({
    name: text(3 * MAX_INDEX_NAME),
    type: oneOf(INDEX_TYPES),
    attributes: list(text(3 * MAX_PATH), MAX_INDEX_ATTRIBUTES),
  }),
  checkedIndex,
);

/** Throws a `TypeError` for what is none. */
export function checkedIndex(given: IndexConfig): IndexDefinition {
  if (typeof given !== 'object' || given === null)
    throw new TypeError("index: expected { name, type: 'SORTED' or 'HASH', attributes: [path] }");
  checkKnown(given, ['name', 'type', 'attributes']);
  const { type = 'SORTED', attributes } = given;
  if (!INDEX_TYPES.includes(type))
    throw new TypeError(`index: expected type to be 'SORTED' or 'HASH', got ${JSON.stringify(type)}`);
  if (!Array.isArray(attributes) || attributes.length === 0 || attributes.length > MAX_INDEX_ATTRIBUTES) {
    const got = Array.isArray(attributes) ? `${attributes.length} of them` : typeof attributes;
    throw new TypeError(
      `index.attributes: expected an array of 1 to ${MAX_INDEX_ATTRIBUTES} paths, got ${got}`,
    );
  }
  const paths = attributes.map((attribute: unknown) => pathOf(attribute));
  if (paths.length > 1 && paths.some(({ hasAny }) => hasAny))
    throw new TypeError('index: an attribute with [any] can only be indexed alone');
  const texts = paths.map((path) => path.text);
  if (new Set(texts).size < texts.length) throw new TypeError('index: an attribute is there twice');
  const { name = `${type.toLowerCase()}(${texts.join(', ')})` } = given;
  if (typeof name !== 'string' || name === '' || (given.name !== undefined && name.length > MAX_INDEX_NAME))
    throw new TypeError(`index: expected a name of 1 to ${MAX_INDEX_NAME} characters`);
  return { name: name.slice(0, MAX_INDEX_NAME), type, attributes: texts };
}

const identities = new WeakMap<IndexDefinition, string>();

/** The same for the same index. */
export function identityOfIndex(index: IndexDefinition): string {
  let identity = identities.get(index);
  if (identity === undefined) {
    identity = `${index.type} ${index.attributes.join(', ')}`;
    identities.set(index, identity);
  }
  return identity;
}

/** Whether two lists have the same indexes, with the same names, in the same order. */
export function areSameIndexes(
  some: readonly IndexDefinition[],
  others: readonly IndexDefinition[],
): boolean {
  if (some === others) return true;
  const isSame = (index: IndexDefinition, i: number) => {
    const other = others[i] as IndexDefinition;
    return index.name === other.name && identityOfIndex(index) === identityOfIndex(other);
  };
  return some.length === others.length && some.every(isSame);
}
