// --copy, --open and --qr with tools that behave like those of a desktop: a clipboard and a browser that keep running.
import {existsSync} from 'node:fs';
import {chmod, readFile, stat, writeFile} from 'node:fs/promises';
import {delimiter, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {expect} from 'vitest';
import {installed, isAlive, plainEnv, until} from '../helpers/launching.js';
import {startBehindRelay} from '../helpers/programs.js';
import {startRelayProcess} from '../helpers/relay.js';
import type {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {httpUpstream} from '../helpers/upstreams.js';

interface Desktop {
  env: Record<string, string>;
  /** The input of a tool; '' before it has any. */
  given(tool: 'xclip' | 'browser'): Promise<string>;
  /** The process that a tool left behind. */
  pid(tool: 'xclip' | 'browser'): Promise<number>;
}

/** `xclip` goes into the background and keeps its outputs; the browser stays in the foreground. */
async function desktop(scope: Scope): Promise<Desktop> {
  const folder = await scope.tempDir('desktop');
  const tool = async (name: string, script: string) => {
    await writeFile(join(folder, name), `#!/bin/sh\n${script}\n`);
    await chmod(join(folder, name), 0o755);
  };
  const here = `'${folder}'`;
  await tool('xclip', `cat > ${here}/xclip.given; sleep 600 & echo $! > ${here}/xclip.pid`);
  await tool(
    'browser',
    `echo $$ > ${here}/browser.pid; printf '%s' "$1" > ${here}/browser.given; exec sleep 600`,
  );
  const read = (name: string) => readFile(join(folder, name), 'utf8').catch(() => '');
  const pid = async (name: string) => Number(await read(`${name}.pid`));
  scope.onEnd(async () => {
    for (const name of ['xclip', 'browser']) {
      const left = await pid(name);
      if (left > 1 && isAlive(left)) process.kill(left);
    }
  });
  return {
    env: {BROWSER: join(folder, 'browser'), PATH: `${folder}${delimiter}${plainEnv().PATH}`},
    given: (name) => read(`${name}.given`),
    pid,
  };
}

test('the address is copied, opened and drawn; clipboard and browser keep running after tunl', async ({
  scope,
}) => {
  const tools = await desktop(scope);
  const {port} = await httpUpstream(scope);
  const {cli} = await startBehindRelay(scope, ['expose', String(port), '--copy', '--open', '--qr'], {
    env: tools.env,
  });
  const address = await cli.line();
  await until(async () => (await tools.given('browser')) === address);
  await until(async () => (await tools.given('xclip')) === address);
  await cli.saidOnStderr(/sent to the clipboard/);
  await cli.saidOnStderr(/[▀▄█]{20}/);
  const left = async () => [await tools.pid('xclip'), await tools.pid('browser')];
  await until(async () => (await left()).every((pid) => pid > 1));
  expect((await cli.stop('SIGINT')).code).toBe(0);
  expect(cli.stdout).toBe(`${address}\n`);
  expect((await left()).map(isAlive)).toEqual([true, true]);
});

test('an address with a secret reaches the browser in a private file', async ({scope}) => {
  const tools = await desktop(scope);
  const relay = await startRelayProcess(scope);
  const words = ['jupyter', '--open', '--bin', installed.jupyterLab];
  const {cli} = await startBehindRelay(scope, words, {
    relay,
    env: tools.env,
    cwd: await scope.tempDir('notebooks'),
  });
  const address = await cli.line();
  await until(async () => (await tools.given('browser')) !== '');
  const page = fileURLToPath(await tools.given('browser'));
  expect(await readFile(page, 'utf8')).toContain(address);
  expect((await stat(page)).mode & 0o777).toBe(0o600);
  expect((await cli.stop()).code).toBe(0);
  expect(existsSync(page)).toBe(false);
});

test('without a clipboard and a browser tunl says so, and the tunnel works', async ({scope}) => {
  const {port} = await httpUpstream(scope);
  const env = {PATH: '/nowhere'};
  const {cli} = await startBehindRelay(scope, ['expose', String(port), '--copy', '--open'], {env});
  await cli.line();
  await cli.saidOnStderr(/there is no clipboard here/);
  await cli.saidOnStderr(/no browser could be opened/);
  expect((await cli.stop()).code).toBe(0);
});
