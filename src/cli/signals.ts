/**
 * SIGINT and SIGTERM of a command that runs members: the first one leaves gracefully, one that comes more than a
 * second later ends at once.
 */
import type { CliContext } from './context.js';

/**
 * What comes so soon after the first one is the first one: one Ctrl-C arrives from the terminal and from npm, which passes it
 * on, and one SIGTERM of `timeout` or of a service manager goes to npm, which passes it on, and to its whole group.
 */
const SAME_MS = 1_000;

export interface StopRequests {
  /** Resolves at the first signal. */
  readonly leave: Promise<void>;
  /** Resolves at the next one, a second later at the earliest. */
  readonly end: Promise<void>;
  /** Asks in the same way as a signal. */
  request(): void;
  dispose(): void;
}

export function stopRequests(context: CliContext, ignore: readonly string[] = []): StopRequests {
  let askLeave = () => {};
  let askEnd = () => {};
  const leave = new Promise<void>((resolve) => {
    askLeave = resolve;
  });
  const end = new Promise<void>((resolve) => {
    askEnd = resolve;
  });
  let firstMs: number | null = null;
  const request = () => {
    const nowMs = context.now();
    firstMs ??= nowMs;
    askLeave();
    if (nowMs - firstMs >= SAME_MS) askEnd();
  };
  const dispose = context.onSignal((signal) => {
    if (!ignore.includes(signal)) request();
  });
  return { leave, end, request, dispose };
}
