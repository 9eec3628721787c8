/**
 * Runs Debian's `redis-server` on a free port without persistence; tells its port and version. A process of its own,
 * so that the server ends with the benchmark however that ends.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { liveWithParent, run, tell } from './child.js';

const ATTEMPTS = 5;
const START_MS = 10_000;

let server: ChildProcess | null = null;
process.on('exit', () => server?.kill('SIGKILL'));

liveWithParent();
run(async () => {
  const version = /v=(\S+)/.exec(execFileSync('redis-server', ['--version'], { encoding: 'utf8' }))?.[1];
  for (let attempt = 1; ; attempt++) {
    const port = await freePort();
    try {
      server = await start(port);
      tell({ port, version });
      return;
    } catch (error) {
      // Somebody else may have taken the port in between.
      if (attempt === ATTEMPTS) throw error;
    }
  }
});

/** Redis takes port 0 for "no TCP", so a free one is looked for. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      probe.close(() => resolve(port));
    });
  });
}

function start(port: number): Promise<ChildProcess> {
  const options = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
  const child = spawn('redis-server', [...options, '--dir', '/tmp'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => child.kill('SIGKILL'), START_MS);
    let output = '';
    child.stdout.on('data', (data) => {
      output += data;
      if (!output.includes('Ready to accept connections')) return;
      clearTimeout(late);
      resolve(child);
    });
    child.once('error', reject);
    child.once('exit', () => {
      clearTimeout(late);
      reject(new Error(`redis-server did not start:\n${output}`));
    });
  });
}
