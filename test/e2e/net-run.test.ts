// `tunl net run` on two machines: real programs, addresses, exit codes, and what ends them.
import {readFile, writeFile} from 'node:fs/promises';
import {userInfo} from 'node:os';
import {afterAll, beforeAll, describe, expect} from 'vitest';
import {Child, run} from '../helpers/child.js';
import {countLeaks} from '../helpers/leak-counter.js';
import {WEB as MEMBER_WEB} from '../helpers/member-web.js';
import {LOGIN, type Machine, NetMachines} from '../helpers/net-machines.js';
import {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';

const all = new Scope();
let machines: NetMachines;

beforeAll(async () => {
  // A member that is gone without a word keeps its place for this time.
  machines = await NetMachines.start(all, [
    ...['--resume-window', '2s'],
    ...['--egress', 'fixed=127.0.0.2', '--egress-allow-private', '10.213.0.0/16'],
  ]);
});

afterAll(() => all[Symbol.asyncDispose]());

const other = (machine: Machine): Machine => (machine === 'one' ? 'two' : 'one');

const python = (script: string) => ['python3', '-u', '-c', `import socket\n${script}`];

/** Again until it succeeds: the server may be on its way. */
const again = (command: string) => [
  'bash',
  '-c',
  `for i in {1..300}; do ${command} && exit 0; sleep 0.1; done; exit 1`,
];

const WEB = python(MEMBER_WEB);

describe.each<Machine>(['one', 'two'])('a server on machine %s', (machine) => {
  test('is reached by its names, and sees the address of the member', async ({scope}) => {
    const server = await machines.member(scope, machine, WEB, {name: `trainer-${machine}`});
    await server.child.line((line) => line === 'up');
    const name = `trainer-${machine}`;
    for (const url of [
      `http://${name}.lab.tunl.internal:8000/`,
      `http://${name}:8000/`,
      `http://[${server.address}]:8000/`,
    ]) {
      const {stdout, address} = await machines.run(scope, other(machine), ['curl', '-sS', url]);
      expect(stdout).toBe(`hello ${address}`);
    }
  });

  test('is no member when its command does not exist', async ({scope}) => {
    const words = ['net', 'run', 'lab', '--json', '--', '/no/such'];
    const {code, stderr} = await machines.tunl(scope, machine, words).finished();
    expect(code).not.toBe(0);
    expect(stderr).toContain('PROGRAM_MISSING');
    expect(stderr).not.toContain('"type":"network"');
  });

  test('mirrors exit codes and signals of its command', async ({scope}) => {
    const {child} = await machines.member(scope, machine, ['sh', '-c', 'echo out; exit 42']);
    expect(await child.finished()).toMatchObject({code: 42, stdout: 'out\n'});
    const killed = await machines.member(scope, machine, ['sh', '-c', 'kill -9 $$']);
    expect((await killed.child.finished()).code).toBe(137);
    const traps = ['sh', '-c', 'trap "exit 7" TERM; echo up; while :; do sleep 0.05; done'];
    const trapped = await machines.member(scope, machine, traps);
    await trapped.child.line((line) => line === 'up');
    trapped.child.signal('SIGTERM');
    expect((await trapped.child.finished()).code).toBe(7);
  });
});

test('redis, rsync and iperf3 between two machines', async ({scope}) => {
  const folder = await machines.folder(scope, 'two');
  const file = `${folder}/file`;
  await writeFile(file, Buffer.alloc(8 << 20, 'rsync '));
  await writeFile(
    `${folder}/rsyncd.conf`,
    `port = 8730\naddress = ::\nuse chroot = no\npid file = ${folder}/pid\n[files]\npath = ${folder}\n`,
  );
  const script = `redis-server --port 6379 --bind :: --protected-mode no --save '' --dir ${folder} > /dev/null &
    rsync --daemon --no-detach --config ${folder}/rsyncd.conf &
    iperf3 -s -1 > /dev/null & wait`;
  const {name} = await machines.member(scope, 'two', ['bash', '-c', script], {name: 'services'});
  const redis = again(`redis-cli -h ${name} set greeting hello`);
  expect((await machines.run(scope, 'one', redis)).stdout).toContain('OK');
  const got = await machines.folder(scope, 'one');
  await machines.run(scope, 'one', again(`rsync -6 rsync://${name}:8730/files/file ${got}/`));
  expect(await readFile(`${got}/file`)).toEqual(await readFile(file));
  await machines.run(scope, 'one', again(`iperf3 -6 -J -t 2 -c ${name} > ${got}/iperf`));
  const {end} = JSON.parse(await readFile(`${got}/iperf`, 'utf8'));
  expect(end.sum_received.bytes).toBeGreaterThan(1 << 20);
});

test('a command that ends at once has sent everything', async ({scope}) => {
  const bytes = 6 << 20;
  const sender = python(`
server = socket.socket(socket.AF_INET6)
server.bind(('::', 8000))
server.listen()
print('up', flush=True)
server.accept()[0].sendall(b'x' * ${bytes})`);
  const server = await machines.member(scope, 'two', sender, {name: 'sender'});
  await server.child.line((line) => line === 'up');
  // It is slow, so many bytes are on their way when the other command ends.
  const reader = python(`
import time
peer = socket.create_connection(('sender', 8000))
count = 0
while piece := peer.recv(65536):
  count += len(piece)
  time.sleep(0.01)
print(count)`);
  expect((await machines.run(scope, 'one', reader)).stdout).toBe(`${bytes}\n`);
  expect((await server.child.finished()).code).toBe(0);
});

test('ssh logs in over IPv6', async ({scope}) => {
  const folder = await machines.folder(scope, 'two');
  const own = await machines.folder(scope, 'one');
  const keys = [
    `ssh-keygen -q -t ed25519 -N '' -f ${folder}/host`,
    `ssh-keygen -q -t ed25519 -N '' -f ${own}/user`,
  ];
  for (const words of keys) expect((await run(scope, 'sh', ['-c', words])).code).toBe(0);
  await run(scope, 'sh', ['-c', `cp ${own}/user.pub ${folder}; chown 1000:1000 ${folder}/*`]);
  const config = `Port 2222
HostKey ${folder}/host
AuthorizedKeysFile ${folder}/user.pub
PidFile none
StrictModes no
UsePAM no
`;
  await writeFile(`${folder}/config`, config);
  const {name} = await machines.member(
    scope,
    'two',
    ['/usr/sbin/sshd', '-D', '-e', '-f', `${folder}/config`],
    {
      name: 'shell',
      flags: ['--dial-grace', '20s'],
    },
  );
  const words = `ssh -6 -F none -i ${own}/user -p 2222 -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null`;
  const ssh = ['sh', '-c', `${words} ${LOGIN}@${name} 'echo $SSH_CONNECTION; id -u'`];
  const {stdout, address} = await machines.run(scope, 'one', ssh);
  expect(stdout.split('\n')[0]?.split(' ')[0]).toBe(address);
  expect(stdout.split('\n')[1]).toBe('1000');
  expect(userInfo().uid).toBe(0);
});

test('a server that starts late is waited for, and rules keep others out', async ({scope}) => {
  const late = python(`
import sys
sys.stdin = None
print('waits')
import time
time.sleep(0.7)
server = socket.socket(socket.AF_INET6)
server.bind(('::', 9000))
server.listen()
while True: server.accept()[0].sendall(b'late\\n')`);
  const {name} = await machines.member(scope, 'one', late, {
    name: 'late',
    flags: ['--dial-grace', '20s', '--allow-in', '9000'],
  });
  const client = python(`
print(socket.create_connection(('${name}', 9000)).recv(5))
try: print(socket.create_connection(('${name}', 9001)).recv(5))
except OSError as error: print(type(error).__name__)`);
  const {stdout, stderr} = await machines.run(scope, 'two', client);
  expect(stdout).toBe("b'late\\n'\nConnectionResetError\n");
  expect(stderr).toContain('NOT_ALLOWED');
});

test('an isolated command sends nothing but to the relay', async ({scope}) => {
  const {one, two} = machines.wire;
  await two.run('ip', 'route', 'replace', 'default', 'via', one.address);
  const leaks = await countLeaks(two, {allowed: [`ip daddr ${one.address} tcp dport 443`]});
  scope.onEnd(() => leaks.remove());
  const attempts = python(`
for address in ('1.1.1.1', '169.254.169.254', '2606:4700:4700::1111', '${machines.wire.one.address}'):
  for port in (22, 80, 443):
    try: socket.create_connection((address, port), 2).recv(1)
    except OSError: pass
  u = socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET, socket.SOCK_DGRAM)
  for port in (53, 123):
    try: u.sendto(b'x' * 40, (address, port))
    except OSError: pass
try: socket.getaddrinfo('example.com', 80)
except OSError as error: print('no name')
for kind in (socket.SOCK_RAW, socket.SOCK_DGRAM):
  try: socket.socket(socket.AF_INET, kind, socket.IPPROTO_ICMP).sendto(b'x', ('1.1.1.1', 0))
  except OSError: pass
print('tried')`);
  const {stdout} = await machines.run(scope, 'two', attempts, {flags: ['--isolated']});
  expect(stdout).toBe('no name\ntried\n');
  expect(await leaks.packets()).toBe(0);
});

test('what is no member leaves by an egress', async ({scope}) => {
  const {one} = machines.wire;
  const script = `require('node:net').createServer((socket) => socket.end(socket.remoteAddress))
    .listen(7000, '${one.address}', () => console.log('up'))`;
  const outside = Child.start(scope, process.execPath, ['-e', script], {namespace: one.namespace});
  await outside.line((line) => line === 'up');
  const server = await machines.member(scope, 'one', WEB, {name: 'both'});
  await server.child.line((line) => line === 'up');
  const client = python(`
import urllib.request
print(socket.create_connection(('${one.address}', 7000)).recv(100).decode())
print(urllib.request.urlopen('http://both:8000/').read().decode())`);
  const {stdout, address} = await machines.run(scope, 'two', client, {flags: ['--egress', 'fixed']});
  expect(stdout).toBe(`127.0.0.2\nhello ${address}\n`);
  const unknown = machines.tunl(scope, 'two', ['net', 'run', 'lab', '--egress', 'other', '--', 'true']);
  expect(await unknown.finished()).toMatchObject({stderr: expect.stringContaining('EGRESS_UNKNOWN')});
});

describe('the end', () => {
  test('of tunl by SIGKILL is that of its programs, and others see the member go', async ({scope}) => {
    const sleeps = ['sh', '-c', 'sleep 600 & echo up; wait'];
    const held = await machines.member(scope, 'two', sleeps, {name: 'held'});
    await held.child.line((line) => line === 'up');
    const watcher = python(`
import time
def known():
  try: return bool(socket.getaddrinfo('held', 1))
  except OSError: return False
while not known(): time.sleep(0.05)
print('there')
while known(): time.sleep(0.05)
print('gone')`);
    const {child} = await machines.member(scope, 'one', watcher);
    await child.line((line) => line === 'there');
    held.child.signal('SIGKILL');
    await child.line((line) => line === 'gone');
  });

  test('of a membership that another process has taken over ends the command', async ({scope}) => {
    const sleeps = ['sh', '-c', 'echo up; exec sleep 600'];
    const first = await machines.member(scope, 'one', sleeps, {name: 'twice'});
    await first.child.line((line) => line === 'up');
    const second = await machines.member(scope, 'one', sleeps, {name: 'twice'});
    await second.child.line((line) => line === 'up');
    const {code, stderr} = await first.child.finished();
    expect(stderr).toContain('MEMBER_REPLACED');
    expect(code).not.toBe(0);
    expect(second.address).toBe(first.address);
  });
});
