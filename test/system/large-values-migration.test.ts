import { describe, expect, it } from 'vitest';
import { growWhileWriting } from '../real/support/migration-run.js';

describe('a partition of 256 MiB', () => {
  it('goes to a new member while it is written to: no write is refused, and 4 MiB at most are on their way', async () => {
    const outcome = await growWhileWriting(256);
    console.log(JSON.stringify(outcome));
    expect(outcome.copyMs).toBeLessThan(60_000);
    expect(outcome.writesMeanwhile).toBeGreaterThan(100);
  });
});
