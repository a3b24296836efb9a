// The control socket: private, bounded, one answer for one line, and reachable below a folder with a long name.

import {mkdirSync, statSync, symlinkSync} from 'node:fs';
import {connect} from 'node:net';
import {join} from 'node:path';
import {expect} from 'vitest';
import {TunlError} from '../../../src/lib/core/errors.js';
import {askControl, type ControlRequest, serveControl} from '../../../src/lib/launch/control.js';
import type {Scope} from '../../helpers/scope.js';
import {test} from '../../helpers/test.js';

const NAME = 'abcdef.sock';

async function served(scope: Scope, folder: string) {
  const requests: ControlRequest[] = [];
  const control = await serveControl(folder, NAME, (request) => {
    requests.push(request);
    return {ok: true, at: requests.length};
  });
  scope.onEnd(() => control?.closeSync());
  return {control, requests};
}

/** The answer to raw bytes, until the end of the connection. */
async function raw(path: string, bytes: string): Promise<string> {
  const socket = connect(path);
  socket.on('error', () => {});
  socket.write(bytes);
  let text = '';
  socket.on('data', (piece) => (text += String(piece)));
  await new Promise((resolve) => socket.once('close', resolve));
  return text;
}

test('answers requests; invalid ones get no answer', async ({scope}) => {
  const folder = await scope.tempDir('control');
  const {control, requests} = await served(scope, folder);
  expect(control).toBeDefined();
  expect(statSync(join(folder, NAME)).mode & 0o777).toBe(0o600);
  const ask = (request: ControlRequest) => askControl(folder, NAME, request, 5_000);
  expect(await ask({do: 'status'})).toEqual({ok: true, at: 1});
  expect(await ask({do: 'stop', reason: 'x'.repeat(1_000)})).toEqual({ok: true, at: 2});
  expect(requests[1]).toEqual({do: 'stop', reason: 'x'.repeat(200)});
  for (const line of [
    'no json',
    '[]',
    'null',
    '{"do":"boom"}',
    '{"do":"extend"}',
    '{"do":"extend","expiresMs":-1}',
    '{"do":"extend","expiresMs":1e300}',
    '{"do":"add","name":"a","target":"80"}',
    '{"do":"add","name":"a","target":"","tcp":true}',
    '{"do":"add","name":"a","target":"80","tcp":true,"subdomain":7}',
    '{"do":"remove"}',
    '{"do":"remove","name":"a","drainTimeoutMs":-1}',
  ])
    expect(await raw(join(folder, NAME), `${line}\n`), line).toBe('{"ok":false}\n');
  expect(await raw(join(folder, NAME), 'x'.repeat(9_000))).toBe('{"ok":false}\n');
  expect(requests).toHaveLength(2);
  expect(await ask({do: 'status'})).toEqual({ok: true, at: 3});
});

test('connections beyond the limit are closed; the earlier ones are answered', async ({scope}) => {
  const folder = await scope.tempDir('control');
  await served(scope, folder);
  const path = join(folder, NAME);
  const held = Array.from({length: 16}, () => connect(path));
  scope.onEnd(() => held.forEach((socket) => void socket.destroy()));
  await Promise.all(held.map((socket) => new Promise((resolve) => socket.once('connect', resolve))));
  expect(await raw(path, '{"do":"status"}\n')).toBe('');
  const answer = new Promise((resolve) => held[0]?.once('data', resolve));
  held[0]?.write('{"do":"status"}\n');
  expect(String(await answer)).toBe('{"ok":true,"at":1}\n');
});

test.runIf(process.platform === 'linux')('a folder whose path is too long for a socket', async ({scope}) => {
  const folder = join(await scope.tempDir('control'), 'n'.repeat(120));
  mkdirSync(folder);
  const {control} = await served(scope, folder);
  expect(control).toBeDefined();
  expect(statSync(join(folder, NAME)).isSocket()).toBe(true);
  expect(await askControl(folder, NAME, {do: 'status'}, 5_000)).toEqual({ok: true, at: 1});
});

test('without a listener there is no answer; a link to another socket is refused', async ({scope}) => {
  const folder = await scope.tempDir('control');
  expect(await askControl(folder, NAME, {do: 'status'}, 5_000)).toBeUndefined();
  const other = await scope.tempDir('other');
  await served(scope, other);
  symlinkSync(join(other, NAME), join(folder, NAME));
  await expect(askControl(folder, NAME, {do: 'status'}, 5_000)).rejects.toMatchObject({code: 'STATE_DIR'});
});

test('a refusal has a code, and is thrown where it was asked', async ({scope}) => {
  const folder = await scope.tempDir('control');
  const control = await serveControl(folder, NAME, async (request) => {
    if (request.do === 'remove') throw new Error('a bug');
    throw new TunlError('NAME_TAKEN', {reason: 'x'.repeat(10_000), next: 'another name'});
  });
  scope.onEnd(() => control?.closeSync());
  const ask = (request: ControlRequest) => askControl(folder, NAME, request, 5_000);
  await expect(ask({do: 'add', name: 'a', target: '80', tcp: false})).rejects.toMatchObject({
    code: 'NAME_TAKEN',
    message: 'x'.repeat(1_000),
    next: 'another name',
  });
  await expect(ask({do: 'remove', name: 'a'})).rejects.toMatchObject({code: 'UNEXPECTED'});
});

test('an answer may take its time; a client that does not wait for it is noticed', async ({scope}) => {
  const folder = await scope.tempDir('control');
  const waiting = Promise.withResolvers<AbortSignal>();
  const control = await serveControl(folder, NAME, async (request, gone) => {
    if (request.do === 'status') return {ok: true};
    waiting.resolve(gone);
    return await new Promise(() => {});
  });
  scope.onEnd(() => control?.closeSync());
  const client = connect(join(folder, NAME));
  client.write('{"do":"remove","name":"a"}\n');
  const gone = await waiting.promise;
  // The others are answered meanwhile.
  expect(await askControl(folder, NAME, {do: 'status'}, 5_000)).toEqual({ok: true});
  expect(gone.aborted).toBe(false);
  const noticed = new Promise((resolve) => gone.addEventListener('abort', resolve));
  client.destroy();
  await noticed;
});
