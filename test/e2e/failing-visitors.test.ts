// Visitors who fail before any byte reaches the agent: the relay tells the agent, which says it to its user, once and with the
// next step.
import {once} from 'node:events';
import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {connect} from 'node:tls';
import {expect} from 'vitest';
import {selfSigned} from '../helpers/certificates.js';
import {Child, run} from '../helpers/child.js';
import {projectRoot, startCli} from '../helpers/cli.js';
import {RawAgent} from '../helpers/raw-agent.js';
import {type RelayProcess, startRelayProcess} from '../helpers/relay.js';
import type {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {echoUpstream, httpUpstream} from '../helpers/upstreams.js';
import {curl} from '../helpers/visitors.js';

/** `tunl expose` for people, at this relay; names of tunnels below `.localhost` are this machine. */
async function exposed(scope: Scope, relay: RelayProcess, flags: readonly string[] = []) {
  const {port} = await httpUpstream(scope);
  const cli = await startCli(scope, ['expose', String(port), ...flags], {env: relay.env});
  const address = await cli.line();
  return {cli, address, host: new URL(address).hostname};
}

/** A client that offers only these protocols; resolves to the reason why it was refused. */
async function refused(scope: Scope, relay: RelayProcess, servername: string, alpn: string): Promise<string> {
  const socket = connect({
    ...{host: '127.0.0.1', port: relay.port, servername},
    ALPNProtocols: [alpn],
    rejectUnauthorized: false,
  });
  scope.onEnd(() => void socket.destroy());
  const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
  return String(error.code);
}

test('a visitor with HTTP/2 alone gets an alert, and the agent names --h2, once', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const {cli, host} = await exposed(scope, relay);
  for (let i = 0; i < 3; i++)
    expect(await refused(scope, relay, host, 'h2')).toBe('ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL');
  await cli.saidOnStderr(/speaks only HTTP\/2 \(as gRPC does\).* Next step: --h2/);
  await cli.stop();
  expect(cli.stderr.match(/Next step/g)).toHaveLength(1);
});

test('a visitor with HTTP/1.1 alone, where the tunnel offers only HTTP/2: the agent names --http1', async ({
  scope,
}) => {
  const relay = await startRelayProcess(scope);
  const {cli, ready} = await relay.expose(await echoUpstream(scope), {flags: ['--h2']});
  await refused(scope, relay, ready.tls?.host ?? '', 'http/1.1');
  expect(await cli.event('notice')).toMatchObject({code: 'VISITOR_NEEDS_HTTP1'});
});

test('an agent that does not know warnings gets none, and keeps its session', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const {agent} = await RawAgent.begin(scope, relay);
  agent.bind({kind: 'tls', h2: false, name: 'demo'});
  await agent.controlMessage('bound');
  await refused(scope, relay, `demo.${relay.domain}`, 'h2');
  agent.bind({kind: 'tls', h2: false, name: 'other'}, 2);
  expect(await agent.controlMessage('bound', ({request}) => request === 2)).toMatchObject({request: 2});
  expect(agent.controlMessages('warning')).toEqual([]);

  const {agent: newer} = await RawAgent.begin(scope, {...relay, hello: {features: ['warnings']}});
  newer.bind({kind: 'tls', h2: false, name: 'third'});
  await newer.controlMessage('bound');
  for (let i = 0; i < 3; i++) await refused(scope, relay, `third.${relay.domain}`, 'h2');
  newer.bind({kind: 'tls', h2: false, name: 'fourth'}, 2);
  await newer.controlMessage('bound', ({request}) => request === 2);
  expect(newer.controlMessages('warning')).toMatchObject([{code: 'VISITOR_NEEDS_H2'}]);
});

const DISTRUSTING: Readonly<Record<string, (scope: Scope, address: string) => Promise<unknown>>> = {
  'Node fetch': (scope, address) =>
    run(scope, process.execPath, ['-e', 'fetch(process.argv[1]).catch(() => {})', address]),
  'Node fetch with TLS 1.2': (scope, address) =>
    run(scope, process.execPath, ['--tls-max-v1.2', '-e', 'fetch(process.argv[1]).catch(() => {})', address]),
  wget: (scope, address) => run(scope, 'wget', ['-q', '-O-', '-t1', address]),
  Java: (scope, address) => run(scope, 'java', [`${projectRoot}test/e2e/first-address/Page.java`, address]),
};

test.for(Object.entries(DISTRUSTING))(
  '%s leaves without a reason when it does not trust the certificate: the agent says so, once',
  async ([, visit], {scope}) => {
    const cli = await startCli(scope, ['expose', String(await echoUpstream(scope))]);
    const address = await cli.line();
    for (let i = 0; i < 2; i++) await visit(scope, address);
    await cli.saidOnStderr(/may not trust it.*`tunl relay ca` says how programs trust it/);
    await cli.stop();
    expect(cli.stderr.match(/may not trust/g)).toHaveLength(1);
  },
);

test('visitors of a relay elsewhere: an alert is told, and a check of the handshake alone is no news', async ({
  scope,
}) => {
  const relay = await startRelayProcess(scope);
  const {cli, host} = await exposed(scope, relay);
  const place = ['-connect', `127.0.0.1:${relay.port}`, '-servername', host];
  const check = Child.start(scope, 'openssl', ['s_client', ...place, '-CAfile', relay.caFile], {stdin: true});
  // The relay has finished the handshake.
  await cli.saidOnStderr(/tls .* open/);
  check.stdin.end();
  expect((await check.finished()).code).toBe(0);
  await cli.saidOnStderr(/tls .* closed /);
  expect(cli.stderr).not.toContain('trust it');
  const stranger = await startRelayProcess(scope);
  const other = await curl(scope, stranger.caFile, [`https://${host}:${relay.port}/`]);
  expect(other.code).toBe(60);
  await cli.saidOnStderr(/because it does not trust the relay’s certificate\. .* at the relay/);
  await cli.stop();
  expect(cli.stderr).not.toContain('may not trust');
});

test('a certificate that expires: the relay logs it, and the owners of tunnels are told then', async ({
  scope,
}) => {
  const domain = 'r1.localhost';
  const folder = await scope.tempDir('certificates');
  const [certFile, keyFile] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  const put = async (notAfter: Date) => {
    const made = await selfSigned([domain, `*.${domain}`], {notAfter});
    await writeFile(keyFile, made.key);
    await writeFile(certFile, made.cert);
  };
  await put(new Date(Date.now() + 8_000));
  const flags = ['--cert-file', certFile, '--key-file', keyFile, '--log-level', 'info'];
  const relay = await startRelayProcess(scope, {domain, flags});
  const {cli, ready} = await relay.expose(await echoUpstream(scope), {env: {TUNL_CA_FILE: certFile}});
  expect(cli.events.map(({type}) => type)).toEqual(['ready']);
  await relay.cli.saidOnStderr(/error relay: the certificate has expired/);
  const notice = await cli.event('notice', ({code}) => code === 'RELAY_CERTIFICATE');
  expect(notice.message).toBe(
    `The relay’s certificate for ${ready.tls?.host} has expired, so visitors do not trust it. ` +
      'The relay’s operator must renew it.',
  );
});
