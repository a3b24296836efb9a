// Which headers are for one connection only, and heads that are made to take long.

import {expect, test} from 'vitest';
import {endToEnd} from '../../../../../src/lib/agent/upstreams/gated/hop-by-hop.js';

test('what Connection names is not passed on, but for what the message itself needs', () => {
  const passed = ['Host', 'demo.r1.test', 'X-Own', '1', 'Cookie', 'a=1'];
  expect(
    endToEnd([
      ...['Connection', 'close, X-Hop , HOST,,cookie', 'X-Hop', '1', 'TE', 'trailers'],
      ...passed,
      ...['connection', 'x-also', 'X-ALSO', '2', 'Keep-Alive', 'timeout=5'],
    ]),
  ).toEqual(passed);
});

test('the names in Connection are not compared with each header', () => {
  // So many that each with each would take minutes.
  const names = Array.from({length: 150_000}, (_, at) => `x-${at}`);
  const headers = names.flatMap((name) => [`${name}-kept`, '1']);
  const passed = endToEnd(['Connection', names.join(), ...headers, 'x-0', '1', 'x-149999', '1']);
  expect(passed.join() === headers.join()).toBe(true);
});
