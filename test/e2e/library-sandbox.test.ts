// The examples of docs/sandbox.md run unchanged, as root and as an ordinary user, through a relay in another process.

import {chmod, chown, mkdir, readFile, symlink, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {beforeAll, expect, test} from 'vitest';
import {run} from '../helpers/child.js';
import {projectRoot} from '../helpers/cli.js';
import {type RelayProcess, startRelayProcess} from '../helpers/relay.js';
import {Scope} from '../helpers/scope.js';

const isRoot = process.getuid?.() === 0;
/** An ordinary user without an account, when the tests run as root. */
const USER = 21_212;
const AS_USER = isRoot ? ['setpriv', `--reuid=${USER}`, `--regid=${USER}`, '--clear-groups', '--'] : [];

/** By heading: all that the example prints. */
const PRINTS: Readonly<Record<string, RegExp>> = {
  'The first one':
    /^https:\/\/([a-z2-7]{26}\.r1\.localhost):(\d+) \[ '\1', \2 \]\nPython 3\.\d+\.\d+\n\n\{ code: 0 \}\n$/,
  Ports: /^ready\n$/,
  'More programs inside': /^apple\npear\n\{ code: 0 \}\n\{ signal: 'SIGKILL', timedOut: true \}\n$/,
  Files: /^hello\nin\.txt 5\n$/,
  'How long it lives': /^idle Nobody used it for its idle time\.\n$/,
  Network: /^\{ kind: 'none' \}\n$/,
};

const scope = new Scope();
let relay: RelayProcess;
beforeAll(async () => {
  relay = await startRelayProcess(scope);
  return async () => await scope[Symbol.asyncDispose]();
});

async function examples(): Promise<Map<string, string>> {
  const page = await readFile(join(projectRoot, 'docs/sandbox.md'), 'utf8');
  const sections = page.split(/^## /m).slice(1);
  return new Map(
    sections.flatMap((section) => {
      const [heading = ''] = section.split('\n', 1);
      return [...section.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code = '']) => [heading, code] as const);
    }),
  );
}

test('every example has its output here', async () => {
  expect([...(await examples()).keys()]).toEqual(Object.keys(PRINTS));
});

const everybody = [['as an ordinary user', AS_USER] as const, ...(isRoot ? [['as root', []] as const] : [])];
const cases = everybody.flatMap(([who, words]) =>
  Object.keys(PRINTS).map((name) => [name, who, words] as const),
);

test.each(cases)('%s, %s', async (name, _who, words) => {
  await using own = new Scope();
  const folder = await own.tempDir('example');
  const state = join(folder, 'state');
  await mkdir(join(folder, 'node_modules'));
  await symlink(projectRoot, join(folder, 'node_modules/tunl'));
  const file = join(folder, 'example.mts');
  await writeFile(file, (await examples()).get(name) ?? '');
  // The user who runs it can read the relay's CA and has a state folder.
  await writeFile(join(folder, 'ca.pem'), await readFile(relay.caFile));
  await mkdir(state, {mode: 0o700});
  if (words.length > 0) await chown(state, USER, USER);
  await chmod(folder, 0o755);
  const [program = process.execPath, ...args] = [...words, process.execPath, file];
  const ended = await run(own, program, args, {
    cwd: folder,
    env: {...relay.env, TUNL_CA_FILE: join(folder, 'ca.pem'), TUNL_STATE_DIR: state},
  });
  expect(ended).toMatchObject({code: 0, stderr: ''});
  expect(ended.stdout).toMatch(PRINTS[name] as RegExp);
});
