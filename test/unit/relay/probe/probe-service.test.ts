// Probes that agents ask the relay for, on a system that tells this process nothing about its own addresses.

import {createServer} from 'node:net';
import {text} from 'node:stream/consumers';
import {expect, vi} from 'vitest';
import {StreamDuplex} from '../../../../src/lib/bytes/stream-duplex.js';
import {systemClock} from '../../../../src/lib/core/clock.js';
import {createPipe} from '../../../../src/lib/mux/pipe.js';
import {PROBE_ANSWER, PROBE_SECRET_DIGITS, PROBE_SERVICE} from '../../../../src/lib/protocol/probe.js';
import {KIND} from '../../../../src/lib/protocol/wire.js';
import {unlimitedPrincipal} from '../../../../src/lib/relay/access/principal.js';
import {OwnDials} from '../../../../src/lib/relay/probe/own-dials.js';
import {type ProbeServiceOptions, probeService} from '../../../../src/lib/relay/probe/probe-service.js';
import {PublicDial} from '../../../../src/lib/relay/probe/public-dial.js';
import type {ManualClock} from '../../../helpers/manual-clock.js';
import type {Scope} from '../../../helpers/scope.js';
import {test} from '../../../helpers/test.js';
import {Peers} from '../../../mux/peers.js';

vi.mock('node:os', async (original) => ({
  ...(await original<object>()),
  networkInterfaces: () => {
    throw new Error('uv_interface_addresses returned EAFNOSUPPORT');
  },
}));

/** An agent whose relay serves probes with `dial`. Returns a function that asks for one of a TCP port. */
async function askingAgent(scope: Scope, dial: ProbeServiceOptions['dial']) {
  const principal = unlimitedPrincipal('ana');
  const tunnel = {owner: 'ana'} as ReturnType<ProbeServiceOptions['tunnels']['ofPort']>;
  const take = probeService({
    domain: 'r1.example',
    tunnels: {named: () => undefined, ofPort: () => tunnel},
    dial,
    clock: systemClock,
  });
  const peers = new Peers({
    // Sockets answer in real time.
    clock: systemClock as unknown as ManualClock,
    onOpen: (_side, stream, about) => take(stream, about, {session: 'a', principal, features: []}),
  });
  scope.onEnd(() => {
    peers.agent?.close();
    peers.relay?.close();
  });
  const [agent, relay] = createPipe();
  await peers.connect({agent, relay});
  return async (port: number): Promise<unknown> => {
    const about = {service: PROBE_SERVICE, kind: 'tcp', port, secret: 'a'.repeat(PROBE_SECRET_DIGITS)};
    const stream = peers.session('agent').open(KIND.service, about);
    if (stream === undefined) throw new Error('no more streams');
    return JSON.parse(await text(new StreamDuplex(stream, {toError: (code) => new Error(code)})));
  };
}

test('a TCP port is probed without them', async ({scope}) => {
  const port = await scope.listen(createServer((socket) => socket.end(PROBE_ANSWER)));
  const ask = await askingAgent(
    scope,
    new PublicDial({
      publicPort: () => 0,
      door: {address: {host: '127.0.0.1', port: 0}},
      tcpHost: '127.0.0.1',
      tcpPublicHost: 'localhost',
      certificates: {trust: ''},
      own: new OwnDials(),
    }),
  );
  expect(await ask(port)).toEqual({ok: true});
});

test('a probe that fails without a result is answered, and others come after it', async ({scope}) => {
  const failing = async () => {
    throw Object.assign(new Error('no descriptor'), {code: 'EMFILE'});
  };
  const ask = await askingAgent(scope, {name: failing, port: failing});
  // More than run at once.
  for (let round = 0; round < 20; round += 1)
    expect(await ask(4_000)).toEqual({ok: false, leg: 'tcp', reason: expect.stringContaining('EMFILE')});
});
