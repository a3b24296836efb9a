// The ways to a member that are tried without the relay.

import {expect} from 'vitest';
import {ephemeralMemberKey} from '../../../src/lib/network/member-key.js';
import {Paths} from '../../../src/lib/network/paths.js';
import type {RelayLink} from '../../../src/lib/open-link.js';
import {deafPort} from '../../helpers/deaf-port.js';
import {type Scope, unusedPort} from '../../helpers/scope.js';
import {test} from '../../helpers/test.js';

const silentPorts = (scope: Scope) => Promise.all([deafPort(scope), deafPort(scope)]);

const memberAt = (ports: readonly number[]) => ({
  ...{
    name: 'trainer',
    address: 'fdaa::1',
    key: ephemeralMemberKey().raw,
    serial: 1,
    accepts: true,
    state: {},
  },
  hints: {at: ports.map((port) => `127.0.0.1:${port}`)},
});

function paths(): Paths {
  const link = {} as RelayLink;
  return new Paths({link, network: {scope: 'net', network: 'lab'}, name: '', key: ephemeralMemberKey()});
}

test('a caller that gives up at the first silent place does not wait for the next one', async ({scope}) => {
  const gone = new AbortController();
  const member = memberAt(await silentPorts(scope));
  const dialling = paths().dialBetter(member, gone.signal);
  gone.abort();
  await expect(dialling).rejects.toMatchObject({code: 'ABORTED'});
});

test('a caller that has given up dials nobody', async ({scope}) => {
  const member = memberAt(await silentPorts(scope));
  await expect(paths().dialBetter(member, AbortSignal.abort())).rejects.toMatchObject({code: 'ABORTED'});
});

test('a member whose place refuses cannot be reached', async () => {
  const member = memberAt([await unusedPort()]);
  const dialling = paths().dialBetter(member, new AbortController().signal);
  await expect(dialling).rejects.toMatchObject({code: 'MEMBER_UNREACHABLE'});
});
