// UDP between members of a private network: real programs on two machines, one of which belongs to an ordinary user.
import {copyFile, readFile} from 'node:fs/promises';
import {afterAll, beforeAll, describe, expect} from 'vitest';
import {Child} from '../helpers/child.js';
import {countLeaks} from '../helpers/leak-counter.js';
import {type Machine, type MemberChild, NetMachines, type RunOptions} from '../helpers/net-machines.js';
import {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';

const all = new Scope();
let machines: NetMachines;

beforeAll(async () => {
  machines = await NetMachines.start(all, [
    '--egress',
    'fixed=127.0.0.2',
    '--egress-allow-private',
    '10.213.0.0/16',
  ]);
});

afterAll(() => all[Symbol.asyncDispose]());

const python = (script: string) => ['python3', '-u', '-c', `import os, socket, sys\n${script}`];

/** Answers each datagram with its sender's address and port, and its length. */
const ECHO = python(`
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.bind(('::', 7000))
print('up')
while True:
  data, sender = s.recvfrom(65535)
  s.sendto(f'{sender[0]} {sender[1]} {len(data)}'.encode(), sender)`);

const other = (machine: Machine): Machine => (machine === 'one' ? 'two' : 'one');

async function server(
  scope: Scope,
  machine: Machine,
  argv: readonly string[],
  options: RunOptions = {},
): Promise<MemberChild> {
  const member = await machines.member(scope, machine, argv, {device: 'open', ...options});
  await member.child.line((line) => line === 'up');
  return member;
}

describe.each<Machine>(['one', 'two'])('to machine %s', (machine) => {
  const name = `echo-${machine}`;

  test('datagrams arrive from the sender’s own address and port, and answers come back', async ({scope}) => {
    const {address} = await server(scope, machine, ECHO, {name});
    const client = python(`
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.settimeout(20)
s.bind(('::', 0))
own = s.getsockname()[1]
for host in ('${name}', '${name}.lab.tunl.internal', '${address}'):
  for size in (0, 1, 1400, 60000):
    s.sendto(b'x' * size, (host, 7000))
    data, sender = s.recvfrom(65535)
    assert sender[0] == '${address}' and sender[1] == 7000, sender
    assert data.decode() == f'{os.environ["TUNL_I6PN_ADDR"]} {own} {size}', data
c = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
c.settimeout(20)
c.connect(('${name}', 7000))
c.send(b'abc')
print(c.recv(100).decode().split()[2])`);
    const {stdout} = await machines.run(scope, other(machine), client, {device: 'open'});
    expect(stdout).toBe('3\n');
  });

  test('a port where nobody listens is refused, also later, and taken when somebody does', async ({
    scope,
  }) => {
    const late = python(`
print('up')
sys.stdin.readline()
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.bind(('::', 7001))
print('listens')
data, sender = s.recvfrom(100)
s.sendto(b'got ' + data, sender)
s.recvfrom(100)
s.close()
print('closed')
sys.stdin.readline()`);
    const {child} = await server(scope, machine, late, {name: `late-${machine}`, stdin: true});
    const client = await machines.member(
      scope,
      other(machine),
      python(`
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.settimeout(20)
s.connect(('late-${machine}', 7001))
def refused():
  while True:
    try:
      s.send(b'x')
      s.settimeout(0.05)
      s.recv(100)
    except ConnectionRefusedError: return True
    except TimeoutError: pass
print('refused', refused())
sys.stdin.readline()
while True:
  try:
    s.settimeout(0.1)
    s.send(b'hello')
    print(s.recv(100).decode())
    break
  except (ConnectionRefusedError, TimeoutError): pass
s.send(b'last')
sys.stdin.readline()
print('refused', refused())`),
      {device: 'open', stdin: true},
    );
    await client.child.line((line) => line === 'refused True');
    child.stdin.write('\n');
    await child.line((line) => line === 'listens');
    client.child.stdin.write('\n');
    await client.child.line((line) => line === 'got hello');
    await child.line((line) => line === 'closed');
    client.child.stdin.write('\n');
    const {stdout, stderr} = await client.child.finished();
    expect(stdout.trim().split('\n')).toEqual(['refused True', 'got hello', 'refused True']);
    // The program hears of it, and people need not.
    expect(stderr).not.toContain('"type":"notice"');
  });

  test('the last datagrams of a command that ends at once arrive as well', async ({scope}) => {
    const counts = python(`
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
s.bind(('::', 7002))
print('up')
count = 0
while True:
  data = s.recv(100)
  count += 1
  if data == b'199': break
print(count)`);
    const {child} = await server(scope, machine, counts, {name: `counts-${machine}`});
    const bursts = python(`
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
for at in range(200): s.sendto(b'%d' % at, ('counts-${machine}', 7002))
os._exit(0)`);
    await machines.run(scope, other(machine), bursts, {device: 'open'});
    expect((await child.finished()).stdout).toBe('up\n200\n');
  });

  test('nc and iperf3 work as they are, and TCP stays what it is', async ({scope}) => {
    const folder = await machines.folder(scope, machine);
    const services = [
      'bash',
      '-c',
      `iperf3 -s -1 > /dev/null & nc -6 -u -l 7003 > ${folder}/nc & echo up; wait -n %1`,
    ];
    const {name: host} = await server(scope, machine, services, {name: `services-${machine}`});
    const own = await machines.folder(scope, other(machine));
    const iperf = `for i in {1..100}; do iperf3 -6 -u -b 20M -l 1200 -J -t 2 -c ${host} > ${own}/iperf && exit 0; sleep 0.1; done; exit 1`;
    await machines.run(
      scope,
      other(machine),
      ['bash', '-c', `echo by nc | nc -6 -u -w 1 ${host} 7003; ${iperf}`],
      {device: 'open'},
    );
    const {end} = JSON.parse(await readFile(`${own}/iperf`, 'utf8'));
    expect(end.sum.packets).toBeGreaterThan(1_000);
    expect(end.sum.lost_packets).toBeLessThan(end.sum.packets / 2);
    expect(await readFile(`${folder}/nc`, 'utf8')).toBe('by nc\n');
  });
});

test.for<[string, readonly string[]]>([
  ['relay', []],
  ['direct', ['--direct']],
  ['trusted-relay', ['--trust-relay']],
])('by the path %s: many ports at once, each with its own answers', async ([path, flags], {scope}) => {
  const {name} = await server(scope, 'two', ECHO, {name: `many-${path}`, flags});
  const client = python(`
all = [socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) for _ in range(60)]
for at, s in enumerate(all):
  s.connect(('${name}', 7000))
  s.settimeout(20)
  s.send(b'x' * at)
for at, s in enumerate(all):
  address, port, length = s.recv(100).decode().split()
  assert (address, int(port), int(length)) == (os.environ['TUNL_I6PN_ADDR'], s.getsockname()[1], at)
print('all')
sys.stdin.readline()`);
  const {child} = await machines.member(scope, 'one', client, {
    device: 'open',
    name: `asks-${path}`,
    flags,
    stdin: true,
  });
  await child.line((line) => line === 'all');
  const tcp = await machines.wire.one.run('ss', '-Htn', 'state', 'established');
  const isDirect = tcp
    .split('\n')
    .some((line) => line.includes(machines.wire.two.address) && !line.includes(':443'));
  expect(isDirect).toBe(path === 'direct');
});

test('rules, members without UDP, and own devices that are missing: the program and people hear it', async ({
  scope,
}) => {
  await server(scope, 'two', ECHO, {name: 'rules', flags: ['--allow-in', '7000', '--allow-in', 'friend']});
  await server(scope, 'two', ECHO, {name: 'without', device: 'none'});
  const serve = machines.tunl(scope, 'two', ['net', 'serve', 'lab', '--name', 'serves', '--json', '7000']);
  await serve.line();
  const attempts = python(`
def ask(host, port):
  s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
  s.settimeout(20)
  IPV6_RECVERR = 25
  s.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
  try:
    s.connect((host, port))
    s.send(b'abc')
    return s.recv(100).decode().split()[2]
  except OSError as error: return type(error).__name__
for host, port in (('rules', 7000), ('rules', 7001), ('without', 7000), ('without', 7000), ('serves', 7000)):
  print(host, port, ask(host, port))
print('nobody', ask(os.environ['TUNL_I6PN_ADDR'][:14] + '::9', 7000))`);
  const stranger = await machines.run(scope, 'one', attempts, {device: 'open', name: 'stranger'});
  expect(stranger.stdout.trim().split('\n')).toEqual([
    'rules 7000 3',
    'rules 7001 PermissionError',
    'without 7000 PermissionError',
    'without 7000 PermissionError',
    'serves 7000 PermissionError',
    'nobody OSError',
  ]);
  const told = notices(stranger.stderr);
  expect(told.map(({code}) => code)).toEqual(['NOT_ALLOWED', 'MEMBER_UDP', 'MEMBER_UDP', 'MEMBER_UNKNOWN']);
  expect(told[1]?.message).toMatch(
    /^without port 7000: The member takes no UDP\. There is no \/dev\/net\/tun/,
  );
  expect(told[2]?.message).toMatch(/^serves port 7000: The member takes no UDP: it only serves ports/);
  const friend = await machines.run(scope, 'one', attempts, {device: 'open', name: 'friend'});
  expect(friend.stdout).toContain('rules 7001 ConnectionRefusedError');
  const shut = await machines.run(scope, 'two', attempts, {device: 'shut', name: 'shut'});
  expect(
    new Set(
      shut.stdout
        .trim()
        .split('\n')
        .map((line) => line.split(' ').at(-1)),
    ),
  ).toEqual(new Set(['PermissionError']));
  expect(notices(shut.stderr)).toEqual([
    {
      type: 'notice',
      code: 'MEMBER_UDP',
      message: expect.stringMatching(/port 700\d was refused.*This user may not open.*chmod 0666/),
    },
  ]);
  expect(JSON.parse(shut.stderr.split('\n')[0] ?? '')).toMatchObject({
    type: 'network',
    udp: false,
    udpRefused: {mend: 'sudo chmod 0666 /dev/net/tun'},
  });
});

test.for<Machine>(['one', 'two'])(
  'ping from machine %s reaches members, also those without UDP',
  async (machine, {scope}) => {
    const far = other(machine);
    await server(scope, far, ECHO, {name: `pinged-${far}`});
    const serve = machines.tunl(scope, far, [
      'net',
      'serve',
      'lab',
      '--name',
      `serves-${far}`,
      '--json',
      '7000',
    ]);
    await serve.line();
    // Root has no capabilities inside, so the kernel does not start a program that wants one.
    const folder = await machines.folder(scope, machine);
    await copyFile('/usr/bin/ping', `${folder}/ping`);
    const words = (host: string) => `${folder}/ping -6 -c 3 -i 0.2 -s 1200 -W 20 ${host}`;
    const all = `set -e; ${words(`pinged-${far}`)}; ${words(`serves-${far}`)}; ${words('i6pn.tunl.internal')}; ! ${folder}/ping -6 -c 1 -W 20 2606:4700:4700::1111; ! ${folder}/ping -4 -c 1 -W 20 1.1.1.1`;
    const {stdout} = await machines.run(scope, machine, ['bash', '-c', all], {device: 'open'});
    expect(stdout.match(/3 packets transmitted, 3 received, 0% packet loss/g)).toHaveLength(3);
  },
);

test('with an egress other UDP leaves by it, and members are reached as without', async ({scope}) => {
  const {one} = machines.wire;
  const script = `const socket = require('node:dgram').createSocket('udp4');
socket.on('message', (text, {address, port}) => socket.send(address, port, address))
  .bind(7000, '${one.address}', () => console.log('up'))`;
  const outside = Child.start(scope, process.execPath, ['-e', script], {namespace: one.namespace});
  await outside.line((line) => line === 'up');
  await server(scope, 'one', ECHO, {name: 'beside'});
  const client = python(`
for family, host in ((socket.AF_INET, '${one.address}'), (socket.AF_INET6, 'beside')):
  s = socket.socket(family, socket.SOCK_DGRAM)
  s.settimeout(20)
  s.connect((host, 7000))
  s.send(b'abc')
  print(s.recv(100).decode().split()[0])`);
  const options = {device: 'open', flags: ['--egress', 'fixed']} as const;
  const {stdout, address} = await machines.run(scope, 'two', client, options);
  expect(stdout).toBe(`127.0.0.2\n${address}\n`);
});

test('UDP to anything but members stays inside, and no program has the device', async ({scope}) => {
  const {two, one} = machines.wire;
  await two.run('ip', 'route', 'replace', 'default', 'via', one.address);
  const leaks = await countLeaks(two, {counted: 'meta l4proto udp'});
  scope.onEnd(() => leaks.remove());
  await server(scope, 'one', ECHO, {name: 'echo-leaks'});
  const {stdout} = await machines.run(
    scope,
    'two',
    python(`
import fcntl, struct
def ask(host, port, family=socket.AF_INET6, bind=None):
  s = socket.socket(family, socket.SOCK_DGRAM)
  s.settimeout(20)
  try:
    if bind: s.bind((bind, 0))
    s.connect((host, port))
    s.send(b'abc')
    return s.recv(100).decode().split()[2]
  except OSError as error: return type(error).__name__
print('member', ask('echo-leaks', 7000))
print('IPv4', ask('${one.address}', 7000, socket.AF_INET))
print('public', ask('1.1.1.1', 443, socket.AF_INET))
print('IPv6', ask('2606:4700:4700::1111', 443))
print('other network', ask('fdaa:1:2::3', 7000))
print('multicast', ask('224.0.0.251', 5353, socket.AF_INET), ask('ff02::fb', 5353))
print('own', ask(os.environ['TUNL_I6PN_ADDR'], 7000), ask('::1', 7000))
print('own UDP', end=' ')
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.bind(('::', 7009))
c = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
c.sendto(b'x', (os.environ['TUNL_I6PN_ADDR'], 7009))
print(s.recvfrom(10)[1][0] == os.environ['TUNL_I6PN_ADDR'])
print('files', [to for to in (os.readlink('/proc/self/fd/' + name) for name in os.listdir('/proc/self/fd') if os.path.islink('/proc/self/fd/' + name)) if '/net/' in to])
try:
  with open('/dev/net/tun', 'r+b', buffering=0) as tun: print(fcntl.ioctl(tun, 0x400454ca, struct.pack('16sH22x', b'tunl-udp', 0x1001)))
except OSError as error: print('device', type(error).__name__)`),
    {device: 'open'},
  );
  expect(stdout.trim().split('\n')).toEqual([
    'member 3',
    'IPv4 PermissionError',
    'public PermissionError',
    'IPv6 PermissionError',
    'other network PermissionError',
    'multicast OSError OSError',
    'own ConnectionRefusedError ConnectionRefusedError',
    'own UDP True',
    'files []',
    expect.stringMatching(/^device .*Error$/),
  ]);
  expect(await leaks.packets()).toBe(0);
  // What no seal holds counts.
  await two.run(
    'python3',
    '-c',
    "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('1.1.1.1', 443))",
  );
  expect(await leaks.packets()).toBe(1);
});

function notices(stderr: string): {type: string; code: string; message: string}[] {
  return stderr
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
    .filter(({type}) => type === 'notice');
}
