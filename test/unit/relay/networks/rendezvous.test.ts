// Rendezvous of members at a relay: who may come, what ends one, and what it costs. With two workers the members are at the same one.

import {once} from 'node:events';
import {connect, type Socket} from 'node:net';
import {PassThrough} from 'node:stream';
import {connect as connectTls} from 'node:tls';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import {streamCodeOf} from '../../../../src/lib/agent/refused-stream.js';
import type {StreamDuplex} from '../../../../src/lib/bytes/stream-duplex.js';
import {joinNetwork} from '../../../../src/lib/network/membership.js';
import {openLink} from '../../../../src/lib/open-link.js';
import {
  newRendezvousId,
  type RendezvousSide,
  rendezvousHello,
} from '../../../../src/lib/protocol/rendezvous.js';
import {KIND} from '../../../../src/lib/protocol/wire.js';
import {TokenCommands} from '../../../../src/lib/relay/access/token-commands.js';
import type {RunningRelay} from '../../../../src/lib/relay/running-relay.js';
import {startRunningRelay} from '../../../../src/lib/relay/start.js';
import {eventually} from '../../../helpers/eventually.js';
import {heardBy} from '../../../helpers/heard.js';
import {MemberAgent} from '../../../helpers/members.js';
import {Scope} from '../../../helpers/scope.js';

const DOMAIN = 'r1.localhost';

