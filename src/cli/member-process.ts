/**
 * The inside of a process that `start --members` started: asks its parent what to do, runs one member, and leaves
 * when the parent says so or has gone.
 */
import type { MemberOptions } from '../config.js';
import { type CliContext, CommandError, type ExitCode, exitCodeOf } from './context.js';
import { runUntilStopped, startOnPort } from './run-member.js';
import { stopRequests } from './signals.js';

/** From parent to child. */
export interface ChildOrder {
  readonly options: MemberOptions;
  readonly searchPort: boolean;
}

/** From child to parent. */
export type ChildMessage =
  | { readonly type: 'ask' }
  | { readonly type: 'started'; readonly address: string }
  | { readonly type: 'failed'; readonly message: string; readonly exitCode: ExitCode };

export async function runMemberProcess(context: CliContext): Promise<ExitCode> {
  const { parent } = context;
  if (parent === undefined) throw new CommandError('member-process is for start --members only', 2);
  // Ctrl-C in a terminal reaches this process as well as its parent, which says what it means.
  const stop = stopRequests(context, ['SIGINT']);
  const send = (message: ChildMessage) => parent.send(message);
  parent.onGone(() => stop.request());
  const order = await new Promise<ChildOrder>((resolve) => {
    parent.onMessage((message) => resolve(message as ChildOrder));
    send({ type: 'ask' });
  });
  try {
    const member = await startOnPort(context, order.options, order.searchPort).catch((error: Error) => {
      send({ type: 'failed', message: error.message, exitCode: exitCodeOf(error) });
    });
    if (member === undefined) return 1;
    send({ type: 'started', address: member.address });
    return await runUntilStopped(context, member, stop, () => {});
  } finally {
    stop.dispose();
    parent.close();
  }
}
