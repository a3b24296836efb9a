// UDP of a command behind an egress, by a device of its own, as root and as an ordinary user.

import {readdirSync, readFileSync} from 'node:fs';
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

const [ONE4, ONE6] = EGRESSES.one;

/** What each part of the script says, as JSON. */
const PRELUDE = `import json, os, socket
said = {}
def part(name, deed):
    try: said[name] = deed()
    except OSError as error: said[name] = type(error).__name__ + ' ' + (os.strerror(error.errno) if error.errno else '')
def ask(host, port, data=b'x', family=socket.AF_INET, connects=True):
    s = socket.socket(family, socket.SOCK_DGRAM); s.settimeout(4)
    if connects: s.connect((host, port)); s.send(data); return s.recv(65535)
    s.sendto(data, (host, port)); got, sender = s.recvfrom(65535); return got
text = lambda deed: lambda: deed().decode()
`;
const finish = `print(json.dumps(said))`;
const python = (script: string) => ['python3', '-c', `${PRELUDE}${script}\n${finish}`];

describe.each<User>(['root', 'user'])('for %s', (user) => {
  const run = async (scope: Scope, argv: readonly string[], flags: readonly string[] = ['-q']) =>
    await around.run(scope, user, [...flags, '--via', 'one', '--', ...argv], {device: 'open'}).finished();

  test('datagrams of every size leave by the egress, and answers come back; refusals are told', async ({
    scope,
  }) => {
    const before = await around.leaks();
    const script = `
V6 = socket.AF_INET6
part('literal', text(lambda: ask('${SITE.v4}', 7)))
part('not connected', text(lambda: ask('${SITE.v4}', 7, connects=False)))
part('name', text(lambda: ask('site.example', 7)))
part('IPv6', text(lambda: ask('${SITE.v6}', 7, family=V6)))
part('IPv6 by name', text(lambda: ask('site.example', 7, family=V6)))
part('big', lambda: [len(ask('${SITE.v4}', 7, b'b' * 60000)), len(ask('${SITE.v4}', 7, b'b' * 65507)), len(ask('${SITE.v6}', 7, b'b' * 50000, V6))])
part('empty', text(lambda: ask('${SITE.v4}', 7, b'')))
many = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(50)]
for at, each in enumerate(many): each.connect(('${SITE.v4}', 7)); each.settimeout(10); each.send(b'%d' % at)
part('many', lambda: [int(each.recv(100).split()[1]) for each in many] == list(range(50)))
part('nobody listens', lambda: ask('${SITE.v4}', 9999))
part('metadata', lambda: ask('169.254.169.254', 80))
part('private', lambda: ask('10.213.0.9', 7))
part('private, IPv6', lambda: ask('fd00::1', 7, family=V6))
part('multicast', lambda: ask('224.0.0.251', 5353))
def loopback():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('127.0.0.1', 0)); s.settimeout(4)
    c = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); c.sendto(b'own', s.getsockname()); return s.recv(10).decode()
part('loopback', loopback)
part('loopback, nobody', lambda: ask('127.0.0.1', 9))
import urllib.request
part('TCP', lambda: urllib.request.urlopen('http://${SITE.v4}/').read().decode().strip())
part('files', lambda: [to for to in (os.readlink('/proc/self/fd/' + name) for name in os.listdir('/proc/self/fd') if os.path.islink('/proc/self/fd/' + name)) if '/net/' in to])
def device():
    import fcntl, struct
    with open('/dev/net/tun', 'r+b', buffering=0) as tun: fcntl.ioctl(tun, 0x400454ca, struct.pack('16sH22x', b'tunl-udp', 0x1001))
part('device', device)`;
    const {code, stdout, stderr} = await run(scope, python(script), []);
    expect(stderr.split('\n')[0]).toBe(`sealed: TCP and UDP leave by one (${ONE4}, ${ONE6})`);
    expect({code, said: JSON.parse(stdout)}).toEqual({
      code: 0,
      said: {
        literal: `${ONE4} x`,
        'not connected': `${ONE4} x`,
        name: `${ONE4} x`,
        IPv6: `${ONE6} x`,
        'IPv6 by name': `${ONE6} x`,
        big: [60_013, 65_507, 50_014],
        empty: `${ONE4} `,
        many: true,
        'nobody listens': 'ConnectionRefusedError Connection refused',
        metadata: 'OSError No route to host',
        private: 'OSError No route to host',
        'private, IPv6': 'PermissionError Permission denied',
        multicast: 'PermissionError Operation not permitted',
        loopback: 'own',
        'loopback, nobody': 'ConnectionRefusedError Connection refused',
        TCP: ONE4,
        files: [],
        device: expect.stringMatching(/Error/),
      },
    });
    expect(await around.leaks()).toBe(before);
  });

  test('a name server at a port of its own is asked by UDP', async ({scope}) => {
    const script = `const {Resolver} = require('node:dns').promises;
const resolver = new Resolver(); resolver.setServers(['${SITE.v4}:5353']);
resolver.resolve4('four.example').then((all) => console.log(all.join()))`;
    expect(await run(scope, [process.execPath, '-e', script])).toEqual({
      code: 0,
      signal: null,
      stdout: `${SITE.v4}\n`,
      stderr: '',
    });
  });

  test('the last datagrams of a command that ends at once leave as well, all of them', async ({scope}) => {
    const listen = `let count = 0;
const socket = require('node:dgram').createSocket('udp4').on('message', (text, {address}) => {
  count += 1;
  if (String(text) === '199') console.log(count, 'from', address);
}).bind(6001, () => { socket.setRecvBufferSize(1 << 20); console.log('up'); })`;
    const {namespace} = around.internet;
    const listener = Child.start(scope, process.execPath, ['-e', listen], {namespace});
    await listener.line((line) => line === 'up');
    const {code} = await run(
      scope,
      python(`
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for at in range(200): s.sendto(b'%d' % at, ('${SITE.v4}', 6001))
os._exit(0)`),
    );
    expect(code).toBe(0);
    expect(await listener.line((line) => line !== 'up')).toBe(`200 from ${ONE4}`);
  });

  test('nothing else leaves the machine, and nobody inside has the device', async ({scope}) => {
    const before = await around.leaks();
    const script = fileURLToPath(new URL('../helpers/egress-leaks.py', import.meta.url));
    const {code, stdout} = await run(scope, ['python3', script, SITE.v4, SITE.v6]);
    expect(code).toBe(0);
    const outcomes = JSON.parse(stdout) as Record<string, string>;
    const out = Object.entries(outcomes).filter(([, outcome]) => outcome === 'ok' || outcome === 'sent');
    expect(out.map(([name]) => name)).toEqual([
      'by name',
      'literal',
      'IPv6 literal',
      'DNS by UDP',
      'DNS by TCP',
      'UDP',
      'UDP, IPv6',
    ]);
    expect(await around.leaks()).toBe(before);
  });
});

