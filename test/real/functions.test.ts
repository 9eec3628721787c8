/** Functions that members of the command line load from a module, run by a client of theirs. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { connect, UnknownFunctionError } from '../../src/index.js';
import { Cli, membersOf } from './support/cli-process.js';

const cli = new Cli();
const folder = mkdtempSync(join(tmpdir(), 'elsegrid-functions-'));
afterAll(async () => {
  await cli.end();
  rmSync(folder, { recursive: true });
});

const MODULE = `export default (registry) => {
  registry.entryProcessor('increment', (entry, by = 1) => {
    entry.value = (entry.value ?? 0) + by;
    return entry.value;
  });
  registry.function('double', (value) => value * 2n);
};
`;

it('start --load gives members entry processors and functions', async () => {
  const path = join(folder, 'grid.mjs');
  writeFileSync(path, MODULE);
  const grid = await cli.start('--members', '2', '--port', '0', '--timings', 'local', '--load', path);
  const addresses = membersOf(grid).map(({ address }) => address);
  expect(addresses).toHaveLength(2);
  await using client = await connect({ members: addresses });
  const map = client.getMap<string, number>('numbers');
  const keys = Array.from({ length: 50 }, (_, i) => `k${i}`);
  await map.executeOnKeys(keys, 'increment');
  expect(await map.executeOnKey('k7', { name: 'increment', argument: 9 })).toBe(10);
  const results = new Map(await map.executeOnEntries('increment'));
  expect(keys.map((key) => results.get(key))).toEqual(keys.map((key) => (key === 'k7' ? 11 : 2)));
  const long = client.getAtomicLong('n');
  await long.set(21);
  expect(await long.alterAndGet('double')).toBe(42n);
  await expect(map.executeOnKey('k', 'decrement')).rejects.toThrow(UnknownFunctionError);
  await expect(map.executeOnKey('k', 'decrement')).rejects.toThrow('it knows increment');
}, 60_000);
