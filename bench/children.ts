/** The processes of one run of the benchmark: started as forks, told what to do in one argument, all ended with it. */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const END_MS = 3000;

interface Failed {
  readonly type: 'failed';
  readonly text: string;
}

export class Children {
  readonly #execArgv: readonly string[];
  readonly #running = new Set<ChildProcess>();
  #ending = false;

  /** With a folder, every child writes its CPU profile there when it ends. */
  constructor(profileFolder: string | null) {
    this.#execArgv = profileFolder === null ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileFolder}`];
  }

  /**
   * Starts `bench/<module>.js`; resolves with its first message, rejects when it fails before that. `onFailure` hears
   * of a failure at any time.
   */
  start<M>(
    module: string,
    argument: unknown,
    onMessage: (message: M) => void = () => {},
    onFailure: (error: Error) => void = () => {},
  ): Promise<M> {
    const profile =
      this.#execArgv.length === 0 ? [] : [`--cpu-prof-name=${module}-${this.#running.size}.cpuprofile`];
    const child = fork(
      fileURLToPath(new URL(`./${module}.js`, import.meta.url)),
      [JSON.stringify(argument)],
      {
        execArgv: [...this.#execArgv, ...profile],
        serialization: 'json',
      },
    );
    this.#running.add(child);
    return new Promise((resolve, reject) => {
      const failed = (error: Error) => {
        if (this.#ending) return;
        reject(error);
        onFailure(error);
      };
      child.on('message', (message: M | Failed) => {
        if (isFailed(message)) failed(new Error(`${module}: ${message.text}`));
        else {
          resolve(message);
          onMessage(message);
        }
      });
      child.on('error', failed);
      child.on('exit', (code, signal) => {
        this.#running.delete(child);
        failed(new Error(`${module} ended early (${signal ?? code})`));
      });
    });
  }

  /** Resolves when all have ended; that they end is no failure any more. */
  async end(): Promise<void> {
    this.#ending = true;
    const ends = [...this.#running].map(
      (child) =>
        new Promise<void>((resolve) => {
          const late = setTimeout(() => child.kill('SIGKILL'), END_MS);
          child.once('exit', () => {
            clearTimeout(late);
            resolve();
          });
          if (child.connected) child.disconnect();
        }),
    );
    await Promise.all(ends);
  }
}

function isFailed(message: unknown): message is Failed {
  return (message as Failed | null)?.type === 'failed';
}
