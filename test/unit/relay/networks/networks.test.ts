// Private networks at a relay: who may join, what members see of each other, and streams between them.

import {text} from 'node:stream/consumers';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import {streamCodeOf} from '../../../../src/lib/agent/refused-stream.js';
import {memberAddress, networkPrefix} from '../../../../src/lib/protocol/network-messages.js';
import {TokenCommands} from '../../../../src/lib/relay/access/token-commands.js';
import type {RunningRelay} from '../../../../src/lib/relay/running-relay.js';
import {startRunningRelay} from '../../../../src/lib/relay/start.js';
import {MemberAgent, newMemberKey} from '../../../helpers/members.js';
import {RelayEar} from '../../../helpers/relay-events.js';
import {Scope} from '../../../helpers/scope.js';

const DOMAIN = 'r1.localhost';

describe.each([1, 2])('a relay with workers: %i', (workers) => {
  const scope = new Scope();
  const ear = new RelayEar();
  let relay: RunningRelay;
  let tokens: TokenCommands;
  let stateDir: string;
  let count = 0;

  beforeAll(async () => {
    stateDir = await scope.tempDir('relay');
    tokens = new TokenCommands(stateDir);
    await tokens.create({name: 'first', scopes: []});
    relay = scope.own(
      await startRunningRelay(
        {domain: DOMAIN, token: '', trustedSources: ['127.0.0.1'], stateDir, workers},
        {listeners: [ear.listen]},
      ),
    );
  });
  afterAll(() => scope[Symbol.asyncDispose]());

  /** Each test has networks of its own. */
  const newName = () => `n${++count}`;

  async function agent(scopes: readonly string[] = ['net:*'], name = newName()): Promise<MemberAgent> {
    const {token} = await tokens.create({name, scopes});
    const {url, caFile} = relay;
    return MemberAgent.open(scope, {
      relay: url,
      ...(caFile && {caFile}),
      token,
      stateDir: await scope.tempDir('agent'),
    });
  }

  test('members see each other, and reach each other by name', async () => {
    const network = newName();
    const [a, b] = [await agent(), await agent()];
    const keys = {trainer: newMemberKey(), worker: newMemberKey()};
    const trainer = await a.join({network, name: 'trainer', key: keys.trainer});
    const worker = await b.join({network, name: 'worker', key: keys.worker, accepts: false});
    const lab = {scope: 'net', network} as const;
    await trainer.until(() => trainer.members.length === 2);
    expect(trainer.members).toEqual([
      {
        ...{name: 'trainer', serial: 1, accepts: true, state: {}},
        address: memberAddress(DOMAIN, lab, keys.trainer.raw),
        key: keys.trainer.raw.toString('base64url'),
      },
      expect.objectContaining({name: 'worker', serial: 2, accepts: false}),
    ]);
    expect(worker.joined).toEqual({
      prefix: networkPrefix(DOMAIN, lab),
      address: memberAddress(DOMAIN, lab, keys.worker.raw),
      serial: 2,
    });
    worker.send({state: {at: 'home'}});
    await trainer.until(() => trainer.members[1]?.state.at === 'home');

    const out = await b.connect('worker', 'trainer', {network, port: 29_500});
    const {offer, duplex} = await a.offered();
    expect(offer).toEqual({
      ...lab,
      to: 'trainer',
      from: {name: 'worker', address: worker.joined?.address},
      port: 29_500,
    });
    const answer = text(out);
    // Each direction ends by itself.
    out.end('ping');
    expect(await text(duplex)).toBe('ping');
    duplex.end('pong');
    expect(await answer).toBe('pong');

    await expect(a.connect('trainer', 'worker', {network})).rejects.toSatisfy(
      (error) => streamCodeOf(error) === 'UPSTREAM_REFUSED',
    );
    trainer.leave();
    await worker.until(() => worker.members.length === 1);
  });
});
