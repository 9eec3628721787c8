/**
 * A directed schedule for options under which not every side of a split serves: one member is cut off with a client, which
 * writes to everything that the member has a replica of. Run by the table of promises.
 */
import type { SplitCase } from '../split/case.js';
import type { Finding } from '../workload/recorder.js';
import { setTheSplitStage } from './split-stage.js';

const LONE = 'm5';
/** Longer than suspicion and the way into a fork together. */
const CUT_MS = 8000;
const CALL_MS = 3000;

export async function loneMember(
  plan: Partial<SplitCase>,
): Promise<{ readonly findings: readonly Finding[]; readonly operations: number }> {
  const { seed = 1 } = plan;
  const link = { meanLatencyMs: 0.5 + (seed % 7) / 4, minLatencyMs: 0.2 };
  const stage = await setTheSplitStage({ ...plan, preset: 'PA/EC', members: 5, link }, {});
  const client = await stage.client();
  const held: number[] = [];
  for (let partition = 0; partition < stage.run.plan.partitionCount; partition++)
    if (stage.replicas(partition).includes(LONE)) held.push(partition);
  const { host } = client;
  stage.fault('cut', `sides:${LONE}+${host}|m1+m2+m3+m4`, CUT_MS + 2 * CALL_MS);
  await stage.wait(CUT_MS);
  const puts = held.map((partition) => stage.put(client, stage.keyIn(partition), 'alone', CALL_MS));
  const refused = (await stage.settled(...puts)).filter(({ type }) => type !== 'ok');
  const result = await stage.finish();
  if (refused.length === 0) return result;
  const codes = [...new Set(refused.map(({ code }) => code))].join(', ');
  const text = `${LONE}, cut off with ${host}, took ${puts.length - refused.length} of ${puts.length} writes to what it holds (${codes})`;
  return { ...result, findings: [...result.findings, { guarantee: 'G5 every side serves', text }] };
}
