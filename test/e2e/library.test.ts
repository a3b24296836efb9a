// The library as programs use it: forward() and startRelay() in one process.

import {once} from 'node:events';
import {readdir, readFile, writeFile} from 'node:fs/promises';
import {request} from 'node:https';
import {connect, createServer} from 'node:net';
import {join} from 'node:path';
import {expect, test} from 'vitest';
import {type ForwardOptions, forward, startHub, startRelay, type TunnelEvent} from '../../src/index.js';
import {selfSigned} from '../helpers/certificates.js';
import {run} from '../helpers/child.js';
import {projectRoot} from '../helpers/cli.js';
import {Scope} from '../helpers/scope.js';

async function echo(scope: Scope): Promise<number> {
  return await scope.listen(createServer({allowHalfOpen: true}, (socket) => socket.pipe(socket)));
}

/** Sends `text`, half-closes, and returns everything that comes back. */
async function ask(host: string, port: number, text: string): Promise<string> {
  const socket = connect({host, port, allowHalfOpen: true});
  socket.end(text);
  let answer = '';
  for await (const chunk of socket) answer += String(chunk);
  return answer;
}

async function relayAndOptions(scope: Scope): Promise<ForwardOptions & {stateDir: string}> {
  const stateDir = await scope.tempDir('state');
  const relay = scope.own(
    await startRelay({
      domain: 'r1.localhost',
      token: 'a token of 16 or more'.replaceAll(' ', '-'),
      tcpPorts: [0, 0],
      stateDir,
    }),
  );
  return {relay: relay.url, token: 'a-token-of-16-or-more', caFile: relay.caFile as string, stateDir};
}

test('a tunnel has a URL and a TLS socket, and ends with its scope', async () => {
  await using scope = new Scope();
  const options = await relayAndOptions(scope);
  const port = await echo(scope);
  const events: TunnelEvent['type'][] = [];
  {
    await using tunnel = await forward(port, {...options, onEvent: (event) => events.push(event.type)});
    expect(tunnel.url).toMatch(/^https:\/\/[a-z2-7]{26}\.r1\.localhost:\d+$/);
    const [host, tlsPort] = tunnel.tlsSocket;
    expect(tunnel.url).toBe(`https://${host}:${tlsPort}`);
    expect(() => tunnel.tcpSocket).toThrowError(expect.objectContaining({code: 'NO_TCP_SOCKET'}));
  }
  expect(events).toEqual(['ready', 'closed']);
});

test('an unencrypted tunnel has a TCP socket besides its TLS name, and half-closes pass', async () => {
  await using scope = new Scope();
  const options = await relayAndOptions(scope);
  await using tunnel = await forward(await echo(scope), {...options, unencrypted: true});
  const [host, port] = tunnel.tcpSocket;
  expect(await ask(host, port, 'half-closed at once')).toBe('half-closed at once');
  expect(tunnel.url).toMatch(/^https:/);
  expect(tunnel.ready.address).toBe(`${host}:${port}`);
});

test.each([
  ['a listener alone does not add the explanation to', {}, []],
  ['explainHostChecks adds the explanation to', {explainHostChecks: true}, ['HOST_REFUSED']],
])('%s the events of an upstream that refuses the public name', async (_what, option, expected) => {
  await using scope = new Scope();
  const options = await relayAndOptions(scope);
  const port = await scope.listen(
    createServer((socket) => void socket.end('HTTP/1.1 403 Forbidden\r\n\r\nBlocked hosts: it')),
  );
  const codes: string[] = [];
  const gone = Promise.withResolvers<void>();
  const onEvent = (event: TunnelEvent) => {
    if (event.type === 'notice') codes.push(event.code);
    if (event.type === 'connection' && event.state === 'closed') gone.resolve();
  };
  await using tunnel = await forward(port, {...options, ...option, unencrypted: true, onEvent});
  expect(await ask(...tunnel.tcpSocket, 'GET / HTTP/1.1\r\n\r\n')).toContain('Blocked hosts');
  await gone.promise;
  expect(codes).toEqual(expected);
});

test('without a relay, one starts in this process', async () => {
  await using scope = new Scope();
  const stateDir = await scope.tempDir('state');
  const server = createServer((socket) => {
    // The tunnel may close before the visitor's end has arrived: then it resets the connection.
    socket.on('error', () => {});
    socket.once('data', () =>
      socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi'),
    );
  });
  await using tunnel = await forward(await scope.listen(server), {stateDir, relay: ''});
  expect(tunnel.ready.relay.embedded).toBe(true);
  const ca = await readFile(tunnel.ready.relay.caFile as string, 'utf8');
  const [host, port] = tunnel.tlsSocket;
  const asked = request({host: '127.0.0.1', port, servername: host, headers: {Host: host}, ca}).end();
  const gone = new Promise((resolve) => asked.once('close', resolve));
  const [response] = await once(asked, 'response');
  expect(String((await response.toArray())[0])).toBe('hi');
  // When the tunnel closes it resets a visitor who is still connected; nothing handles the error of that socket later.
  await gone;
});

