// Adds the counts of one vitest run to the file that `test/run.sh` sums up, and the names of the failed tests to the one that it prints last.
import {appendFileSync} from 'node:fs';
import {stripVTControlCharacters} from 'node:util';
import type {Reporter, SerializedError, TestModule} from 'vitest/node';

/** At most so many characters of an error stand beside the name of its test. The whole error is in the run's own output. */
const ERROR_CHARACTERS = 400;

export default class TallyReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[]): void {
    const file = process.env.TUNL_TEST_TALLY;
    if (file === undefined || file === '') return;
    const count = {passed: 0, failed: unhandled.length, skipped: 0};
    const failures = unhandled.map((error) => failure('outside of any test', [error]));
    for (const module of modules) {
      // A file that does not load, or whose hooks fail, has errors but perhaps no failed test.
      let failedHere = 0;
      for (const test of module.children.allTests()) {
        const {state, errors} = test.result();
        if (state === 'passed') count.passed += 1;
        else if (state === 'failed') {
          failedHere += 1;
          failures.push(failure(`${module.relativeModuleId} > ${test.fullName}`, errors));
        } else count.skipped += 1;
      }
      if (failedHere === 0 && module.state() === 'failed') {
        failedHere = 1;
        failures.push(failure(module.relativeModuleId, module.errors()));
      }
      count.failed += failedHere;
    }
    appendFileSync(file, `${count.passed} ${count.failed} ${count.skipped}\n`);
    const list = process.env.TUNL_TEST_FAILURES;
    if (list !== undefined && list !== '') appendFileSync(list, failures.map((line) => `${line}\n`).join(''));
  }
}

/** One line: the test, and the beginning of its first error. */
function failure(name: string, errors: readonly {message: string}[] | undefined): string {
  const message = stripVTControlCharacters(errors?.[0]?.message ?? 'no error');
  return `failed: ${name}: ${message.replaceAll(/\s+/g, ' ').slice(0, ERROR_CHARACTERS)}`;
}
