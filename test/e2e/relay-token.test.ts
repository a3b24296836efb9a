// Tokens of a relay as commands: made while it runs, narrowed, replaced and revoked under a live tunnel; and nowhere to be
// seen but where they were asked for.
import {once} from 'node:events';
import {readdirSync, readFileSync, statSync} from 'node:fs';
import {chmod, mkdir, readFile, writeFile} from 'node:fs/promises';
import {get} from 'node:https';
import {join} from 'node:path';
import {expect} from 'vitest';
import {expose, runCli, startCli} from '../helpers/cli.js';
import {FaultProxy} from '../helpers/fault-proxy.js';
import {succeed} from '../helpers/net-ns.js';
import {type RelayProcess, startRelayProcess} from '../helpers/relay.js';
import type {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {echoUpstream} from '../helpers/upstreams.js';
import {tcpVisitor} from '../helpers/visitors.js';

const token = async (scope: Scope, stateDir: string, ...words: string[]) =>
  await runCli(scope, ['relay', 'token', ...words], {stateDir});

const TOKEN = /^tunl_agent_([a-z2-7]{10})_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}\n$/;

/** The command lines and environments of the processes that this user can see. */
function processes(): string {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .map((pid) => {
      try {
        return `${readFileSync(`/proc/${pid}/cmdline`, 'latin1')}\n`;
      } catch {
        return '';
      }
    })
    .join('');
}

/** The answer to a login with a wrong token. */
async function statusOfLogin({domain: servername, host, port}: RelayProcess): Promise<number> {
  const headers = {
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    Host: servername,
    Authorization: 'Bearer wrong',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Protocol': 'tunl.v1',
    'Sec-WebSocket-Key': `${'A'.repeat(22)}==`,
  };
  return await new Promise((resolve, reject) => {
    const to = {host, port, servername, path: '/agent', headers, agent: false, rejectUnauthorized: false};
    get(to, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    }).on('error', reject);
  });
}

test('a token is made, narrowed, replaced and revoked while the relay and its agents run', async ({
  scope,
}) => {
  const stateDir = await scope.tempDir('relay');
  // Of two workers, each has to hear of it.
  const relay = await startRelayProcess(scope, {
    stateDir,
    withToken: false,
    tcpPorts: '23700-23799',
    flags: ['--workers', '2', '--log-level', 'trace'],
  });
  expect(await relay.cli.event('listening')).not.toHaveProperty('tokenRequired');
  const made = await token(scope, stateDir, 'create', 'laptop', '--owner', 'ana', '--scope', 'name:*');
  expect([made.code, made.stdout]).toEqual([0, expect.stringMatching(TOKEN)]);
  const [, id = ''] = TOKEN.exec(made.stdout) ?? [];
  const first = made.stdout.trim();
  const secrets = [first];
  const upstream = await echoUpstream(scope);
  const env = (text: string) => ({...relay.env, TUNL_TOKEN: text});
  const start = async (text: string, ...flags: string[]) =>
    await expose(scope, upstream, {env: env(text), flags: ['--log-level', 'trace', ...flags]});

  // A random name, which the next scope still allows, and a name that it does not.
  const [kept, narrowed] = [await start(first), await start(first, '--subdomain', 'demo')];
  expect((await token(scope, stateDir, 'set', id, '--scope', 'name:@random')).code).toBe(0);
  expect((await narrowed.cli.finished()).code).toBe(4);
  expect(narrowed.cli.error).toMatchObject({code: 'NOT_ALLOWED'});
  const refused = await startCli(scope, ['expose', String(upstream), '--subdomain', 'demo', '--json'], {
    env: env(first),
  });
  expect((await refused.finished()).code).toBe(4);
  // Its worker may read the file a moment later, and take the name back.
  expect(refused.error?.code).toBe('NOT_ALLOWED');

  const replaced = await token(scope, stateDir, 'rotate', 'laptop');
  expect(replaced.stdout).toMatch(TOKEN);
  secrets.push(replaced.stdout.trim());
  expect((await kept.cli.finished()).code).toBe(4);
  expect(kept.cli.error).toMatchObject({code: 'TOKEN_REVOKED'});
  // Its own name again: it belongs to the owner.
  const name = new URL(kept.ready.url ?? '').hostname.split('.')[0] ?? '';
  const again = await start(replaced.stdout.trim(), '--subdomain', name);
  expect(again.ready.url).toBe(kept.ready.url);
  expect((await token(scope, stateDir, 'revoke', id)).code).toBe(0);
  expect((await again.cli.finished()).code).toBe(4);
  expect(again.cli.error).toMatchObject({code: 'TOKEN_REVOKED'});

  const listed = await token(scope, stateDir, 'list', '--all', '--json');
  expect(JSON.parse(listed.stdout)).toMatchObject({
    id,
    state: 'revoked',
    owner: 'ana',
    usedAt: expect.any(String),
  });

  const seen = [
    ...[relay.cli, kept.cli, narrowed.cli, again.cli, refused].flatMap(({stdout, stderr}) => [
      stdout,
      stderr,
    ]),
    ...[made.stderr, replaced.stderr, listed.stdout, listed.stderr, processes()],
    await readFile(join(stateDir, 'access', 'tokens.json'), 'utf8'),
  ];
  expect(relay.cli.stderr).toContain(id);
  for (const secret of secrets) {
    const [, , , random = ''] = secret.split('_');
    for (const text of seen) expect(text.includes(random)).toBe(false);
  }
});

