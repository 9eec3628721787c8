/**
 * The script that checks a clean checkout, over stand-ins for `npm`: whatever goes wrong, its last line is the
 * summary, the numbers are right and the exit code tells.
 */
import { spawn } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';

const project = fileURLToPath(new URL('../..', import.meta.url));
const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

const REPORT = (passed: number, failed: number) =>
  `echo '{"numPassedTests":${passed},"numFailedTests":${failed},"numTotalTests":${passed + failed},"testResults":[]}' >"$ELSEGRID_TEST_REPORT"`;

/** Runs the script in a tree of its own, where `npm` is the given shell code over `$*`. */
function ci(npm: string, withSystemTests = false, onOutput?: (output: string, stop: () => void) => void) {
  const folder = mkdtempSync(join(tmpdir(), 'elsegrid-ci-'));
  folders.push(folder);
  for (const part of ['.ci', 'tools']) cpSync(join(project, part), join(folder, part), { recursive: true });
  mkdirSync(join(folder, 'programs'));
  if (withSystemTests) mkdirSync(join(folder, 'test/system'), { recursive: true });
  writeFileSync(join(folder, 'programs/npm'), `#!/usr/bin/env bash\n${npm}\n`);
  chmodSync(join(folder, 'programs/npm'), 0o755);
  return new Promise<{ status: number | null; lines: string[]; output: string }>((resolve) => {
    const child = spawn(join(folder, '.ci/run'), {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, PATH: `${join(folder, 'programs')}:${process.env.PATH}` },
    });
    let output = '';
    const read = (part: Buffer) => {
      output += part.toString();
      onOutput?.(output, () => child.kill('SIGTERM'));
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    child.on('close', (status) => resolve({ status, lines: output.trimEnd().split('\n'), output }));
  });
}

describe('the check of a clean checkout', () => {
  it('counts its steps and the tests of all runs', async () => {
    const done = await ci(
      `case "$*" in test) ${REPORT(40, 0)};; 'run test:system') ${REPORT(2, 0)};; esac`,
      true,
    );
    // npm ci, lint, types, imports, generated and packages are six.
    expect(done.lines.at(-1)).toBe('48 passed, 0 failed');
    expect(done.status).toBe(0);
  });

  it('goes on after a failed step, names it and fails', async () => {
    const done = await ci(
      `case "$*" in test) ${REPORT(40, 2)}; exit 1;; 'run lint'|'run imports') exit 1;; esac`,
    );
    expect(done.output).toContain('FAILED: lint');
    expect(done.output).toContain('FAILED: imports');
    expect(done.output).not.toContain('FAILED: types');
    expect(done.lines.at(-1)).toBe('43 passed, 4 failed');
    expect(done.status).toBe(1);
  });

  it('counts a test run that fails without a failed test, or without a report, as one failure', async () => {
    const unhandled = await ci(`case "$*" in test) ${REPORT(40, 0)}; exit 1;; esac`);
    expect(unhandled.lines.at(-1)).toBe('45 passed, 1 failed');
    expect(unhandled.status).toBe(1);
    const silent = await ci('exit 0');
    expect(silent.lines.at(-1)).toBe('5 passed, 1 failed');
    expect(silent.status).toBe(1);
  });

  it('ends at once, with a summary, when nothing can be installed', async () => {
    const done = await ci('exit 7');
    expect(done.output).not.toContain('== lint');
    expect(done.lines.at(-1)).toBe('0 passed, 1 failed');
    expect(done.status).toBe(1);
  });

  it('still ends with its summary when it is stopped', async () => {
    const started = performance.now();
    const done = await ci(
      `case "$*" in 'run types') echo reached types; sleep 25;; esac`,
      false,
      (output, stop) => {
        if (output.includes('reached types')) stop();
      },
    );
    expect(performance.now() - started).toBeLessThan(20_000);
    expect(done.output).toContain('stopped during: types');
    expect(done.lines.at(-1)).toBe('2 passed, 1 failed');
    expect(done.status).toBe(1);
  });
});
