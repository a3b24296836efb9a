// A configuration file with every kind of mistake: each has its place, a stable code, and no word of a secret.

import {chmod, mkdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {describe, expect, test} from 'vitest';
import {MAX_CONFIG_BYTES} from '../../../../src/lib/cli/config/config-text.js';
import {located} from '../../../../src/lib/cli/config/mistake.js';
import {readSettingsFile, readSettingsText} from '../../../../src/lib/cli/config/settings-file.js';
import {CONFIG_SETTINGS} from '../../../../src/lib/cli/relay-flags.js';
import {run} from '../../../helpers/child.js';
import {Scope} from '../../../helpers/scope.js';

const read = async (text: string) => await readSettingsText(text, '/etc/tunl/relay.yaml', CONFIG_SETTINGS);

const SECRET = 'this-is-the-secret-of-the-relay';

describe('a mistake', () => {
  test.each<[what: string, text: string, mistakes: readonly string[]]>([
    [
      'an unknown key',
      'listn: 0.0.0.0:443\n',
      ['1:1 CONFIG_KEY There is no setting "listn". Did you mean listen?'],
    ],
    [
      'a key in camel case',
      'listenHttp: x',
      ['1:1 CONFIG_KEY There is no setting "listenHttp". Did you mean listen-http?'],
    ],
    ['a key like nothing', 'zzzzzz: x', ['1:1 CONFIG_KEY There is no setting "zzzzzz".']],
    [
      'the name of a library option',
      'visitorWaitMs: 1',
      ['1:1 CONFIG_KEY There is no setting "visitorWaitMs". Did you mean visitor-wait?'],
    ],
    [
      'a key of an object',
      '__proto__: 1\nconstructor: 2',
      [
        '1:1 CONFIG_KEY There is no setting "__proto__".',
        '2:1 CONFIG_KEY There is no setting "constructor".',
      ],
    ],
    ['a setting of programs', 'stateDir: /tmp', ['1:1 CONFIG_KEY There is no setting "stateDir".']],
    [
      'the same key twice',
      'workers: 2\nlisten: 127.0.0.1:0\nworkers: 3',
      ['3:1 CONFIG_KEY "workers" is set twice; the first time in line 1.'],
    ],
    [
      'a secret',
      `token: ${SECRET}`,
      ['1:1 CONFIG_SECRET "token" is a secret, which does not belong in this file.'],
    ],
    ['a text for a number', 'workers: many', ['1:10 OPTION_INVALID workers: "many" is not possible.']],
    ['a number out of range', 'workers: 0', ['1:10 OPTION_INVALID workers: "0" is not possible.']],
    [
      'a port out of range',
      '\npublic-port: 70000',
      ['2:14 PORT_RANGE public-port: The port 70000 is outside 1–65535.'],
    ],
    [
      'a time without a unit',
      'visitor-wait: 20',
      ['1:15 OPTION_INVALID visitor-wait: "20" is not a duration.'],
    ],
    [
      'a list for one value',
      'workers: [1, 2]',
      ['1:1 CONFIG_VALUE workers is a list, but it has one value.'],
    ],
    [
      'settings below a setting',
      'listen:\n  host: ::1',
      ['2:3 CONFIG_VALUE listen has settings or lists below it.'],
    ],
    [
      'a list in a list',
      'trusted-source: [[a]]',
      ['1:18 CONFIG_VALUE trusted-source has settings or lists below it.'],
    ],
    [
      'one wrong value in a list',
      'trusted-source:\n  - 10.0.0.0/8\n  - nonsense',
      ['3:5 OPTION_INVALID trusted-source: "nonsense" is neither an address nor a range of addresses.'],
    ],
    [
      'no value',
      'listen:\ndomain: ~\ntcp-host: null',
      [
        '1:8 CONFIG_VALUE listen has no value.',
        '2:9 CONFIG_VALUE domain has no value.',
        '3:11 CONFIG_VALUE tcp-host has no value.',
      ],
    ],
    ['several lines', 'domain: |\n  a.example\n  b.example', ['1:9 CONFIG_VALUE domain has several lines.']],
    ['a tab', 'trusted-source:\n\t- 10.0.0.0/8', ['2:1 CONFIG_SYNTAX A tab cannot indent a line.']],
    [
      'a line that is indented',
      'workers: 2\n  listen: ::1',
      ['1:10 CONFIG_SYNTAX A value is followed by lines that are indented more.'],
    ],
    [
      'a missing quote',
      'domain: "r1.example',
      ['1:20 CONFIG_SYNTAX A colon, a comma, or a closing quote or bracket is missing.'],
    ],
    [
      'a missing bracket',
      'trusted-source: [10.0.0.0/8',
      ['1:28 CONFIG_SYNTAX The indentation is wrong, or a closing bracket is missing.'],
    ],
    [
      'brackets without quotes',
      'listen: [::]:443',
      ['1:13 CONFIG_SYNTAX Something follows where the value has ended.'],
    ],
    [
      'a line without a colon',
      'workers: 2\nreuse-port',
      ['2:1 CONFIG_SYNTAX A colon, a comma, or a closing quote or bracket is missing.'],
    ],
    ['another format', 'workers=2', ['1:1 CONFIG_SYNTAX The file is not a list of settings.']],
    ['a list', '- workers: 2', ['1:1 CONFIG_SYNTAX The file is not a list of settings.']],
    [
      'two documents',
      'workers: 2\n---\nworkers: 3',
      ['2:1 CONFIG_SYNTAX The file has more than one document.'],
    ],
    ['an alias', 'tcp-host: &a ::1\ndomain: *a', ['2:9 CONFIG_SYNTAX domain is an alias (*name).']],
    [
      'a merge',
      'x: &a {workers: 2}\n<<: *a',
      ['1:7 CONFIG_VALUE x has settings or lists below it.', '2:5 CONFIG_SYNTAX << is an alias (*name).'],
    ],
    [
      'a tag',
      'workers: !!int 2\ndomain: !!js/function f',
      ['1:16 CONFIG_SYNTAX workers has a tag (!name).', '2:23 CONFIG_SYNTAX domain has a tag (!name).'],
    ],
    [
      'a key that is no text',
      '? [a]\n: b\n? {c: d}\n: e',
      [
        '1:3 CONFIG_SYNTAX A key is the name of a setting.',
        '3:3 CONFIG_SYNTAX A key is the name of a setting.',
      ],
    ],
  ])('%s', async (_what, text, mistakes) => {
    const file = await read(text);
    const found = file.mistakes.map(({at, code, message}) => `${at?.line}:${at?.column} ${code} ${message}`);
    expect(found).toEqual(mistakes);
    expect(JSON.stringify(file.mistakes)).not.toContain(SECRET);
  });

  test('is told with all others, in the order of the file', async () => {
    const file = await read('listn: 1\nworkers: many\ntoken: x\nvisitor-wait: 1y\nworkers: 2\n');
    expect(file.mistakes.map(({at}) => at?.line)).toEqual([1, 2, 3, 4, 5]);
    expect(located('relay.yaml', file.mistakes[1] as never)).toBe(
      'relay.yaml:2:10: workers: "many" is not possible.',
    );
    expect(file.values.size).toBe(0);
  });

  test.each([
    [
      'aliases of aliases',
      ['a: &a [x, x]', ...Array.from({length: 30}, (_, at) => `${at}: &b${at} [*a, *a]`)].join('\n'),
    ],
    ['flow lists in flow lists', `a: ${'['.repeat(200_000)}`],
    ['block lists in block lists', '- '.repeat(100_000)],
    ['mappings in mappings', `a: ${'{a: '.repeat(50_000)}`],
    ['very many keys', Array.from({length: 25_000}, (_, at) => `k${at}: v`).join('\n')],
    ['one key very often', 'k: v\n'.repeat(40_000)],
  ])('%s are refused, and the parser comes back', async (_what, text) => {
    expect((await read(text)).mistakes.length).toBeGreaterThan(0);
  });

  test('of syntax is told without the text around it', async () => {
    const {mistakes} = await read(`token: "${SECRET}\nlisten: [::]:443 ${SECRET}\n\t${SECRET}: ${SECRET}`);
    expect(mistakes.length).toBeGreaterThan(0);
    expect(JSON.stringify(mistakes)).not.toContain(SECRET);
  });
});

describe('values', () => {
  test.each<[text: string, name: keyof typeof CONFIG_SETTINGS, value: unknown]>([
    ['listen: 0.0.0.0:443', 'listen', '0.0.0.0:443'],
    ['listen: "[::]:443"', 'listen', '[::]:443'],
    ['{"listen": "[::]:443"}', 'listen', '[::]:443'],
    ['workers: 4', 'workers', 4],
    ['workers: "4"', 'workers', 4],
    ['shared-h2: yes', 'sharedH2', true],
    ['reuse-port: off', 'reusePort', false],
    ['keep-leases: no', 'keepLeases', false],
    ['visitor-wait: 1h30m # a comment', 'visitorWaitMs', undefined],
    ['visitor-wait: 1m30s # a comment', 'visitorWaitMs', 90_000],
    ['tcp-ports: 20000-20999', 'tcpPorts', [20_000, 20_999]],
    ['trusted-source: 10.0.0.0/8', 'trustedSources', ['10.0.0.0/8']],
    ['trusted-source: [10.0.0.0/8, "::1"]', 'trustedSources', ['10.0.0.0/8', '::1']],
    ['trusted-source: []', 'trustedSources', []],
    [
      'successor:\n  - https://r2.example\n  - https://r3.example',
      'successors',
      ['https://r2.example', 'https://r3.example'],
    ],
    ['cert-file: fullchain.pem', 'certFile', '/etc/tunl/fullchain.pem'],
    ['cert-file: ../certs/a.pem', 'certFile', '/etc/certs/a.pem'],
    ['cert-file: /srv/a.pem', 'certFile', '/srv/a.pem'],
    ['\ufeffdomain: r1.example\r\n', 'domain', 'r1.example'],
    ['max-leases-per-owner: 5', 'maxLeasesPerOwner', 5],
    ['drain-timeout: 5s', 'drainTimeoutMs', 5_000],
  ])('%j', async (text, name, value) => {
    const {values, mistakes} = await read(text);
    expect(values.get(name)?.value).toEqual(value);
    expect(mistakes.length).toBe(value === undefined ? 1 : 0);
  });

  test.each(['', '\n', '# nothing\n', '---\n', '{}'])('a file that sets nothing: %j', async (text) => {
    expect(await read(text)).toMatchObject({values: new Map(), mistakes: []});
  });
});

describe('a file', () => {
  const code = async (path: string) =>
    await readSettingsFile(path, CONFIG_SETTINGS).then(
      () => 'read',
      (error: {code: string}) => error.code,
    );

  test.each<[what: string, bytes: Buffer | string, code: string]>([
    ['as large as allowed', '#'.repeat(MAX_CONFIG_BYTES), 'read'],
    ['that is larger', '#'.repeat(MAX_CONFIG_BYTES + 1), 'CONFIG_SYNTAX'],
    ['of 10 MB', Buffer.alloc(10_000_000, 'workers: 2\n'), 'CONFIG_SYNTAX'],
    ['with bytes that are no text', Buffer.from('workers: 2\0'), 'CONFIG_SYNTAX'],
    ['in another encoding', Buffer.from('domain: b\xfccher.example', 'latin1'), 'CONFIG_SYNTAX'],
    ['in UTF-16', Buffer.from('\ufeffworkers: 2', 'utf16le'), 'CONFIG_SYNTAX'],
  ])('%s', async (_what, bytes, expected) => {
    await using scope = new Scope();
    const path = join(await scope.tempDir(), 'relay.yaml');
    await writeFile(path, bytes);
    expect(await code(path)).toBe(expected);
  });

  test('that is not there, not a file, or not readable', async () => {
    await using scope = new Scope();
    const folder = await scope.tempDir();
    const path = join(folder, 'relay.yaml');
    expect(await code(path)).toBe('FILE_UNREADABLE');
    await mkdir(path);
    expect(await code(path)).toBe('FILE_UNREADABLE');
    const pipe = join(folder, 'pipe');
    await run(scope, 'mkfifo', [pipe]);
    expect(await code(pipe)).toBe('FILE_UNREADABLE');
    expect(await code('/dev/zero')).toBe('FILE_UNREADABLE');
    const closed = join(folder, 'closed.yaml');
    await writeFile(closed, 'workers: 2');
    await chmod(closed, 0);
    // Root may read everything.
    if (process.getuid?.() !== 0) expect(await code(closed)).toBe('FILE_UNREADABLE');
  });
});
