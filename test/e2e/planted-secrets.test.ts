// Secrets of every kind are planted in a relay, an agent, a gate and a program, and are used, guessed at and logged at the highest
// level, up to a crash. Then everything that anybody else could see is searched for them.

import {once} from 'node:events';
import {readFileSync, statSync} from 'node:fs';
import {get as getHttp} from 'node:http';
import {join} from 'node:path';
import {expect} from 'vitest';
import {runCli, startCli} from '../helpers/cli.js';
import {commandLine, fakeProgram, until} from '../helpers/launching.js';
import {CRASHES, family, filesIn, searchFor, TELLS} from '../helpers/planted.js';
import {startRelayProcess} from '../helpers/relay.js';
import {test} from '../helpers/test.js';
import {curl} from '../helpers/visitors.js';

const SINGLE = 'planted-single-token-0123456789';
const PASSWORD = 'planted-password-of-the-gate';
const OTHER_LINK = 'planted-link-of-another-tunnel';
const CLIENT_SECRET = 'planted-secret-of-a-client';
const WRONG_TOKEN = 'planted-wrong-token-0123456789';
const WRONG_PASSWORD = 'planted-wrong-password';

test('planted secrets are nowhere but where they belong', async ({scope}) => {
  const stateDir = await scope.tempDir('relay');
  const auditFile = join(stateDir, 'audit.log');
  const relay = await startRelayProcess(scope, {
    stateDir,
    token: SINGLE,
    flags: [
      '--log-level',
      'trace',
      '--metrics-listen',
      '127.0.0.1:0',
      '--audit-file',
      auditFile,
      '--workers',
      '2',
    ],
  });
  const made = await runCli(
    scope,
    ['relay', 'token', 'create', 'laptop', '--owner', 'ana', '--scope', 'name:*'],
    {
      stateDir,
    },
  );
  const token = made.stdout.trim();
  expect(token).toMatch(/^tunl_/);

  const agentState = await scope.tempDir('agent');
  const agent = await startCli(
    scope,
    [
      ...[
        'expose',
        '--subdomain',
        'demo',
        '--private',
        '--basic-auth',
        'guest',
        '--json',
        '--log-level',
        'trace',
      ],
      ...['--', process.execPath, await fakeProgram(scope, TELLS), '{port}'],
    ],
    {
      stateDir: agentState,
      env: {
        ...relay.env,
        TUNL_TOKEN: token,
        TUNL_BASIC_AUTH_PASSWORD: PASSWORD,
        // Of other commands, in the environment of a whole shell.
        TUNL_LINK: `https://demo.example.net/?tunl=${OTHER_LINK}`,
        TUNL_OIDC_SECRET: CLIENT_SECRET,
        NODE_OPTIONS: `--import=${CRASHES}`,
        PATH: process.env.PATH ?? '',
      },
    },
  );
  const ready = await agent.event('ready');
  const link = new URL(ready.link ?? '').searchParams.get('tunl') ?? '';
  expect(link.length).toBeGreaterThan(20);
  const shared = await runCli(scope, ['share', 'demo', '--for', 'bob', '--json'], {stateDir: agentState});
  const second = /[?&]tunl=([^"&]+)/.exec(shared.stdout)?.[1] ?? '';
  expect(second.length).toBeGreaterThan(20);

  // Right and wrong, in every place where a visitor can put them.
  const ask = async (url: string, ...words: string[]) =>
    (await curl(scope, relay.caFile, [...words, url])).stdout;
  const url = ready.url ?? '';
  const right = ['--user', `guest:${PASSWORD}`, '--header', `Tunl-Access: ${link}`];
  const told = JSON.parse(await ask(`${url}/`, ...right)) as {env: Record<string, string>; heads: string[]};
  const answers = [
    await ask(`${url}/?tunl=${second}`, '--user', `guest:${PASSWORD}`),
    await ask(`${url}/?tunl=${second}`, '--include', '--user', `guest:${WRONG_PASSWORD}`),
    await ask(`${url}/`, '--include', '--header', `Authorization: Bearer ${link}x`),
    await ask(`${url}/`, '--include', '--header', `Cookie: __Host-tunl=${link}`),
    await ask(`${relay.url}/`, '--include'),
    await ask(`${relay.url}/healthz`, '--include'),
    await ask(`${relay.url}/nothing?token=${SINGLE}`, '--include'),
    await ask(`${relay.url}/agent/whoami`, '--include', '--header', `Authorization: Bearer ${WRONG_TOKEN}`),
    await ask(`${relay.url}/agent/whoami`, '--include', '--header', `Authorization: Bearer ${token}`),
  ];
  const guess = await startCli(scope, ['expose', '1', '--json', '--log-level', 'trace'], {
    env: {...relay.env, TUNL_TOKEN: WRONG_TOKEN},
  });
  expect((await guess.finished()).code).toBe(4);

  const listening = await relay.cli.event('listening');
  const {host, port} = listening.metrics ?? {host: '', port: 0};
  const page = async (path: string): Promise<string> => {
    const [response] = await once(getHttp({host, port, path, agent: false}), 'response');
    let text = '';
    for await (const chunk of response.setEncoding('utf8')) text += chunk;
    return text;
  };
  const pages = [await page('/'), await page('/metrics'), await page('/readyz'), await page('/nothing')];
  const status = await runCli(scope, ['relay', 'status', '--json'], {stateDir});
  expect(status.code).toBe(0);

  const all = [...family(relay.cli.pid), ...family(agent.pid)];
  expect(all.length).toBeGreaterThanOrEqual(5);
  const argv = all.map(commandLine).join('\n');

  process.kill(agent.pid, 'SIGUSR2');
  expect((await agent.finished()).code).not.toBe(0);
  await until(() => agent.stderr.includes('crashed-on-purpose'));
  await relay.cli.stop();

  // The links are for the terminal of the one who asked for them, and so is the token that was made.
  const own = agent.lines
    .filter((line) => !line.startsWith('{"type":"ready"'))
    .concat(shared.stdout.replaceAll(second, ''));
  const places: Record<string, string> = {
    'command lines': argv,
    'output of the relay': relay.cli.stdout + relay.cli.stderr,
    'output of the agent, with its crash': own.join('\n') + agent.stderr,
    'output of others':
      made.stderr + shared.stderr + guess.stdout + guess.stderr + status.stdout + status.stderr,
    'environment of the program': JSON.stringify(told.env),
    'requests at the program': JSON.stringify([told.heads, JSON.parse(answers[0] ?? '').heads]),
    'answers to visitors': answers.slice(1).join('\n'),
    'metrics and pages': pages.join('\n'),
    'audit file': readFileSync(auditFile, 'utf8'),
    'state of the relay': filesIn(stateDir, 'agents.token'),
    'state of the agent': filesIn(agentState),
  };
  const secretOf = (text: string) => text.split('_').at(3) ?? text;
  const secrets: Record<string, string> = {
    'single token': SINGLE,
    'token of an owner': secretOf(token),
    password: PASSWORD,
    'password in base64': Buffer.from(`guest:${PASSWORD}`).toString('base64'),
    'wrong token': WRONG_TOKEN,
    'wrong password': WRONG_PASSWORD,
    link,
    'second link': second,
    'link of another tunnel': OTHER_LINK,
    'secret of a client': CLIENT_SECRET,
  };
  searchFor(secrets, places, 'planted secrets');
  expect(statSync(auditFile).mode & 0o077).toBe(0);
});
