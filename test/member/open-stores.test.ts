/** How many stores a member makes for its maps, and for how long it has them. */
import { expect, it } from 'vitest';
import { storeOptions } from '../../partitions/services/map/store-options.js';
import { isProblem, MAX_OPEN, type MapOfStore, OpenStores } from '../../src/member/open-stores.js';
import { HandClock } from '../wire/link-bench.js';

const OPTIONS = storeOptions.parse({ name: 's', mode: 'read-through' });

function openStores(needed: (map: string) => boolean = () => false) {
  const clock = new HandClock();
  const logged: string[] = [];
  const stores = new OpenStores({
    clock,
    logger: { log: (_level, event) => logged.push(event) },
    isNeeded: ({ name }) => needed(name),
    build: (name, options, store) => ({ name, options, store }) as MapOfStore,
  });
  return { clock, logged, stores };
}

it('takes no further map when so many have a store in use, until others are idle', () => {
  const { clock, stores } = openStores((map) => map === 'needed');
  let made = 0;
  let closed = 0;
  stores.register('s', () => {
    made++;
    return { load: () => null, close: () => void closed++ };
  });
  stores.get('needed', OPTIONS);
  for (let i = 0; i < 2 * MAX_OPEN; i++) stores.get(`m${i}`, OPTIONS);
  expect(made).toBe(MAX_OPEN);
  expect(stores.get('more', OPTIONS)).toMatchObject({ error: 'StoreOverload' });
  clock.advance(9_000);
  stores.get('m0', OPTIONS);
  clock.advance(2_000);
  stores.tick();
  expect([closed, stores.all.map(({ name }) => name)]).toEqual([MAX_OPEN - 2, ['needed', 'm0']]);
  expect(isProblem(stores.get('more', OPTIONS))).toBe(false);
});

it('logs a store that cannot be made once, for however many maps', () => {
  const { clock, logged, stores } = openStores();
  let calls = 0;
  stores.register('s', (map) => {
    calls++;
    throw new Error(`no such table ${map}`);
  });
  for (let i = 0; i < 20; i++) stores.get(`m${i % 10}`, OPTIONS);
  expect([calls, logged.length]).toEqual([10, 1]);
  clock.advance(5_000);
  expect(stores.get('m1', OPTIONS)).toMatchObject({
    error: 'StoreFailed',
    message: expect.stringContaining('table m1'),
  });
  expect([calls, logged.length]).toEqual([11, 1]);
});
