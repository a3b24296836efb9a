// Faults of programs, each in a small program: the message for the user, and that nothing stays behind.
import {mkdir, readdir, utimes, writeFile} from 'node:fs/promises';
import {createServer} from 'node:http';
import {join} from 'node:path';
import {describe, expect} from 'vitest';
import {TunlError} from '../../../src/lib/core/errors.js';
import {exitCodeOf} from '../../../src/lib/launch/exit.js';
import {thisProcess} from '../../../src/lib/launch/process-record.js';
import type {FreeProgram, PublicSide, Site} from '../../../src/lib/launch/program.js';
import {command} from '../../../src/lib/launch/programs/command.js';
import {
  isAlive,
  launchFake,
  launchIn,
  markOf,
  publicSide,
  until,
  withArgument,
} from '../../helpers/launching.js';
import {test} from '../../helpers/test.js';

const get = async (port: number, path = '/') => (await fetch(`http://127.0.0.1:${port}${path}`)).text();
const LISTEN =
  "require('node:http').createServer().listen(Number(process.argv.at(-1)), '127.0.0.1', () => console.log('listening'))";
const pidIn = (lines: string[]) => Number(/pid (\d+)/.exec(lines.join('\n'))?.[1]);

describe('a program that works', () => {
  test('gets port and address by argument and environment', async ({scope}) => {
    const told = 'JSON.stringify([argv, process.env.PORT, process.env.TUNL_URL])';
    const program = await launchFake(scope, `await listen(Number(argv[0]), (q, r) => r.end(${told}));`, {
      args: ['{port}', '--at={url}'],
    });
    const {port} = await program.ready;
    expect(JSON.parse(await get(port))).toEqual([
      [String(port), '--at=https://name.r1.example.test'],
      String(port),
      'https://name.r1.example.test',
    ]);
    expect(program.address).toBe('https://name.r1.example.test');
  });

  test('leaves no process and no folder', async ({scope}) => {
    const stateDir = await scope.tempDir('state');
    const program = await launchFake(scope, 'await listen(Number(argv[0]));', {args: ['{port}'], stateDir});
    await program.ready;
    expect(await readdir(join(stateDir, 'run'))).toHaveLength(1);
    expect(await program.stop()).toEqual({code: null, signal: 'SIGTERM'});
    expect(await readdir(join(stateDir, 'run'))).toEqual([]);
    expect(isAlive(program.pid)).toBe(false);
  });

  test('its exit code becomes tunl’s when it ends by itself', async ({scope}) => {
    const program = await launchFake(scope, 'await listen(Number(argv[0]), () => process.exit(7));', {
      args: ['{port}'],
    });
    const {port} = await program.ready;
    await get(port).catch(() => {});
    const exit = await program.exited;
    expect(exit).toEqual({code: 7, signal: null});
    expect(exitCodeOf(exit)).toBe(7);
    expect(exitCodeOf({code: null, signal: 'SIGTERM'})).toBe(143);
  });

  test('does not see the relay’s token', async ({scope}) => {
    const program = await launchFake(
      scope,
      'await listen(Number(argv[0]), (q, r) => r.end(JSON.stringify(process.env)));',
      {args: ['{port}'], env: {...process.env, TUNL_TOKEN: 'tunl_secret'}},
    );
    const {port} = await program.ready;
    expect(await get(port)).not.toContain('tunl_secret');
  });

  test('its input stays open, without data', async ({scope}) => {
    const program = await launchFake(
      scope,
      "process.stdin.on('end', () => process.exit(3)).resume(); await listen(Number(argv[0]));",
      {args: ['{port}']},
    );
    const {port} = await program.ready;
    expect(await get(port)).toBe('ok');
  });

  test('with --ready-path it is ready when that path answers 2xx or 3xx', async ({scope}) => {
    const source = `let n = 0;
await listen(Number(argv[0]), (q, r) => { r.statusCode = q.url !== '/up' || ++n < 3 ? 503 : 204; r.end(String(n)); });`;
    const program = await launchFake(scope, source, {args: ['{port}'], readyPath: '/up'});
    const {port} = await program.ready;
    expect(await get(port)).toBe('3');
  });
});

