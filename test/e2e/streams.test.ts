// Streams that an agent opens at a relay in another process: they survive cuts, half-close, are refused with a reason,
// and belong to the next session after a goodbye.

import {createHash} from 'node:crypto';
import {readFile} from 'node:fs/promises';
import {connect} from 'node:net';
import {expect} from 'vitest';
import {Agent} from '../../src/lib/agent/agent.js';
import type {Waiting} from '../../src/lib/agent/agent-options.js';
import {loadIdentity} from '../../src/lib/agent/identity.js';
import {dialCarrier} from '../../src/lib/carrier/dial.js';
import {createLogger} from '../../src/lib/core/logger.js';
import {BlockPool} from '../../src/lib/mux/blocks.js';
import type {Stream} from '../../src/lib/mux/stream.js';
import {AGENT_PATH, KIND, type StreamKind} from '../../src/lib/protocol/wire.js';
import {FaultProxy} from '../helpers/fault-proxy.js';
import {Opened} from '../helpers/opened.js';
import {type RelayProcess, startRelayProcess} from '../helpers/relay.js';
import {type Scope, unusedPort} from '../helpers/scope.js';
import {test} from '../helpers/test.js';

/** An agent whose link goes through `port` to the relay. */
async function startAgent(scope: Scope, relay: RelayProcess, port = relay.port) {
  const ca = await readFile(relay.caFile, 'utf8');
  const identify = await loadIdentity(await scope.tempDir('state'));
  const waiting = new Map<string, (waiting: Waiting) => void>();
  let resumed = 0;
  const agent = new Agent({
    software: 'test',
    pool: new BlockPool(),
    log: createLogger('agent', undefined),
    dial: async (signal) => {
      const url = `https://${relay.domain}:${port}`;
      const {token} = relay;
      return (await dialCarrier({url, path: AGENT_PATH, timeoutMs: 10_000, signal, token, ca})).carrier;
    },
    identify,
    events: {
      onReconnecting: (event) => waiting.get(event.state)?.(event),
      onResumed: () => {
        resumed += 1;
      },
      onNotice: () => {},
      onEnded: () => {},
    },
  });
  scope.onEnd(async () => await agent.leave(0));
  await agent.start();
  const open = async (about: object, kind: StreamKind = KIND.service) => {
    const opened = new Opened();
    await agent.open(kind, about, opened);
    return opened;
  };
  const told = (state: Waiting['state']) => new Promise<Waiting>((resolve) => waiting.set(state, resolve));
  return {agent, open, told, resumes: () => resumed};
}

const echo = {
  onVisitor(stream: Stream) {
    stream.sink = {
      onData: (piece) => {
        stream.write(piece);
        stream.consumed(piece.length);
      },
      onEnd: () => stream.end(),
      onWritable: () => {},
      onReset: () => {},
    };
    stream.accept();
  },
  onLost: () => {},
};

