/**
 * Members as real processes, a client that writes every key twice, and some of the members killed with SIGKILL while
 * it overwrites: what must hold afterwards. The same run for the quick tests and for those of the system.
 */
import { expect } from 'vitest';
import { MemberProcesses, type ProcessMember } from '../../../demo/member-processes.js';
import { ABSENT, findLost, Ledger, type Versioned, writeInGroups } from '../../../demo/writers.js';
import { connect } from '../../../src/index.js';

export interface KillRun {
  /** Of the transpiled `member-process.js`. */
  readonly script: URL;
  readonly members: number;
  readonly syncBackups: number;
  /** Twice as many as there are keys. */
  readonly writes: number;
  readonly inFlight: number;
  readonly victims: (members: readonly ProcessMember[]) => readonly ProcessMember[];
}

export interface KillOutcome {
  readonly acknowledged: number;
  readonly refused: number;
  readonly indeterminate: number;
  readonly writesMs: number;
  readonly safeAfterMs: number;
}

export async function writeThroughKill(run: KillRun): Promise<KillOutcome> {
  const { members, syncBackups, writes, inFlight } = run;
  await using processes = new MemberProcesses(run.script, {
    timings: 'local',
    logLevel: 'error',
    maps: { default: { backups: { sync: syncBackups } } },
  });
  await processes.start(members);
  await using client = await connect({ members: processes.addresses });
  await client.waitUntilSafe({ timeoutMs: 30_000 });
  const map = client.getMap<string, Versioned>('written');
  const groups = new Map(
    Array.from({ length: inFlight }, (_, group) => [group, keysOf(group, inFlight, writes / 2)]),
  );
  const ledger = new Ledger<string>(ABSENT);
  const startMs = performance.now();
  const writing = writeInGroups(
    map,
    groups,
    (_key, version) => ({ version }),
    ledger,
    (group, written) => written < 2 * (groups.get(group) as string[]).length,
  );
  // In the second round, so that what the dead leave behind has to be the newer version.
  while (ledger.acknowledged + ledger.refused + ledger.indeterminate < (writes * 5) / 8) await sleep(5);
  const killMs = performance.now();
  const victims = run.victims(processes.members);
  await Promise.all(victims.map((victim) => processes.kill(victim)));
  const before = ledger.acknowledged;
  await writing;
  const writesMs = performance.now() - startMs;
  expect(before, 'writes that were left to do when the members died').toBeLessThan(writes);
  await client.waitUntilSafe({ timeoutMs: 30_000 });
  const safeAfterMs = performance.now() - killMs;

  const { acknowledged, refused, indeterminate, resolved } = ledger;
  expect(acknowledged + refused + indeterminate, 'writes that ended').toBe(writes);
  const keys = [...groups.values()].flat();
  const lost = await findLost(map, keys, ledger);
  expect(lost).toEqual([]);
  const status = await client.status();
  expect(status.members).toHaveLength(members - victims.length);
  // Only writes on their way at the crash may end without an acknowledgement; and the grid knows what became of
  // them, so that of every key exactly the last version that was done is there.
  const why = [...ledger.reasons].map(([reason, count]) => `${count} x ${reason}`).join('\n');
  expect(refused + indeterminate, why).toBeLessThanOrEqual(inFlight * victims.length);
  expect(resolved.unknown, why).toBe(0);
  return { acknowledged, refused, indeterminate, writesMs, safeAfterMs };
}

/** The keys of one group: every key is in one, so that nobody else writes it. */
function keysOf(group: number, groups: number, count: number): string[] {
  const keys: string[] = [];
  for (let i = group; i < count; i += groups) keys.push(`key-${i}`);
  return keys;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
