// Sandboxes in containers of podman. Docker's form of a container is tried with podman's answer to Docker's API.

import {execFile, spawn} from 'node:child_process';
import {once} from 'node:events';
import {readlinkSync} from 'node:fs';
import {readdir} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {Readable} from 'node:stream';
import {buffer, text} from 'node:stream/consumers';
import {promisify} from 'node:util';
import {afterAll, beforeAll, describe, expect} from 'vitest';
import type {SandboxHandle} from '../../src/lib/sandbox/backend.js';
import {EngineBackend} from '../../src/lib/sandbox/engine/backend.js';
import type {SandboxSpec} from '../../src/lib/sandbox/spec.js';
import {runCli, startCli} from '../helpers/cli.js';
import {containers, IMAGE_MOUNTS, makeImage, podmanService, podmanTwice} from '../helpers/container-image.js';
import {caFileOf} from '../helpers/sandbox-cli.js';
import {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {curl} from '../helpers/visitors.js';

const run = promisify(execFile);
const outer = new Scope();
const isRoot = process.getuid?.() === 0;
let image = '';
let socketPath = '';

beforeAll(async () => {
  if (!isRoot) return;
  image = await makeImage(outer, ['ENV FROM_IMAGE=yes', 'VOLUME /data']);
  ({socketPath} = await podmanService(outer));
}, 60_000);
afterAll(() => outer[Symbol.asyncDispose]());

let count = 0;
async function specOf(scope: Scope, command: readonly string[], more: Partial<SandboxSpec> = {}) {
  count += 1;
  return {
    id: `sb_${(process.pid * 100 + count).toString(36).padStart(8, 'a').slice(-8)}`,
    command,
    env: {},
    mounts: IMAGE_MOUNTS,
    limits: {},
    bestEffort: false,
    egress: {kind: 'none'},
    image,
    folder: await scope.tempDir('sandbox'),
    labels: {},
    ...more,
  } satisfies SandboxSpec;
}

async function start(
  scope: Scope,
  command: readonly string[],
  {
    backend = new EngineBackend('podman', {socketPath}),
    ...more
  }: Partial<SandboxSpec> & {backend?: EngineBackend} = {},
): Promise<SandboxHandle & {id: string}> {
  const spec = await specOf(scope, command, more);
  const handle = await backend.create(spec);
  // An engine that the test has killed removes nothing.
  scope.onEnd(() => handle.destroy().catch(() => {}));
  return Object.assign(handle, {id: spec.id});
}

async function output(handle: SandboxHandle, command: readonly string[]): Promise<string> {
  const process = await handle.exec({command});
  process.stderr.resume();
  return (await text(process.stdout)).trim();
}

/** A process that owns a sandbox. */
function startOwner(spec: SandboxSpec, env: NodeJS.ProcessEnv) {
  return spawn(process.execPath, ['--input-type=module', '-e', OWNER], {
    env: {...process.env, ...env, SPEC: JSON.stringify(spec)},
    cwd: join(import.meta.dirname, '../..'),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

describe.runIf(isRoot)('podman', () => {
  test('the report names version, runtime and limits', async () => {
    const report = await new EngineBackend('podman', {socketPath}).probe();
    expect(report).toMatchObject({name: 'podman', available: true});
    expect(report.version).toMatch(/^podman \d+\.\d+.* \(runc\)$/);
    for (const finding of Object.values(report.limits)) expect(finding.reality).toBe('real');
  });

  test('a service of our own answers where no socket is, and ends with its process', async ({scope}) => {
    const spec = await specOf(scope, ['cat']);
    const owner = startOwner(spec, {CONTAINER_HOST: '', DOCKER_HOST: '', SOCKET: undefined, ENDS: 'yes'});
    expect(await text(owner.stdout)).toBe('running\nended\n');
    const {stdout} = await run('ps', ['-eo', 'args']);
    expect(stdout).not.toContain(`tunl-engine-${owner.pid}-`);
    expect(await readdir(tmpdir())).not.toContainEqual(expect.stringContaining(`tunl-engine-${owner.pid}-`));
  });

  test('an image that is missing, and none at all', async ({scope}) => {
    const backend = new EngineBackend('podman', {socketPath});
    for (const name of ['localhost/no-such-image', 'a/../b?x=1', undefined])
      await expect(backend.create(await specOf(scope, ['true'], {image: name}))).rejects.toMatchObject({
        code: 'SANDBOX_IMAGE',
      });
  });

  test('a program that is missing leaves no container behind', async ({scope}) => {
    const spec = await specOf(scope, ['/no/such/program']);
    await expect(new EngineBackend('podman', {socketPath}).create(spec)).rejects.toMatchObject({
      code: 'SANDBOX_COMMAND',
    });
    expect(await containers(`tunl.sandbox=${spec.id}`)).toEqual([]);
  });

  test('runtimes and networks that are not there are errors', async ({scope}) => {
    const backend = new EngineBackend('podman', {socketPath});
    await expect(backend.create(await specOf(scope, ['true'], {runtime: 'no-such'}))).rejects.toMatchObject({
      code: 'SANDBOX_BACKEND',
    });
  });

  test('a start that is given up leaves no container behind', async ({scope}) => {
    const abort = new AbortController();
    const spec = await specOf(scope, ['cat']);
    const created = new EngineBackend('podman', {socketPath}).create(spec, abort.signal);
    abort.abort(new Error('given up'));
    await expect(created).rejects.toThrow('given up');
    expect(await containers(`tunl.sandbox=${spec.id}`)).toEqual([]);
  });

  test.each(['podman', 'docker'] as const)('%s: the whole life of a sandbox', async (kind) => {
    await using scope = new Scope();
    const handle = await start(
      scope,
      ['sh', '-c', 'echo "$GREETING $FROM_IMAGE"; echo oops >&2; cat; exit 7'],
      {
        backend: new EngineBackend(kind, {socketPath}),
        env: {GREETING: 'a-secret-greeting'},
        limits: {
          memoryBytes: 128 * 1024 * 1024,
          cpus: 1,
          pids: 32,
          diskBytes: 8 * 1024 * 1024,
          openFiles: 256,
        },
      },
    );
    expect(handle).toMatchObject({backend: kind, unreal: []});

    // Processes: both outputs, code, signal, time limit.
    const failing = await handle.exec({command: ['sh', '-c', 'echo out; echo err >&2; exit 3']});
    expect(await Promise.all([text(failing.stdout), text(failing.stderr), failing.exit])).toEqual([
      'out\n',
      'err\n',
      {code: 3},
    ]);
    const slow = await handle.exec({command: ['sh', '-c', 'sleep 1000 & sleep 1000'], timeoutMs: 50});
    expect(await slow.exit).toEqual({signal: 'SIGKILL', timedOut: true});

    // Who it is, and what it may.
    const status = await output(handle, ['cat', '/proc/self/status']);
    expect(status).toMatch(/^CapBnd:\s+0+$/m);
    expect(status).toMatch(/^NoNewPrivs:\s+1$/m);
    expect(status).toMatch(/^Seccomp:\s+2$/m);
    expect(await output(handle, ['id', '-u'])).not.toBe('0');
    expect(await output(handle, ['sh', '-c', 'ulimit -n'])).toBe('256');
    expect(await output(handle, ['sh', '-c', 'ls /sys/class/net'])).toBe('lo');
    const places = 'for f in /x /data/x /etc/x /usr/x; do touch $f 2>/dev/null && echo $f; done';
    expect(await output(handle, ['sh', '-c', places])).toBe('');
    expect(
      await output(handle, ['sh', '-c', 'head -c 20M /dev/zero >/tmp/big || stat -c %s /tmp/big']),
    ).toMatch(/^[1-8]?\d{6}$/);
    await output(handle, ['rm', '/tmp/big']);

    // Files.
    await handle.files.write('notes/a.txt', Readable.from(['hello']), {mode: 0o640});
    expect(await text(await handle.files.read('/tmp/home/notes/a.txt'))).toBe('hello');
    expect(await handle.files.list('notes')).toMatchObject([{name: 'a.txt', bytes: 5, mode: 0o640}]);

    // A port: what one side ends, the other may still answer.
    const server = await handle.exec({
      command: ['python3', '-u', '-c', ECHO_SERVER],
    });
    await once(server.stdout, 'data');
    const connection = await handle.dial(8080);
    const sent = Buffer.alloc(3_000_000, 'x');
    connection.end(sent);
    expect((await buffer(connection)).equals(sent)).toBe(true);
    await expect(handle.dial(8081)).rejects.toMatchObject({code: 'ECONNREFUSED'});

    const stats = await handle.stats();
    expect(stats.memoryBytes).toBeGreaterThan(0);
    expect(stats.cpuMs).toBeGreaterThan(0);
    expect(stats.pids).toBeGreaterThan(2);

    // The environment of the command is nowhere but in the command.
    const inspected = await run('podman', ['inspect', `tunl-${handle.id}`]);
    expect(inspected.stdout).not.toContain('a-secret-greeting');
    expect((await run('ps', ['-eo', 'args'])).stdout).not.toContain('a-secret-greeting');

    handle.stdin.end('more\n');
    expect(await Promise.all([text(handle.stdout), text(handle.stderr)])).toEqual([
      'a-secret-greeting yes\nmore\n',
      'oops\n',
    ]);
    expect(await handle.ended).toEqual({why: 'exited', code: 7});
    await handle.destroy();
    await handle.destroy();
    expect(await containers(`tunl.sandbox=${handle.id}`)).toEqual([]);
    await expect(handle.exec({command: ['true']})).rejects.toMatchObject({code: 'SANDBOX_ENDED'});
  });

  test('memory that is used up is the reason of the end', async ({scope}) => {
    const handle = await start(scope, ['python3', '-c', 'x = bytearray(1 << 30)'], {
      limits: {memoryBytes: 96 * 1024 * 1024},
    });
    handle.stdout.resume();
    handle.stderr.resume();
    expect(await handle.ended).toEqual({why: 'oom'});
  });

  test('two sandboxes at once see nothing of each other', async ({scope}) => {
    const [one, two] = await Promise.all([start(scope, ['cat']), start(scope, ['cat'])]);
    const outside = async ({id}: {id: string}) =>
      (await run('podman', ['top', `tunl-${id}`, 'huser'])).stdout.trim().split('\n').at(-1);
    expect(await outside(one)).not.toBe(await outside(two));
    await one.files.write('/tmp/mine', Readable.from(['x']));
    await expect(two.files.read('/tmp/mine')).rejects.toMatchObject({code: 'SANDBOX_FILE'});
    const namespaces = await Promise.all(
      [one, two].map((each) => output(each, ['readlink', '/proc/self/ns/pid'])),
    );
    expect(new Set([...namespaces, readlinkSync('/proc/self/ns/pid')]).size).toBe(3);
  });

  test('a folder of a sandbox’s user can be written, another one is refused', async ({scope}) => {
    const folder = await scope.tempDir('home');
    await run('chown', ['1900000007:1900000007', folder]);
    const mounts = [...IMAGE_MOUNTS, {source: folder, target: '/home/me', readOnly: false}];
    const handle = await start(scope, ['cat'], {mounts});
    await handle.files.write('/home/me/file', Readable.from(['x']));
    expect((await run('stat', ['-c', '%u', join(folder, 'file')])).stdout.trim()).toBe('1900000007');
    await run('chown', ['12345', folder]);
    await expect(start(scope, ['cat'], {mounts})).rejects.toMatchObject({code: 'OPTION_INVALID'});
  });

  test('an engine that dies is a lost sandbox, and everything settles', async ({scope}) => {
    const {socketPath: path, child} = await podmanService(scope);
    const handle = await start(scope, ['cat'], {backend: new EngineBackend('podman', {socketPath: path})});
    const running = await handle.exec({command: ['sleep', '1000']});
    child.kill('SIGKILL');
    await expect(running.exit).rejects.toMatchObject({code: 'SANDBOX_ENDED'});
    expect(await handle.ended).toMatchObject({why: 'lost'});
    await expect(handle.dial(80)).rejects.toMatchObject({code: 'SANDBOX_ENDED'});
    // The way back to the engine is another service of the same one.
    const again = new EngineBackend('podman', {socketPath});
    await again.sweep(async () => false);
    await run('podman', ['wait', '--condition', 'exited', `tunl-${handle.id}`]);
    await podmanTwice('rm', '--force', '--ignore', `tunl-${handle.id}`);
  });

  test('an init that dies is a lost sandbox', async ({scope}) => {
    const handle = await start(scope, ['cat']);
    // It waits until its start is known here.
    const killer = await handle.exec({
      command: ['sh', '-c', 'read go; kill -9 $(pgrep -f "init.cjs --stdio$" | tail -1)'],
    });
    killer.stdin.write('go\n');
    await expect(killer.exit).rejects.toMatchObject({code: 'SANDBOX_ENDED'});
    expect(await handle.ended).toMatchObject({why: 'lost'});
  });

  test('a killed owner takes its sandbox with it, and the next one removes the container', async ({
    scope,
  }) => {
    const spec = await specOf(scope, ['cat']);
    const owner = startOwner(spec, {SOCKET: socketPath});
    // Its end is an end of the wait as well.
    await Promise.race([once(owner.stdout, 'data'), once(owner.stdout, 'end')]);
    const backend = new EngineBackend('podman', {socketPath});
    await backend.sweep(async () => false);
    expect(await containers(`tunl.sandbox=${spec.id}`)).toHaveLength(1);
    owner.kill('SIGKILL');
    await once(owner, 'exit');
    await run('podman', ['wait', '--condition', 'exited', `tunl-${spec.id}`]);
    await backend.sweep(async () => true);
    expect(await containers(`tunl.sandbox=${spec.id}`)).toHaveLength(1);
    await backend.sweep(async () => false);
    expect(await containers(`tunl.sandbox=${spec.id}`)).toEqual([]);
  });
});

describe.runIf(isRoot)('tunl sandbox run --backend podman', () => {
  const words = (...command: string[]) => [
    ...['sandbox', 'run', '--image', image, '--mount', '/usr:/usr:ro', '--port', '8080', ...command],
  ];

  test('prints the address of a port when it answers', async ({scope}) => {
    const command = ['--memory', '128m', '--', 'python3', '-m', 'http.server', '8080'];
    const cli = await startCli(scope, words(...command), {env: {CONTAINER_HOST: `unix://${socketPath}`}});
    const address = await cli.line();
    const page = await curl(scope, caFileOf(cli.stateDir), ['-sS', `${address}/`]);
    expect(page).toMatchObject({code: 0, stdout: expect.stringContaining('Directory listing')});
    expect(cli.stderr).toMatch(/^sandbox sb_\w{8} {2}podman · limits: memory · no network/m);
    cli.signal('SIGINT');
    expect(await cli.exited).toMatchObject({code: 143});
  });

  test('an image that is missing', async ({scope}) => {
    const command = [
      'sandbox',
      'run',
      '--json',
      '--backend',
      'podman',
      '--image',
      'localhost/no-such',
      '--',
      'true',
    ];
    const ended = await runCli(scope, command, {env: {CONTAINER_HOST: `unix://${socketPath}`}});
    expect(ended.cli.error).toMatchObject({code: 'SANDBOX_IMAGE'});
  });
});

const ECHO_SERVER = `
import socket
s = socket.create_server(('127.0.0.1', 8080))
print('listening')
while True:
  c, _ = s.accept()
  got = b''
  while True:
    d = c.recv(65536)
    if not d: break
    got += d
  c.sendall(got)
  c.close()
`;

const OWNER = `
import {EngineBackend} from './dist/lib/sandbox/engine/backend.js';
const backend = new EngineBackend('podman', {socketPath: process.env.SOCKET});
const handle = await backend.create(JSON.parse(process.env.SPEC));
handle.stdout.resume();
console.log('running');
if (process.env.ENDS) {
  await handle.destroy();
  console.log('ended');
}
`;
