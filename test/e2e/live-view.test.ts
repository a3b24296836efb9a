// The live view in a real terminal: its text, its keys, and a terminal that works again after every kind of end.
import {readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {expect} from 'vitest';
import {Child, run} from '../helpers/child.js';
import {entry} from '../helpers/cli.js';
import {until} from '../helpers/launching.js';
import {startRelayProcess} from '../helpers/relay.js';
import {type Scope, unusedPort} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {Screen, type ScreenOptions} from '../helpers/tmux.js';
import {httpUpstream} from '../helpers/upstreams.js';
import {curl} from '../helpers/visitors.js';

const TUNL = `node ${entry}`;
const KEYS = /^ {2}q QR {3}o open {3}c copy {3}\? keys {3}\^C stop$/;
const COOKED = {icanon: true, echo: true, isig: true};
const ADDRESS = /^(https:\/\/\S+\.r1\.localhost:\d+)$/;

async function setUp(scope: Scope, options: ScreenOptions = {}) {
  const relay = await startRelayProcess(scope);
  const stateDir = await scope.tempDir('state');
  const env = {...relay.env, TUNL_STATE_DIR: stateDir, HOME: stateDir, ...options.env};
  const screen = await Screen.start(scope, {...options, env});
  return {relay, screen};
}

test('address, state and keys in the block, one line for each visitor above; no upstream, then one, then a lost link', async ({
  scope,
}) => {
  const {relay, screen} = await setUp(scope);
  const port = await unusedPort();
  await screen.run(`${TUNL} expose ${port}`);
  await screen.shows(/^ {2}✗ upstream does not answer · 0 open · 0 so far$/);
  await screen.shows(/⚠ nothing answers on localhost:\d+ yet: visitors are reset$/);
  await screen.shows(KEYS);
  const [, address = ''] = await screen.shows(ADDRESS);

  // A service that accepts exactly one connection: the check of the upstream must not use it.
  const nc = run(scope, 'nc', ['-N', '-l', '127.0.0.1', String(port)], {
    input: 'HTTP/1.0 200 OK\r\n\r\nonce',
  });
  await screen.shows(/^ {2}● live · r1 · \d+ ms · 0 open · 0 so far$/);
  expect((await curl(scope, relay.caFile, [address])).stdout).toBe('once');
  expect((await nc).stdout).toContain('GET / HTTP/1.1');
  await screen.shows(/^\d\d:\d\d:\d\d {2}tls {2}127\.0\.0\.1:\d+ +\d.* in \d.* out 23 B$/);

  await relay.cli.stop('SIGKILL');
  await screen.shows(/^ {2}↻ link lost \d+ s · 0 open · 1 so far$/);
  const lines = await screen.lines();
  expect(lines.filter((line) => KEYS.test(line))).toHaveLength(1);
  await screen.press('C-c');
  await screen.until((all) => all.at(-1) === '$');
  // The block is gone.
  expect((await screen.lines()).some((line) => KEYS.test(line) || line.includes('so far'))).toBe(false);
});

test('several targets: each address on a line, one block with a row for each, and the silent upstream is named', async ({
  scope,
}) => {
  const {relay, screen} = await setUp(scope, {columns: 120});
  const {port} = await httpUpstream(scope);
  const silent = await unusedPort();
  await screen.run(`${TUNL} expose web-1=${port} ${silent}:tcp`);
  await screen.shows(new RegExp(`^ {2}✗ upstream does not answer: ${silent} · 0 open · 0 so far$`));
  const [, address = ''] = await screen.shows(/^web-1 +(https:\/\/\S+)$/);
  expect((await curl(scope, relay.caFile, [address])).code).toBe(0);
  await screen.shows(/^\d\d:\d\d:\d\d {2}web-1 {2}tls {2}127\.0\.0\.1:\d+ /);
  const lines = await screen.lines();
  const rows = lines.slice(-4);
  expect(rows[0]).toBe(`  web-1  ${address} → localhost:${port}`);
  expect(rows[1]).toMatch(new RegExp(`^ {2}${silent} {2,}localhost:\\d+ → localhost:${silent}$`));
  expect(rows[3]).toMatch(KEYS);
  // The block was not drawn over the second line of stdout.
  expect(lines.filter((line) => line.startsWith(`${silent}  `))).toHaveLength(1);
  expect(lines.filter((line) => line.includes(' → '))).toHaveLength(2);
  await screen.press('C-c');
  await screen.until((all) => all.at(-1) === '$');
});

test('q, c, o, ? and Enter; a paste does nothing', async ({scope}) => {
  const {port} = await httpUpstream(scope);
  const folder = await scope.tempDir('bin');
  await writeFile(join(folder, 'browser'), `#!/bin/sh\necho "$1" > ${folder}/opened\n`, {mode: 0o755});
  const {screen} = await setUp(scope, {rows: 50, env: {BROWSER: join(folder, 'browser')}});
  await screen.run(`${TUNL} expose ${port}`);
  await screen.shows(KEYS);
  const [, address = ''] = await screen.shows(ADDRESS);
  await screen.press('q');
  await screen.shows(/^██ ▄▄▄▄▄ /);
  await screen.press('c');
  await screen.shows(/^sent to the clipboard$/);
  await screen.press('o');
  await screen.shows(/^sent to the browser$/);
  const opened = () => readFile(join(folder, 'opened'), 'utf8').catch(() => '');
  await until(async () => (await opened()) !== '', 10_000);
  expect(await opened()).toBe(`${address}\n`);
  await screen.press('?');
  await screen.shows(/^Ctrl\+C {2}stop; once more: at once$/);
  // More than one at once is a paste.
  await screen.press('?', '?', '?');
  // An Enter that comes while the paste is unread is a part of it, so press it once more.
  const isBlankBelow = (all: string[]) =>
    all.some((line, n) => line.startsWith('With --no-keys') && all[n + 1] === '');
  await until(async () => {
    await screen.press('Enter');
    const since = performance.now();
    const lines = await screen.until((all) => isBlankBelow(all) || performance.now() - since > 2_000);
    return isBlankBelow(lines);
  });
  await screen.press('?');
  const lines = await screen.until((all) => all.filter((line) => line.startsWith('Ctrl+C  ')).length === 2);
  expect(lines[lines.findIndex((line) => line.startsWith('With --no-keys')) + 1]).toBe('');
});

test.for(['bash --norc', 'dash'])(
  'in %s the terminal is as it was after Ctrl+C, Ctrl+Z, SIGTERM and kill -9',
  async (shell, {scope}) => {
    const {port} = await httpUpstream(scope);
    const {screen} = await setUp(scope, {shell, rows: 40});
    const folder = await scope.tempDir('modes');
    let asked = 0;
    const start = async () => {
      await screen.run('clear');
      await screen.until((lines) => lines.join('') === '$');
      await screen.run(`${TUNL} expose ${port}`);
      await screen.shows(KEYS);
      expect(await screen.modes()).toEqual({icanon: false, echo: false, isig: true});
      const {stdout} = await run(scope, 'pgrep', ['-f', `^${TUNL} expose ${port}$`]);
      return Number(stdout);
    };
    /** As a command sees it: while a shell edits a line, the terminal has the shell's settings. */
    const isSane = async () => {
      asked += 1;
      await screen.until((lines) => lines.at(-1) === '$');
      await screen.run(`stty -a > ${folder}/${asked}; echo over ${asked}`);
      await screen.until((lines) => lines.includes(`over ${asked}`));
      const modes = await readFile(join(folder, String(asked)), 'utf8');
      expect(modes).toMatch(/\sisig icanon .*\secho\s/);
    };
    await start();
    await screen.press('C-c');
    await screen.shows(/^closed after 0 connections$/);
    await isSane();

    await start();
    await screen.press('C-z');
    await screen.shows(/Stopped/);
    await isSane();
    await screen.run('fg');
    // One block where it stopped, one where it continued.
    await screen.until((lines) => lines.filter((line) => KEYS.test(line)).length === 2);
    expect(await screen.modes()).toEqual({icanon: false, echo: false, isig: true});
    await screen.press('C-c');
    await screen.shows(/^closed after 0 connections$/);
    await isSane();

    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      const pid = await start();
      process.kill(pid, signal);
      await isSane();
    }
  },
);

