import {readFileSync} from 'node:fs';
import {createServer, type Socket} from 'node:net';
import {type Duplex, Readable} from 'node:stream';
import {buffer} from 'node:stream/consumers';
import {pipeline} from 'node:stream/promises';
import {afterAll, beforeAll, describe, expect} from 'vitest';
import type {ExecRequest, SandboxProcess} from '../../../../src/lib/sandbox/backend.js';
import type {InitClient} from '../../../../src/lib/sandbox/init/init-client.js';
import {Digest, MiB, sha256Of, source} from '../../../helpers/bytes.js';
import {startInit, textOf} from '../../../helpers/init.js';
import {Scope, unusedPort} from '../../../helpers/scope.js';
import {test} from '../../../helpers/test.js';

/** One init for all tests that do not end it. */
const scopeOfFile = new Scope();
let init: InitClient;
beforeAll(async () => {
  ({init} = await startInit(scopeOfFile));
});
afterAll(() => scopeOfFile[Symbol.asyncDispose]());

const sh = (script: string, more: Partial<ExecRequest> = {}): ExecRequest => ({
  command: ['sh', '-c', script],
  ...more,
});

async function outcome(process: SandboxProcess) {
  process.stdin.end();
  const [stdout, stderr, end] = await Promise.all([
    textOf(process.stdout),
    textOf(process.stderr),
    process.exit,
  ]);
  return {stdout, stderr, ...end};
}

describe('exec', () => {
  test('runs a program with separate streams and its exit code', async () => {
    const process = await init.exec(sh('echo out; echo err >&2; cat; exit 7'));
    process.stdin.end('typed');
    const [stdout, stderr] = await Promise.all([textOf(process.stdout), textOf(process.stderr)]);
    expect({stdout, stderr}).toEqual({stdout: 'out\ntyped', stderr: 'err\n'});
    expect(await process.exit).toEqual({code: 7});
  });

  test('has the environment and the working directory of its request', async ({scope}) => {
    const folder = await scope.tempDir();
    const run = await init.exec(sh('echo $A $HOME; pwd', {env: {A: 'b c'}, workdir: folder}));
    expect(await outcome(run)).toEqual({stdout: `b c /\n${folder}\n`, stderr: '', code: 0});
  });

  test.for([
    [{command: ['/nowhere/program']}, 'ENOENT'],
    [{command: ['/etc/passwd']}, 'EACCES'],
    [{command: ['true'], workdir: '/nowhere'}, 'ENOENT'],
  ] satisfies [ExecRequest, string][])('says why %j cannot be run', async ([request, code]) => {
    await expect(init.exec(request)).rejects.toMatchObject({code: 'SANDBOX_COMMAND', cause: {code}});
    // Nothing else has suffered.
    expect(await outcome(await init.exec(sh('echo on')))).toMatchObject({stdout: 'on\n', code: 0});
  });

  test('a signal reaches the whole group', async () => {
    const process = await init.exec(sh('sleep 1000 & echo up; wait'));
    await new Promise((resolve) => process.stdout.once('data', resolve));
    await process.signal('SIGTERM');
    expect(await outcome(process)).toMatchObject({signal: 'SIGTERM'});
  });

  test('its own time is a value of its end', async () => {
    const process = await init.exec(sh('echo up; sleep 1000', {timeoutMs: 300}));
    expect(await outcome(process)).toEqual({
      stdout: 'up\n',
      stderr: '',
      signal: 'SIGKILL',
      timedOut: true,
    });
  });

  test('bytes in bulk arrive whole in both directions', async () => {
    const process = await init.exec({command: ['cat']});
    const digest = new Digest();
    source(20 * MiB).pipe(process.stdin);
    for await (const piece of process.stdout) digest.write(piece);
    expect(await process.exit).toEqual({code: 0});
    expect(digest.sha256()).toBe(sha256Of(20 * MiB));
  });

  test('all output of a program that ends at once comes before its end', async () => {
    const process = await init.exec(sh('head -c 60000 /dev/zero; head -c 60000 /dev/zero >&2'));
    await process.exit;
    // Nobody has read yet, and everything is here.
    expect((await buffer(process.stdout)).length).toBe(60_000);
    expect((await buffer(process.stderr)).length).toBe(60_000);
  });

  test('a child that keeps the output open does not keep the end back', async () => {
    const process = await init.exec(sh('sleep 1000 & echo $!'));
    const {stdout, code} = await outcome(process);
    expect(code).toBe(0);
    await outcome(await init.exec(sh(`kill ${stdout}`)));
  });

  test('its input and outputs can be opened by their paths', async () => {
    const process = await init.exec(sh('cat /dev/stdin > /dev/stdout; echo err > /dev/stderr'));
    process.stdin.end('through');
    expect(await outcome(process)).toEqual({stdout: 'through', stderr: 'err\n', code: 0});
  });

  test('it does not get the way to the host', async () => {
    const run = await init.exec(sh('ls -l /proc/self/fd'));
    expect((await outcome(run)).stdout).not.toContain('socket:');
  });

  test('a program that closes its input breaks the pipe', async () => {
    const process = await init.exec(sh('exec 0<&-; echo closed; sleep 1000'));
    await new Promise((resolve) => process.stdout.once('data', resolve));
    await expect(pipeline(source(MiB), process.stdin)).rejects.toMatchObject({code: 'EPIPE'});
    await process.signal('SIGKILL');
    expect(await outcome(process)).toMatchObject({signal: 'SIGKILL'});
  });

  test('input that waits for a program that ends unread does no harm', async () => {
    const process = await init.exec({command: ['sleep', '1000']});
    // A pipe holds less than this.
    await new Promise<void>((resolve) => process.stdin.end(Buffer.alloc(80_000), resolve));
    await process.signal('SIGKILL');
    expect(await process.exit).toEqual({signal: 'SIGKILL'});
    expect(await outcome(await init.exec(sh('echo on')))).toMatchObject({stdout: 'on\n', code: 0});
  });

  test('a program whose output nobody reads any more gets SIGPIPE', async () => {
    const process = await init.exec({command: ['yes']});
    await new Promise((resolve) => process.stdout.once('data', resolve));
    process.stdout.destroy();
    expect(await process.exit).toEqual({signal: 'SIGPIPE'});
  });
});

