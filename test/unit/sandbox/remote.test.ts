import {once} from 'node:events';
import {existsSync} from 'node:fs';
import {mkdir, readFile, stat, writeFile} from 'node:fs/promises';
import {createServer} from 'node:net';
import {join} from 'node:path';
import {Readable} from 'node:stream';
import {buffer, text} from 'node:stream/consumers';
import {describe, expect} from 'vitest';
import {serveSandbox} from '../../../src/lib/sandbox/control-server.js';
import {RemoteSandbox} from '../../../src/lib/sandbox/remote.js';
import {SandboxRoster} from '../../../src/lib/sandbox/roster.js';
import {FakeControl} from '../../helpers/fake-control.js';
import type {Scope} from '../../helpers/scope.js';
import {test} from '../../helpers/test.js';

/** A sandbox of this process with its control socket, and one of another process as it sees it. */
async function served(scope: Scope, stateDir?: string) {
  const state = stateDir ?? (await scope.tempDir('state'));
  const roster = new SandboxRoster(state);
  const own = await roster.begin({command: ['sleep', '9']});
  const fake = new FakeControl(own.id, own.workFolder);
  own.change(await fake.info());
  const server = await serveSandbox(own.folder, fake);
  if (server === undefined) throw new Error('no socket');
  scope.onEnd(async () => {
    fake.finish({reason: 'terminated'});
    await server.closed;
  });
  const open = async () => {
    const remote = await RemoteSandbox.open(roster, await roster.find(own.id));
    scope.onEnd(() => remote.close());
    return remote;
  };
  return {roster, own, fake, server, open, remote: await open()};
}

describe('a sandbox of another process', () => {
  test('answers what its owner says', async ({scope}) => {
    const {remote, fake, own} = await served(scope);
    expect((await stat(join(own.folder, 'control.sock'))).mode & 0o777).toBe(0o600);
    expect(await remote.info()).toEqual(await fake.info());
    expect(await remote.stats()).toEqual({memoryBytes: 5});
    expect(await remote.tunnels()).toEqual([{port: 80, url: 'https://a.example.net'}]);
    expect(await remote.extend(500)).toBe(1_000_500);
    await remote.setEgress({kind: 'list', allow: [{host: 'db.example.com', port: 5432}]});
    expect(fake.rules).toEqual([{kind: 'list', allow: [{host: 'db.example.com', port: 5432}]}]);
    await expect(remote.extend(0)).rejects.toMatchObject({code: 'OPTION_INVALID', message: 'no'});
    await expect(remote.setEgress({kind: 'all'} as never)).rejects.toMatchObject({code: 'OPTION_INVALID'});
  });

  test('runs commands: separate streams, stdin, exit codes, signals', async ({scope}) => {
    const {remote} = await served(scope);
    const cat = await remote.exec({command: ['sh', '-c', 'cat; echo no >&2; exit 7'], env: {A: 'b'}});
    cat.stdin.end('hello');
    expect(await Promise.all([text(cat.stdout), text(cat.stderr), cat.exit])).toEqual([
      'hello',
      'no\n',
      {code: 7},
    ]);
    const sleep = await remote.exec({command: ['sleep', '60']});
    await sleep.signal('SIGTERM');
    expect(await sleep.exit).toEqual({signal: 'SIGTERM'});
    const late = await remote.exec({command: ['sleep', '60'], timeoutMs: 20});
    expect(await late.exit).toEqual({signal: 'SIGKILL', timedOut: true});
    await expect(remote.exec({command: ['/nothing']})).rejects.toMatchObject({code: 'SANDBOX_COMMAND'});
  });

  test('moves much output, and holds a command whose output is not read', async ({scope}) => {
    const {remote} = await served(scope);
    const count = await remote.exec({command: ['sh', '-c', 'head -c 30000000 /dev/zero']});
    count.stdin.end();
    expect((await buffer(count.stdout)).length).toBe(30_000_000);
    expect(await count.exit).toEqual({code: 0});
  });

  test('dials ports inside', async ({scope}) => {
    const {remote} = await served(scope);
    const server = createServer({allowHalfOpen: true}, (socket) => socket.pipe(socket));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    scope.onEnd(() => void server.close());
    const {port} = server.address() as {port: number};
    const connection = await remote.dial(port);
    connection.end('ping');
    expect(await text(connection)).toBe('ping');
    await expect(remote.dial(1)).rejects.toMatchObject({code: 'ECONNREFUSED'});
  });

  test('has files', async ({scope}) => {
    const {remote} = await served(scope);
    await remote.files.write('/a/b.txt', Readable.from([Buffer.from('content')]), {mode: 0o640});
    expect(await text(await remote.files.read('/a/b.txt'))).toBe('content');
    expect(await remote.files.list('/a')).toMatchObject([
      {name: 'b.txt', kind: 'file', bytes: 7, mode: 0o640},
    ]);
    await expect(remote.files.read('/none')).rejects.toMatchObject({code: 'SANDBOX_FILE'});
  });

  test('shows the kept output, and the later one', async ({scope}) => {
    const {remote, fake} = await served(scope);
    fake.pieces.push({from: 'stdout', bytes: Buffer.alloc(200_000, 1), lostBytes: 7});
    fake.pieces.push({from: 'stderr', bytes: Buffer.from('x')});
    expect(await Array.fromAsync(remote.logs({follow: true, signal: AbortSignal.abort()}))).toEqual([]);
    const kept = await Array.fromAsync(remote.logs());
    expect(kept).toEqual(fake.pieces);
    const followed = [];
    for await (const piece of remote.logs({follow: true})) {
      if (followed.push(piece) === fake.pieces.length) fake.finish({reason: 'idle'});
    }
    expect(followed).toEqual([...fake.pieces, {from: 'stdout', bytes: Buffer.from('last')}]);
  });

  test('several use it at once', async ({scope}) => {
    const {open} = await served(scope);
    const all = await Promise.all(Array.from({length: 20}, open));
    expect((await Promise.all(all.map((each) => each.info()))).length).toBe(20);
  });
});

