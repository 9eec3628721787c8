/**
 * Directed schedules for options under which a promise does not hold; where it holds, the same stories break nothing. Run
 * by the table of promises.
 */
import { partitionOfKey } from '../../partitions/placement.js';
import { encodeKey } from '../../src/wire/keys.js';
import type { Case } from '../case.js';
import type { RunResult } from '../run.js';
import { hostAt, type Stage, setTheStage } from './stage.js';

/** Below half of the suspicion time; nobody is taken for dead. */
const SILENCE_MS = 450;
/** The shortest that there is, so that what counts as done after it is acknowledged within the silence. */
const BACKUP_TIMEOUT_MS = 100;
const CALL_MS = 380;

/**
 * Nothing that a primary sends reaches its backups for less than half of the suspicion time, a write is acknowledged, and
 * the primary dies.
 */
export async function ackedThenCrashed(plan: Partial<Case>): Promise<RunResult> {
  const { seed = 1 } = plan;
  const link = { meanLatencyMs: 0.5 + (seed % 7) / 4, minLatencyMs: 0.2 };
  const backupTimeoutMs = BACKUP_TIMEOUT_MS;
  const stage = await setTheStage({ ...plan, members: 3, link, backupTimeoutMs, resolveShare: 0 }, {});
  const client = await stage.client();
  const primary = hostAt(stage, 0, 0);
  await stage.settled(stage.put(client, 'a', 'before', 5000));
  for (const { host } of stage.run.cluster.running())
    if (host !== primary)
      for (const pair of [`pair:${primary}:${host}`, `pair:${host}:${primary}`])
        stage.fault('cut', pair, SILENCE_MS);
  await stage.wait(2);
  const step = { k: 'set/x', f: 'write', v: 'x' };
  const map = client.grid.getMap<string, string>('set').with({ timeoutMs: CALL_MS });
  const kept = stage.run.recorder.call(client, step, true, CALL_MS, () => map.set('x', 'x'));
  await stage.settled(stage.put(client, 'a', 'after', CALL_MS), kept);
  stage.run.cluster.crash(primary);
  await stage.wait(10);
  return stage.finish();
}

/** On average; the farther, the longer some members know a view that others do not. */
const FAR_MS = 25;
const HELD_MS = 450;
const PARTITIONS = 17;

/**
 * Backups move to a member that joins, and a former holder does not hear of that view for a while: what is written then it
 * lacks, and its embedded API reads it as a replica of the view before.
 */
export async function readAtOldBackup(plan: Partial<Case>): Promise<RunResult> {
  const { seed = 1 } = plan;
  // With as many members as replicas, those who join take replicas over from others.
  const members = Math.max(3, 1 + (plan.syncBackups ?? 1) + (plan.asyncBackups?.maps ?? 0));
  const link = { meanLatencyMs: FAR_MS + (seed % 5), minLatencyMs: 1 };
  const stage = await setTheStage(
    { ...plan, members, partitionCount: PARTITIONS, link, resolveShare: 0 },
    {},
  );
  const client = await stage.client();
  const keys = Array.from({ length: PARTITIONS }, (_, partition) => keyOf(partition));
  await stage.settled(...keys.map((key) => stage.put(client, key, 'before', 5000)));
  // A replica tells only what it knows to be everywhere.
  await stage.wait(3000);
  stage.run.startMember(`m${members + 1}`);
  let moved: Moved | null = null;
  const hasMoved = () => {
    moved = movedUnheard(stage);
    return moved !== null;
  };
  await stage.reach('a backup has moved, and its former holder does not know', hasMoved);
  const { host, partition } = moved as unknown as Moved;
  stage.fault('hold', `into:host:${host}`, HELD_MS);
  await stage.wait(0.1);
  await stage.settled(stage.put(client, keys[partition] as string, 'after', 300));
  const former = stage.run.workload.memberCaller(host);
  await stage.settled(stage.get(former, keys[partition] as string, 300));
  await stage.wait(HELD_MS);
  return stage.finish();
}

interface Moved {
  readonly host: string;
  readonly partition: number;
}

/** A member that still takes itself for a backup in the view before the one that its primary is in. */
function movedUnheard({ run: { cluster } }: Stage): Moved | null {
  const running = cluster.running();
  const viewOf = (id: string | undefined) => running.find(({ member }) => member.id === id)?.member.node.view;
  for (const { host, member } of running) {
    const own = member.node.view;
    const partition = own?.table.findIndex(({ replicas: [primary, ...backups] }, p) => {
      const now = viewOf(primary?.member);
      const isBackup = backups.some((replica) => replica.member === member.id && replica.synced);
      if (!isBackup || now === undefined || now === null || now.number <= (own?.number ?? 0)) return false;
      const { replicas } = now.table[p] ?? { replicas: [] };
      return (
        replicas[0]?.member === primary?.member && replicas.every((replica) => replica.member !== member.id)
      );
    });
    if (partition !== undefined && partition >= 0) return { host, partition };
  }
  return null;
}

function keyOf(partition: number): string {
  for (let i = 0; ; i++) if (partitionOfKey(encodeKey(`x${i}`), PARTITIONS) === partition) return `x${i}`;
}
