// kill -9 of the process that launched: the program, its children, its folder and the watcher itself are gone soon after.
import {existsSync} from 'node:fs';
import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {expect} from 'vitest';
import {Child} from '../../helpers/child.js';
import {
  fakeProgram,
  isAlive,
  listener,
  markOf,
  NOBODY,
  root,
  until,
  withArgument,
} from '../../helpers/launching.js';
import type {Scope} from '../../helpers/scope.js';
import {test} from '../../helpers/test.js';

interface Told {
  program: number;
  folder: string;
  children: number[];
}

/** A process that launches a program, prints its pid, and waits to be killed. */
async function launcher(scope: Scope, source: string): Promise<{child: Child; told: Told}> {
  const script = join(await scope.tempDir('launcher'), 'launcher.mjs');
  const stateDir = await scope.tempDir('state');
  const program = await fakeProgram(scope, source);
  await writeFile(
    script,
    `import {readdirSync} from 'node:fs';
import {launch} from ${JSON.stringify(join(root, 'src/lib/launch/launch.ts'))};
import {command} from ${JSON.stringify(join(root, 'src/lib/launch/programs/command.ts'))};
const program = await launch(
  command({argv: [process.execPath, ${JSON.stringify(program)}, '{port}'], portGiven: false}),
  {public: {host: 'h', port: 1}, stateDir: ${JSON.stringify(stateDir)}, graceMs: 500},
);
await program.ready;
const children = program.lastLines().flatMap((line) => /^pid (\\d+)/.exec(line)?.[1] ?? []).map(Number);
const run = ${JSON.stringify(join(stateDir, 'run'))};
console.log(JSON.stringify({program: program.pid, folder: run + '/' + readdirSync(run)[0], children}));
`,
  );
  const hook = join(root, 'test/helpers/ts-hook.js');
  const child = Child.start(scope, process.execPath, ['--import', hook, script], {stopSignal: 'SIGKILL'});
  return {child, told: JSON.parse(await child.line((line) => line.startsWith('{')))};
}

test('a program that obeys SIGTERM', async ({scope}) => {
  const {child, told} = await launcher(scope, 'await listen(Number(argv[0]));');
  expect(isAlive(told.program)).toBe(true);
  expect(withArgument(told.folder)).toHaveLength(1);
  child.signal('SIGKILL');
  await until(() => !isAlive(told.program) && !existsSync(told.folder));
  await until(() => withArgument(told.folder).length === 0);
});

test('a program that ignores SIGTERM, with children in and out of its group', async ({scope}) => {
  const {child, told} = await launcher(
    scope,
    `process.on('SIGTERM', () => {});
const deaf = 'trap "" TERM HUP; while :; do sleep 1; done';
for (const detached of [false, true]) console.log('pid ' + spawn('/bin/sh', ['-c', deaf], {detached, stdio: 'ignore'}).pid);
await listen(Number(argv[0]));`,
  );
  expect(told.children).toHaveLength(2);
  for (const pid of told.children) expect(isAlive(pid)).toBe(true);
  child.signal('SIGKILL');
  await until(() => ![told.program, ...told.children].some(isAlive));
  await until(() => withArgument(told.folder).length === 0);
});

test('a child without the mark is left alone', async ({scope}) => {
  const {child, told} = await launcher(
    scope,
    `const {TUNL_LAUNCH, ...env} = process.env;
const free = spawn('/bin/sleep', ['60'], {detached: true, stdio: 'ignore', env});
free.unref();
console.log('pid ' + free.pid);
await listen(Number(argv[0]));`,
  );
  const [free = 0] = told.children;
  scope.onEnd(() => void process.kill(free, 'SIGKILL'));
  child.signal('SIGKILL');
  await until(() => !isAlive(told.program) && withArgument(told.folder).length === 0);
  expect(isAlive(free)).toBe(true);
});

test.runIf(process.getuid?.() === 0)(
  'a process of another user with the mark is not ended',
  async ({scope}) => {
    const {child, told} = await launcher(scope, 'await listen(Number(argv[0]));');
    const mark = markOf(told.program);
    expect(withArgument(mark)).toEqual([]);
    const foreign = await listener(scope, mark, NOBODY);
    const own = await listener(scope, mark, 0);
    child.signal('SIGKILL');
    await until(() => !isAlive(told.program) && !isAlive(own.pid) && withArgument(told.folder).length === 0);
    expect(isAlive(foreign.pid)).toBe(true);
  },
);
