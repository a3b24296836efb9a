// The TAB key for names that a relay knows: egresses, networks, members, clusters, in real shells. A relay that is silent or
// gone costs the user nothing but these names.

import {chmod, writeFile} from 'node:fs/promises';
import {createServer} from 'node:net';
import {afterAll, beforeAll, expect} from 'vitest';
import {run} from '../helpers/child.js';
import {entry, runCli, startCli} from '../helpers/cli.js';
import {type RelayProcess, startRelayProcess} from '../helpers/relay.js';
import {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {Screen} from '../helpers/tmux.js';

const all = new Scope();
let relay: RelayProcess;
/** The environment of a user whose token names a network and a cluster. */
let env: Record<string, string>;
/** `tunl` in PATH. */
let bin: string;

beforeAll(async () => {
  const stateDir = await all.tempDir('relay');
  const sets = ['--egress', 'my-proxy=127.0.0.2,127.0.0.3', '--egress', 'other=127.0.0.9'];
  relay = await startRelayProcess(all, {stateDir, withToken: false, flags: sets});
  const scopes = ['egress:my-proxy', 'net:lab', 'net:team-*', 'cluster:train'];
  const flags = scopes.flatMap((each) => ['--scope', each]);
  const made = await runCli(all, ['relay', 'token', 'create', 'laptop', ...flags], {stateDir});
  env = {...relay.env, TUNL_TOKEN: made.stdout.trim(), TUNL_STATE_DIR: await all.tempDir('state')};
  bin = await all.tempDir('bin');
  await writeFile(`${bin}/tunl`, `#!/bin/sh\nexec '${process.execPath}' '${entry}' "$@"\n`);
  await chmod(`${bin}/tunl`, 0o755);
  const member = await startCli(all, ['net', 'serve', 'lab', '--name', 'trainer', '8000', '--json'], {env});
  await member.event('network');
});

afterAll(async () => await all[Symbol.asyncDispose]());

async function offered(scope: Scope, words: readonly string[], more: Record<string, string> = env) {
  const {code, stdout, stderr} = await runCli(scope, ['__complete', '--', ...words], {env: more});
  expect([code, stderr]).toEqual([0, '']);
  return stdout.split('\n').filter(Boolean);
}

test('the names that the token may use', async ({scope}) => {
  expect(await offered(scope, ['egress', 'run', '--via', ''])).toEqual(['my-proxy\t127.0.0.2, 127.0.0.3']);
  expect(await offered(scope, ['expose', '--egress=m'])).toEqual(['--egress=my-proxy\t127.0.0.2, 127.0.0.3']);
  expect(await offered(scope, ['net', 'list', ''])).toEqual(['lab\t']);
  expect(await offered(scope, ['expose', '--net', 'l'])).toEqual(['lab\t']);
  expect(await offered(scope, ['cluster', 'join', ''])).toEqual(['train\t']);
  expect(await offered(scope, ['net', 'forward', 'lab', ''])).toEqual([
    expect.stringMatching(/^trainer:\tfdaa:/),
  ]);
  // The token does not allow it.
  expect(await offered(scope, ['net', 'forward', 'else', ''])).toEqual([]);
});

test('flags in the line say which relay, and without it come the networks of this user', async ({scope}) => {
  const {TUNL_RELAY: url = '', TUNL_TOKEN: token = '', TUNL_STATE_DIR: stateDir = ''} = env;
  const tokenFile = `${await scope.tempDir('token')}/token`;
  await writeFile(tokenFile, token, {mode: 0o600});
  const flags = ['--relay', url, '--ca-file', relay.caFile, `--token-file=${tokenFile}`];
  expect(await offered(scope, ['egress', 'run', ...flags, '--via', ''], {})).toHaveLength(1);
  expect(await offered(scope, ['egress', 'run', '--via', ''], {})).toEqual([]);
  expect(await offered(scope, ['net', 'run', ''], {TUNL_STATE_DIR: stateDir})).toEqual(['lab\t']);
});

test('the login in use, and the names of logins', async ({scope}) => {
  const stateDir = await scope.tempDir('logins');
  const {TUNL_RELAY: url = '', TUNL_TOKEN: token = '', ...others} = env;
  const tokenFile = `${await scope.tempDir('token')}/token`;
  await writeFile(tokenFile, token, {mode: 0o600});
  const to = ['login', url, '--context', 'work', '--token-file', tokenFile];
  expect(await runCli(scope, to, {env: {...others, TUNL_STATE_DIR: stateDir}})).toMatchObject({code: 0});
  expect(await offered(scope, ['egress', 'run', '--via', ''], {TUNL_STATE_DIR: stateDir})).toHaveLength(1);
  expect(await offered(scope, ['context', 'use', ''], {TUNL_STATE_DIR: stateDir})).toEqual([`work\t${url}`]);
  expect(await offered(scope, ['egress', 'run', '--context', 'w'], {TUNL_STATE_DIR: stateDir})).toEqual([
    `work\t${url}`,
  ]);
});

test('a relay that is silent, and one that is gone: no names, no error', async ({scope}) => {
  const server = createServer(() => {});
  const port = await scope.listen(server);
  for (const url of [`https://127.0.0.1:${port}`, 'https://127.0.0.1:1']) {
    const broken = {...env, TUNL_RELAY: url};
    expect(await offered(scope, ['egress', 'run', '--via', ''], broken)).toEqual([]);
    expect(await offered(scope, ['net', 'run', ''], broken)).toEqual(['lab\t']);
    expect(await offered(scope, ['net', 'forward', 'lab', ''], broken)).toEqual([]);
  }
});

test.for(['bash --norc', 'zsh -f'])(
  '%s: names, and a member with its port to come',
  async (shell, {scope}) => {
    const path = `${bin}:/usr/bin:/bin`;
    const screen = await Screen.start(scope, {shell, env: {...env, PATH: path}, cwd: bin, columns: 100});
    // tmux keeps its own PATH.
    const script = `source <(tunl completion ${shell.split(' ')[0]})`;
    await screen.run(`export PATH='${path}'; clear; ${script}; echo $((40+2))`);
    await screen.until((lines) => lines.some((line) => line === '42'));
    const types = async (text: string, more: string, whole: string) => {
      await screen.run('clear');
      await screen.until((lines) => lines.join('').trim() === '$');
      await screen.type(text);
      await screen.press('Tab');
      await screen.until((lines) => lines.some((line) => line.startsWith(`$ ${text}${more}`)));
      await screen.type('8000');
      await screen.until((lines) => lines.some((line) => line.trim() === `$ ${whole}`));
      await screen.press('C-u');
    };
    await types('tunl egress run --via my', '-proxy', 'tunl egress run --via my-proxy 8000');
    await types('tunl net run l', 'ab', 'tunl net run lab 8000');
    await types('tunl net forward lab tr', 'ainer:', 'tunl net forward lab trainer:8000');
  },
);

test('fish: names of egresses and members', async ({scope}) => {
  const fish = async (line: string) => {
    const script = `tunl completion fish | source; complete -C '${line}'`;
    const path = {PATH: `${bin}:/usr/bin:/bin`};
    const {stdout, stderr} = await run(scope, 'fish', ['--no-config', '-c', script], {
      env: {...env, ...path},
    });
    expect(stderr).toBe('');
    return stdout.split('\n').flatMap((row) => row.split('\t')[0] || []);
  };
  expect(await fish('tunl egress listen --via ')).toEqual(['my-proxy']);
  expect(await fish('tunl net forward lab tr')).toEqual(['trainer:']);
  expect(await fish('tunl net list ')).toEqual(['lab']);
});
