// `tunl terminal` in Chromium, on a machine without gotty and ttyd: one shell, whatever happens to the pages.
import {once} from 'node:events';
import {readFileSync} from 'node:fs';
import {readFile, writeFile} from 'node:fs/promises';
import {Agent} from 'node:https';
import {connect} from 'node:net';
import {join} from 'node:path';
import type {BrowserContext, Page} from 'playwright-core';
import {expect} from 'vitest';
import {WebSocket} from 'ws';
import {which} from '../../src/lib/launch/find.js';
import {basic} from '../../src/lib/launch/password-check.js';
import {startBrowser} from '../helpers/browser.js';
import {memoryOf} from '../helpers/child.js';
import type {Cli} from '../helpers/cli.js';
import {childrenOf, commandLine, plainEnv, until} from '../helpers/launching.js';
import {startBehindRelay} from '../helpers/programs.js';
import type {RelayProcess} from '../helpers/relay.js';
import type {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {curl} from '../helpers/visitors.js';

interface Started {
  cli: Cli;
  relay: RelayProcess;
  address: string;
  login: {user: string; password: string};
  dir: string;
}

/** A shell without user settings, with a prompt that is easy to find. */
const SHELL = ['--', '/usr/bin/env', 'PS1=ready> ', '/bin/bash', '--norc', '--noprofile'];

async function start(scope: Scope, words: readonly string[] = SHELL): Promise<Started> {
  const dir = await scope.tempDir('shell');
  const {relay, cli} = await startBehindRelay(scope, ['terminal', '--json', ...words], {cwd: dir});
  const {address, login} = await cli.event('ready');
  const {user = '', password = ''} = login ?? {};
  return {cli, relay, address, login: {user, password}, dir};
}

function browserFor(scope: Scope, {relay, login}: Started): Promise<BrowserContext> {
  const httpCredentials = {username: login.user, password: login.password};
  return startBrowser(scope, {caFile: relay.caFile, httpCredentials});
}

async function open(browser: BrowserContext, {address}: Started): Promise<Page> {
  const tab = await browser.newPage();
  await tab.goto(address);
  await shows(tab, 'ready>');
  await tab.locator('.xterm-helper-textarea').focus();
  return tab;
}

/** The visible rows, with spaces as spaces. */
async function screenOf(tab: Page): Promise<string> {
  const rows = await tab.locator('.xterm-rows > div').allTextContents();
  return rows.map((row) => row.replaceAll('\u00a0', ' ').trimEnd()).join('\n');
}

const shows = (tab: Page, text: string | RegExp) =>
  until(async () => {
    const screen = await screenOf(tab);
    return typeof text === 'string' ? screen.includes(text) : text.test(screen);
  }, 60_000);

const run = (tab: Page, line: string) => tab.keyboard.type(`${line}\n`);

/** The process that serves the page and the shell. */
function serverOf(cli: Cli): number {
  const [pid] = childrenOf(cli.pid).filter((child) => commandLine(child).includes('web-terminal'));
  if (pid === undefined) throw new Error('no web terminal');
  return pid;
}

test('typing, pasting, copying; another size; a page that comes back', async ({scope}) => {
  for (const program of ['gotty', 'ttyd']) expect(await which(program, plainEnv())).toBeUndefined();
  const started = await start(scope);
  const browser = await browserFor(scope, started);
  await browser.grantPermissions(['clipboard-read', 'clipboard-write'], {origin: started.address});
  const tab = await open(browser, started);
  const errors: string[] = [];
  tab.on('console', (message) => errors.push(message.text()));
  tab.on('pageerror', (error) => errors.push(String(error)));

  await run(tab, 'echo "typed $((6 * 7))" | tee answer.txt');
  await shows(tab, /^typed 42$/m);
  expect(await readFile(join(started.dir, 'answer.txt'), 'utf8')).toBe('typed 42\n');

  // Text that is not one byte for each key: several bytes, two cells, a surrogate pair.
  await tab.keyboard.insertText('echo "[ä漢🙂]"');
  await tab.keyboard.press('Enter');
  await shows(tab, /^\[ä漢🙂\]$/m);

  await tab.evaluate('navigator.clipboard.writeText("echo pasted-$((2 * 4))")');
  await tab.keyboard.press('Control+Shift+V');
  await shows(tab, 'echo pasted-$((2 * 4))');
  await tab.keyboard.press('Enter');
  await shows(tab, /^pasted-8$/m);

  await run(tab, 'clear; echo word');
  await shows(tab, /^word\nready>/);
  await tab.locator('.xterm-screen').dblclick({position: {x: 12, y: 8}});
  await tab.keyboard.press('Control+Shift+C');
  await until(async () => (await tab.evaluate('navigator.clipboard.readText()')) === 'word');

  await run(tab, 'clear; while sleep 0.2; do stty size; done');
  const sizes = async () => (await screenOf(tab)).match(/^\d+ \d+$/gm) ?? [];
  await until(async () => (await sizes()).length > 0);
  const [before] = await sizes();
  await tab.setViewportSize({width: 700, height: 400});
  await until(async () => (await sizes()).some((size) => size !== before));
  await tab.keyboard.press('Control+C');

  await run(tab, 'name=kept; clear; echo "a shell that stays"');
  await shows(tab, /^a shell that stays$/m);
  await tab.reload();
  await shows(tab, /^a shell that stays$/m);
  await tab.locator('.xterm-helper-textarea').focus();
  await run(tab, 'echo "its name is $name"');
  await shows(tab, /^its name is kept$/m);
  expect(errors).toEqual([]);
  expect((await started.cli.stop()).code).toBe(0);
});

test('a large paste arrives completely, although the shell writes as much as it reads', async ({scope}) => {
  const started = await start(scope);
  const browser = await browserFor(scope, started);
  await browser.grantPermissions(['clipboard-read', 'clipboard-write'], {origin: started.address});
  const tab = await open(browser, started);
  await run(tab, 'clear; stty -echo; tee pasted.txt; stty echo; echo "all $((1 + 1))"');
  const text = Array.from({length: 40_000}, (_, i) => `line ${i} of what is pasted\n`).join('');
  await tab.evaluate(`navigator.clipboard.writeText(${JSON.stringify(text)})`);
  await tab.keyboard.press('Control+Shift+V');
  await shows(tab, 'line 39999 of what is pasted');
  await tab.keyboard.press('Control+D');
  await shows(tab, /^all 2$/m);
  expect((await readFile(join(started.dir, 'pasted.txt'), 'utf8')) === text).toBe(true);
});

test('vi: its screen comes back, in another tab too; both tabs see the input of one', async ({scope}) => {
  const started = await start(scope);
  await writeFile(join(started.dir, 'text'), 'one\ntwo\nthree\n');
  const browser = await browserFor(scope, started);
  const first = await open(browser, started);
  await run(first, 'vi text');
  await shows(first, /^one\ntwo\nthree\n~/);
  await first.reload();
  await shows(first, /^one\ntwo\nthree\n~/);
  const second = await browser.newPage();
  await second.goto(started.address);
  await shows(second, /^one\ntwo\nthree\n~/);
  await second.locator('.xterm-helper-textarea').focus();
  await second.keyboard.type('Goby two');
  await shows(first, /three\nby two\n~/);
  await second.keyboard.press('Escape');
  await second.keyboard.type(':wq\n');
  // Both tabs have the earlier screen again.
  for (const tab of [first, second]) await shows(tab, /ready> vi text\nready>/);
  expect(await readFile(join(started.dir, 'text'), 'utf8')).toBe('one\ntwo\nthree\nby two\n');
  // No tab answers the questions of vi: the next input begins on an empty line.
  await run(first, 'echo done');
  await shows(second, /ready> echo done\ndone\nready>/);
});

test('a lost link: the page comes back by itself, to the same shell', async ({scope}) => {
  const started = await start(scope);
  const browser = await browserFor(scope, started);
  await browser.addInitScript(`
    window.links = [];
    window.WebSocket = class extends WebSocket {
      constructor(...words) { super(...words); links.push(this); }
    };`);
  const tab = await open(browser, started);
  await run(tab, 'name=kept');
  await tab.evaluate('links[0].close()');
  await until(async () => await tab.evaluate('links.length > 1 && links.at(-1).readyState === 1'));
  await tab.locator('#status').waitFor({state: 'hidden'});
  await run(tab, 'clear; echo "its name is $name"');
  await shows(tab, /^its name is kept$/m);
});

test('10 MB of output, and endless output', async ({scope}) => {
  const started = await start(scope);
  const tab = await open(await browserFor(scope, started), started);
  const pids = [serverOf(started.cli), started.cli.pid];
  const before = pids.map((pid) => memoryOf(pid, 'VmHWM'));
  await run(tab, 'clear; seq 1 1300000; echo "all $((1 + 1)) of it"');
  await shows(tab, /1299999\n1300000\nall 2 of it\nready>/);
  await run(tab, 'yes');
  await shows(tab, /^y\ny\ny$/m);
  await tab.keyboard.press('Control+C');
  await shows(tab, /\^C\nready>/);
  await run(tab, 'echo still here');
  await shows(tab, /^still here$/m);
  const grown = pids.map((pid, i) => memoryOf(pid, 'VmHWM') - (before[i] ?? 0));
  console.log(`the most memory that was added, MB: ${grown.map((bytes) => Math.round(bytes / 1_048_576))}`);
  for (const bytes of grown) expect(bytes).toBeLessThan(96 * 1_048_576);
});

test('without the password access is refused, and guesses are counted', async ({scope}) => {
  const started = await start(scope);
  const {relay, address, login} = started;
  const status = async (...words: string[]) => {
    const {stdout} = await curl(scope, relay.caFile, [
      ...['--output', '/dev/null', '--write-out', '%{http_code}', ...words],
      address,
    ]);
    return stdout;
  };
  const good = `${login.user}:${login.password}`;
  const head = (await curl(scope, relay.caFile, ['--head', '--user', good, address])).stdout;
  expect(head).toMatch(/^content-security-policy: default-src 'none'; script-src 'self';/m);
  const cookie = /^set-cookie: (__Host-tunl=\w+); Path=\/; Secure; HttpOnly; SameSite=Strict/m.exec(
    head,
  )?.[1];
  expect(await status()).toBe('401');
  expect(await status('--user', `${login.user}:wrong`)).toBe('401');

  const shell = (headers: Record<string, string>) =>
    new Promise<number>((resolve, reject) => {
      const {host, hostname} = new URL(address);
      const socket = new WebSocket(`wss://127.0.0.1:${relay.port}/shell`, {
        agent: new Agent({ca: readFileSync(relay.caFile), servername: hostname}),
        headers: {...headers, host},
      });
      scope.onEnd(() => socket.terminate());
      socket.once('open', () => resolve(101));
      socket.once('unexpected-response', (_, response) => resolve(response.statusCode ?? 0));
      socket.once('error', reject);
    });
  const authorization = basic(login.user, login.password);
  const {origin} = new URL(address);
  expect(await shell({origin})).toBe(401);
  expect(await shell({origin, authorization: basic(login.user, 'wrong')})).toBe(401);
  expect(await shell({authorization})).toBe(403);
  expect(await shell({authorization, origin: 'https://elsewhere.example'})).toBe(403);
  expect(await shell({authorization, origin})).toBe(101);
  expect(await shell({cookie: cookie ?? '', origin})).toBe(101);

  // So fast that the limit does not recover meanwhile; all come from one address, like all visitors of a tunnel.
  const guesses = Array.from({length: 30}, (_, i) =>
    shell({origin, authorization: basic(login.user, `${i}`)}),
  );
  expect(await Promise.all(guesses)).toContain(429);
  expect(await status('--header', `cookie: ${cookie}`)).toBe('200');
  for (const pid of [started.cli.pid, serverOf(started.cli)]) {
    expect(commandLine(pid)).not.toContain(login.password);
  }
});

test('the environment of the shell has no secrets of tunl', async ({scope}) => {
  const started = await start(scope);
  const tab = await open(await browserFor(scope, started), started);
  await run(tab, 'clear; env | grep -c -e PASSWORD -e TUNL_TOKEN; echo looked');
  await shows(tab, /^0\nlooked$/m);
});

test('--read-only: visitors see the shell and cannot type', async ({scope}) => {
  const script = 'echo "ready> $(stty size)"; read -r line; echo "got $line"; sleep 600';
  const started = await start(scope, ['--read-only', '--', '/bin/sh', '-c', script]);
  const browser = await browserFor(scope, started);
  const tab = await open(browser, started);
  await tab.keyboard.type('typed\n');
  // The page sends nothing, and the server ignores input of a page that does.
  const sent = tab.evaluate(
    `new Promise((resolve) => {
      const socket = new WebSocket('/shell');
      socket.onopen = () => {
        socket.send(JSON.stringify({type: 'size', cols: 80, rows: 24}));
        socket.send(new TextEncoder().encode('typed\\n'));
      };
      let left = 3;
      socket.onmessage = () => {
        if ((left -= 1) === 0) resolve('seen');
        else if (left === 1) socket.send(JSON.stringify({type: 'size', cols: 70, rows: 20}));
      };
    })`,
  );
  expect(await sent).toBe('seen');
  expect(await screenOf(tab)).not.toContain('got');
});

test('when the shell ends the tunnel ends, with its exit code', async ({scope}) => {
  const started = await start(scope);
  const tab = await open(await browserFor(scope, started), started);
  await run(tab, 'exit 3');
  await tab.locator('#status').getByText('The shell has ended (exit code 3).').waitFor();
  expect((await started.cli.finished()).code).toBe(3);
});

test('a visitor who was refused and stays connected does not keep it from ending', async ({scope}) => {
  const started = await start(scope, ['--', '/bin/sh', '-c', 'exit 3']);
  const {origin, host} = new URL(started.address);
  const [, port] = /--port\0(\d+)/.exec(commandLine(serverOf(started.cli))) ?? [];
  const refused = connect({port: Number(port), host: '127.0.0.1', allowHalfOpen: true});
  scope.onEnd(() => void refused.destroy());
  refused.on('error', () => {});
  refused.write('GET /shell HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
  await once(refused.resume(), 'end');
  const authorization = basic(started.login.user, started.login.password);
  const page = new WebSocket(`ws://127.0.0.1:${port}/shell`, {headers: {authorization, origin, host}});
  scope.onEnd(() => page.terminate());
  await once(page, 'open');
  page.send(JSON.stringify({type: 'size', cols: 80, rows: 24}));
  expect((await started.cli.finished()).code).toBe(3);
});

test('without the package of the pseudo-terminal: the error says what to do', async ({scope}) => {
  const hook = `import {registerHooks} from 'node:module';
registerHooks({resolve: (name, context, next) => {
  if (name.startsWith('@lydell/node-pty')) throw Object.assign(new Error('none'), {code: 'MODULE_NOT_FOUND'});
  return next(name, context);
}});`;
  const {cli} = await startBehindRelay(scope, ['terminal', '--json'], {
    env: {NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(hook)}`},
  });
  expect((await cli.finished()).code).toBe(8);
  expect(cli.error).toMatchObject({code: 'PROGRAM_MISSING'});
  expect(cli.error?.message).toContain('@lydell/node-pty');
});
