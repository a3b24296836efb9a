// The tests that every backend passes: nothing gets out of a sandbox, and nothing stays of it.

import {readdirSync, readFileSync} from 'node:fs';
import {chmod, writeFile} from 'node:fs/promises';
import {createServer, type Server} from 'node:net';
import {networkInterfaces} from 'node:os';
import {join} from 'node:path';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import {ESCAPES, type HostFacts, programOf} from './escapes.js';
import {type Box, type BoxSpec, type DriverOptions, SandboxDriver} from './sandboxes.js';
import {Scope} from './scope.js';

export interface SuiteOptions extends DriverOptions {
  readonly title: string;
  /** What every sandbox of this backend needs, such as an image. */
  readonly spec?: Partial<BoxSpec>;
  /** Which limits are real here. */
  readonly real: readonly string[];
  /** Output of one command that costs the host nothing. Default: 1 GiB. */
  readonly loudBytes?: number;
  /** Another answer than the usual one, by the name of the way. */
  readonly says?: Readonly<Record<string, RegExp>>;
}

const SECRET = 'xyzzy-escape-secret';
const MIB = 1024 * 1024;

/** Ends a shell's wait with the sandbox; the number finds the processes on the host. */
let marks = 0;
const newMark = (): string => `${7_000_000 + process.pid * 100 + ++marks}`;

/** Processes of the host that have this word among their arguments. */
export function processesWith(word: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(word);
      } catch {
        return false;
      }
    })
    .map(Number);
}

const parentOf = (pid: number): number =>
  Number(/^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);

