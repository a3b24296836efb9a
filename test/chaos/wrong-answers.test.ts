// Something else answers at the relay's address for a while (a captive portal, a load balancer, a stranger): an agent that
// serves reports it, and resumes when the relay is back.
import {createServer as createHttpsServer, type ServerOptions} from 'node:https';
import {createServer} from 'node:net';
import type {ErrorCode} from '../../src/lib/core/errors.js';
import {createAuthority, selfSigned} from '../helpers/certificates.js';
import {atMost} from '../helpers/metric.js';
import type {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {echoUpstream, record} from '../helpers/upstreams.js';
import {tcpVisitor} from '../helpers/visitors.js';
import {domain, long, type Rig, sleep, startRig} from './rig.js';

const day = 24 * 3_600_000;

/** An https server that answers every request with these lines. */
async function answering(scope: Scope, identity: ServerOptions, ...lines: string[]): Promise<number> {
  const server = createHttpsServer(identity);
  server.on('tlsClientError', () => {});
  server.on('upgrade', (_request, socket) => {
    socket.on('error', () => {});
    socket.end(lines.join('\r\n'));
  });
  return await scope.listen(server);
}

const page = (status: string, type = 'text/html', body = '<h1>Log in to the network</h1>') => [
  `HTTP/1.1 ${status}`,
  `Content-Type: ${type}`,
  `Content-Length: ${body.length}`,
  'Connection: close',
  '',
  body,
];

/** Ports of other servers, each with the code that the agent reports. */
async function impostors(scope: Scope, {authority}: Rig): Promise<[string, number, ErrorCode][]> {
  const own = await authority.issue([domain]);
  const expired = {notBefore: new Date(Date.now() - 2 * day), notAfter: new Date(Date.now() - day)};
  const garbage = createServer((socket) => {
    socket.on('error', () => {});
    socket.end('220 mail.example.net ready\r\n');
  });
  const at = (identity: ServerOptions, ...lines: string[]) => answering(scope, identity, ...lines);
  const gateway = JSON.stringify({error: {code: 'Unauthorized', message: 'Sign in first.'}});
  const foreign = await createAuthority('Somebody else');
  return [
    ['foreign', await at(await foreign.issue([domain])), 'RELAY_CERTIFICATE'],
    ['expired', await at(await authority.issue([domain], expired)), 'RELAY_CERTIFICATE'],
    ['self-signed', await at(await selfSigned([domain])), 'RELAY_CERTIFICATE'],
    ['404', await at(own, ...page('404 Not Found')), 'RELAY_NOT_TUNL'],
    ['302', await at(own, ...page('302 Found')), 'RELAY_NOT_TUNL'],
    ['200 with a page', await at(own, ...page('200 OK')), 'RELAY_NOT_TUNL'],
    ['502', await at(own, ...page('502 Bad Gateway')), 'RELAY_BUSY'],
    ['garbage', await scope.listen(garbage), 'RELAY_NOT_TUNL'],
    ['401 of a proxy', await at(own, ...page('401 Unauthorized')), 'RELAY_NOT_TUNL'],
    ['403 of a gateway', await at(own, ...page('403 No', 'application/json', gateway)), 'TOKEN_WRONG'],
  ];
}

test('no wrong answer ends an agent that serves: it reports the reason, and resumes', async ({
  scope,
  expect,
}) => {
  const rig = await startRig(scope, {quickRetry: !long});
  const {cli, ready} = await rig.expose(await echoUpstream(scope), {flags: ['--tcp']});
  const visitor = record(await tcpVisitor(scope, ready.tcp?.port ?? 0));
  let sent = 0;
  for (const [what, port, code] of await impostors(scope, rig)) {
    const before = cli.events.length;
    const since = () => cli.events.slice(before);
    rig.proxy.leadTo(port);
    rig.proxy.reset();
    visitor.socket.write(what);
    sent += what.length;
    // More than one attempt meets it.
    await cli.event('reconnecting', () => since().filter((each) => met(each, code)).length >= 2);
    if (long) await sleep(20_000);
    rig.proxy.leadTo(rig.relay.port);
    const back = performance.now();
    await cli.event('resumed', () => since().some(({type}) => type === 'resumed'));
    const backMs = performance.now() - back;
    expect.soft(atMost(`after ${what}`, 'ms until it serves again', backMs, 5_000)).toBe(true);
    expect(
      since().find(({type}) => type === 'resumed'),
      what,
    ).toMatchObject({resumed: 1, lost: 0});
    expect(since().find(({type}) => type === 'reconnecting')).toMatchObject({attempt: 1, connections: 1});
    await visitor.received(sent);
  }
  const again = record(await tcpVisitor(scope, ready.tcp?.port ?? 0));
  again.socket.write('hello');
  await again.received(5);
  expect(cli.events.filter(({type}) => type === 'ready')).toHaveLength(1);
});

const met = (event: {type: string}, code: ErrorCode) =>
  event.type === 'reconnecting' && 'code' in event && event.code === code;

test('a refusal of the token by the relay itself ends it', async ({scope, expect}) => {
  const rig = await startRig(scope);
  const {cli} = await rig.expose(await echoUpstream(scope), {flags: ['--tcp']});
  const refusal = JSON.stringify({
    error: {code: 'TOKEN_WRONG', message: 'The relay does not know this token.'},
  });
  const answer = page('401 Unauthorized', 'application/json', refusal);
  rig.proxy.leadTo(await answering(scope, await rig.authority.issue([domain]), ...answer));
  rig.proxy.reset();
  expect((await cli.exited).code).toBe(4);
  expect(cli.error).toMatchObject({code: 'TOKEN_WRONG'});
});
