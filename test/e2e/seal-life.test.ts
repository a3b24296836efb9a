// The life of a sealed network: its bytes, rules that change, floods, deaths, and what is left afterwards.
import {readdirSync, readFileSync, readlinkSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import {afterAll, beforeAll, describe, expect} from 'vitest';
import {parseEgress} from '../../src/lib/seal/rules.js';
import {Child} from '../helpers/child.js';
import {Scope} from '../helpers/scope.js';
import {
  FORBIDDEN,
  MACHINE_PORT,
  SealHost,
  SITE,
  type Surroundings,
  sealSurroundings,
  type User,
} from '../helpers/seal.js';
import {test} from '../helpers/test.js';

const all = new Scope();
let around: Surroundings;

beforeAll(async () => {
  around = await sealSurroundings(all);
});

afterAll(() => all[Symbol.asyncDispose]());

const python = (script: string) => ['python3', '-c', `import socket\n${script}`];

/** Says `open` when it is connected, and then how the connection ended. */
const holding = (host: string, port: number) =>
  python(`s = socket.create_connection(('${host}', ${port}))
print(s.recv(100).decode().strip(), flush=True)
try: print('end' if s.recv(1) == b'' else 'data', flush=True)
except ConnectionResetError: print('reset', flush=True)`);

const dialling = (host: string, port: number) =>
  python(`
try: print(socket.create_connection(('${host}', ${port}), 5).recv(100).decode().strip() or 'closed')
except OSError as error: print(type(error).__name__, error.errno)`);

/** Numbers of the network namespaces in which a process runs. */
function namespacesInUse(): Set<string> {
  const links = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readlinkSync(`/proc/${pid}/ns/net`);
      } catch {
        return '';
      }
    });
  return new Set(links);
}

const childrenOf = (pid: number) =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean);

const namespaceOf = (pid: number) => readlinkSync(`/proc/${pid}/ns/net`);

/** Resolves when no process runs there. */
async function isGone(namespace: string): Promise<void> {
  while (namespacesInUse().has(namespace)) await new Promise((resolve) => setTimeout(resolve, 20));
}

/** Starts a program that stays, and returns the namespace in which it runs. */
async function resident(host: SealHost, id = 'resident'): Promise<string> {
  const script = `import os\nprint(os.readlink('/proc/self/ns/net'), flush=True)\nimport time\ntime.sleep(600)`;
  await host.start(id, python(script));
  return (await host.message((each) => each.id === id && each.event === 'out')).line ?? '';
}

const LIST = parseEgress(`allowed.example:80,${SITE.v4}:22`);

