/** Waits until a grid is safe; the same for clients and embedded members. */
import type { Invoker } from '../../partitions/invoker.js';
import { pause } from '../../partitions/services/proxy-requests.js';
import { type GridError, SafetyError } from '../../src/base/errors.js';
import type { GridStatus } from '../../src/policy/status.js';

const POLL_MS = 50;

/** Polls a status until it is safe, or nobody can be asked any more. */
export async function waitUntilSafe(
  invoker: Pick<Invoker, 'clock' | 'whenClosed'>,
  status: () => Promise<GridStatus>,
  timeoutMs: number,
): Promise<void> {
  const { clock } = invoker;
  const deadlineMs = clock.now() + timeoutMs;
  let closed: GridError | undefined;
  const unlisten = invoker.whenClosed((error) => {
    closed = error;
  });
  try {
    for (;;) {
      if (closed !== undefined) throw closed;
      const { safe, unsafeReasons } = await status();
      if (safe) return;
      if (clock.now() >= deadlineMs) {
        throw new SafetyError(`not safe after ${timeoutMs} ms: ${unsafeReasons.join('; ')}`);
      }
      await pause(invoker, POLL_MS);
    }
  } finally {
    unlisten();
  }
}