describe('the port of a program that got none', () => {
  test('is found', async ({scope}) => {
    const program = await launchFake(scope, 'await listen(0);');
    const {port} = await program.ready;
    expect(await get(port)).toBe('ok');
  });

  test('is found in a child of the program, also in a separate session', async ({scope}) => {
    const child =
      "import('node:http').then(({createServer}) => createServer((q, r) => r.end('child')).listen(0))";
    const program = await launchFake(
      scope,
      `spawn(process.execPath, ['-e', ${JSON.stringify(child)}], {detached: true}); setInterval(() => {}, 1000);`,
    );
    const {port} = await program.ready;
    expect(await get(port)).toBe('child');
  });

  test('is the one that the program names, when it opens several', async ({scope}) => {
    const source = `const ports = [];
for (let i = 0; i < 4; i++) ports.push(await listen(0));
ports.sort((a, b) => a - b);
console.log('  ➜  Local:   http://localhost:' + ports[2] + '/');
const s = await listen(0, (q, r) => r.end('no'));`;
    const program = await launchFake(scope, source);
    const {port} = await program.ready;
    expect(program.lastLines().join()).toContain(`localhost:${port}/`);
  });

  test('may be on IPv6 only', async ({scope}) => {
    const program = await launchFake(scope, "createServer((q, r) => r.end('six')).listen(0, '::1');");
    const {host, port} = await program.ready;
    expect(host).toBe('::1');
    expect(await (await fetch(`http://[::1]:${port}/`)).text()).toBe('six');
  });
});

describe('beside the tunnel', () => {
  const named = command({argv: [process.execPath, '-e', LISTEN, '{port}'], portGiven: false});
  const free: FreeProgram = {
    ...named,
    needsName: false,
    start: ({port}) => ({args: ['-e', LISTEN, String(port)]}),
    address: ({public: side}) => `at ${side.host}`,
  };

  test('a program that does not need its name starts before the tunnel, and is ready when both are', async ({
    scope,
  }) => {
    const side = Promise.withResolvers<PublicSide>();
    const program = await launchIn(scope, free, {public: () => side.promise});
    await until(() => program.lastLines().includes('listening'));
    expect(() => program.address).toThrow();
    side.resolve(publicSide);
    await program.ready;
    expect(program.address).toBe('at name.r1.example.test');
  });

  test('a program that needs its name is looked for meanwhile, and starts afterwards', async ({scope}) => {
    const side = Promise.withResolvers<PublicSide>();
    const looked = Promise.withResolvers<void>();
    const candidates = () => {
      looked.resolve();
      return [{bin: process.execPath}];
    };
    const launching = launchIn(scope, {...named, candidates}, {public: () => side.promise});
    await looked.promise;
    side.resolve(publicSide);
    await (await launching).ready;
  });

  test('no tunnel: program and caller get the reason, and nothing is left', async ({scope}) => {
    const stateDir = await scope.tempDir('state');
    const none = () => Promise.reject(new TunlError('NO_FREE_PORT'));
    await expect(launchIn(scope, named, {public: none, stateDir})).rejects.toMatchObject({
      code: 'NO_FREE_PORT',
    });
    const program = await launchIn(scope, free, {public: none, stateDir});
    await expect(program.ready).rejects.toMatchObject({code: 'NO_FREE_PORT'});
    await program.exited;
    expect(await readdir(join(stateDir, 'run'))).toEqual([]);
  });

  test('no program to start: no tunnel is opened', async ({scope}) => {
    let asked = false;
    const side = async () => {
      asked = true;
      return publicSide;
    };
    const absent = {...free, candidates: () => [{bin: '/nowhere/program'}]};
    await expect(launchIn(scope, absent, {public: side})).rejects.toMatchObject({code: 'PROGRAM_MISSING'});
    expect(asked).toBe(false);
  });

  test('it ends while the tunnel is still coming up', async ({scope}) => {
    const brief = {
      ...free,
      start: ({port}: Site) => ({
        args: ['-e', `${LISTEN}; setTimeout(() => process.exit(3), 300)`, String(port)],
      }),
    };
    const program = await launchIn(scope, brief, {public: () => new Promise<never>(() => {})});
    await expect(program.ready).rejects.toMatchObject({code: 'PROGRAM_DIED'});
  });
});