describe('the end', () => {
  test('reaches everybody with its reason', async ({scope}) => {
    const {remote, open, fake, own, roster, server} = await served(scope);
    const other = await open();
    const run = await remote.exec({command: ['sleep', '60']});
    fake.finish({reason: 'oom', detail: 'of memory'});
    await own.end({reason: 'oom', detail: 'of memory'});
    expect(await Promise.all([remote.ended, other.ended])).toEqual([
      {reason: 'oom', detail: 'of memory'},
      {reason: 'oom', detail: 'of memory'},
    ]);
    await expect(run.exit).rejects.toMatchObject({code: 'SANDBOX_ENDED'});
    await server.closed;
    expect(existsSync(join(own.folder, 'control.sock'))).toBe(false);
    await expect(remote.info()).rejects.toMatchObject({
      code: 'SANDBOX_ENDED',
      message: `The sandbox ${own.id} has ended (oom: of memory).`,
    });
    await expect(RemoteSandbox.open(roster, await roster.find(own.id))).rejects.toMatchObject({
      code: 'SANDBOX_ENDED',
    });
  });

  test('terminate resolves to it', async ({scope}) => {
    const {remote} = await served(scope);
    expect(await remote.terminate()).toEqual({reason: 'terminated', code: 0});
  });

  test('a connection that was closed here leaves the sandbox alone', async ({scope}) => {
    const {remote, open} = await served(scope);
    remote.close();
    await expect(remote.info()).rejects.toMatchObject({code: 'SANDBOX_ENDED'});
    expect((await (await open()).info()).state).toBe('ready');
  });
});

describe('bad input', () => {
  test('an owner that takes no further connections is silent, not lost', async ({scope}) => {
    const {open} = await served(scope);
    for (let count = 1; count < 256; count += 1) await open();
    const late = await open();
    await expect(late.info()).rejects.toMatchObject({code: 'SANDBOX_SILENT'});
  });

  test('a socket of another kind is not believed', async ({scope}) => {
    const roster = new SandboxRoster(await scope.tempDir('state'));
    const own = await roster.begin({command: ['x']});
    await mkdir(join(own.folder, 'control.sock'));
    await expect(RemoteSandbox.open(roster, await roster.find(own.id))).rejects.toMatchObject({
      code: 'STATE_DIR',
    });
  });

  test('a socket that a killed owner left is replaced', async ({scope}) => {
    const roster = new SandboxRoster(await scope.tempDir('state'));
    const own = await roster.begin({command: ['x']});
    await writeFile(join(own.folder, 'control.sock'), '');
    const fake = new FakeControl(own.id, own.workFolder);
    const server = await serveSandbox(own.folder, fake);
    const remote = await RemoteSandbox.open(roster, await roster.find(own.id));
    expect((await remote.info()).id).toBe(own.id);
    fake.finish({reason: 'idle'});
    expect(await remote.ended).toEqual({reason: 'idle'});
    await server?.closed;
  });

  test('a folder whose path is too long for a socket', async ({scope}) => {
    const {remote, fake, server, own} = await served(
      scope,
      join(await scope.tempDir('long'), 'x'.repeat(120)),
    );
    expect(await remote.stats()).toEqual({memoryBytes: 5});
    fake.finish({reason: 'idle'});
    await server.closed;
    expect(existsSync(join(own.folder, 'control.sock'))).toBe(false);
    expect(await readFile(join(own.folder, 'sandbox.json'), 'utf8')).toContain('"ready"');
  });
});
