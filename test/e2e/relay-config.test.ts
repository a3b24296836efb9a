// `tunl relay start --config`, `relay check` and `relay config` as a user runs them, and SIGHUP of a relay with a file.

import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {describe, expect} from 'vitest';
import {runCli, startCli} from '../helpers/cli.js';
import type {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {echoUpstream} from '../helpers/upstreams.js';
import {curl} from '../helpers/visitors.js';

const domain = 'r1.localhost';
const [OLD, NEW] = ['the-old-token-of-the-relay', 'the-new-token-of-the-relay'];

async function files(scope: Scope) {
  const folder = await scope.tempDir('config');
  const file = (name: string) => join(folder, name);
  const put = async (name: string, ...lines: readonly string[]) =>
    await writeFile(file(name), `${lines.join('\n')}\n`);
  await put('token', OLD);
  return {folder, config: file('relay.yaml'), put};
}

const FIXED = [
  `domain: ${domain}`,
  'listen: 127.0.0.1:0',
  'token-file: token',
  'drain-timeout: 0s',
  'log-level: info',
];

test.for([1, 2])(
  'a relay of %i processes: SIGHUP takes what can change, and nothing after a mistake',
  async (workers, {scope}) => {
    const {config, put} = await files(scope);
    await put('relay.yaml', ...FIXED, `workers: ${workers}`);
    const relay = await startCli(scope, ['relay', 'start', '--config', config, '--json']);
    const {url, caFile = ''} = await relay.event('listening', (event) => event.tokenRequired === true);
    const upstream = await echoUpstream(scope);
    const env = {TUNL_RELAY: url, TUNL_CA_FILE: caFile};
    const agent = async (token: string) =>
      await startCli(scope, ['expose', String(upstream), '--json'], {env: {...env, TUNL_TOKEN: token}});
    const early = await (await agent(OLD)).event('ready');

    await put('relay.yaml', ...FIXED, `workers: ${workers}`, 'visitor-wait: 1y', 'listn: x');
    await put('token', NEW);
    relay.signal('SIGHUP');
    await relay.saidOnStderr(
      /error relay: the new settings cannot be used, the old ones stay code=OPTION_INVALID reason="[^"]*relay.yaml:7:15: visitor-wait/,
    );
    await (await agent(OLD)).event('ready');

    await put('relay.yaml', ...FIXED, `workers: ${workers}`, 'max-tunnels-per-agent: 1', 'reuse-port: true');
    relay.signal('SIGHUP');
    await relay.saidOnStderr(
      /warn relay: the settings were read again; some need a restart changed="token max-tunnels-per-agent" needRestart=reuse-port/,
    );
    // The file also says what the log has.
    expect(relay.stderr).not.toContain('debug relay');
    await put(
      'relay.yaml',
      ...FIXED.slice(0, -1),
      'log-level: debug',
      `workers: ${workers}`,
      'max-tunnels-per-agent: 1',
    );
    relay.signal('SIGHUP');
    await relay.saidOnStderr(/the settings were read again changed=log-level/);
    const late = await agent(NEW);
    await late.event('ready');
    const {code, stdout} = await runCli(scope, ['expose', '9', '--json'], {env: {...env, TUNL_TOKEN: OLD}});
    expect([code, JSON.parse(stdout).code]).toEqual([4, 'TOKEN_WRONG']);
    expect(relay.stderr).not.toMatch(/the-(old|new)-token/);
    expect((await curl(scope, caFile, [`${url}/healthz`])).stdout).toContain('"ok"');
    expect(early.address).toMatch(/^https:/);
    expect((await relay.stop()).code).toBe(0);
  },
);

describe('a file with mistakes', () => {
  test('does not start a relay; the first mistake has its place, and all are counted', async ({scope}) => {
    const {config, put} = await files(scope);
    await put('relay.yaml', 'listn: 127.0.0.1:0', 'workers: many', `token: ${OLD}`);
    const started = await runCli(scope, ['relay', 'start', '--config', config]);
    expect(started).toMatchObject({code: 2, stdout: ''});
    expect(started.stderr).toBe(
      `error: ${config}:1:1: There is no setting "listn". Did you mean listen?\n` +
        `next: See docs/relay-config.md, or \`tunl relay config --example\`. There are 2 more mistakes: \`tunl relay check ${config}\` shows them.\n` +
        'code: CONFIG_KEY\n',
    );
    const checked = await runCli(scope, ['relay', 'check', config, '--json']);
    const events = checked.cli.events.map((event) =>
      event.type === 'mistake' ? [event.line, event.column, event.code] : event.type,
    );
    expect(checked.code).toBe(2);
    expect(events).toEqual([
      [1, 1, 'CONFIG_KEY'],
      [2, 10, 'OPTION_INVALID'],
      [3, 1, 'CONFIG_SECRET'],
      'error',
    ]);
    expect(checked.cli.error?.code).toBe('CONFIG_INVALID');
    const plain = await runCli(scope, ['relay', 'check', config]);
    expect(plain.stdout.split('\n')[1]).toBe(`${config}:2:10: workers: "many" is not possible.`);
    for (const {stdout, stderr} of [started, checked, plain]) expect(stdout + stderr).not.toContain(OLD);
  });

  test('a file without mistakes has exit code 0', async ({scope}) => {
    const {config, put} = await files(scope);
    await put('relay.yaml', ...FIXED);
    expect(await runCli(scope, ['relay', 'check', config])).toMatchObject({code: 0, stdout: ''});
    await put('token', 'short');
    expect(await runCli(scope, ['relay', 'check', config])).toMatchObject({code: 2});
    expect(await runCli(scope, ['relay', 'check', `${config}.missing`])).toMatchObject({code: 8});
  });
});

test('`relay config` says where each value comes from', async ({scope}) => {
  const {config, put} = await files(scope);
  await put('relay.yaml', ...FIXED, 'visitor-wait: 1m', 'keep-alive: 40s');
  const env = {
    TUNL_RELAY_CONFIG: config,
    TUNL_RELAY_VISITOR_WAIT: '2m',
    TUNL_TOKEN: OLD,
    TUNL_RELAY_LISTN: 'x',
  };
  const {stdout, code} = await runCli(scope, ['relay', 'config', '--sources', '--resume-window', '5m'], {
    env,
  });
  expect(code).toBe(0);
  const lines = stdout.split('\n');
  for (const line of [
    `domain: ${domain}  # ${config}:1`,
    'visitor-wait: 2m  # TUNL_RELAY_VISITOR_WAIT',
    'resume-window: 5m  # --resume-window',
    `keep-alive: 40s  # ${config}:7`,
    'lease-grace: 10m  # default',
    '# token: (not shown)  # TUNL_TOKEN',
    '# token-file: (none)  # default',
  ]) {
    expect(lines).toContain(line);
  }
  expect(stdout).not.toContain(OLD);
  const json = await runCli(scope, ['relay', 'config', '--json'], {env});
  expect(json.cli.events).toContainEqual({type: 'setting', name: 'token', value: null, secret: 'given'});
  const example = await runCli(scope, ['relay', 'config', '--example']);
  const asEvents = await runCli(scope, ['relay', 'config', '--example', '--json']);
  expect(asEvents).toMatchObject({code: 2, cli: {error: {code: 'USAGE'}}});
  await writeFile(config, example.stdout);
  expect((await runCli(scope, ['relay', 'check', config])).code).toBe(0);
});
