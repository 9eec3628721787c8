/** Calls with several keys or values that cannot all be encoded: the error says which one it was, and nothing is sent. */
import { expect, it } from 'vitest';
import { installStructures } from '../../client/core/grid.js';
import { ValueTooLargeError } from '../../src/base/errors.js';
import { InMemoryInvoker } from './in-memory-invoker.js';

const invoker = new InMemoryInvoker();
const grid = installStructures({}, invoker);
const map = grid.getMap<unknown, unknown>('m');
const tags = grid.getMultiMap<unknown, unknown>('t');
const queue = grid.getQueue<unknown>('q');
const topic = grid.getTopic<unknown>('t');
const bad = { x: [1, () => 1] };

const CALLS: readonly (readonly [string, () => Promise<unknown>, string])[] = [
  ['addAll', () => queue.addAll([1, 2, undefined]), 'items[2]: value: undefined cannot be a value'],
  ['removeAll', () => queue.removeAll(new Set([1, bad])), 'items[1]: value.x[1]: '],
  ['containsAll', () => queue.containsAll([null]), 'items[0]: value: null cannot be'],
  ['publishAll', () => topic.publishAll([1, bad]), 'messages[1]: value.x[1]: '],
  [
    'putAll',
    () =>
      map.putAll([
        ['a', 1],
        ['b', bad],
      ]),
    'entries[1]: value.x[1]: ',
  ],
  [
    'setAll',
    () =>
      map.setAll(
        new Map([
          ['a', 1],
          ['b', undefined],
        ]),
      ),
    'entries[1]: value: undefined',
  ],
  [
    'setAll of no pairs',
    () => map.setAll([['a', 1], 'b'] as never),
    'entries[1]: expected a pair [key, value], got string',
  ],
  ['putAll of a wrong key', () => map.putAll([[undefined, 1]]), 'entries[0]: key: undefined cannot be a key'],
  ['getAll', () => map.getAll(['a', null]), 'keys[1]: key: null cannot be a key'],
  ['loadAll', () => map.loadAll(['a', null]), 'keys[1]: key: null cannot be a key'],
  ['executeOnKeys', () => map.executeOnKeys(['a', null], 'inc'), 'keys[1]: key: null cannot be a key'],
  [
    'putAll of a multimap',
    () =>
      tags.putAll([
        ['a', [1]],
        ['b', [1, bad]],
      ]),
    'pairs[1]: values[1]: value.x[1]: ',
  ],
  [
    'putAll of no values',
    () =>
      tags.putAll([
        ['a', [1]],
        ['b', 'c'],
      ] as never),
    'pairs[1]: expected [key, values]',
  ],
];

it.each(CALLS)('%s', async (_name, call, text) => {
  const sent = invoker.sent.length;
  const error = await call().catch((why: Error) => why);
  expect(error).toBeInstanceOf(TypeError);
  expect((error as Error).message.slice(0, text.length)).toBe(text);
  expect(invoker.sent.length).toBe(sent);
});

it('one that is too large keeps its kind', async () => {
  const error = await queue.addAll(['a', 'x'.repeat(17 * 1024 * 1024)]).catch((why: Error) => why);
  expect(error).toBeInstanceOf(ValueTooLargeError);
  expect((error as Error).message).toMatch(/^items\[1\]: value: its encoding has .* bytes; the limit is/);
});
