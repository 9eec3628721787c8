/** `elsegrid list`: what is shown of the structures that there are. */
import { describe, expect, it } from 'vitest';
import { FakeCli } from './fake-cli.js';

describe('elsegrid list', () => {
  const objects = [
    { service: 'atomicLong', name: 'ids' },
    { service: 'map', name: 'users' },
  ];

  it('shows kind and name of each structure, and says when there is none', async () => {
    const { exitCode, out } = await new FakeCli({ objects }).run('list');
    expect(exitCode).toBe(0);
    expect(out).toMatch(/kind +name\s+long +ids\s+map +users/);
    expect((await new FakeCli().run('list')).out).toContain('nothing is there');
  });

  it('gives them as JSON', async () => {
    const { out } = await new FakeCli({ objects }).run('list', '--json');
    expect(JSON.parse(out)).toEqual(objects);
  });
});
