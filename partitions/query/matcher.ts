/**
 * Predicates as functions of entries. `matcherOf` is made once for a query; what it decodes of an entry, it decodes when a
 * condition asks for it. The way in for whoever has bytes, such as listeners with predicates: `matches(keyBytes, valueBytes)`.
 */

import { EntryBytes } from './entry-bytes.js';
import { likePattern } from './like.js';
import { MAX_ENTRY_WORK, MAX_TEXT } from './limits.js';
import { type Entry, type Path, pathOf, readOne, someAt } from './paths.js';
import type { Comparison, Predicate } from './predicate.js';
import { regexTest } from './regex.js';
import { areEqual, areOrdered, identityOf, type Scalar, scalarOf, sortScalars } from './scalars.js';
import { Work } from './work.js';

/** Steps for an element behind `[any]`, and for each condition on it. */
const ELEMENT_STEPS = 5;
/** Characters of texts that are compared in one step. */
const COMPARED = 16;

export type Test = (entry: Entry) => boolean;

export class Matcher {
  readonly test: Test;
  readonly #work: Work;
  readonly #entry = new EntryBytes();

  constructor(predicate: Predicate, mostSteps: number) {
    const work = new Work(mostSteps);
    this.#work = work;
    const test = testOf(predicate, work);
    this.test = (entry) => {
      work.renew();
      return test(entry);
    };
  }

  /** Steps that all entries have taken so far; those of ordinary conditions are not counted. */
  get spent(): number {
    return this.#work.spent;
  }

  /** Throws a `ValueNotReadableError` when a condition asks for what members cannot decode. */
  matches(keyBytes: Uint8Array, valueBytes: Uint8Array): boolean {
    const found = this.test(this.#entry.of(keyBytes, valueBytes));
    this.#entry.forget();
    return found;
  }
}

/** `predicate` has been checked: it comes from `checkedPredicate` or the codec. An entry may take so many steps. */
export function matcherOf(predicate: Predicate, mostSteps: number = MAX_ENTRY_WORK): Matcher {
  return new Matcher(predicate, mostSteps);
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
  const each = () => work.spend(ELEMENT_STEPS, 'a path with [any] into a long list');
  if (path.hasAny) return (entry) => someAt(path, entry, test, each);
  return (entry) => {
    work.spend(1, 'so many conditions');
    return test(readOne(path, entry));
  };
}

type OfField = Extract<Predicate, { readonly path: string }>;

function valueTest(predicate: OfField, work: Work): (value: unknown) => boolean {
  switch (predicate.kind) {
    case 'compare':
      return comparison(predicate.is, predicate.value, work);
    case 'between': {
      const { from: least, to: most } = predicate;
      const [from, to] = [comparison('>=', least, work), comparison('<=', most, work)];
      return (value) => from(value) && to(value);
    }
    case 'in': {
      const texts = new Set(predicate.values.filter((one) => typeof one === 'string'));
      const others = new Set(predicate.values.filter((one) => typeof one !== 'string').map(identityOf));
      return (value) => {
        const scalar = scalarOf(value);
        if (typeof scalar !== 'string') return scalar !== undefined && others.has(identityOf(scalar));
        // Longer than any that can be asked for.
        if (scalar.length > MAX_TEXT) return false;
        compareTexts(scalar.length, work);
        return texts.has(scalar);
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
      const fits = regexTest(predicate.pattern, work);
      return (value) => typeof value === 'string' && fits(value);
    }
  }
}

function compareTexts(characters: number, work: Work): void {
  if (characters >= COMPARED) work.spend(characters / COMPARED, 'comparing long texts');
}

function comparison(is: Comparison, wanted: Scalar, work: Work): (value: unknown) => boolean {
  const compare = comparing(is, wanted);
  if (typeof wanted !== 'string' || wanted.length < COMPARED) return compare;
  return (value) => {
    if (typeof value === 'string') compareTexts(Math.min(value.length, wanted.length), work);
    return compare(value);
  };
}

function comparing(is: Comparison, wanted: Scalar): (value: unknown) => boolean {
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