test('a relay that others can reach needs a token of either kind, and says how to get one', async ({
  scope,
}) => {
  const stateDir = await scope.tempDir('relay');
  const start = async () =>
    await startCli(scope, ['relay', 'start', '--json', '--listen', '0.0.0.0:0', '--workers', '1'], {
      stateDir,
    });
  const open = await start();
  expect((await open.finished()).code).toBe(2);
  expect(open.error?.code).toBe('TOKEN_NEEDED');
  expect(open.error?.next).toMatch(/tunl relay token create.*--token-file/);
  await token(scope, stateDir, 'create', 'laptop', '--scope', 'name:*');
  const closed = await start();
  expect(await closed.event('listening')).toMatchObject({tokenRequired: true});
  const agent = await startCli(scope, ['expose', '8000', '--json'], {
    env: {
      TUNL_RELAY: (await closed.event('listening')).url,
      TUNL_CA_FILE: (await closed.event('listening')).caFile ?? '',
    },
  });
  expect((await agent.finished()).code).toBe(4);
  expect(agent.error?.code).toBe('TOKEN_MISSING');
});

test('a file of tokens that cannot be used is an error, and stays as it is', async ({scope}) => {
  const stateDir = await scope.tempDir('relay');
  await mkdir(join(stateDir, 'access'), {mode: 0o700});
  const path = join(stateDir, 'access', 'tokens.json');
  await writeFile(path, '{"version":7}', {mode: 0o600});
  for (const words of [
    ['relay', 'start', '--json'],
    ['relay', 'token', 'create', 'a', '--scope', 'name:*', '--json'],
    ['relay', 'token', 'list', '--json'],
  ]) {
    const {code, cli} = await runCli(scope, words, {stateDir});
    expect([code, cli.error?.code]).toEqual([8, 'TOKENS_UNREADABLE']);
    expect(cli.error?.message).toContain('its version is 7');
  }
  expect(await readFile(path, 'utf8')).toBe('{"version":7}');
  await chmod(path, 0o622);
  expect((await token(scope, stateDir, 'list')).code).toBe(8);
  expect(statSync(path).size).toBe(13);
});

