/** A process that has shut its member and its client down ends by itself, whatever was under way. */
import { spawn } from 'node:child_process';
import { afterAll, describe, expect, it } from 'vitest';
import { transpileSources } from './support/transpiled.js';

const sources = transpileSources();
afterAll(() => sources.remove());

/** What is left 1.5 s after the shutdown, which is nothing when the process has ended by then. */
const FRAME = (work: string) => `
  import { connect, startMember } from '${new URL('src/index.js', sources.url)}';
  process.on('unhandledRejection', () => {});
  const never = () => new Promise(() => {});
  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const store = (mode) => ({ store: { name: 'never', mode, timeoutMs: 20_000 } });
  const maps = { through: store('write-through'), behind: store('write-behind'), read: store('read-through') };
  const queues = { full: { maxSize: 1 } };
  const member = await startMember(
    { port: 0, logLevel: 'error', partitionCount: 7, maps, queues },
    (registry) => registry.mapStore('never', { load: never, store: never, delete: never }),
  );
  const client = await connect({ members: [member.address] });
  ${work}
  await client.shutdown();
  await member.shutdown();
  setTimeout(() => {
    console.log('still there: ' + process.getActiveResourcesInfo());
    process.exit(1);
  }, 1_500).unref();
`;

function outputOf(work: string): Promise<string> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', FRAME(work)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.on('data', (data) => {
    output += data;
  });
  child.stderr.on('data', (data) => {
    output += data;
  });
  return new Promise((resolve) =>
    child.on('close', (code) => resolve(code === 0 ? '' : `${code}: ${output}`)),
  );
}

const WORK: Readonly<Record<string, string>> = {
  'a take that was answered': `
    const queue = member.getQueue('q');
    setTimeout(() => queue.add(1), 50);
    await queue.take();`,
  'a take that was aborted': `
    await member.getQueue('q').with({ signal: AbortSignal.timeout(50) }).take().catch(() => {});`,
  'calls that wait, of both': `
    for (const grid of [member, client]) {
      grid.getQueue('q').take();
      grid.getQueue('q').take({ ackTimeoutMs: 20_000 });
      grid.getQueue('full').put(1);
      grid.getMap('m').lock('k');
      grid.getMap('m').set('k', 1);
    }
    await sleep(100);`,
  'a store that never answers': `
    member.getMap('read').get('a');
    member.getMap('through').set('a', 1);
    client.getMap('behind').set('a', 1);
    client.getMap('behind').flush();
    await sleep(200);`,
  'loaders that never answer': `
    for (const grid of [member, client]) grid.getMap('m').getOrLoad(grid === client ? 'c' : 'm', never);
    await sleep(100);`,
  'questions about the grid': `
    const lasting = await startMember({ port: 0, logLevel: 'error', clusterName: 'other' });
    const other = await connect({ members: [lasting.address], clusterName: 'other' });
    for (const grid of [lasting, other]) {
      grid.waitUntilSafe({ timeoutMs: 20_000 }).catch(() => {});
      grid.explain('map', 'm');
    }
    await other.shutdown();
    await lasting.shutdown();`,
};

describe('the process ends after shutdown and', () => {
  it.each(Object.keys(WORK))('%s', async (what) => {
    expect(await outputOf(WORK[what] as string)).toBe('');
  });
});

it('a loader is told that its client has ended', async () => {
  const output = await outputOf(`
    let why;
    const loading = client.getMap('m').with({ timeoutMs: 60_000 }).getOrLoad('k', (_key, { signal }) => {
      signal.addEventListener('abort', () => { why = signal.reason.code; });
      return never();
    });
    const failed = loading.catch((error) => error.code);
    await sleep(100);
    await client.shutdown();
    const code = await failed;
    if (code !== 'ERR_CLIENT_CLOSED' || why !== 'ERR_CLIENT_CLOSED') throw new Error(code + ' ' + why);`);
  expect(output).toBe('');
});
