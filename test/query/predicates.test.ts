/** Predicates: what they match against a naive evaluation, their bytes, their text, their limits, and hostile input. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { matcherOf } from '../../partitions/query/matcher.js';
import { checkedPredicate, type Predicate } from '../../partitions/query/predicate.js';
import { readPredicate, writePredicate } from '../../partitions/query/predicate-codec.js';
import { Predicates } from '../../partitions/query/predicates.js';
import { areEqual, areOrdered, identityOf, sortScalars } from '../../partitions/query/scalars.js';
import { parseWhere } from '../../partitions/query/where-parser.js';
import { whereText } from '../../partitions/query/where-text.js';
import { Reader, Writer } from '../../src/base/bytes.js';
import {
  ProtocolError,
  QuerySyntaxError,
  QueryTooLargeError,
  ValueNotReadableError,
} from '../../src/base/errors.js';
import { encodeKey, withAffinity } from '../../src/wire/keys.js';
import { ValueCodec } from '../../src/wire/values.js';
import * as any from './arbitraries.js';
import { holds } from './naive.js';

const codec = new ValueCodec();
const matches = (predicate: Predicate, value: unknown, key: unknown = 'k') =>
  matcherOf(checkedPredicate(predicate)).matches(encodeKey(key), codec.encode(value));
const found = (where: string, value: unknown, key?: unknown) => matches(parseWhere(where), value, key);
const bytesOf = (predicate: Predicate) => {
  const out = new Writer();
  writePredicate(out, predicate);
  return out.toBytes();
};

describe('a predicate', () => {
  it('matches what a naive evaluation of it matches', () => {
    const property = fc.property(any.predicate, any.value, any.key, (predicate, value, key) => {
      expect(matches(predicate, value, key)).toBe(holds(predicate, key, value));
    });
    fc.assert(property, { numRuns: 5_000 });
  });

  it('is the same after it went over the wire', () => {
    const property = fc.property(any.predicate, (predicate) => {
      const reader = new Reader(bytesOf(checkedPredicate(predicate)));
      expect(readPredicate(reader)).toEqual(checkedPredicate(predicate));
      expect(reader.remaining).toBe(0);
    });
    fc.assert(property, { numRuns: 2_000 });
  });

  it('is the same after it was printed and read', () => {
    const property = fc.property(any.predicate, (predicate) => {
      const checked = checkedPredicate(predicate);
      expect(parseWhere(whereText(checked))).toEqual(checked);
    });
    fc.assert(property, { numRuns: 3_000 });
  });

  it.each<[string, Predicate]>([
    ['equal', Predicates.equal('a', 1)],
    ['notEqual', Predicates.notEqual('a', 2)],
    ['greaterThan', Predicates.greaterThan('a', 0)],
    ['greaterEqual', Predicates.greaterEqual('a', 1)],
    ['lessThan', Predicates.lessThan('a', 2)],
    ['lessEqual', Predicates.lessEqual('a', 1)],
    ['between', Predicates.between('a', 1, 3)],
    ['inPredicate', Predicates.inPredicate('a', 7, 1)],
    ['like', Predicates.like('name', 'J_n%')],
    ['ilike', Predicates.ilike('name', 'j%E')],
    ['regex', Predicates.regex('name', 'J.*e')],
    ['and', Predicates.and(Predicates.equal('a', 1), Predicates.like('name', 'J%'))],
    ['or', Predicates.or(Predicates.equal('a', 9), Predicates.like('name', 'J%'))],
    ['not', Predicates.not(Predicates.equal('a', 9))],
    ['alwaysTrue', Predicates.alwaysTrue()],
    ['sql', Predicates.sql("a = 1 AND name LIKE 'J%'")],
  ])('made by %s matches, and its negation does not', (_name, predicate) => {
    const value = { a: 1, name: 'Jane' };
    expect([matches(predicate, value), matches(Predicates.not(predicate), value)]).toEqual([true, false]);
    expect(Object.isFrozen(predicate)).toBe(true);
  });

  it('matches no field that is not there but by null and by not', () => {
    for (const where of [
      'x = 1',
      'x != 1',
      'x < 1',
      'x >= 1',
      'x IN (1)',
      "x LIKE '%'",
      "x REGEX '.*'",
      'x BETWEEN 0 AND 9',
    ])
      for (const value of [{ x: null }, {}, 5, 'text', [1]]) expect(found(where, value), where).toBe(false);
    expect([found('x IS NULL', {}), found('x IS NOT NULL', {}), found('NOT x = 1', {})]).toEqual([
      true,
      false,
      true,
    ]);
  });

  it('compares numbers with bigints by value, and no other types with one another', () => {
    expect(found('a = 9007199254740993', { a: 2n ** 53n + 1n })).toBe(true);
    expect(found('a = 9007199254740993', { a: 2 ** 53 })).toBe(false);
    expect(found('a > 0.5', { a: 1n })).toBe(true);
    for (const [where, a] of [
      ["a = '1'", 1],
      ['a = 1', '1'],
      ['a = 1', true],
      ["a > ''", 5],
      ['a > 0', new Date(5)],
    ] as const)
      expect(found(where, { a }), where).toBe(false);
    expect(found('a = NaN', { a: Number.NaN })).toBe(true);
    expect([found('a > 0', { a: Number.NaN }), found('a <= NaN', { a: Number.NaN })]).toEqual([false, false]);
    expect(found("a >= DATE '2026-01-01'", { a: new Date(Date.UTC(2026, 0, 1)) })).toBe(true);
  });

  it('reads the key, a part of it, and the key behind an affinity', () => {
    expect(found("__key = 'k'", 1)).toBe(true);
    expect(found('__key.id > 3', 1, { id: 4 })).toBe(true);
    expect(found("__key = 'x'", 1, withAffinity('x', 'y'))).toBe(true);
    expect(found('this > 3', 4)).toBe(true);
  });

  it('runs nothing of a value and sees only what is its own', () => {
    for (const path of ['constructor', '__proto__', 'toString', 'hasOwnProperty', 'tags.length'])
      expect(found(`${path} IS NOT NULL`, { tags: [1, 2] }), path).toBe(false);
    expect(found('"__proto__" = 1', JSON.parse('{"__proto__": 1}'))).toBe(true);
  });

  it('asks for a value only when a condition does', () => {
    const unreadable = Buffer.from([6, 1, 2, 3]);
    const byKey = matcherOf(Predicates.equal('__key', 'k'));
    expect(byKey.matches(encodeKey('k'), unreadable)).toBe(true);
    const byValue = matcherOf(Predicates.and(Predicates.equal('__key', 'k'), Predicates.equal('a', 1)));
    expect(byValue.matches(encodeKey('other'), unreadable)).toBe(false);
    expect(() => byValue.matches(encodeKey('k'), unreadable)).toThrow(ValueNotReadableError);
    expect(() => byValue.matches(encodeKey('k'), unreadable)).toThrow(/custom serializer/);
  });
});

describe('the order of values', () => {
  it('is total, and says the same as equality and identity', () => {
    const property = fc.property(any.scalar, any.scalar, any.scalar, (a, b, c) => {
      expect(Math.sign(sortScalars(a, b))).toBe(-Math.sign(sortScalars(b, a)) + 0);
      if (sortScalars(a, b) <= 0 && sortScalars(b, c) <= 0) expect(sortScalars(a, c)).toBeLessThanOrEqual(0);
      const isSame = new Set([identityOf(a), identityOf(b)]).size === 1;
      expect(isSame).toBe(areEqual(a, b));
      if (areOrdered(a, b)) expect(areOrdered(b, a)).toBe(true);
    });
    fc.assert(property, { numRuns: 3_000 });
  });
});

describe('a predicate from a user', () => {
  it.each<[() => unknown, RegExp]>([
    [() => Predicates.equal('a', {} as never), /value: expected a text, number/],
    [() => Predicates.equal('a', undefined as never), /got undefined/],
    [() => Predicates.equal('a', new Date(Number.NaN)), /no time/],
    [() => Predicates.equal('a..b', 1), /expected the name of a field at character 3/],
    [() => Predicates.equal('a[x]', 1), /\[any\]/],
    [() => Predicates.equal(5 as never, 1), /attribute: expected a path/],
    [() => Predicates.equal('\ud800', 1), /half of a character/],
    [() => Predicates.like('a', 5 as never), /pattern: expected a text/],
    [() => Predicates.like('a', 'x\\'), /escapes nothing/],
    [() => Predicates.like('a', '\\x'), /escapes only/],
    [() => Predicates.like('a', 'x', 'ab'), /one character/],
    [() => Predicates.regex('a', '(a'), /missing closing/],
    [() => Predicates.regex('a', '(a)\\1'), /regex:/],
    [() => Predicates.regex('a', '(?=a)'), /regex:/],
    [() => Predicates.and(5 as never), /expected one that Predicates makes/],
    [() => Predicates.not(null as never), /expected one that Predicates makes/],
    [() => Predicates.inPredicate('a', ...Array<number>(8_193).fill(1)), /more than 8192/],
    [() => Predicates.paging(Predicates.alwaysTrue(), 0), /pageSize/],
    [() => Predicates.paging(Predicates.alwaysTrue(), 10, (() => 0) as never), /comparator/],
    [() => Predicates.paging(Predicates.alwaysTrue(), 10, { attribute: 'tags[any]' }), /no one place/],
  ])('that is none is refused with what was expected: %s', (make, message) => {
    expect(make).toThrow(message);
    expect(make).toThrow(TypeError);
  });

  it('may not be deep or large without end', () => {
    let deep = Predicates.equal('a', 1);
    expect(() => {
      for (let i = 0; i < 40; i++) deep = Predicates.not(deep);
    }).toThrow(/nested deeper than 32/);
    const wide = Array.from({ length: 1_024 }, () => Predicates.alwaysTrue());
    expect(() => Predicates.or(...wide)).toThrow(/more than 1024/);
    const cycle = { kind: 'not' } as { kind: string; part: unknown };
    cycle.part = cycle;
    expect(() => checkedPredicate(cycle)).toThrow(/nested deeper/);
  });
});

describe('the text of a query', () => {
  it.each<[string, Predicate]>([
    ['a == 1', Predicates.equal('a', 1)],
    ['a <> 1', Predicates.notEqual('a', 1)],
    [
      "age > 30 AND name LIKE 'J%'",
      Predicates.and(Predicates.greaterThan('age', 30), Predicates.like('name', 'J%')),
    ],
    [
      'a = 1 OR b = 2 AND c = 3',
      Predicates.or(
        Predicates.equal('a', 1),
        Predicates.and(Predicates.equal('b', 2), Predicates.equal('c', 3)),
      ),
    ],
    ['not a in (1, 2.5, -3e2)', Predicates.not(Predicates.inPredicate('a', 1, 2.5, -300))],
    ['a NOT BETWEEN 1 AND 2', Predicates.not(Predicates.between('a', 1, 2))],
    ["a.b.c = 'it''s'", Predicates.equal('a.b.c', "it's")],
    ["a LIKE '10!%' ESCAPE '!'", Predicates.like('a', '10!%', '!')],
    ['tags[any] = true', Predicates.equal('tags[any]', true)],
    [
      'active AND (age>20 OR vip)',
      Predicates.and(
        Predicates.equal('active', true),
        Predicates.or(Predicates.greaterThan('age', 20), Predicates.equal('vip', true)),
      ),
    ],
    ["date > DATE '1970-01-01T00:00:01Z'", Predicates.greaterThan('date', new Date(1_000))],
    ['a IS NOT NULL', Predicates.notEqual('a', null)],
    ['"order by" = 1', Predicates.equal('"order by"', 1)],
    ["x REGEX 'a+'", Predicates.regex('x', 'a+')],
    ['TRUE', Predicates.alwaysTrue()],
  ])('%s', (text, predicate) => {
    expect(Predicates.sql(text)).toEqual(predicate);
  });

  it.each<[string, number, string]>([
    ['', 0, "the name of a field, NOT or '('"],
    ['age >', 5, 'a value'],
    ['age > 30 AND', 12, "the name of a field, NOT or '('"],
    ['age ~ 3', 4, 'a comparison'],
    ['(a = 1', 6, "')'"],
    ['a = 1)', 5, 'AND, OR or the end'],
    ["a = 'x", 4, "a text that ends with '"],
    ['a BETWEEN 1 OR 2', 12, 'AND'],
    ['a IN 1', 5, "'('"],
    ['a IN (1 2)', 8, "',' or ')'"],
    ['a LIKE 5', 7, 'a pattern in single quotes'],
    ["a LIKE 'x' ESCAPE 'ab'", 18, 'one character to escape with'],
    ["a LIKE '!x' ESCAPE '!'", 7, 'a right pattern'],
    ["a REGEX '('", 8, 'missing closing'],
    ['a IS 5', 5, 'NULL or NOT NULL'],
    ['a NOT 5', 6, 'IN, BETWEEN, LIKE, ILIKE or REGEX'],
    ['a b', 2, 'a comparison'],
    ['a = 1x', 5, 'the end of the number'],
    ['a = 1.5n', 4, 'a whole number before n'],
    ["a = DATE 'today'", 9, 'a time such as'],
    ['a[x] = 1', 1, '[any] or an index'],
  ])('%j is refused at character %i', (text, position, expected) => {
    const error = (() => {
      try {
        return parseWhere(text);
      } catch (thrown) {
        return thrown;
      }
    })();
    expect(error).toBeInstanceOf(QuerySyntaxError);
    expect(error).toMatchObject({ position, code: 'ERR_QUERY_SYNTAX' });
    expect((error as QuerySyntaxError).expected).toContain(expected);
    expect((error as QuerySyntaxError).message).toContain(`character ${position + 1}`);
  });

  it.each([
    ['age > 30;', 'expected AND, OR or the end at character 9, found ;'],
    ['age > 30 -- c', 'expected AND, OR or the end at character 10, found --'],
    [
      'age /* c */ > 30',
      'expected a comparison, BETWEEN, IN, LIKE, ILIKE, REGEX or IS at character 5, found /*',
    ],
    ['age > 30 \u{1f600}', 'expected AND, OR or the end at character 10, found \u{1f600}'],
    ['; age > 30', "expected the name of a field, NOT or '(' at character 1, found ;"],
    ['age > ;', 'at character 7, found ;'],
    ['age.- > 1', 'expected the name of a field at character 5, found -'],
    ['age. ', 'expected the name of a field at character 5, found  '],
    ['age.', 'expected the name of a field at character 5, found the end'],
    ['name = Ann', 'at character 8, found Ann'],
    ['name = a."B c"', 'at character 8, found a."B c"'],
    ['age > and', 'at character 7, found and'],
    ["age = 25 AND AND name = 'x'", "expected the name of a field, NOT or '(' at character 14, found AND"],
    ['age = 25 or AND', "expected the name of a field, NOT or '(' at character 13, found AND"],
    ['a = 1 and or not b', "expected the name of a field, NOT or '(' at character 11, found or"],
    ['NOT and', "expected the name of a field, NOT or '(' at character 5, found and"],
    [
      "name LIKE 'x' ESCAPE '!!'",
      "expected one character to escape with at character 22, found the text '!!'",
    ],
  ])('%j: %s', (text, message) => {
    expect(() => parseWhere(text)).toThrow(message);
  });

  it('takes the words that join conditions as names where something is asked of them', () => {
    expect(parseWhere('and = 1 AND "or" AND or IN (2)')).toEqual(
      Predicates.and(
        Predicates.equal('and', 1),
        Predicates.equal('or', true),
        Predicates.inPredicate('or', 2),
      ),
    );
    expect(parseWhere('a = NULL')).toEqual(parseWhere('a IS NULL'));
    expect(parseWhere('a <> NULL')).toEqual(parseWhere('a IS NOT NULL'));
  });

  it('ends for every text, as a predicate or as an error that says where', () => {
    const word = fc.constantFrom(
      ...[
        'a',
        'tags[any]',
        '__key',
        '(',
        ')',
        'AND',
        'OR',
        'NOT',
        '=',
        '<',
        'IN',
        ',',
        "'x'",
        '5',
        'LIKE',
        'BETWEEN',
        'IS',
        'NULL',
        'DATE',
        '"',
        "'",
        '.',
        '[',
        'n',
        '-',
      ],
    );
    const texts = fc.oneof(
      fc.string({ maxLength: 60, unit: 'binary' }),
      fc.array(word, { maxLength: 20 }).map((all) => all.join(' ')),
    );
    const property = fc.property(texts, (text) => {
      try {
        const parsed = parseWhere(text);
        expect(parseWhere(whereText(parsed))).toEqual(parsed);
      } catch (error) {
        expect(error).toBeInstanceOf(QuerySyntaxError);
        expect((error as QuerySyntaxError).position).toBeLessThanOrEqual(text.length);
      }
    });
    fc.assert(property, { numRuns: 5_000 });
  });

  it.each<[string, string]>([
    ['parentheses', `${'('.repeat(60_000)}`],
    ['negations', 'NOT '.repeat(16_000)],
    ['conditions', Array(5_000).fill('a').join(' AND ')],
    ['a list', `a IN (${'1,'.repeat(30_000)}1)`],
    ['digits', `a = ${'1'.repeat(60_000)}`],
    ['a path', `${'a.'.repeat(30_000)}a = 1`],
    ['a name', `${'a'.repeat(60_000)} = 1`],
    ['quotes', '"'.repeat(60_001)],
    ['length', `a = 1 ${' '.repeat(70_000)}`],
    ['doubled quotes', `a = '${"''".repeat(30_000)}'`],
  ])('has limits: %s', (_what, text) => {
    const began = process.cpuUsage();
    expect(() => parseWhere(text)).toThrow(QuerySyntaxError);
    expect(process.cpuUsage(began).user / 1_000).toBeLessThan(500);
  });
});

