// Members of a private network in sealed namespaces, joined without a relay: addresses, names, and what does not leave.
import {afterAll, beforeAll, describe, expect} from 'vitest';
import {WEB} from '../helpers/member-web.js';
import {addHost, type Host} from '../helpers/net-ns.js';
import {Scope} from '../helpers/scope.js';
import {SealHost, type User} from '../helpers/seal.js';
import {test} from '../helpers/test.js';

const all = new Scope();
let machine: Host;

beforeAll(async () => {
  machine = await addHost(all, {namespace: `tunl-member-${process.pid}`, address: '127.0.0.1'});
});

afterAll(() => all[Symbol.asyncDispose]());

const python = (script: string) => ['python3', '-u', '-c', `import socket\n${script}`];

/** Prints how a connection to a port on which nobody listens ends. */
const endOf = (name: string) => `
try: print(socket.create_connection(('${name}', 8001)).recv(1))
except OSError as error: print(type(error).__name__)`;

async function start(
  scope: Scope,
  user: User,
  names: readonly string[] = ['trainer', 'worker'],
): Promise<{host: SealHost; addresses: Record<string, string>}> {
  const host = new SealHost(scope, machine, user, {script: 'members-host.js'});
  const addresses: Record<string, string> = {};
  for (const name of names) addresses[name] = (await host.ask<{address: string}>('join', {name})).address;
  return {host, addresses};
}

async function startWeb(host: SealHost, name = 'trainer'): Promise<void> {
  await host.start(`web of ${name}`, python(WEB), {name});
  await host.message((each) => each.id === `web of ${name}` && each.line === 'up');
}

