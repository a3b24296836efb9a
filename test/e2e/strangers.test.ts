// What strangers without any right do to a relay, and its cost: counted, beside visitors of a tunnel.

import {once} from 'node:events';
import {createServer} from 'node:net';
import {expect} from 'vitest';
import {MiB} from '../helpers/bytes.js';
import {Child} from '../helpers/child.js';
import {projectRoot} from '../helpers/cli.js';
import {atMost} from '../helpers/metric.js';
import {RawAgent} from '../helpers/raw-agent.js';
import {type RelayProcess, startRelayProcess} from '../helpers/relay.js';
import type {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {echoUpstream} from '../helpers/upstreams.js';
import {boldVisitor, tcpVisitor, tlsVisitor} from '../helpers/visitors.js';

interface Said {
  opened: number;
  secured: number;
  closed: number;
  inside: number;
  longestMs: number;
  answers: Record<string, number>;
}

/** From 127.0.0.2, so that they differ from the other connections of the test. */
async function strangers(
  scope: Scope,
  relay: RelayProcess,
  kind: string,
  count: number,
  atOnce: number,
  port = relay.port,
): Promise<Said> {
  const words = [kind, String(port), relay.domain, '127.0.0.2', String(count), String(atOnce)];
  const child = Child.start(scope, process.execPath, [`${projectRoot}test/helpers/strangers.js`, ...words]);
  return JSON.parse(await child.line()) as Said;
}

/** Visits without a pause until `end` is settled. */
async function visitUntil(scope: Scope, end: Promise<unknown>, visit: () => Promise<void>): Promise<number> {
  let going = true;
  const stop = () => {
    going = false;
  };
  void end.then(stop, stop);
  let visits = 0;
  while (going && !scope.signal.aborted) {
    await visit();
    visits += 1;
  }
  return visits;
}

async function greet(scope: Scope, host: string, relay: RelayProcess): Promise<void> {
  const visitor = await tlsVisitor(scope, {host, port: relay.port}, {caFile: relay.caFile});
  visitor.write('hello');
  expect(String((await once(visitor, 'data'))[0])).toBe('hello');
  visitor.destroy();
}

test('a flood of wrong tokens: most are not decrypted, the log stays short, and agents can connect', async ({
  scope,
}) => {
  const relay = await startRelayProcess(scope, {flags: ['--log-level', 'info']});
  const upstream = await echoUpstream(scope);
  const {ready} = await relay.expose(upstream);
  const host = ready.tls?.host ?? '';
  const since = performance.now();
  const flood = strangers(scope, relay, 'login', 10_000, 50);
  const visits = await visitUntil(scope, flood, () => greet(scope, host, relay));
  const {secured, answers, closed} = await flood;
  const seconds = (performance.now() - since) / 1_000;
  expect(closed).toBe(10_000);
  expect(visits).toBeGreaterThan(0);
  const name = '10,000 wrong tokens';
  // A burst of 20, then one in two seconds; up to fifty are under way at any moment.
  expect(atMost(name, 'tokens looked at', answers['401'] ?? 0, 20 + 50 + seconds)).toBe(true);
  expect(atMost(name, 'TLS handshakes', secured, 100 + 50 + 10 * seconds)).toBe(true);
  const lines = relay.cli.stderr.split('\n').filter((line) => /refused/.test(line));
  expect(lines[0]).toContain('from=127.0.0.2');
  expect(atMost(name, 'lines of the log', lines.length, 2 + (2 * seconds) / 10)).toBe(true);
  // An agent from another address is accepted at once.
  const other = await relay.expose(upstream);
  await greet(scope, other.ready.tls?.host ?? '', relay);
});

test('8,000 ClientHellos that never end use little memory, are closed within 15 seconds, and others can connect', async ({
  scope,
}) => {
  const relay = await startRelayProcess(scope);
  const {ready} = await relay.expose(await echoUpstream(scope));
  const host = ready.tls?.host ?? '';
  await greet(scope, host, relay);
  const before = relay.cli.rssBytes();
  // At most as many at once as the system queues for an accept.
  const flood = strangers(scope, relay, 'stalled', 8_000, 4_000);
  let peak = 0;
  await visitUntil(scope, flood, async () => {
    await greet(scope, host, relay);
    peak = Math.max(peak, relay.cli.rssBytes());
  });
  const {closed, longestMs} = await flood;
  const name = '8,000 endless ClientHellos';
  expect(closed).toBe(8_000);
  expect(atMost(name, 'ms until the last is gone', longestMs, 15_000)).toBe(true);
  expect(atMost(name, 'relay RSS growth bytes', Math.max(0, peak - before), 150 * MiB)).toBe(true);
});

test('with 1,024 descriptors and 5,000 visitors tunnels work, agents can connect, and the other visitors are refused at once', async ({
  scope,
}) => {
  const relay = await startRelayProcess(scope, {flags: ['--log-level', 'warn']});
  await Child.start(scope, 'prlimit', ['--pid', String(relay.cli.pid), '--nofile=1024:1024']).finished();
  const upstream = await echoUpstream(scope);
  const {ready} = await relay.expose(upstream, {flags: ['--tcp']});
  const port = ready.tcp?.port ?? 0;
  const say = async (visitor: Awaited<ReturnType<typeof tcpVisitor>>, text: string) => {
    visitor.write(text);
    expect(String((await once(visitor, 'data'))[0])).toBe(text);
  };
  const established = await Promise.all(Array.from({length: 20}, () => tcpVisitor(scope, port)));
  for (const visitor of established) await say(visitor, 'one');

  // All from one address; each sends a byte, to see whether it is accepted.
  const busy = relay.cli.cpuMs();
  // At most as many at once as the system queues for an accept.
  const {inside, closed, longestMs} = await strangers(scope, relay, 'visit', 5_000, 2_000, port);
  const spent = relay.cli.cpuMs() - busy;
  const name = '1,024 descriptors, 5,000 visitors';
  expect(inside).toBeGreaterThan(800);
  expect(inside + closed).toBe(5_000);
  expect(atMost(name, 'visitors inside', inside, 1_024 - 128)).toBe(true);
  // On a busy machine the wait is longer, although the relay does no more.
  atMost(name, 'ms until a refusal', longestMs, 1_000);
  expect.soft(longestMs).toBeLessThan(5_000);
  expect.soft(atMost(name, 'ms of CPU for all of them', spent, 1_000)).toBe(true);
  for (const visitor of established) await say(visitor, 'two');
  // Another agent gets in, and so do visitors of an address with few connections, in place of those of the heavy address.
  const other = await relay.expose(upstream, {flags: ['--tcp']});
  for (const to of [port, other.ready.tcp?.port ?? 0]) {
    const late = boldVisitor(scope, to, '127.0.0.1', '127.0.0.3');
    await once(late, 'connect');
    await say(late, 'three');
  }
  for (const visitor of established) await say(visitor, 'four');
  expect(relay.cli.stderr).toContain('connections are refused');
  expect(relay.cli.exit).toBeUndefined();
});

test('agents behind one address come back after a restart, although many resumes are refused first', async ({
  scope,
}) => {
  const relay = await startRelayProcess(scope);
  const {port, domain, caFile, token} = relay;
  const unknown = {id: '0'.repeat(32), secret: '0'.repeat(64), epoch: 1};
  // More failures than strangers may have at the relay's name, fifty at a time.
  for (let round = 0; round < 8; round++) {
    await Promise.all(
      Array.from({length: 50}, async () => {
        const lost = await RawAgent.connect(scope, {port, domain, caFile, token});
        await lost.resume(unknown, 0);
        expect(await lost.lastWord()).toBe('SESSION_UNKNOWN');
      }),
    );
  }
  const {agent} = await RawAgent.begin(scope, {port, domain, caFile, token});
  expect(await agent.bindTcp()).toBeGreaterThan(0);
});

test('--visitor-idle-timeout ends visitors that move no byte, and nobody else', async ({scope}) => {
  const relay = await startRelayProcess(scope, {flags: ['--visitor-idle-timeout', '2s']});
  const speaking = await scope.listen(
    createServer((socket) => {
      const timer = setInterval(() => socket.write('.'), 200);
      socket.on('error', () => {});
      socket.on('close', () => clearInterval(timer));
    }),
  );
  const [silent, talkative] = [
    await relay.expose(await echoUpstream(scope), {flags: ['--tcp']}),
    await relay.expose(speaking, {flags: ['--tcp']}),
  ];
  const hearing = await tcpVisitor(scope, talkative.ready.tcp?.port ?? 0);
  hearing.resume();
  const idle = await tcpVisitor(scope, silent.ready.tcp?.port ?? 0);
  idle.resume();
  expect((await once(idle, 'error'))[0]).toMatchObject({code: 'ECONNRESET'});
  expect(hearing.destroyed).toBe(false);
  await once(hearing, 'data');
});
