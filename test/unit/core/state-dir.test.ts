import {chmod, type link, mkdir, readdir, readFile, stat, utimes, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {describe, expect} from 'vitest';
import {
  ensurePrivateDir,
  linkNew,
  readSecretFile,
  removeOldDrafts,
  stateDir,
  writeFileAtomic,
} from '../../../src/lib/core/state-dir.js';
import {Scope} from '../../helpers/scope.js';
import {test} from '../../helpers/test.js';

const modeOf = async (path: string) => (await stat(path)).mode & 0o777;

describe('stateDir', () => {
  test.each<[NodeJS.Platform, Record<string, string>, string]>([
    ['linux', {HOME: '/h', TUNL_STATE_DIR: '/t', XDG_STATE_HOME: '/x'}, '/t'],
    ['linux', {HOME: '/h', TUNL_STATE_DIR: '', XDG_STATE_HOME: '/x'}, '/x/tunl'],
    ['linux', {HOME: '/h', XDG_STATE_HOME: ''}, '/h/.local/state/tunl'],
    ['linux', {HOME: '/h', XDG_STATE_HOME: 'relative'}, '/h/.local/state/tunl'],
    ['linux', {HOME: '/h'}, '/h/.local/state/tunl'],
    ['freebsd', {HOME: '/h'}, '/h/.local/state/tunl'],
    ['darwin', {HOME: '/h', XDG_STATE_HOME: '/x'}, '/h/Library/Application Support/tunl'],
    ['linux', {HOME: '/h', TUNL_STATE_DIR: '~/x'}, '/h/x'],
    ['linux', {HOME: '/h', TUNL_STATE_DIR: '~'}, '/h'],
    ['linux', {HOME: '/h', TUNL_STATE_DIR: '/t/~/x'}, '/t/~/x'],
    ['win32', {HOME: '/h', LOCALAPPDATA: '/l'}, '/l/tunl'],
    ['win32', {HOME: '/h'}, '/h/AppData/Local/tunl'],
  ])('%s %j', (platform, env, path) => {
    expect(stateDir(env, platform)).toBe(path);
  });

  test('is absolute, because its paths are printed for use elsewhere', () => {
    expect(stateDir({TUNL_STATE_DIR: 'here'})).toBe(join(process.cwd(), 'here'));
    expect(stateDir({})).toMatch(/^\/.*tunl$/);
  });
});

test('a folder that cannot be made is an error at once', {skip: process.platform !== 'linux'}, async () => {
  for (const path of ['/proc/tunl', '/proc/tunl/ca', '/dev/null/tunl'])
    await expect(ensurePrivateDir(path)).rejects.toMatchObject({code: 'STATE_DIR'});
});

test('several processes can make the same folders at the same time', async ({scope}) => {
  const path = join(await scope.tempDir(), 'a', 'b', 'c');
  await Promise.all(Array.from({length: 20}, () => ensurePrivateDir(path)));
  expect(await modeOf(path)).toBe(0o700);
});

test('new folders are private, existing ones keep their mode', async ({scope}) => {
  const root = await scope.tempDir();
  await chmod(root, 0o755);
  await ensurePrivateDir(join(root, 'a', 'b'));
  expect(await modeOf(join(root, 'a'))).toBe(0o700);
  expect(await modeOf(join(root, 'a', 'b'))).toBe(0o700);
  await ensurePrivateDir(root);
  expect(await modeOf(root)).toBe(0o755);
});

test('a folder that cannot be made is an error that names it', async ({scope}) => {
  const root = await scope.tempDir();
  await writeFile(join(root, 'file'), '');
  const path = join(root, 'file', 'below');
  await expect(ensurePrivateDir(path)).rejects.toMatchObject({
    code: 'STATE_DIR',
    message: expect.stringContaining(path),
  });
});

describe('writeFileAtomic', () => {
  test('writes a private file, replaces it, and leaves no other file', async ({scope}) => {
    const root = await scope.tempDir();
    const path = join(root, 'file');
    await writeFileAtomic(path, 'one');
    expect(await modeOf(path)).toBe(0o600);
    await chmod(path, 0o644);
    await writeFileAtomic(path, Buffer.from('two'));
    expect(await readFile(path, 'utf8')).toBe('two');
    expect(await modeOf(path)).toBe(0o600);
    await writeFileAtomic(join(root, 'public'), 'x', 0o644);
    expect(await modeOf(join(root, 'public'))).toBe(0o644);
    expect((await readdir(root)).sort()).toEqual(['file', 'public']);
  });

  test('many writers at once: a reader sees one complete version', async ({scope}) => {
    const path = join(await scope.tempDir(), 'file');
    const texts = Array.from({length: 20}, (_, i) => String.fromCharCode(97 + i).repeat(200_000));
    await writeFileAtomic(path, texts[0] ?? '');
    const writing = Promise.all(texts.map((text) => writeFileAtomic(path, text)));
    const seen = await Promise.all(texts.map(() => readFile(path, 'utf8')));
    await writing;
    for (const text of [...seen, await readFile(path, 'utf8')]) expect(texts.includes(text)).toBe(true);
  });

  test('a failure leaves the old file and no draft', async ({scope}) => {
    const root = await scope.tempDir();
    await mkdir(join(root, 'taken', 'by'), {recursive: true});
    await expect(writeFileAtomic(join(root, 'taken'), 'x')).rejects.toMatchObject({code: 'STATE_DIR'});
    await expect(writeFileAtomic(join(root, 'none', 'file'), 'x')).rejects.toMatchObject({code: 'STATE_DIR'});
    expect(await readdir(root)).toEqual(['taken']);
  });
});

test('old drafts of a file are removed; young ones and other files stay', async ({scope}) => {
  const root = await scope.tempDir();
  const draft = (id: string, of = 'table.json') => `${of}.${id}-1111-2222-3333-444444444444`;
  const names = [
    draft('aaaaaaaa'),
    draft('bbbbbbbb'),
    draft('cccccccc', 'other.json'),
    'table.json',
    'table.json.bak',
  ];
  for (const name of names) await writeFile(join(root, name), 'x');
  const longAgo = Date.now() / 1000 - 120;
  for (const name of names.filter((each) => !each.includes('bbbbbbbb'))) {
    await utimes(join(root, name), longAgo, longAgo);
  }
  await removeOldDrafts(join(root, 'table.json'));
  expect((await readdir(root)).sort()).toEqual(names.filter((each) => !each.includes('aaaaaaaa')).sort());
  await removeOldDrafts(join(root, 'none', 'table.json'));
});

describe('readSecretFile', () => {
  test.each([
    ['secret', 'secret'],
    ['secret\n', 'secret'],
    ['  secret \r\nsecond line\n', 'secret'],
    ['\ufeffsecret\n', 'secret'],
  ])('%j', async (text, secret) => {
    await using scope = new Scope();
    const path = join(await scope.tempDir(), 'token');
    await writeFile(path, text);
    expect(await readSecretFile(path)).toBe(secret);
  });

  test.for([
    ['relay token', 'TOKEN_FILE_EMPTY', 'no token', '16 or more characters'],
    ['token', 'TOKEN_FILE_EMPTY', 'no token', 'Put the token on its first line.'],
    ['password', 'PASSWORD_FILE_EMPTY', 'no password', 'Put the password on its first line.'],
  ] as const)(
    'the error for an empty file names its purpose (%s)',
    async ([kind, code, what, next], {scope}) => {
      const path = join(await scope.tempDir(), 'secret');
      await writeFile(path, '\n');
      await expect(readSecretFile(path, kind)).rejects.toMatchObject({
        code,
        message: expect.stringContaining(what),
        next: expect.stringContaining(next),
      });
    },
  );

  test('names the file, and shows nothing of its content', async ({scope}) => {
    const root = await scope.tempDir();
    const path = join(root, 'token');
    await expect(readSecretFile(path)).rejects.toMatchObject({
      code: 'FILE_UNREADABLE',
      message: expect.stringContaining(path),
    });
    await expect(readSecretFile(root)).rejects.toMatchObject({code: 'FILE_UNREADABLE'});
    for (const text of ['', '\n', '  \nhidden']) {
      await writeFile(path, text);
      const error = await readSecretFile(path).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({code: 'TOKEN_FILE_EMPTY'});
      expect(String(error)).not.toContain('hidden');
    }
  });
});

test.for(['EPERM', 'ENOTSUP', 'EMLINK'])(
  'without hard links (%s) a new file is renamed to its place, and an existing one stays',
  async (code, {scope}) => {
    const folder = await scope.tempDir();
    const draft = async (text: string) => {
      await writeFile(join(folder, 'draft'), text);
      return join(folder, 'draft');
    };
    const refused: typeof link = async () => {
      throw Object.assign(new Error(code), {code});
    };
    const path = join(folder, 'file');
    await linkNew(await draft('first'), path, refused);
    expect(await readFile(path, 'utf8')).toBe('first');
    await linkNew(await draft('second'), path, refused);
    await linkNew(await draft('third'), path);
    expect(await readFile(path, 'utf8')).toBe('first');
  },
);
