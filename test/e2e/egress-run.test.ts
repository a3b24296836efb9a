// Commands whose connections all leave by an egress, with real programs, as root and as an ordinary user.
import {once} from 'node:events';
import {readdirSync, readFileSync} from 'node:fs';
import {chmod} from 'node:fs/promises';
import {createServer} from 'node:net';
import {fileURLToPath} from 'node:url';
import {afterAll, beforeAll, describe, expect} from 'vitest';
import {Child} from '../helpers/child.js';
import {EGRESSES, type EgressWorld, egressWorld, SITE, type User} from '../helpers/egress-world.js';
import {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {parseEvent} from '../project/event-schema.js';

const world = new Scope();
let around: EgressWorld;

beforeAll(async () => {
  around = await egressWorld(world);
});

afterAll(() => world[Symbol.asyncDispose]());

const python = (script: string) => ['python3', '-c', script];
const FETCH = `fetch('http://site.example/').then((r) => r.text()).then((text) => console.log(text.trim()))`;

describe.each<User>(['root', 'user'])('for %s', (user) => {
  test.for<[string, string[], string]>([
    ['curl by name', ['curl', '-sS4', 'http://site.example/'], EGRESSES.one[0]],
    ['curl by literal', ['curl', '-sS', `http://${SITE.v4}/`], EGRESSES.one[0]],
    ['curl by IPv6', ['curl', '-sS', `http://[${SITE.v6}]/`], EGRESSES.one[1]],
    [
      'python urllib',
      python(`from urllib.request import urlopen; print(urlopen('http://four.example/').read().decode())`),
      EGRESSES.one[0],
    ],
    ['fetch of Node', [process.execPath, '-e', FETCH.replace('site', 'four')], EGRESSES.one[0]],
  ])('%s', async ([, argv, address], {scope}) => {
    const {code, stdout, stderr} = await around.run(scope, user, ['--via', 'one', '--', ...argv]).finished();
    expect({code, stdout: stdout.trim(), stderr}).toEqual({
      code: 0,
      stdout: address,
      stderr: `sealed: TCP leaves by one (${EGRESSES.one.join(', ')}); UDP is refused\n`,
    });
  });

  test('half-closes, exit codes and signals are the command’s own', async ({scope}) => {
    const half = python(`import socket
s = socket.create_connection(('site.example', 5432)); s.sendall(b'x' * 100000); s.shutdown(socket.SHUT_WR)
print(b''.join(iter(lambda: s.recv(100), b'')).decode()); raise SystemExit(42)`);
    const one = await around.run(scope, user, ['--via', 'two', '--', ...half]).finished();
    expect([one.code, one.stdout]).toEqual([42, `from ${EGRESSES.two[0]}\nread 100000\n\n`]);
    const two = await around
      .run(scope, user, ['-q', '--via', 'two', '--', 'sh', '-c', 'kill -USR1 $$'])
      .finished();
    expect([two.code, two.stderr]).toEqual([128 + 10, '']);
    const trap = `trap 'echo ended in order; exit 7' TERM; echo up; while :; do sleep 0.1; done`;
    const three = around.run(scope, user, ['--via', 'two', '--', 'sh', '-c', trap]);
    await three.line((line) => line === 'up');
    three.signal('SIGTERM');
    expect(await three.finished()).toMatchObject({code: 7, stdout: 'up\nended in order\n'});
  });

  test('it has the user, the folder and the streams of its caller, and no rights beyond', async ({scope}) => {
    const script = `id -u; pwd; cat; grep -c '^Cap\\(Inh\\|Prm\\|Eff\\|Amb\\):.0*$' /proc/self/status
grep NoNewPrivs /proc/self/status; cat /etc/resolv.conf; echo "token: $TUNL_TOKEN"
for deed in 'ip route add 1.1.1.1 dev lo' 'nft flush ruleset' 'ip link add v0 type veth' 'mount -t tmpfs x /mnt'; do
  $deed 2>/dev/null && echo "allowed: $deed"; done; echo "$0" >&2`;
    const child = around.run(scope, user, ['-q', '--via', 'one', '--', 'sh', '-c', script], {
      stdin: true,
      cwd: '/usr',
    });
    child.stdin.end('from stdin\n');
    expect(await child.finished()).toMatchObject({
      code: 0,
      stdout: `${user === 'root' ? 0 : 1000}\n/usr\nfrom stdin\n4\nNoNewPrivs:\t1\nnameserver 198.18.0.1\ntoken: \n`,
      stderr: 'sh\n',
    });
  });

  test('two egresses at once, and five addresses of one', async ({scope}) => {
    const get = (via: string, more: string[], script: string) =>
      around.run(scope, user, ['-q', '--via', via, ...more, '--', 'sh', '-c', script]).finished();
    const curl = 'curl -sS4 http://site.example/';
    const [one, two, spread, same] = await Promise.all([
      get('one', [], curl),
      get('two', [], curl),
      get('many', ['--spread'], `for i in 1 2 3 4 5 6 7 8 9 10; do ${curl}; done`),
      get('many', [], `for i in 1 2 3 4 5; do ${curl}; done`),
    ]);
    expect([one.stdout, two.stdout]).toEqual([`${EGRESSES.one[0]}\n`, `${EGRESSES.two[0]}\n`]);
    const sources = (text: string) => [...new Set(text.trim().split('\n'))].sort();
    expect(sources(spread.stdout)).toEqual([...EGRESSES.many]);
    expect(sources(same.stdout)).toHaveLength(1);
  });

  test('a port of this machine only if it is named; UDP and refusals are told once', async ({scope}) => {
    const service = Child.start(
      scope,
      process.execPath,
      [
        '-e',
        `require('node:net').createServer((s) => s.end('own')).listen(6379, '127.0.0.1', () => console.log('up'))`,
      ],
      {namespace: around.machine.namespace},
    );
    await service.line();
    const script = `import socket
def tcp(host, port):
    try:
        with socket.create_connection((host, port), 10) as s: print(host, s.recv(10).decode())
    except OSError as error: print(host, port, type(error).__name__)
def udp():
    try: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('${SITE.v4}', 443))
    except OSError as error: print(type(error).__name__)
tcp('127.0.0.1', 6379); tcp('localhost', 6379); udp(); udp()
tcp('10.0.0.1', 80); tcp('10.0.0.1', 80); tcp('nowhere.example', 80)`;
    const open = await around
      .run(scope, user, ['--via', 'one', '--local', '6379', '--', ...python(script)])
      .finished();
    expect(open.stdout.split('\n').slice(0, 2)).toEqual(['127.0.0.1 own', 'localhost own']);
    const shut = await around
      .run(scope, user, ['--json', '--via', 'one', '--', ...python(script)])
      .finished();
    expect(shut.stdout.trim().split('\n')).toEqual([
      '127.0.0.1 6379 ConnectionRefusedError',
      'localhost 6379 ConnectionRefusedError',
      'PermissionError',
      'PermissionError',
      '10.0.0.1 80 ConnectionResetError',
      '10.0.0.1 80 ConnectionResetError',
      'nowhere.example 80 gaierror',
    ]);
    const events = shut.stderr.trim().split('\n').map(parseEvent);
    expect(events.map((event) => ('code' in event ? event.code : event.type)).sort()).toEqual([
      'EGRESS_FORBIDDEN',
      'EGRESS_LOCAL',
      'EGRESS_UDP',
      'sealed',
    ]);
  });

  test('nothing leaves the machine but by the relay', async ({scope}) => {
    const before = await around.leaks();
    const script = fileURLToPath(new URL('../helpers/egress-leaks.py', import.meta.url));
    const {code, stdout, stderr} = await around
      .run(scope, user, ['-q', '--via', 'one', '--', 'python3', script, SITE.v4, SITE.v6])
      .finished();
    expect({code, stderr}).toEqual({code: 0, stderr: ''});
    const outcomes = JSON.parse(stdout) as Record<string, string>;
    expect(outcomes).toMatchObject({'by name': 'ok', literal: 'ok', 'IPv6 literal': 'ok'});
    const out = Object.entries(outcomes).filter(([, outcome]) => outcome === 'ok');
    expect(out.map(([name]) => name)).toEqual([
      'by name',
      'literal',
      'IPv6 literal',
      'DNS by UDP',
      'DNS by TCP',
    ]);
    expect(await around.leaks()).toBe(before);
  });

  test('strict: the sockets of the machine’s services are not there', async ({scope}) => {
    const path = `/run/tunl-egress-${process.pid}-${user}.sock`;
    const server = createServer();
    scope.onEnd(() => void server.close());
    await once(server.listen(path), 'listening');
    await chmod(path, 0o777);
    const script = python(`import socket
try: socket.socket(socket.AF_UNIX).connect('${path}'); print('reached')
except OSError as error: print(type(error).__name__)`);
    const seen = async (flags: string[]) => {
      const {stdout, stderr} = await around
        .run(scope, user, ['--via', 'one', ...flags, '--', ...script])
        .finished();
      return {
        stdout,
        isStrict: /^sealed: TCP leaves by one .*; UDP is refused, and \/run is empty\n$/.test(stderr),
      };
    };
    expect(await seen([])).toEqual({stdout: 'reached\n', isStrict: false});
    expect(await seen(['--seal', 'strict'])).toEqual({stdout: 'FileNotFoundError\n', isStrict: true});
  });
});

test('the counter of leaks sees what a command without a seal sends', async () => {
  const before = await around.leaks();
  await around.machine.run('sh', '-c', 'curl -sS -m 1 http://203.0.113.77/ || true');
  expect(await around.leaks()).toBeGreaterThan(before);
});

test.for<[string, string[], string, number]>([
  ['without a name', [], 'USAGE', 2],
  ['of another name', ['--via', 'nowhere'], 'EGRESS_UNKNOWN', 5],
  ['with a port that is none', ['--via', 'one', '--local', '0'], 'PORT_RANGE', 2],
  ['with an unknown seal', ['--via', 'one', '--seal', 'paper'], 'OPTION_INVALID', 2],
])('an egress %s: %s', async ([, flags, code, exitCode], {scope}) => {
  const end = await around.run(scope, 'root', ['--json', ...flags, '--', 'echo', 'ran']).finished();
  expect(end).toMatchObject({code: exitCode, stdout: ''});
  expect(parseEvent(end.stderr)).toMatchObject({type: 'error', code});
});

test('without a seal: variables lead to the egress, and tunl says what that means', async ({scope}) => {
  const run = (flags: string[], argv: string[]) =>
    around.run(scope, 'user', ['--via', 'two', '--no-seal', ...flags, '--', ...argv]).finished();
  const curl = await run([], ['curl', '-sS', 'http://four.example/']);
  expect(curl).toMatchObject({code: 0, stdout: `${EGRESSES.two[0]}\n`});
  expect(curl.stderr).toMatch(/^warning: NOT sealed: .*those that ignore them leave directly\n$/);
  expect(await run([], ['sh', '-c', 'exit 3'])).toMatchObject({code: 3});
  expect(await run(['--local', '80'], ['true'])).toMatchObject({code: 2, stdout: ''});
});

test('a command that does not exist is a mistake of the caller', async ({scope}) => {
  const end = await around.run(scope, 'root', ['--via', 'one', '--', 'no-such-program']).finished();
  expect(end).toMatchObject({code: 8, stdout: '', stderr: expect.stringContaining('PROGRAM_MISSING')});
});

describe('whatever is killed, the command has no other way out', () => {
  const loop = python(`import socket, time
print('up', flush=True)
while True:
    time.sleep(0.02)
    try:
        with socket.create_connection(('${SITE.v4}', 80), 20) as s: s.sendall(b'x'); s.recv(1)
    except OSError: pass`);

  interface Part {
    pid: number;
    name: string;
    words: string;
    parent: number;
  }

  /** All processes below this one. */
  function partsOf(pid: number): Part[] {
    const all = readdirSync('/proc').flatMap((name): Part[] => {
      const stat = /^\d+$/.test(name) ? read(`/proc/${name}/stat`) : '';
      const [, called = '', parent = ''] = /^\d+ \((.*)\) \S (\d+)/.exec(stat) ?? [];
      const words = () => read(`/proc/${name}/cmdline`).replaceAll('\0', ' ');
      return called === '' ? [] : [{pid: Number(name), name: called, parent: Number(parent), words: words()}];
    });
    const below = (parent: number): Part[] =>
      all.filter((each) => each.parent === parent).flatMap((each) => [each, ...below(each.pid)]);
    return below(pid);
  }
  const isAlive = (pid: number) =>
    !['', 'Z', 'X'].includes(/\) (\S)/.exec(read(`/proc/${pid}/stat`))?.[1] ?? '');
  const areGone = (parts: readonly Part[]) =>
    expect.poll(() => parts.filter(({pid}) => isAlive(pid)), {timeout: 15_000}).toEqual([]);

  test.for<User>(['root', 'user'])('the agent of %s: the command ends with it', async (user, {scope}) => {
    const before = await around.leaks();
    const child = around.run(scope, user, ['-q', '--via', 'one', '--', ...loop]);
    await child.line();
    const parts = partsOf(child.pid);
    expect(parts.map(({name}) => name)).toContain('python3');
    child.signal('SIGKILL');
    await child.exited;
    await areGone(parts);
    expect(await around.leaks()).toBe(before);
  });

  let strays = 0;
  /** A program that has left its parent, its session and the sealed network. */
  function stray(scope: Scope) {
    const seconds = `1000.${process.pid}${++strays}`;
    const words = `sleep\0${seconds}\0`;
    const running = () => readdirSync('/proc').filter((name) => read(`/proc/${name}/cmdline`) === words);
    scope.onEnd(() => {
      for (const pid of running()) process.kill(Number(pid), 'SIGKILL');
    });
    const hides = `setsid unshare --user --net sh -c 'exec sleep ${seconds} >/dev/null' 2>/dev/null`;
    return {script: `(${hides} &); echo up; read end`, running};
  }

  test.for<[User, string, 'SIGKILL' | 'SIGSTOP' | 'end']>([
    ['root', 'ends', 'end'],
    ['user', 'ends', 'end'],
    ['root', 'is killed', 'SIGKILL'],
    ['user', 'is killed', 'SIGKILL'],
    ['user', 'is killed, and nobody inside can hear of it', 'SIGSTOP'],
  ])('a program of %s that hides everywhere is gone when tunl %s', async ([user, , how], {scope}) => {
    const {script, running} = stray(scope);
    const child = around.run(scope, user, ['-q', '--via', 'one', '--', 'sh', '-c', script], {stdin: true});
    await child.line((line) => line === 'up');
    await expect.poll(running, {timeout: 15_000}).toHaveLength(1);
    const parts = partsOf(child.pid);
    if (how === 'end') child.stdin.write('\n');
    else {
      // A program of the same user can stop what runs beside it.
      const helpers = parts.filter(({name}) => name === 'sh');
      if (how === 'SIGSTOP') for (const {pid} of helpers) process.kill(pid, 'SIGSTOP');
      child.signal('SIGKILL');
    }
    await child.exited;
    await expect.poll(running, {timeout: 15_000}).toEqual([]);
    await areGone(parts);
  });

  test.for<[User, string, (parts: readonly Part[]) => Part | undefined]>([
    ['root', 'the maker of the namespaces', (parts) => parts.find(({name}) => name === 'unshare')],
    ['user', 'the maker of the namespaces', (parts) => parts.find(({name}) => name === 'unshare')],
    ['root', 'the first process', (parts) => parts.find(({name}) => name === 'sh')],
    ['user', 'the helper', (parts) => parts.filter(({name}) => name === 'sh')[1]],
    ['user', 'the one that waits for the command', (parts) => parts.find(({name}) => name === 'timeout')],
  ])('of %s %s: the command is killed', async ([user, , find], {scope}) => {
    const before = await around.leaks();
    const child = around.run(scope, user, ['--via', 'one', '--', ...loop]);
    await child.line();
    const parts = partsOf(child.pid);
    const found = find(parts);
    process.kill(found?.pid ?? Number.NaN, 'SIGKILL');
    const isLost = found?.name !== 'timeout';
    expect(await child.finished()).toMatchObject({
      code: isLost ? 8 : 137,
      stderr: expect.stringContaining(isLost ? 'SEAL_LOST' : 'sealed'),
    });
    await areGone(parts);
    expect(await around.leaks()).toBe(before);
  });

  test.for<[string, RegExp]>([
    ['has begun', /bin\/run\.js egress/],
    ['makes its namespaces', /unshare /],
    ['has its first process', /bin\/sh /],
    ['makes its listeners', /doors\.js/],
    ['starts the command', /timeout /],
    ['has started the command', /python3 -c/],
  ])('tunl while it %s: nothing runs, and nothing is left', async ([, stage], {scope}) => {
    const before = await around.leaks();
    const child = around.run(scope, 'user', ['-q', '--via', 'one', '--', ...loop]);
    const up = child.line();
    let isUp = false;
    up.then(() => {
      isUp = true;
    }).catch(() => {});
    let parts: Part[] = [];
    // Some stages are short: the one that follows will do.
    while (!isUp && !parts.some(({words}) => stage.test(words))) {
      parts = [
        {
          pid: child.pid,
          name: '',
          parent: 0,
          words: read(`/proc/${child.pid}/cmdline`).replaceAll('\0', ' '),
        },
      ];
      parts.push(...partsOf(child.pid));
      await new Promise(setImmediate);
    }
    child.signal('SIGKILL');
    await child.exited;
    await areGone([...parts, ...partsOf(child.pid)]);
    expect(await around.leaks()).toBe(before);
  });
});

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
