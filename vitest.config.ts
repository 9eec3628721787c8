// The tests of `npm test`: everything that needs nothing but Node. Those of test/system have their own run.
import { defineConfig } from 'vitest/config';

/** With ELSEGRID_TEST_REPORT=<file>, the results are also written there as JSON. */
const report = process.env.ELSEGRID_TEST_REPORT;

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/system/**'],
    // One for each core: the default leaves one to itself, which halves a machine of two.
    maxWorkers: '100%',
    testTimeout: 30_000,
    hookTimeout: 30_000,
    reporters: report === undefined ? ['default'] : ['default', ['json', { outputFile: report }]],
  },
});
