/**
 * Predicates as functions of entries. `matcherOf` is made once for a query; what it decodes of an entry, it decodes when a
 * condition asks for it. The way in for whoever has bytes, such as listeners with predicates: `matches(keyBytes, valueBytes)`.
 */

import { EntryBytes } from './entry-bytes.js';
import { likePattern } from './like.js';
import { type Entry, type Path, pathOf, readOne, someAt } from './paths.js';
import type { Comparison, Predicate } from './predicate.js';
import { fitsRegex, regexOf } from './regex.js';
import { areEqual, areOrdered, identityOf, type Scalar, scalarOf, sortScalars } from './scalars.js';
import { Work } from './work.js';

/** Conditions side by side. */
const MANY = 16;

export type Test = (entry: Entry) => boolean;

export class Matcher {
  readonly test: Test;
  /** Whether one entry may take so long that the clock is looked at after each. */
  readonly isSlow: boolean;
  readonly #entry = new EntryBytes();

  constructor(predicate: Predicate) {
    const work = new Work();
    const test = testOf(predicate, work);
    this.test = (entry) => {
      work.renew();
      return test(entry);
    };
    this.isSlow = isSlow(predicate);
  }

  /** Throws a `ValueNotReadableError` when a condition asks for what members cannot decode. */
  matches(keyBytes: Uint8Array, valueBytes: Uint8Array): boolean {
    const found = this.test(this.#entry.of(keyBytes, valueBytes));
    this.#entry.forget();
    return found;
  }
}

/** `predicate` has been checked: it comes from `checkedPredicate` or the codec. */
export function matcherOf(predicate: Predicate): Matcher {
  return new Matcher(predicate);
}

/** Many conditions are slow together, whatever they are. */
function isSlow(predicate: Predicate): boolean {
  if ('path' in predicate) return predicate.kind === 'regex';
  if (predicate.kind === 'not') return isSlow(predicate.part);
  if (predicate.kind !== 'and' && predicate.kind !== 'or') return false;
  return predicate.parts.length > MANY || predicate.parts.some(isSlow);
}

function testOf(predicate: Predicate, work: Work): Test {
  switch (predicate.kind) {
    case 'alwaysTrue':
      return () => true;
    case 'alwaysFalse':
      return () => false;
    case 'not': {
      const part = testOf(predicate.part, work);
      return (entry) => !part(entry);
    }
    case 'and': {
      const parts = predicate.parts.map((part) => testOf(part, work));
      return (entry) => parts.every((part) => part(entry));
    }
    case 'or': {
      const parts = predicate.parts.map((part) => testOf(part, work));
      return (entry) => parts.some((part) => part(entry));
    }
    default:
      return atPath(pathOf(predicate.path), valueTest(predicate, work), work);
  }
}

function atPath(path: Path, test: (value: unknown) => boolean, work: Work): Test {
  const each = () => work.spend(1, 'a path with [any] into a long list');
  if (path.hasAny) return (entry) => someAt(path, entry, test, each);
  return (entry) => test(readOne(path, entry));
}

type OfField = Extract<Predicate, { readonly path: string }>;

function valueTest(predicate: OfField, work: Work): (value: unknown) => boolean {
  switch (predicate.kind) {
    case 'compare':
      return comparison(predicate.is, predicate.value);
    case 'between': {
      const [from, to] = [comparison('>=', predicate.from), comparison('<=', predicate.to)];
      return (value) => from(value) && to(value);
    }
    case 'in': {
      const all = new Set(predicate.values.map(identityOf));
      return (value) => {
        const scalar = scalarOf(value);
        return scalar !== undefined && all.has(identityOf(scalar));
      };
    }
    case 'like': {
      const pattern = likePattern(predicate.pattern, predicate.escapeBy, predicate.ignoreCase);
      return (value) => {
        if (typeof value !== 'string') return false;
        work.spend(pattern.cost * value.length, `LIKE with a text of ${value.length} characters`);
        return pattern.fits(value);
      };
    }
    case 'regex': {
      const regex = regexOf(predicate.pattern);
      return (value) => typeof value === 'string' && fitsRegex(regex, value, work);
    }
  }
}

function comparison(is: Comparison, wanted: Scalar): (value: unknown) => boolean {
  if (is === '=') {
    return (value) => {
      const scalar = scalarOf(value);
      return scalar !== undefined && areEqual(scalar, wanted);
    };
  }
  if (is === '!=') {
    return (value) => {
      if (value === undefined || value === null) return false;
      const scalar = scalarOf(value);
      // What cannot be compared at all is certainly something else.
      return scalar === undefined || !areEqual(scalar, wanted);
    };
  }
  const fits = ORDERS[is];
  return (value) => {
    const scalar = scalarOf(value);
    return scalar !== undefined && areOrdered(scalar, wanted) && fits(sortScalars(scalar, wanted));
  };
}

const ORDERS = {
  '<': (order: number) => order < 0,
  '<=': (order: number) => order <= 0,
  '>': (order: number) => order > 0,
  '>=': (order: number) => order >= 0,
} as const;
