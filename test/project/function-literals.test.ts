// V8 allocates a function literal in the old generation when it is assigned to a property (`object.name = () => …`). The
// function, and everything that it refers to, lives until a full collection. A short-lived object gets its functions as class
// fields or from a variable.

import {expect, test} from 'vitest';
import {sourceFiles} from './source-files.js';

/** Layers that make objects for each connection or stream. */
const BUSY = ['core', 'protocol', 'net', 'mux', 'carrier', 'bytes', 'relay', 'agent'];

/** Allowed, because few of these objects exist. */
const RARE: Readonly<Record<string, string>> = {
  'src/lib/agent/bindings.ts: binding.settle': 'one for each tunnel',
  'src/lib/carrier/attempt.ts: this.#release': 'one for each dial of a relay',
  'src/lib/relay/doors/tcp-door.ts: options.ports.onVisitor': 'one for each relay',
  'src/lib/relay/doors/tcp-door.ts: options.waitingRoom.onSettled': 'one for each relay',
  'src/lib/relay/workers/worker.ts: this.#sessionCounts.onChange': 'one for each worker',
};

const ASSIGNED =
  /([\w.#]+\.#?\w+) (?:\?\?|\|\|)?= (?:async )?(?:function\b|(?:\([^()]*\)|\w+)(?:: [^=]+)? =>)/g;

test('no function literal is assigned to a property of a short-lived object', () => {
  const found = BUSY.flatMap((layer) => sourceFiles(`src/lib/${layer}`)).flatMap(({path, code}) =>
    [...code.matchAll(ASSIGNED)].map(([, name = '']) => `${path}: ${name}`),
  );
  expect(found.sort()).toEqual(Object.keys(RARE).sort());
});