describe.each<User>(['root', 'user'])('for %s', (user) => {
  test('a server sees the address of the member that connects, and a name leads to it', async ({scope}) => {
    const {host, addresses} = await start(scope, user);
    await startWeb(host);
    const urls = [
      'http://trainer.lab.tunl.internal:8000/',
      'http://trainer:8000/',
      `http://[${addresses.trainer}]:8000/`,
    ];
    for (const url of urls) {
      const {lines} = await host.run(url, ['curl', '-sS', url], {name: 'worker'});
      expect(lines).toEqual([`hello ${addresses.worker}`]);
    }
    const own = ['curl', '-sS', 'http://i6pn.tunl.internal:8000/'];
    expect((await host.run('own', own, {name: 'trainer'})).lines).toEqual([`hello ${addresses.trainer}`]);
    // Not curl: its code depends on whether the reset comes before its poll after connect() or behind it.
    const closed = await host.run('closed', python(endOf('trainer')), {name: 'worker'});
    expect(closed.lines).toEqual(['ConnectionResetError']);
    const nobody = await host.run('nobody', python(endOf('i6pn.modal.local')), {name: 'worker'});
    expect(nobody.lines).toEqual(['ConnectionRefusedError']);
  });

  test('a caller that gives up while files are read gets no seal', async ({scope}) => {
    const {host} = await start(scope, user, []);
    const joining = host.ask('join', {name: 'worker', rules: {kind: 'internet'}, givesUp: true});
    await expect(joining).rejects.toThrow('aborted');
  });

  test('the own names, the own device, and nothing of the machine', async ({scope}) => {
    const {host, addresses} = await start(scope, user);
    const {lines} = await host.run(
      'names',
      python(`
import os
print(socket.gethostname(), socket.getfqdn())
for name in ('i6pn.tunl.internal', 'i6pn.modal.local', 'worker', 'trainer.lab.tunl.internal'):
  print(socket.getaddrinfo(name, 1, socket.AF_INET6, socket.SOCK_STREAM)[0][4][0])
print(sorted(name for _, name in socket.if_nameindex()))
print(os.popen('ip -o -6 address show dev i6pn').read().split()[3])
print(os.popen('ip -o -6 address show scope link').read() == '')
print(os.getuid())
u = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
try: u.sendto(b'x', ('${addresses.trainer}', 9))
except OSError as error: print(type(error).__name__)`),
      {name: 'worker'},
    );
    expect(lines).toEqual([
      'worker worker.lab.tunl.internal',
      addresses.worker,
      addresses.worker,
      addresses.worker,
      addresses.trainer,
      "['i6pn', 'i6pn-end', 'lo']",
      `${addresses.worker}/48`,
      'True',
      user === 'root' ? '0' : '1000',
      'PermissionError',
    ]);
    expect(await machine.run('ip', '-o', 'link', 'show')).not.toContain('i6pn');
  });

  test('a program can change nothing of its network, and finds no way around', async ({scope}) => {
    const {host} = await start(scope, user);
    const {lines} = await host.run(
      'around',
      python(`
import ctypes, os, subprocess
for words in ('ip route add default dev lo', 'ip link del i6pn', 'ip -6 address add fdaa::9/128 dev i6pn',
    'nft flush ruleset', 'hostname other', 'umount /etc/hosts'):
  print(words.split()[0], subprocess.run(words.split(), capture_output=True).returncode != 0)
for family, kind in ((socket.AF_INET6, socket.SOCK_RAW), (socket.AF_PACKET, socket.SOCK_RAW)):
  try: print(socket.socket(family, kind, 58))
  except OSError as error: print(type(error).__name__)
libc = ctypes.CDLL(None, use_errno=True)
print(libc.setns(os.open('/proc/1/ns/net', os.O_RDONLY), 0) if os.access('/proc/1/ns/net', os.R_OK) else -1)
for address in ('203.0.113.1', '169.254.169.254', '2001:db8::1', 'fd00:ec2::254'):
  try: socket.create_connection((address, 80), 5).recv(1); print('open')
  except OSError as error: print(type(error).__name__)`),
      {name: 'worker'},
    );
    expect(lines).toEqual([
      ...['ip', 'ip', 'ip', 'nft', 'hostname', 'umount'].map((name) => `${name} True`),
      'PermissionError',
      'PermissionError',
      '-1',
      ...Array.from({length: 4}, () => 'ConnectionResetError'),
    ]);
  });

  test('a member that comes late has a name at once, and one that has left has none', async ({scope}) => {
    const {host} = await start(scope, user);
    const waits = python(`
import time
def address(name):
  try: return socket.getaddrinfo(name, 1, socket.AF_INET6, socket.SOCK_STREAM)[0][4][0]
  except OSError: return None
print('asks')
while address('late') is None: time.sleep(0.01)
print(address('late'))
while address('late') is not None: time.sleep(0.01)
print('gone')`);
    await host.start('waits', waits, {name: 'worker'});
    await host.message((each) => each.line === 'asks');
    const {address} = await host.ask<{address: string}>('join', {name: 'late'});
    await host.message((each) => each.id === 'waits' && each.line === address);
    await startWeb(host, 'late');
    const late = await host.run('curl', ['curl', '-sS', 'http://late:8000/'], {name: 'worker'});
    expect(late.lines).toEqual(['hello fdaa:5137:3ebf::2']);
    await host.ask('leave', {name: 'late'});
    await host.message((each) => each.id === 'waits' && each.line === 'gone');
  });
});

test('readers of /etc/hosts see whole lines while members come and go', async ({scope}) => {
  const {host} = await start(scope, 'user');
  const reads = python(`
import re, time
seen = set()
until = time.time() + 60
while time.time() < until:
  for line in open('/etc/hosts').read().splitlines():
    line = line.strip()
    if line in ('', '#'): continue
    words = line.split()
    if words[0].startswith('fdaa:') and words[1].startswith('ghost'):
      number = words[2][5:]
      if line != 'fdaa:5137:3ebf::9:%x ghost%s.lab.tunl.internal ghost%s' % (int(number), number, number): print('broken', line)
      seen.add(number)
  if socket.getaddrinfo('trainer', 1, socket.AF_INET6)[0][4][0] != 'fdaa:5137:3ebf::1': print('lost')
  if 'last' in open('/etc/hosts').read(): break
print('seen', len(seen) > 50)`);
  await host.start('reads', reads, {name: 'worker'});
  for (let first = 0; first < 600; first += 3) await host.ask('ghosts', {name: 'worker', first, count: 40});
  await host.ask('join', {name: 'last'});
  expect(await host.message((each) => each.event === 'end' && each.id === 'reads')).toMatchObject({code: 0});
  const lines = host.messages().filter((each) => each.id === 'reads' && each.event === 'out');
  expect(lines.map(({line}) => line)).toEqual(['seen True']);
});
