/**
 * One member as a process of its own: takes its options from its parent, tells its address, leaves gracefully when
 * told to, and ends when its parent has gone, so that nobody has to look for it. Forked by `member-processes.ts`.
 */
import process from 'node:process';
import { type Member, type MemberOptions, startMember } from '../src/index.js';

/** From the parent. */
export type Order =
  | { readonly type: 'start'; readonly options: MemberOptions }
  | { readonly type: 'roles' }
  | { readonly type: 'leave' };

/** To the parent. */
export type News =
  | { readonly type: 'started'; readonly address: string; readonly id: string }
  | { readonly type: 'failed'; readonly message: string }
  | { readonly type: 'roles'; readonly roles: Roles };

/** The partitions of a member by what it is to them. */
export interface Roles {
  readonly primary: readonly number[];
  readonly backup: readonly number[];
}

function tell(news: News): void {
  process.send?.(news);
}

function rolesOf(member: Member): Roles {
  const held = (isRole: (index: number) => boolean) =>
    (member.node.view?.table ?? []).flatMap(({ replicas }, partition) =>
      isRole(replicas.findIndex((replica) => replica.member === member.id)) ? [partition] : [],
    );
  return { primary: held((index) => index === 0), backup: held((index) => index > 0) };
}

async function run(options: MemberOptions): Promise<void> {
  try {
    const member = await startMember(options);
    process.on('message', async (order: Order) => {
      if (order.type === 'roles') tell({ type: 'roles', roles: rolesOf(member) });
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
