// `tunl expose -- …` with a real dev server: the page and hot reload through the public address, and the ends of programs.
import {open, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {expect} from 'vitest';
import {startBrowser} from '../helpers/browser.js';
import {fakeProgram, root, until} from '../helpers/launching.js';
import {startBehindRelay} from '../helpers/programs.js';
import {startRelayProcess} from '../helpers/relay.js';
import {unusedPort} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {curl} from '../helpers/visitors.js';

const vite = join(root, 'node_modules/.bin/vite');

test('Vite: its port is found, its page and hot reload work, the name is allowed', async ({scope}) => {
  const dir = await scope.tempDir('vite');
  await writeFile(join(dir, 'index.html'), '<p id=said></p><script type=module src=/main.js></script>');
  const source = (text: string) =>
    `document.querySelector('#said').textContent = '${text}';\nif (import.meta.hot) import.meta.hot.accept();\n`;
  // Both texts have one length, so that the file can be changed in one step.
  await writeFile(join(dir, 'main.js'), source('first '));
  const {relay, cli} = await startBehindRelay(scope, ['expose', '--json', '--', vite, '--port', '{port}'], {
    cwd: dir,
  });
  const {address} = await cli.event('ready');
  const browser = await startBrowser(scope, {caFile: relay.caFile});
  const tab = await browser.newPage();
  const hot = tab.waitForEvent('console', (message) => message.text().includes('[vite] connected'));
  await tab.goto(address);
  await tab.locator('#said', {hasText: 'first'}).waitFor();
  await hot;
  await tab.evaluate('window.stayed = true');
  // Written again if nobody saw it: Vite's watcher may not have been ready at the first time.
  const second = tab.locator('#said', {hasText: 'second'});
  await until(async () => {
    // Vite must not see it empty in between: a module that accepts no update makes it load the page again.
    const file = await open(join(dir, 'main.js'), 'r+');
    await file.write(source('second'));
    await file.close();
    return await second.waitFor({timeout: 5_000}).then(
      () => true,
      () => false,
    );
  }, 90_000);
  // Hot reload: the page was not loaded again.
  expect(await tab.evaluate('window.stayed')).toBe(true);
  expect((await cli.stop('SIGINT')).code).toBe(0);
});

test('Vite with another name: the visitor is refused, and tunl names the setting once', async ({scope}) => {
  const dir = await scope.tempDir('vite');
  await writeFile(join(dir, 'index.html'), 'page');
  const {relay, cli} = await startBehindRelay(scope, ['expose', '--json', '--', vite, '--port', '{port}'], {
    cwd: dir,
  });
  const {address} = await cli.event('ready');
  for (let i = 0; i < 2; i++) {
    const refused = await curl(scope, relay.caFile, ['--header', 'Host: www.example', address]);
    expect(refused.stdout).toContain('allowedHosts');
  }
  const notice = await cli.event('notice');
  expect(notice).toMatchObject({
    code: 'HOST_REFUSED',
    message: expect.stringContaining('server.allowedHosts'),
  });
  await cli.stop();
  expect(cli.events.filter(({type}) => type === 'notice')).toHaveLength(1);
});

test('the arguments and environment of a command, and its exit code', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const script = await fakeProgram(
    scope,
    `console.log('asked for', process.env.PORT, process.env.TUNL_URL, process.env.TUNL_TOKEN, ...argv);
     await listen(Number(process.env.PORT), (q, r) => { r.end('bye'); setTimeout(() => process.exit(7), 50); });`,
  );
  const {cli} = await startBehindRelay(scope, ['expose', '--', process.execPath, script, '{port}', '{url}'], {
    relay,
  });
  const address = await cli.line();
  const [, port, url, token, argPort, argUrl] =
    (await cli.saidOnStderr(/asked for (\S+) (\S+) (\S+) (\S+) (\S+)/)) ?? [];
  const {origin} = new URL(address);
  expect([url, argUrl, argPort, token]).toEqual([origin, origin, port, 'undefined']);
  expect((await curl(scope, relay.caFile, [address])).stdout).toBe('bye');
  expect((await cli.finished()).code).toBe(7);
  expect(cli.stdout).toBe(`${address}\n`);
});

test('a relay that ends while the program starts: both end, with the relay’s reason', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const script = await fakeProgram(scope, `console.log('started'); setInterval(() => {}, 1000);`);
  const {cli} = await startBehindRelay(
    scope,
    ['expose', String(await unusedPort()), '--max-retry-time', '1s', '--', process.execPath, script],
    {relay},
  );
  await cli.saidOnStderr(/started/);
  await relay.cli.stop('SIGKILL');
  expect(await cli.finished()).toMatchObject({code: 3, stdout: ''});
  expect(cli.stderr).toMatch(/^code: RELAY_(LOST|REFUSED)$/m);
});

test('the tunnel ends by itself: --expires, --idle-timeout', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const script = await fakeProgram(scope, `await listen(Number(process.env.PORT));`);
  const serve = ['--', process.execPath, script, '{port}'];
  const [expires, idle] = await Promise.all([
    startBehindRelay(scope, ['expose', '--json', '--expires', '300ms', ...serve], {relay}),
    startBehindRelay(scope, ['expose', '--idle-timeout', '300ms', ...serve], {relay}),
  ]);
  const ready = await expires.cli.event('ready');
  expect(Date.parse(ready.expiresAt ?? '')).toBeGreaterThan(Date.now() - 60_000);
  expect((await expires.cli.finished()).code).toBe(0);
  expect((await idle.cli.finished()).code).toBe(0);
  expect(idle.cli.stderr).toContain('no visitor for 300 ms: closing');
});
