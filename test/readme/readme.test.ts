import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { transpileSources } from '../real/support/transpiled.js';
import { pages, promisedOutput, runnable, snippetsOf, typeErrors } from './snippets.js';

const project = fileURLToPath(new URL('../..', import.meta.url));
const snippets = pages(project).flatMap((page) => snippetsOf(project, page));
const toRun = snippets.filter(({ kind }) => kind === 'run');
const sources = transpileSources();
afterAll(() => sources.remove());

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => new Promise((resolve) => server.once('listening', resolve))));
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** Runs a program and gives its exit code, what it printed and what it complained about. */
function run(script: string): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (data) => {
    stdout += data;
  });
  child.stderr.on('data', (data) => {
    stderr += data;
  });
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, stdout, stderr })));
}

describe('the snippets of README.md and docs', () => {
  it('are there, in the README and on the page about testing', () => {
    const found = toRun.map(({ at }) => at.split(':')[0]);
    expect(found).toContain('README.md');
    expect(found).toContain('docs/testing.md');
  });

  it('have the right types', () => {
    expect(typeErrors(project, snippets)).toEqual([]);
  });

  it.each(toRun.map((snippet) => [snippet.at, snippet] as const))(
    'run and print what they say: %s',
    async (at, snippet) => {
      const script = fileURLToPath(new URL(`snippet-${at.replaceAll(/\W/g, '-')}.mjs`, sources.url));
      writeFileSync(script, runnable(snippet.code, sources.url, await freePorts(8)));
      const { code, stdout, stderr } = await run(script);
      expect({ at, code, ...(code === 0 ? {} : { stdout, stderr }) }).toEqual({ at, code: 0 });
      const promised = promisedOutput(snippet.code);
      if (promised.length > 0) expect(stdout.trimEnd().split('\n')).toEqual(promised);
    },
  );
});

describe('what README.md says of installing', () => {
  it('names the package that npm pack makes, and what it can be used with', () => {
    const readme = readFileSync(`${project}README.md`, 'utf8');
    const { name, version, type, bin, exports } = JSON.parse(readFileSync(`${project}package.json`, 'utf8'));
    const packages = [...readme.matchAll(/[\w.-]+\.tgz/g)].map(([file]) => file);
    expect(new Set(packages)).toEqual(new Set([`${name}-${version}.tgz`]));
    expect([type, Object.keys(bin)]).toEqual(['module', [name]]);
    expect(exports['.'].types).toMatch(/\.d\.ts$/);
  });
});

describe('the check of snippets', () => {
  it('finds a wrong type, a misspelt name and what is no TypeScript', () => {
    const start =
      "import { connect } from 'elsegrid';\nconst client = await connect({ members: ['a:1'] });\n";
    const errors = typeErrors(project, [
      { at: 'right', kind: 'run', code: start },
      { at: 'type', kind: 'run', code: `${start}await client.getMap<string, number>('m').set('k', 'text');` },
      { at: 'method', kind: 'check', code: `${start}client.getMapp('m');` },
      { at: 'import', kind: 'check', code: "import { connectt } from 'elsegrid';" },
      { at: 'syntax', kind: 'parse', code: 'const = 5;' },
      { at: 'unknown name', kind: 'parse', code: 'unknownName.call();' },
    ]);
    expect([...new Set(errors.map((error) => error.split(':')[0]))]).toEqual([
      'type',
      'method',
      'import',
      'syntax',
    ]);
    expect(errors.join()).toContain("Did you mean 'getMap'");
  });

  it('replaces ports, and leads the package to the sources', () => {
    const code =
      "import { connect } from 'elsegrid';\nawait connect({ members: ['a:5701', 'a:5702', 'b:5701'] });";
    const text = runnable(code, new URL('file:///root/'), [7001, 7002]);
    expect(text).toContain("from 'file:///root/src/index.js'");
    expect(text).toContain("['a:7001', 'a:7002', 'b:7001']");
  });
});
