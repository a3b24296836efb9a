// `tunl terminal` with the real gotty: a command typed in Chromium runs here; without the password access is refused.
import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {expect} from 'vitest';
import {startBrowser} from '../helpers/browser.js';
import {installed, until} from '../helpers/launching.js';
import {startBehindRelay} from '../helpers/programs.js';
import {test} from '../helpers/test.js';
import {curl} from '../helpers/visitors.js';

test('a shell in the browser', async ({scope}) => {
  const dir = await scope.tempDir('shell');
  const {relay, cli} = await startBehindRelay(
    scope,
    ['terminal', '--bin', installed.gotty, '--json', '--', '/bin/sh'],
    {cwd: dir},
  );
  const {address, login} = await cli.event('ready');
  const {user = '', password = ''} = login ?? {};
  const status = ['--output', '/dev/null', '--write-out', '%{http_code}', address];
  expect((await curl(scope, relay.caFile, status)).stdout).toBe('401');
  expect((await curl(scope, relay.caFile, ['--user', `${user}:x`, ...status])).stdout).toBe('401');

  const browser = await startBrowser(scope, {
    caFile: relay.caFile,
    httpCredentials: {username: user, password},
  });
  const tab = await browser.newPage();
  await tab.goto(address);
  await tab.locator('.xterm-helper-textarea').waitFor({state: 'attached'});
  await tab.locator('.xterm-screen').click();
  const answer = () => readFile(join(dir, 'answer.txt'), 'utf8').catch(() => '');
  // Keys that come before the page has its shell are lost, and the page does not show when it has one.
  await until(async () => {
    await tab.keyboard.press('Control+C');
    await tab.keyboard.type('echo "typed $((6 * 7))" > answer.txt\n');
    const since = performance.now();
    await until(async () => (await answer()) === 'typed 42\n' || performance.now() - since > 5_000);
    return (await answer()) === 'typed 42\n';
  }, 60_000);
  expect((await cli.stop()).code).toBe(0);
});
