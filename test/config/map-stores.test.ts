/** Names of stores in the configuration, once members have registered theirs. */
import { describe, expect, it } from 'vitest';
import { checkMapStores } from '../../src/config/map-stores.js';
import { memberConfig } from '../../src/config.js';

const config = (store: Record<string, unknown>, pattern = 'users') =>
  memberConfig({ maps: { [pattern]: { store } } } as never);

describe('the store of a map', () => {
  it('has a name that is registered', () => {
    expect(() => checkMapStores(config({ name: 'db' }), ['db', 'files'])).not.toThrow();
    expect(() => checkMapStores(memberConfig({ maps: { users: {} } }), [])).not.toThrow();
  });

  it('is refused by another name, with what there is', () => {
    expect(() => checkMapStores(config({ name: 'x' }), ['db', 'files'])).toThrow(
      'maps.users.store.name: there is no registered store "x"; known here: db, files',
    );
    expect(() => checkMapStores(config({ name: 'reddis' }), ['redis'])).toThrow('did you mean "redis"?');
    expect(() => checkMapStores(config({ name: 'db' }), [])).toThrow('registry.mapStore(name, store)');
  });

  it('is loaded at the start only into a map with a name', () => {
    const eager = { name: 'db', initialLoad: 'eager' };
    expect(() => checkMapStores(config(eager), ['db'])).not.toThrow();
    for (const pattern of ['default', 'user-*'])
      expect(() => checkMapStores(config(eager, pattern), ['db'])).toThrow('store.initialLoad: eager needs');
  });

  it.each([
    [{}, 'name'],
    [{ name: 'db', mode: 'through' }, 'mode'],
    [{ name: 'db', delay: 5 }, 'delayMs'],
    [{ name: 'db', maxPending: 0 }, 'maxPending'],
    [{ name: 'db', timeoutMs: '5s' }, 'timeoutMs'],
  ])('refuses %o', (store, path) => {
    expect(() => config(store)).toThrow(path);
  });
});
