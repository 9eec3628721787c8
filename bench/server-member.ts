/** A member in a process of its own, on a free port; tells its address. Started by the benchmark. */
import { startMember } from '../src/index.js';
import { liveWithParent, run, task, tell } from './child.js';

export interface MemberTask {
  readonly clusterName: string;
  readonly join: readonly string[];
  readonly syncBackups: number;
}

liveWithParent();
run(async () => {
  const { clusterName, join, syncBackups } = task<MemberTask>();
  const member = await startMember({
    clusterName,
    join: [...join],
    port: 0,
    maps: { default: { backups: { sync: syncBackups, async: 0 } } },
    logLevel: 'warn',
  });
  tell({ address: member.address });
});
