// Root can read every environment, and everybody may put a mark into an environment: a process of another user does not
// belong to the program, unless the program itself started it.
import {expect} from 'vitest';
import {freePort, portsOf} from '../../../src/lib/launch/ports.js';
import {membersOf} from '../../../src/lib/launch/processes.js';
import {isAlive, launchFake, listener, markOf, NOBODY, until, withMark} from '../../helpers/launching.js';
import {test as base} from '../../helpers/test.js';

/** Only root can become other users. */
const test = base.runIf(process.getuid?.() === 0);

test('a process of another user with the mark is neither discovered nor ended', async ({scope}) => {
  const program = await launchFake(scope, 'await listen(0);');
  const place = await program.ready;
  const family = {group: program.pid, mark: markOf(program.pid).split('=')[1] ?? ''};
  const foreign = await listener(scope, markOf(program.pid), NOBODY);
  const own = await listener(scope, markOf(program.pid), 0);
  expect(await portsOf(family)).toEqual([place.port, own.port].sort((a, b) => a - b));
  expect((await membersOf(family)).strays).toEqual([own.pid]);
  await program.stop();
  await until(() => !isAlive(own.pid));
  expect(isAlive(foreign.pid)).toBe(true);
});

test('only the whole mark counts', async ({scope}) => {
  const mark = 'a'.repeat(32);
  await listener(scope, `TUNL_LAUNCH=${mark}0`, 0);
  expect((await membersOf({group: 2 ** 30, mark})).strays).toEqual([]);
});

test('processes that the program itself started as another user are ended with it', async ({scope}) => {
  const program = await launchFake(
    scope,
    `const script = 'setpriv --reuid=${NOBODY} --regid=${NOBODY} --clear-groups sleep 1000 & wait';
const shell = spawn('/bin/sh', ['-c', script], {detached: true, stdio: 'ignore'});
await listen(Number(argv[0]));`,
    {args: ['{port}']},
  );
  await program.ready;
  const mark = markOf(program.pid);
  await until(() => withMark(mark).length === 3);
  await program.stop();
  expect(withMark(mark)).toEqual([]);
});

test('a listener of another user on the other loopback address gets neither the checks nor the tunnel', async ({
  scope,
}) => {
  const foreign = await listener(scope, 'X=', NOBODY);
  const program = await launchFake(
    scope,
    `createServer((q, r) => r.end('ok')).listen(${foreign.port}, '::1', () => console.log('port ${foreign.port}'));`,
  );
  expect(await program.ready).toEqual({host: '::1', port: foreign.port});
});

test('a program that runs as another user is found', async ({scope}) => {
  const port = await freePort();
  const program = await launchFake(
    scope,
    `const own = "require('node:net').createServer().listen(${port}, '127.0.0.1')";
spawn(process.execPath, ['-e', own], {uid: ${NOBODY}, gid: ${NOBODY}, stdio: 'ignore'});`,
    {port},
  );
  expect(await program.ready).toEqual({host: '127.0.0.1', port});
});

test('a program whose port another user has taken meanwhile is not ready', async ({scope}) => {
  const port = await freePort();
  const program = await launchFake(scope, 'setInterval(() => {}, 1e6);', {port, readyTimeoutMs: 5_000});
  await listener(scope, 'X=', NOBODY, port);
  await expect(program.ready).rejects.toMatchObject({
    code: 'PROGRAM_NOT_READY',
    message: expect.stringContaining('another user’s program listens there'),
  });
});
