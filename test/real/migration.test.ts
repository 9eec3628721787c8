import { describe, expect, it } from 'vitest';
import { growWhileWriting } from './support/migration-run.js';

describe('a partition of 32 MiB', () => {
  it('goes to a new member while it is written to: no write is refused, and 4 MiB at most are on their way', async () => {
    const { writesMeanwhile } = await growWhileWriting(32);
    expect(writesMeanwhile).toBeGreaterThan(10);
  });
});
