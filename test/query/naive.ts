/** What a predicate means, said once more in plain JavaScript and as simply as it goes: what the tests compare with. */
import type { Predicate } from '../../partitions/query/predicate.js';

type Sides = readonly [unknown, unknown];

const isNumeric = (x: unknown) => typeof x === 'bigint' || (typeof x === 'number' && !Number.isNaN(x));
const isNil = (x: unknown) => x === null || x === undefined;

function equal([x, y]: Sides): boolean {
  if (isNil(x) || isNil(y)) return isNil(x) && isNil(y);
  if (x instanceof Date || y instanceof Date)
    return x instanceof Date && y instanceof Date && x.getTime() === y.getTime();
  // biome-ignore lint/suspicious/noDoubleEquals: a number and a bigint are equal by value
  if (isNumeric(x) && isNumeric(y)) return (x as number) == (y as number);
  return Object.is(x, y);
}

function less([x, y]: Sides): boolean {
  if (x instanceof Date && y instanceof Date) return x.getTime() < y.getTime();
  const sameType =
    (isNumeric(x) && isNumeric(y)) || (typeof x === typeof y && ['string', 'boolean'].includes(typeof x));
  return sameType && (x as number) < (y as number);
}

function comparable([x, y]: Sides): boolean {
  return (
    less([x, y]) ||
    less([y, x]) ||
    (equal([x, y]) && !isNil(x) && !(typeof x === 'number' && Number.isNaN(x)))
  );
}

/** All that a path leads to; without `[any]` that is one value. */
export function valuesAt(text: string, key: unknown, value: unknown): unknown[] {
  const parts = text.match(/"[^"]*"|\[[^\]]+\]|[^.[\]]+/g) ?? [];
  let all: unknown[] = [value];
  if (parts[0] === '__key') all = [key];
  const rest = parts[0] === '__key' || parts[0] === 'this' ? parts.slice(1) : parts;
  for (const part of rest) all = all.flatMap((one) => step(one, part));
  return all;
}

function step(from: unknown, part: string): unknown[] {
  if (part === '[any]') return Array.isArray(from) || from instanceof Set ? [...from] : [];
  if (part.startsWith('[')) return [Array.isArray(from) ? from[Number(part.slice(1, -1))] : undefined];
  const name = part.startsWith('"') ? part.slice(1, -1) : part;
  if (from instanceof Map) return [from.get(name)];
  if (typeof from !== 'object' || from === null || Array.isArray(from)) return [undefined];
  return [Object.entries(from).find(([own]) => own === name)?.[1]];
}

function likeToRegExp(pattern: string, escapeBy: string, ignoreCase: boolean): RegExp {
  let source = '';
  const all = [...pattern];
  for (let i = 0; i < all.length; i++) {
    const one = all[i] as string;
    if (one === escapeBy) source += `\\${all[++i]}`;
    else if (one === '%') source += '.*';
    else if (one === '_') source += '.';
    else source += /[-\n\w\u0080-\u{10ffff}]/u.test(one) ? one : `\\${one}`;
  }
  return new RegExp(`^${source}$`, `su${ignoreCase ? 'i' : ''}`);
}

export function holds(predicate: Predicate, key: unknown, value: unknown): boolean {
  switch (predicate.kind) {
    case 'alwaysTrue':
      return true;
    case 'alwaysFalse':
      return false;
    case 'and':
      return predicate.parts.every((part) => holds(part, key, value));
    case 'or':
      return predicate.parts.some((part) => holds(part, key, value));
    case 'not':
      return !holds(predicate.part, key, value);
    default:
      return valuesAt(predicate.path, key, value).some((one) => fieldHolds(predicate, one));
  }
}

function fieldHolds(predicate: Predicate, x: unknown): boolean {
  switch (predicate.kind) {
    case 'compare': {
      const sides = [x, predicate.value] as const;
      if (predicate.is === '=')
        return (isNil(x) || typeof x !== 'object' || x instanceof Date) && equal(sides);
      if (predicate.is === '!=') return !isNil(x) && !equal(sides);
      if (!comparable(sides)) return false;
      if (predicate.is === '<') return less(sides);
      if (predicate.is === '<=') return less(sides) || equal(sides);
      if (predicate.is === '>') return less([predicate.value, x]);
      return less([predicate.value, x]) || equal(sides);
    }
    case 'between':
      return (
        fieldHolds({ kind: 'compare', path: '', is: '>=', value: predicate.from }, x) &&
        fieldHolds({ kind: 'compare', path: '', is: '<=', value: predicate.to }, x)
      );
    case 'in':
      return predicate.values.some((value) => fieldHolds({ kind: 'compare', path: '', is: '=', value }, x));
    case 'like':
      return (
        typeof x === 'string' &&
        likeToRegExp(predicate.pattern, predicate.escapeBy, predicate.ignoreCase).test(x)
      );
    case 'regex':
      return typeof x === 'string' && new RegExp(`^(?:${predicate.pattern})$`, 'u').test(x);
    default:
      throw new Error('no condition on a field');
  }
}
