import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadModules } from '../../src/config/modules.js';

describe('modules', () => {
  let folder = '';
  const write = (name: string, text: string) => {
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  };
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'elsegrid-modules-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it('are loaded in order and called with the registry', async () => {
    const calls: string[] = [];
    const first = write('first.mjs', "export default (registry) => registry.push('first');");
    const second = write('second.mjs', "export default async (registry) => { registry.push('second'); };");
    await loadModules([first, second], calls);
    expect(calls).toEqual(['first', 'second']);
  });

  it.each([
    ['missing.mjs', null, /cannot load .*missing\.mjs/],
    ['none.mjs', 'export const x = 1;', /its default export is not a function/],
    ['throws.mjs', "export default () => { throw new Error('no licence'); };", /cannot load .*: no licence/],
  ])('that fail name themselves: %s', async (name, text, message) => {
    const path = text === null ? join(folder, name) : write(name, text);
    await expect(loadModules([path], {})).rejects.toMatchObject({ code: 'ERR_CONFIG', path: 'modules[0]' });
    await expect(loadModules([path], {})).rejects.toThrow(message);
  });
});
