/**
 * Values of 16 MiB, all in flight at once through one client to three members as processes: nobody is suspected,
 * and every call succeeds. The same run for the quick tests and for those of the system.
 */
import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import { MemberProcesses, type ProcessMember } from '../../../demo/member-processes.js';
import { connect, type MemberOptions } from '../../../src/index.js';

export const VALUE_BYTES = 16 * 1024 * 1024;

export interface LargeOutcome {
  readonly setMs: number;
  readonly getMs: number;
  /** Highest resident memory of each member process, where /proc tells. */
  readonly peakMiB: readonly (number | null)[];
}

export async function moveLargeValues(
  script: URL,
  values: number,
  timeoutMs: number,
  timings: NonNullable<MemberOptions['timings']>,
): Promise<LargeOutcome> {
  await using processes = new MemberProcesses(script, { logLevel: 'error', timings });
  await processes.start(3);
  await using client = await connect({ members: processes.addresses });
  await client.waitUntilSafe({ timeoutMs: 30_000 });
  const views: number[] = [];
  client.on('view', ({ number }) => views.push(number));
  const lost: string[] = [];
  client.on('memberDisconnected', ({ address, reason }) => lost.push(`${address}: ${reason}`));

  const map = client.getMap<number, Buffer>('large').with({ timeoutMs });
  const keys = Array.from({ length: values }, (_, i) => i);
  const value = Buffer.alloc(VALUE_BYTES);
  const startMs = performance.now();
  await Promise.all(keys.map((key) => map.set(key, value.fill(key + 1))));
  const setMs = performance.now() - startMs;
  const found = await Promise.all(keys.map((key) => map.get(key)));
  const getMs = performance.now() - startMs - setMs;
  for (const key of keys) expect(isFilled(found[key], key + 1), `value ${key}`).toBe(true);

  expect(views, 'views that were chosen meanwhile').toEqual([]);
  expect(lost, 'connections that broke').toEqual([]);
  const { members } = await client.status();
  expect(members.map(({ heardBy }) => heardBy)).toEqual([2, 2, 2]);
  return { setMs, getMs, peakMiB: processes.members.map(peakMiB) };
}

function isFilled(found: Buffer | null | undefined, byte: number): boolean {
  return found?.length === VALUE_BYTES && found.equals(Buffer.alloc(VALUE_BYTES, byte));
}

function peakMiB({ pid }: ProcessMember): number | null {
  try {
    const kib = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return kib === undefined ? null : Math.round(Number(kib) / 1024);
  } catch {
    return null;
  }
}
