/** A member process of the near-cache benchmark: tells its address, and lives as long as its parent. */
import { startMember } from '../src/index.js';
import { liveWithParent, run, task, tell } from './child.js';

liveWithParent();
run(async () => {
  const { join } = task<{ readonly join: string[] }>();
  const member = await startMember({ port: 0, join, logLevel: 'error', consistency: 'PA/EL' });
  tell(member.address);
});
