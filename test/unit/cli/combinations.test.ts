// Flags that would have no effect are errors.

import {expect, test, vi} from 'vitest';
import {checkRelayFlags} from '../../../src/lib/cli/combinations.js';
import type {TunnelFlags} from '../../../src/lib/cli/tunnel-flags.js';

const check = (flags: Partial<TunnelFlags>) => () => checkRelayFlags(flags as TunnelFlags);

test('--ca-file without a relay is an error; TUNL_CA_FILE is not', () => {
  expect(check({'ca-file': '/nope'})).toThrow('--ca-file is for a relay elsewhere, and none is given.');
  expect(check({'ca-file': '/nope', relay: 'https://r1.example'})).not.toThrow();
  vi.stubEnv('TUNL_CA_FILE', '/set/for/others');
  expect(check({'ca-file': '/set/for/others'})).not.toThrow();
  expect(check({'ca-file': '/nope'})).toThrow('--ca-file');
  vi.unstubAllEnvs();
});
