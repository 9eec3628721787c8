/** What `project` gives of each entry, as plain data. Exported as `Projections`. */
import { list } from '../../src/wire/fields.js';
import { singlePathField } from './path-field.js';
import { pathOf } from './paths.js';

declare const RESULT: unique symbol;

/** Made by `Projections`. `R` is what it gives of an entry; null for a field that is not there. */
export interface Projection<R> {
  readonly kind: 'singleAttribute' | 'multiAttribute' | 'identity';
  readonly attributes: readonly string[];
  readonly [RESULT]?: R;
}

export const MAX_ATTRIBUTES = 32;
export const attributesField = list(singlePathField, MAX_ATTRIBUTES);

function made<R>(kind: Projection<R>['kind'], attributes: readonly string[]): Projection<R> {
  return checkedProjection({ kind, attributes });
}

/** Throws a `TypeError` for what is none. */
export function checkedProjection<R>(given: Projection<R>): Projection<R> {
  const { kind, attributes } = Object(given) as Partial<Projection<R>>;
  const isKnown = kind === 'singleAttribute' || kind === 'multiAttribute' || kind === 'identity';
  if (!isKnown || !Array.isArray(attributes))
    throw new TypeError(
      'projection: expected one that Projections makes, such as Projections.singleAttribute(path)',
    );
  if (kind !== 'identity' && attributes.length === 0)
    throw new TypeError('projection: expected an attribute at least');
  if (attributes.length > MAX_ATTRIBUTES)
    throw new TypeError(`projection: more than ${MAX_ATTRIBUTES} attributes`);
  const paths = attributes.map((attribute: unknown) => pathOf(attribute));
  const several = paths.find(({ hasAny }) => hasAny);
  if (several !== undefined)
    throw new TypeError(`projection: ${several.text} leads to several values; leave [any] out`);
  return Object.freeze({ kind, attributes: paths.map((path) => path.text) });
}

export const Projections = Object.freeze({
  /** The value at the path. */
  singleAttribute: <T = unknown>(attribute: string): Projection<T | null> =>
    made('singleAttribute', [attribute]),
  /** An array of the values at the paths. */
  multiAttribute: <T extends readonly unknown[] = unknown[]>(
    ...attributes: string[]
  ): Projection<{ [I in keyof T]: T[I] | null }> => made('multiAttribute', attributes),
  /** The entry, as `[key, value]`. */
  identity: <K = unknown, V = unknown>(): Projection<[K, V]> => made('identity', []),
});
