// A command behind an egress at a terminal, and with a relay that is away, comes back, or is another one.
import {createHash} from 'node:crypto';
import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, expect} from 'vitest';
import {EGRESSES, type EgressWorld, egressWorld, SITE} from '../helpers/egress-world.js';
import {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {Screen} from '../helpers/tmux.js';

const world = new Scope();
let around: EgressWorld;

beforeAll(async () => {
  around = await egressWorld(world);
});

afterAll(() => world[Symbol.asyncDispose]());

test('Ctrl+C, Ctrl+Z and the size of the terminal are the command’s', async ({scope}) => {
  const words = around.tunl('user', ['egress', 'run', '--via', 'two', '--']).join(' ');
  const namespace = around.machine.namespace;
  const screen = await Screen.start(scope, {
    env: around.env('user'),
    cwd: '/',
    shell: `ip netns exec ${namespace} bash --norc`,
  });
  const file = join(around.env('user').HOME ?? '', 'traps.sh');
  await writeFile(
    file,
    `trap 'n=$((n + 1)); echo caught $n; [ $n -lt 2 ] || exit 5' INT
trap 'stty size' WINCH
echo up
while :; do sleep 0.05; done
`,
  );
  await screen.run(`${words} bash ${file}; echo ended $?`);
  await screen.shows(/^up$/);
  await screen.press('C-c');
  await screen.shows(/caught 1$/);
  await screen.resize(90, 30);
  await screen.shows(/^30 90$/);
  await screen.press('C-z');
  await screen.shows(/Stopped/);
  await screen.run('clear; fg; echo ended $?');
  // The shell shows the command again; a long path goes over several rows.
  await screen.until((lines) => lines.join('').includes('traps.sh'));
  await screen.press('C-c');
  await screen.shows(/caught 2$/);
  await screen.shows(/ended 5/);
  // The shell of a user has its own jobs inside.
  await screen.run(`clear; ${words} bash --norc -i; echo left $?`);
  await screen.shows(/sealed: TCP .*leaves? by two/);
  await screen.run('sleep 100');
  await screen.press('C-z');
  await screen.shows(/\[1\]\+ +Stopped +sleep 100/);
  await screen.run('kill %1; curl -sS4 http://site.example/; exit 9');
  await screen.shows(/left 9/);
  expect((await screen.lines()).some((line) => line.includes(EGRESSES.two[0]))).toBe(true);
});

const BYTES = 48 * 1024 * 1024;
const HASH = (() => {
  const piece = createHash('sha256').update(String(BYTES)).digest();
  return createHash('sha256').update(Buffer.alloc(BYTES, piece)).digest('hex');
})();

test('a transfer outlives links that are cut', async ({scope}) => {
  const before = await around.leaks();
  const script = `import hashlib, urllib.request
h = hashlib.sha256()
with urllib.request.urlopen('http://${SITE.v4}/bulk/${BYTES}') as r:
    for turn in range(${BYTES / 65_536}):
        h.update(r.read(65536))
        if turn % 240 == 100: print('turn', turn, flush=True); input()
print(h.hexdigest())`;
  const child = around.run(scope, 'user', ['--json', '--via', 'one', '--', 'python3', '-c', script], {
    stdin: true,
  });
  for (const turn of [100, 340, 580]) {
    await child.line((line) => line === `turn ${turn}`);
    await around.machine.run('ss', '-K', 'dst', around.wire.two.address, 'dport', '=', '443');
    child.stdin.write('\n');
  }
  const end = await child.finished();
  expect(end.stdout.trim().split('\n').at(-1)).toBe(HASH);
  expect(end.stderr.match(/"type":"resumed"/g)?.length ?? 0).toBeGreaterThan(0);
  expect(await around.leaks()).toBe(before);
});

test('a relay that was killed resets connections, and new ones leave by the next one', async ({scope}) => {
  const before = await around.leaks();
  const script = `import socket
s = socket.create_connection(('${SITE.v4}', 5432)); print(s.recv(100).decode(), end='', flush=True)
try: print('read', len(s.recv(100)), flush=True)
except OSError as error: print(type(error).__name__, flush=True)
input()
print(socket.create_connection(('${SITE.v4}', 5432), 60).recv(100).decode())`;
  const child = around.run(scope, 'root', ['-q', '--via', 'two', '--', 'python3', '-c', script], {
    stdin: true,
  });
  await child.line((line) => line.startsWith('from'));
  await around.relay.cli.stop('SIGKILL');
  await around.startRelay();
  await child.line((line) => line === 'ConnectionResetError');
  child.stdin.write('\n');
  expect(await child.finished()).toMatchObject({
    code: 0,
    stdout: expect.stringContaining(`from ${EGRESSES.two[0]}\n\n`),
  });
  expect(await around.leaks()).toBe(before);
});
