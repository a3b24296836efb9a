// The CA of a user's own relays: agents and visitors of the same user trust it without a flag, others do not. A visitor who does
// not trust it is reported.
import {chmod, copyFile, mkdir} from 'node:fs/promises';
import {join} from 'node:path';
import {expect} from 'vitest';
import {expose, runCli, startCli} from '../helpers/cli.js';
import {startRelayProcess} from '../helpers/relay.js';
import {test} from '../helpers/test.js';
import {echoUpstream, httpUpstream} from '../helpers/upstreams.js';
import {curl} from '../helpers/visitors.js';

test('agents and `tunl connect` trust the CA of their own user’s relays', async ({scope}) => {
  const stateDir = await scope.tempDir('state');
  const relay = await startRelayProcess(scope, {stateDir});
  const {TUNL_CA_FILE: _, ...env} = relay.env;
  const port = await echoUpstream(scope);
  const {ready} = await expose(scope, port, {env, stateDir});
  const connect = ['connect', `${ready.tls?.host}:${ready.tls?.port}`];
  const mine = await startCli(scope, connect, {env, stateDir, stdin: true});
  mine.stdin.end('hello\n');
  expect(await mine.finished()).toMatchObject({code: 0, stdout: 'hello\n'});

  // Somebody else, and a file in the state folder that others can write.
  const stranger = await runCli(scope, ['expose', String(port), '--json'], {env});
  expect(stranger.cli.error).toMatchObject({code: 'RELAY_CERTIFICATE'});
  const open = await scope.tempDir('open');
  await mkdir(join(open, 'ca'));
  await copyFile(relay.caFile, join(open, 'ca', 'tunl-ca.pem'));
  await chmod(join(open, 'ca'), 0o777);
  const planted = await runCli(scope, connect, {env, stateDir: open});
  expect(planted.stderr).toContain('RELAY_CERTIFICATE');
});

test('a visitor who rejects the certificate leaves one line', async ({scope}) => {
  const {port} = await httpUpstream(scope);
  const cli = await startCli(scope, ['expose', String(port)]);
  const address = await cli.line();
  const [, caFile = ''] = await cli.saidOnStderr(/curl --cacert (\S+) https/);
  const other = await startRelayProcess(scope);
  for (let i = 0; i < 3; i++) expect((await curl(scope, other.caFile, [address])).code).toBe(60);
  await cli.saidOnStderr(/does not trust the relay’s certificate\. `tunl relay ca` says how/);
  expect((await curl(scope, caFile, [address])).code).toBe(0);
  await cli.stop();
  expect(cli.stderr.match(/does not trust/g)).toHaveLength(1);
});

test('`tunl relay ca` shows one way, --all the others', async ({scope}) => {
  const stateDir = await scope.tempDir('state');
  const one = await runCli(scope, ['relay', 'ca'], {stateDir});
  const all = await runCli(scope, ['relay', 'ca', '--all'], {stateDir});
  expect(one.stdout).toBe(all.stdout);
  expect(one.stderr.split(one.stdout.trim())).toHaveLength(2);
  expect(all.stderr).toContain('libnss3-tools');
});
