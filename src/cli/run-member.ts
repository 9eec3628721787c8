/**
 * One member in this process, from its start to its end: `elsegrid start` without `--members`, and each of the
 * processes that `--members` starts.
 */
import { PortInUseError } from '../base/errors.js';
import type { MemberOptions } from '../config.js';
import type { CliContext, ExitCode } from './context.js';
import type { GridMember } from './grid-api.js';
import type { StopRequests } from './signals.js';

/** Ports that are tried when none was asked for. */
const MAX_PORTS_TRIED = 100;
const MAX_PORT = 65_535;

/**
 * Starts a member. When `searchPort` is set and the port is taken, the next ones are tried; else the
 * `PortInUseError` is passed on.
 */
export async function startOnPort(
  context: CliContext,
  options: MemberOptions,
  searchPort: boolean,
): Promise<GridMember> {
  const { startMember } = await context.grid();
  const first = options.port ?? 5701;
  const last = searchPort && first !== 0 ? Math.min(MAX_PORT, first + MAX_PORTS_TRIED - 1) : first;
  for (let port = first; ; port++) {
    try {
      return await startMember({ ...options, port });
    } catch (error) {
      if (!(error instanceof PortInUseError) || port >= last) throw error;
    }
  }
}

/** Waits for a request to stop, then leaves; a second request ends at once. */
export async function runUntilStopped(
  context: CliContext,
  member: GridMember,
  stop: StopRequests,
  say: (text: string) => void,
): Promise<ExitCode> {
  await stop.leave;
  say(
    `member ${member.address} leaves and hands over its data; another Ctrl-C or SIGTERM, after a second, ends it at once`,
  );
  const left = member.shutdown().then((): 'left' => 'left');
  const outcome = await Promise.race([left, stop.end.then((): 'ended' => 'ended')]);
  if (outcome === 'left') return 0;
  // What the graceful leave may still report is of no interest any more.
  left.catch(() => {});
  await member.terminate();
  context.err(`member ${member.address} ended at once, without handing over`);
  return 1;
}
