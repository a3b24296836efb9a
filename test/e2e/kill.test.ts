// When tunl or the program is killed (SIGKILL), the other one ends, with all processes that it started.
import {once} from 'node:events';
import {existsSync, readdirSync, readFileSync} from 'node:fs';
import {Agent} from 'node:https';
import {join} from 'node:path';
import {expect} from 'vitest';
import {WebSocket} from 'ws';
import type {ReadyEvent} from '../../src/lib/agent/events.js';
import {basic} from '../../src/lib/launch/password-check.js';
import {Child, cleanEnv} from '../helpers/child.js';
import {
  childrenOf,
  commandLine,
  fakeProgram,
  installed,
  isAlive,
  markOf,
  root,
  safeFolder,
  until,
  withArgument,
  withMark,
} from '../helpers/launching.js';
import {startBehindRelay} from '../helpers/programs.js';
import type {RelayProcess} from '../helpers/relay.js';
import type {Scope} from '../helpers/scope.js';
import {makeKey, sshFolder} from '../helpers/ssh.js';
import {test} from '../helpers/test.js';
import {curl} from '../helpers/visitors.js';

interface Case {
  words: (scope: Scope, folder: string) => Promise<string[]>;
  /** Connects visitors, so that the program starts more processes; resolves when they exist. */
  visit?: (scope: Scope, ready: ReadyEvent, relay: RelayProcess) => Promise<void>;
  /** A part of its main process's command line. */
  program: string;
}

const http = (scope: Scope, relay: RelayProcess, ready: ReadyEvent, path: string, ...more: string[]) =>
  curl(scope, relay.caFile, [...more, new URL(path, ready.url).href]);

let key: Awaited<ReturnType<typeof makeKey>>;

const cases: Record<string, Case> = {
  jupyter: {
    words: async (_scope, folder) => ['jupyter', '--dir', folder, '--bin', installed.jupyterLab],
    program: 'jupyter-lab',
    // A kernel leaves the process group.
    visit: async (scope, ready, relay) => {
      const token = `authorization: token ${ready.login?.token}`;
      const made = await http(scope, relay, ready, '/api/kernels', '--data', '{}', '--header', token);
      expect(made.stdout).toContain('"id"');
    },
  },
  ssh: {
    words: async (scope) => {
      key = await makeKey(scope);
      return ['ssh', '--key', `${key.path}.pub`];
    },
    program: 'sshd_config',
    visit: async (scope, ready) => {
      const folder = await sshFolder(scope, key, ready.login?.knownHosts ?? '');
      const env = {PATH: `${folder}:${cleanEnv().PATH}`};
      const session = Child.start(
        scope,
        '/bin/sh',
        ['-c', `exec ${ready.address} -tt 'echo in; exec sleep 600'`],
        {env},
      );
      await session.line((line) => line.startsWith('in'));
    },
  },
  'code-server': {
    words: async (_scope, folder) => ['code-server', folder, '--bin', installed.codeServer],
    program: 'code-server',
  },
  terminal: {
    // Ignores SIGHUP and SIGTERM.
    words: async () => ['terminal', '--', '/bin/sh', '-c', 'trap "" HUP TERM; sleep 600; sleep 600'],
    program: 'web-terminal',
    visit: async (scope, ready, relay) => {
      const {host, hostname} = new URL(ready.address);
      const {user = '', password = ''} = ready.login ?? {};
      const socket = new WebSocket(`wss://127.0.0.1:${relay.port}/shell`, {
        agent: new Agent({ca: readFileSync(relay.caFile), servername: hostname}),
        headers: {host, origin: `https://${host}`, authorization: basic(user, password)},
      });
      scope.onEnd(() => socket.terminate());
      socket.once('open', () => socket.send('{"type":"size","cols":80,"rows":24}'));
      await once(socket, 'message');
    },
  },
  'terminal by gotty': {
    words: async () => ['terminal', '--bin', installed.gotty, '--', '/bin/sh'],
    program: 'gotty',
  },
  expose: {
    words: async (scope) => {
      const script = await fakeProgram(
        scope,
        `spawn('/bin/sh', ['-c', 'trap "" TERM HUP; while :; do sleep 1; done'], {detached: true, stdio: 'ignore'});
process.on('SIGTERM', () => {});
await listen(Number(argv[0]));`,
      );
      return ['expose', '--', process.execPath, script, '{port}'];
    },
    program: 'fake.mjs',
  },
};

/** The processes that a command has started: the program, its children, the watcher. */
function startedBy(pid: number): {program: number; pids: number[]; watcher: number} {
  const isWatcher = (child: number) => commandLine(child).includes('tunl-watcher');
  const children = childrenOf(pid);
  const [watcher = 0] = children.filter(isWatcher);
  const [program = 0] = children.filter((child) => !isWatcher(child));
  expect(watcher).toBeGreaterThan(0);
  // The mark is a secret, and every user can read command lines.
  expect(commandLine(watcher)).not.toContain('TUNL_LAUNCH');
  const family = (parent: number): number[] => [parent, ...childrenOf(parent).flatMap(family)];
  // sshd writes its title over its environment: its processes are found as its children.
  const marked = commandLine(program).includes('sshd') ? [] : withMark(markOf(program));
  return {program, pids: [...new Set([...marked, ...family(program)])], watcher};
}

for (const [name, {words, visit, program: shown}] of Object.entries(cases)) {
  for (const victim of ['tunl', 'program'] as const) {
    test(`${name}: ${victim} is killed`, async ({scope}) => {
      const stateDir = await safeFolder(scope);
      const folder = await scope.tempDir('folder');
      const [command = '', ...rest] = await words(scope, folder);
      const {cli, relay} = await startBehindRelay(scope, [command, '--json', ...rest], {stateDir});
      const ready = await cli.event('ready');
      await visit?.(scope, ready, relay);
      const {program, pids, watcher} = startedBy(cli.pid);
      expect(commandLine(program)).toContain(shown);
      if (visit) expect(pids.length).toBeGreaterThan(1);
      const run = join(stateDir, 'run');
      expect(readdirSync(run)).toHaveLength(1);
      process.kill(victim === 'tunl' ? cli.pid : program, 'SIGKILL');
      const exit = await cli.finished();
      if (victim === 'program') expect(exit.code).toBe(137);
      await until(() => ![...pids, watcher].some(isAlive), 20_000);
      await until(() => !existsSync(run) || readdirSync(run).length === 0);
      expect(withArgument(stateDir)).toEqual([]);
    });
  }
}

test('every program is tested in this file', () => {
  const launching = readdirSync(join(root, 'src/lib/launch/programs')).map((file) => file.replace('.ts', ''));
  expect(launching.toSorted()).toEqual(['code-server', 'command', 'jupyter', 'sshd', 'terminal']);
  // The terminal is tested in both of its kinds.
  expect(Object.keys(cases)).toHaveLength(launching.length + 1);
});
