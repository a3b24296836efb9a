// Tokens of issuers are planted in a relay and an agent: of a job, of a login, of a visitor who signs in. They are used, refused and
// logged at the highest level, up to a crash. Then everything that anybody else could see is searched for them.

import {once} from 'node:events';
import {readFileSync, writeFileSync} from 'node:fs';
import {get as getHttp} from 'node:http';
import {join} from 'node:path';
import {expect} from 'vitest';
import {run} from '../helpers/child.js';
import {runCli, startCli} from '../helpers/cli.js';
import {INSTANT_CLIENT, INSTANT_PERSON, startInstantIssuer} from '../helpers/instant-issuer.js';
import {AUDIENCE, startIssuer} from '../helpers/issuer.js';
import {commandLine, fakeProgram, until} from '../helpers/launching.js';
import {CRASHES, family, filesIn, searchFor, TELLS} from '../helpers/planted.js';
import {startRelayProcess} from '../helpers/relay.js';
import {test} from '../helpers/test.js';
import {curl} from '../helpers/visitors.js';

const CLIENT_SECRET = 'planted-secret-of-the-site-at-its-issuer';

test('tokens of issuers are nowhere but where they belong', async ({scope}) => {
  const issuer = await startIssuer(scope);
  const visitors = await startInstantIssuer(scope);
  const folder = await scope.tempDir('cas');
  const file = (name: string, text: string) => {
    writeFileSync(join(folder, name), text, {mode: 0o600});
    return join(folder, name);
  };
  const stateDir = await scope.tempDir('relay');
  const auditFile = join(stateDir, 'audit.log');
  const relay = await startRelayProcess(scope, {
    stateDir,
    withToken: false,
    flags: [
      ...['--log-level', 'trace', '--metrics-listen', '127.0.0.1:0', '--audit-file', auditFile],
      ...['--oidc-issuer', issuer.url, '--oidc-audience', AUDIENCE],
      ...['--oidc-ca-file', file('issuer.pem', issuer.ca)],
      ...['--oidc-rule', 'sub=job owner:ci name:*', '--oidc-rule', 'sub=ana name:*'],
    ],
  });
  const job = await issuer.token({sub: 'job'});
  const person = await issuer.token({sub: 'ana'});
  const foreign = await issuer.token({sub: 'job', aud: 'https://other.example'});
  const late = await issuer.token({sub: 'job', exp: 1_000_000_000});

  const agentState = await scope.tempDir('agent');
  const agent = await startCli(
    scope,
    [
      ...['expose', '--subdomain', 'demo', '--json', '--log-level', 'trace'],
      ...['--oidc', visitors.url, '--oidc-client', INSTANT_CLIENT, '--oidc-allow', INSTANT_PERSON],
      ...['--', process.execPath, await fakeProgram(scope, TELLS), '{port}'],
    ],
    {
      stateDir: agentState,
      env: {
        ...relay.env,
        TUNL_TOKEN: job,
        TUNL_OIDC_SECRET: CLIENT_SECRET,
        TUNL_OIDC_CA_FILE: file('visitors.pem', visitors.ca),
        NODE_OPTIONS: `--import=${CRASHES}`,
        PATH: process.env.PATH ?? '',
      },
    },
  );
  const {url = ''} = await agent.event('ready');

  // A visitor goes to the issuer and back, with a browser's cookies.
  const jar = join(folder, 'cookies');
  const both = file('both.pem', `${readFileSync(relay.caFile, 'utf8')}\n${visitors.ca}`);
  const visit = async (...words: string[]) =>
    await run(scope, 'curl', [
      ...['--silent', '--noproxy', '*', '--cacert', both, '--connect-to', '::127.0.0.1:'],
      ...['--location', '--cookie-jar', jar, '--cookie', jar, '--header', 'Accept: text/html', ...words],
    ]);
  const told = JSON.parse((await visit(`${url}/page`)).stdout) as {
    env: Record<string, string>;
    heads: string[];
  };
  expect(told.heads).toContain(INSTANT_PERSON);
  const [given] = visitors.issued;
  const {code = '', accessToken = '', idToken = ''} = given ?? {};
  const cookie = /__Host-tunl-oidc\S*\t(\S+)/.exec(readFileSync(jar, 'utf8'))?.[1] ?? '';

  const ask = async (address: string, ...words: string[]) =>
    (await curl(scope, relay.caFile, ['--include', ...words, address])).stdout;
  const bearer = (token: string) => ['--header', `Authorization: Bearer ${token}`];
  const login = await ask(`${relay.url}/agent/login`, '--request', 'POST', ...bearer(person));
  const loginToken = /tunl_login_[^"]+/.exec(login)?.[0] ?? '';
  const answers = [
    login.replaceAll(loginToken, ''),
    await ask(`${relay.url}/agent/whoami`, ...bearer(loginToken)),
    await ask(`${relay.url}/agent/whoami`, ...bearer(job)),
    await ask(`${relay.url}/agent/whoami`, ...bearer(foreign)),
    await ask(`${relay.url}/agent/whoami`, ...bearer(late)),
    await ask(`${relay.url}/agent/whoami`, ...bearer(`${job.slice(0, -2)}`)),
    // What comes back from the issuer again, to the wrong place, or without the cookie of its attempt.
    await ask(`${url}/.well-known/tunl/signed-in?code=${code}&state=x`),
    await ask(`${url}/?code=${code}`, ...bearer(idToken)),
    await ask(`${url}/`, '--header', `Cookie: __Host-tunl-oidc=${cookie}x`, '--header', 'Accept: text/html'),
  ];
  const refused = [foreign, late].map(async (token) => {
    const words = ['expose', '1', '--json', '--log-level', 'trace'];
    return await runCli(scope, words, {env: {...relay.env, TUNL_TOKEN: token}});
  });
  const others = await Promise.all(refused);
  expect(others.map(({code: exit}) => exit)).toEqual([4, 4]);

  const {metrics} = await relay.cli.event('listening');
  const page = async (path: string): Promise<string> => {
    const [response] = await once(getHttp({...metrics, path, agent: false}), 'response');
    let text = '';
    for await (const chunk of response.setEncoding('utf8')) text += chunk;
    return text;
  };
  const pages = [await page('/'), await page('/metrics'), await page('/readyz')];
  const status = await runCli(scope, ['relay', 'status', '--json'], {stateDir});
  const argv = [...family(relay.cli.pid), ...family(agent.pid)].map(commandLine).join('\n');

  process.kill(agent.pid, 'SIGUSR2');
  expect((await agent.finished()).code).not.toBe(0);
  await until(() => agent.stderr.includes('crashed-on-purpose'));
  await relay.cli.stop();

  /** The signature: without it the rest of the token is worth nothing. */
  const signature = (token: string) => token.split('.')[2] ?? '';
  searchFor(
    {
      'token of a job': signature(job),
      'token of a person': signature(person),
      'token for another audience': signature(foreign),
      'token that has expired': signature(late),
      'token of the login': loginToken.split('_').at(3) ?? '',
      'ID token of a visitor': signature(idToken),
      'access token of a visitor': accessToken,
      'code of a visitor': code,
      'cookie of a visitor': cookie,
      'secret of the client': CLIENT_SECRET,
    },
    {
      'command lines': argv,
      'output of the relay': relay.cli.stdout + relay.cli.stderr,
      'output of the agent, with its crash': agent.stdout + agent.stderr,
      'output of others': others.map(({stdout, stderr}) => stdout + stderr).join('\n') + status.stdout,
      'environment of the program': JSON.stringify(told.env),
      'requests at the program': JSON.stringify(told.heads),
      answers: answers.join('\n'),
      'metrics and pages': pages.join('\n'),
      'audit file': readFileSync(auditFile, 'utf8'),
      'state of the relay': filesIn(stateDir),
      'state of the agent': filesIn(agentState),
    },
    'planted tokens of issuers',
  );
});
