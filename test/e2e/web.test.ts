// Pages, WebSocket and server-sent events through a relay and an agent in separate processes, with curl and Chromium.
import {once} from 'node:events';
import {readFileSync} from 'node:fs';
import {createServer as createHttp2Server} from 'node:http2';
import {Agent} from 'node:https';
import {expect} from 'vitest';
import {WebSocket} from 'ws';
import {GUEST, gate, wayIn} from '../helpers/behind-gate.js';
import {startBrowser} from '../helpers/browser.js';
import {run} from '../helpers/child.js';
import {INSTANT_PERSON} from '../helpers/instant-issuer.js';
import {LIVE_SCRIPT} from '../helpers/live-page.js';
import {startRelayProcess} from '../helpers/relay.js';
import {test} from '../helpers/test.js';
import {httpUpstream, recordingUpstream} from '../helpers/upstreams.js';
import {curl, tlsVisitor} from '../helpers/visitors.js';

const page = `<!doctype html><title>through the tunnel</title><script>
  window.openSocket = () => new Promise((resolve, reject) => {
    const socket = new WebSocket('wss://' + location.host + '/echo');
    socket.onopen = () => { window.socket = socket; resolve(); };
    socket.onerror = () => reject(new Error('socket'));
  });
  ${LIVE_SCRIPT}
</script>`;

test('curl loads a page with the certificate verified', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const upstream = await httpUpstream(scope, 'hello from the upstream');
  const {ready} = await relay.expose(upstream.port);
  expect(ready.url).toMatch(/^https:\/\/[a-z2-7]{26}\.r1\.localhost:\d+$/);
  expect(ready.address).toBe(ready.link ?? ready.url);
  const got = await curl(scope, relay.caFile, [`${ready.url}/`]);
  expect(got).toMatchObject({code: 0, stdout: 'hello from the upstream'});
  // Without the relay's CA curl refuses the certificate: the check above was real.
  const untrusted = await curl(scope, '/dev/null', [`${ready.url}/`]);
  expect(untrusted.code).not.toBe(0);
});

test('Chromium loads a page, echoes over a WebSocket and gets events one by one', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const upstream = await httpUpstream(scope, page);
  const {ready} = await relay.expose(upstream.port);
  const browser = await startBrowser(scope, {caFile: relay.caFile});
  const tab = await browser.newPage();
  await tab.goto(`${ready.url}/`);
  expect(await tab.title()).toBe('through the tunnel');
  await tab.evaluate('openSocket()');
  for (const text of ['one', 'two', 'ü'.repeat(50_000)]) {
    expect(await tab.evaluate(`say(${JSON.stringify(text)})`)).toBe(text);
  }
  await tab.evaluate('listen()');
  await upstream.listening(1);
  // Each event is sent only after the page has seen the previous one, so no event can wait for another.
  for (const [index, text] of ['first', 'second', 'third'].entries()) {
    upstream.tick(text);
    await tab.waitForFunction(`received.length === ${index + 1}`);
    expect(await tab.evaluate('received.at(-1)')).toBe(text);
  }
});

test('a WebSocket visitor without a browser echoes text and binary', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const upstream = await httpUpstream(scope);
  const {ready} = await relay.expose(upstream.port);
  const {host, port} = ready.tls ?? {host: '', port: 0};
  const socket = new WebSocket(`wss://127.0.0.1:${port}/echo`, {
    agent: new Agent({ca: readFileSync(relay.caFile), servername: host}),
    headers: {host: `${host}:${port}`, ...(await wayIn(scope, relay.caFile, ready.url))},
  });
  scope.onEnd(() => socket.terminate());
  await once(socket, 'open');
  for (const message of [Buffer.from('text'), Buffer.alloc(1_000_000, 7)]) {
    socket.send(message);
    const [echoed] = await once(socket, 'message');
    expect(Buffer.compare(echoed as Buffer, message)).toBe(0);
  }
});

