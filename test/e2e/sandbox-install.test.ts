// `npm i` and `pip install` in a sandbox whose network is a list of two names: the registry, and where its files are.

import {execFileSync} from 'node:child_process';
import {realpathSync} from 'node:fs';
import {chmod, cp, writeFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import {createAuthority} from '../helpers/certificates.js';
import {Child, run} from '../helpers/child.js';
import {installed} from '../helpers/launching.js';
import {twoHosts} from '../helpers/net-ns.js';
import {type Box, BUBBLEWRAP, SandboxDriver} from '../helpers/sandboxes.js';
import {Scope} from '../helpers/scope.js';

const REGISTRY = '203.0.113.20';
const NAMES = ['registry.example', 'files.example', 'elsewhere.example'] as const;
/** Every sandbox has it. */
const NODE = '/opt/tunl/bin/node';
const ALLOWED = ['registry.example', 'files.example'];
/** The folder of the npm that this machine has. */
const NPM = dirname(dirname(realpathSync(execFileSync('which', ['npm'], {encoding: 'utf8'}).trim())));
/** Runs pip with the Python that every sandbox sees. */
const PIP =
  'import sys; sys.path.insert(0, sys.argv.pop(1)); from pip._internal.cli.main import main; sys.exit(main())';

const scope = new Scope();
let registry: Child;
let files: string;
let namespace: string;

beforeAll(async () => {
  files = await scope.tempDir('registry');
  await chmod(files, 0o755);
  const file = async (name: string, text: string) => {
    const path = join(files, name);
    await writeFile(path, text, {mode: 0o644});
    return path;
  };
  // Every user may read it there.
  const {stdout} = await run(scope, installed.python, ['-c', 'import pip; print(pip.__path__[0])']);
  await cp(stdout.trim(), join(files, 'pip'), {recursive: true});
  const authority = await createAuthority();
  const {cert, key} = await authority.issue(NAMES);
  await file('ca.pem', authority.cert);
  const {one: machine, two: internet} = await twoHosts(scope);
  namespace = machine.namespace;
  const device =
    /^\d+: ([^@:]+)/.exec(await internet.run('ip', '-o', 'link', 'show', 'type', 'veth'))?.[1] ?? '';
  await internet.run('ip', 'address', 'add', `${REGISTRY}/32`, 'dev', device);
  await machine.run('ip', 'route', 'add', 'default', 'via', internet.address);
  await writeFile(`/etc/netns/${namespace}/hosts`, NAMES.map((name) => `${REGISTRY} ${name}\n`).join(''));
  const words = [await file('cert.pem', cert), await file('key.pem', key), REGISTRY];
  const script = fileURLToPath(new URL('../helpers/package-registry.js', import.meta.url));
  registry = Child.start(scope, process.execPath, [script, ...words], {namespace: internet.namespace});
  await registry.line((line) => line === 'up');
});

afterAll(() => scope[Symbol.asyncDispose]());

describe.each<[string, readonly string[]]>([
  ['root', []],
  ['an ordinary user', ['setpriv', '--reuid=21212', '--regid=21212', '--clear-groups', '--']],
])('as %s', (_who, user) => {
  let box: Box;

  beforeAll(async () => {
    const driver = new SandboxDriver(scope, {
      ...BUBBLEWRAP,
      as: ['ip', 'netns', 'exec', namespace, ...user],
    });
    const mounts = [files, NPM]
      // /usr is there in every sandbox.
      .filter((source) => !source.startsWith('/usr/'))
      .map((source) => ({source, target: source, readOnly: true}));
    box = await driver.create({
      command: ['sleep', 'infinity'],
      mounts,
      egress: {kind: 'list', allow: ALLOWED.map((host) => ({host, port: 443}))},
    });
  });

  const npm = (name: string) => {
    const quiet = ['--no-audit', '--no-fund', '--fetch-retries=0', '--no-update-notifier'];
    const from = [`--registry=https://${name}/`, `--cafile=${files}/ca.pem`];
    return box.run([NODE, join(NPM, 'bin/npm-cli.js'), 'i', 'wanted', ...from, ...quiet]);
  };
  const pip = (name: string) => {
    const quiet = ['--retries=0', '--disable-pip-version-check', '--target=site'];
    const from = ['--index-url', `https://${name}/simple`, '--cert', `${files}/ca.pem`];
    return box.run(['python3', '-c', PIP, files, '--isolated', 'install', 'wanted', ...from, ...quiet]);
  };

  test('npm i installs a package and what it needs', async () => {
    expect(await npm('registry.example')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('added 2 packages'),
    });
    const ran = await box.run([NODE, '-p', "require('wanted')"]);
    expect(ran).toMatchObject({code: 0, stdout: '42\n'});
  });

  test('pip install installs a package and what it needs', async () => {
    expect(await pip('registry.example')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('Successfully installed needed-1.0 wanted-1.0'),
    });
    const script = 'import sys; sys.path.insert(0, "site"); import wanted; print(wanted.answer)';
    expect(await box.run(['python3', '-c', script])).toMatchObject({code: 0, stdout: '42\n'});
  });

  test('from a name that is not in the list neither gets anything', async () => {
    const before = registry.lines.length;
    expect((await npm('elsewhere.example')).code).not.toBe(0);
    expect((await pip('elsewhere.example')).code).not.toBe(0);
    expect(registry.lines.slice(before)).toEqual([]);
  });
});