describe('a program that fails', () => {
  test('at once: its last lines are in the error', async ({scope}) => {
    const program = await launchFake(
      scope,
      "console.error('no such table: \\u001b[31musers\\u001b[0m'); process.exit(4);",
    );
    await expect(program.ready).rejects.toMatchObject({
      code: 'PROGRAM_DIED',
      exitCode: 6,
      message: 'fake ended with exit code 4 before it answered. Its last lines:\n  no such table: users',
    });
    expect(await program.exited).toEqual({code: 4, signal: null});
  });

  test('by a signal', async ({scope}) => {
    const program = await launchFake(scope, "process.kill(process.pid, 'SIGKILL');");
    await expect(program.ready).rejects.toMatchObject({
      code: 'PROGRAM_DIED',
      message: 'fake ended by SIGKILL before it answered. It printed nothing.',
      // It printed no lines.
      next: expect.stringMatching(/^Run \S+ by itself to see why\.$/),
    });
  });

  test('is never ready: it is stopped, and the error says how far it came', async ({scope}) => {
    const shell = command({
      argv: ['/bin/sh', '-c', 'echo compiling; exec sleep 60 # {port}'],
      portGiven: false,
    });
    const silent = await launchIn(scope, {...shell, title: 'fake'}, {readyTimeoutMs: 1_000});
    await expect(silent.ready).rejects.toMatchObject({
      code: 'PROGRAM_NOT_READY',
      message: expect.stringMatching(/^fake opened no port \d+ within 1 s. Its last lines:\n {2}compiling$/),
    });
    expect(await silent.exited).toEqual({code: null, signal: 'SIGTERM'});

    // The time ends during the last check.
    const wrong = await launchFake(
      scope,
      'let n = 0; await listen(Number(argv[0]), (q, r) => n++ === 0 && r.writeHead(500).end());',
      {
        args: ['{port}'],
        readyPath: '/health',
        readyTimeoutMs: 6_000,
      },
    );
    await expect(wrong.ready).rejects.toThrow(
      /no good answer on port \d+ \(last: status 500 to GET \/health\)/,
    );

    const mute = await launchFake(scope, 'await listen(Number(argv[0]), () => {});', {
      args: ['{port}'],
      readyPath: '/',
      readyTimeoutMs: 6_000,
    });
    await expect(mute.ready).rejects.toThrow(/accepted connections on port \d+, but did not answer/);
  });

  test('goes into the background: it is found, ended, and reported', async ({scope}) => {
    const source = `const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], {detached: true, stdio: 'ignore'});
console.log('pid ' + child.pid);
child.unref();`;
    const program = await launchFake(scope, source, {args: ['{port}']});
    await expect(program.ready).rejects.toMatchObject({code: 'PROGRAM_BACKGROUND'});
    await program.exited;
    const pid = pidIn(program.lastLines());
    expect(pid).toBeGreaterThan(0);
    expect(isAlive(pid)).toBe(false);
  });

  test('uses another port than it should: noticed early, then an error that names both', async ({scope}) => {
    const notices: string[] = [];
    const program = await launchFake(scope, 'await listen(0);', {
      args: ['{port}'],
      // tunl looks for it after 3 s, and once a second from then on.
      readyTimeoutMs: 6_500,
      onNotice: (message) => notices.push(message),
    });
    await expect(program.ready).rejects.toMatchObject({
      code: 'PROGRAM_OTHER_PORT',
      message: expect.stringMatching(/^fake listens on port \d+, not on \d+\.$/),
    });
    expect(notices).toHaveLength(1);
  });

  test('gives no answer where a visitor without its secret must be refused: it is not let through', async ({
    scope,
  }) => {
    const source =
      "require('node:http').createServer((q, r) => q.url === '/' && r.end()).listen(Number(process.argv[1]), '127.0.0.1')";
    const argv: [string, ...string[]] = [process.execPath, '-e', source, '{port}'];
    const guarded = {
      ...command({argv, portGiven: false, readyPath: '/'}),
      guard: {path: '/secret', next: 'Say --no-token.'},
    };
    const program = await launchIn(scope, guarded, {readyTimeoutMs: 2_000});
    await expect(program.ready).rejects.toMatchObject({code: 'PROGRAM_CONFIG', next: 'Say --no-token.'});
  });

  test('chooses its port itself, late, on one address: no other port is missed', async ({scope}) => {
    const notices: string[] = [];
    const program = await launchFake(
      scope,
      'setTimeout(() => listen(0, (q, r) => r.writeHead(500).end()), 3_200);',
      {args: [], readyPath: '/', readyTimeoutMs: 7_000, onNotice: (message) => notices.push(message)},
    );
    await expect(program.ready).rejects.toMatchObject({
      code: 'PROGRAM_NOT_READY',
      message: expect.stringContaining('fake gave no good answer on its port (last: status 500 to GET /)'),
    });
    expect(notices).toEqual([]);
  });
});

