// Programs that print more than the readers of tunl read: what waits for them in the memory stays little.

import {appendFile} from 'node:fs/promises';
import {createServer} from 'node:http';
import {describe, expect} from 'vitest';
import {takeSockets} from '../../../src/lib/hub/operator.js';
import {Roster} from '../../../src/lib/launch/roster.js';
import {keepOutput} from '../../../src/lib/sandbox/kept-output.js';
import {SandboxRoster} from '../../../src/lib/sandbox/roster.js';
import {MiB} from '../../helpers/bytes.js';
import {projectRoot} from '../../helpers/cli.js';
import type {Scope} from '../../helpers/scope.js';
import {source, startScript} from '../../helpers/source-script.js';
import {test} from '../../helpers/test.js';

const LINES = 40_000;
const LINE = `${'.'.repeat(99)}\n`;

describe('output as lines waits for the reader of stdout', () => {
  /** How much of the output waited at once, and all that came. */
  async function mostWaiting(scope: Scope, script: string, env: Record<string, string> = {}) {
    const child = startScript(
      scope,
      `
      import {Readable, Writable} from 'node:stream';
      import {runCommand} from ${source('lib/cli/quick-run')};
      import {runExec} from ${source('lib/cli/sandbox/exec-run')};
      import {writeLine} from ${source('lib/cli/stdout')};
      import {wholeProcess} from ${source('lib/cli/whole-process')};
      const {stdout} = process;
      const write = stdout.write.bind(stdout);
      let most = 0;
      stdout.write = (...words) => {
        const hasRoom = write(...words);
        most = Math.max(most, stdout.writableLength);
        return hasRoom;
      };
      process.on('exit', () => process.stderr.write('most: ' + most));
      const run = (id, ...rest) =>
        runCommand({id, file: ${JSON.stringify(`${projectRoot}src/commands/`)} + id + '.ts', rest}, '');
      await wholeProcess([], async () => {
        ${script}
      });`,
      {env},
    );
    const {code, stdout, stderr} = await child.finished();
    expect({code, stderr}).toEqual({code: 0, stderr: expect.stringMatching(/^most: \d+$/)});
    return {most: Number(stderr.slice('most: '.length)), stdout};
  }

  test('sandbox exec --json', async ({scope}) => {
    const {most, stdout} = await mostWaiting(
      scope,
      `
      const output = Array.from({length: ${LINES / 400}}, () => Buffer.from(${JSON.stringify(LINE)}.repeat(400)));
      const inside = {
        stdin: new Writable(),
        stdout: Readable.from(output),
        stderr: Readable.from([]),
        exit: Promise.resolve({code: 0}),
        signal: async () => {},
        resize: () => {},
      };
      const onOutput = (from, text) => writeLine(JSON.stringify({from, text}));
      await runExec({exec: async () => inside}, {command: ['x']}, {interactive: false, tty: false, onOutput});`,
    );
    const texts = stdout.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line).text]));
    expect(texts.join('')).toBe(LINE.repeat(LINES));
    expect(most).toBeLessThan(2 * MiB);
  });

  test('sandbox logs --json', async ({scope}) => {
    const stateDir = await scope.tempDir('state');
    const own = await new SandboxRoster(stateDir).begin({command: ['x']});
    const piece = {from: 'stdout', bytes: Buffer.from(LINE.repeat(400))} as const;
    await keepOutput(
      own.folder,
      (async function* () {
        for (let left = LINES / 400; left > 0; left -= 1) yield piece;
      })(),
    );
    await own.end({reason: 'exited', code: 0});
    const {most, stdout} = await mostWaiting(scope, `await run('sandbox/logs', '--json', '${own.id}');`, {
      TUNL_STATE_DIR: stateDir,
    });
    expect(stdout.split('\n')).toHaveLength(LINES / 400 + 2);
    expect(most).toBeLessThan(2 * MiB);
  });

  test('hub logs --json', async ({scope}) => {
    const stateDir = await scope.tempDir('state');
    const hub = createServer((_, response) => response.end(LINE.repeat(LINES)));
    const {operator} = await takeSockets(stateDir, hub);
    scope.onEnd(() => {
      hub.close();
      operator.release();
    });
    // The hub is as slow as a reader, so stdout takes nothing until no more comes.
    const {most, stdout} = await mostWaiting(
      scope,
      `
      stdout.cork();
      let before = 0;
      const look = setInterval(() => {
        if (before > 0 && stdout.writableLength === before) {
          clearInterval(look);
          stdout.uncork();
        }
        before = stdout.writableLength;
      }, 100);
      await run('hub/logs', '--json', 's_7k2mq4ab');`,
      {TUNL_STATE_DIR: stateDir},
    );
    const texts = stdout.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line).text]));
    expect(texts.join('')).toBe(LINE.repeat(LINES));
    expect(most).toBeLessThan(2 * MiB);
  });

  test('logs', async ({scope}) => {
    const stateDir = await scope.tempDir('state');
    const roster = new Roster(stateDir);
    await roster.prepare();
    const entry = await roster.enter({id: 'abc234', startedAt: '', command: [], address: ''});
    await appendFile(`${roster.logPath('abc234')}.1`, LINE.repeat(LINES), {mode: 0o600});
    await appendFile(roster.logPath('abc234'), 'last\n', {mode: 0o600});
    entry.end({why: 'stopped', at: new Date().toISOString()});
    const {most, stdout} = await mostWaiting(scope, `await run('logs', '-q', 'abc234');`, {
      TUNL_STATE_DIR: stateDir,
    });
    expect(stdout).toBe(`${LINE.repeat(LINES)}last\n`);
    expect(most).toBeLessThan(2 * MiB);
  });
});

test('a cluster waits for the reader of stderr many times, and leaves no listener behind', async ({
  scope,
}) => {
  const child = startScript(
    scope,
    `
    import {holdCluster} from ${source('lib/cli/cluster/run')};
    import {createPresenter} from ${source('lib/cli/presenter')};
    import {writeLine} from ${source('lib/cli/stdout')};
    import {wholeProcess} from ${source('lib/cli/whole-process')};
    const {stderr} = process;
    const listeners = () => stderr.eventNames().map((name) => [name, stderr.listenerCount(name)]);
    process.on('warning', ({name}) => writeLine(name));
    const presenter = await createPresenter({json: false, quiet: false}, {env: {}, stderrIsTTY: false});
    await wholeProcess([], async () => {
      const before = listeners();
      await holdCluster({
        presenter,
        json: false,
        begin: async ({onOutput}) => {
          const much = Buffer.from(${JSON.stringify(LINE)}.repeat(20_000));
          for (let stalls = 0; stalls < 3; stalls += 1) {
            const waiting = [onOutput(0, 'stderr', much)];
            for (let rank = 1; rank < 20; rank += 1) waiting.push(onOutput(rank, 'stdout', much.subarray(0, 100)));
            await Promise.all(waiting);
          }
          return {started: Promise.resolve(), ended: Promise.resolve({exitCode: 0}), close: async () => {}};
        },
      });
      writeLine(JSON.stringify([before, listeners()]));
    });`,
  );
  const {code, lines} = {...(await child.finished()), lines: child.lines};
  expect(code).toBe(0);
  expect(lines).toHaveLength(1);
  const [before, after] = JSON.parse(lines[0] ?? '');
  expect(after).toEqual(before);
});
