// `test` with a scope for each test: `test('…', async ({scope}) => …)`. Unlike `await using` in the test's body,
// it reports a failure of the test and a failure of the clean-up separately.
import {test as base, type TestAPI} from 'vitest';
import {gate} from './behind-gate.js';
import {notBehind} from './not-behind-gates.js';
import {Scope} from './scope.js';

interface Fixtures {
  scope: Scope;
}

const scoped = base.extend<Fixtures>({
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads the fixture's needs from this pattern
  scope: async ({}, use) => {
    await using scope = new Scope();
    await use(scope);
  },
});

/** Behind a gate without the tests of not-behind-gates.ts; the run prints each of them with its reason. */
export const test: typeof scoped = gate === undefined ? scoped : leavingOut(scoped);

function leavingOut<T extends TestAPI<Fixtures>>(all: T): T {
  const isLeftOut = (title: unknown): boolean => {
    const reason = typeof title === 'string' ? notBehind(title) : undefined;
    if (reason !== undefined) console.log(`not behind --${gate}: ${title}: ${reason}`);
    return reason !== undefined;
  };
  type Register = (...words: unknown[]) => unknown;
  const guarded = (register: Register): Register =>
    new Proxy(register, {
      apply: (target, self, words: unknown[]) =>
        isLeftOut(words[0]) ? undefined : Reflect.apply(target, self, words),
    });
  return new Proxy(all, {
    apply: (target, self, words: unknown[]) =>
      isLeftOut(words[0]) ? undefined : Reflect.apply(target as unknown as Register, self, words),
    get: (target, name, self) => {
      const own = Reflect.get(target, name, self) as unknown;
      if (name !== 'for' && name !== 'each') return own;
      return (...cases: unknown[]) => guarded((own as (...all: unknown[]) => Register).apply(target, cases));
    },
  });
}