describe('bytes of a predicate', () => {
  const read = (bytes: Uint8Array) => {
    try {
      return readPredicate(new Reader(bytes));
    } catch (error) {
      return error;
    }
  };

  it('of any kind give a predicate or a ProtocolError', () => {
    const random = fc.uint8Array({ maxLength: 80 });
    const damaged = fc
      .tuple(any.predicate, fc.nat(), fc.nat({ max: 255 }), fc.nat())
      .map(([predicate, at, byte, cut]) => {
        const bytes = bytesOf(checkedPredicate(predicate));
        bytes[at % bytes.length] = byte;
        return bytes.subarray(0, bytes.length - (cut % 3));
      });
    const property = fc.property(fc.oneof(random, damaged), (bytes) => {
      const result = read(bytes);
      if (result instanceof Error) expect(result).toBeInstanceOf(ProtocolError);
      else expect(checkedPredicate(result)).toEqual(result);
    });
    fc.assert(property, { numRuns: 5_000 });
  });

  it('are refused before they take memory or stack', () => {
    const deep = Buffer.alloc(100_000, 9);
    expect(read(deep)).toMatchObject({ message: expect.stringContaining('nested deeper') });
    const lie = Buffer.from([7, 0xff, 0xff, 0xff, 0x7f, 1, 1]);
    expect(read(lie)).toMatchObject({ message: expect.stringContaining('a list of') });
    const out = new Writer();
    out.u8(7);
    out.u32(1_025);
    out.raw(Buffer.alloc(1_025, 1));
    expect(read(out.toBytes())).toBeInstanceOf(ProtocolError);
  });
});