test('in the background it does not draw over the shell, and is not stopped for reading the keyboard', async ({
  scope,
}) => {
  const {port} = await httpUpstream(scope);
  const {relay, screen} = await setUp(scope);
  await screen.run(`${TUNL} expose ${port} &`);
  const [address] = await screen.shows(/https:\/\/\S+\.r1\.localhost:\d+$/);
  // A busy shell may write its prompt only now, before this line.
  await screen.shows(/^(\$ )?Ctrl\+C stops it\.$/);
  await screen.run('echo typed');
  await screen.shows(/^typed$/);
  await curl(scope, relay.caFile, [address]);
  const lines = await screen.until((all) => all.some((line) => /tls {2}127\.0\.0\.1:\d+ +\d/.test(line)));
  expect(lines.some((line) => line.includes('so far'))).toBe(false);
  await screen.run('fg');
  await screen.shows(KEYS);
  await screen.press('C-c');
  await screen.shows(/^closed after 1 connection$/);
});

test.for([40, 80, 200])('%i columns, resized in mid-run: one block, every line', async (columns, {scope}) => {
  const {port} = await httpUpstream(scope);
  const {relay, screen} = await setUp(scope, {columns, rows: 40});
  await screen.run(`${TUNL} expose ${port}`);
  const isState = (line: string) => /^ {0,2}● live · .*\d open · \d+ so far$/.test(line);
  await screen.until((lines) => lines.some(isState));
  const address = (await screen.lines()).join('').match(/https:\/\/\w+\.r1\.localhost:\d+/)?.[0] ?? '';
  const upstream = `localhost:${port}`;
  /** The address as the block shows it in a window of this width. */
  const isDrawnFor = (width: number) => (all: string[]) => {
    const both = `  ${address} → ${upstream}`;
    const first = both.length < width ? both : address.slice(0, width - 1);
    return all.includes(first);
  };
  for (const [visits, width] of [columns, 50, 120].entries()) {
    await screen.resize(width, 40);
    // The terminal has its new size before the program is told.
    await screen.until(isDrawnFor(width));
    await curl(scope, relay.caFile, [address]);
    await screen.until(
      (all) =>
        all.filter((line) => /^\d\d:\d\d:\d\d /.test(line)).length === visits + 1 &&
        all.some((line) => isState(line) && line.includes(`0 open · ${visits + 1} so far`)),
    );
  }
  const lines = await screen.until((all) => all.some((line) => isState(line) && line.includes('3 so far')));
  expect(lines.filter((line) => line.includes('so far'))).toHaveLength(1);
  expect(lines.filter((line) => /^\d\d:\d\d:\d\d /.test(line))).toHaveLength(3);
  expect(lines.filter((line) => line.includes('^C stop'))).toHaveLength(1);
});

