/**
 * The command `elsegrid` as real processes: the bin of the package over the sources as they are now, laid out as
 * an installed package is. What was started here is ended here, each process by its own id.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { copyFileSync, mkdirSync, symlinkSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { transpileSources } from './transpiled.js';

const project = new URL('../../../', import.meta.url);
/** How long a command may take on a machine that has other things to do. */
const COMMAND_TIMEOUT_MS = 60_000;

export interface Finished {
  /** Exit code; null when a signal ended it. */
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** A `start` that runs. */
export interface Started {
  readonly process: ChildProcess;
  readonly ended: Promise<Finished>;
  out(): string;
  err(): string;
}

export interface MemberLine {
  readonly address: string;
  readonly pid: number;
}

export class Cli {
  /** Of `elsegrid.js`. */
  readonly bin: string;
  readonly #started: Started[] = [];
  readonly #members = new Set<number>();
  readonly #removeSources: () => void;

  constructor() {
    const sources = transpileSources();
    mkdirSync(new URL('bin/', sources.url));
    copyFileSync(new URL('bin/elsegrid.js', project), new URL('bin/elsegrid.js', sources.url));
    copyFileSync(new URL('package.json', project), new URL('package.json', sources.url));
    symlinkSync(fileURLToPath(sources.url), fileURLToPath(new URL('dist', sources.url)), 'junction');
    this.bin = fileURLToPath(new URL('bin/elsegrid.js', sources.url));
    this.#removeSources = () => sources.remove();
  }

  /** Runs a command to its end. */
  run(...args: string[]): Promise<Finished> {
    return finished(process.execPath, [this.bin, ...args]);
  }

  /** Runs a line as a user types it into a shell, with this bin for `npx elsegrid`. */
  shell(line: string): Promise<Finished> {
    return finished('sh', ['-c', line.replace('npx elsegrid', `'${process.execPath}' '${this.bin}'`)]);
  }

  /** A `start` in a process group of its own, as a shell makes one; resolves when it has said that it runs. */
  async start(...args: string[]): Promise<Started> {
    const child = spawn(process.execPath, [this.bin, 'start', ...args], {
      detached: true,
      env: environment(),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [out, err] = ['', ''];
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      err += text;
    });
    const ended = new Promise<Finished>((resolve) => {
      child.once('close', (code) => resolve({ code, out, err }));
    });
    const started: Started = { process: child, ended, out: () => out, err: () => err };
    this.#started.push(started);
    await new Promise<void>((resolve, reject) => {
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        out += text;
        if (out.includes('another one, after a second, ends at once.')) resolve();
      });
      void ended.then(({ code }) => reject(new Error(`start ended with exit code ${code}: ${out}${err}`)));
    });
    for (const { pid } of membersOf(started)) this.#members.add(pid);
    return started;
  }

  /** Ends whatever still runs, and removes the sources. */
  async end(): Promise<void> {
    for (const { process: child } of this.#started) child.kill('SIGKILL');
    for (const pid of this.#members) if (isAlive(pid)) process.kill(pid, 'SIGKILL');
    await Promise.all(this.#started.map(({ ended }) => ended));
    this.#removeSources();
  }
}

/** The rows of the table that `start --members` prints. */
export function membersOf(started: Started): MemberLine[] {
  return [...started.out().matchAll(/^(\d+\.\d+\.\d+\.\d+:\d+) +(\d+)$/gm)].map(([, address, pid]) => ({
    address: address as string,
    pid: Number(pid),
  }));
}

/** The commands that `start` prints for its user to type. */
export function commandsOf(started: Started): string[] {
  return [...started.out().matchAll(/^ {2}((?:npx elsegrid|kill) .*)$/gm)].map(([, line]) => line as string);
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

export interface Health {
  readonly status: number;
  readonly ok: boolean;
  readonly reasons: readonly string[];
}

export async function healthOf(address: string, page: 'live' | 'ready' | 'safe'): Promise<Health> {
  const response = await fetch(`http://${address}/health/${page}`);
  const { ok, reasons } = (await response.json()) as { ok: boolean; reasons: string[] };
  return { status: response.status, ok, reasons };
}

/** Without what would configure the commands from outside. */
function environment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('ELSEGRID_')));
}

function finished(program: string, args: readonly string[]): Promise<Finished> {
  return new Promise((resolve) => {
    const options = { env: environment(), timeout: COMMAND_TIMEOUT_MS, killSignal: 'SIGKILL' } as const;
    const child = execFile(program, args, options, (_error, out, err) => {
      resolve({ code: child.exitCode, out, err });
    });
  });
}