describe('patterns that backtrack without end elsewhere', () => {
  const within = (limitMs: number, run: () => void) => {
    const began = process.cpuUsage();
    run();
    expect(process.cpuUsage(began).user / 1_000).toBeLessThan(limitMs);
  };

  it('are matched in linear time by REGEX, and texts that would take too long are refused', () => {
    const text = 'a'.repeat(20_000);
    within(2_000, () => {
      for (const bomb of ['(a+)+$', '(a|aa)+b', '(a*)*b', '([a-z]+)*\\d', '(.*)(.*)(.*)(.*)x'])
        expect(matches(Predicates.regex('this', bomb), `${text}!`), bomb).toBe(false);
    });
    const heavy = matcherOf(Predicates.regex('this', '(a?){300}a{300}'));
    within(2_000, () => {
      expect(() => heavy.matches(encodeKey('k'), codec.encode('a'.repeat(100_000)))).toThrow(
        QueryTooLargeError,
      );
    });
  });

  it('are matched in linear time by LIKE', () => {
    const text = `${'a'.repeat(200_000)}`;
    within(3_000, () => {
      for (const bomb of [
        '%a%a%a%a%a%b',
        `%${'a'.repeat(500)}b%`,
        `%${'_a'.repeat(300)}b%`,
        `%${'a_'.repeat(20)}%${'a_'.repeat(20)}b`,
      ])
        expect(matches(Predicates.like('this', bomb), text), bomb.slice(0, 20)).toBe(false);
    });
  });
});

