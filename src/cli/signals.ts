/**
 * SIGINT and SIGTERM of a command that runs members: the first one leaves gracefully, the second ends at once.
 */
import type { CliContext } from './context.js';

/**
 * One Ctrl-C can arrive twice: from the terminal, and from npm, which passes it on to what it runs. Two within
 * this time are one.
 */
const SAME_KEY_PRESS_MS = 250;

export interface StopRequests {
  /** Resolves at the first signal. */
  readonly leave: Promise<void>;
  /** Resolves at the second. */
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
  let asked = 0;
  let lastInterruptMs = Number.NEGATIVE_INFINITY;
  const request = () => {
    asked++;
    if (asked === 1) askLeave();
    else askEnd();
  };
  const dispose = context.onSignal((signal) => {
    if (ignore.includes(signal)) return;
    if (signal === 'SIGINT') {
      const now = context.now();
      const repeated = now - lastInterruptMs < SAME_KEY_PRESS_MS;
      lastInterruptMs = now;
      if (repeated) return;
    }
    request();
  });
  return { leave, end, request, dispose };
}