describe.each<User>(['root', 'user'])('for %s', (user) => {
  test('bytes, half-closes and resets pass', async ({scope}) => {
    const host = new SealHost(scope, around.machine, user);
    await host.open(LIST);
    const {lines} = await host.run(
      'bytes',
      python(`
s = socket.create_connection(('allowed.example', 80))
sent = 0
for _ in range(400):
    s.sendall(b'x' * 65536); sent += 65536
s.shutdown(socket.SHUT_WR)
got = b''
while True:
    piece = s.recv(1000)
    if not piece: break
    got += piece
print(got.decode().split('\\n')[1] == 'read %d' % sent)
s = socket.create_connection(('${SITE.v4}', 22))
s.sendall(b'reset please\\n')
try:
    while s.recv(100): pass
    print('end')
except ConnectionResetError: print('reset')`),
    );
    expect(lines).toEqual(['True', 'reset']);
  });

  test('changed rules cut what they no longer allow, and nothing else', async ({scope}) => {
    const host = new SealHost(scope, around.machine, user);
    await host.open(LIST);
    await host.start('name', holding('allowed.example', 80));
    await host.start('address', holding(SITE.v4, 22));
    const said = (id: string, line: string) => host.message((each) => each.id === id && each.line === line);
    await Promise.all([said('name', `reached ${SITE.v4}`), said('address', `reached ${SITE.v4}`)]);
    await host.ask('rules', {rules: parseEgress(`${SITE.v4}:22`)});
    await said('name', 'reset');
    expect(await host.ask('state')).toMatchObject({connections: 1});
    expect((await host.run('again', dialling('allowed.example', 80))).lines).toEqual(['gaierror -2']);
    await host.ask('rules', {rules: {kind: 'none'}});
    await said('address', 'reset');
    expect((await host.run('none', dialling(SITE.v4, 22))).lines).toEqual(['OSError 101']);
    await host.ask('rules', {rules: LIST});
    expect((await host.run('back', dialling(SITE.v4, 22))).lines).toEqual([`reached ${SITE.v4}`]);
  });

  test('without a network there is only the own loopback, until rules come', async ({scope}) => {
    const host = new SealHost(scope, around.machine, user);
    await host.open({kind: 'none'});
    expect((await host.run('none', dialling(SITE.v4, 22))).lines).toEqual(['OSError 101']);
    expect((await host.run('six', dialling(SITE.v6, 22))).lines).toEqual(['OSError 101']);
    expect((await host.run('name', dialling('allowed.example', 80))).lines).toEqual([
      expect.stringMatching(/^gaierror/),
    ]);
    await host.ask('rules', {rules: LIST});
    expect((await host.run('list', dialling('allowed.example', 80))).lines).toEqual([`reached ${SITE.v4}`]);
  });

  test('a way out that cannot be made is refused each time, and none is still there', async ({scope}) => {
    const host = new SealHost(scope, around.machine, user);
    // No rule of nft can have this port.
    await host.ask('open', {rules: {kind: 'none'}, localPorts: [70_000]});
    for (const _ of [1, 2])
      await expect(host.ask('rules', {rules: LIST})).rejects.toMatchObject({
        code: 'SANDBOX_EGRESS',
        message: expect.stringMatching(/^nft could not load the rules/),
      });
    await host.ask('rules', {rules: {kind: 'none'}});
    expect((await host.run('none', dialling(SITE.v4, 22))).lines).toEqual(['OSError 101']);
  });

  test('the internet is every public address and no other', async ({scope}) => {
    const host = new SealHost(scope, around.machine, user);
    await host.open({kind: 'internet'});
    const packets = await around.machinePackets();
    const answers = await Promise.all(
      [
        [SITE.v4, 443],
        [SITE.v6, 80],
        ['allowed.example', 5432],
        ['inside.example', 80],
        ['cname.example', 80],
        ['nowhere.example', 80],
        ['10.9.9.9', 80],
        ['169.254.169.254', 80],
        ['64:ff9b::a09:909', 80],
        [around.machine.address, MACHINE_PORT],
        ['2001:db8:1::1', MACHINE_PORT],
        ['127.0.0.1', MACHINE_PORT],
      ].map(([name, port], at) => host.run(`to ${at}`, dialling(String(name), Number(port)))),
    );
    const reset = 'ConnectionResetError 104';
    expect(answers.map(({lines}) => lines[0])).toEqual([
      `reached ${SITE.v4}`,
      `reached ${SITE.v6}`,
      expect.stringMatching(/^reached (203\.0\.113\.10|2001:db8::10)$/),
      ...['gaierror -2', 'gaierror -2', 'gaierror -2'],
      ...[reset, reset, reset, reset, reset],
      'ConnectionRefusedError 111',
    ]);
    expect(await around.machinePackets()).toBe(packets);
    const {lines} = await host.run('address', python(`print(socket.gethostbyname('allowed.example'))`));
    expect(lines).toEqual([SITE.v4]);
  });

  test('floods cost only the program inside', async ({scope}) => {
    const host = new SealHost(scope, around.machine, user);
    await host.open(LIST);
    const before = host.child.rssBytes();
    const {lines} = await host.run(
      'flood',
      python(`
import resource, threading, time
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
kept, failed = [], 0
for at in range(700):
    s = socket.socket(); s.setblocking(False)
    s.connect_ex(('${SITE.v4}', 22) if at % 2 else ('${FORBIDDEN.v4}', 22))
    kept.append(s)
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for at in range(3000):
    name = ('n%d' % at).encode()
    try: u.sendto(b'\\0\\7\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0' + bytes([len(name)]) + name + b'\\7example\\0\\0\\1\\0\\1', ('8.8.8.8', 53))
    except OSError: failed += 1
print('questions were dropped', failed > 0)
for s in kept: s.close()
for at in range(50):
    try:
        print(socket.create_connection(('${SITE.v4}', 22), 5).recv(50).decode().strip()); break
    except OSError: time.sleep(0.1)`),
    );
    expect(lines).toEqual(['questions were dropped True', `reached ${SITE.v4}`]);
    expect(host.child.rssBytes() - before).toBeLessThan(64 * 1024 * 1024);
    expect(host.messages().filter(({event}) => event === 'refused').length).toBeLessThan(60);
  });

  test('closing kills what runs inside, also what has left its group, and removes the namespace', async ({
    scope,
  }) => {
    const host = new SealHost(scope, around.machine, user);
    await host.open(LIST);
    const {lines} = await host.run('daemon', [
      'sh',
      '-c',
      'setsid sh -c "sleep 600" >/dev/null 2>&1 & readlink /proc/self/ns/net',
    ]);
    const namespace = lines[0] ?? '';
    expect(await resident(host)).toBe(namespace);
    expect(namespacesInUse()).toContain(namespace);
    await host.ask('close');
    expect(namespacesInUse()).not.toContain(namespace);
    await expect(host.start('late', ['true'])).rejects.toMatchObject({code: 'SANDBOX_EGRESS'});
  });

  test('nothing is left when the process that holds the seal is killed', async ({scope}) => {
    const host = new SealHost(scope, around.machine, user);
    await host.open(LIST);
    const namespace = await resident(host);
    // A grandchild in a session of its own does not end with its parent.
    await host.start('strays', ['sh', '-c', '(setsid sleep 1000 >/dev/null 2>&1 &); echo up; sleep 1000']);
    await host.message(({id, line}) => id === 'strays' && line === 'up');
    host.child.signal('SIGKILL');
    await host.child.exited;
    await isGone(namespace);
  });

  test('the end of the holder is the end of the seal', async ({scope}) => {
    const host = new SealHost(scope, around.machine, user);
    await host.open(LIST);
    const namespace = await resident(host);
    const holder = readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .find((pid) => holds(pid, namespace));
    process.kill(holder ?? 0, 'SIGKILL');
    await host.message(({event}) => event === 'lost');
    expect(namespacesInUse()).not.toContain(namespace);
  });

  test('a start that is given up leaves nothing behind', async ({scope}) => {
    const host = new SealHost(scope, around.machine, user);
    // Some are given up before there is a namespace, some while the listeners are made.
    for (const abortAfterMs of [0, 5, 10, 20, 40, 60])
      await host.ask('open', {rules: LIST, abortAfterMs}).then(
        () => host.ask('close'),
        (error: Error) => expect(error.message).toMatch(/timeout|closed/),
      );
    expect(childrenOf(host.child.pid)).toEqual([]);
  });

  test('the network of a container can be sealed, and has no way out after that', async ({scope}) => {
    const host = new SealHost(scope, around.machine, user);
    const container = containerOf(scope, user, ['--net']);
    await container.line((line) => line === 'up');
    await host.ask('open', {rules: LIST, joins: {pid: container.pid}});
    const dial = async (name: string, port: number, count: number) => {
      container.stdin.write(`${name} ${port}\n`);
      await container.line(() => container.lines.length > count);
      return container.lines[count];
    };
    expect(await dial('allowed.example', 80, 1)).toBe(`reached ${SITE.v4}`);
    expect(await dial(FORBIDDEN.v4, 80, 2)).toBe('104');
    await host.ask('close');
    expect(await dial('allowed.example', 80, 3)).toBe('-3');
    expect(await dial(SITE.v4, 22, 4)).toMatch(/^(111|101)$/);
  });

  test('a process that has the network of the machine cannot be sealed', async ({scope}) => {
    const host = new SealHost(scope, around.machine, user);
    const container = containerOf(scope, user, []);
    await container.line((line) => line === 'up');
    const join = host.ask('open', {rules: LIST, joins: {pid: container.pid}});
    await expect(join).rejects.toMatchObject({code: 'SANDBOX_EGRESS', message: /network of the machine/});
  });

  test('many seals leave nothing behind', async ({scope}) => {
    const host = new SealHost(scope, around.machine, user);
    const files = () => readdirSync(`/proc/${host.child.pid}/fd`).length;
    const round = async (at: number) => {
      await host.open(at % 3 === 0 ? {kind: 'none'} : LIST);
      await host.ask('close');
    };
    await round(0);
    await round(1);
    const before = files();
    for (let at = 0; at < 12; at += 1) await round(at);
    expect(files()).toBe(before);
  });
});

