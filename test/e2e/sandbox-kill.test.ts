// Everything around a sandbox is killed in turn: each call settles with a reason, and nothing stays behind.

import {existsSync, readdirSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import {describe, expect} from 'vitest';
import {runCli, startCli} from '../helpers/cli.js';
import {until} from '../helpers/launching.js';
import {groupsOf, mountsOf, type Proc, processes} from '../helpers/leftovers.js';
import {detached, inSandbox, tunl} from '../helpers/sandbox-cli.js';
import {test} from '../helpers/test.js';
import {parseEvent} from '../project/event-schema.js';

/** TUNL_LONG=1: 200 sandboxes. */
const ROUNDS = process.env.TUNL_LONG === '1' ? 200 : 6;

/** A sleep of a length that nothing else has. */
function marker(): string {
  return String(100_000 + Math.floor(Math.random() * 900_000));
}

const running = (mark: string) => processes().filter(({args}) => args.includes(`sleep ${mark}`));

async function ownerOf(scope: Parameters<typeof tunl>[0], stateDir: string): Promise<number> {
  const {stdout} = await tunl(scope, stateDir, 'sandbox', 'ps', '--json');
  const event = parseEvent(stdout.trim());
  return event.type === 'sandbox' ? event.pid : 0;
}

describe('kill -9', () => {
  test('of the process that owns it: exec and ps say that it is lost, and its processes are gone', async ({
    scope,
  }) => {
    const stateDir = await scope.tempDir('state');
    const mark = marker();
    const words = ['--name', 'box', '--memory', '128m', '--', 'sleep', mark];
    const {id} = await detached(scope, stateDir, words);
    const pid = await ownerOf(scope, stateDir);
    const exec = await startCli(
      scope,
      ['sandbox', 'exec', '--json', 'box', '--', 'sh', '-c', `echo up; sleep ${mark}`],
      {stateDir},
    );
    const logs = await startCli(scope, ['sandbox', 'logs', '-f', 'box'], {stateDir});
    await exec.event('output');
    const at = performance.now();
    process.kill(pid, 'SIGKILL');
    const end = await exec.exited;
    expect(performance.now() - at).toBeLessThan(1_500);
    expect(end.code).toBe(5);
    expect(exec.error).toMatchObject({code: 'SANDBOX_ENDED', message: expect.stringContaining('lost')});
    expect(await logs.finished()).toMatchObject({code: 0, stderr: expect.stringContaining('it was lost')});
    await until(() => running(mark).length === 0);
    const after = await tunl(scope, stateDir, 'sandbox', 'ps', '--all', '--json');
    expect(parseEvent(after.stdout.trim())).toMatchObject({id, state: 'ended', end: {reason: 'lost'}});
    // The next one removes what the backend left, and may have the name.
    await detached(scope, stateDir, words);
    expect(readdirSync(join(stateDir, 'sandboxes', id)).sort()).toEqual(['sandbox.json', 'supervisor.log']);
    expect(await inSandbox(scope, stateDir, 'box', 'true')).toMatchObject({code: 0});
    await tunl(scope, stateDir, 'sandbox', 'stop', 'box');
    await until(() => groupsOf(id).length === 0);
  });

  test('of the isolation program and of its init: the owner says that it is lost', async ({scope}) => {
    for (const victim of ['bwrap', 'init.cjs']) {
      const mark = marker();
      const cli = await startCli(scope, ['sandbox', 'run', '--json', '--', 'sleep', mark]);
      await cli.event('started');
      await until(() => running(mark).length > 0);
      const below = family(cli.pid);
      const found = below.filter(({args}) =>
        victim === 'bwrap' ? /^(\S*\/)?bwrap /.test(args) : args.includes(victim),
      );
      expect(found.length).toBeGreaterThan(0);
      const at = performance.now();
      process.kill(found.at(-1)?.pid ?? 0, 'SIGKILL');
      expect((await cli.exited).code).toBe(5);
      expect(performance.now() - at).toBeLessThan(3_000);
      expect(cli.error).toMatchObject({code: 'SANDBOX_ENDED', message: expect.stringContaining('lost')});
      await until(() => running(mark).length === 0);
    }
  });

  test('of the command that started it in the foreground', async ({scope}) => {
    const mark = marker();
    const cli = await startCli(scope, ['sandbox', 'run', '--json', '--', 'sleep', mark]);
    const {id} = await cli.event('started');
    await until(() => running(mark).length > 0);
    cli.signal('SIGKILL');
    await cli.exited;
    await until(() => running(mark).length === 0);
    const after = await tunl(scope, cli.stateDir, 'sandbox', 'ps', '--all', '--json');
    expect(parseEvent(after.stdout.trim())).toMatchObject({id, end: {reason: 'lost'}});
  });

  test('of exec: its command inside goes, the sandbox stays', async ({scope}) => {
    const stateDir = await scope.tempDir('state');
    const mark = marker();
    await detached(scope, stateDir, ['--name', 'box', '--', 'sleep', '600']);
    const exec = await startCli(
      scope,
      ['sandbox', 'exec', 'box', '--', 'sh', '-c', `echo up; sleep ${mark}`],
      {stateDir},
    );
    await exec.line();
    exec.signal('SIGKILL');
    await until(() => running(mark).length === 0);
    expect(await inSandbox(scope, stateDir, 'box', 'true')).toMatchObject({code: 0});
  });

  test('of an owner that was stopped: stop ends it', async ({scope}) => {
    const stateDir = await scope.tempDir('state');
    const mark = marker();
    await detached(scope, stateDir, ['--name', 'box', '--', 'sleep', mark]);
    process.kill(await ownerOf(scope, stateDir), 'SIGSTOP');
    const stopped = await tunl(scope, stateDir, 'sandbox', 'stop', 'box');
    expect(stopped).toMatchObject({code: 0, stderr: expect.stringContaining('it was lost')});
    await until(() => running(mark).length === 0);
  });
});

test(`${ROUNDS} sandboxes, one after the other: nothing stays behind`, async ({scope}) => {
  const stateDir = await scope.tempDir('state');
  for (let round = 0; round < ROUNDS; round += 1) {
    const words = ['sandbox', 'run', '-q', '--memory', '64m', '--timeout', '1m'];
    const inside = ['sh', '-c', 'echo x > ~/file; exit 4'];
    const run = await runCli(scope, [...words, '--', ...inside], {stateDir});
    expect(run).toMatchObject({code: 4, stderr: ''});
  }
  expect(processes().filter(({args}) => args.includes(stateDir))).toEqual([]);
  const left = readdirSync(join(stateDir, 'sandboxes'));
  expect(left.length).toBe(Math.min(ROUNDS, 101));
  expect(groupsOf(...left)).toEqual([]);
  expect(mountsOf(...left)).toEqual([]);
  for (const id of left) expect(existsSync(join(stateDir, 'sandboxes', id, 'work'))).toBe(false);
}, 600_000);

/** The process and all those below it. */
function family(pid: number): Proc[] {
  const parents = new Map(
    processes().flatMap((each) => {
      try {
        const stat = readFileSync(`/proc/${each.pid}/stat`, 'utf8');
        return [[each, Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])] as const];
      } catch {
        return [];
      }
    }),
  );
  const found: Proc[] = [];
  const add = (parent: number) => {
    for (const [each, of] of parents) {
      if (of !== parent) continue;
      found.push(each);
      add(each.pid);
    }
  };
  add(pid);
  return found;
}
