/** `elsegrid chaos run`: what it asks of the simulator, what it prints, and its exit codes. */
import { describe, expect, it } from 'vitest';
import { NEMESIS_NAMES, PRESETS_UNDER_TEST, WORKLOAD_NAMES } from '../../chaos/campaign.js';
import type { ChaosSummary } from '../../src/cli/chaos-api.js';
import { NEMESES, PRESETS, WORKLOADS } from '../../src/cli/commands/chaos.js';
import { FakeCli } from './fake-cli.js';

const summary = (verdict: ChaosSummary['verdict'], failures = 0): ChaosSummary => ({
  verdict,
  seeds: 200,
  operations: 12_345,
  guarantees: [
    { id: 'G3', text: 'linearizable', checked: 12_000, violations: failures },
    { id: 'G4', text: 'one lease', checked: 0, violations: 0 },
    { id: 'G9', text: 'at most once', checked: 200, violations: 0 },
  ],
  failing: Array.from({ length: failures }, (_, i) => ({
    seed: 7 + i,
    text: `finding ${i}`,
    replay: `replay ${7 + i}`,
  })),
  reached: { cut: 5 },
  missing: ['fork formed', 'merge'],
});

describe('elsegrid chaos run', () => {
  it('knows the names that the simulator knows', () => {
    expect([WORKLOADS, NEMESES, PRESETS]).toEqual([WORKLOAD_NAMES, NEMESIS_NAMES, PRESETS_UNDER_TEST]);
  });

  it('hands its flags to the simulator', async () => {
    const cli = new FakeCli({ chaos: summary('held') });
    await cli.run(
      ...[
        'chaos',
        'run',
        '--preset',
        'PC/EC',
        '--workload',
        'map-register,counter',
        '--nemesis',
        'partition, crash',
      ],
      ...['--seed', '5', '--seeds', '200', '--members', '5', '--time', '2m', '--history', 'h.jsonl'],
    );
    await cli.run('chaos', 'run');
    const onProgress = expect.any(Function) as () => void;
    expect(cli.campaigns).toEqual([
      {
        preset: 'PC/EC',
        workloads: ['map-register', 'counter'],
        nemeses: ['partition', 'crash'],
        seed: 5,
        seeds: 200,
        members: 5,
        timeMs: 120_000,
        historyFile: '/project/h.jsonl',
        onProgress,
      },
      { preset: 'PA/EC', workloads: ['all'], nemeses: ['all'], seed: 1, seeds: 100, onProgress },
    ]);
  });

  it('prints figures for each guarantee, and shows how far it is', async () => {
    const cli = new FakeCli({ chaos: summary('held') });
    const { exitCode, out, err } = await cli.run('chaos', 'run', '--seeds', '200');
    expect([exitCode, err]).toEqual([0, '']);
    expect(out).toBe(`PA/EC, workloads all, faults all: 200 seeds, 12345 operations

guarantee  verdict      checked  violations  what it says
G3         held           12000           0  linearizable
G4         not checked        0           0  one lease
G9         held             200           0  at most once

held: no violation was found
`);
    expect(cli.progress).toEqual([
      '[..............................] 1 of 200 seeds',
      '[##############################] 200 of 200 seeds, 1 with violations',
    ]);
  });

  it('prints the command that replays a seed', async () => {
    const cli = new FakeCli({ chaos: summary('violated', 4) });
    const { exitCode, out } = await cli.run(
      'chaos',
      'run',
      '--preset',
      'PC/EC',
      '--time',
      '1m',
      '--members',
      '3',
    );
    const replay = 'elsegrid chaos run --preset PC/EC --workload all --nemesis all --seed';
    expect(exitCode).toBe(1);
    expect(out).toMatch(/G3 +violated +12000 +4 /);
    expect(out).toContain(`seed 7: finding 0\nreplay: ${replay} 7 --seeds 1 --members 3 --time 60000ms\n`);
    expect(out).toContain(`further seeds with violations:\n  ${replay} 10 --seeds 1`);
    expect(out).toMatch(/violated: a guarantee was broken\n$/);
  });

  it('that proved nothing ends with 3', async () => {
    const { exitCode, out } = await new FakeCli({ chaos: summary('unknown') }).run('chaos', 'run', '--json');
    expect([exitCode, (JSON.parse(out) as ChaosSummary).verdict]).toEqual([3, 'unknown']);
  });

  it('says what was missing, and to take more seeds', async () => {
    const cli = new FakeCli({ chaos: { ...summary('unknown'), seeds: 1 } });
    const { out } = await cli.run('chaos', 'run', '--seeds', '1');
    expect(out).toContain('faults all: 1 seed, 12345 operations\n');
    expect(cli.progress.at(-1)).toContain('1 of 1 seed,');
    expect(out).toMatch(
      /^unknown: .*\nnothing to check: G4\nstates that no seed reached: fork formed; merge\ntake more seeds \(--seeds\)\n$/m,
    );
  });

  it.each([
    [new RangeError('members is 1'), 2],
    [new Error('the disk is full'), 3],
  ])('that breaks off with %s ends with %d', async (chaosFails, code) => {
    const { exitCode, err, out } = await new FakeCli({ chaosFails }).run('chaos', 'run');
    expect([exitCode, err, out]).toEqual([code, `elsegrid: ${chaosFails.message}\n`, '']);
  });

  it.each([
    [['--preset', 'PA/EL'], "argument 'PA/EL' is invalid. Allowed choices are PA/EC, PC/EC"],
    [['--workload', 'map-regster'], '--workload: unknown name "map-regster"; did you mean map-register?'],
    [['--nemesis', ','], '--nemesis: unknown name ","; expected partition, crash'],
    [['--seeds', '0'], '--seeds: expected a whole number from 1 to 1000000, got "0"'],
    [['--seed', '-1'], '--seed: expected a whole number from 0'],
    [['--members', '10'], '--members: expected a whole number from 2 to 9, got "10"'],
    [['--time', '5 days'], '--time: expected a time such as 500ms, 60s or 2m, got "5 days"'],
  ])('with %j is not run', async (flags, message) => {
    const cli = new FakeCli();
    const { exitCode, err } = await cli.run('chaos', 'run', ...flags);
    expect(exitCode).toBe(2);
    expect(err).toContain(message);
    expect(cli.campaigns).toEqual([]);
  });
});
