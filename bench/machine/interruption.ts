// Signals to a measurement: the first one ends in order everything that was started, the second one ends at once.

import type {Scope} from '../../test/helpers/scope.js';

export function endAtSignals(scope: Scope): void {
  let isEnding = false;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (isEnding) process.exit(130);
      isEnding = true;
      process.stderr.write(`${signal}: ending everything that was started\n`);
      scope[Symbol.asyncDispose]().finally(() => process.exit(130));
    });
  }
}
