// Node as an upgrade of the system leaves it: its program is gone.
import type {Scope} from './scope.js';

/** For the processes that this one starts, until the scope ends. */
export function withoutNode(scope: Scope): void {
  const path = process.execPath;
  process.execPath = '/nowhere/node';
  scope.onEnd(() => {
    process.execPath = path;
  });
}
