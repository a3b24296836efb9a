// Commands behind a tunnel that leave by an egress alone: in by the tunnel, out by the egress. As root and as an ordinary user.
import {readdirSync, readFileSync} from 'node:fs';
import {afterAll, beforeAll, describe, expect} from 'vitest';
import {Child} from '../helpers/child.js';
import {EGRESSES, type EgressWorld, egressWorld, type User} from '../helpers/egress-world.js';
import {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {parseEvent} from '../project/event-schema.js';

const world = new Scope();
let around: EgressWorld;

beforeAll(async () => {
  around = await egressWorld(world);
});

afterAll(() => world[Symbol.asyncDispose]());

/** GET / gets a page of the outside; GET /exit/N ends the command after its answer. Its argument is its port. */
const APP = `import os, sys, http.server, urllib.request
class App(http.server.BaseHTTPRequestHandler):
    def log_message(self, *words): pass
    def do_GET(self):
        if self.path == '/': body = urllib.request.urlopen('http://four.example/').read()
        elif self.path.startswith('/get/'): body = urllib.request.urlopen('http://' + self.path[5:]).read()
        elif self.path == '/run': body = ' '.join(os.listdir('/run')).encode()
        elif self.path == '/token': body = repr(os.environ.get('TUNL_TOKEN')).encode()
        else: body = b'bye'
        self.send_response(200); self.send_header('content-length', str(len(body))); self.end_headers()
        self.wfile.write(body); self.wfile.flush()
        if self.path.startswith('/exit/'): os._exit(int(self.path[6:]))
if os.fork() == 0:
    while True: __import__('time').sleep(1)
http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), App).serve_forever()`;

const app = (port: string) => ['--', 'python3', '-c', APP, port];

function expose(scope: Scope, user: User, args: readonly string[]): Child {
  // The probe of tunl itself looks up the public name, which is no leak of the command.
  const [command, ...words] = around.tunl(user, ['expose', '--json', '--no-probe', ...args]);
  return Child.start(scope, command, words, {
    namespace: around.machine.namespace,
    name: `tunl expose ${args.slice(0, 4).join(' ')} as ${user}`,
    env: around.env(user),
  });
}

/** Resolves when visitors can come: to the public address, and what came before it. */
async function ready(child: Child) {
  const line = await child.line((text) => text.includes('"type":"ready"'));
  const event = parseEvent(line);
  if (event.type !== 'ready') throw new Error(line);
  return event;
}

async function visit(url: string, path = '/'): Promise<string> {
  const {hostname} = new URL(url);
  const via = `${hostname}:443:${around.wire.two.address}`;
  const ca = around.env('root').TUNL_CA_FILE ?? '';
  return (await around.machine.run('curl', '-sS', '--resolve', via, '--cacert', ca, `${url}${path}`)).trim();
}

const typesOf = (child: Child) =>
  child.stdout
    .trim()
    .split('\n')
    .map((line) => parseEvent(line).type);

describe.each<User>(['root', 'user'])('for %s', (user) => {
  test('visitors come in, and everything else leaves by the egress', async ({scope}) => {
    const before = await around.leaks();
    // The machine has a service on this port already.
    const own = Child.start(
      scope,
      process.execPath,
      [
        '-e',
        `require('node:net').createServer((s) => s.end('own')).listen(3000, '127.0.0.1', () => console.log('up'))`,
      ],
      {namespace: around.machine.namespace},
    );
    await own.line();
    const child = expose(scope, user, [
      'localhost:3000',
      '--egress',
      'one',
      '--ready-path',
      '/token',
      ...app('3000'),
    ]);
    const {address, upstream} = await ready(child);
    expect(upstream).toBe('localhost:3000');
    expect(await visit(address)).toBe(EGRESSES.one[0]);
    expect(await visit(address, '/token')).toBe('None');
    expect(typesOf(child).slice(0, 2)).toEqual(['sealed', 'ready']);
    expect(await visit(address, '/exit/7')).toBe('bye');
    expect(await child.finished()).toMatchObject({code: 7, stderr: ''});
    expect(typesOf(child).slice(-2)).toEqual(['exited', 'closed']);
    expect(await around.leaks()).toBe(before);
  });

  test('ports of this machine, all addresses, and no sockets of services', async ({scope}) => {
    const own = Child.start(
      scope,
      process.execPath,
      [
        '-e',
        `require('node:http').createServer((q, a) => a.end('of the machine')).listen(0, '127.0.0.1', function () { console.log(this.address().port) })`,
      ],
      {namespace: around.machine.namespace},
    );
    const local = await own.line();
    const flags = ['--local', local, '--seal', 'strict', '--spread'];
    const child = expose(scope, user, ['3000', '--egress', 'many', ...flags, ...app('3000')]);
    const {address} = await ready(child);
    expect(parseEvent(child.stdout.split('\n')[0] ?? '')).toMatchObject({type: 'sealed', seal: 'strict'});
    expect(await visit(address, `/get/127.0.0.1:${local}/`)).toBe('of the machine');
    // The helpers of the seal make this folder.
    expect(await visit(address, '/run')).toMatch(/^(mount)?$/);
    const sources = [];
    for (const _ of EGRESSES.many) sources.push(await visit(address));
    expect(sources.sort()).toEqual([...EGRESSES.many].sort());
  });

  test('a port that the command chooses is not one of the machine', async ({scope}) => {
    const child = expose(scope, user, ['--egress', 'two', ...app('4567')]);
    const {address, upstream} = await ready(child);
    expect(upstream).toBe('localhost:4567');
    expect(await visit(address)).toBe(EGRESSES.two[0]);
    expect(await around.machine.run('ss', '-Hltn')).not.toContain(':4567');
    child.signal('SIGTERM');
    expect(await child.finished()).toMatchObject({code: 0, stderr: ''});
  });

  test('tunl is killed: the command and its children end with it', async ({scope}) => {
    const child = expose(scope, user, ['3000', '--egress', 'one', ...app('3000')]);
    await ready(child);
    const parts = family(child.pid);
    expect(parts.map(nameOf).filter((name) => name === 'python3')).toHaveLength(2);
    child.signal('SIGKILL');
    await child.exited;
    await expect.poll(() => parts.filter(isAlive), {timeout: 15_000}).toEqual([]);
  });

  test('the seal is lost: the command is killed', async ({scope}) => {
    const before = await around.leaks();
    const child = expose(scope, user, ['3000', '--egress', 'one', ...app('3000')]);
    await ready(child);
    const parts = family(child.pid);
    const holder = parts.find((pid) => /tunl-seal/.test(read(`/proc/${pid}/cmdline`)));
    process.kill(holder ?? 0, 'SIGKILL');
    const {code, stdout} = await child.finished();
    expect(code).toBe(8);
    expect(parseEvent(stdout.trim().split('\n').at(-1) ?? '')).toMatchObject({
      type: 'error',
      code: 'SEAL_LOST',
    });
    expect(parts.filter(isAlive)).toEqual([]);
    expect(await around.leaks()).toBe(before);
  });
});

test.for<[string, string[], string, number]>([
  ['of another name', ['3000', '--egress', 'nowhere', '--', 'echo', 'ran'], 'EGRESS_UNKNOWN', 5],
  ['without a name', ['3000', '--egress', '', '--', 'echo', 'ran'], 'USAGE', 2],
  ['without a command', ['3000', '--egress', 'one'], 'USAGE', 2],
  ['in front of another host', ['10.0.0.1:3000', '--egress', 'one', '--', 'echo', 'ran'], 'USAGE', 2],
  ['in front of a socket', ['unix:/run/app.sock', '--egress', 'one', '--', 'echo', 'ran'], 'USAGE', 2],
  ['in front of a folder', ['./dist', '--egress', 'one', '--', 'echo', 'ran'], 'USAGE', 2],
  ['in front of TLS', ['https://localhost:3000', '--egress', 'one', '--', 'echo', 'ran'], 'USAGE', 2],
  ['in front of a member', ['a:3000', '--net', 'lab', '--egress', 'one'], 'USAGE', 2],
  ['in front of a member, with its flags', ['a:3000', '--net', 'lab', '--local', '1'], 'USAGE', 2],
  ['in front of a member, for HTTPS', ['a:3000', '--net', 'lab', '--upstream-insecure'], 'USAGE', 2],
  ['in front of two members', ['a:3000', 'b:3000', '--net', 'lab', '--subdomain', 'x'], 'USAGE', 2],
  ['that is not named', ['3000', '--seal', 'strict', '--', 'echo', 'ran'], 'USAGE', 2],
  [
    'with a port of this machine that is the command’s',
    ['localhost:3000', '--egress', 'one', '--local', '6379', '--local', '3000', '--', 'echo', 'ran'],
    'USAGE',
    2,
  ],
  ['for no program', ['3000', '--egress', 'one', '--', 'no-such-program'], 'PROGRAM_MISSING', 8],
])('an egress %s: %s', async ([, args, code, exitCode], {scope}) => {
  const {code: exit, stdout} = await expose(scope, 'root', args).finished();
  expect(parseEvent(stdout.trim().split('\n').at(-1) ?? '')).toMatchObject({type: 'error', code});
  expect(exit).toBe(exitCode);
  expect(stdout).not.toContain('ran');
});

test('an egress needs a relay elsewhere', async ({scope}) => {
  const args = ['expose', '3000', '--json', '--egress', 'one', '--', 'echo', 'ran'];
  const [command, ...words] = around.tunl('root', args);
  const {HOME, TUNL_STATE_DIR} = around.env('root') as {HOME: string; TUNL_STATE_DIR: string};
  const child = Child.start(scope, command, words, {env: {HOME, TUNL_STATE_DIR}});
  const {stdout} = await child.finished();
  expect(parseEvent(stdout.trim())).toMatchObject({type: 'error', code: 'RELAY_NEEDED'});
});

/** All living descendants. */
function family(pid: number): number[] {
  const children = readdirSync('/proc').filter(
    (name) => /^\d+$/.test(name) && Number(statOf(name)[2]) === pid,
  );
  return children.flatMap((name) => [Number(name), ...family(Number(name))]);
}

const statOf = (pid: number | string) => /^\d+ \(.*\) (\S) (\d+)/.exec(read(`/proc/${pid}/stat`)) ?? [];
const nameOf = (pid: number) => read(`/proc/${pid}/comm`).trim();
const isAlive = (pid: number) => !['Z', 'X', undefined].includes(statOf(pid)[1]);

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
