/** Regular expressions of predicates: how large they are is known before they are made, and few are made. */
import fc from 'fast-check';
import { RE2JS } from 're2js';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { matcherOf } from '../../partitions/query/matcher.js';
import { checkedPredicate, type Predicate } from '../../partitions/query/predicate.js';
import { readPredicate, writePredicate } from '../../partitions/query/predicate-codec.js';
import { Predicates } from '../../partitions/query/predicates.js';
import { regexSize } from '../../partitions/query/regex-size.js';
import { Reader, Writer } from '../../src/base/bytes.js';
import { ProtocolError } from '../../src/base/errors.js';
import { encodeKey } from '../../src/wire/keys.js';
import { ValueCodec } from '../../src/wire/values.js';

const codec = new ValueCodec();
const regexes = (patterns: readonly string[]): Predicate => ({
  kind: 'or',
  parts: patterns.map((pattern) => ({ kind: 'regex', path: 'this', pattern })),
});
/** As from a client that checks nothing. */
const read = (predicate: Predicate) => {
  const out = new Writer();
  writePredicate(out, predicate);
  return readPredicate(new Reader(out.toBytes()));
};
const numbered = (count: number, from = 0) => Array.from({ length: count }, (_, i) => `x${from + i}`);

afterEach(() => {
  vi.restoreAllMocks();
});

describe('the size of a regular expression', () => {
  const letter = fc.constantFrom('a', 'b', 'é', '中', '😀', '.', '^', '$', ' ', '-', '}', ']');
  const escaped = fc.constantFrom(
    '\\d',
    '\\W',
    '\\s',
    '\\b',
    '\\pL',
    '\\PN',
    '\\p{Greek}',
    '\\x41',
    '\\x{1f600}',
    '\\.',
    '\\Qa{9}\\E',
  );
  const item = fc.constantFrom(
    'a',
    'b-y',
    'k',
    '0-9',
    '\\d',
    '\\pL',
    '[:alpha:]',
    '\\x{100}-\\x{200}',
    '\\]',
    'é-я',
    '😀',
  );
  const set = fc
    .tuple(fc.boolean(), fc.array(item, { minLength: 1, maxLength: 12 }))
    .map(([not, items]) => `[${not ? '^' : ''}${items.join('')}]`);
  const times = fc.constantFrom(
    '',
    '',
    '*',
    '+',
    '?',
    '*?',
    '{3}',
    '{2,}',
    '{0,9}',
    '{7,11}',
    '{0}',
    '{,2}',
    '{1}',
  );
  const pattern = fc.letrec<{ all: string }>((tie) => ({
    all: fc.oneof(
      { depthSize: 'small' },
      fc.oneof(letter, escaped, set),
      fc
        .array(fc.tuple(tie('all'), times), { maxLength: 5 })
        .map((parts) => parts.map(([part, repeated]) => part + repeated).join('')),
      fc
        .tuple(fc.constantFrom('(', '(?:', '(?i:', '(?P<n>', '(?is-m:'), tie('all'), times)
        .map(([open, inner, repeated]) => `${open}${inner})${repeated}`),
      fc.array(tie('all'), { maxLength: 4 }).map((parts) => parts.join('|')),
      tie('all').map((inner) => `(?i)${inner}`),
    ),
  })).all;

  it('is never less than that of what is made of it', () => {
    let compared = 0;
    const property = fc.property(pattern, (text) => {
      const size = regexSize(text);
      if (size > 4_096) return;
      let made: RE2JS;
      try {
        made = RE2JS.compile(text);
      } catch {
        return;
      }
      compared++;
      expect(size, text).toBeGreaterThanOrEqual(made.programSize());
    });
    fc.assert(property, { numRuns: 5_000 });
    expect(compared).toBeGreaterThan(2_000);
  });

  it.each<[string, number]>([
    ['a+b', 6],
    ['|\\d|', 8],
    ['[a-c]{999}[b-d]{999}', 2_003],
    ['x{3,9}', 18],
    ['J[aeiou]+', 6],
    ['(?i)[a-z]+@[a-z]+\\.(com|org)', 20],
  ])('%s is about %i', (text, size) => {
    expect(regexSize(text)).toBe(size);
  });

  it('is told of any text', () => {
    const property = fc.property(
      fc.string({ unit: fc.constantFrom(...'(){}[]\\|*+?-:^,0123aQEpPx<>i😀'), maxLength: 60 }),
      (text) => {
        expect(regexSize(text)).toBeGreaterThan(0);
      },
    );
    fc.assert(property, { numRuns: 2_000 });
  });
});

