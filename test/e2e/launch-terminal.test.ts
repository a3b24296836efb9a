// A shell in the browser, by the real gotty: it asks for a password, a typed command runs, nothing is left.
import {createServer, request} from 'node:http';
import {expect} from 'vitest';
import {WebSocket} from 'ws';
import {basic} from '../../src/lib/launch/password-check.js';
import {terminal} from '../../src/lib/launch/programs/terminal.js';
import {randomSecret} from '../../src/lib/launch/secret.js';
import {
  commandLine,
  fakeProgram,
  installed,
  launchIn,
  markOf,
  plainEnv,
  until,
  withMark,
} from '../helpers/launching.js';
import {test} from '../helpers/test.js';

test('gotty', async ({scope}) => {
  const password = randomSecret();
  const home = await scope.tempDir('home');
  const program = await launchIn(scope, terminal({password, argv: ['/bin/sh']}), {
    bin: installed.gotty,
    env: plainEnv({HOME: home, GOTTY_TLS: 'true', GOTTY_PORT: '1'}),
  });
  const {port} = await program.ready;
  const mark = markOf(program.pid);
  expect(commandLine(program.pid)).not.toContain(password);
  expect((await fetch(`http://127.0.0.1:${port}/`)).status).toBe(401);
  const bad = basic('tunl', 'wrong');
  expect((await fetch(`http://127.0.0.1:${port}/`, {headers: {authorization: bad}})).status).toBe(401);

  const authorization = basic('tunl', password);
  const page = await fetch(`http://127.0.0.1:${port}/auth_token.js`, {headers: {authorization}});
  const token = /'([^']*)'/.exec(await page.text())?.[1] ?? '';
  const socket = new WebSocket(`ws://127.0.0.1:${port}/ws`, 'webtty', {headers: {authorization}});
  scope.onEnd(() => socket.terminate());
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  let screen = '';
  socket.on('message', (data) => {
    const text = String(data);
    // '1' is output, in base64.
    if (text.startsWith('1')) screen += Buffer.from(text.slice(1), 'base64').toString();
  });
  socket.send(JSON.stringify({Arguments: '', AuthToken: token}));
  // '1' is input.
  socket.send(`1echo "$((6 * 7))-$GOTTY_CREDENTIAL-done"\r`);
  await until(() => screen.includes('42--done'));

  expect(withMark(mark).length).toBeGreaterThan(1);
  await program.stop();
  expect(withMark(mark)).toEqual([]);
});

// No package of ttyd exists for all systems, so this program takes ttyd's arguments and answers like ttyd without a password.
const TTYD = `const path = argv[argv.indexOf('--interface') + 1];
if (argv.includes('--credential') || argv.includes('-c')) process.exit(9);
const s = createServer((q, r) => r.end('terminal ' + q.method + ' ' + q.url));
s.on('upgrade', (q, socket) => {
  socket.write('HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n\\r\\n');
  socket.pipe(socket);
});
s.listen(path);`;

test('ttyd, which cannot take a password secretly, gets a password gate in front', async ({scope}) => {
  const script = await fakeProgram(scope, TTYD);
  const password = randomSecret();
  const program = terminal({password});
  const running = await launchIn(
    scope,
    {...program, named: (bin) => ({bin, lead: [script], kind: 'ttyd'})},
    {bin: process.execPath},
  );
  const {port} = await running.ready;
  const at = `http://127.0.0.1:${port}`;
  const authorization = basic('tunl', password);
  expect((await fetch(`${at}/`)).status).toBe(401);
  expect((await fetch(`${at}/`)).headers.get('www-authenticate')).toMatch(/^Basic /);
  for (const wrong of [
    '',
    'Basic',
    basic('tunl', `${password}x`),
    basic('root', password),
    `Bearer ${password}`,
  ]) {
    expect((await fetch(`${at}/`, {headers: {authorization: wrong}})).status).toBe(401);
  }
  expect(await (await fetch(`${at}/token?a=1`, {headers: {authorization}})).text()).toBe(
    'terminal GET /token?a=1',
  );
  expect(await upgrade(port, {})).toBe(401);
  expect(await upgrade(port, {authorization})).toBe('ping');
  expect(withMark(markOf(running.pid)).map(commandLine).join()).not.toContain(password);
  await running.stop();
  // The gate closes with the program.
  await scope.listen(createServer(), '127.0.0.1', port);
});

/** The status of a refused upgrade, or the echo of an accepted one. */
function upgrade(port: number, headers: Record<string, string>): Promise<number | string> {
  return new Promise((resolve, reject) => {
    const question = request({
      host: '127.0.0.1',
      port,
      path: '/ws',
      agent: false,
      headers: {...headers, connection: 'Upgrade', upgrade: 'websocket'},
    });
    question.once('response', (response) => {
      resolve(response.statusCode ?? 0);
      response.destroy();
    });
    question.once('upgrade', (_, socket) => {
      socket.write('ping');
      socket.once('data', (data) => {
        resolve(data.toString());
        socket.destroy();
      });
    });
    question.once('error', reject);
    question.end();
  });
}

test('a missing command is reported before the first visitor', async ({scope}) => {
  const program = terminal({password: randomSecret(), argv: ['no-such-command']});
  await expect(launchIn(scope, program, {bin: installed.gotty})).rejects.toMatchObject({
    code: 'PROGRAM_MISSING',
    message: 'no-such-command was not found.',
  });
});
