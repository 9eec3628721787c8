/** The small programs of the house, run as programs: what they print and how they exit, also when they must fail. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';

const project = fileURLToPath(new URL('../..', import.meta.url));
const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

function makeFolder(files: Record<string, string> = {}): string {
  const folder = mkdtempSync(join(tmpdir(), 'elsegrid-house-'));
  folders.push(folder);
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), text);
  }
  return folder;
}

function run(program: string, ...args: string[]) {
  const done = spawnSync(process.execPath, [program, ...args], { encoding: 'utf8' });
  return { status: done.status, stdout: done.stdout, stderr: done.stderr };
}

describe('the generated pages', () => {
  const generate = join(project, 'tools/generate.mjs');
  const errors = readFileSync(join(project, 'src/base/errors.ts'), 'utf8');

  it('are what the code says', () => {
    const check = run(generate, '--check');
    expect(check.stdout).toContain('docs/errors.md is up to date');
    expect(check.status).toBe(0);
  });

  it('are reported when missing, written on demand, and reported when the code changes', () => {
    const root = makeFolder({ 'src/base/errors.ts': errors });
    const missing = run(generate, '--check', '--root', root);
    expect(missing.status).toBe(1);
    expect(missing.stdout).toContain('docs/errors.md is missing');
    expect(run(generate, '--root', root).status).toBe(0);
    expect(run(generate, '--check', '--root', root).status).toBe(0);
    writeFileSync(join(root, 'src/base/errors.ts'), errors.replace('ERR_OVERLOAD', 'ERR_TOO_MUCH'));
    const changed = run(generate, '--check', '--root', root);
    expect(changed.status).toBe(1);
    expect(changed.stdout).toMatch(/docs\/errors\.md differs .*ERR_OVERLOAD.*ERR_TOO_MUCH/);
  });

  it('list every message of the protocol with its fields, in the order of their numbers', () => {
    const root = makeFolder({
      'src/base/errors.ts': errors,
      'src/wire/version.ts': 'export const PROTOCOL_VERSION = 7;\n',
      'src/wire/ping.ts': "export const ping = { id: 9, name: 'Ping', doc: 'Asks.', fields: [] };\n",
      'src/protocol.ts': `import { ping } from './wire/ping.js';
        const view = { id: 2, name: 'View', doc: 'A view.', fields: [{ name: 'members', type: 'a | b', doc: 'who' }] };
        export const MESSAGES: readonly unknown[] = [ping, view];`,
    });
    expect(run(generate, '--root', root).status).toBe(0);
    const page = readFileSync(join(root, 'src/wire/PROTOCOL.md'), 'utf8');
    expect(page).toContain('version 7');
    expect(page).toContain('| `members` | a \\| b | who |');
    expect(page.indexOf('## View')).toBeLessThan(page.indexOf('## Ping'));
    expect(page).toContain('| 9 | [Ping](#ping) | Asks. |');
  });
});

describe('the command', () => {
  it('says what is missing when the project was not built', () => {
    const folder = makeFolder({ 'package.json': '{"type":"module"}' });
    cpSync(join(project, 'bin'), join(folder, 'bin'), { recursive: true });
    const started = run(join(folder, 'bin/elsegrid.js'), 'start');
    expect(started.status).toBe(1);
    expect(started.stdout).toBe('');
    expect(started.stderr).toContain('dist/src/cli/main.js');
    expect(started.stderr).toContain('npm run build');
  });

  it('hands over to the compiled program, which decides the exit code', () => {
    const folder = makeFolder({
      'package.json': '{"type":"module"}',
      'dist/src/cli/main.js': 'console.log(process.argv.slice(2).join()); process.exitCode = 3;',
    });
    cpSync(join(project, 'bin'), join(folder, 'bin'), { recursive: true });
    expect(run(join(folder, 'bin/elsegrid.js'), 'status', '--json')).toMatchObject({
      status: 3,
      stdout: 'status,--json\n',
    });
  });
});

describe('the count of tests', () => {
  const count = join(project, 'tools/count-tests.mjs');
  const report = (passed: number, failed: number, files: [status: string, tests: string[]][]) =>
    JSON.stringify({
      numPassedTests: passed,
      numFailedTests: failed,
      numTotalTests: passed + failed,
      testResults: files.map(([status, tests]) => ({
        status,
        assertionResults: tests.map((test) => ({ status: test })),
      })),
    });

  it('adds reports up, and counts files that did not load as failures', () => {
    const folder = makeFolder({
      'good.json': report(5, 0, [['passed', ['passed']]]),
      'bad.json': report(1, 2, [
        ['failed', ['passed', 'failed', 'failed']],
        ['failed', []],
      ]),
    });
    expect(run(count, join(folder, 'good.json')).stdout).toBe('5 0\n');
    expect(run(count, join(folder, 'good.json'), join(folder, 'bad.json')).stdout).toBe('6 3\n');
  });

  it('counts a missing, broken or empty report as a failure', () => {
    const folder = makeFolder({ 'broken.json': '{', 'empty.json': report(0, 0, []) });
    for (const file of ['missing.json', 'broken.json', 'empty.json']) {
      expect(run(count, join(folder, file)).stdout, file).toBe('0 1\n');
    }
  });
});

describe('the system tests', () => {
  function tree(...tests: string[]): string {
    const folder = makeFolder(Object.fromEntries(tests.map((test) => [`test/system/${test}`, ''])));
    cpSync(join(project, 'tools'), join(folder, 'tools'), { recursive: true });
    return join(folder, 'tools/system-tests.mjs');
  }
  function runWithPath(program: string, ...args: string[]) {
    // A search path on which nothing is found, and Node by its full name.
    const done = spawnSync(process.execPath, [program, ...args], {
      encoding: 'utf8',
      env: { PATH: makeFolder() },
    });
    return { status: done.status, stdout: done.stdout, stderr: done.stderr };
  }

  it('fail, and name program, test and how to install, when a needed program is missing', () => {
    const failed = runWithPath(tree('console.test.ts', 'crash.test.ts'));
    expect(failed.status).toBe(1);
    expect(failed.stderr).toContain('chromium is missing, needed by console.test.ts');
    expect(failed.stderr).toContain('apt-get install -y chromium');
    expect(failed.stderr).not.toContain('redis-server');
  });

  it('list missing packages for those tests only that are there', () => {
    expect(runWithPath(tree('console.test.ts'), '--packages').stdout).toBe('chromium\n');
    expect(runWithPath(tree('crash.test.ts'), '--packages')).toMatchObject({ status: 0, stdout: '' });
  });

  it('fail when there is no test', () => {
    const failed = runWithPath(tree());
    expect(failed.status).toBe(1);
    expect(failed.stderr).toContain('holds no test');
  });
});