describe('regular expressions of a predicate', () => {
  it.each([
    ['repetitions', 'a{1000}'.repeat(140)],
    ['repetitions of repetitions', '(x{0,999})*'.repeat(90)],
    ['nothing, often', '(){1000}'.repeat(100)],
    ['classes of Unicode', '[\\pL\\pN]|'.repeat(113)],
    ['a class of them', `[${'\\pL'.repeat(300)}]`],
    ['ranges whatever the case', `(?i)[${'a-\\x{ffff}'.repeat(80)}]`],
    [
      'large classes, often',
      `[${Array.from({ length: 900 }, (_, i) => String.fromCharCode(0x4e00 + 3 * i)).join('')}]{999}`,
    ],
  ])('that are too large are refused before anything is made: %s', (_what, pattern) => {
    const made = vi.spyOn(RE2JS, 'compile');
    expect(() => Predicates.regex('this', pattern)).toThrow(/regex: about .* the limit is 4096/);
    expect(() => Predicates.regex('this', pattern)).toThrow(TypeError);
    expect(() => read(regexes([pattern]))).toThrow(ProtocolError);
    expect(made).not.toHaveBeenCalled();
  });

  it('have one limit together, at the caller and for what comes from the network', () => {
    const each = (i: number) => `${String.fromCharCode(97 + i)}[a-c]{999}`;
    const four = regexes([0, 1, 2, 3].map(each));
    expect(checkedPredicate(four)).toEqual(four);
    expect(read(four)).toEqual(four);
    const five = regexes([0, 1, 2, 3, 4].map(each));
    expect(() => checkedPredicate(five)).toThrow(/the limit is 4096/);
    expect(() => read(five)).toThrow(ProtocolError);
    const alone = Predicates.regex('this', each(4));
    expect(() => Predicates.not(Predicates.and(four, alone))).toThrow(/the limit is 4096/);
    // The same one again is one.
    expect(Predicates.and(four, Predicates.regex('a', each(0)))).toMatchObject({ kind: 'and' });
  });

  it('are few', () => {
    expect(read(regexes(numbered(32)))).toEqual(regexes(numbered(32)));
    expect(() => checkedPredicate(regexes(numbered(33)))).toThrow(
      'regex: more than 32 regular expressions in a predicate',
    );
    const made = vi.spyOn(RE2JS, 'compile');
    expect(() => read(regexes(numbered(1_000, 500)))).toThrow(ProtocolError);
    expect(made.mock.calls.length).toBeLessThanOrEqual(32);
  });

  it('are made once, whatever many steps a query has', () => {
    const made = vi.spyOn(RE2JS, 'compile');
    const two = [regexes(numbered(32, 1_000)), regexes(numbered(32, 2_000))];
    for (let step = 0; step < 5; step++)
      for (const predicate of two)
        expect(matcherOf(read(predicate)).matches(encodeKey('k'), codec.encode('x2031'))).toBe(
          predicate === two[1],
        );
    expect(made).toHaveBeenCalledTimes(64);
  });

  it('match as before when others have driven them out', () => {
    const matcher = matcherOf(checkedPredicate(regexes(['first[0-9]+'])));
    const fits = () => matcher.matches(encodeKey('k'), codec.encode('first77'));
    expect(fits()).toBe(true);
    for (let i = 0; i < 5; i++) checkedPredicate(regexes(numbered(32, 10_000 + 100 * i)));
    const made = vi.spyOn(RE2JS, 'compile');
    expect([fits(), fits()]).toEqual([true, true]);
    expect(made).toHaveBeenCalledTimes(1);
  });
});
