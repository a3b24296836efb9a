// The TAB key in real shells, with the scripts that `tunl completion SHELL` prints.

import {access, chmod, writeFile} from 'node:fs/promises';
import {expect} from 'vitest';
import {run} from '../helpers/child.js';
import {entry, runCli, startCli} from '../helpers/cli.js';
import type {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {Screen} from '../helpers/tmux.js';

/** `tunl` in PATH. */
async function installed(scope: Scope) {
  const folder = await scope.tempDir('bin');
  await writeFile(`${folder}/tunl`, `#!/bin/sh\nexec '${process.execPath}' '${entry}' "$@"\n`);
  await chmod(`${folder}/tunl`, 0o755);
  const stateDir = await scope.tempDir('state');
  return {folder, stateDir, env: {PATH: `${folder}:/usr/bin:/bin`, TUNL_STATE_DIR: stateDir}};
}

test.for(['bash --norc', 'zsh -f'])(
  '%s: commands, flags, values, files, and nothing typed is run',
  async (shell, {scope}) => {
    const {folder, env} = await installed(scope);
    const screen = await Screen.start(scope, {shell, env, cwd: folder, columns: 100});
    // tmux keeps its own PATH.
    await screen.run(
      `export PATH='${env.PATH}'; clear; source <(tunl completion ${shell.split(' ')[0]}); echo $((40+2))`,
    );
    await screen.until((lines) => lines.some((line) => line === '42'));
    const types = async (text: string, whole: string) => {
      await screen.run('clear');
      await screen.until((lines) => lines.join('').trim() === '$');
      await screen.type(text);
      await screen.press('Tab');
      await screen.until((lines) => lines.some((line) => line.trim() === `$ ${whole}`));
      await screen.press('C-u');
    };
    await types('tunl exp', 'tunl expose');
    await types('tunl expose --upstream-se', 'tunl expose --upstream-server-name');
    await types('tunl expose --log-level de', 'tunl expose --log-level debug');
    await types('tunl expose --log-level=de', 'tunl expose --log-level=debug');
    await types('tunl relay star', 'tunl relay start');
    await types('tunl expose --ca-file /etc/hostna', 'tunl expose --ca-file /etc/hostname');
    await types(
      `tunl expose $(touch ${folder}/run) --offl`,
      `tunl expose $(touch ${folder}/run) --offline-page`,
    );
    await expect(access(`${folder}/run`)).rejects.toThrow('ENOENT');
  },
);

test('fish: commands, flags, values and files', async ({scope}) => {
  const {env} = await installed(scope);
  const fish = async (line: string) => {
    const script = `tunl completion fish | source; complete -C '${line}'`;
    const {stdout, stderr} = await run(scope, 'fish', ['--no-config', '-c', script], {env});
    expect(stderr).toBe('');
    return stdout
      .split('\n')
      .map((row) => row.split('\t')[0])
      .filter(Boolean);
  };
  expect(await fish('tunl exp')).toEqual(['expose']);
  expect(await fish('tunl expose --upstream-c')).toEqual(['--upstream-ca', '--upstream-cert']);
  expect(await fish('tunl expose --log-level=de')).toEqual(['--log-level=debug']);
  expect(await fish('tunl relay ')).toEqual(expect.arrayContaining(['ca', 'start', 'check']));
  expect(await fish('tunl expose --ca-file=/etc/hostna')).toEqual(['--ca-file=/etc/hostname']);
});

test('IDs of what runs in the background, and the names of its tunnels', async ({scope}) => {
  const {stateDir} = await installed(scope);
  const started = await runCli(scope, ['expose', '3000', 'shop=8080', '--detach', '--json'], {stateDir});
  const id = /"id":"([a-z2-9]{6})"/.exec(started.stdout)?.[1] ?? '';
  scope.onEnd(async () => void (await runCli(scope, ['stop', '--all'], {stateDir})));
  const offered = async (...words: string[]) =>
    (await runCli(scope, ['__complete', '--', ...words], {stateDir})).stdout
      .split('\n')
      .map((row) => row.split('\t')[0]);
  expect(await offered('stop', '')).toContain(id);
  expect(await offered('remove', id, 'sh')).toEqual(['shop', '']);
  // An empty word that was left out.
  const left = await startCli(scope, ['__complete', '--new', '--', 'stop'], {stateDir});
  await left.finished();
  expect(left.stdout).toContain(id);
});

test('whatever goes wrong, a shell gets no error', async ({scope}) => {
  expect(await runCli(scope, ['__complete'])).toMatchObject({code: 0, stderr: ''});
  expect(await runCli(scope, ['__complete', '--', 'stop', ''], {stateDir: '/proc/none'})).toMatchObject({
    code: 0,
    stdout: '',
    stderr: '',
  });
});