test('a relay lists its features in the handshake, and answers who it is and by which key it knows the agent', async ({
  scope,
}) => {
  const relay = await startRelayProcess(scope);
  const {agent, open} = await startAgent(scope, relay);
  expect(agent.relayFeatures).toContain('service');
  const answer = await open({service: 'relay'});
  await answer.ended;
  const facts: unknown = JSON.parse(answer.heard);
  expect(facts).toMatchObject({domain: relay.domain, software: expect.stringMatching(/^tunl\//)});
  // The token says who owns the names; the relay also knows the key.
  expect(facts).toHaveProperty('key', expect.stringMatching(/^key:[0-9a-f]{32}$/));
  expect(Object.keys(facts as object).sort()).toEqual(
    ['domain', 'key', 'maxTunnelsPerAgent', 'resumeWindowMs', 'software'].sort(),
  );
});

test('a kind or service that the relay does not have is refused with a code and a reason, and the session goes on', async ({
  scope,
}) => {
  const relay = await startRelayProcess(scope);
  const {open} = await startAgent(scope, relay);
  for (const kind of [KIND.visitor, KIND.carrier]) {
    const {refused} = await open({}, kind);
    expect(await refused).toMatchObject({code: 'KIND_UNKNOWN'});
  }
  for (const kind of [KIND.egress, KIND.member, KIND.datagram])
    expect(await (await open({}, kind)).refused).toMatchObject({code: 'CANCELLED'});
  expect(await (await open({egress: 'none', host: 'db.corp', port: 1}, KIND.egress)).refused).toEqual({
    code: 'EGRESS_UNKNOWN',
    message: 'This relay has no egress none.',
  });
  expect(await (await open({service: 'x\u001b]0;y'})).refused).toEqual({
    code: 'SERVICE_UNKNOWN',
    message: 'There is no service x ]0;y here.',
  });
  expect(await (await open({})).refused).toMatchObject({code: 'CANCELLED', message: /service/});
  const fine = await open({service: 'echo'});
  await fine.echo('still here');
});

test('half-close works: later bytes of the other direction arrive', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const {open} = await startAgent(scope, relay);
  const opened = await open({service: 'echo'});
  // More than a window: the answer is still under way long after this side has ended.
  const text = 'half'.repeat(500_000);
  const sent = opened.write(text);
  await sent;
  opened.stream?.end();
  await opened.ended;
  expect(opened.bytes).toBe(text.length);
});

test('a stream survives cuts of its link', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const proxy = await FaultProxy.start(scope, {target: {port: relay.port}});
  const {open, resumes} = await startAgent(scope, relay, proxy.port);
  const opened = await open({service: 'echo'});
  const [sent, heard] = [createHash('sha256'), createHash('sha256')];
  opened.keeps = false;
  const {onData} = Opened.prototype;
  opened.onData = function (this: Opened, piece: Buffer) {
    heard.update(piece);
    onData.call(this, piece);
  };
  let bytes = 0;
  for (let round = 0; round < 6; round += 1) {
    const cut = proxy.cutAfter(round % 2 === 0 ? 'up' : 'down', 100_000 + round * 7_777);
    for (let i = 0; i < 40; i += 1) {
      const piece = `${round} ${i} `.repeat(2_000);
      sent.update(piece);
      bytes += piece.length;
      await opened.write(piece);
    }
    await cut;
  }
  opened.stream?.end();
  await opened.ended;
  expect(opened.bytes).toBe(bytes);
  expect(heard.digest('hex')).toBe(sent.digest('hex'));
  expect(resumes()).toBeGreaterThanOrEqual(6);
});

test('a stream that is opened without a link goes over the next one', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const proxy = await FaultProxy.start(scope, {target: {port: relay.port}});
  const {open, told} = await startAgent(scope, relay, proxy.port);
  await proxy.refuse();
  const away = told('away');
  proxy.reset();
  await away;
  const later = open({service: 'echo'});
  await proxy.accept();
  await (await later).echo('over the next link');
});

test('a goodbye in the middle: the open stream finishes at the old relay, the next ones are opened at the new one', async ({
  scope,
}) => {
  const stateDir = await scope.tempDir('relay');
  const listen = `127.0.0.1:${await unusedPort()}`;
  const options = {stateDir, listen, token: 'a-token-of-16-or-more', drainTimeout: '30s'};
  const old = await startRelayProcess(scope, options);
  const {agent, open, told} = await startAgent(scope, old);
  const {port} = await agent.bind({kind: 'tcp'}, echo);
  const visitor = connect(port, '127.0.0.1');
  scope.onEnd(() => void visitor.destroy());
  // The relay waits for its visitor.
  visitor.write('hello');
  await new Promise((resolve) => visitor.once('data', resolve));
  const before = await open({service: 'echo'});
  await before.echo('before. ');
  const leaving = told('leaving');
  old.cli.signal('SIGTERM');
  await leaving;
  // No relay is there yet: the open waits.
  const next = open({service: 'echo'});
  await before.echo('while there is no other relay. ');
  await startRelayProcess(scope, options);
  const after = await next;
  await after.echo('at the next one. ');
  await before.echo('and still here.');
  expect(agent.streamCount).toBe(3);
  before.stream?.end();
  await before.ended;
  visitor.end();
  await old.cli.finished();
  await after.echo('the old relay is gone.');
});
