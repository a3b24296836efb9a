// The packed package, installed like a user does: no warnings, nothing that is for a checkout, and the first command on each
// Node.

import {existsSync} from 'node:fs';
import {mkdir, readFile, symlink, writeFile} from 'node:fs/promises';
import {expect} from 'vitest';
import {Child, cleanEnv, run} from '../helpers/child.js';
import {projectRoot} from '../helpers/cli.js';
import type {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {httpUpstream} from '../helpers/upstreams.js';
import {curl} from '../helpers/visitors.js';

interface Versions {
  bin: string;
  /** The line that refuses it. */
  says: string | undefined;
}

/** The Nodes of this machine: the one of the tests, the oldest that is allowed, one that is too old, and the system's. */
async function nodes(scope: Scope): Promise<Versions[]> {
  const found: Versions[] = [];
  const known = ['oldest-node', 'too-old-node'].map((name) => `${projectRoot}.cache/${name}/bin/node`);
  for (const bin of [process.execPath, ...known, '/usr/bin/node']) {
    if (!existsSync(bin)) continue;
    const {stdout} = await run(scope, bin, ['-p', 'process.version + " (" + process.execPath + ")"']);
    const [major = 0, minor = 0] = stdout.slice(1).split('.').map(Number.parseFloat);
    const isOld = major < 22 || (major === 22 && minor < 12);
    found.push({
      bin,
      says: isOld ? `tunl needs Node 22.12 or newer; this is ${stdout.trim()}.` : undefined,
    });
  }
  return found;
}

/** npm reaches the registry in the tester's way: its cache, its authorities. Not the settings of an npm that runs this test. */
function npmEnv(): Record<string, string> {
  const own = Object.entries(process.env).filter(([name]) => !/^npm_|^NODE_OPTIONS$/i.test(name));
  return {...(Object.fromEntries(own) as Record<string, string>), ...pathOf(cleanEnv())};
}

const pathOf = ({PATH = ''}: Record<string, string>) => ({PATH});

const TYPED = `import {egress, network, type EgressRunOptions, type MemberRunOptions, type SealedExit} from 'tunl';

const options: MemberRunOptions = {name: 'job', allowIn: ['8000'], egress: 'out', dialGraceMs: 1_000, stdio: 'inherit'};
const lab = await network('lab', {relay: 'https://r1.example.net', name: 'web'});
const exit: SealedExit = await lab.run(['true'], {...options, onStart: ({address}) => address.toUpperCase()});
const behind: EgressRunOptions = {localPorts: [5432], strict: true, signal: AbortSignal.timeout(1)};
const code: number | null = (await (await egress('out')).run(['true'], behind)).code ?? exit.code;
// @ts-expect-error a command is a list of words
await lab.run('true');
// @ts-expect-error unknown options are mistakes
await lab.run(['true'], {localPort: 1});
export default code;
`;

test('npm pack, npm install --global, tunl expose', async ({scope}) => {
  const folder = await scope.tempDir('pack');
  const cwd = `${folder}/tunl`;
  const cloned = await run(scope, 'git', ['clone', '--quiet', projectRoot, cwd]);
  expect(cloned, cloned.stderr).toMatchObject({code: 0});
  await symlink(`${projectRoot}node_modules`, `${cwd}/node_modules`);
  const env = npmEnv();
  const before = await readFile(`${cwd}/package.json`, 'utf8');
  const packed = await run(scope, 'npm', ['pack', '--loglevel=warn'], {cwd, env});
  expect(packed, packed.stderr).toMatchObject({code: 0});
  expect(packed.stderr).not.toMatch(/warn/i);
  expect(await readFile(`${cwd}/package.json`, 'utf8')).toBe(before);

  const file = packed.stdout.trim().split('\n').at(-1) ?? '';
  const prefix = `${folder}/prefix`;
  const args = ['install', '--global', '--loglevel=warn', '--prefix', prefix, `${cwd}/${file}`];
  const installed = await run(scope, 'npm', args, {cwd: folder, env});
  expect(installed).toMatchObject({code: 0, stderr: ''});

  const root = `${prefix}/lib/node_modules/tunl`;
  const manifest = JSON.parse(await readFile(`${root}/package.json`, 'utf8')) as Record<string, unknown>;
  expect(Object.keys(manifest)).not.toContain('scripts');
  expect(Object.keys(manifest)).not.toContain('devDependencies');
  expect(existsSync(`${root}/test`)).toBe(false);
  // npm puts it where `man` finds it for a program of the same prefix.
  const manual = await run(scope, 'man', ['--warnings', '-l', `${prefix}/share/man/man1/tunl.1`], {
    env: {MANWIDTH: '80', LC_ALL: 'C.UTF-8'},
  });
  expect(manual).toMatchObject({code: 0, stderr: ''});
  expect(manual.stdout).toMatch(/^TUNL\(1\)[\s\S]*--offline-page[\s\S]*EXIT STATUS/);

  // A program in TypeScript gets its types, and those of what it gives and takes.
  const app = `${folder}/app`;
  await mkdir(`${app}/node_modules`, {recursive: true});
  await symlink(root, `${app}/node_modules/tunl`);
  await symlink(`${projectRoot}node_modules/@types`, `${app}/node_modules/@types`);
  await writeFile(`${app}/package.json`, '{"type": "module"}');
  await writeFile(`${app}/app.ts`, TYPED);
  const strict = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2024', '--types', 'node'];
  const tsc = `${projectRoot}node_modules/typescript/bin/tsc`;
  expect(await run(scope, process.execPath, [tsc, ...strict, 'app.ts'], {cwd: app})).toMatchObject({
    code: 0,
    stdout: '',
  });

  const upstream = await httpUpstream(scope, 'from the package');
  for (const {bin, says} of await nodes(scope)) {
    const words = [`${prefix}/bin/tunl`, 'expose', String(upstream.port)];
    const environment = {TUNL_STATE_DIR: `${folder}/state`};
    if (says !== undefined) {
      const old = await run(scope, bin, words, {env: environment});
      expect.soft(old).toMatchObject({code: 2, stdout: ''});
      const lines = old.stderr.split('\n');
      expect.soft(lines).toEqual([says, expect.stringMatching(/^Next step: /), '']);
      const code = `import(${JSON.stringify(`${root}/dist/index.js`)}).catch((error) => console.log(error.message))`;
      expect.soft(await run(scope, bin, ['-e', code])).toMatchObject({code: 0, stdout: `${says}\n`});
      continue;
    }
    const cli = Child.start(scope, bin, words, {env: environment});
    const address = await cli.line();
    const [, caFile = ''] = await cli.saidOnStderr(/curl --cacert (\S+) https/);
    const got = await curl(scope, caFile, [`${address}/`]);
    expect.soft(got.stdout, bin).toBe('from the package');
    cli.signalGroup('SIGINT');
    expect.soft(await cli.exited).toMatchObject({code: 0});
  }
});
