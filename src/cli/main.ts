/**
 * The program `elsegrid`: hands the real process to the commands. `bin/elsegrid.js` imports it, and
 * `start --members` runs it again for each member.
 */
import { fork } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import { fileURLToPath } from 'node:url';
import type { ChildProcess, CliContext, ParentChannel } from './context.js';
import { run } from './program.js';

/** After this time nothing that was left open keeps the process alive. */
const LAST_GRACE_MS = 2_000;

const thisFile = fileURLToPath(import.meta.url);

function forkProgram(args: readonly string[]): ChildProcess {
  const child = fork(thisFile, args, {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    execArgv: process.execArgv,
  });
  return {
    pid: child.pid,
    send: (message) => {
      if (child.connected) child.send(message as object, () => {});
    },
    kill: (signal) => {
      child.kill(signal);
    },
    onMessage: (listener) => {
      child.on('message', listener);
    },
    onExit: (listener) => {
      child.once('error', () => listener(null, null));
      child.once('exit', listener);
    },
  };
}

function parentChannel(): ParentChannel | undefined {
  if (process.send === undefined) return undefined;
  return {
    send: (message) => {
      if (process.connected) process.send?.(message, undefined, undefined, () => {});
    },
    onMessage: (listener) => {
      process.on('message', listener);
    },
    onGone: (listener) => {
      process.once('disconnect', listener);
    },
    close: () => {
      if (process.connected) process.disconnect();
    },
  };
}

function onSignal(listener: (signal: 'SIGINT' | 'SIGTERM') => void): () => void {
  const interrupt = () => listener('SIGINT');
  const terminate = () => listener('SIGTERM');
  process.on('SIGINT', interrupt).on('SIGTERM', terminate);
  return () => {
    process.off('SIGINT', interrupt).off('SIGTERM', terminate);
  };
}

/** From the package file, which lies above the compiled program as well as above its source. */
function packageVersion(): string {
  for (const up of ['../../package.json', '../../../package.json']) {
    try {
      const { name, version } = JSON.parse(readFileSync(new URL(up, import.meta.url), 'utf8'));
      if (name === 'elsegrid') return String(version);
    } catch {
      // The other place has it.
    }
  }
  return 'unknown';
}

async function ask(question: string): Promise<string | null> {
  if (!process.stdin.isTTY || !process.stderr.isTTY) return null;
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    // The end of the input is no answer, and must not leave the question open.
    const ended = new Promise<null>((resolve) => terminal.once('close', () => resolve(null)));
    return await Promise.race([terminal.question(question), ended]);
  } finally {
    terminal.close();
  }
}

/** Whoever reads the output may stop reading (`| head`); that is no failure. */
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
});

const context: CliContext = {
  out: (text) => {
    process.stdout.write(`${text}\n`);
  },
  err: (text) => {
    process.stderr.write(`${text}\n`);
  },
  env: process.env,
  cwd: process.cwd(),
  version: packageVersion(),
  grid: () => import('../index.js'),
  chaos: () => import('../../chaos/campaign.js'),
  ask,
  progress: (text) => {
    if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`);
  },
  fork: forkProgram,
  onSignal,
  parent: parentChannel(),
  now: () => performance.now(),
  sleep: (delayMs) => new Promise((resolve) => setTimeout(resolve, delayMs)),
};

process.exitCode = await run(process.argv.slice(2), context);
setTimeout(() => process.exit(), LAST_GRACE_MS).unref();