test('after a broken link the session goes on without the token, which is not sent again', async ({
  scope,
}) => {
  const stateDir = await scope.tempDir('relay');
  const made = await token(scope, stateDir, 'create', 'laptop', '--scope', 'name:*');
  const relay = await startRelayProcess(scope, {stateDir, withToken: false});
  const proxy = await FaultProxy.start(scope, {target: {port: relay.port}});
  const {cli} = await expose(scope, await echoUpstream(scope), {
    env: {
      TUNL_RELAY: `https://${relay.domain}:${proxy.port}`,
      TUNL_CA_FILE: relay.caFile,
      TUNL_TOKEN: made.stdout.trim(),
    },
  });
  // From now on the relay checks no token from this address for a while.
  const statuses: number[] = [];
  while (statuses.at(-1) !== 429) statuses.push(await statusOfLogin(relay));
  expect(new Set(statuses)).toEqual(new Set([401, 429]));
  proxy.reset();
  await cli.event('resumed');
  const reasons = cli.events.flatMap((event) => (event.type === 'reconnecting' ? [event.code] : []));
  expect(new Set(reasons)).toEqual(new Set(['RELAY_LOST']));
});

test('a token for ports alone is enough for --tcp; without one, the reason is about what was asked for', async ({
  scope,
}) => {
  const stateDir = await scope.tempDir('relay');
  const made = await token(scope, stateDir, 'create', 'ports', '--scope', 'tcp:23500-23510');
  const relay = await startRelayProcess(scope, {stateDir, withToken: false, tcpPorts: '23500-23599'});
  const env = {...relay.env, TUNL_TOKEN: made.stdout.trim()};
  const upstream = await echoUpstream(scope);
  const {ready, cli} = await expose(scope, upstream, {env, flags: ['--tcp', '--remote-port', '23505']});
  expect(ready).toMatchObject({address: 'localhost:23505', tcp: {host: 'localhost', port: 23_505}});
  expect([ready.url, ready.tls]).toEqual([undefined, undefined]);
  const visitor = await tcpVisitor(scope, 23_505);
  visitor.write('hello');
  expect(String(await once(visitor, 'data'))).toBe('hello');
  visitor.destroy();
  await cli.stop();
  // On a terminal or in a log, too, without an address over TLS.
  const plain = await startCli(scope, ['expose', String(upstream), '--tcp'], {env});
  expect(await plain.line()).toMatch(/^localhost:235(0\d|10)$/);
  await plain.stop();
  for (const [flags, message] of [
    [['--tcp', '--remote-port', '23550'], 'The token does not allow TCP port 23550.'],
    [['--tcp', '--subdomain', 'demo'], 'The token does not allow the name demo.'],
    [[], 'The token does not allow a random name.'],
  ] as const) {
    const refused = await startCli(scope, ['expose', String(upstream), '--json', ...flags], {env});
    expect((await refused.finished()).code).toBe(4);
    expect(refused.error).toMatchObject({code: 'NOT_ALLOWED', message});
  }
});

test('on a full disk, and on one that is read-only, a command fails and the tokens stay as they were', async ({
  scope,
}) => {
  const stateDir = await scope.tempDir('small');
  await succeed(['mount', '-t', 'tmpfs', '-o', 'size=64k,mode=700', 'tmpfs', stateDir]);
  scope.onEnd(async () => void (await succeed(['umount', stateDir])));
  await token(scope, stateDir, 'create', 'first', '--scope', 'name:*');
  const path = join(stateDir, 'access', 'tokens.json');
  const before = await readFile(path, 'utf8');
  const failing = async (system: string) => {
    for (const words of [
      ['create', 'second', '--scope', 'name:*'],
      ['revoke', 'first'],
    ]) {
      const {code, stdout, stderr} = await token(scope, stateDir, ...words);
      expect([code, stdout]).toEqual([8, '']);
      expect(stderr).toMatch(new RegExp(`\\(${system}\\)[^]*STATE_DIR`));
    }
    expect(await readFile(path, 'utf8')).toBe(before);
    expect(readdirSync(join(stateDir, 'access'))).toEqual(['tokens.json']);
    expect((await token(scope, stateDir, 'list')).stdout).toContain('first');
  };
  await writeFile(join(stateDir, 'ballast'), Buffer.alloc(60_000)).catch(() => {});
  await writeFile(join(stateDir, 'more'), Buffer.alloc(60_000)).catch(() => {});
  await failing('ENOSPC');
  await succeed(['mount', '-o', 'remount,ro', stateDir]);
  await failing('EROFS');
});