test('the errors of the model have separate codes', async () => {
  await using scope = new Scope();
  const options = await relayAndOptions(scope);
  const port = await echo(scope);
  const codeOf = (call: Promise<unknown>) =>
    call.then(
      () => 'none',
      (error: {code: string}) => error.code,
    );
  expect(await codeOf(forward('8000' as unknown as number, options))).toBe('PORT_INVALID');
  expect(await codeOf(forward(1.5, options))).toBe('PORT_INVALID');
  for (const bad of [0, -1, 65_536]) expect(await codeOf(forward(bad, options))).toBe('PORT_RANGE');
  expect(await codeOf(forward(port, {...options, h2: true, unencrypted: true}))).toBe('H2_WITH_TCP');
  expect(await codeOf(forward(port, {...options, remotePort: 20_000}))).toBe('OPTION_INVALID');
  expect(await codeOf(forward(port, {...options, token: 'not-this-token-at-all'}))).toBe('TOKEN_WRONG');
  expect(await codeOf(forward(port, {...options, relay: 'https://127.0.0.1:1'}))).toBe('RELAY_REFUSED');
  await using tunnel = await forward(port, options);
  expect(await codeOf(forward(port, options))).toBe('PORT_FORWARDED_TWICE');
  await tunnel.close();
  await using again = await forward(port, options);
  expect(again.url).toBe(tunnel.url);
});

test('a Unix socket, a URL and a folder are forwarded like a port', async () => {
  await using scope = new Scope();
  const options = await relayAndOptions(scope);
  const path = join(await scope.tempDir('app'), 'app.sock');
  const server = createServer((socket) => socket.end('from the socket'));
  server.listen(path);
  await once(server, 'listening');
  scope.onEnd(() => void server.close());
  {
    await using tunnel = await forward(`unix:${path}`, {...options, unencrypted: true});
    expect(tunnel.ready.upstream).toBe(`unix:${path}`);
    expect(await ask(...tunnel.tcpSocket, '')).toBe('from the socket');
    await expect(forward(`unix://${path}`, options)).rejects.toMatchObject({code: 'PORT_FORWARDED_TWICE'});
  }
  const folder = await scope.tempDir('site');
  await writeFile(join(folder, 'index.html'), 'from the folder');
  const run = join(options.stateDir, 'run');
  {
    await using tunnel = await forward(folder, {...options, unencrypted: true});
    const request = 'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n';
    expect(await ask(...tunnel.tcpSocket, request)).toMatch(/\r\n\r\nfrom the folder$/);
    expect(await readdir(run)).toHaveLength(1);
  }
  expect(await readdir(run)).toEqual([]);
  const failed = forward(folder, {...options, relay: 'https://127.0.0.1:1'});
  await expect(failed).rejects.toMatchObject({code: 'RELAY_REFUSED'});
  expect(await readdir(run)).toEqual([]);
  const port = await echo(scope);
  for (const [target, more] of [
    [port, {upstreamTls: {insecure: true}}],
    [`unix:${path}`, {host: '127.0.0.1'}],
    [folder, {h2: true}],
  ] as const)
    await expect(forward(target, {...options, ...more})).rejects.toMatchObject({code: 'OPTION_INVALID'});
  await using same = await forward(`http://localhost:${port}/`, options);
  expect(same.ready.upstream).toBe(`localhost:${port}`);
});

test('a signal ends a tunnel, or the wait for one', async () => {
  await using scope = new Scope();
  const options = await relayAndOptions(scope);
  const port = await echo(scope);
  await expect(forward(port, {...options, signal: AbortSignal.abort()})).rejects.toMatchObject({
    code: 'ABORTED',
  });
  const silent = await scope.listen(createServer(() => {}));
  const waiting = new AbortController();
  const never = forward(port, {...options, relay: `https://127.0.0.1:${silent}`, signal: waiting.signal});
  waiting.abort();
  await expect(never).rejects.toMatchObject({code: 'ABORTED'});
  const stop = new AbortController();
  const tunnel = await forward(port, {...options, signal: stop.signal});
  stop.abort();
  await tunnel.closed;
});

test('a tunnel that is closed at the moment when it becomes ready leaves nothing behind', async () => {
  await using scope = new Scope();
  const options = await relayAndOptions(scope);
  const port = await echo(scope);
  const stop = new AbortController();
  const onEvent = ({type}: TunnelEvent) => {
    if (type === 'ready') stop.abort();
  };
  await expect(forward(port, {...options, signal: stop.signal, onEvent})).rejects.toMatchObject({
    code: 'ABORTED',
  });
  // Otherwise the port would count as forwarded.
  await using again = await forward(port, options);
  expect(again.url).toMatch(/^https:/);
});