describe.each([1, 2])('a relay with workers: %i', (workers) => {
  const scope = new Scope();
  let relay: RunningRelay;
  let tokens: TokenCommands;
  let all: string;
  let count = 0;

  beforeAll(async () => {
    const stateDir = await scope.tempDir('relay');
    tokens = new TokenCommands(stateDir);
    all = (await tokens.create({name: 'all', scopes: ['net:*']})).token;
    relay = scope.own(
      await startRunningRelay({domain: DOMAIN, token: '', trustedSources: ['127.0.0.1'], stateDir, workers}),
    );
  });
  afterAll(() => scope[Symbol.asyncDispose]());

  async function agent(token = all): Promise<MemberAgent> {
    const {url, caFile} = relay;
    const stateDir = await scope.tempDir('agent');
    return MemberAgent.open(scope, {relay: url, ...(caFile && {caFile}), token, stateDir});
  }

  /** Two members of one agent, so they are at one process. */
  async function two(token = all) {
    const network = `n${++count}`;
    const both = await agent(token);
    const target = await both.join({network, name: 'target'});
    await both.join({network, name: 'opener'});
    return {network, both, target};
  }

  /** A TCP connection that names this place. */
  async function come(side: RendezvousSide, id: string, more = ''): Promise<Socket> {
    const socket = connect({port: relay.address.port, host: '127.0.0.1', allowHalfOpen: true});
    socket.on('error', () => {});
    scope.onEnd(() => void socket.destroy());
    await once(socket, 'connect');
    socket.write(Buffer.concat([rendezvousHello({side, id}, DOMAIN), Buffer.from(more)]));
    return socket;
  }

  async function asked(token = all) {
    const members = await two(token);
    const near = await members.both.meet('opener', 'target', members.network);
    near.on('error', () => {});
    const {offer, duplex: far} = await members.both.offered();
    far.on('error', () => {});
    return {...members, near, far, id: offer.rendezvous ?? ''};
  }

  const closed = (what: Socket | StreamDuplex) =>
    new Promise<void>((resolve) => {
      if (what.closed) resolve();
      else what.resume().once('close', () => resolve());
    });

  test.for([['opener', 'target'] as const, ['target', 'opener'] as const])(
    'the %s comes first: both get what the other one sends, and each direction ends by itself',
    async ([first, second]) => {
      const {id} = await asked();
      expect(id).toMatch(/^[0-9a-f]{36}$/);
      const one = await come(first, id, 'early ');
      const two = await come(second, id, 'words ');
      one.end('one');
      expect(await heardBy(two)).toBe('early one');
      two.end('two');
      expect(await heardBy(one)).toBe('words two');
    },
  );

  test('the end of both connections ends the streams', async () => {
    const {id, near, far} = await asked();
    const [one, two] = [await come('opener', id), await come('target', id)];
    one.end();
    two.end();
    await Promise.all([closed(one), closed(two), closed(near), closed(far)]);
  });

  test('a connection that breaks ends the other one and the streams', async () => {
    const {id, near, far} = await asked();
    const [one, two] = [await come('opener', id, 'a'), await come('target', id)];
    await once(two, 'data');
    one.resetAndDestroy();
    await Promise.all([closed(two), closed(near), closed(far)]);
  });

  test.for(['near', 'far'] as const)(
    'the end of the stream at the %s side ends both connections',
    async (which) => {
      const ends = await asked();
      const [one, two] = [await come('opener', ends.id, 'a'), await come('target', ends.id)];
      await once(two, 'data');
      ends[which].destroy();
      await Promise.all([closed(one), closed(two)]);
    },
  );

  test('a connection that is alone when the stream ends is reset', async () => {
    const {id, near} = await asked();
    const one = await come('opener', id);
    near.destroy();
    await closed(one);
  });

  test('a member without rights loses its rendezvous', async () => {
    const {token} = await tokens.create({name: `some${workers}`, scopes: ['net:*']});
    const {id} = await asked(token);
    const [one, two] = [await come('opener', id, 'a'), await come('target', id)];
    await once(two, 'data');
    await tokens.set(`some${workers}`, {scopes: ['net:other']});
    await Promise.all([closed(one), closed(two)]);
  });

  test('nobody else gets in: an unknown place, a taken one, one that is over', async () => {
    const {id, near} = await asked();
    const one = await come('opener', id);
    await closed(await come('opener', id));
    await closed(await come('target', newRendezvousId(0)));
    await closed(await come('target', newRendezvousId(0xffff)));
    expect(one.closed).toBe(false);
    near.destroy();
    await closed(one);
    await closed(await come('target', id));
  });

  test('an owner has 128 at once, and again when they are over', async () => {
    const {network, both} = await two();
    const streams = await Promise.all(
      Array.from({length: 128}, () => both.meet('opener', 'target', network)),
    );
    for (const stream of streams) stream.on('error', () => {});
    const refused = both.meet('opener', 'target', network);
    await expect(refused).rejects.toSatisfy((error) => streamCodeOf(error) === 'TOO_MANY_STREAMS');
    for (const stream of streams) stream.destroy();
    await eventually(async () =>
      (await both.meet('opener', 'target', network)).on('error', () => {}).destroy(),
    );
  });

  test('a stream with a port is no rendezvous', async () => {
    const {network, both} = await two();
    const about = {scope: 'net', network, from: 'opener', to: 'target', port: 80, rendezvous: true};
    await both.link.connect(KIND.member, about);
    expect((await both.offered()).offer.rendezvous).toBeUndefined();
  });

  if (workers === 1) {
    test('another member may ask ten times in a row', async () => {
      const {url, caFile} = relay;
      const network = `n${++count}`;
      const stateDir = await scope.tempDir('agent');
      const link = await openLink({
        relay: url,
        ...(caFile && {caFile}),
        token: all,
        stateDir,
        features: ['member'],
      });
      scope.onEnd(() => link.close());
      const accept = async () => new PassThrough();
      const membership = await joinNetwork({link, network, name: 'target', machine: false, accept});
      scope.onEnd(() => membership.close());
      const opener = await agent();
      await opener.join({network, name: 'opener'});
      for (let times = 0; times < 10; times++) {
        const stream = await opener.meet('opener', 'target', network);
        const [line] = (await once(stream, 'data')) as [Buffer];
        expect(JSON.parse(String(line))).toEqual({rendezvous: expect.stringMatching(/^[0-9a-f]{36}$/)});
        stream.on('error', () => {}).destroy();
      }
      await expect(opener.meet('opener', 'target', network)).rejects.toSatisfy(
        (error) => streamCodeOf(error) === 'TOO_MANY_STREAMS',
      );
    });

    test('strangers who look for places pay as those who knock at the relay itself', async () => {
      const own = await startRunningRelay({
        domain: DOMAIN,
        token: '',
        stateDir: await scope.tempDir('relay'),
      });
      scope.own(own);
      const from = {port: own.address.port, host: '127.0.0.1', localAddress: '127.0.0.9'};
      const knock = async () => {
        const socket = connectTls({...from, servername: DOMAIN, rejectUnauthorized: false});
        const isIn = once(socket, 'secureConnect').then(
          () => true,
          () => false,
        );
        const answer = await isIn;
        socket.on('error', () => {}).destroy();
        return answer;
      };
      expect(await knock()).toBe(true);
      for (let times = 0; times < 120; times++) {
        const socket = connect(from);
        socket.on('error', () => {});
        socket.write(rendezvousHello({side: 'opener', id: newRendezvousId(0)}, DOMAIN));
        await closed(socket);
      }
      expect(await knock()).toBe(false);
    });

    test('who does not come ends the streams after 10 s, with the connection that waits', async () => {
      const {id, near, far} = await asked();
      const one = await come('target', id);
      await Promise.all([closed(near), closed(far), closed(one)]);
    });
    return;
  }

  test('members at different processes have none', async () => {
    const network = `n${++count}`;
    const [a, b] = [await agent(), await agent()];
    await a.join({network, name: 'target'});
    await b.join({network, name: 'opener'});
    await expect(b.meet('opener', 'target', network)).rejects.toSatisfy(
      (error) => streamCodeOf(error) === 'NOT_ALLOWED',
    );
  });
});
