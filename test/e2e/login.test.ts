// Logins: a token is checked, stored for this user alone, shown nowhere, and used by the commands that follow.
import {readdir, readFile, stat} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, expect} from 'vitest';
import {type CliOptions, entry, runCli, startCli} from '../helpers/cli.js';
import {type RelayProcess, startRelayProcess} from '../helpers/relay.js';
import {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {Screen} from '../helpers/tmux.js';

const shared = new Scope();
let relay: RelayProcess;
beforeAll(async () => {
  relay = await startRelayProcess(shared);
});
afterAll(() => shared[Symbol.asyncDispose]());

const ONLY_EMBEDDED = 'embedded  inside each command  current\n';

/** A user with a state folder. The relay is not in the environment. */
async function user(scope: Scope) {
  const stateDir = await scope.tempDir('user');
  const tunl = (words: readonly string[], options: CliOptions = {}) =>
    runCli(scope, words, {stateDir, ...options});
  const logIn = (file = relay.tokenFile) =>
    tunl(['login', relay.url, '--ca-file', relay.caFile, '--token-file', file, '--json']);
  return {stateDir, tunl, logIn};
}

const last = (stdout: string): unknown => JSON.parse(stdout.trim().split('\n').at(-1) ?? '');

test('expose uses the login and says so; `embedded` does not', async ({scope}) => {
  const {stateDir, logIn} = await user(scope);
  const {code, stdout} = await logIn();
  const context = new URL(relay.url).host;
  expect({code, event: last(stdout)}).toEqual({
    code: 0,
    event: {type: 'login', context, relay: relay.url, owner: expect.stringMatching(/^token:[0-9a-f]{32}$/)},
  });
  const cli = await startCli(scope, ['expose', '8000'], {stateDir});
  expect(await cli.line(() => true)).toMatch(new RegExp(`^https://\\w+\\.${context}$`));
  // `tunl connect` trusts the CA of the login for names of this relay.
  const visitor = await startCli(scope, ['connect', new URL(cli.lines[0] ?? '').host], {
    stateDir,
    stdin: true,
  });
  visitor.stdin.end('GET / HTTP/1.0\r\n\r\n');
  expect((await visitor.finished()).stderr).not.toContain('RELAY_CERTIFICATE');
  expect(cli.stderr).toContain(`The relay is ${relay.url}, the current context; --context embedded`);
  await cli.stop();
  for (const [words, env] of [
    [['--context', 'embedded'], {}],
    [[], {TUNL_CONTEXT: 'embedded'}],
  ] as const) {
    const own = await startCli(scope, ['expose', '8000', '--json', ...words], {stateDir, env});
    expect((await own.event('ready')).relay.embedded).toBe(true);
    await own.stop();
  }
});

test('a token that the relay refuses is not stored', async ({scope}) => {
  const {stateDir, tunl} = await user(scope);
  const refused = await startCli(scope, ['login', relay.url, '--ca-file', relay.caFile], {
    stateDir,
    stdin: true,
  });
  refused.stdin.end('a-wrong-token-of-24-chars\n');
  expect((await refused.finished()).code).toBe(4);
  expect(refused.stderr).toContain('code: TOKEN_WRONG');
  expect(refused.stderr + refused.stdout).not.toContain('a-wrong-token');
  expect(await readdir(stateDir)).not.toContain('contexts');
  expect((await tunl(['context', 'list'])).stdout).toBe(ONLY_EMBEDDED);
});

test('the token is in one file, for this user alone, and in no output at any level', async ({scope}) => {
  const {stateDir, tunl, logIn} = await user(scope);
  const runs = [
    await logIn(),
    await tunl(['whoami', '--log-level', 'trace']),
    await tunl(['whoami', '--json']),
    await tunl(['context', 'list', '--json']),
    await tunl(['expose', '1', '--local-host', 'x y', '--log-level', 'trace']),
  ];
  for (const {stdout, stderr} of runs) expect(stdout + stderr).not.toContain(relay.token);
  const path = join(stateDir, 'contexts', `${encodeURIComponent(new URL(relay.url).host)}.json`);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  expect(await readFile(path, 'utf8')).toContain(relay.token);
  await tunl(['logout']);
  expect(await readFile(path, 'utf8')).not.toContain(relay.token);
});

test('whoami, use, logout and remove', async ({scope}) => {
  const {tunl, logIn} = await user(scope);
  await logIn();
  const context = new URL(relay.url).host;
  const identity = last((await tunl(['whoami', '--json'])).stdout);
  expect(identity).toMatchObject({type: 'identity', relay: relay.url, context});
  await tunl(['context', 'use', 'embedded']);
  expect((await tunl(['context', 'list'])).stdout).toBe(`${ONLY_EMBEDDED}${context}  ${relay.url}\n`);
  expect((await tunl(['whoami'])).stderr).toContain('code: CONTEXT_UNKNOWN');
  expect((await tunl(['context', 'use', context])).stdout).toBe(`${context}  ${relay.url}  current\n`);
  expect((await tunl(['logout'])).code).toBe(0);
  const {code, stderr} = await tunl(['expose', '8000']);
  expect(code).toBe(4);
  expect(stderr).toContain('next: Log in with `tunl login URL`');
  // Without a URL: at the relay of the current context.
  expect((await tunl(['login', '--token-file', relay.tokenFile])).code).toBe(0);
  expect((await tunl(['whoami'])).stdout).toMatch(/^token:\w+\n$/);
  expect((await tunl(['context', 'remove', context])).code).toBe(0);
  expect((await tunl(['context', 'list'])).stdout).toBe(ONLY_EMBEDDED);
  expect((await tunl(['context', 'use', context])).stderr).toContain('code: CONTEXT_UNKNOWN');
});

test('the terminal does not show the token while it is typed', async ({scope}) => {
  const {stateDir} = await user(scope);
  const screen = await Screen.start(scope, {env: {HOME: stateDir, TUNL_STATE_DIR: stateDir}, columns: 160});
  await screen.run(`${process.execPath} ${entry} login ${relay.url} --ca-file ${relay.caFile}`);
  await screen.until((lines) => lines.some((line) => line.startsWith('Token:')));
  await screen.type(relay.token);
  await screen.press('Enter');
  const lines = await screen.until((seen) => seen.some((line) => line.includes('logged in at')));
  expect(lines.join('\n')).not.toContain(relay.token);
});

test('a signal ends the wait for the token', async ({scope}) => {
  const {stateDir} = await user(scope);
  const screen = await Screen.start(scope, {env: {HOME: stateDir, TUNL_STATE_DIR: stateDir}, columns: 160});
  const login = `${process.execPath} ${entry} login ${relay.url} --ca-file ${relay.caFile}`;
  await screen.run(`bash -c 'echo "pid $$"; exec ${login}'; echo "code $?"`);
  const [, pid] = await screen.shows(/^pid (\d+)$/);
  await screen.shows(/^Token:/);
  process.kill(Number(pid), 'SIGTERM');
  expect((await screen.shows(/^code (\d+)$/))[1]).toBe('130');
});