test('a name of another owner is refused; its owner takes it over, and the old tunnel ends', async () => {
  await using scope = new Scope();
  const relay = scope.own(
    await startRelay({domain: 'r1.localhost', stateDir: await scope.tempDir('relay'), token: ''}),
  );
  const agent = {relay: relay.url, caFile: relay.caFile as string, subdomain: 'demo'};
  const mine = await scope.tempDir('mine');
  const first = await forward(await echo(scope), {...agent, stateDir: mine});
  const foreign = forward(await echo(scope), {...agent, stateDir: await scope.tempDir('theirs')});
  await expect(foreign).rejects.toMatchObject({code: 'NAME_TAKEN'});
  await using second = await forward(await echo(scope), {...agent, stateDir: mine});
  await expect(first.closed).rejects.toMatchObject({code: 'TAKEN_OVER'});
  expect(second.url).toBe(first.url);
});

test('a relay whose names share one certificate offers h2 only on request', async () => {
  await using scope = new Scope();
  const folder = await scope.tempDir();
  const {cert, key} = await selfSigned(['r1.localhost', '*.r1.localhost']);
  const [certFile, keyFile] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  await Promise.all([writeFile(certFile, cert), writeFile(keyFile, key)]);
  const start = (sharedH2: boolean) =>
    startRelay({domain: 'r1.localhost', token: '', stateDir: folder, certFile, keyFile, sharedH2});
  const port = await echo(scope);
  const plain = scope.own(await start(false));
  const options = {caFile: certFile, stateDir: folder, h2: true};
  await expect(forward(port, {...options, relay: plain.url})).rejects.toMatchObject({code: 'H2_NOT_OFFERED'});
  const shared = scope.own(await start(true));
  await using tunnel = await forward(port, {...options, relay: shared.url});
  expect(tunnel.ready.h2).toBe(true);
});

test.each([
  ['www', 'NAME_RESERVED'],
  ['api', 'NAME_RESERVED'],
  ['a.b', 'NAME_INVALID'],
  ['x'.repeat(64), 'NAME_INVALID'],
  ['x'.repeat(70_000), 'NAME_INVALID'],
  ['WWW', 'NAME_RESERVED'],
  ['bücher', 'NAME_INVALID'],
  ['__proto__', 'NAME_INVALID'],
  ['-a', 'NAME_INVALID'],
  ['', 'NAME_INVALID'],
])('the name %j is refused as %s', async (subdomain, code) => {
  await using scope = new Scope();
  const options = await relayAndOptions(scope);
  await expect(forward(await echo(scope), {...options, subdomain})).rejects.toMatchObject({code});
});

test('upper-case letters of a name are taken in lower case', async () => {
  await using scope = new Scope();
  const options = await relayAndOptions(scope);
  await using tunnel = await forward(await echo(scope), {...options, subdomain: 'MyApp'});
  expect(tunnel.tlsSocket[0]).toBe('myapp.r1.localhost');
});

test('`constructor` is a valid name', async () => {
  await using scope = new Scope();
  const options = await relayAndOptions(scope);
  await using tunnel = await forward(await echo(scope), {...options, subdomain: 'constructor'});
  expect(tunnel.tlsSocket[0]).toBe('constructor.r1.localhost');
});

test('a signal that is aborted already keeps no process', async () => {
  await using scope = new Scope();
  const script = join(await scope.tempDir('script'), 'program.mjs');
  const library = join(projectRoot, 'dist/index.js');
  await writeFile(
    script,
    `import {forward} from ${JSON.stringify(library)};
await forward(8000, {relay: 'https://127.0.0.1:1', signal: AbortSignal.abort()}).catch(({code}) => console.log(code));`,
  );
  const stateDir = await scope.tempDir('state');
  const {code, stdout} = await run(scope, process.execPath, [script], {env: {TUNL_STATE_DIR: stateDir}});
  expect({code, stdout}).toEqual({code: 0, stdout: 'ABORTED\n'});
});

test('the signal of a hub ends it, and its state folder is free again', async () => {
  await using scope = new Scope();
  const {stateDir, relay, token, caFile} = (await relayAndOptions(scope)) as Required<ForwardOptions>;
  const options = {stateDir, relay, token, caFile, templates: {web: {command: ['true']}}};
  const stop = new AbortController();
  const hub = scope.own(await startHub({...options, signal: stop.signal}));
  stop.abort();
  await hub.closed;
  const again = scope.own(await startHub(options));
  expect(again.url).toBe(hub.url);
});
