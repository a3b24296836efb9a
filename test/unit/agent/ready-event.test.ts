// The `ready` event says when visitors need nothing but the address.

import {expect, test} from 'vitest';
import {withAccess} from '../../../src/lib/agent/tunnel-requests.js';
import {TunnelGates, type TunnelGatesOptions} from '../../../src/lib/agent/upstreams/gated/tunnel-gates.js';
import type {AddressRules} from '../../../src/lib/protocol/control-messages.js';

const READY = {
  type: 'ready',
  ...{address: 'https://abc.r1.test', url: 'https://abc.r1.test', upstream: 'localhost:8000', h2: false},
  relay: {url: 'https://r1.test', embedded: false},
} as const;

const gatesWith = (more: Partial<TunnelGatesOptions>) =>
  new TunnelGates({
    ...{isStream: false, isPrivate: false, basicAuth: undefined, forwarded: false, h2: false},
    ...{waitMs: 0, offlinePage: false, ...more},
  });
const basicAuth = {user: 'guest', password: 'correct horse battery'};

test.each<[string, TunnelGates | undefined, AddressRules | undefined, Record<string, string>, boolean]>([
  ['nothing', undefined, undefined, {}, true],
  ['--forwarded', gatesWith({forwarded: true}), undefined, {}, true],
  ['--cidr-deny', undefined, {deny: ['203.0.113.9']}, {}, true],
  ['--cidr-allow', undefined, {allow: ['203.0.113.9']}, {}, false],
  ['--private', gatesWith({isPrivate: true}), undefined, {}, false],
  ['--private for TCP', gatesWith({isPrivate: true, isStream: true}), undefined, {}, false],
  ['--basic-auth', gatesWith({basicAuth}), undefined, {}, false],
  ['the login of a program', undefined, undefined, {token: 'x'}, false],
])('with %s', (_name, gates, cidr, login, isOpen) => {
  gates?.opened({tls: {host: 'abc.r1.test', port: 443}});
  const ready = withAccess({...READY, login}, {gates, cidr});
  expect('open' in ready && ready.open).toBe(isOpen);
});
