// The real code-server asks for the password and accepts it, in an environment that could mislead it.
import {readFileSync} from 'node:fs';
import {mkdir, writeFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {expect} from 'vitest';
import {codeServer} from '../../src/lib/launch/programs/code-server.js';
import {randomSecret} from '../../src/lib/launch/secret.js';
import {commandLine, installed, launchIn, markOf, plainEnv, withMark} from '../helpers/launching.js';
import {test} from '../helpers/test.js';

test('code-server', async ({scope}) => {
  const home = await scope.tempDir('home');
  const dir = await scope.tempDir('project');
  // A configuration of the user that would break everything.
  await mkdir(join(home, '.config/code-server'), {recursive: true});
  await writeFile(
    join(home, '.config/code-server/config.yaml'),
    'bind-addr: 0.0.0.0:1\nauth: none\ncert: true\n',
  );
  const password = randomSecret();
  const output: string[] = [];
  const program = await launchIn(scope, codeServer({password, dir}), {
    bin: installed.codeServer,
    // Like inside a terminal of VS Code, on a platform that sets PORT.
    env: plainEnv({
      HOME: home,
      PORT: '1',
      CODE_SERVER_HOST: '0.0.0.0',
      VSCODE_IPC_HOOK_CLI: '/nowhere',
      HASHED_PASSWORD: 'x',
    }),
    onOutput: (bytes) => output.push(bytes.toString()),
  });
  const {port} = await program.ready;
  const at = (path: string) => `http://127.0.0.1:${port}${path}`;
  expect(program.address).toBe('https://name.r1.example.test');
  expect(program.login).toEqual([{name: 'password', label: 'password', value: password, secret: true}]);

  const first = await fetch(at('/'), {redirect: 'manual'});
  expect([first.status, first.headers.get('location')?.startsWith('./login')]).toEqual([302, true]);
  const login = (secret: string) =>
    fetch(at('/login'), {method: 'POST', body: new URLSearchParams({password: secret}), redirect: 'manual'});
  expect((await login('wrong')).status).toBe(200);
  const inside = await login(password);
  expect(inside.status).toBe(302);
  const cookie = inside.headers.getSetCookie()[0]?.split(';', 1)[0] ?? '';
  const page = await fetch(at(`/?folder=${dir}`), {headers: {cookie}});
  expect([page.status, (await page.text()).includes('vscode-workbench-web-configuration')]).toEqual([
    200,
    true,
  ]);

  const mark = markOf(program.pid);
  for (const pid of withMark(mark)) expect(commandLine(pid)).not.toContain(password);
  expect(output.join('')).not.toContain(password);
  await program.stop();
  expect(withMark(mark)).toEqual([]);
  expect(readFileSync(join(home, '.config/code-server/config.yaml'), 'utf8')).toContain('auth: none');
});

test('openvscode-server: the token is in the address, and not in any argument', async ({scope}) => {
  // The server of VS Code itself, which is part of code-server: openvscode-server is the same with a script around it.
  const server = join(dirname(installed.codeServer), '../code-server/lib/vscode/out/server-main.js');
  const bin = join(await scope.tempDir('bin'), 'openvscode-server');
  await writeFile(bin, `#!/bin/sh\nexec '${process.execPath}' '${server}' "$@"\n`, {mode: 0o755});
  const password = randomSecret();
  const dir = await scope.tempDir('project');
  const output: string[] = [];
  const program = await launchIn(scope, codeServer({password, dir}), {
    bin,
    env: plainEnv({HOME: await scope.tempDir('home')}),
    onOutput: (bytes) => output.push(bytes.toString()),
  });
  const {port} = await program.ready;
  expect(program.address).toBe(`https://name.r1.example.test/?tkn=${password}`);
  const status = async (query: string) =>
    (await fetch(`http://127.0.0.1:${port}/${query}`, {redirect: 'manual'})).status;
  expect([await status(''), await status('?tkn=wrong'), await status(`?tkn=${password}`)]).toEqual([
    403, 403, 302,
  ]);
  const mark = markOf(program.pid);
  for (const pid of withMark(mark)) expect(commandLine(pid)).not.toContain(password);
  expect(output.join('')).not.toContain(password);
  await program.stop();
  expect(withMark(mark)).toEqual([]);
});
