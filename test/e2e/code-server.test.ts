// `tunl code-server` with the real one: Chromium logs in with the printed password, opens a file, and runs a command.
import {readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {expect} from 'vitest';
import {startBrowser} from '../helpers/browser.js';
import {openInEditor, signInToEditor, typeInTerminal} from '../helpers/editor.js';
import {installed, isAlive, until, withArgument} from '../helpers/launching.js';
import {startBehindRelay} from '../helpers/programs.js';
import {test} from '../helpers/test.js';

test('an editor in the browser: login, a file, the terminal', async ({scope}) => {
  const dir = await scope.tempDir('project');
  await writeFile(join(dir, 'hello.txt'), 'words in a file\n');
  const {relay, cli} = await startBehindRelay(scope, [
    'code-server',
    dir,
    '--bin',
    installed.codeServer,
    '--json',
    '--',
    '--disable-workspace-trust',
  ]);
  const ready = await cli.event('ready');
  expect(ready.address).toBe(ready.link ?? ready.url);
  const password = ready.login?.password ?? '';
  expect(password).toMatch(/^[a-z2-9]{26}$/);
  const browser = await startBrowser(scope, {caFile: relay.caFile});
  const tab = await browser.newPage();
  await tab.goto(ready.address);
  await tab.fill('input[name=password]', 'wrong');
  await tab.click('input[type=submit]');
  await tab.locator('.error', {hasText: 'Incorrect password'}).waitFor();
  await signInToEditor(tab, password);
  await openInEditor(tab, 'hello.txt', 'words in a file');
  await typeInTerminal(tab, 'echo "typed $((6 * 7))" > answer.txt');
  await until(async () => (await readFile(join(dir, 'answer.txt'), 'utf8').catch(() => '')) !== '', 30_000);
  expect(await readFile(join(dir, 'answer.txt'), 'utf8')).toBe('typed 42\n');

  const processes = withArgument(dir).filter((pid) => pid !== cli.pid && pid !== process.pid);
  expect((await cli.stop()).code).toBe(0);
  expect(processes.filter(isAlive)).toEqual([]);
});
