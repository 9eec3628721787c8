/** `elsegrid consistency`: what is shown, what is sent, and how wrong arguments are worded. */
import { describe, expect, it } from 'vitest';
import { OrderRefusedError } from '../../src/base/errors.js';
import { FakeCli } from './fake-cli.js';

describe('elsegrid consistency show', () => {
  it('is a table of the grid and of each name and pattern', async () => {
    const { exitCode, out } = await new FakeCli().run('consistency', 'show');
    expect([exitCode, out]).toEqual([
      0,
      [
        'kind  name     preset',
        'grid  -        PA/EC',
        'map   cache-*  PA/EL',
        'long  visits   PC/EC',
        '',
      ].join('\n'),
    ]);
  });

  it('is a list for programs, and what the command does by itself', async () => {
    const { out } = await new FakeCli().run('consistency', '--json');
    expect(JSON.parse(out)[1]).toEqual({ service: 'map', pattern: 'cache-*', preset: 'PA/EL' });
  });
});

describe('elsegrid consistency set', () => {
  it.each([
    [['--map', 'sessions'], { map: 'sessions' }],
    [['--long', 'visits'], { atomicLong: 'visits' }],
    [['--multimap', 'tags'], { multiMap: 'tags' }],
    [['--all'], 'all'],
  ])('with %j changes %j', async (flags, target) => {
    const cli = new FakeCli();
    const { exitCode, out } = await cli.run('consistency', 'set', 'pa/el', ...flags, '--timeout', '3');
    expect([exitCode, out, cli.toggles]).toEqual([
      0,
      'PA/EL holds everywhere (view 7)\n',
      [[target, 'PA/EL', { timeoutMs: 3_000 }]],
    ]);
    expect(cli.openClients).toBe(0);
  });

  it('prints the change as a document for programs', async () => {
    const { out } = await new FakeCli().run('consistency', 'set', 'PC/EC', '--map', 'a', '--json');
    expect(JSON.parse(out)).toEqual({ text: 'PC/EC holds everywhere', lineage: 'l', view: 7 });
  });

  it.each([
    ['no target', ['PA/EL'], /say what gets the preset, with one of --map <name>, --long <name>/],
    ['two targets', ['PA/EL', '--all', '--map', 'a'], /say what gets the preset/],
    ['an unknown preset', ['PA/EX', '--all'], /unknown preset "PA\/EX"; did you mean PA\/E[CL]\?/],
    ['no preset', ['--all'], /missing required argument 'preset'/],
    ['an unknown kind', ['PA/EL', '--tree', 'a'], /unknown option '--tree'/],
  ])('refuses %s before anything is sent', async (_name, args, message) => {
    const cli = new FakeCli();
    const { exitCode, err } = await cli.run('consistency', 'set', ...args);
    expect([exitCode, cli.connects.length]).toEqual([2, 0]);
    expect(err).toMatch(message);
  });

  it('fails with the reason of the cluster', async () => {
    const cli = new FakeCli({ toggleFails: new OrderRefusedError('the preset was not changed: no') });
    const { exitCode, err } = await cli.run('consistency', 'set', 'PC/EC', '--all');
    expect([exitCode, err]).toEqual([1, 'elsegrid: the preset was not changed: no (ERR_ORDER_REFUSED)\n']);
  });
});
