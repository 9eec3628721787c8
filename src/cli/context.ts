/**
 * What a command may touch: output, environment, the grid and other processes. One object, made by `main.ts` for
 * real and by tests with recorded output.
 */
import { ConfigError } from '../base/errors.js';
import type { ChaosApi } from './chaos-api.js';
import type { GridApi } from './grid-api.js';

export interface ChildProcess {
  readonly pid: number | undefined;
  send(message: unknown): void;
  kill(signal: 'SIGTERM' | 'SIGKILL'): void;
  onMessage(listener: (message: unknown) => void): void;
  /** The process has ended, or could not be started. */
  onExit(listener: (code: number | null, signal: string | null) => void): void;
}

export interface CliContext {
  /** Writes to stdout, with a line end. */
  out(text: string): void;
  /** Writes to stderr, with a line end. */
  err(text: string): void;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly version: string;
  grid(): Promise<GridApi>;
  /** The simulator; read only when a command runs it. */
  chaos(): Promise<ChaosApi>;
  /** Asks the person at the terminal and gives what was typed; null when nobody is there to answer. */
  ask(question: string): Promise<string | null>;
  /** A line on stderr that the next one overwrites, '' to take it away; nothing when stderr is no terminal. */
  progress(text: string): void;
  /** Runs this program once more, with a channel for messages. */
  fork(args: readonly string[]): ChildProcess;
  /** Calls the listener for SIGINT and SIGTERM until the returned function is called. */
  onSignal(listener: (signal: 'SIGINT' | 'SIGTERM') => void): () => void;
  /** The channel to the process that forked this one; undefined when a person started it. */
  readonly parent: ParentChannel | undefined;
  /** Milliseconds, monotonic. */
  now(): number;
  sleep(delayMs: number): Promise<void>;
}

export interface ParentChannel {
  send(message: unknown): void;
  onMessage(listener: (message: unknown) => void): void;
  /** The parent has ended. */
  onGone(listener: () => void): void;
  /** Lets this process end. */
  close(): void;
}

/** How a command ended: 0 done, 1 failed, 2 wrong usage or configuration, 3 nothing was proved either way. */
export type ExitCode = 0 | 1 | 2 | 3;

/** Ends a command with a message that is already worded for people. */
export class CommandError extends Error {
  readonly exitCode: ExitCode;

  constructor(message: string, exitCode: ExitCode = 1, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CommandError';
    this.exitCode = exitCode;
  }
}

/** What a user typed or configured wrongly is 2, everything else that fails is 1. */
export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof CommandError) return error.exitCode;
  return error instanceof ConfigError || error instanceof TypeError ? 2 : 1;
}
