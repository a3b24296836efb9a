// A relay with certificates made by openssl, which are renewed while it runs: by SIGHUP, while an agent and a visitor stay.

import {X509Certificate} from 'node:crypto';
import {once} from 'node:events';
import {copyFile, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {connect, type TLSSocket} from 'node:tls';
import {expect} from 'vitest';
import {run} from '../helpers/child.js';
import {startRelayProcess} from '../helpers/relay.js';
import type {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {echoUpstream} from '../helpers/upstreams.js';

const domain = 'r1.localhost';

/** Self-signed, so that it is its own CA file. */
async function make(scope: Scope, folder: string, name: string, altNames = `DNS:${domain},DNS:*.${domain}`) {
  const [certFile, keyFile] = [join(folder, `${name}.crt`), join(folder, `${name}.key`)];
  const words = [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-days',
    '30',
  ];
  const names = ['-subj', `/CN=${domain}`, '-addext', `subjectAltName=${altNames}`];
  const made = await run(scope, 'openssl', [...words, ...names, '-keyout', keyFile, '-out', certFile]);
  expect(made.code, made.stderr).toBe(0);
  return {certFile, keyFile};
}

test('SIGHUP: the next visitor gets the new certificate; an unusable new one leaves the old in place', async ({
  scope,
}) => {
  const folder = await scope.tempDir('certificates');
  const [one, two] = [await make(scope, folder, 'one'), await make(scope, folder, 'two')];
  const [certFile, keyFile] = [join(folder, 'fullchain.pem'), join(folder, 'privkey.pem')];
  const put = async (cert: string, key: string) => {
    await copyFile(cert, certFile);
    await copyFile(key, keyFile);
  };
  await put(one.certFile, one.keyFile);
  const relay = await startRelayProcess(scope, {
    domain,
    flags: ['--cert-file', certFile, '--key-file', keyFile, '--log-level', 'info'],
  });
  const upstream = await echoUpstream(scope);
  const {ready} = await relay.expose(upstream, {env: {TUNL_CA_FILE: one.certFile}});
  const visitors: TLSSocket[] = [];
  const visit = async (): Promise<TLSSocket> => {
    const {hostname} = new URL(ready.url ?? '');
    const port = Number(new URL(relay.url).port);
    const socket = connect({host: '127.0.0.1', port, servername: hostname, rejectUnauthorized: false});
    visitors.push(socket);
    scope.onEnd(() => void socket.destroy());
    await once(socket, 'secureConnect');
    return socket;
  };
  const fingerprint = (socket: TLSSocket) => socket.getPeerX509Certificate()?.fingerprint256;
  const of = async (file: string) => new X509Certificate(await readFile(file)).fingerprint256;
  const early = await visit();
  expect(fingerprint(early)).toBe(await of(one.certFile));

  await put(two.certFile, one.keyFile);
  relay.cli.signal('SIGHUP');
  await relay.cli.saidOnStderr(
    /error relay: the new certificate cannot be used, the old one stays.*KEY_MISMATCH/,
  );
  expect(fingerprint(await visit())).toBe(await of(one.certFile));

  await put(two.certFile, two.keyFile);
  relay.cli.signal('SIGHUP');
  await relay.cli.saidOnStderr(/the certificate was read again/);
  expect(fingerprint(await visit())).toBe(await of(two.certFile));

  early.write('still here');
  expect(String((await once(early, 'data'))[0])).toBe('still here');
  // A relay that ends resets its visitors.
  for (const each of visitors) each.destroy();
  expect((await relay.cli.stop()).code).toBe(0);
});

test('a certificate that is not for the names of tunnels: their owners are told, after `ready`', async ({
  scope,
}) => {
  const folder = await scope.tempDir('certificates');
  const {certFile, keyFile} = await make(scope, folder, 'one', `DNS:${domain}`);
  const relay = await startRelayProcess(scope, {
    domain,
    flags: ['--cert-file', certFile, '--key-file', keyFile],
  });
  const {cli, ready} = await relay.expose(await echoUpstream(scope), {env: {TUNL_CA_FILE: certFile}});
  const {hostname} = new URL(ready.url ?? '');
  const notice = await cli.event('notice', ({code}) => code === 'RELAY_CERTIFICATE');
  expect(notice.message).toBe(
    `The relay’s certificate for ${hostname} is for other names, so visitors do not trust it. ` +
      `The relay needs one for *.${domain}.`,
  );
  expect(cli.events[0]).toMatchObject({type: 'ready'});
});
