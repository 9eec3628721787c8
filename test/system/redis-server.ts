/** A `redis-server` of its own for a test, which can be killed and started again with what it had written. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What Redis acknowledged is on its disk, so that a killed server loses none of it. */
const DURABLE = ['--appendonly', 'yes', '--appendfsync', 'always', '--save', ''];

export class RedisServer {
  readonly #folder = mkdtempSync(join(tmpdir(), 'elsegrid-redis-'));
  #port = 0;
  #child: ChildProcess | null = null;
  kills = 0;

  get url(): string {
    return `redis://127.0.0.1:${this.#port}`;
  }

  /** Resolves when it serves. A port that somebody else took in between fails the test. */
  async start(): Promise<void> {
    if (this.#port === 0) this.#port = await freePort();
    const options = ['--port', String(this.#port), '--bind', '127.0.0.1', '--dir', this.#folder, ...DURABLE];
    const child = spawn('redis-server', options, { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#child = child;
    let output = '';
    await new Promise<void>((resolve, reject) => {
      child.stdout.on('data', (data) => {
        output += data;
        if (output.includes('Ready to accept connections')) resolve();
      });
      child.once('error', reject);
      child.once('exit', () => reject(new Error(`redis-server ended:\n${output}`)));
    });
  }

  /** Ends it at once, with what it is doing. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
    this.kills++;
  }

  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

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
