// Each setting of egress, changed while the relay runs: new connections follow it at once, open ones that it forbids are reset.

import {expect} from 'vitest';
import {EgressRig, SOURCES} from '../../../helpers/egress.js';
import {closed, peerOf, startEcho, startKeeper, startUdpEcho} from '../../../helpers/egress-places.js';
import type {Scope} from '../../../helpers/scope.js';
import {test} from '../../../helpers/test.js';

const [ONE = '', TWO = ''] = SOURCES;

test('egress: names and addresses', async ({scope}) => {
  const port = await startEcho(scope);
  const rig = await EgressRig.start(scope, {settings: {egress: [`one=${ONE}`, `two=${TWO}`]}});
  const [first, second] = [await rig.open({egress: 'one', port}), await rig.open({egress: 'two', port})];
  const egress = [`two=${ONE},${TWO}`, `new=${ONE}`];
  await rig.egress.checkReload({egress});
  rig.egress.reload({...rig.settings, egress});
  expect(await closed(first)).toMatchObject({code: 'EGRESS_UNKNOWN'});
  expect(second.destroyed).toBe(false);
  expect(await rig.outcome({egress: 'one', port})).toBe('EGRESS_UNKNOWN');
  expect(await rig.outcome({egress: 'new', port})).toBe('opened');
  rig.egress.reload({...rig.settings, egress: [`two=${ONE}`]});
  expect(await closed(second)).toMatchObject({code: 'EGRESS_UNKNOWN'});
});

/** The egress has another address as soon as a destination is judged. @param when calls the reload */
async function movingRig(scope: Scope, when: (reload: () => void) => void): Promise<EgressRig> {
  const rig: EgressRig = await EgressRig.start(scope, {
    settings: {egress: [`my-proxy=${ONE}`]},
    own: {
      isDoor: () => false,
      isTunnel: () => {
        when(() => rig.egress.reload({...rig.settings, egress: [`my-proxy=${TWO}`]}));
        return false;
      },
    },
  });
  return rig;
}

test('egress: the addresses change before a connection is dialled', async ({scope}) => {
  const rig = await movingRig(scope, (reload) => reload());
  const peer = await peerOf(await rig.open({port: await startEcho(scope)}));
  expect(peer.address).toBe(TWO);
});

test('egress: the addresses change before a flow has a socket', async ({scope}) => {
  const rig = await movingRig(scope, (reload) => reload());
  const flow = rig.flow({port: (await startUdpEcho(scope)).port});
  flow.send('x');
  expect(String(await flow.next())).toMatch(`${TWO} `);
});

// The turn in which the address is chosen ends first.
test('egress: the addresses change while a connection is dialled', async ({scope}) => {
  const rig = await movingRig(scope, process.nextTick);
  const port = await startEcho(scope);
  expect(await rig.outcome({port})).toBe('EGRESS_UNKNOWN');
  expect(rig.of('egress-opened')).toEqual([]);
});

test('egress: the addresses change while the socket of a flow is opened', async ({scope}) => {
  const rig = await movingRig(scope, process.nextTick);
  const flow = rig.flow({port: (await startUdpEcho(scope)).port});
  const outcome = Promise.race([flow.over, flow.opened.then(() => 'opened')]);
  expect(await outcome).toBe('EGRESS_UNKNOWN');
  expect(rig.of('egress-opened')).toEqual([]);
});

test('egress: an address that is not of this machine fails the reload, and nothing changes', async ({
  scope,
}) => {
  const port = await startEcho(scope);
  const rig = await EgressRig.start(scope);
  await expect(rig.egress.checkReload({egress: ['my-proxy=203.0.113.1']})).rejects.toMatchObject({
    code: 'EGRESS_ADDRESS',
  });
  expect(await rig.outcome({port})).toBe('opened');
});

test('egressAllowPrivate', async ({scope}) => {
  const {port} = await startKeeper(scope);
  const rig = await EgressRig.start(scope);
  const stream = await rig.open({port});
  rig.egress.reload({...rig.settings, egressAllowPrivate: []});
  expect(await closed(stream)).toMatchObject({code: 'EGRESS_FORBIDDEN'});
  expect(await rig.outcome({port})).toBe('EGRESS_FORBIDDEN');
  rig.egress.reload({...rig.settings, egressAllowPrivate: ['127.0.0.1']});
  expect(await rig.outcome({port})).toBe('opened');
});

test('egressAllowPrivate, while a connection is on its way', async ({scope}) => {
  const {port} = await startKeeper(scope);
  const rig: EgressRig = await EgressRig.start(scope, {
    own: {
      isDoor: () => false,
      // The address has been judged, and is dialled next.
      isTunnel: () => {
        rig.egress.reload({...rig.settings, egressAllowPrivate: []});
        return false;
      },
    },
  });
  expect(await rig.outcome({port})).toBe('EGRESS_FORBIDDEN');
});

test('egressMail', async ({scope}) => {
  const rig = await EgressRig.start(scope);
  expect(await rig.outcome({port: 25})).toBe('EGRESS_FORBIDDEN');
  rig.egress.reload({...rig.settings, egressMail: true});
  expect(await rig.outcome({port: 25})).not.toBe('EGRESS_FORBIDDEN');
});

test('egressPorts', async ({scope}) => {
  const port = await startEcho(scope);
  const rig = await EgressRig.start(scope);
  for (const first of [28_200, 28_300]) {
    rig.egress.reload({...rig.settings, egressPorts: [first, first + 20]});
    const peer = await peerOf(await rig.open({port}));
    expect(peer.port).toBeGreaterThanOrEqual(first);
    expect(peer.port).toBeLessThanOrEqual(first + 20);
  }
});

test('maxEgressPerOwner and egressPerSecondPerOwner', async ({scope}) => {
  const {port} = await startKeeper(scope);
  const rig = await EgressRig.start(scope, {settings: {maxEgressPerOwner: 2}});
  const open = [await rig.open({port}), await rig.open({port})];
  expect(await rig.outcome({port})).toBe('TOO_MANY_STREAMS');
  rig.egress.reload({...rig.settings, maxEgressPerOwner: 3});
  open.push(await rig.open({port}));
  rig.egress.reload({...rig.settings, maxEgressPerOwner: 1_000, egressPerSecondPerOwner: 1});
  const outcomes: string[] = [];
  for (let round = 0; round < 12; round += 1) outcomes.push(await rig.outcome({port}));
  expect(outcomes).toContain('TOO_MANY_STREAMS');
});

test('keepAliveMs changes for new connections', async ({scope}) => {
  const {port} = await startKeeper(scope);
  const rig = await EgressRig.start(scope);
  rig.egress.reload({...rig.settings, keepAliveMs: 1_000});
  expect(await rig.outcome({port})).toBe('opened');
});
