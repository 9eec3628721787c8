import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { transpileSources } from './support/transpiled.js';

const sources = transpileSources();
afterAll(() => sources.remove());

function run(...args: string[]): Promise<{ code: number | null; output: string }> {
  const script = fileURLToPath(new URL('demo/main.js', sources.url));
  const child = spawn(process.execPath, [script, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  child.stdout.on('data', (data) => {
    output += data;
  });
  child.stderr.on('data', (data) => {
    output += data;
  });
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, output })));
}

describe('the demonstration', () => {
  it('kills a member while it writes, loses nothing, says so in a plain log, and leaves no process', async () => {
    const { code, output } = await run('--entries', '3000');
    expect(output).toContain('3,000 entries read, 0 acknowledged writes lost');
    expect(code).toBe(0);
    expect(output).toMatch(/kill -9 \d+/);
    expect(output).toMatch(/min \d+ ms, median \d+ ms, max \d+ ms \(\d+ partitions, from the kill on\)/);
    expect(output.includes('\u001b') || output.includes('\r')).toBe(false);
    const pids = [...output.matchAll(/pid (\d+)/g)].map(([, pid]) => Number(pid));
    expect(pids).toHaveLength(3);
    for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow('ESRCH');
  });
});
