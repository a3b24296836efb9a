// `tunl jupyter` with the real JupyterLab: Chromium opens the printed address, runs a cell and sees its output.
import {readdirSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import {expect} from 'vitest';
import {gate} from '../helpers/behind-gate.js';
import {startBrowser} from '../helpers/browser.js';
import {commandLine, installed, isAlive, withArgument} from '../helpers/launching.js';
import {startBehindRelay} from '../helpers/programs.js';
import {test} from '../helpers/test.js';
import {curl} from '../helpers/visitors.js';

test('the printed address runs a cell, a wrong token is refused', async ({scope}) => {
  const dir = await scope.tempDir('notebooks');
  const stateDir = await scope.tempDir('state');
  const {relay, cli} = await startBehindRelay(
    scope,
    ['jupyter', '--dir', dir, '--bin', installed.jupyterLab],
    {stateDir},
  );
  const address = await cli.line();
  expect(address).toMatch(
    /^https:\/\/[a-z2-7]{26}\.r1\.localhost:\d+\/lab\?token=[a-z2-9]{26}(&tunl=[a-z2-9]{32})?$/,
  );
  expect(address.includes('&tunl=')).toBe(gate === 'private');
  const token = new URL(address).searchParams.get('token') ?? '';
  await cli.saidOnStderr(new RegExp(`^token: ${token}$`, 'm'));

  const at = (query: string) => new URL(`/api/contents${query}`, address).href;
  const status = ['--output', '/dev/null', '--write-out', '%{http_code}'];
  expect((await curl(scope, relay.caFile, [...status, at(`?token=${token}`)])).stdout).toBe('200');
  expect((await curl(scope, relay.caFile, [...status, at(`?token=${token}x`)])).stdout).toBe('403');
  expect((await curl(scope, relay.caFile, [...status, at('')])).stdout).toBe('403');

  const processes = withArgument(dir).filter((pid) => pid !== cli.pid);
  expect(processes.length).toBeGreaterThan(0);
  for (const pid of processes) expect(commandLine(pid)).not.toContain(token);

  const browser = await startBrowser(scope, {caFile: relay.caFile});
  const tab = await browser.newPage();
  await tab.goto(address);
  await tab.locator('.jp-LauncherCard[data-category="Notebook"]').first().click();
  const cell = tab.locator('.jp-Notebook .cm-content').first();
  await cell.click();
  await tab.keyboard.type('print("seen by", 6 * 7)');
  // The answer comes through the tunnel by the kernel's WebSocket.
  await tab.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]').waitFor();
  await tab.keyboard.press('Shift+Enter');
  await tab.locator('.jp-OutputArea-output', {hasText: 'seen by 42'}).waitFor();

  expect((await cli.stop('SIGINT')).code).toBe(0);
  expect(processes.filter(isAlive)).toEqual([]);
  const left = readdirSync(stateDir, {recursive: true, withFileTypes: true})
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  expect(left.filter((path) => readFileSync(path).includes(token))).toEqual([]);
  expect(cli.stdout).toBe(`${address}\n`);
});