/** Stands in for a container: it dials what it is told. */
function containerOf(scope: Scope, user: User, own: readonly string[]): Child {
  const script = `
print('up', flush=True)
while True:
    try: host, port = input().split()
    except EOFError: break
    try: print(socket.create_connection((host, int(port)), 10).recv(100).decode().strip() or 'closed', flush=True)
    except OSError as error: print(error.errno, flush=True)`;
  const namespaces = own.length === 0 ? [] : user === 'root' ? own : ['--user', '--map-root-user', ...own];
  const words = ['unshare', ...namespaces, '--', ...python(script)];
  const [command = '', ...args] =
    user === 'root' ? words : ['setpriv', '--reuid=1000', '--regid=1000', '--clear-groups', '--', ...words];
  return Child.start(scope, command, args, {namespace: around.machine.namespace, stdin: true});
}

function holds(pid: number, namespace: string): boolean {
  try {
    const {length} = readlinkSync(`/proc/${pid}/exe`).match(/dash|busybox|\/sh$/) ?? [];
    return length !== undefined && namespaceOf(pid) === namespace;
  } catch {
    return false;
  }
}

describe('a machine that cannot seal', () => {
  test('says which program is missing', async ({scope}) => {
    const hide = [
      'unshare',
      '--mount',
      'sh',
      '-c',
      'mount --bind /etc/passwd /usr/sbin/nft && exec "$@"',
      'sh',
    ];
    const host = new SealHost(scope, around.machine, 'user', {around: hide});
    await expect(host.open(LIST)).rejects.toMatchObject({
      code: 'SANDBOX_EGRESS',
      message: 'The program nft is missing.',
      next: 'apt install nftables',
    });
  });

  test('says how user namespaces are allowed', async ({scope}) => {
    const forbid = [
      ...['unshare', '--user', '--map-root-user', '--mount', 'sh', '-c'],
      'echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-all --inh-caps=-all "$@"',
      'sh',
    ];
    const host = new SealHost(scope, around.machine, 'root', {around: forbid});
    await expect(host.open(LIST)).rejects.toMatchObject({
      code: 'SANDBOX_EGRESS',
      next: 'sudo sysctl -w user.max_user_namespaces=15000',
    });
  });

  test('does not start without all listeners', async ({scope}) => {
    // Node runs an empty program and says that it went well.
    const doors = fileURLToPath(new URL('../../dist/bundle/seal/doors.js', import.meta.url));
    const empty = ['unshare', '--mount', 'sh', '-c', `mount --bind /dev/null '${doors}' && exec "$@"`, 'sh'];
    const host = new SealHost(scope, around.machine, 'user', {around: empty});
    await expect(host.open(LIST)).rejects.toMatchObject({code: 'SANDBOX_EGRESS', message: /listeners/});
  });

  test('does not start when nft takes no rules', async ({scope}) => {
    // This one says that it has failed.
    const broken = [
      'unshare',
      '--mount',
      'sh',
      '-c',
      'mount --bind /bin/false /usr/sbin/nft && exec "$@"',
      'sh',
    ];
    const host = new SealHost(scope, around.machine, 'user', {around: broken});
    await expect(host.open(LIST)).rejects.toMatchObject({code: 'SANDBOX_EGRESS', next: /modprobe/});
  });
});
