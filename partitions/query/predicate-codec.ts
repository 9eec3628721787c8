/**
 * Predicates as bytes, in requests and wherever else one is kept. What is read is checked like what a user gives: depth, number
 * of parts, patterns, paths; a violation is a `ProtocolError`. Called by operations, and by listeners and processors that
 * take a predicate.
 */
import type { Reader, Writer } from '../../src/base/bytes.js';
import { ProtocolError } from '../../src/base/errors.js';
import type { Field } from '../../src/wire/fields.js';
import { MAX_DEPTH, MAX_NODES, MAX_PATH, MAX_PATTERN, MAX_PREDICATE_BYTES, MAX_VALUES } from './limits.js';
import { ALWAYS_FALSE, ALWAYS_TRUE, COMPARISONS, checkedPredicate, type Predicate } from './predicate.js';
import { readScalar, writeScalar } from './scalar-codec.js';
import type { Scalar } from './scalars.js';

const TAG = {
  alwaysTrue: 0,
  alwaysFalse: 1,
  compare: 2,
  between: 3,
  in: 4,
  like: 5,
  regex: 6,
  and: 7,
  or: 8,
  not: 9,
} as const;

/** UTF-8 takes up to three bytes for a UTF-16 unit. */
const PATH_BYTES = 3 * MAX_PATH;
const PATTERN_BYTES = 3 * MAX_PATTERN;

export function writePredicate(out: Writer, of: Predicate): void {
  out.u8(TAG[of.kind]);
  switch (of.kind) {
    case 'compare':
      out.string(of.path);
      out.u8(COMPARISONS.indexOf(of.is));
      writeScalar(out, of.value);
      break;
    case 'between':
      out.string(of.path);
      writeScalar(out, of.from);
      writeScalar(out, of.to);
      break;
    case 'in':
      out.string(of.path);
      out.u32(of.values.length);
      for (const value of of.values) writeScalar(out, value);
      break;
    case 'like':
      out.string(of.path);
      out.string(of.pattern);
      out.string(of.escapeBy);
      out.u8(of.ignoreCase ? 1 : 0);
      break;
    case 'regex':
      out.string(of.path);
      out.string(of.pattern);
      break;
    case 'and':
    case 'or':
      out.u32(of.parts.length);
      for (const part of of.parts) writePredicate(out, part);
      break;
    case 'not':
      writePredicate(out, of.part);
      break;
  }
}

/** Depth and lengths are looked at before anything is made; the rest is checked when it is there. */
function readNode(input: Reader, depth: number): Predicate {
  if (depth > MAX_DEPTH) throw new ProtocolError(`a predicate nested deeper than ${MAX_DEPTH} levels`);
  const tag = input.u8();
  switch (tag) {
    case TAG.alwaysTrue:
      return ALWAYS_TRUE;
    case TAG.alwaysFalse:
      return ALWAYS_FALSE;
    case TAG.compare: {
      const path = input.string(PATH_BYTES);
      const is = COMPARISONS[input.u8()];
      if (is === undefined) throw new ProtocolError('an unknown comparison');
      return { kind: 'compare', path, is, value: readScalar(input) };
    }
    case TAG.between:
      return {
        kind: 'between',
        path: input.string(PATH_BYTES),
        from: readScalar(input),
        to: readScalar(input),
      };
    case TAG.in:
      return {
        kind: 'in',
        path: input.string(PATH_BYTES),
        values: readMany(input, MAX_VALUES, readScalar) as Scalar[],
      };
    case TAG.like: {
      const [path, pattern] = [input.string(PATH_BYTES), input.string(PATTERN_BYTES)];
      return { kind: 'like', path, pattern, escapeBy: input.string(8), ignoreCase: input.u8() === 1 };
    }
    case TAG.regex:
      return { kind: 'regex', path: input.string(PATH_BYTES), pattern: input.string(PATTERN_BYTES) };
    case TAG.and:
    case TAG.or: {
      const parts = readMany(input, MAX_NODES, () => readNode(input, depth + 1));
      return { kind: tag === TAG.and ? 'and' : 'or', parts };
    }
    case TAG.not:
      return { kind: 'not', part: readNode(input, depth + 1) };
    default:
      throw new ProtocolError(`an unknown predicate: ${tag}`);
  }
}

function readMany<T>(input: Reader, most: number, one: (input: Reader) => T): T[] {
  const size = input.u32();
  if (size > most || size > input.remaining) throw new ProtocolError(`a list of ${size} in a predicate`);
  const all: T[] = [];
  for (let i = 0; i < size; i++) all.push(one(input));
  return all;
}

export function readPredicate(input: Reader): Predicate {
  const before = input.remaining;
  const read = readNode(input, 1);
  if (before - input.remaining > MAX_PREDICATE_BYTES)
    throw new ProtocolError(`a predicate of more than ${MAX_PREDICATE_BYTES} bytes`);
  try {
    return checkedPredicate(read);
  } catch (error) {
    if (error instanceof TypeError) throw new ProtocolError(error.message);
    throw error;
  }
}

/** In requests. */
export const predicateField: Field<Predicate> = {
  type: `predicate<=${MAX_PREDICATE_BYTES}`,
  write: writePredicate,
  read: readPredicate,
};
