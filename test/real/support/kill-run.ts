/**
 * Members as real processes, a client that writes, and some of the members killed with SIGKILL in the middle: what
 * must hold afterwards. The same run for the quick tests and for those of the system.
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
  readonly entries: number;
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
  const { members, syncBackups, entries, inFlight } = run;
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
    Array.from({ length: inFlight }, (_, group) => [group, keysOf(group, inFlight, entries)]),
  );
  const ledger = new Ledger<string>(ABSENT);
  const startMs = performance.now();
  const writing = writeInGroups(
    map,
    groups,
    (_key, version) => ({ version }),
    ledger,
    (group, written) => written < (groups.get(group) as string[]).length,
  );
  while (ledger.acknowledged < entries / 4) await sleep(5);
  const killMs = performance.now();
  const victims = run.victims(processes.members);
  await Promise.all(victims.map((victim) => processes.kill(victim)));
  const before = ledger.acknowledged;
  await writing;
  const writesMs = performance.now() - startMs;
  expect(before, 'writes that were left to do when the members died').toBeLessThan(entries);
  await client.waitUntilSafe({ timeoutMs: 30_000 });
  const safeAfterMs = performance.now() - killMs;

  const { acknowledged, refused, indeterminate } = ledger;
  expect(acknowledged + refused + indeterminate, 'writes that ended').toBe(entries);
  const keys = [...groups.values()].flat();
  const lost = await findLost(map, keys, ledger);
  expect(lost).toEqual([]);
  const status = await client.status();
  expect(status.members).toHaveLength(members - victims.length);
  expect(acknowledged).toBeGreaterThan(entries / 2);
  return { acknowledged, refused, indeterminate, writesMs, safeAfterMs };
}

/** The keys of one group: every key is in one, and written once. */
function keysOf(group: number, groups: number, entries: number): string[] {
  const keys: string[] = [];
  for (let i = group; i < entries; i += groups) keys.push(`key-${i}`);
  return keys;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
