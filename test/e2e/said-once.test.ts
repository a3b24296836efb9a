// What a command says only once: the address, the output of a program that fails, the header of a list; and what it waits for.

import {chmod, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {expect} from 'vitest';
import {entry, runCli, startCli} from '../helpers/cli.js';
import {startRelayProcess} from '../helpers/relay.js';
import type {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {Screen} from '../helpers/tmux.js';
import {httpUpstream} from '../helpers/upstreams.js';

const timesIn = (text: string, part: string) => text.split(part).length - 1;

/** A program that passes for JupyterLab when it is asked for its version, and does this when it is started. */
async function fakeJupyter(scope: Scope, action: string): Promise<string> {
  const path = join(await scope.tempDir('fake'), 'jupyter-lab');
  await writeFile(path, `#!/bin/sh\ncase "$*" in *version*) echo 4.0.0; exit;; esac\n${action}\n`);
  await chmod(path, 0o755);
  return path;
}

/** A shell in a terminal, for `tunl`. */
async function terminal(scope: Scope, env: Record<string, string> = {}) {
  const stateDir = await scope.tempDir('state');
  return await Screen.start(scope, {
    columns: 120,
    rows: 50,
    env: {TUNL_STATE_DIR: stateDir, HOME: stateDir, ...env},
  });
}

test('the address: in a pipe, with --plain and in the scrollback of a live view', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const {port} = await httpUpstream(scope);
  const cli = await startCli(scope, ['expose', String(port)], {env: relay.env});
  const address = await cli.line();
  await cli.saidOnStderr(/^Ctrl\+C stops it\.$/m);
  await cli.stop();
  expect(timesIn(cli.stdout + cli.stderr, address)).toBe(1);
  for (const flags of ['--plain', '']) {
    const screen = await terminal(scope, relay.env);
    await screen.run(`node ${entry} expose ${port} ${flags}`);
    const [shown = ''] = await screen.shows(/^https:\S+$/);
    await screen.shows(flags === '' ? /● live/ : /^Ctrl\+C stops it\.$/);
    await screen.press('C-c');
    const lines = await screen.until((all) => all.at(-1) === '$');
    expect(timesIn(lines.join('\n'), shown), flags).toBe(1);
  }
});

const FAILING = "sh -c 'echo the only line; sleep 0.5; exit 3'";

test.for(['', '-q', '--plain', '--detach'])(
  'the output of a program that fails, in a terminal with %j',
  async (flags, {scope}) => {
    const screen = await terminal(scope);
    await screen.run(`clear; node ${entry} expose ${flags} -- ${FAILING}`);
    await screen.shows(/^code: PROGRAM_DIED$/);
    const lines = await screen.until((all) => all.at(-1) === '$');
    expect(lines.filter((line) => line.trim() === 'the only line')).toHaveLength(1);
  },
);

test('the output of a program that fails, in pipes, and when the log shows it', async ({scope}) => {
  const words = ['expose', '--', 'sh', '-c', 'echo the only line; sleep 0.5; exit 3'];
  const plain = await runCli(scope, words);
  expect(timesIn(plain.stdout + plain.stderr, 'the only line')).toBe(1);
  // A script that reads events gets the last lines in the error.
  const json = await runCli(scope, words.toSpliced(1, 0, '--json'));
  expect(timesIn(json.stdout, 'the only line')).toBe(1);
  const jupyter = await fakeJupyter(scope, 'echo the only line; sleep 0.5; exit 3');
  for (const level of ['warn', 'info']) {
    const said = await runCli(scope, ['jupyter', '--bin', jupyter, '--log-level', level]);
    expect(said.stderr).toContain('PROGRAM_DIED');
    expect(timesIn(said.stderr, 'the only line'), level).toBe(1);
  }
});

test('while a program starts, the line says what tunl waits for, and for how long', async ({scope}) => {
  const screen = await terminal(scope);
  const jupyter = await fakeJupyter(scope, 'exec sleep 60');
  await screen.run(`clear; node ${entry} jupyter --bin ${jupyter}`);
  await screen.shows(/^\S waiting for Jupyter \(\d+ s\)$/);
  await screen.press('C-c');
  const lines = await screen.until((all) => all.at(-1) === '$');
  expect(lines.join('\n')).not.toContain('waiting for');
});

test('the header of `tunl list`: once, not for scripts, and not without a tunnel', async ({scope}) => {
  const stateDir = await scope.tempDir('state');
  const list = async () => await runCli(scope, ['list'], {stateDir});
  const none = await list();
  expect([none.stdout, none.stderr]).toEqual(['', 'No tunnel runs in the background.\n']);
  scope.onEnd(async () => void (await runCli(scope, ['stop', '--all'], {stateDir})));
  const {port} = await httpUpstream(scope);
  for (const subdomain of ['one', 'two']) {
    const started = await runCli(
      scope,
      ['expose', String(port), '--detach', '-q', '--subdomain', subdomain],
      {
        stateDir,
      },
    );
    expect(started, started.stderr).toMatchObject({code: 0});
  }
  const two = await list();
  expect(two.stdout).toMatch(/^([a-z2-9]{6} {2}https:\S+ {2}expose .*\n){2}$/);
  const head = 'ID      ADDRESS  COMMAND';
  expect(two.stderr.split('\n').filter((line) => line === head)).toHaveLength(1);
  expect(two.stderr.startsWith(head)).toBe(true);
});