describe('stopping', () => {
  test('a program that ignores SIGTERM, and its children, are killed after the grace', async ({scope}) => {
    const source = `process.on('SIGTERM', () => console.log('no'));
const child = spawn('/bin/sh', ['-c', 'trap "" TERM; while :; do sleep 1; done'], {stdio: 'ignore'});
console.log('pid ' + child.pid);
await listen(Number(argv[0]));`;
    const program = await launchFake(scope, source, {args: ['{port}'], graceMs: 300});
    await program.ready;
    const pid = pidIn(program.lastLines());
    expect(await program.stop()).toEqual({code: null, signal: 'SIGKILL'});
    expect(isAlive(program.pid)).toBe(false);
    expect(isAlive(pid)).toBe(false);
  });

  test('children that a program leaves when it ends by itself are ended with it', async ({scope}) => {
    const source = `const child = spawn('/bin/sh', ['-c', 'while :; do sleep 1; done'], {stdio: 'inherit'});
console.log('pid ' + child.pid);
await listen(Number(argv[0]), () => process.exit(0));`;
    const program = await launchFake(scope, source, {args: ['{port}']});
    const {port} = await program.ready;
    const pid = pidIn(program.lastLines());
    expect(isAlive(pid)).toBe(true);
    await get(port).catch(() => {});
    expect(await program.exited).toEqual({code: 0, signal: null});
    expect(isAlive(pid)).toBe(false);
  });

  test('a child outside the group whose mark is removed meanwhile, as in sshd’s sessions, is ended', async ({
    scope,
  }) => {
    const deaf =
      'trap "" TERM HUP; while kill -0 $0 2>/dev/null; do sleep 0.01; done; exec env -u TUNL_LAUNCH sleep 600';
    const source = `const child = spawn('/bin/sh', ['-c', ${JSON.stringify(deaf)}, String(process.pid)], {detached: true, stdio: 'ignore'});
console.log('pid ' + child.pid);
await listen(Number(argv[0]));`;
    const program = await launchFake(scope, source, {args: ['{port}'], graceMs: 1_000});
    await program.ready;
    const pid = pidIn(program.lastLines());
    scope.onEnd(() => void (isAlive(pid) && process.kill(pid, 'SIGKILL')));
    expect(await program.stop()).toEqual({code: null, signal: 'SIGTERM'});
    expect(isAlive(pid)).toBe(false);
  });

  test('by a signal, before it is ready', async ({scope}) => {
    const abort = new AbortController();
    const program = await launchFake(scope, 'setInterval(() => {}, 1000);', {
      args: ['{port}'],
      signal: abort.signal,
    });
    abort.abort();
    await expect(program.ready).rejects.toMatchObject({code: 'ABORTED'});
    await program.exited;
    expect(isAlive(program.pid)).toBe(false);
    await expect(launchFake(scope, '', {signal: abort.signal})).rejects.toMatchObject({code: 'ABORTED'});
  });

  test('twice, and after its end, is one stop', async ({scope}) => {
    const program = await launchFake(scope, 'await listen(Number(argv[0]));', {args: ['{port}']});
    await program.ready;
    const [first, second] = await Promise.all([program.stop(), program.stop()]);
    expect(first).toBe(second);
    expect(await program.stop()).toBe(first);
  });
});

