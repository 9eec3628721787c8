/**
 * Adds up vitest's JSON reports: prints `<passed> <failed>`. `.ci/run` calls it with the report files.
 * A file that could not be loaded, and a report that is missing, count as one failure each; so a run that
 * broke off never looks like one that had nothing to say.
 */
import { readFileSync } from 'node:fs';

let passed = 0;
let failed = 0;
for (const file of process.argv.slice(2)) {
  try {
    const report = JSON.parse(readFileSync(file, 'utf8'));
    passed += report.numPassedTests;
    failed += report.numFailedTests;
    failed += report.testResults.filter(
      (result) => result.status === 'failed' && !hasFailedTest(result),
    ).length;
    if (report.numTotalTests === 0 && report.testResults.length === 0) failed++;
  } catch (error) {
    console.error(`no test report in ${file}: ${error.message}`);
    failed++;
  }
}
console.log(`${passed} ${failed}`);

function hasFailedTest(result) {
  return result.assertionResults.some(({ status }) => status === 'failed');
}
