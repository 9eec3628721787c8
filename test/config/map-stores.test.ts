/** Names of stores in the configuration, once members have registered theirs. */
import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../src/base/errors.js';
import { checkMapStores } from '../../src/config/map-stores.js';
import { memberConfig } from '../../src/config.js';

const config = (store: Record<string, unknown>, pattern = 'users') =>
  memberConfig({ maps: { [pattern]: { store } } } as never);

const none = () => undefined;
const whole = { load: none, store: none, delete: none, loadAllKeys: none };
const known = (...names: string[]) => new Map<string, unknown>(names.map((name) => [name, whole]));

describe('the store of a map', () => {
  class Table {
    load() {}
    stor() {}
    delete() {}
  }

  it.each([
    [
      { mode: 'write-behind' },
      { ...whole, store: undefined },
      'no method store, which mode write-behind needs',
    ],
    [
      { mode: 'write-behind' },
      { ...whole, store: undefined, stor: none },
      'it has stor: did you mean store?',
    ],
    [{ mode: 'write-through' }, new Table(), 'it has stor: did you mean store?'],
    [{ mode: 'write-through' }, { ...whole, delete: 5, remove: none }, 'no method delete, which mode'],
    [{ mode: 'write-through' }, { load: none, storeAll: none, store: none, del: none }, 'no method delete'],
    [{ mode: 'read-through', initialLoad: 'eager' }, { load: none, loadAllkeys: none }, 'it has loadAllkeys'],
  ])('%o has the methods that it needs', (options, store, text) => {
    const check = () => checkMapStores(config({ name: 'db', ...options }), new Map([['db', store]]));
    expect(check).toThrow(ConfigError);
    expect(check).toThrow('maps.users.store.name: the store "db" has no method');
    expect(check).toThrow(text);
  });

  it('need not write what is only read, and a function is not looked at', () => {
    const reads = config({ name: 'db', mode: 'read-through' });
    expect(() => checkMapStores(reads, new Map([['db', { load: none }]]))).not.toThrow();
    expect(() => checkMapStores(config({ name: 'db' }), new Map([['db', none]]))).not.toThrow();
  });

  it('has a name that is registered', () => {
    expect(() => checkMapStores(config({ name: 'db' }), known('db', 'files'))).not.toThrow();
    expect(() => checkMapStores(memberConfig({ maps: { users: {} } }), known())).not.toThrow();
  });

  it('is refused by another name, with what there is', () => {
    expect(() => checkMapStores(config({ name: 'x' }), known('db', 'files'))).toThrow(
      'maps.users.store.name: there is no registered store "x"; known here: db, files',
    );
    expect(() => checkMapStores(config({ name: 'reddis' }), known('redis'))).toThrow('did you mean "redis"?');
    expect(() => checkMapStores(config({ name: 'db' }), known())).toThrow('registry.mapStore(name, store)');
  });

  it('is loaded at the start only into a map with a name', () => {
    const eager = { name: 'db', initialLoad: 'eager' };
    expect(() => checkMapStores(config(eager), known('db'))).not.toThrow();
    for (const pattern of ['default', 'user-*'])
      expect(() => checkMapStores(config(eager, pattern), known('db'))).toThrow(
        'store.initialLoad: eager needs',
      );
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