test.for<[string, 'shut' | 'none', User, RegExp]>([
  ['no device', 'none', 'root', /There is no \/dev\/net\/tun.*sudo modprobe tun/],
  [
    'a device that only root may open',
    'shut',
    'user',
    /This user may not open.*sudo chmod 0666 \/dev\/net\/tun/,
  ],
])('%s: UDP is refused at once, and the reason is said', async ([, device, user, why], {scope}) => {
  const script = `
def udp(): socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('${SITE.v4}', 443))
part('one', udp); part('two', udp)`;
  const {stdout, stderr} = await around
    .run(scope, user, ['--json', '--via', 'one', '--', ...python(script)], {device})
    .finished();
  const refused = 'PermissionError Operation not permitted';
  expect(JSON.parse(stdout)).toEqual({one: refused, two: refused});
  const events = stderr.trim().split('\n').map(parseEvent);
  expect(events).toMatchObject([
    {type: 'sealed', udp: false, udpRefused: {why: expect.any(String), mend: expect.any(String)}},
    {type: 'notice', code: 'EGRESS_UDP', message: expect.stringMatching(why)},
  ]);
});

test.for<User>(['root', 'user'])(
  'the helper of %s with the device is killed: so is the command',
  async (user, {scope}) => {
    const before = await around.leaks();
    const loop = `import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(4)
s.sendto(b'x', ('${SITE.v4}', 7)); print(s.recv(100).decode(), flush=True)
while True:
    time.sleep(0.01)
    try: s.sendto(b'x', ('${SITE.v4}', 7))
    except OSError: pass`;
    const child = around.run(scope, user, ['--via', 'one', '--', 'python3', '-c', loop], {device: 'open'});
    await child.line();
    const helper = helperBelow(child.pid);
    expect(helper).toBeDefined();
    process.kill(helper ?? 0, 'SIGKILL');
    expect(await child.finished()).toMatchObject({code: 8, stderr: expect.stringContaining('SEAL_LOST')});
    expect(await around.leaks()).toBe(before);
  },
);

/** The process that has the device of this command. */
function helperBelow(tunl: number): number | undefined {
  const parents = new Map<number, number>();
  const helpers: number[] = [];
  for (const name of readdirSync('/proc').filter((each) => /^\d+$/.test(each))) {
    const parent = /\) \S (\d+)/.exec(read(`/proc/${name}/stat`))?.[1];
    parents.set(Number(name), Number(parent));
    if (read(`/proc/${name}/cmdline`).endsWith('\0tunl-udp\0')) helpers.push(Number(name));
  }
  const isBelow = (pid: number | undefined): boolean =>
    pid !== undefined && pid > 1 && (pid === tunl || isBelow(parents.get(pid)));
  return helpers.find(isBelow);
}

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
