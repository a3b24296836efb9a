// The real JupyterLab answers only with the token, knows its public name, and leaves no file with the token.
import {existsSync, readdirSync, readFileSync} from 'node:fs';
import {mkdir, writeFile} from 'node:fs/promises';
import {request} from 'node:http';
import {createServer} from 'node:net';
import {delimiter, dirname, join} from 'node:path';
import {expect} from 'vitest';
import {find} from '../../src/lib/launch/find.js';
import type {NamedSite} from '../../src/lib/launch/program.js';
import {jupyter} from '../../src/lib/launch/programs/jupyter.js';
import {randomSecret} from '../../src/lib/launch/secret.js';
import {
  commandLine,
  installed,
  launchIn,
  markOf,
  plainEnv,
  publicSide,
  withMark,
} from '../helpers/launching.js';
import {test} from '../helpers/test.js';

interface Reply {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: string;
}

function get(port: number, path: string, headers: Record<string, string> = {}): Promise<Reply> {
  return new Promise((resolve, reject) => {
    request({host: '127.0.0.1', port, path, headers, agent: false}, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(chunks).toString(),
        }),
      );
    })
      .once('error', reject)
      .end();
  });
}

/** All text files below a folder that contain a text. */
function filesWith(text: string, folder: string): string[] {
  return readdirSync(folder, {recursive: true, withFileTypes: true}).flatMap((entry) => {
    const path = join(entry.parentPath, entry.name);
    return entry.isFile() && readFileSync(path).includes(text) ? [path] : [];
  });
}

test('JupyterLab', async ({scope}) => {
  const dir = await scope.tempDir('notebooks');
  const home = await scope.tempDir('home');
  const stateDir = await scope.tempDir('state');
  await writeFile(join(dir, 'hello.txt'), 'hello');
  const token = randomSecret();
  // It is found by an active virtual environment alone.
  const env = plainEnv({
    HOME: home,
    VIRTUAL_ENV: dirname(dirname(installed.jupyterLab)),
    JUPYTER_TOKEN_FILE: '/dev/null',
  });
  const output: string[] = [];
  const program = await launchIn(scope, jupyter({token, dir}), {
    env,
    stateDir,
    onOutput: (bytes) => output.push(bytes.toString()),
  });
  const {port} = await program.ready;
  expect(program.address).toBe(`https://name.r1.example.test/lab?token=${token}`);
  expect(program.login).toEqual([{name: 'token', label: 'token', value: token, secret: true}]);

  const visitor = {host: publicSide.host};
  expect((await get(port, '/api/contents/hello.txt', visitor)).status).toBe(403);
  const wrong = await get(port, '/api/contents/hello.txt', {...visitor, authorization: 'token wrong'});
  expect(wrong.status).toBe(403);
  const right = await get(port, '/api/contents/hello.txt', {...visitor, authorization: `token ${token}`});
  expect(JSON.parse(right.body).content).toBe('hello');

  // The page at the printed address, and its cookie.
  const page = await get(port, `/lab?token=${token}`, visitor);
  expect(page.status).toBe(200);
  expect(String(page.headers['set-cookie'])).toMatch(/secure/i);

  // A foreign page may not use it with the user's cookie.
  const cookie = [page.headers['set-cookie'] ?? []].flat().map((line) => line.split(';', 1)[0]);
  const own = {...visitor, cookie: cookie.join('; ')};
  expect((await get(port, '/api/contents', own)).status).toBe(200);
  const cross = await get(port, '/api/contents', {...own, origin: 'https://evil.example'});
  expect(cross.headers['access-control-allow-origin']).toBeFalsy();

  // Another name than the public one: DNS rebinding.
  const foreign = await get(port, '/api/contents', {host: 'evil.example', authorization: `token ${token}`});
  expect(foreign.status).toBe(403);

  expect(commandLine(program.pid)).not.toContain(token);
  expect(output.join('')).not.toContain(token);
  expect(output.join('')).toContain('name.r1.example.test');
  expect(filesWith(token, stateDir)).not.toEqual([]);

  expect(await program.stop()).toEqual({code: 0, signal: null});
  expect([...filesWith(token, stateDir), ...filesWith(token, home)]).toEqual([]);
  expect(existsSync(`/proc/${program.pid}`)).toBe(false);
});

