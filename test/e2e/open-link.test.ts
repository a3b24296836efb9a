// A link without tunnels to a relay in another process: its streams, the answers of services, refusals, and cuts.

import {createHash, randomBytes} from 'node:crypto';
import {once} from 'node:events';
import {expect} from 'vitest';
import type {LinkEvent} from '../../src/lib/agent/events.js';
import {streamCodeOf} from '../../src/lib/agent/refused-stream.js';
import type {StreamDuplex} from '../../src/lib/bytes/stream-duplex.js';
import {type LinkOptions, openLink} from '../../src/lib/open-link.js';
import {KIND} from '../../src/lib/protocol/wire.js';
import {FaultProxy} from '../helpers/fault-proxy.js';
import {type RelayProcess, startRelayProcess} from '../helpers/relay.js';
import {type Scope, unusedPort} from '../helpers/scope.js';
import {test} from '../helpers/test.js';

async function open(scope: Scope, relay: RelayProcess, options: LinkOptions & {port?: number} = {}) {
  const {port = relay.port, ...others} = options;
  const link = await openLink({
    relay: `https://${relay.domain}:${port}`,
    token: relay.token,
    caFile: relay.caFile,
    stateDir: await scope.tempDir('state'),
    ...others,
  });
  scope.onEnd(async () => await link.close());
  return link;
}

/** Writes the bytes and ends; the bytes that come back. */
async function echoed(duplex: StreamDuplex, bytes: Buffer): Promise<Buffer> {
  duplex.end(bytes);
  const pieces: Buffer[] = [];
  for await (const piece of duplex) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

test('no relay is given: RELAY_NEEDED, and none is started here', async ({scope}) => {
  const stateDir = await scope.tempDir('state');
  await expect(openLink({stateDir})).rejects.toMatchObject({code: 'RELAY_NEEDED'});
  await expect(openLink({stateDir, context: 'embedded'})).rejects.toMatchObject({code: 'RELAY_NEEDED'});
});

test('an aborted signal: ABORTED, before and while the relay is dialled', async ({scope}) => {
  const stateDir = await scope.tempDir('state');
  const relay = `https://r1.localhost:${await unusedPort()}`;
  const aborted = AbortSignal.abort();
  await expect(openLink({stateDir, relay, signal: aborted})).rejects.toMatchObject({code: 'ABORTED'});
  const aborter = new AbortController();
  const onEvent = () => aborter.abort();
  const waiting = openLink({stateDir, relay, wait: true, signal: aborter.signal, onEvent});
  await expect(waiting).rejects.toMatchObject({code: 'ABORTED'});
  await expect(openLink({stateDir, relay})).rejects.toMatchObject({code: 'RELAY_REFUSED'});
});

test('asks a service, and carries streams of its own', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const link = await open(scope, relay);
  expect(link).toMatchObject({linked: true, relay: {url: relay.url}});
  expect(link.features).toContain('service');
  expect(await link.ask({service: 'relay'})).toMatchObject({domain: relay.domain});
  const bytes = randomBytes(3_000_000);
  const duplex = await link.connect(KIND.service, {service: 'echo'});
  expect((await echoed(duplex, bytes)).equals(bytes)).toBe(true);
  // Refusals have the code of the error, and that of the stream.
  const refused: unknown = await link.connect(KIND.service, {service: 'nothing'}).catch((error) => error);
  expect(refused).toMatchObject({code: 'RELAY_LACKS_FEATURE', message: 'There is no service nothing here.'});
  expect(streamCodeOf(refused)).toBe('SERVICE_UNKNOWN');
  await expect(link.ask({service: 'nothing'})).rejects.toMatchObject({code: 'RELAY_LACKS_FEATURE'});
  const aborted = AbortSignal.abort();
  await expect(link.connect(KIND.service, {service: 'echo'}, {signal: aborted})).rejects.toMatchObject({
    code: 'ABORTED',
  });
  await link.close();
  expect(await link.ended).toBeUndefined();
  await expect(link.connect(KIND.service, {service: 'echo'})).rejects.toMatchObject({code: 'CLOSED'});
});

test('an open stream survives cuts of the link with equal bytes', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const proxy = await FaultProxy.start(scope, {target: {port: relay.port}});
  const events: LinkEvent[] = [];
  const link = await open(scope, relay, {port: proxy.port, onEvent: (event) => events.push(event)});
  const duplex = await link.connect(KIND.service, {service: 'echo'});
  const heard = createHash('sha256');
  let bytes = 0;
  duplex.on('data', (piece: Buffer) => {
    heard.update(piece);
    bytes += piece.length;
  });
  const sent = createHash('sha256');
  const ended = once(duplex, 'end');
  for (const direction of ['up', 'down', 'up'] as const) {
    const cut = proxy.cutAfter(direction, 150_000);
    for (let i = 0; i < 10; i += 1) {
      const piece = randomBytes(50_000);
      sent.update(piece);
      if (!duplex.write(piece)) await once(duplex, 'drain');
    }
    await cut;
  }
  duplex.end();
  await ended;
  expect(bytes).toBe(1_500_000);
  expect(heard.digest('hex')).toBe(sent.digest('hex'));
  // The stream of the agent counts as a connection that waits.
  expect(events.find(({type}) => type === 'reconnecting')).toMatchObject({state: 'away', connections: 1});
  expect(events.filter(({type}) => type === 'resumed').length).toBeGreaterThanOrEqual(3);
});

test('the relay is another one after a restart: a new session, and the old stream is lost', async ({
  scope,
}) => {
  const stateDir = await scope.tempDir('relay');
  const listen = `127.0.0.1:${await unusedPort()}`;
  const options = {stateDir, listen, token: 'a-token-of-16-or-more'};
  const first = await startRelayProcess(scope, options);
  const link = await open(scope, first);
  const fresh = new Promise<void>((resolve) => link.onSession(resolve));
  const duplex = await link.connect(KIND.service, {service: 'echo'});
  const lost = new Promise((resolve) => duplex.once('close', resolve));
  first.cli.signal('SIGKILL');
  await first.cli.finished();
  await startRelayProcess(scope, options);
  await fresh;
  await lost;
  expect(streamCodeOf(duplex.errored)).toBe('SESSION_ENDED');
  expect(await link.ask({service: 'relay'})).toMatchObject({domain: first.domain});
});
