// Key files of users, good and bad. ssh-keygen decides what is right.
import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import fc from 'fast-check';
import {describe, expect} from 'vitest';
import {parseKeyList} from '../../../../src/lib/launch/ssh/key-list.js';
import {fingerprintOf, formatKey, parseKeyLine} from '../../../../src/lib/launch/ssh/public-key.js';
import {run} from '../../../helpers/child.js';
import {makeKey} from '../../../helpers/ssh.js';
import {test} from '../../../helpers/test.js';

const ED = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBAlJkkHNYtKQPVoD8Nmt9L0rZ57UhVXk2YqgyZbmGkz';
const FILE = {source: '~/keys', allowOptions: true};
const parse = (text: string, options = FILE) => parseKeyList(text, options);

describe('keys that OpenSSH makes', () => {
  for (const [type, ...args] of [
    ['ed25519'],
    ['rsa', '-b', '2048'],
    ['rsa', '-b', '3072'],
    ['ecdsa', '-b', '256'],
    ['ecdsa', '-b', '384'],
    ['ecdsa', '-b', '521'],
  ] as const) {
    test(`${type} ${args.join(' ')}`, async ({scope}) => {
      const {path, publicKey} = await makeKey(scope, type, ...args);
      const [key] = parse(publicKey).keys;
      expect(key && formatKey(key)).toBe(publicKey);
      const {stdout} = await run(scope, 'ssh-keygen', ['-lf', `${path}.pub`]);
      expect(stdout).toContain(key && fingerprintOf(key));
    });
  }

  test('a key of a security key', async ({scope}) => {
    const field = (data: string | Buffer) => {
      const size = Buffer.alloc(4);
      size.writeUInt32BE(data.length);
      return Buffer.concat([size, Buffer.from(data)]);
    };
    const type = 'sk-ssh-ed25519@openssh.com';
    const blob = Buffer.concat([field(type), field(Buffer.alloc(32, 9)), field('ssh:')]).toString('base64');
    expect(parse(`${type} ${blob} token`).keys).toHaveLength(1);
    const file = join(await scope.tempDir(), 'key.pub');
    await writeFile(file, `${type} ${blob}\n`);
    expect((await run(scope, 'ssh-keygen', ['-lf', file])).code).toBe(0);
  });
});

describe('files', () => {
  test('comments, blank lines, DOS line ends, a byte order mark, no line end, a key twice', () => {
    const {keys, notices} = parse(`\uFEFF# mine\r\n\r\n  ${ED} a@b\r\n${ED} again`);
    expect(keys.map((key) => key.comment)).toEqual(['a@b']);
    expect(notices).toEqual([]);
  });

  test('options stay as they are', () => {
    const options = 'restrict,command="echo \\"a b\\", c",permitopen="host:80"';
    const [key] = parse(`${options} ${ED} c`).keys;
    expect(key && formatKey(key)).toBe(`${options} ${ED} c`);
  });

  test('options only from the user’s own files', () => {
    expect(() => parse(`restrict ${ED}`, {source: 'github.com/x', allowOptions: false})).toThrow(
      'github.com/x, line 1 has options before its key.',
    );
  });

  test('from="…" is kept, with a warning', () => {
    const {keys, notices} = parse(`from="10.0.0.0/8" ${ED}`);
    expect(keys).toHaveLength(1);
    expect(notices.join()).toContain('every visitor comes from 127.0.0.1');
  });

  test('keys that sshd would refuse are left out and named', async ({scope}) => {
    const weak = await makeKey(scope, 'rsa', '-b', '1024');
    const {keys, notices} = parse(`${weak.publicKey}\nssh-dss AAAAB3NzaC1kc3M= old\n${ED}`);
    expect(keys).toHaveLength(1);
    expect(notices).toEqual([
      '~/keys, line 1 is left out: an RSA key of 1024 bits is too weak.',
      '~/keys, line 2 is left out: sshd takes no keys of the kind ssh-dss any more.',
    ]);
    expect(() => parse(weak.publicKey)).toThrow(/holds no key that can be used.*1024 bits/);
  });
});