describe('output', () => {
  test('a flood neither blocks the program nor fills memory', async ({scope}) => {
    const source = `const block = Buffer.from(('x'.repeat(99) + '\\n').repeat(10_000));
const wait = () => new Promise((r) => process.stdout.write(block, r));
for (let i = 0; i < 64; i++) await wait();
console.log('\\nthe end');
await listen(Number(argv[0]));`;
    let chars = 0;
    const program = await launchFake(scope, source, {
      args: ['{port}'],
      onOutput: (bytes) => (chars += bytes.length),
    });
    await program.ready;
    expect(chars).toBeGreaterThanOrEqual(64_000_000);
    expect(program.lastLines(1_000).length).toBeLessThanOrEqual(100);
    expect(program.lastLines(1)).toEqual(['the end']);
  });
});

describe('what cannot be started', () => {
  test('a missing command, and a command line in one word', async ({scope}) => {
    await expect(
      launchIn(scope, command({argv: ['no-such-command-here'], portGiven: false})),
    ).rejects.toMatchObject({
      code: 'PROGRAM_MISSING',
      message: 'no-such-command-here was not found.',
      exitCode: 8,
    });
    await expect(launchIn(scope, command({argv: ['npm run dev'], portGiven: false}))).rejects.toMatchObject({
      code: 'PROGRAM_MISSING',
      next: expect.stringContaining('separate words'),
    });
  });

  test('a port on which something listens, on either loopback address', async ({scope}) => {
    for (const host of ['127.0.0.1', '::1']) {
      const port = await scope.listen(createServer(), host);
      await expect(launchFake(scope, '', {port})).rejects.toMatchObject({code: 'PROGRAM_PORT_TAKEN'});
    }
  });

  test('in a folder that does not exist, or is a file', async ({scope}) => {
    const folder = await scope.tempDir();
    const stateDir = await scope.tempDir('state');
    for (const cwd of [join(folder, 'none'), import.meta.filename]) {
      const program = command({argv: [process.execPath], portGiven: false, cwd});
      await expect(launchIn(scope, program, {stateDir})).rejects.toMatchObject({code: 'FOLDER_MISSING'});
    }
    expect(await readdir(join(stateDir, 'run'))).toEqual([]);
  });

  test('with an unusable state folder', async ({scope}) => {
    await expect(launchFake(scope, '', {stateDir: import.meta.filename})).rejects.toMatchObject({
      code: 'STATE_DIR',
    });
  });
});

test('the next launch removes folders of dead launches', async ({scope}) => {
  const stateDir = await scope.tempDir('state');
  const gone = await launchFake(scope, '', {stateDir});
  await gone.exited;
  const left = async (name: string, record?: object) => {
    const folder = join(stateDir, 'run', name);
    await mkdir(folder, {recursive: true});
    if (record !== undefined) await writeFile(join(folder, '.process.json'), JSON.stringify(record));
    return folder;
  };
  const {system} = await thisProcess();
  await left(`${gone.pid}-abc`, {pid: gone.pid, start: '1', system});
  await left(`${process.pid}-abc`, {pid: process.pid, start: '1', system});
  const unrecorded = await left(`${gone.pid}-def`);
  await utimes(unrecorded, 0, 0);
  const program = await launchFake(scope, 'await listen(Number(argv[0]));', {args: ['{port}'], stateDir});
  await program.ready;
  const names = await readdir(join(stateDir, 'run'));
  expect(names).toEqual([expect.stringMatching(new RegExp(`^${process.pid}-`))]);
});

test('after a launch nothing is left, not even its watcher', async ({scope}) => {
  const stateDir = await scope.tempDir('state');
  const program = await launchFake(scope, 'await listen(Number(argv[0]));', {args: ['{port}'], stateDir});
  await program.ready;
  expect(withArgument(stateDir)).toHaveLength(1);
  expect(withArgument(markOf(program.pid))).toEqual([]);
  await program.stop();
  await until(() => withArgument(stateDir).length === 0);
});