test('without free descriptors no process starts, and later ones do', async ({scope}) => {
  const {init} = await startInit(scope, {openFiles: 64});
  const port = await scope.listen(createServer((socket) => socket.on('error', () => {})));
  const connections: Duplex[] = [];
  const fill = async () => {
    const before = connections.length;
    for (;;) {
      const dialled: Duplex | Error = await init.dial(port).catch((error) => error);
      if (dialled instanceof Error) {
        expect(dialled).toMatchObject({code: 'EMFILE'});
        return connections.length - before;
      }
      connections.push(dialled);
    }
  };
  const refused = async () => {
    const error = {code: 'SANDBOX_COMMAND', cause: {code: 'EMFILE'}};
    await expect(init.exec({command: ['true']})).rejects.toMatchObject(error);
  };
  // After it there are pipes for one more process.
  await outcome(await init.exec({command: ['true']}));
  await fill();
  await refused();
  // All three pipes are closed.
  expect(await fill()).toBe(3);
  await refused();
  await refused();
  for (const connection of connections) connection.destroy();
  expect(await outcome(await init.exec(sh('echo on')))).toMatchObject({stdout: 'on\n', code: 0});
});

describe('a terminal', () => {
  const tty = {columns: 100, rows: 30, term: 'xterm-256color'};

  test('has the size, the type and the exit code', async () => {
    const env = {SHELL: '/bin/own shell'};
    const run = await init.exec(
      sh('test -t 0 -a -t 1 -a -t 2 && stty size; echo "$TERM $SHELL"; exit 9', {tty, env}),
    );
    const [stdout, stderr, end] = await Promise.all([textOf(run.stdout), textOf(run.stderr), run.exit]);
    expect({stdout, stderr}).toEqual({stdout: '30 100\r\nxterm-256color /bin/own shell\r\n', stderr: ''});
    expect(end).toEqual({code: 9});
  });

  test('passes keys on, and tells the program of a new size', async () => {
    const script = 'read line; trap "stty size; exit 4" WINCH; echo "got $line"; while :; do sleep 0.1; done';
    const run = await init.exec({command: ['bash', '-c', script], tty});
    const seen = watch(run.stdout);
    run.stdin.write("it's\n");
    await seen(/got it's/);
    run.resize(80, 24);
    run.resize(132, 50);
    await seen(/24 80|50 132/);
    expect(await run.exit).toEqual({code: 4});
  });

  test('ctrl-c interrupts, and a signal reaches the program', async () => {
    const start = async () => {
      const run = await init.exec(sh('echo up; exec sleep 1000', {tty}));
      await new Promise((resolve) => run.stdout.once('data', resolve));
      return run;
    };
    const keyed = await start();
    keyed.stdin.write('\x03');
    expect(await keyed.exit).toEqual({code: 130});
    const signalled = await start();
    await signalled.signal('SIGTERM');
    expect(await signalled.exit).toEqual({code: 143});
  });

  test('its own time ends it', async () => {
    const run = await init.exec(sh('sleep 1000', {tty, timeoutMs: 200}));
    run.stdout.resume();
    expect(await run.exit).toEqual({signal: 'SIGKILL', timedOut: true});
  });

  test('a missing program is an error', async () => {
    await expect(init.exec({command: ['nowhere-to-be-found'], tty})).rejects.toMatchObject({
      code: 'SANDBOX_COMMAND',
      cause: {code: 'ENOENT'},
    });
  });
});

describe('dial', () => {
  async function listening(scope: Scope, on: (socket: Socket) => void) {
    return await scope.listen(createServer({allowHalfOpen: true}, on));
  }

  test('half-closes in both directions', async ({scope}) => {
    const port = await listening(scope, (socket) => {
      socket.write('hello ');
      socket.on('data', () => {});
      socket.on('end', () => socket.end('after your end'));
    });
    const connection = await init.dial(port);
    connection.end('mine');
    expect(await textOf(connection)).toBe('hello after your end');
  });

  test('a closed port is ECONNREFUSED', async () => {
    await expect(init.dial(await unusedPort())).rejects.toMatchObject({code: 'ECONNREFUSED'});
  });

  test('a service on ::1 alone is found', async ({scope}) => {
    const port = await scope.listen(
      createServer((socket) => socket.end('six')),
      '::1',
    );
    expect(await textOf(await init.dial(port))).toBe('six');
  });

  test('resets pass through in both directions', async ({scope}) => {
    const {promise: broken, resolve} = Promise.withResolvers<Error>();
    const port = await listening(scope, (socket) => {
      socket.on('error', resolve);
      socket.on('data', () => socket.resetAndDestroy());
    });
    const mine = await init.dial(port);
    mine.destroy();
    expect(await broken).toMatchObject({code: 'ECONNRESET'});
    const theirs = await init.dial(port);
    theirs.write('x');
    await expect(textOf(theirs)).rejects.toMatchObject({code: 'ECONNRESET'});
  });

  test('a signal ends a dial', async () => {
    const abort = AbortSignal.abort(new Error('enough'));
    await expect(init.dial(1, abort)).rejects.toThrow('enough');
  });

  test('bytes in bulk are slowed down by a reader that does not read', async ({scope}) => {
    const {promise: accepted, resolve} = Promise.withResolvers<Socket>();
    const port = await listening(scope, (socket) => resolve(socket.pause()));
    const connection = await init.dial(port);
    source(64 * MiB).pipe(connection);
    const socket = await accepted;
    const digest = new Digest();
    socket.pipe(digest);
    await new Promise((done) => digest.once('finish', done));
    expect(digest.sha256()).toBe(sha256Of(64 * MiB));
    socket.end();
    expect(await textOf(connection)).toBe('');
  });
});

describe('files', () => {
  test('are written, read, listed and removed', async ({scope}) => {
    const {files} = init;
    const folder = `${await scope.tempDir()}/a/b`;
    await files.write(`${folder}/x.bin`, source(3 * MiB), {mode: 0o750});
    await files.makeFolder(`${folder}/c`);
    const entries = await files.list(folder);
    expect(entries.map(({name, kind, bytes, mode}) => ({name, kind, bytes, mode}))).toEqual([
      {name: 'c', kind: 'folder', bytes: expect.any(Number), mode: expect.any(Number)},
      {name: 'x.bin', kind: 'file', bytes: 3 * MiB, mode: 0o750},
    ]);
    const digest = new Digest();
    for await (const piece of await files.read(`${folder}/x.bin`)) digest.write(piece);
    expect(digest.sha256()).toBe(sha256Of(3 * MiB));
    expect(await files.stat(`${folder}/x.bin`)).toMatchObject({bytes: 3 * MiB});
    await expect(files.remove(folder)).rejects.toMatchObject({cause: {code: 'ENOTEMPTY'}});
    await files.remove(folder, {recursive: true});
    await expect(files.stat(folder)).rejects.toMatchObject({code: 'SANDBOX_FILE', cause: {code: 'ENOENT'}});
  });

  test('a transfer that is cut off leaves the old file', async ({scope}) => {
    const path = `${await scope.tempDir()}/f`;
    await init.files.write(path, Readable.from([Buffer.from('old')]));
    const broken = new Readable({read: () => {}});
    broken.push('new');
    const written = init.files.write(path, broken);
    broken.destroy(new Error('no more'));
    await expect(written).rejects.toThrow('no more');
    expect(await textOf(await init.files.read(path))).toBe('old');
    await expect.poll(() => init.files.list(path.slice(0, -2)), {timeout: 20_000}).toHaveLength(1);
  });

  test.for(['/proc/x/a', '/etc/passwd/a', '/proc/version'])('writing %s fails', async (path) => {
    const write = init.files.write(path, Readable.from([Buffer.from('x')]));
    await expect(write).rejects.toMatchObject({code: 'SANDBOX_FILE'});
    await expect(init.files.makeFolder(path)).rejects.toMatchObject({code: 'SANDBOX_FILE'});
  });

  test.for([
    ['/nowhere/f', 'ENOENT'],
    ['/', 'EISDIR'],
    ['/dev/zero', 'EINVAL'],
  ])('reading %s is %s', async ([path = '', code]) => {
    await expect(init.files.read(path)).rejects.toMatchObject({code: 'SANDBOX_FILE', cause: {code}});
  });
});

describe('the end', () => {
  test('of the init settles everything', async ({scope}) => {
    const {init, child} = await startInit(scope);
    const process = await init.exec({command: ['cat']});
    const port = await scope.listen(createServer(() => {}));
    const connection = await init.dial(port);
    child.kill('SIGKILL');
    await expect(process.exit).rejects.toMatchObject({code: 'SANDBOX_ENDED'});
    await expect(textOf(process.stdout)).rejects.toMatchObject({code: 'SANDBOX_ENDED'});
    await expect(textOf(connection)).rejects.toMatchObject({code: 'SANDBOX_ENDED'});
    expect(await init.lost).toMatch(/closed|broke/);
    await expect(init.exec({command: ['true']})).rejects.toMatchObject({code: 'SANDBOX_ENDED'});
    await expect(init.dial(1)).rejects.toMatchObject({code: 'SANDBOX_ENDED'});
    await expect(init.files.list('/')).rejects.toMatchObject({code: 'SANDBOX_ENDED'});
  });

  test('of the host kills the processes', async ({scope}) => {
    const {init, child} = await startInit(scope);
    const process = await init.exec(sh('echo $$; exec sleep 1000'));
    const pid = await new Promise<string>((resolve) =>
      process.stdout.once('data', (piece: Buffer) => resolve(piece.toString().trim())),
    );
    const exited = new Promise((resolve) => child.once('exit', resolve));
    init.close();
    await exited;
    await expect(process.exit).rejects.toMatchObject({code: 'SANDBOX_ENDED'});
    await expect.poll(() => isRunning(Number(pid)), {timeout: 20_000}).toBe(false);
  });
});

/** Resolves when the output has matched. */
function watch(output: Readable): (pattern: RegExp) => Promise<void> {
  let text = '';
  let changed = Promise.withResolvers<void>();
  output.on('data', (piece: Buffer) => {
    text += piece.toString();
    changed.resolve();
    changed = Promise.withResolvers();
  });
  return async (pattern) => {
    while (!pattern.test(text)) await changed.promise;
  };
}

function isRunning(pid: number): boolean {
  try {
    return !/\) [ZX]/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}
