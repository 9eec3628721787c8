import { expect, it } from 'vitest';
import { keyText } from '../../src/wire/key-text.js';
import { encodeKey, withAffinity } from '../../src/wire/keys.js';

const textOf = (key: unknown) => keyText(encodeKey(key));

it('a key in a message is what the user has written, as far as that is short', () => {
  expect(textOf('anna')).toBe('"anna"');
  expect(textOf(7)).toBe('7');
  expect(textOf(7n)).toBe('7n');
  expect(textOf(['a', 1])).toBe('["a",1]');
  expect(textOf({ id: 5n })).toBe('{"id":"5n"}');
  expect(textOf(Buffer.from('ab'))).toBe('<6162>');
  expect(textOf(withAffinity('order', 'anna'))).toBe('"order" with the affinity "anna"');
  expect(keyText(Buffer.from([0xff, 0xff, 0xff]))).toBeTypeOf('string');
});

it('a long one is cut off, also one that grows as JSON', () => {
  const long = ['x'.repeat(10_000), '\u0000'.repeat(1_000), Array.from({ length: 500 }, (_, i) => i)];
  for (const key of [...long, Buffer.alloc(5_000), 10n ** 300n]) {
    expect(textOf(key)).toMatch(/ …$/);
    expect(textOf(key).length).toBeLessThanOrEqual(80);
  }
});