describe('files that are no key files', () => {
  const rejected = (text: string) => {
    try {
      parse(text);
    } catch (error) {
      return error;
    }
    throw new Error('accepted');
  };

  test('private keys, in every form', () => {
    // Composed here, so that a search for leaked keys finds none in this file.
    const pem = (...kind: string[]) => `-----BEGIN ${[...kind, 'PRIVATE'].join(' ')} KEY-----`;
    for (const start of [
      pem('OPENSSH'),
      pem('RSA'),
      pem('ENCRYPTED'),
      `\n\n${pem('EC')}`,
      pem('PGP').replace('KEY', 'KEY BLOCK'),
      'PuTTY-User-Key-File-3: ssh-ed25519',
    ]) {
      expect(rejected(`${start}\nSECRET\n`)).toMatchObject({code: 'KEY_PRIVATE'});
      expect(rejected(`${ED}\n${start.trim()}\nSECRET\n`)).toMatchObject({code: 'KEY_PRIVATE'});
    }
  });

  test('other things', () => {
    const cases: [string, RegExp][] = [
      ['', /holds no key/],
      ['# nothing\n\n', /holds no key/],
      ['hello world', /line 1 is no public key: it starts with no known kind/],
      [`${ED}\n<html>`, /line 2/],
      [ED.slice(0, -6), /cut off or altered/],
      [`${ED.slice(0, 40)}\n${ED.slice(40)}`, /line 1 .*cut off/],
      [ED.replace('ssh-ed25519', 'ssh-rsa'), /cut off or altered/],
      ['ssh-ed25519', /not base64/],
      ['ssh-ed25519 %%%', /not base64/],
      [`command="x ${ED}`, /quote that does not end/],
      [`rm -rf / ${ED}`, /no known kind/],
      [`a="b"c ${ED}`, /not well-formed/],
      [Buffer.from(`\uFEFF${ED}`, 'utf16le').toString('latin1'), /not plain text/],
      ['---- BEGIN SSH2 PUBLIC KEY ----\n', /another format/],
      ['-----BEGIN PUBLIC KEY-----\n', /another format/],
    ];
    for (const [text, why] of cases) {
      expect(rejected(text)).toMatchObject({code: 'KEY_INVALID', message: expect.stringMatching(why)});
    }
  });

  test('more keys than sshd could read through at each login', () => {
    const many = Array.from({length: 10_001}, (_, i) => {
      const body = Buffer.alloc(51);
      body.write('0000000b7373682d6564323535313900000020', 'hex');
      body.writeUInt32BE(i, 19);
      return `ssh-ed25519 ${body.toString('base64')}`;
    });
    expect(rejected(many.join('\n'))).toMatchObject({code: 'KEY_INVALID'});
    expect(parse(many.slice(1).join('\n')).keys).toHaveLength(10_000);
  });

  test('reasons never contain text of the file', () => {
    const secret = 'hunter2hunter2';
    expect(String(rejected(`${secret} ${secret}`))).not.toContain(secret);
    expect(String(rejected(`ssh-ed25519 ${secret}!`))).not.toContain(secret);
  });
});

test('any line is either a key that is written unchanged, or no key', () => {
  const line = fc.oneof(
    fc.string(),
    fc.tuple(fc.nat(ED.length - 1), fc.string({minLength: 1, maxLength: 1})).map(([at, char]) => {
      return ED.slice(0, at) + char + ED.slice(at + 1);
    }),
  );
  fc.assert(
    fc.property(line, (text) => {
      const parsed = parseKeyLine(text);
      if (parsed.kind !== 'key') return;
      expect(parseKeyLine(formatKey(parsed.key))).toEqual(parsed);
      expect(formatKey(parsed.key)).not.toMatch(/[\r\n]/);
    }),
    {numRuns: 2_000},
  );
});
