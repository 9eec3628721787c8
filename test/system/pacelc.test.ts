/** The PACELC demonstration on real processes: once to the end, and once interrupted in the middle of the split. */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import type { Figures } from '../../demo/pacelc/figures.js';
import { PRESETS } from '../../demo/pacelc/plan.js';
import { transpileSources } from '../real/support/transpiled.js';

const sources = transpileSources();
afterAll(() => sources.remove());

interface Run {
  readonly child: ChildProcess;
  output: string;
  readonly code: Promise<number | null>;
}

function run(...args: string[]): Run {
  const script = fileURLToPath(new URL('demo/pacelc/main.js', sources.url));
  const child = spawn(process.execPath, [script, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const started: Run = {
    child,
    output: '',
    code: new Promise((resolve) => child.once('close', resolve)),
  };
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (data) => {
      started.output += data;
    });
  return started;
}

/** Waits for what the demonstration prints. */
async function until({ child, code }: Run, isThere: () => boolean): Promise<void> {
  const ended = code.then(() => {
    throw new Error('the demonstration ended early');
  });
  // Heard of below while somebody waits; afterwards it is expected.
  ended.catch(() => {});
  while (!isThere())
    await Promise.race([ended, new Promise((resolve) => child.stdout?.once('data', resolve))]);
}

describe('the PACELC demonstration', () => {
  it('keeps every promise while the network comes apart, and shows what each letter bought', async () => {
    const started = run('--json', '--seconds', '12');
    const code = await started.code;
    const { broken, presets, lengthsMs } = JSON.parse(started.output) as Figures & { broken: string[] };
    expect(broken).toEqual([]);
    expect(code).toBe(0);
    expect(lengthsMs.split).toBeGreaterThanOrEqual(6_000);
    for (const preset of PRESETS) {
      const { together, split, lost, discarded } = presets[preset];
      expect(together.writes.acknowledged, preset).toBeGreaterThan(0);
      expect(split.majority.writes.acknowledged, preset).toBeGreaterThan(0);
      expect(lost, preset).toEqual([]);
      if (preset.startsWith('PA')) {
        expect(split.minority.writes.acknowledged, preset).toBeGreaterThan(0);
        expect(discarded.length, preset).toBeGreaterThan(0);
      } else {
        expect(split.minority.writes.refused, preset).toBeGreaterThan(0);
        expect(Object.keys(split.minority.writes.errors), preset).toContain('InForkError');
      }
    }
    // Who was cut off from the majority reads on under PC/EL, and cannot see what the majority wrote.
    const [strict, behind] = [presets['PC/EC'].split.minority.reads, presets['PC/EL'].split.minority.reads];
    expect(behind.answered).toBeGreaterThan(strict.answered);
    expect(behind.behindOther.count).toBeGreaterThan(0);
    expect(presets['PA/EL'].together.reads.fromNearCache).toBeGreaterThan(0);
  });

  it('ends everything that it started when it is interrupted, and draws nothing on what is no terminal', async () => {
    const started = run();
    await until(started, () => started.output.includes('SPLIT'));
    const [, listed = ''] = started.output.match(/pid ([\d, ]+)/) ?? [];
    const pids = listed.split(', ').map(Number);
    expect(pids).toHaveLength(5);
    started.child.kill('SIGINT');
    expect(await started.code).toBe(130);
    for (const pid of pids) expect(() => process.kill(pid, 0), String(pid)).toThrow('ESRCH');
    expect(started.output).toMatch(/together {2}writes\/s {2}PA\/EC +\d+ \| +\d+/);
    expect(started.output.includes('\u001b') || started.output.includes('\r')).toBe(false);
  });

  it('refuses lengths that show nothing', async () => {
    const started = run('--seconds', '5');
    expect(await started.code).toBe(2);
    expect(started.output).toContain('--seconds: expected 12 to 600, got 5');
  });
});