test('h2 is offered to visitors of --h2 tunnels only', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const plain = await httpUpstream(scope);
  const h2 = createHttp2Server((_request, response) => response.end('over h2'));
  const h2Port = await scope.listen(h2);
  const {ready: one} = await relay.expose(plain.port);
  const {ready: two} = await relay.expose(h2Port, {flags: ['--h2=only']});
  const {ready: both} = await relay.expose(plain.port, {flags: ['--h2', '--http1']});
  const version = ['--http2', '--write-out', '\n%{http_version}'];
  const usual = await curl(scope, relay.caFile, [...version, `${one.url}/`]);
  expect(usual.stdout.split('\n').at(-1)).toBe('1.1');
  const asked = await curl(scope, relay.caFile, [...version, `${two.url}/`]);
  expect(asked.stdout).toBe('over h2\n2');
  // A visitor without ALPN is served by all; an HTTP protocol that is not offered is never chosen.
  const alpn = async (at: typeof one, protocols?: string[]) => {
    const {host, port} = at.tls ?? {host: '', port: 0};
    const visitor = await tlsVisitor(
      scope,
      {host, port},
      {caFile: relay.caFile, ...(protocols && {alpn: protocols})},
    );
    return visitor.alpnProtocol;
  };
  expect(await alpn(one, ['h2', 'http/1.1'])).toBe('http/1.1');
  expect(await alpn(two, ['http/1.1', 'h2'])).toBe('h2');
  // Otherwise it would get HTTP/2 frames from this upstream.
  await expect(alpn(two, ['http/1.1'])).rejects.toMatchObject({
    code: 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL',
  });
  const old = await curl(scope, relay.caFile, ['--http1.1', `${two.url}/`]);
  expect([old.code, old.stdout]).toEqual([35, '']);
  expect(await alpn(both, ['http/1.1', 'h2'])).toBe('h2');
  expect(await alpn(both, ['http/1.1'])).toBe('http/1.1');
  expect(await alpn(one)).toBe(false);
  expect(await alpn(two)).toBe(false);
  // What is not HTTP passes through, under the visitor's own first protocol.
  expect(await alpn(one, ['postgresql'])).toBe('postgresql');
  expect(await alpn(two, ['mqtt', 'x-amzn-mqtt-ca'])).toBe('mqtt');
  expect(await alpn(one, ['acme-tls/1'])).toBe(false);
  const {host, port} = one.tls ?? {host: '', port: 0};
  const session = await run(
    scope,
    'openssl',
    ['s_client', '-connect', `127.0.0.1:${port}`, '-servername', host, '-alpn', 'postgresql'],
    {input: ''},
  );
  expect(session.stdout).toContain('ALPN protocol: postgresql');
});

test('the bytes at the upstream are exactly those of the visitor, and back', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const upstream = await recordingUpstream(scope);
  const {ready} = await relay.expose(upstream.port);
  const {host, port} = ready.tls ?? {host: '', port: 0};
  const visitor = await tlsVisitor(scope, {host, port}, {caFile: relay.caFile});
  const odd = Buffer.concat([
    Buffer.from('GET /  two-spaces HTTP/1.1\nHost: constructor\r\nX:\tY \r\n\r\n'),
    Buffer.from(Array.from({length: 70_000}, (_, i) => (i * 7) % 256)),
  ]);
  visitor.end(odd);
  const arrived = await upstream.connection(0);
  await arrived.ended;
  expect(Buffer.compare(arrived.data(), odd)).toBe(0);
  const back: Buffer[] = [];
  visitor.on('data', (chunk: Buffer) => back.push(chunk));
  arrived.socket.end(odd);
  await once(visitor, 'end');
  expect(Buffer.compare(Buffer.concat(back), odd)).toBe(0);
});

test('a request of curl arrives without additional headers', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const upstream = await httpUpstream(scope);
  const {ready} = await relay.expose(upstream.port);
  const got = await curl(scope, relay.caFile, ['--user-agent', 'visitor', `${ready.url}/headers`]);
  const visitor = {private: 'link', 'basic-auth': GUEST.username, oidc: INSTANT_PERSON};
  expect(JSON.parse(got.stdout)).toEqual([
    ...['Host', new URL(ready.url ?? '').host],
    ...['User-Agent', 'visitor'],
    ...['Accept', '*/*'],
    // A gate has a connection of its own to the upstream.
    ...(gate === undefined ? [] : ['Tunl-Visitor', visitor[gate], 'Connection', 'keep-alive']),
  ]);
});
