// Flag, environment, file, default: which value counts, and where it comes from.

import {mkdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {describe, expect, test} from 'vitest';
import {keyOf, variableOf} from '../../../../src/lib/cli/config/keys.js';
import {exampleFile} from '../../../../src/lib/cli/config/reference.js';
import {
  checkRelayConfig,
  readRelayConfig,
  VARIABLE_PREFIX,
} from '../../../../src/lib/cli/config/relay-config.js';
import {unknownVariables} from '../../../../src/lib/cli/config/resolve.js';
import {readSettingsText} from '../../../../src/lib/cli/config/settings-file.js';
import {settingEvent} from '../../../../src/lib/cli/config/shown.js';
import {settingLine} from '../../../../src/lib/cli/config/yaml-line.js';
import {CONFIG_SETTINGS, ONLY_FLAGS, type RelayFlags} from '../../../../src/lib/cli/relay-flags.js';
import {isList, isSwitch, type Setting} from '../../../../src/lib/core/settings.js';
import {selfSigned} from '../../../helpers/certificates.js';
import {Scope} from '../../../helpers/scope.js';

const TOKEN = 'a-token-of-the-environment';

async function configOf(scope: Scope, text: string, name = 'relay.yaml'): Promise<string> {
  const path = join(await scope.tempDir(), name);
  await writeFile(path, text);
  return path;
}

describe('precedence', () => {
  test.each<[what: string, flags: RelayFlags, env: NodeJS.ProcessEnv, from: string, value: string]>([
    ['all of them', {domain: 'flag.example'}, {TUNL_RELAY_DOMAIN: 'env.example'}, 'flag', 'flag.example'],
    ['environment and file', {}, {TUNL_RELAY_DOMAIN: 'env.example'}, 'environment', 'env.example'],
    ['an empty variable', {}, {TUNL_RELAY_DOMAIN: ''}, 'file', 'file.example'],
  ])('%s', async (_what, flags, env, from, value) => {
    await using scope = new Scope();
    const config = await configOf(scope, 'domain: file.example');
    const {options, all} = await readRelayConfig({...flags, config}, env);
    expect(options.domain).toBe(value);
    expect(all.find(({name}) => name === 'domain')?.source.from).toBe(from);
  });

  test('without any the default', async () => {
    const {options, command, all} = await readRelayConfig({}, {});
    expect(options).toEqual({admin: true, workers: CONFIG_SETTINGS.workers.default, token: ''});
    expect(command).toEqual({drainTimeoutMs: 30_000, logFormat: 'text', logLevel: undefined});
    expect(all.every(({source}) => source.from === 'default')).toBe(true);
  });

  const file = 'token-file: file';
  test.each<
    [
      what: string,
      text: string,
      flags: RelayFlags,
      env: NodeJS.ProcessEnv,
      token: unknown,
      tokenFile: unknown,
    ]
  >([
    ['a token comes before a file of the file', file, {}, {TUNL_TOKEN: TOKEN}, TOKEN, undefined],
    ['a file of the file', file, {}, {}, undefined, expect.stringMatching(/^\/.*\/file$/)],
    [
      'a file of the environment comes before a token',
      file,
      {},
      {TUNL_TOKEN: TOKEN, TUNL_RELAY_TOKEN_FILE: 'env'},
      undefined,
      'env',
    ],
    ['a flag comes before a token', file, {'token-file': 'flag'}, {TUNL_TOKEN: TOKEN}, undefined, 'flag'],
    ['a token alone', '', {}, {TUNL_TOKEN: TOKEN}, TOKEN, undefined],
  ])('%s', async (_what, text, flags, env, token, tokenFile) => {
    await using scope = new Scope();
    const config = await configOf(scope, text);
    const {options} = await readRelayConfig({...flags, config}, env);
    expect([options.token || undefined, options.tokenFile]).toEqual([token, tokenFile]);
  });
});

describe('the environment', () => {
  test.each<[variable: string, text: string, name: keyof typeof CONFIG_SETTINGS, value: unknown]>([
    ['TUNL_RELAY_LISTEN_HTTP', '0.0.0.0:80', 'listenHttp', '0.0.0.0:80'],
    ['TUNL_RELAY_TRUSTED_SOURCE', '10.0.0.0/8, ::1', 'trustedSources', ['10.0.0.0/8', '::1']],
    ['TUNL_RELAY_TRUSTED_SOURCE', '10.0.0.0/8 ::1', 'trustedSources', ['10.0.0.0/8', '::1']],
    ['TUNL_RELAY_SHARED_H2', 'true', 'sharedH2', true],
    ['TUNL_RELAY_KEEP_LEASES', '0', 'keepLeases', false],
    ['TUNL_RELAY_MAX_LEASES_PER_OWNER', '7', 'maxLeasesPerOwner', 7],
    ['TUNL_RELAY_DRAIN_TIMEOUT', '5s', 'drainTimeoutMs', 5_000],
    [
      'TUNL_RELAY_OIDC_RULE',
      'sub=ana name:* tcp:20000-20100\nsub=bob name:bob\n',
      'oidcRules',
      ['sub=ana name:* tcp:20000-20100', 'sub=bob name:bob'],
    ],
  ])('%s=%s', async (variable, text, name, value) => {
    const {all} = await readRelayConfig({}, {[variable]: text});
    expect(all.find((each) => each.name === name)).toMatchObject({value, source: {variable}});
  });

  test('a mistake names the variable', async () => {
    const {mistakes} = await readRelayConfig({}, {TUNL_RELAY_WORKERS: 'many', TUNL_RELAY_LISTEN: 'x'});
    expect(mistakes.map(({message}) => message.split(':')[0])).toEqual([
      'TUNL_RELAY_LISTEN',
      'TUNL_RELAY_WORKERS',
    ]);
  });

  test('variables that are no settings are told, but not those of Kubernetes for a Service tunl-relay', () => {
    const env = {
      TUNL_RELAY_LISTN: 'x',
      TUNL_RELAY: 'x',
      TUNL_RELAY_CONFIG: 'x',
      TUNL_RELAY_SERVICE_HOST: 'x',
      TUNL_RELAY_SERVICE_PORT_HTTPS: 'x',
      TUNL_RELAY_PORT: 'tcp://10.0.0.1:443',
      TUNL_RELAY_PORT_443_TCP_ADDR: 'x',
    };
    expect(unknownVariables({...CONFIG_SETTINGS, ...ONLY_FLAGS}, env, VARIABLE_PREFIX)).toEqual([
      'The variable TUNL_RELAY_LISTN is no setting. Did you mean TUNL_RELAY_LISTEN?',
    ]);
  });

  test('no setting has a variable that Kubernetes sets', () => {
    const rows: readonly Setting<unknown>[] = Object.values({...CONFIG_SETTINGS, ...ONLY_FLAGS});
    const names = rows.flatMap((row) => keyOf(row) ?? []).map((key) => variableOf(VARIABLE_PREFIX, key));
    expect(names.filter((name) => /^TUNL_RELAY_(SERVICE_|PORT$|PORT_)/.test(name))).toEqual([]);
    expect(new Set(names).size).toBe(names.length);
  });
});

test('the output of `relay config` is a file with the same values, without secrets', async () => {
  await using scope = new Scope();
  const env = {
    TUNL_TOKEN: TOKEN,
    TUNL_RELAY_LISTEN: '[::]:443',
    TUNL_RELAY_TRUSTED_SOURCE: '::1,10.0.0.0/8',
    TUNL_RELAY_TCP_PORTS: '0',
    TUNL_RELAY_SHARED_H2: 'yes',
    TUNL_RELAY_CERT_FILE: '/a folder/with: colon #1.pem',
    TUNL_RELAY_VISITOR_WAIT: '1500ms',
  };
  const {all} = await readRelayConfig({}, env);
  for (const withSource of [true, false]) {
    const text = all.map((each) => settingLine(settingEvent(each, withSource))).join('\n');
    expect(text).not.toContain(TOKEN);
    const again = await readRelayConfig({config: await configOf(scope, text)}, {});
    expect(again.mistakes).toEqual([]);
    const given = ({name}: {name: string}) => name !== 'token';
    expect(again.all.filter(given).map(({name, value}) => [name, value])).toEqual(
      all.filter(given).map(({name, value}) => [name, value]),
    );
  }
});

test('the example has every setting, sets none, and each of its lines can be used', async () => {
  const text = exampleFile();
  const at = async (written: string) =>
    await readSettingsText(written, '/etc/tunl/relay.yaml', CONFIG_SETTINGS);
  expect(await at(text)).toMatchObject({values: new Map(), mistakes: []});
  const lines = text.match(/^# [a-z0-9-]+: \S.*$/gm) ?? [];
  const {values, mistakes} = await at(lines.map((line) => line.slice(2)).join('\n'));
  expect(mistakes).toEqual([]);
  const rows: [string, Setting<unknown>][] = Object.entries(CONFIG_SETTINGS);
  const names = rows.filter(([, row]) => keyOf(row) !== undefined).map(([name]) => name);
  expect([...values.keys()].sort()).toEqual(names.sort());
});

test('every kind reads what it shows', () => {
  for (const row of Object.values<Setting<unknown>>(CONFIG_SETTINGS)) {
    const value = row.default;
    if (value === undefined || typeof value === 'function' || isList(row.kind)) continue;
    expect(row.kind.parse(row.kind.show(value))).toEqual(value);
    expect(isSwitch(row.kind) || row.kind.placeholder !== '').toBe(true);
  }
});

describe('a check', () => {
  const giveCertificate = async (scope: Scope) => {
    const folder = await scope.tempDir();
    const [certFile, keyFile] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
    const {cert, key} = await selfSigned(['r1.localhost', '*.r1.localhost']);
    await writeFile(certFile, cert);
    await writeFile(keyFile, key);
    return {certFile, keyFile};
  };
  const check = async (config: string) => {
    const logged: string[] = [];
    const mistakes = await checkRelayConfig({config}, ({message}) => logged.push(message), {});
    return {mistakes: mistakes.map(({at, code}) => `${at?.line ?? '-'} ${code}`), logged};
  };

  test('reads the files that the configuration names', async () => {
    await using scope = new Scope();
    const folder = await scope.tempDir();
    const [one, other] = [await giveCertificate(scope), await giveCertificate(scope)];
    const config = join(folder, 'relay.yaml');
    const write = async (...lines: readonly string[]) => await writeFile(config, lines.join('\n'));
    await write('domain: r1.localhost', `cert-file: ${one.certFile}`, `key-file: ${one.keyFile}`);
    expect((await check(config)).mistakes).toEqual([]);
    await write(`cert-file: ${one.certFile}`, 'token-file: missing', `key-file: ${other.keyFile}`);
    expect((await check(config)).mistakes).toEqual(['2 FILE_UNREADABLE', '3 KEY_MISMATCH']);
    await write(`cert-file: ${one.certFile}`);
    expect((await check(config)).mistakes).toEqual(['- OPTION_INVALID']);
    await write('workers: 2', 'listen: 0.0.0.0:443');
    expect((await check(config)).mistakes).toEqual(['2 TOKEN_NEEDED']);
    await writeFile(join(folder, 'token'), '');
    await write('listen: 0.0.0.0:443', 'token-file: token');
    expect((await check(config)).mistakes).toEqual(['2 TOKEN_FILE_EMPTY']);
    await mkdir(join(folder, 'sub'));
    await writeFile(join(folder, 'sub/token'), `${TOKEN}\n`);
    await write('listen: 0.0.0.0:443', 'token-file: sub/token');
    expect((await check(config)).mistakes).toEqual([]);
  });
});
