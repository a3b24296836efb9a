// Adds the counts of one vitest run to the file that `test/run.sh` sums up.
import {appendFileSync} from 'node:fs';
import type {Reporter, SerializedError, TestModule} from 'vitest/node';

export default class TallyReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[]): void {
    const file = process.env.TUNL_TEST_TALLY;
    if (file === undefined || file === '') return;
    const count = {passed: 0, failed: unhandled.length, skipped: 0};
    for (const module of modules) {
      // A file that does not load, or whose hooks fail, has errors but perhaps no failed test.
      let failedHere = 0;
      for (const test of module.children.allTests()) {
        const state = test.result().state;
        if (state === 'passed') count.passed += 1;
        else if (state === 'failed') failedHere += 1;
        else count.skipped += 1;
      }
      if (failedHere === 0 && module.state() === 'failed') failedHere = 1;
      count.failed += failedHere;
    }
    appendFileSync(file, `${count.passed} ${count.failed} ${count.skipped}\n`);
  }
}