/** Resolves when somebody has the word. */
export async function there(word: string): Promise<void> {
  while (processesWith(word).length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
}

/** Resolves when nobody has the word any more. Fails with the test's own time limit. */
export async function gone(word: string): Promise<void> {
  while (processesWith(word).length > 0) await new Promise((resolve) => setTimeout(resolve, 20));
}

export function escapeSuite(options: SuiteOptions): void {
  const {title, spec: common = {}, real, loudBytes = 1024 * MIB} = options;
  describe(title, () => {
    const scope = new Scope();
    let driver: SandboxDriver;
    let host: HostFacts;
    let box: Box;
    let connections = 0;

    const create = (spec: BoxSpec) => driver.create({...common, ...spec});
    const listen = (path: string | number): Promise<Server> =>
      new Promise((resolve) => {
        const server = createServer((socket) => {
          connections += 1;
          socket.destroy();
        });
        server.listen(typeof path === 'number' ? {port: path, host: '::'} : {path}, () => resolve(server));
        scope.onEnd(() => void server.close());
      });

    beforeAll(async () => {
      const folder = await scope.tempDir('escape');
      await chmod(folder, 0o755);
      const secretFile = join(folder, 'secret');
      await writeFile(secretFile, SECRET, {mode: 0o644});
      const server = await listen(0);
      const abstractName = `tunl-escape-${process.pid}-${marks}`;
      await listen(`\0${abstractName}`);
      const address = Object.values(networkInterfaces())
        .flat()
        .find((found) => found?.family === 'IPv4' && !found.internal);
      host = {
        secretFile,
        secret: SECRET,
        port: (server.address() as {port: number}).port,
        abstractName,
        pid: process.pid,
        address: address?.address ?? '',
      };
      // What tunl itself has been given must not be seen inside.
      driver = new SandboxDriver(scope, {...options, env: {...options.env, ESCAPE_TEST: SECRET}});
      box = await create({command: ['sleep', '100000'], env: {OWN: 'own'}});
    });
    afterAll(() => scope[Symbol.asyncDispose]());

    test.each(ESCAPES)('$what', async (way) => {
      const {stdout, stderr} = await box.run(programOf(way, host));
      expect(stdout, stderr).toMatch(options.says?.[way.what] ?? way.says);
    });

    test('the host has seen no connection', () => {
      expect(connections).toBe(0);
    });

    test('reading through the host’s side follows links inside only', async () => {
      await box.sh(`ln -sf ${host.secretFile} /tmp/link; ln -sf / /tmp/root`);
      await expect(box.read('/tmp/link')).rejects.toMatchObject({code: 'SANDBOX_FILE'});
      await expect(box.read(`/tmp/root${host.secretFile}`)).rejects.toMatchObject({code: 'SANDBOX_FILE'});
      await expect(box.read(`/proc/1/root${host.secretFile}`)).rejects.toMatchObject({code: 'SANDBOX_FILE'});
    });

    test('rules for the network hold for every program, and can change while it runs', async () => {
      // Without another address than loopback there is nothing that may be allowed.
      if (host.address === '') return;
      const allow = [{host: host.address, port: host.port}];
      const open = await create({command: ['sleep', '1000'], egress: {kind: 'list', allow}});
      const connect = async (address: string, port: number) => {
        const program = `import socket, errno
try: s = socket.create_connection(('${address}', ${port}), 5); print(s.recv(9))
except OSError as e: print('refused')`;
        return (await open.run(['python3', '-c', program])).stdout.trim();
      };
      const before = connections;
      expect(await connect(host.address, host.port)).toBe("b''");
      expect(connections).toBe(before + 1);
      for (const [address, port] of [
        [host.address, host.port + 1],
        ['127.0.0.1', host.port],
        ['169.254.169.254', 80],
      ] as const)
        expect(await connect(address, port)).toBe('refused');
      await open.setEgress({kind: 'none'});
      expect(await connect(host.address, host.port)).toBe('refused');
      await open.setEgress({kind: 'list', allow});
      expect(await connect(host.address, host.port)).toBe("b''");
      expect(connections).toBe(before + 2);
      await open.destroy();
    });

    test('two sandboxes see nothing of each other', async () => {
      const mark = newMark();
      const other = await create({command: ['sleep', mark]});
      await other.write('/tmp/marker', SECRET);
      const listening = await other.sh(
        `python3 -c "import socket,os,sys
s=socket.socket(); s.bind(('127.0.0.1',18999)); s.listen()
u=socket.socket(socket.AF_UNIX); u.bind('\\0other-sandbox'); u.listen()
if os.fork(): sys.exit()
import time; [os.close(fd) for fd in (0,1,2)]; time.sleep(1000)"`,
      );
      expect(listening).toMatchObject({code: 0});
      const {stdout} = await box.run([
        'python3',
        '-c',
        `import os,socket
print(os.path.exists('/tmp/marker'))
print(any('${mark}' in open('/proc/%s/cmdline' % p).read() for p in os.listdir('/proc') if p.isdigit() and int(p) != os.getpid()))
for f, a in ((socket.AF_INET, ('127.0.0.1', 18999)), (socket.AF_UNIX, '\\0other-sandbox')):
  try: socket.socket(f).connect(a); print('connected')
  except OSError as e: print(e.errno)`,
      ]);
      expect(stdout).toBe('False\nFalse\n111\n111\n');
      await other.destroy();
      await gone(mark);
    });

    test('a command that is missing, and one that may not be run', async () => {
      for (const command of [['/no/such/program'], ['no-such-program', 'x'], ['/etc/passwd']])
        await expect(create({command})).rejects.toMatchObject({code: 'SANDBOX_COMMAND'});
    });

    test('a command that exits at once, with its output and code', async () => {
      const short = await create({command: ['sh', '-c', 'echo out; echo err >&2; exit 3']});
      expect(await short.ended()).toMatchObject({why: 'exited', code: 3, stdout: 'out\n', stderr: 'err\n'});
      await short.destroy();
    });

    test('a command that forks away leaves nothing', async () => {
      const mark = newMark();
      const away = await create({
        command: [
          'sh',
          '-c',
          `setsid sh -c 'setsid sleep ${mark} & setsid sleep ${mark} &' </dev/null >/dev/null 2>&1 &`,
        ],
      });
      expect(await away.ended()).toMatchObject({why: 'exited', code: 0});
      await there(mark);
      await away.destroy();
      await gone(mark);
    });

    test('a command that ignores signals is ended by destroy', async () => {
      const mark = newMark();
      const stubborn = await create({
        command: ['sh', '-c', `trap '' TERM INT HUP; echo ready; while :; do sleep ${mark}; done`],
      });
      await stubborn.signal('SIGTERM');
      expect((await stubborn.run(['true'])).code).toBe(0);
      await stubborn.destroy();
      await gone(mark);
      await expect(stubborn.run(['true'])).rejects.toMatchObject({code: 'SANDBOX_ENDED'});
    });

    test('a full disk is full for the sandbox only', async () => {
      const full = await create({command: ['sleep', '1000'], limits: {diskBytes: 32 * MIB}});
      const script = `for f in "$HOME" /tmp /var/tmp /dev/shm /dev /run /; do dd if=/dev/zero of=$f/fill bs=64k count=2000 2>/dev/null; done; du -cb /tmp/fill "$HOME/fill" /var/tmp/fill /dev/shm/fill /dev/fill /run/fill /fill 2>/dev/null | tail -1 | cut -f1`;
      const {stdout} = await full.sh(script);
      expect(Number(stdout)).toBeGreaterThan(16 * MIB);
      expect(Number(stdout)).toBeLessThanOrEqual(32 * MIB);
      expect((await full.sh('echo still')).stdout).toBe('still\n');
      await full.destroy();
    });

    test('a fork bomb stops at the limit, and the sandbox still ends', async () => {
      const mark = newMark();
      const bomb = await create({command: ['sleep', mark], limits: {pids: 60}});
      const {stdout} = await bomb.run([
        'python3',
        '-c',
        `import os, time
made = 0
try:
  while made < 2000:
    if os.fork() == 0: time.sleep(1000); os._exit(0)
    made += 1
except OSError as e: print(e.errno)
print(made < 100)
os.kill(0, 9) if False else None
import signal; signal.signal(15, signal.SIG_IGN); os.killpg(0, 15)`,
      ]);
      expect(stdout).toBe('11\nTrue\n');
      const bombing = bomb.sh('f() { f | f & }; f; sleep 1000').catch(() => {});
      await bomb.stats();
      await bomb.destroy();
      await bombing;
      await gone(mark);
    });

    if (real.includes('memoryBytes')) {
      test('memory that is used up ends the command with its reason', async () => {
        const hungry = await create({
          command: ['python3', '-c', 'x = []\nwhile True: x.append(bytearray(b"x") * (1 << 20))'],
          limits: {memoryBytes: 128 * MIB},
        });
        expect(await hungry.ended()).toMatchObject({why: 'oom'});
        await hungry.destroy();
        const forgiving = await create({command: ['sleep', '1000'], limits: {memoryBytes: 128 * MIB}});
        const ran = await forgiving.run(['python3', '-c', 'x = bytearray(b"x") * (1 << 29)']);
        expect(ran).toMatchObject({signal: 'SIGKILL'});
        expect((await forgiving.sh('echo still')).stdout).toBe('still\n');
        expect((await forgiving.stats()).memoryBytes).toBeLessThan(128 * MIB);
        await forgiving.destroy();
      });
    } else {
      test('a limit that does not hold is an error, or named', async () => {
        const spec = {command: ['sleep', '1000'], limits: {memoryBytes: 128 * MIB, pids: 50}};
        await expect(create(spec)).rejects.toMatchObject({
          code: 'SANDBOX_LIMIT',
          next: expect.stringMatching(/./),
        });
        const loose = await create({...spec, bestEffort: true});
        expect(loose.unreal).toContain('memoryBytes');
        await loose.destroy();
      });
    }

    test('open files are limited for each process', async () => {
      const few = await create({command: ['sleep', '1000'], limits: {openFiles: 100}});
      const {stdout} = await few.sh('ulimit -n; ulimit -n 5000 2>/dev/null; ulimit -n');
      expect(stdout).toBe('100\n100\n');
      await few.destroy();
    });

    test('much output costs the host no memory', async () => {
      const loud = await create({command: ['sh', '-c', `head -c ${loudBytes} /dev/zero`]});
      const {stdoutBytes, peakRssBytes, ...end} = await loud.ended();
      expect(end).toMatchObject({why: 'exited', code: 0});
      expect(stdoutBytes).toBe(loudBytes);
      expect(peakRssBytes).toBeLessThan(220 * MIB);
      await loud.destroy();
    });

    test('killing everything inside, the init too, is an end with a reason', async () => {
      const mark = newMark();
      const suicidal = await create({command: ['sleep', mark]});
      const killing = suicidal.sh('kill -9 -1; kill -9 2; sleep 1000').catch(() => {});
      expect((await suicidal.ended()).why).toMatch(/^(lost|exited)$/);
      await suicidal.destroy();
      await killing;
      await gone(mark);
    });

    test('its init killed from the host is an end with a reason, and settles every call', async () => {
      const mark = newMark();
      const killed = await create({command: ['sleep', mark]});
      const pending = expect(killed.run(['sleep', '1000'])).rejects.toMatchObject({code: 'SANDBOX_ENDED'});
      await there(mark);
      const [pid = 0] = processesWith(mark);
      process.kill(parentOf(pid), 'SIGKILL');
      expect(await killed.ended()).toMatchObject({why: 'lost', detail: expect.stringMatching(/./)});
      await pending;
      await expect(killed.run(['true'])).rejects.toMatchObject({code: 'SANDBOX_ENDED'});
      await killed.destroy();
      await gone(mark);
    });

    test('the death of its owner ends a sandbox', async () => {
      const mark = newMark();
      const scopeOfDead = new Scope();
      const dead = new SandboxDriver(scopeOfDead, options);
      const left = await dead.create({
        ...common,
        command: ['sh', '-c', `trap '' TERM; sleep ${mark} & wait; sleep ${mark}`],
      });
      await there(mark);
      dead.child.signal('SIGKILL');
      await gone(mark);
      await driver.ask('sweep', {dead: [left.id]});
      await scopeOfDead[Symbol.asyncDispose]();
    });
  });
}
