// TLS sessions of visitors: they resume at their tunnel, and never at another owner's.

import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {expect} from 'vitest';
import {createAuthority} from '../helpers/certificates.js';
import {run} from '../helpers/child.js';
import {childrenOf, commandLine} from '../helpers/launching.js';
import {startRelayProcess} from '../helpers/relay.js';
import type {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {httpUpstream} from '../helpers/upstreams.js';

const domain = 'r1.localhost';

interface Visit {
  port: number;
  name: string;
  version: string;
  caFile: string;
}

/** With openssl, which offers a session under any name. */
async function isResumed(
  scope: Scope,
  {port, name, version, caFile}: Visit,
  session: {in?: string; out?: string},
): Promise<boolean> {
  const host = `${name}.${domain}`;
  const {stdout} = await run(
    scope,
    'openssl',
    [
      ...['s_client', '-connect', `127.0.0.1:${port}`, '-servername', host, `-${version}`, '-ign_eof'],
      ...['-CAfile', caFile, '-verify_return_error', '-verify_hostname', host],
      ...(session.in === undefined ? [] : ['-sess_in', session.in]),
      ...(session.out === undefined ? [] : ['-sess_out', session.out]),
    ],
    {input: `GET / HTTP/1.1\r\nHost: ${host}:${port}\r\nConnection: close\r\n\r\n`},
  );
  expect(stdout).toContain('HTTP/1.1 200');
  const [how] = /^(New|Reused), TLSv1/m.exec(stdout) ?? [];
  return how === 'Reused, TLSv1';
}

async function giveCertificate(scope: Scope) {
  const folder = await scope.tempDir('certificates');
  const [caFile, certFile, keyFile] = [join(folder, 'ca'), join(folder, 'cert'), join(folder, 'key')];
  const authority = await createAuthority();
  const {cert, key} = await authority.issue([domain, `*.${domain}`]);
  await Promise.all([writeFile(caFile, authority.cert), writeFile(certFile, cert), writeFile(keyFile, key)]);
  return {caFile, certFile, keyFile};
}

test.for(['own CA', 'one certificate for all names'] as const)(
  '%s: a session resumes at its tunnel, not at that of another owner, and not when the name has a new owner',
  async (kind, {scope}) => {
    const given = kind === 'own CA' ? undefined : await giveCertificate(scope);
    const relay = await startRelayProcess(scope, {
      domain,
      // Without a token each state folder is an owner.
      withToken: false,
      flags: [
        ...['--lease-grace', '0s', '--resume-window', '100ms'],
        ...(given === undefined ? [] : ['--cert-file', given.certFile, '--key-file', given.keyFile]),
      ],
    });
    const caFile = given?.caFile ?? relay.caFile;
    const upstream = await httpUpstream(scope);
    const expose = async (name: string) =>
      await relay.expose(upstream.port, {
        flags: ['--subdomain', name],
        stateDir: await scope.tempDir('agent'),
        env: {TUNL_CA_FILE: caFile},
      });
    const first = await expose('one');
    await expose('two');
    const folder = await scope.tempDir();
    const versions = ['tls1_2', 'tls1_3'];
    const at = (name: string, version: string): Visit => ({port: relay.port, name, version, caFile});
    for (const version of versions) {
      const session = join(folder, version);
      expect(await isResumed(scope, at('one', version), {out: session})).toBe(false);
      expect(await isResumed(scope, at('one', version), {in: session})).toBe(true);
      expect(await isResumed(scope, at('two', version), {in: session})).toBe(false);
    }
    await first.cli.stop();
    await expose('one');
    for (const version of versions)
      expect(await isResumed(scope, at('one', version), {in: join(folder, version)})).toBe(false);
  },
);

test('a session resumes although its tunnel has moved to another worker', async ({scope}) => {
  const relay = await startRelayProcess(scope, {domain, flags: ['--workers', '2', '--log-level', 'info']});
  const {ready} = await relay.expose((await httpUpstream(scope)).port);
  const name = ready.tls?.host.split('.')[0] ?? '';
  const visit = {port: relay.port, name, version: 'tls1_3', caFile: relay.caFile};
  const session = join(await scope.tempDir(), 'session');
  expect(await isResumed(scope, visit, {out: session})).toBe(false);
  for (const pid of childrenOf(relay.cli.pid))
    if (commandLine(pid).includes('workers/main.js')) process.kill(pid, 'SIGKILL');
  await relay.cli.saidOnStderr(/a worker process has ended[\s\S]*a worker process has ended/);
  // The visitor waits until the agent is back.
  expect(await isResumed(scope, visit, {in: session})).toBe(true);
});
