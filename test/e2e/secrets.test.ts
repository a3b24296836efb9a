// The secret of a program: where it comes from, that it gives access, and that it is on no command line and in no log.
import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {expect} from 'vitest';
import {runCli} from '../helpers/cli.js';
import {commandLine, installed, withArgument} from '../helpers/launching.js';
import {startBehindRelay} from '../helpers/programs.js';
import {type RelayProcess, startRelayProcess} from '../helpers/relay.js';
import type {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {curl} from '../helpers/visitors.js';

async function secretFile(scope: Scope, text: string): Promise<string> {
  const path = join(await scope.tempDir('secret'), 'secret');
  await writeFile(path, text, {mode: 0o600});
  return path;
}

const statusOf = async (scope: Scope, relay: RelayProcess, url: string, ...more: string[]) =>
  (await curl(scope, relay.caFile, ['--output', '/dev/null', '--write-out', '%{http_code}', ...more, url]))
    .stdout;

const OWN = 'my own secret, with spaces & signs';

test('Jupyter: its token from JUPYTER_TOKEN, from a file with DOS line ends, or none at all', async ({
  scope,
}) => {
  const relay = await startRelayProcess(scope);
  const file = await secretFile(scope, `${OWN}\r\nsecond line\r\n`);
  const cases = [
    [[], {JUPYTER_TOKEN: OWN}, OWN],
    [
      ['--jupyter-token-file', file],
      {JUPYTER_TOKEN: 'the file goes first', JUPYTER_TOKEN_FILE: '/etc/passwd'},
      OWN,
    ],
    [['--no-token'], {JUPYTER_TOKEN: OWN}, undefined],
  ] as const;
  for (const [words, env, token] of cases) {
    const dir = await scope.tempDir('notebooks');
    const {cli} = await startBehindRelay(
      scope,
      ['jupyter', '--json', '--log-level', 'trace', '--dir', dir, '--bin', installed.jupyterLab, ...words],
      {relay, env},
    );
    const {address, url = '', login, open} = await cli.event('ready');
    expect(login?.token).toBe(token);
    expect(open).toBe(token === undefined ? true : undefined);
    expect(new URL(address).searchParams.get('token')).toBe(token ?? null);
    expect(await statusOf(scope, relay, address)).toMatch(/^(200|302)$/);
    const contents = `${url}/api/contents`;
    expect(await statusOf(scope, relay, contents)).toBe(token === undefined ? '200' : '403');
    expect(await statusOf(scope, relay, contents, '--header', `authorization: token ${OWN}`)).toBe('200');
    for (const pid of withArgument(dir)) expect(commandLine(pid)).not.toContain(OWN);
    expect((await cli.stop()).code).toBe(0);
    expect(cli.stderr).not.toContain(OWN);
  }
});

test('terminal and code-server: their password from PASSWORD, or from a file', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const file = await secretFile(scope, `${OWN}\n`);
  for (const [words, env] of [
    [['--password-file', file], {PASSWORD: 'the file goes first'}],
    [[], {PASSWORD: OWN}],
  ] as const) {
    const shell = ['terminal', '--json', '--bin', installed.gotty, ...words, '--', '/bin/sh'];
    const terminal = (await startBehindRelay(scope, shell, {relay, env})).cli;
    const opened = await terminal.event('ready');
    expect(opened.login).toEqual({user: 'tunl', password: OWN});
    expect(await statusOf(scope, relay, opened.address)).toBe('401');
    expect(await statusOf(scope, relay, opened.address, '--user', `tunl:${OWN}`)).toBe('200');
    await terminal.stop();

    const editor = [
      'code-server',
      await scope.tempDir('project'),
      '--json',
      '--bin',
      installed.codeServer,
      ...words,
    ];
    const {cli} = await startBehindRelay(scope, editor, {relay, env});
    const {address, login} = await cli.event('ready');
    expect(login).toEqual({password: OWN});
    const form = ['--data-urlencode', `password=${OWN}`, '--data', 'base='];
    expect(await statusOf(scope, relay, `${address}/login`, ...form)).toBe('302');
    await cli.stop();
  }
});

test('an empty secret file', async ({scope}) => {
  const empty = await secretFile(scope, '\n');
  for (const [words, code] of [
    [['terminal', '--password-file'], 'PASSWORD_FILE_EMPTY'],
    [['code-server', '--password-file'], 'PASSWORD_FILE_EMPTY'],
    [['jupyter', '--jupyter-token-file'], 'TOKEN_FILE_EMPTY'],
  ] as const) {
    const {stdout} = await runCli(scope, [...words, empty, '--json']);
    const error = JSON.parse(stdout);
    expect(error).toMatchObject({code, exitCode: 8});
    // Only a relay requires a length.
    expect(error.next).not.toContain('16');
  }
});