test('JupyterLab with a kernel running: nothing is left when it stops', async ({scope}) => {
  const token = randomSecret();
  const env = plainEnv({HOME: await scope.tempDir('home')});
  const program = await launchIn(scope, jupyter({token, dir: await scope.tempDir('notebooks')}), {
    env,
    bin: installed.python,
  });
  const {port} = await program.ready;
  const reply = await fetch(`http://127.0.0.1:${port}/api/kernels`, {
    method: 'POST',
    headers: {authorization: `token ${token}`},
    body: '{}',
  });
  expect(reply.status).toBe(201);
  const mark = markOf(program.pid);
  expect(withMark(mark).some((pid) => commandLine(pid).includes('ipykernel_launcher'))).toBe(true);
  await program.stop();
  expect(withMark(mark)).toEqual([]);
});

test('a configuration of Jupyter that lets everybody in is an error', async ({scope}) => {
  const config = await scope.tempDir('config');
  await writeFile(join(config, 'jupyter_server_config.py'), "c.IdentityProvider.token = ''\n");
  const env = plainEnv({HOME: await scope.tempDir('home'), JUPYTER_CONFIG_DIR: config});
  const dir = await scope.tempDir('notebooks');
  const open = await launchIn(scope, jupyter({token: randomSecret(), dir}), {env, bin: installed.python});
  await expect(open.ready).rejects.toMatchObject({
    code: 'PROGRAM_CONFIG',
    message: expect.stringContaining('status 200 to GET /api/status'),
  });
  await open.exited;
});

test('a taken port is an error of Jupyter, not another port', async ({scope}) => {
  const program = jupyter({token: randomSecret(), dir: await scope.tempDir()});
  const port = await scope.listen(createServer());
  // After the launcher's own check of the port, like a program that was faster.
  const running = await launchIn(
    scope,
    {
      ...program,
      start: (site: NamedSite) => program.start({...site, port}),
    },
    {env: plainEnv({HOME: await scope.tempDir('home')}), bin: installed.jupyterLab},
  );
  await expect(running.ready).rejects.toMatchObject({
    code: 'PROGRAM_DIED',
    message: expect.stringContaining('exit code 1'),
  });
});

test('Jupyter is found in all its places', async ({scope}) => {
  const bin = dirname(installed.jupyterLab);
  const program = jupyter({token: false});
  expect(await find(program, {PATH: bin})).toMatchObject({bin: installed.jupyterLab, kind: 'lab'});
  expect(await find(program, {CONDA_PREFIX: dirname(bin), PATH: '/usr/bin'})).toMatchObject({
    bin: installed.jupyterLab,
  });
  // Only `jupyter` and a Python in PATH.
  const few = join(await scope.tempDir(), 'bin');
  await mkdir(few);
  await writeFile(join(few, 'python3'), `#!/bin/sh\nexec ${installed.python} "$@"\n`, {mode: 0o755});
  expect(await find(program, {PATH: [few, '/usr/bin', '/bin'].join(delimiter)})).toEqual({
    bin: join(few, 'python3'),
    lead: ['-m', 'jupyterlab'],
    kind: 'lab',
  });
  await expect(find(program, {PATH: '/nowhere'})).rejects.toMatchObject({
    code: 'PROGRAM_MISSING',
    next: expect.stringContaining('pip install'),
  });
  await expect(find(program, {PATH: bin}, '/nowhere/jupyter')).rejects.toMatchObject({
    code: 'PROGRAM_MISSING',
  });
});
