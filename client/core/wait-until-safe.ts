/** Waits until a grid is safe; the same for clients and embedded members. */
import { SafetyError } from '../../src/base/errors.js';
import type { Clock } from '../../src/base/ports.js';
import type { GridStatus } from '../../src/policy/status.js';

const POLL_MS = 50;

/** Polls a status until it is safe. */
export async function waitUntilSafe(
  clock: Clock,
  status: () => Promise<GridStatus>,
  timeoutMs: number,
): Promise<void> {
  const deadlineMs = clock.now() + timeoutMs;
  for (;;) {
    const { safe, unsafeReasons } = await status();
    if (safe) return;
    if (clock.now() >= deadlineMs) {
      throw new SafetyError(`not safe after ${timeoutMs} ms: ${unsafeReasons.join('; ')}`);
    }
    await new Promise<void>((resolve) => {
      clock.setTimer(POLL_MS, resolve);
    });
  }
}