test('no keys and no block: --no-keys, --plain, TERM=dumb, ACCESSIBLE, CI, with a command', async ({
  scope,
}) => {
  const {port} = await httpUpstream(scope);
  const {screen} = await setUp(scope, {rows: 60});
  const stop = async () => {
    expect(await screen.modes()).toEqual(COOKED);
    await screen.press('C-c');
    await screen.shows(/closed/);
  };
  await screen.run(`${TUNL} expose ${port} --no-keys`);
  await screen.shows(/^ {2}● live · /);
  await stop();
  for (const [env, flag, last] of [
    ['', '--plain', /^Ctrl\+C stops it\.$/],
    ['TERM=dumb', '', /^Ctrl\+C stops it\.$/],
    ['CI=1', '', /^Ctrl\+C stops it\.$/],
    ['ACCESSIBLE=1', '', /^Ctrl\+C stops it\.$/],
  ] as const) {
    await screen.run('clear');
    await screen.until((lines) => lines.join('') === '$');
    await screen.run(`${env} ${TUNL} expose ${port} ${flag}`);
    const lines = await screen.until((all) => all.some((line) => last.test(line)));
    expect(lines.some((line) => line.includes('so far'))).toBe(false);
    await stop();
  }
  await screen.run('clear');
  await screen.run(`${TUNL} expose -- python3 -m http.server {port} --bind 127.0.0.1`);
  await screen.shows(/^Ctrl\+C stops it\.$/);
  expect((await screen.lines()).some((line) => line.includes('? keys'))).toBe(false);
  await stop();
});

test('copied text is in the clipboard of the desktop, also after the tunnel has ended', async ({scope}) => {
  const {port} = await httpUpstream(scope);
  // Writes the number of a free display.
  const server = Child.start(scope, 'Xvfb', ['-displayfd', '1', '-screen', '0', '640x480x8']);
  const display = `:${(await server.line()).trim()}`;
  const {screen} = await setUp(scope, {env: {DISPLAY: display}});
  await screen.run(`${TUNL} expose ${port} --copy`);
  await screen.shows(/^sent to the clipboard$/);
  const [, address = ''] = await screen.shows(ADDRESS);
  await screen.press('C-c');
  await screen.shows(/^closed after 0 connections$/);
  const {stdout} = await run(scope, 'xclip', ['-selection', 'clipboard', '-o'], {env: {DISPLAY: display}});
  expect(stdout).toBe(address);
});

test('--open without a browser: a clear line, and the tunnel stays', async ({scope}) => {
  const {port} = await httpUpstream(scope);
  const folder = await scope.tempDir('bin');
  await writeFile(join(folder, 'xdg-open'), '#!/bin/sh\nexit 3\n', {mode: 0o755});
  const {screen} = await setUp(scope, {columns: 120});
  await screen.run(`${TUNL} expose ${port} --open`);
  await screen.shows(/^⚠ no browser could be opened: there is no desktop here$/);
  await screen.shows(/^ {2}● live · /);
  await screen.press('C-c');
  await screen.shows(/^closed/);
  await screen.run(`DISPLAY=:1 PATH=${folder}:$PATH ${TUNL} expose ${port} --open`);
  await screen.shows(/^⚠ no browser could be opened: xdg-open failed$/);
  await screen.shows(/^ {2}● live · /);
});