describe('many conditions on one large entry', () => {
  it('are refused before they keep a member busy', () => {
    const each = (path: string, count: number) =>
      Predicates.or(
        ...Array.from({ length: 500 }, (_, i) => Predicates.like(path, `%${'_a'.repeat(count)}${i}%`)),
      );
    const began = process.cpuUsage();
    expect(() => matches(each('this', 200), 'a'.repeat(200_000))).toThrow(QueryTooLargeError);
    const list = Array.from({ length: 200_000 }, () => 'b');
    const elements = Predicates.or(
      ...Array.from({ length: 500 }, (_, i) => Predicates.equal('this[any]', i)),
    );
    expect(() => matches(elements, list)).toThrow(QueryTooLargeError);
    expect(process.cpuUsage(began).user / 1_000).toBeLessThan(2_500);
    expect(matches(Predicates.like('this', '%a_b%'), `${'x'.repeat(4_000_000)}aXb`)).toBe(true);
    expect(matches(Predicates.equal('this[any]', 'c'), [...list, 'c'])).toBe(true);
  });
});

describe('LIKE', () => {
  it('matches as the same regular expression does', () => {
    const letter = fc.constantFrom('a', 'b', 'a', '😀', 'é', '\n');
    const text = fc.array(letter, { maxLength: 40 }).map((all) => all.join(''));
    const pattern = fc
      .array(fc.oneof(letter, fc.constantFrom('%', '_')), { maxLength: 12 })
      .map((all) => all.join(''));
    const long = fc
      .tuple(pattern, fc.nat({ max: 40 }))
      .map(([some, n]) => `%${'_'.repeat(n)}${some}${'a_'.repeat(n >> 1)}%`);
    const property = fc.property(text, fc.oneof(pattern, long), fc.boolean(), (value, like, ignoreCase) => {
      const predicate: Predicate = { kind: 'like', path: 'this', pattern: like, escapeBy: '\\', ignoreCase };
      expect(matches(predicate, value)).toBe(holds(predicate, 'k', value));
    });
    fc.assert(property, { numRuns: 3_000 });
  });

  it('folds letters one by one', () => {
    expect(matches(Predicates.ilike('this', 'ΟΔΟΣ'), 'οδος')).toBe(true);
    expect(matches(Predicates.ilike('this', '%σ'), 'ΟΔΟΣ')).toBe(true);
    expect(matches(Predicates.ilike('this', 'straße'), 'STRASSE')).toBe(false);
  });
});
