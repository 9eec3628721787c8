/**
 * One member as a process of its own: takes its options from its parent, tells its address, leaves gracefully when
 * told to, and ends when its parent has gone, so that nobody has to look for it. Forked by `member-processes.ts`.
 */
import process from 'node:process';
import { type MemberOptions, startMember } from '../src/index.js';

/** From the parent. */
export type Order = { readonly type: 'start'; readonly options: MemberOptions } | { readonly type: 'leave' };

/** To the parent. */
export type News =
  | { readonly type: 'started'; readonly address: string; readonly id: string }
  | { readonly type: 'failed'; readonly message: string };

function tell(news: News): void {
  process.send?.(news);
}

async function run(options: MemberOptions): Promise<void> {
  try {
    const member = await startMember(options);
    process.on('message', async (order: Order) => {
      if (order.type !== 'leave') return;
      await member.shutdown();
      process.disconnect();
    });
    tell({ type: 'started', address: member.address, id: member.id });
  } catch (error) {
    tell({ type: 'failed', message: (error as Error).message });
  }
}

process.once('message', (order: Order) => {
  if (order.type === 'start') void run(order.options);
});
process.once('disconnect', () => process.exit(0));
