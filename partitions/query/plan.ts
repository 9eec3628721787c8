/**
 * Which indexes can find what a predicate matches. Looks at definitions and the predicate alone. Invariant: each way that
 * it gives leads to all entries that match, and maybe to others, which the predicate then leaves out. Called by the indexes of
 * a state, which choose the way with the fewest candidates.
 */
import { areSameIndexes, type IndexDefinition } from './index-definition.js';
import {
  EMPTY_RANGE,
  intersection,
  isEmpty,
  type Key,
  type KeyRange,
  keyRange,
  pointOf,
  prefixRange,
  rangeOf,
  type ValueRange,
} from './key-ranges.js';
import { likePattern } from './like.js';
import { pathOf } from './paths.js';
import type { Predicate } from './predicate.js';
import type { Scalar } from './scalars.js';

/** Some ranges of one index. */
export interface Lookup {
  readonly index: IndexDefinition;
  readonly ranges: readonly KeyRange[];
}

/** Several ways to find the same entries. */
export interface Choice {
  readonly ways: readonly Way[];
  /** The indexes of all ways, which have to be there for a look at what each has. */
  readonly indexes: readonly IndexDefinition[];
}

/** Lookups, each entry being in one of them at least. */
export type Way = { readonly lookup: Lookup } | { readonly each: readonly Choice[] };

/** Ranges of one lookup. */
const MAX_RANGES = 1_024;
/** Of all lookups of a predicate. */
const MAX_ALL_RANGES = 8_192;
/** Ways that are compared for one predicate. */
const MAX_WAYS = 32;

type OfField = Extract<Predicate, { readonly path: string }>;

/** Ranges that may still be made for one predicate. */
interface Budget {
  left: number;
}

interface Planned {
  readonly indexes: readonly IndexDefinition[];
  readonly choice: Choice | null;
}

/** What was chosen last for a predicate: a query asks many partitions, which have the same indexes. */
const planned = new WeakMap<Predicate, Planned>();

/** Null when all entries have to be gone through, or when looking things up would be more work than that. */
export function choiceFor(predicate: Predicate, indexes: readonly IndexDefinition[]): Choice | null {
  const known = planned.get(predicate);
  if (known !== undefined && areSameIndexes(known.indexes, indexes)) return known.choice;
  const choice = newChoice(predicate, indexes);
  planned.set(predicate, { indexes, choice });
  return choice;
}

function newChoice(predicate: Predicate, indexes: readonly IndexDefinition[]): Choice | null {
  const budget = { left: MAX_ALL_RANGES };
  const choice = choiceOf(predicate, indexes, budget);
  return budget.left < 0 ? null : choice;
}

function choiceOf(predicate: Predicate, indexes: readonly IndexDefinition[], budget: Budget): Choice | null {
  const ways = budget.left < 0 ? [] : waysFor(predicate, indexes, budget);
  if (ways.length === 0) return null;
  const some = ways.slice(0, MAX_WAYS);
  const used = some.flatMap((way) =>
    'lookup' in way ? [way.lookup.index] : way.each.flatMap((each) => each.indexes),
  );
  return { ways: some, indexes: used };
}

function waysFor(predicate: Predicate, indexes: readonly IndexDefinition[], budget: Budget): Way[] {
  switch (predicate.kind) {
    case 'and':
      return waysForAll(conjuncts(predicate.parts), indexes, budget);
    case 'or': {
      const each: Choice[] = [];
      for (const part of predicate.parts) {
        const choice = choiceOf(part, indexes, budget);
        if (choice === null) return [];
        each.push(choice);
      }
      return [{ each }];
    }
    case 'alwaysFalse':
      return [{ each: [] }];
    case 'alwaysTrue':
    case 'not':
      return [];
    default:
      return waysForAll([predicate], indexes, budget);
  }
}

function conjuncts(parts: readonly Predicate[]): Predicate[] {
  return parts.flatMap((part) => (part.kind === 'and' ? conjuncts(part.parts) : [part]));
}

function waysForAll(parts: readonly Predicate[], indexes: readonly IndexDefinition[], budget: Budget): Way[] {
  const fields = parts.filter((part): part is OfField => 'path' in part);
  const ways: Way[] = [];
  for (const index of indexes) {
    for (const ranges of rangesIn(index, fields, budget)) ways.push({ lookup: { index, ranges } });
  }
  for (const part of parts) if (!('path' in part)) ways.push(...waysFor(part, indexes, budget));
  return ways;
}

/** What the conditions say of one attribute. */
interface Wanted {
  /** The values that it may have, when they are few. */
  readonly points: readonly Scalar[] | null;
  readonly range: ValueRange | null;
}

/** The ways into one index. Conditions on `[any]` may be met by different elements, so each is a way of its own. */
function rangesIn(
  index: IndexDefinition,
  fields: readonly OfField[],
  budget: Budget,
): (readonly KeyRange[])[] {
  const [first] = index.attributes;
  if (first === undefined) return [];
  const onFirst = fields.filter(({ path }) => path === first);
  const groups = pathOf(first).hasAny ? onFirst.map((one) => [one]) : [fields];
  return groups.map((group) => rangesOf(index, group, budget)).filter((ranges) => ranges !== null);
}

/** Values for the first attributes, then a range of the next one; HASH needs values for all. */
function rangesOf(
  { type, attributes }: IndexDefinition,
  fields: readonly OfField[],
  budget: Budget,
): readonly KeyRange[] | null {
  let before: Key[] = [[]];
  for (const [i, attribute] of attributes.entries()) {
    const { points, range } = wantedOf(fields.filter(({ path }) => path === attribute));
    if (points !== null && points.length * before.length <= MAX_RANGES) {
      budget.left -= points.length * before.length;
      if (budget.left < 0) return null;
      before = before.flatMap((key) => points.map((point) => [...key, pointOf(point).from]));
      continue;
    }
    if (type === 'HASH') return null;
    const spanned = points === null ? range : null;
    budget.left -= before.length;
    if (spanned !== null) return isEmpty(spanned) ? [] : before.map((key) => keyRange(key, spanned));
    return i === 0 ? null : before.map(wholeKey);
  }
  return before.map(wholeKey);
}

function wholeKey(key: Key): KeyRange {
  return { from: { key, included: true }, to: { key, included: true } };
}

function wantedOf(fields: readonly OfField[]): Wanted {
  let points: readonly Scalar[] | null = null;
  let range: ValueRange | null = null;
  for (const field of fields) {
    const values = pointsOf(field);
    if (values !== null) {
      if (points === null || values.length < points.length) points = values;
      continue;
    }
    const one = rangeOfField(field);
    if (one !== null) range = range === null ? one : intersection(range, one);
  }
  return { points, range };
}

function pointsOf(field: OfField): readonly Scalar[] | null {
  if (field.kind === 'in') return field.values;
  return field.kind === 'compare' && field.is === '=' ? [field.value] : null;
}

function rangeOfField(field: OfField): ValueRange | null {
  switch (field.kind) {
    case 'compare':
      return rangeOf(field.is, field.value);
    case 'between': {
      const [from, to] = [rangeOf('>=', field.from), rangeOf('<=', field.to)];
      return intersection(from ?? EMPTY_RANGE, to ?? EMPTY_RANGE);
    }
    case 'like': {
      const { prefix } = likePattern(field.pattern, field.escapeBy, field.ignoreCase);
      return prefix === '' ? null : prefixRange(prefix);
    }
    default:
      return null;
  }
}
