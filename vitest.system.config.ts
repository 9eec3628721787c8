// The tests of `npm run test:system`: real processes, a real Redis server. One file at a time, since they
// measure and use ports. `tools/system-tests.mjs` starts them.
import { defineConfig } from 'vitest/config';

const report = process.env.ELSEGRID_TEST_REPORT;

export default defineConfig({
  test: {
    include: ['test/system/**/*.test.ts'],
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 60_000,
    reporters: report === undefined ? ['default'] : ['default', ['json', { outputFile: report }]],
  },
});
